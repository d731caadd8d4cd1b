/* blkback_priv.h - one vbd inside a stub. Private to backend/blk.
 *
 * A request lives in the journal's slot of its number; struct blk_work, by the same number, is what need not survive:
 *
 *   take (blkback_take.c) -> todo list -> load (blkback_load.c) -> admit, dispatch (blkback_run.c) -> engine
 *     -> answer, publish (blkback_done.c)
 */
#ifndef BULKHEAD_BACKEND_BLK_BLKBACK_PRIV_H
#define BULKHEAD_BACKEND_BLK_BLKBACK_PRIV_H

#include "backend/blk/blkback.h"
#include "backend/blk/blkback_grant.h"
#include "backend/blk/blkback_pool.h"
#include "backend/blk/blkback_range.h"
#include "recovery/journal/jrnl.h"
#include "ring/os/clock.h"
#include "ring/proto/blkif_back.h"
#include "ring/proto/blkif_decode.h"

#include <sys/queue.h>

#define BLAME_ALONE 3u /* from so many deaths on, a suspect is redone alone */
#define BLAME_CONVICT 5u

/* A write barrier is three engine requests; everything else is one. */
enum blk_step { STEP_ONLY, STEP_PRE_FLUSH, STEP_WRITE, STEP_POST_FLUSH };

struct blk_work {
	struct engine_req er; /* first: the engine gives this back */
	struct blkif_req req;
	const struct blkif_request_segment *seg; /* req.seg or the journal's list */
	char *buf; /* from the pool; NULL: none */
	struct iovec iov; /* the engine may change it */
	struct blk_range range;
	TAILQ_ENTRY(blk_work) link; /* todo */
	TAILQ_ENTRY(blk_work) live; /* live */
	uint32_t slot;
	bool loaded;
	bool alone;	   /* a suspect: only with the engine for itself */
	bool convicted;	   /* killed too often: answered with an error */
	bool gated;	   /* counted by the gate */
	bool flushing;	   /* holds the device's flush */
	bool redo_started; /* resumed, and may have reached the storage in a former life: a write waits for the fence */
	enum blk_step step;
};
TAILQ_HEAD(blk_works, blk_work);

struct blkback_queue {
	struct blkback *dev;
	unsigned index;
	struct blkif_back ring;
	struct jrnl_q *j;
	struct hv_port *port;
	struct engine_queue *eq;
	struct blk_grants *grants;
	struct blk_pool *pool;
	struct blk_work *work;	 /* one for each slot */
	uint16_t *free;		 /* slots nobody uses, last in first out */
	uint16_t *done;		 /* answered, not yet published */
	uint32_t nfree, ndone;
	uint64_t req_cons;
	uint64_t rsp_next;	 /* index of the next response */
	uint64_t rsp_shown;	 /* published */
	struct blk_works todo;	 /* taken, not yet in the engine, in order of index */
	struct blk_works live;	 /* taken, not yet answered, in order of index */
	struct clock_lately clock;
	uint64_t now;		 /* of the last reap or the end of the last turn; statistics only */
	uint32_t running;	 /* in the engine */
	struct blk_work *barrier;/* nothing behind it starts before it is done */
	uint64_t range_epoch;	 /* of the last look at what waits */
	bool retry;		 /* something private changed for those in todo */
};

struct blkback {
	struct conn_id conn;
	struct blkif_abi abi;
	struct blkif_limits limits;
	struct hv *hv;
	struct engine *engine;
	void *journal;
	size_t journal_bytes;
	struct jrnl jrnl;
	struct blk_ranges *ranges;
	void (*event)(void *arg, enum blkback_event e, uint64_t value, const char *text);
	void *event_arg;
	uint32_t nslots;
	/* Shared by the queues' threads, by barrier.h only. */
	uint32_t broken, draining;
	uint32_t fenced;	 /* 1: no former generation's I/O is left */
	uint32_t fence_said;
	uint32_t flushing;	 /* 1: a flush or barrier is in the engine */
	uint32_t suspects;	 /* not yet answered; while there are any, under gate_lock: */
	uint32_t gate_lock;
	uint32_t gated;		 /* in the engine, all queues */
	struct blk_work *alone;	 /* the suspect that has or wants the engine for itself */
	struct blkback_queue q[CONN_QUEUES_MAX];
};

/* blkback_take.c: up to budget requests from the ring into slots and todo. How many, or -EPEER. */
int blk_take(struct blkback_queue *q, unsigned budget);
/* A request that came into todo. */
void blk_enqueue(struct blkback_queue *q, uint32_t slot);
/* blkback_ahead.c: maps what the requests in the journal name, which need not be ours yet. Best effort. */
void blk_map_ahead(struct blkback_queue *q);
/* blkback_load.c: judges and loads. False: it was rejected, and answered. */
bool blk_load(struct blkback_queue *q, struct blk_work *w);
/* The same for what a former generation loaded; stores nothing. 0, or -EBADMSG: it can not have passed. */
int blk_reload(struct blkback_queue *q, struct blk_work *w);
/* blkback_gate.c: false: somebody is, or wants to be, alone in the engine, or w has to be and is not yet. */
bool blk_gate_enter(struct blkback *b, struct blk_work *w);
void blk_gate_leave(struct blkback *b, struct blk_work *w);
/* w was answered: if it was a suspect, it is none any more. */
void blk_gate_acquit(struct blkback *b, struct blk_work *w);
/* blkback_run.c: tries what is in todo, until budget of them have gone. True: something moved. */
bool blk_run_todo(struct blkback_queue *q, unsigned budget);
/* The next step of a barrier, or of nothing. True: the engine has it again. */
bool blk_next_step(struct blkback_queue *q, struct blk_work *w);
/* The range rule: true when it holds its range, or has none. */
bool blk_admit(struct blkback_queue *q, struct blk_work *w);
bool blk_fence_open(struct blkback *b);
/* blkback_done.c: the answer of a request that is over, whatever its way; publish what is answered. */
void blk_answer(struct blkback_queue *q, struct blk_work *w, int status);
unsigned blk_reap(struct blkback_queue *q);
bool blk_publish(struct blkback_queue *q, bool always_notify);
void blk_break(struct blkback *b, enum blkback_event e, const char *text);
/* blkback.c: what the queue has in hand, for those who watch it. */
void blk_show_state(struct blkback_queue *q);
/* blkback_start.c */
void blk_report_poison(struct blkback_queue *q, const struct blk_work *w);

/* Of the device, not of the queue. */
static inline bool blk_flush_has_failed(const struct blkback_queue *q)
{
	return MUTANT(FLUSH_PER_QUEUE) ? q->j->hdr->pad[0] : jrnl_flush_has_failed(&q->dev->jrnl);
}

static inline struct jrnl_stats *blk_stats(struct blkback_queue *q) { return &q->j->hdr->stats; }
#define BLK_COUNT(q, member, n) pm_stat64(&blk_stats(q)->member, blk_stats(q)->member + (uint64_t)(n))

static inline bool blk_is_write(const struct blkif_req *r)
{
	return r->op == BLKIF_OP_WRITE || r->op == BLKIF_OP_WRITE_BARRIER || r->op == BLKIF_OP_DISCARD;
}

#endif
