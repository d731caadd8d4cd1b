/* The block backend dies at every store that it makes, and again while it takes over, and the guest sees nothing of it
 * (DESIGN.md sections 5 to 7; invariants: crash_check.h): workloads written by hand, every word of every copy a point.
 *
 * SEED=n other schedules; N=n so many times the samples. A failure prints what repeats it. */
#include "tests/sim/crash_sweep.h"
#include "tests/sim/crash_work.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_death_is_invisible(void **state)
{
	unsigned failures = 0;
	uint64_t all = 0, deaths = 0;

	(void)state;
	for (size_t i = 0; i < CRASH_WORKLOADS; i++) {
		const struct workload *wl = &crash_work[i];
		struct sweep s = {0};
		bool good = true;

		for (enum sweep_mode m = SWEEP_SLEEPER; good && m < SWEEP_MODES; m++)
			good = sweep(wl, m, crash_work_small(wl) ? SWEEP_PAIRS : SWEEP_WORDS, &s);
		good = good && sweep_random(wl, &s);
		printf("%-18s %u points; deaths at one: %" PRIu64 " runs, two (%s): %" PRIu64 ", three (sampled): %" PRIu64
		       ", random: %" PRIu64 "\n", wl->name, s.points, s.singles, crash_work_small(wl) ? "all" : "sampled", s.pairs,
		       s.triples, s.random);
		all += sweep_runs(&s);
		deaths += s.deaths;
		if (!good) {
			failures++;
			sweep_tell(wl, &s);
		}
	}
	printf("%" PRIu64 " of %" PRIu64 " runs, %" PRIu64 " deaths, SEED=%" PRIu64 "\n", all - failures, all, deaths, sweep_seed);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_death_is_invisible),
	};

	crash_replay();
	sweep_init();
	return cmocka_run_group_tests(t, NULL, NULL);
}
