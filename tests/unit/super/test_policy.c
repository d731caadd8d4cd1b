/* The restart budget, over given times. */
#include "recovery/super/sup_policy.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct policy_death segv = {.own_fault = true, .lived_ns = NS_PER_MS};
static const struct policy_death killed = {.own_fault = false, .lived_ns = NS_PER_MS};

static void a_hundred_kills_under_load_cost_nothing(void **state)
{
	struct sup_policy p = {0};
	struct policy_death d = {.own_fault = true, .progress = true, .lived_ns = 300 * NS_PER_MS};

	(void)state;
	for (uint64_t i = 1; i <= 100; i++) {
		struct policy_verdict v = policy_died(&p, i * 300 * NS_PER_MS, &d);

		d.own_fault = i % 2;
		assert_false(v.give_up);
		assert_int_equal(v.delay_ns, 0);
	}
	assert_int_equal(policy_window(&p, 30 * NS_PER_S), 0);
}

static void fruitless_deaths_wait_longer_and_longer(void **state)
{
	static const uint64_t ms[] = {0, 0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000, 5000, 5000, 5000};
	struct sup_policy p = {0};
	uint64_t now = NS_PER_S;

	(void)state;
	for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		struct policy_verdict v = policy_died(&p, now, &segv);

		assert_false(v.give_up);
		assert_int_equal(v.delay_ns, ms[i] * NS_PER_MS);
		now += v.delay_ns + NS_PER_MS;
	}
	assert_true(policy_died(&p, now, &segv).give_up);
	/* An operator's restart begins anew. */
	assert_false(policy_died(&p, now, &segv).give_up);
}

static void kills_from_outside_never_end_it(void **state)
{
	struct sup_policy p = {0};

	(void)state;
	for (uint64_t i = 1; i < 200; i++) {
		struct policy_verdict v = policy_died(&p, i * 100 * NS_PER_MS, &killed);

		assert_false(v.give_up);
		assert_true(v.delay_ns <= POLICY_PAUSE_KILLED_NS);
	}
}

static void one_fault_after_many_kills_waits_for_nothing(void **state)
{
	struct sup_policy p = {0};
	uint64_t now = NS_PER_S;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		policy_died(&p, now += 100 * NS_PER_MS, &killed);
	for (unsigned i = 0; i < POLICY_BURST; i++)
		assert_int_equal(policy_died(&p, now += NS_PER_MS, &segv).delay_ns, 0);
	assert_int_equal(policy_died(&p, now, &segv).delay_ns, POLICY_PAUSE_NS);
}

static void asked_deaths_count_for_nothing(void **state)
{
	struct sup_policy p = {0};
	struct policy_death d = segv;

	(void)state;
	d.asked = true;
	for (uint64_t i = 1; i < 200; i++) {
		struct policy_verdict v = policy_died(&p, i * NS_PER_MS, &d);

		assert_false(v.give_up);
		assert_int_equal(v.delay_ns, 0);
	}
}

static void progress_and_long_life_end_the_row(void **state)
{
	struct sup_policy p = {0};
	struct policy_death good = {.own_fault = true, .progress = true}, old = segv;
	uint64_t now = NS_PER_S;

	(void)state;
	old.lived_ns = POLICY_WINDOW_NS;
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < POLICY_GIVE_UP - 1; i++)
			assert_false(policy_died(&p, now += NS_PER_S, &segv).give_up);
		assert_false(policy_died(&p, now += NS_PER_S, round == 1 ? &old : &good).give_up);
		if (round == 1) /* the long-lived one is the first of a new row */
			assert_int_equal(p.row, 1);
		p.row = 0;
	}
}

static void the_window_forgets(void **state)
{
	struct sup_policy p = {0};

	(void)state;
	for (unsigned i = 0; i < POLICY_BURST; i++)
		policy_died(&p, NS_PER_S, &killed);
	assert_int_equal(policy_window(&p, 2 * NS_PER_S), POLICY_BURST);
	assert_int_equal(policy_window(&p, NS_PER_S + POLICY_WINDOW_NS), 0);
	assert_int_equal(policy_died(&p, NS_PER_S + POLICY_WINDOW_NS, &killed).delay_ns, 0);
}

static void kills_for_hang_are_limited(void **state)
{
	struct sup_policy p = {0};
	uint64_t now = 100 * NS_PER_S;
	unsigned n = 0;

	(void)state;
	while (policy_may_kill_hung(&p, now))
		n++;
	assert_int_equal(n, POLICY_HANG_BURST);
	assert_false(policy_may_kill_hung(&p, now + POLICY_HANG_REFILL_NS - 1));
	assert_true(policy_may_kill_hung(&p, now + POLICY_HANG_REFILL_NS));
	assert_false(policy_may_kill_hung(&p, now + POLICY_HANG_REFILL_NS));
	now += 1000 * POLICY_HANG_REFILL_NS;
	for (n = 0; policy_may_kill_hung(&p, now);)
		n++;
	assert_int_equal(n, POLICY_HANG_BURST);
}

static void own_fault_by_status(void **state)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
	static const int others[] = {SIGKILL, SIGTERM, SIGHUP, SIGINT};

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		assert_true(policy_own_fault(CLD_KILLED, own[i]));
		assert_true(policy_own_fault(CLD_DUMPED, own[i]));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(policy_own_fault(CLD_KILLED, others[i]));
	assert_true(policy_own_fault(CLD_EXITED, 0));
	assert_true(policy_own_fault(CLD_EXITED, 101));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_kills_under_load_cost_nothing),
		cmocka_unit_test(fruitless_deaths_wait_longer_and_longer),
		cmocka_unit_test(kills_from_outside_never_end_it),
		cmocka_unit_test(one_fault_after_many_kills_waits_for_nothing),
		cmocka_unit_test(asked_deaths_count_for_nothing),
		cmocka_unit_test(progress_and_long_life_end_the_row),
		cmocka_unit_test(the_window_forgets),
		cmocka_unit_test(kills_for_hang_are_limited),
		cmocka_unit_test(own_fault_by_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
