/* crash_sweep.h - many runs of one workload, in a child process: every single death, pairs, triples, and random plans. */
#ifndef BULKHEAD_TESTS_SIM_CRASH_SWEEP_H
#define BULKHEAD_TESTS_SIM_CRASH_SWEEP_H

#include "tests/sim/crash_world.h"

enum sweep_mode { SWEEP_SLEEPER, SWEEP_POLLER, SWEEP_STALL, SWEEP_ZOMBIE, SWEEP_GONE, SWEEP_MODES };

struct sweep {
	uint64_t singles, pairs, triples, random, deaths;
	unsigned points; /* of the run without a death */
	bool failed;
	char invariant[32], text[256];
	struct plan plan; /* the present one, or the one that failed */
};

/* SEED= and N= of the environment; call once. */
void sweep_init(void);
extern uint64_t sweep_seed;

enum sweep_depth {
	SWEEP_CLASSES, /* one death of each class (crash_end.c), then another at some point */
	SWEEP_WORDS,   /* at every word of every copy, then another at some point */
	SWEEP_PAIRS,   /* the same, then another at every point */
};

/* Adds to *s; false: something failed, and *s says what. A second queue is wanted by SWEEP_STALL; without one it passes at once. */
bool sweep(const struct workload *wl, enum sweep_mode mode, enum sweep_depth depth, struct sweep *s);
/* Any number of deaths, also by its own fault, on any schedule. */
bool sweep_random(const struct workload *wl, struct sweep *s);
static inline uint64_t sweep_runs(const struct sweep *s) { return s->singles + s->pairs + s->triples + s->random; }
/* The line that repeats what failed. */
void sweep_tell(const struct workload *wl, const struct sweep *s);

#endif
