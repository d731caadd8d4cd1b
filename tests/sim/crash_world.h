/* crash_world.h - one simulated run: a guest, a disk, and a block backend that dies where the plan says.
 *
 * The process under test is blkback_prepare, blkback_start and blkback_turn of each queue, in virtual time. It may die at
 * every point: before each store to ring and journal (a copy: before each of its words), before and after each submit to the
 * engine, before each notification. Dying is longjmp out of the code; what it leaves is what shared memory holds. It can be
 * delayed as well: the other queue's thread, the disk and the guest go on for a while, then all of the process dies.
 * Not all memory of the dead is given back: make runs in child processes, some hundred in each.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_WORLD_H
#define BULKHEAD_TESTS_SIM_CRASH_WORLD_H

#include "tests/sim/crash_check.h"
#include "tests/sim/crash_guest.h"

#define KILLS_MAX 12

struct workload {
	const char *name;
	const char *script[GUEST_QUEUES_MAX]; /* crash_guest.h; NULL: no second queue */
	unsigned nr, batch;		      /* entries of a ring, requests posted at once */
	bool persistent;
	unsigned delay, linger; /* of the disk, in steps; of a dead generation's I/O */
	int fail_flush;		/* the n-th fails; 0: none */
	int bad_sector;		/* 0: none */
	uint64_t base;		/* indices of a connection that is not new */
	bool small;		/* every pair of kills is tried */
};

struct plan {
	uint64_t seed;
	unsigned nkills, kill[KILLS_MAX]; /* points after the start of each incarnation */
	bool poller, stall, own_fault;
};

struct outcome {
	const char *invariant; /* NULL: none was violated */
	char text[256];
	unsigned incarnations;
	unsigned points[KILLS_MAX + 1];	      /* of each incarnation, as far as it lived */
	unsigned start_points[KILLS_MAX + 1]; /* of them, before it served */
	unsigned answered, convicted;
};

/* For pm_hook(), clock_now() and check_failed(), which the test's main file defines. A failed CHECK ends the run. */
void crash_point(void);
uint64_t crash_now(void);
void crash_check_failed(const char *file, int line, const char *what) NORETURN;

void crash_run(const struct workload *wl, const struct plan *plan, struct outcome *out);

#endif
