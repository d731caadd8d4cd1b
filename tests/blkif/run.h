/* run.h - one case after the other: each in a process of its own, while another process works on the canary. */
#ifndef BULKHEAD_TESTS_BLKIF_RUN_H
#define BULKHEAD_TESTS_BLKIF_RUN_H

#include "tests/blkif/suite.h"

#define FRONTS_MAX 8

struct run {
	const char *front[FRONTS_MAX]; /* the next one is taken when one is lost for good */
	unsigned nfronts, at;
	const char *canary; /* NULL: none */
	const char *only, *from;
	const char *skip[16];
	unsigned nskips;
	bool destroy, started;
	unsigned passed, failed, skipped;
};

/* Every case that is wanted. False when there is no device left, or the canary has died. */
bool run_all(struct run *r);
/* Calls fn for each case, those that destroy the device last. */
void each_test(bool (*fn)(void *arg, const struct test *t), void *arg);
/* In memory that processes share. */
void *shared_memory(size_t size);

/* canary.c: works on a disk in a process of its own until it is told to stop. */
void canary_start(const char *front);
/* Since the last call: it has answered at least twice, at once or within the patience; else false with what is wrong. ms: its
 * longest pause. */
bool canary_lives(unsigned *ms, char *why, size_t size);
void canary_stop(void);

#endif
