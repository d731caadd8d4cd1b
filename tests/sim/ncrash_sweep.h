/* ncrash_sweep.h - the workloads of the network crash test, and many runs of one: a death at every point, then another in the life that
 * follows, and random plans. */
#ifndef BULKHEAD_TESTS_SIM_NCRASH_SWEEP_H
#define BULKHEAD_TESTS_SIM_NCRASH_SWEEP_H

#include "tests/sim/ncrash.h"

#define NC_WORKLOADS 20
extern const struct nc_workload nc_work[NC_WORKLOADS];

struct nc_sweep {
	uint64_t runs, deaths;
	unsigned points, repeated, lost;
	struct nc_plan plan; /* that failed */
	struct nc_outcome out;
};

extern uint64_t nc_sweep_seed;
/* Reads SEED= and N=; REPLAY= is done at once, and ends the program. Call once. */
void nc_sweep_init(void);
/* Adds to *s; false: something failed, and *s says what. */
bool nc_sweep(const struct nc_workload *wl, struct nc_sweep *s);
void nc_sweep_tell(const struct nc_workload *wl, const struct nc_sweep *s);
const char *nc_mutant_name(enum njrnl_mutant m);

#endif
