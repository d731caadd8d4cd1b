/* The polling window: grows when looking pays, ends when it does not. */
#include "backend/core/be_poll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

/* After n idle times of idle_us each. */
static uint32_t after(uint32_t window, uint32_t max, uint64_t idle_us, int n)
{
	while (n--)
		window = be_poll_next(window, max, idle_us);
	return window;
}

static void short_waits_teach_it_to_look(void **state)
{
	(void)state;
	assert_int_equal(be_poll_next(0, 50, 30), BE_POLL_FIRST_US);
	assert_true(after(0, 50, 30, 4) >= 30); /* found by looking from now on */
	assert_int_equal(after(0, 50, 30, 100), after(0, 50, 30, 4));
	assert_int_equal(after(0, 50, 48, 10), 50);
}

static void long_waits_teach_it_to_sleep(void **state)
{
	(void)state;
	for (uint64_t idle = 50 + BE_POLL_WAKE_US + 1; idle < 1u << 20; idle *= 3)
		assert_int_equal(after(50, 50, idle, 4), 0);
	assert_int_equal(after(0, 50, 1000000, 10), 0);
}

static void what_only_a_longer_look_than_allowed_would_find_is_not_looked_for(void **state)
{
	(void)state;
	assert_true(be_poll_next(50, 50, 60) < 50);
}

static void never_beyond_the_limit_nor_when_forbidden(void **state)
{
	const char *seed = getenv("SEED");
	unsigned s = seed ? (unsigned)atoi(seed) : 1;
	uint32_t window = 0;

	(void)state;
	print_message("SEED=%u\n", s);
	for (int i = 0; i < 100000; i++) {
		uint32_t max = (uint32_t)rand_r(&s) % 3 ? (uint32_t)rand_r(&s) % 200 : 0;

		window = be_poll_next(window, max, (uint64_t)rand_r(&s) % 300);
		assert_true(window <= max);
	}
	assert_int_equal(be_poll_next(0, 0, 0), 0);
	assert_int_equal(be_poll_next(0, 0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(short_waits_teach_it_to_look),
		cmocka_unit_test(long_waits_teach_it_to_sleep),
		cmocka_unit_test(what_only_a_longer_look_than_allowed_would_find_is_not_looked_for),
		cmocka_unit_test(never_beyond_the_limit_nor_when_forbidden),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
