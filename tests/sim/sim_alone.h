/* sim_alone.h - what a simulation has to define, for tests in which nobody dies in the middle of a store. Include once. */
#ifndef BULKHEAD_TESTS_SIM_SIM_ALONE_H
#define BULKHEAD_TESTS_SIM_SIM_ALONE_H

#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum jrnl_mutant jrnl_mutant;

void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
}

/* Virtual: a microsecond for each look. */
uint64_t clock_now(void)
{
	static uint64_t now;

	return now += NS_PER_US;
}

uint64_t clock_lately(struct clock_lately *c) { return c->now = clock_now(); }

void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK(%s) failed\n", file, line, what);
	abort();
}

#endif
