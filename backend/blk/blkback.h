/* blkback.h - the blkif protocol over one connected ring per queue, an engine and a journal (DESIGN.md sections 5 to 9).
 *
 *   blkback_prepare -> (journal's lock taken by the caller) -> blkback_start -> each queue: turn, arm, sleep ...
 *
 * Owns: request and buffer pools. Journal memory, ring pages, ports, hv and engine are the caller's and outlive it.
 * Threads: prepare, start and drain on the control thread; then each queue in one thread of its own. The range table and
 * the configuration are all that queues share.
 * Lifetime: there is no stop: a stub ends by exit or death, both of which are safe at any instant. Tests abandon it.
 * Trust: ring, indirect pages and journal are foreign bytes.
 * The data path allocates nothing, never blocks and owns no thread: a queue's work is blkback_turn().
 */
#ifndef BULKHEAD_BACKEND_BLK_BLKBACK_H
#define BULKHEAD_BACKEND_BLK_BLKBACK_H

#include "backend/engine/engine.h"
#include "ring/base/conn.h"
#include "ring/hv/hv.h"

struct blkback;
struct blkback_queue;

enum blkback_event {
	BLKBACK_FENCING, /* arg: requests that wait for the storage to let go the former generation */
	BLKBACK_FENCED,
	BLKBACK_BROKEN_RING,	/* halted: nothing is taken or answered any more, on any queue of the device */
	BLKBACK_BROKEN_JOURNAL, /* never answers from it */
	BLKBACK_POISON,		/* a request that kills was answered with an error */
};

struct blkback_open {
	const struct conn_id *conn; /* copied */
	void *journal;		    /* mapped, jrnl_file_bytes() long */
	size_t journal_bytes;
	struct hv *hv;
	struct engine *engine;	    /* open, not yet owned by a generation */
	void *ring[CONN_QUEUES_MAX];
	struct hv_port *port[CONN_QUEUES_MAX];
	uint32_t nslots;	    /* of the ring and the journal; 0: as many as the ring pages hold */
	/* Called from a queue's thread or from start; must not block. */
	void (*event)(void *arg, enum blkback_event e, uint64_t value, const char *text);
	void *event_arg;
};

/* Allocates all that the data path will ever need; stores nothing into shared memory. -ENOMEM, -EINVAL. */
int blkback_prepare(const struct blkback_open *o, struct blkback **out);

enum blkback_kind { BLKBACK_FRESH, BLKBACK_RESUME };
struct blkback_started {
	uint64_t generation;
	uint64_t reanswered, redo; /* responses published again; requests that will be done again */
};
/* With the journal's lock held. FRESH: waits for nothing; clears the journal, writes its header, takes generation 1's fence
 * byte. RESUME: compares header and record, takes the next generation, its fence byte, and does section 6's resume up to
 * the unfinished requests of all queues; these are then done by the turns. Always notifies once a queue.
 * 0; -EMISMATCH (nothing touched); -EBADMSG (journal corrupt) or -EPEER (ring unusable): the event was called, turns do
 * nothing; -EAGAIN (FRESH: somebody's I/O on the image still runs: call again); another errno of the engine's. */
int blkback_start(struct blkback *b, enum blkback_kind kind, bool own_fault, struct blkback_started *out);

struct blkback_queue *blkback_get_queue(struct blkback *b, unsigned index);

enum blkback_turn {
	BLKBACK_IDLE = 0,
	BLKBACK_BUSY = 1u << 0,	    /* something was done: turn again soon */
	BLKBACK_POLL_FENCE = 1u << 1, /* waits for fence_poll or for another queue: turn again within 0.1 ms (later: 1 ms), even without an event */
	BLKBACK_HALTED = 1u << 2,   /* broken */
};
/* reap -> done -> publish; take -> load -> dispatch; at most budget requests of each; notifies once at its end. */
unsigned blkback_turn(struct blkback_queue *q, unsigned budget);
/* Before sleeping: asks the guest and the engine for events, then looks again. 1: there is work, do not sleep. */
int blkback_arm(struct blkback_queue *q);
/* What to sleep on: the port's fd, and the engine's (-1: none). Clear the port (hv_port_clear) after it was readable. */
struct hv_port *blkback_port(struct blkback_queue *q);
int blkback_engine_fd(struct blkback_queue *q);
/* The worker's turn counter (journal statistics): awake when it runs, asleep before it sleeps. */
void blkback_awake(struct blkback_queue *q);
void blkback_asleep(struct blkback_queue *q);

/* Any thread: take no more requests from now on. */
void blkback_drain(struct blkback *b);
/* After drain: 1 when everything that this queue took was answered. In the queue's thread. */
int blkback_drained(struct blkback_queue *q);

#ifdef PM_HOOK
/* Crash tests: the process died, at any point of any call; its private memory goes, nothing else is touched. */
void blkback_abandon(struct blkback *b);
#endif

#endif
