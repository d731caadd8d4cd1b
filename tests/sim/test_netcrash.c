/* The network backend dies at every store that it makes, and again while it takes over: no packet of the guest's is lost and at most one a
 * death sent twice; at most one for it is lost a death and none comes twice; nothing is answered twice (invariants: ncrash.h).
 *
 * SEED=n other schedules; N=n so many times the samples; WORKLOAD=name only this one. REPLAY="WORKLOAD SEED POLLER OWN KILL ..." repeats a
 * run, as it is printed. */
#include "tests/sim/ncrash_sweep.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_death_keeps_the_promise(void **state)
{
	uint64_t runs = 0, deaths = 0;
	const char *only = getenv("WORKLOAD");
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < NC_WORKLOADS; i++) {
		struct nc_sweep s = {0};
		bool good;

		if (only && strcmp(only, nc_work[i].name) != 0)
			continue;
		good = nc_sweep(&nc_work[i], &s);
		printf("%-20s %5u points; %6" PRIu64 " runs, %6" PRIu64 " deaths; sent twice %u, lost %u\n", nc_work[i].name, s.points,
		       s.runs, s.deaths, s.repeated, s.lost);
		runs += s.runs;
		deaths += s.deaths;
		if (good)
			continue;
		failures++;
		nc_sweep_tell(&nc_work[i], &s);
	}
	printf("%" PRIu64 " runs, %" PRIu64 " deaths, %u failures, SEED=%" PRIu64 "\n", runs, deaths, failures, nc_sweep_seed);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_death_keeps_the_promise),
	};

	nc_sweep_init();
	return cmocka_run_group_tests(t, NULL, NULL);
}
