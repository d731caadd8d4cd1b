/* The clock that may be a little old: never ahead, never back, and not older than it may be, also where a look costs much. */
#include "ring/os/clock_posix.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define OLD_NS NS_PER_MS /* what LATELY_MAX cycles are at most, on a processor of 1 GHz */

static void lately_is_hardly_old(void **state)
{
	uint64_t end = clock_now() + 20 * NS_PER_MS, last = 0;
	struct clock_lately c = {0};

	(void)state;
	while (last < end) {
		uint64_t before = clock_now(), now = clock_lately(&c);

		assert_true(now <= clock_now());
		assert_true(now + OLD_NS >= before);
		assert_true(now >= last);
		last = now;
	}
}

static void a_look_is_worth_some_cycles(void **state)
{
	(void)state;
#if defined(__x86_64__)
	assert_in_range(lately_cycles(), LATELY_CYCLES, LATELY_MAX);
	assert_int_equal(lately_cycles(), lately_cycles());
#endif
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lately_is_hardly_old),
		cmocka_unit_test(a_look_is_worth_some_cycles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
