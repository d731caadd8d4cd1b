/* The checker of the crash tests, tested: each rule is taken out in turn (enum jrnl_mutant), and some run must violate some
 * invariant. Prints which, after how many runs, and the run.
 *
 * SEED=n other schedules; MUTANT=name that one only (with REPLAY=: in that run). */
#include "recovery/journal/jrnl.h"
#include "tests/sim/crash_sweep.h"
#include "tests/sim/crash_text.h"
#include "tests/sim/crash_work.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool hunt_in(const struct workload *wl, struct sweep *s)
{
	for (enum sweep_mode m = SWEEP_SLEEPER; m < SWEEP_MODES; m++)
		if (!sweep(wl, m, SWEEP_CLASSES, s))
			return true;
	return !sweep_random(wl, s);
}

static bool hunt(enum jrnl_mutant m)
{
	char text[CRASH_TEXT_MAX];
	struct sweep s = {0};
	size_t i = 0;

	jrnl_mutant = m;
	while (i < CRASH_WORKLOADS && !hunt_in(&crash_work[i], &s))
		i++;
	jrnl_mutant = MUTANT_NONE;
	if (i == CRASH_WORKLOADS) {
		printf("%-17s NOT FOUND in %" PRIu64 " runs\n", crash_mutant_name(m), sweep_runs(&s));
		return false;
	}
	crash_text(&crash_work[i], &s.plan, text);
	printf("%-17s %-14s %6" PRIu64 "  %-18s  MUTANT=\"%s\" REPLAY=\"%s\"\n", crash_mutant_name(m), s.invariant, sweep_runs(&s),
	       crash_work[i].name, crash_mutant_name(m), text);
	return true;
}

static void every_rule_is_missed(void **state)
{
	const char *only = getenv("MUTANT");
	unsigned lost = 0;

	(void)state;
	printf("%-17s %-14s %6s  %-18s  %s\n", "without the rule", "found by", "run", "workload", "that run");
	for (enum jrnl_mutant m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++) {
		assert_non_null(crash_mutant_name(m));
		if (!only || strcmp(only, crash_mutant_name(m)) == 0)
			lost += !hunt(m);
	}
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_rule_is_missed),
	};

	crash_replay();
	sweep_init();
	return cmocka_run_group_tests(t, NULL, NULL);
}
