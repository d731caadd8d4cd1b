/* The checker of the network crash test, tested: each rule is taken out in turn (enum njrnl_mutant), and some run must violate some
 * invariant. Prints which, after how many runs, and the run.
 *
 * SEED=n other schedules; MUTANT=name with REPLAY=: in that run. */
#include "tests/sim/ncrash_sweep.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Where to look first: the workload that has what the rule is about. */
static const char *likely(enum njrnl_mutant m)
{
	switch (m) {
	case NMUTANT_TYPE_KEPT:
		return "round again";
	case NMUTANT_NO_STAMPS:
		return "reads cut short";
	case NMUTANT_CTRL_LATE:
	case NMUTANT_CTRL_NOT_TAKEN:
		return "control";
	case NMUTANT_NET_IN_PLACE:
	case NMUTANT_MCAST_UNSAID:
		return "multicast";
	case NMUTANT_HALF_PACKETS:
		return "pairs";
	default:
		return nc_work[0].name;
	}
}

static bool hunt(enum njrnl_mutant m)
{
	struct nc_sweep s = {0};
	size_t i = 0, tried = 0;

	while (strcmp(nc_work[i].name, likely(m)) != 0)
		i++;
	njrnl_mutant = m;
	while (tried < NC_WORKLOADS && nc_sweep(&nc_work[i], &s)) {
		i = (i + 1) % NC_WORKLOADS;
		tried++;
	}
	njrnl_mutant = NMUTANT_NONE;
	if (tried == NC_WORKLOADS) {
		printf("%-18s NOT FOUND in %" PRIu64 " runs\n", nc_mutant_name(m), s.runs);
		return false;
	}
	printf("%-18s %-10s %6" PRIu64 "  %-18s  MUTANT=\"%s\" REPLAY=\"", nc_mutant_name(m), s.out.invariant, s.runs, nc_work[i].name,
	       nc_mutant_name(m));
	printf("%zu %" PRIu64 " %d %d", i, s.plan.seed, s.plan.poller, s.plan.own_fault);
	for (unsigned k = 0; k < s.plan.nkills; k++)
		printf(" %u", s.plan.kill[k]);
	printf("\"\n");
	return true;
}

static void every_rule_is_missed(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (enum njrnl_mutant m = NMUTANT_NONE + 1; m < NMUTANT_COUNT; m++) {
		assert_non_null(nc_mutant_name(m));
		lost += !hunt(m);
	}
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_rule_is_missed),
	};

	nc_sweep_init();
	return cmocka_run_group_tests(t, NULL, NULL);
}
