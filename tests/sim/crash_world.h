/* crash_world.h - one simulated run: a guest, a disk, a supervisor, and a block backend that dies where the plan says.
 *
 * The process under test is blkback_prepare, blkback_start and blkback_turn of each queue, in virtual time. It may die at
 * every point: before each store to ring and journal (a copy: before each of its words), before and after each submit to the
 * engine, before each notification, between the read of an event and the port's unmasking, and at the supervisor's steps: made
 * and not yet told to begin, begun and not yet said so, said so. Dying is longjmp out of the code; what it leaves is what shared
 * memory holds. It can be delayed as well: the other queue's thread, the disk and the guest go on for a while, then all of
 * the process dies; or it is only taken for dead, and works on until it is.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_WORLD_H
#define BULKHEAD_TESTS_SIM_CRASH_WORLD_H

#include "tests/sim/crash_check.h"
#include "tests/sim/crash_guest.h"

#define KILLS_MAX 12
#define LIVES_MAX 40u /* more is a backend that dies for ever */

struct workload {
	const char *name;
	const char *script[GUEST_QUEUES_MAX]; /* crash_guest.h; NULL: no second queue */
	unsigned nr, batch;		      /* entries of a ring, requests posted at once */
	bool exact;			      /* always so many, if there is room; else at most */
	bool persistent;
	bool fickle;		/* the guest changes rings and lists as soon as they were read */
	unsigned delay, linger; /* of the disk, in steps; of a dead generation's I/O */
	unsigned unit;		/* sectors that the disk rewrites as one; 0: one */
	int fail_flush;		/* the n-th fails; 0: none */
	int bad_sector;		/* 0: none */
	int killer;		/* who writes this sector kills the backend; 0: none */
	uint64_t base;		/* indices of a connection that is not new */
	bool stale;		/* with base: a slot that was last used at its beginning */
};

struct plan {
	uint64_t seed;
	unsigned nkills, kill[KILLS_MAX]; /* points after the start of each incarnation */
	unsigned zombie; /* taken for dead at a kill, it lives on for so many points; 0: it dies */
	bool poller, stall, own_fault;
	bool gone;  /* with the first death the domain shuts down */
	bool words; /* every word of a copy is a point; else deaths that leave the same to be looked at are one (crash_classes.c) */
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
void crash_store(const void *where);
uint64_t crash_now(void);
void crash_check_failed(const char *file, int line, const char *what) NORETURN;

void crash_run(const struct workload *wl, const struct plan *plan, struct outcome *out);

#endif
