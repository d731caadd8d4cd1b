/* crash_world_priv.h - the state of one simulated run: crash_world.c (processes and steps), crash_end.c (what else is looked at:
 * the end, classes of deaths, a fickle guest). */
#ifndef BULKHEAD_TESTS_SIM_CRASH_WORLD_PRIV_H
#define BULKHEAD_TESTS_SIM_CRASH_WORLD_PRIV_H

#include "backend/blk/blkback_priv.h"
#include "tests/sim/crash_disk.h"
#include "tests/sim/crash_world.h"

#include <setjmp.h>

struct crash_stub_queue {
	struct hv_port *port;
	bool asleep, polls;
};

/* A process of the backend's. */
struct crash_stub {
	struct hv *hv;
	struct engine *engine;
	struct blkback *back; /* NULL: there is none */
	struct crash_stub_queue q[GUEST_QUEUES_MAX];
};

struct crash_world {
	const struct workload *wl;
	const struct plan *plan;
	struct crash_rng rng;
	struct crash_guest guest;
	struct hv *sup;
	struct hv_port *sup_port[GUEST_QUEUES_MAX];
	struct conn_id conn;
	void *journal;
	size_t journal_bytes;
	bool connected; /* somebody said so */
	bool gone;
	struct crash_stub cur, old;
	struct crash_stub *inside; /* its code runs, and may die */
	bool stalling;		   /* it is about to; what else runs may not */
	bool given_up;		   /* it was taken for dead, and is not */
	bool own, own_fault;	   /* it is dying of its own fault; the last one did */
	int turning;		   /* the queue whose turn it is; -1: the control thread */
	unsigned number, points, start_points, kill_at, old_left, down, zombie_steps;
	jmp_buf die;
	unsigned ngraves;
	struct crash_stub grave[LIVES_MAX + 2];
	/* Large, and cleared as far as they were used. */
	struct crash_check check;
	struct crash_disk disk;
};

/* All is quiet: what must hold now. */
void crash_check_end(struct crash_world *w);
/* Whether a successor would look at what the store changes: if not, dying before it is dying before the next that counts. */
bool crash_is_looked_at(const struct crash_world *w, const void *where);
/* The guest changes what the backend has read already: ring entries below req_cons, lists of loaded requests. */
void crash_change_mind(struct crash_world *w);

#endif
