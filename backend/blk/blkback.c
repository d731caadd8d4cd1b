#include "backend/blk/blkback_priv.h"

#include "ring/base/err.h"

#include <errno.h>
#include <stdlib.h>

#define POOL_PAGES 4096u    /* of address space for each queue: 16 MiB */

static void set_limits(struct blkback *b)
{
	const struct engine_info *i = &b->engine->info;

	b->limits = (struct blkif_limits){
		.sectors = i->sectors,
		.sector_size = i->sector_size,
		.max_segments = b->conn.features & CONN_INDIRECT ? b->conn.max_segments : 0,
		.read_only = i->read_only || (b->conn.features & CONN_READ_ONLY),
		.flush = b->conn.features & CONN_FLUSH,
		.barrier = b->conn.features & CONN_BARRIER,
		.discard = b->conn.features & CONN_DISCARD,
		.secure_discard = (b->conn.features & CONN_DISCARD) && i->secure_discard,
	};
}

static int open_queue(struct blkback *b, unsigned i, const struct blkback_open *o)
{
	struct blkback_queue *q = &b->q[i];
	int rc;

	q->dev = b;
	q->index = i;
	q->port = o->port[i];
	blkif_back_init(&q->ring, o->ring[i], b->nslots, &b->abi);
	TAILQ_INIT(&q->todo);
	TAILQ_INIT(&q->live);
	q->work = calloc(b->nslots, sizeof(*q->work));
	q->free = calloc(b->nslots, sizeof(*q->free));
	q->done = calloc(b->nslots, sizeof(*q->done));
	if (!q->work || !q->free || !q->done)
		return -ENOMEM;
	for (uint32_t s = 0; s < b->nslots; s++)
		q->work[s].slot = s;
	rc = blk_pool_open(POOL_PAGES, &q->pool);
	if (!rc)
		rc = blk_grants_open(b->hv, (hv_domid_t)b->conn.domid, b->conn.features & CONN_PERSISTENT,
				     CONN_KEPT_GRANTS * b->conn.ring_pages, &q->grants);
	if (!rc)
		blk_map_ahead(q);
	return rc ? rc : engine_queue_open(b->engine, i, &q->eq);
}

int blkback_prepare(const struct blkback_open *o, struct blkback **out)
{
	const struct blkif_abi *abi = blkif_abi(o->conn->protocol);
	struct blkback *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	if (!abi || o->conn->nqueues == 0 || o->conn->nqueues > CONN_QUEUES_MAX) {
		free(b);
		return -EINVAL;
	}
	b->conn = *o->conn;
	b->abi = *abi;
	b->hv = o->hv;
	b->engine = o->engine;
	b->journal = o->journal;
	b->journal_bytes = o->journal_bytes;
	b->event = o->event;
	b->event_arg = o->event_arg;
	b->nslots = o->nslots ? o->nslots : blkif_ring_entries(o->conn->ring_pages, abi);
	set_limits(b);
	rc = blk_ranges_open(o->conn->nqueues > 1, &b->ranges);
	for (unsigned i = 0; !rc && i < o->conn->nqueues; i++)
		rc = open_queue(b, i, o);
	if (rc)
		return rc; /* the stub ends now: nothing is given back */
	*out = b;
	return 0;
}

struct blkback_queue *blkback_get_queue(struct blkback *b, unsigned index) { return &b->q[index]; }
struct hv_port *blkback_port(struct blkback_queue *q) { return q->port; }
int blkback_engine_fd(struct blkback_queue *q) { return engine_event_fd(q->eq); }

static bool wants_retry(const struct blkback_queue *q)
{
	return !TAILQ_EMPTY(&q->todo) && (q->retry || blk_ranges_epoch(q->dev->ranges) != q->range_epoch);
}

static unsigned turn_state(struct blkback_queue *q, bool busy)
{
	unsigned state = busy ? BLKBACK_BUSY : BLKBACK_IDLE;

	/* What waits here waits for this queue's own engine requests, which will say so; for another queue or for the
	 * fence, which will not. */
	if (!TAILQ_EMPTY(&q->todo))
		state |= BLKBACK_POLL_FENCE;
	return state;
}

void blk_show_state(struct blkback_queue *q)
{
	const struct blk_work *oldest = TAILQ_FIRST(&q->live);

	pm_stat64(&blk_stats(q)->engine_outstanding, q->running);
	pm_stat64(&blk_stats(q)->grants_mapped, blk_grants_mapped(q->grants));
	pm_stat64(&blk_stats(q)->oldest_taken, oldest ? q->j->slot[oldest->slot].taken_at : 0);
}

unsigned blkback_turn(struct blkback_queue *q, unsigned budget)
{
	struct blkback *b = q->dev;
	bool busy;
	int taken = 0;

	if (UNLIKELY(load_relaxed(&b->broken)))
		return BLKBACK_HALTED;
	pm_stat64(&blk_stats(q)->turn, blk_stats(q)->turn + 2);
	busy = blk_reap(q) > 0;
	if (!load_relaxed(&b->draining))
		taken = blk_take(q, budget);
	if (UNLIKELY(taken < 0)) {
		blk_break(b, BLKBACK_BROKEN_RING, "the guest's request index is out of range");
		return BLKBACK_HALTED;
	}
	if (taken > 0 || (!TAILQ_EMPTY(&q->todo) && (wants_retry(q) || !busy)))
		busy |= blk_run_todo(q, budget);
	engine_kick(q->eq);
	if (blk_reap(q)) /* engines that answer at once have done so; a barrier's next step may have been submitted */
		engine_kick(q->eq);
	busy |= blk_publish(q, false);
	if (busy || taken > 0)
		blk_show_state(q);
	q->now = clock_lately(&q->clock); /* of the next take: while the guest looks at the answers, not while it waits for them */
	return turn_state(q, busy || taken > 0 || wants_retry(q));
}

int blkback_arm(struct blkback_queue *q)
{
	if (load_relaxed(&q->dev->broken))
		return 0;
	if (!load_relaxed(&q->dev->draining) && q->nfree && blkif_back_arm(&q->ring, q->req_cons))
		return 1;
	if (engine_arm(q->eq))
		return 1;
	if (!q->running && TAILQ_EMPTY(&q->todo))
		blk_pool_trim(q->pool);
	return 0;
}

void blkback_awake(struct blkback_queue *q)
{
	pm_stat64(&blk_stats(q)->turn, blk_stats(q)->turn | 1);
	q->now = clock_lately(&q->clock);
}

void blkback_asleep(struct blkback_queue *q) { pm_stat64(&blk_stats(q)->turn, (blk_stats(q)->turn | 1) + 1); }

void blkback_drain(struct blkback *b) { store_relaxed(&b->draining, 1); }

int blkback_drained(struct blkback_queue *q)
{
	return load_relaxed(&q->dev->draining) && !q->running && TAILQ_EMPTY(&q->todo) && q->rsp_shown == q->rsp_next;
}

#ifdef PM_HOOK
void blkback_abandon(struct blkback *b)
{
	for (unsigned i = 0; i < b->conn.nqueues; i++) {
		struct blkback_queue *q = &b->q[i];

		blk_pool_close(q->pool);
		blk_grants_close(q->grants);
		free(q->work);
		free(q->free);
		free(q->done);
	}
	blk_ranges_close(b->ranges);
	free(b);
}
#endif
