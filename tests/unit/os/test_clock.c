/* The clock that may be a little old: never back, hardly ahead or old, and few looks where each costs much. */
#include "ring/os/clock_posix.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define OLD_NS (2 * NS_PER_US)
#define OFF_NS (200 * NS_PER_US) /* reckoned for 10 ms by a rate of the last 10 at least */

static void lately_is_hardly_old(void **state)
{
	uint64_t end = clock_now() + 20 * NS_PER_MS, last = 0;
	struct clock_lately c = {0};

	(void)state;
#if defined(__x86_64__)
	cost = CHEAP;
#endif
	while (last < end) {
		uint64_t before = clock_now(), now = clock_lately(&c);

		assert_true(now <= clock_now());
		assert_true(now + OLD_NS >= before);
		assert_true(now >= last);
		last = now;
	}
}

static void where_a_look_costs_much_there_are_few(void **state)
{
	uint64_t end = clock_now() + 100 * NS_PER_MS, last = 0, looks = 0, at = 0;
	struct clock_lately c = {0};

	(void)state;
#if defined(__x86_64__)
	cost = COSTLY;
	while (last < end) {
		uint64_t before = clock_now(), now = clock_lately(&c), after = clock_now();

		assert_true(now + OFF_NS >= before && now <= after + OFF_NS);
		assert_true(now >= last);
		last = now;
		looks += c.rate > 0 && c.at != at;
		at = c.at;
	}
	assert_in_range(looks, 3, 15);
#endif
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lately_is_hardly_old),
		cmocka_unit_test(where_a_look_costs_much_there_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
