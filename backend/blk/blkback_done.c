/* blkback_done.c - from the engine's completion to the guest: answer, publish, free. */
#include "backend/blk/blkback_priv.h"

#include "ring/os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void blk_break(struct blkback *b, enum blkback_event e, const char *text)
{
	if (!exchange_acq_rel(&b->broken, 1))
		b->event(b->event_arg, e, 0, text);
}

/* The bucket of jrnl_fmt.h: 2 for each power of two of microseconds. */
static unsigned bucket(uint64_t us)
{
	unsigned n;

	if (us == 0)
		return 0;
	n = 63u - (unsigned)__builtin_clzll(us);
	return MIN(2 * n + (n && (us >> (n - 1) & 1)), JRNL_HIST - 1);
}

static void count(struct blkback_queue *q, const struct blk_work *w, int status)
{
	uint64_t us = (q->now - q->j->slot[w->slot].taken_at) / NS_PER_US;

	BLK_COUNT(q, requests, 1);
	BLK_COUNT(q, hist[bucket(us)], 1);
	if (status != BLKIF_RSP_OKAY) {
		BLK_COUNT(q, errors, 1);
		return;
	}
	switch (w->req.op) {
	case BLKIF_OP_READ:
		BLK_COUNT(q, reads, 1);
		BLK_COUNT(q, bytes_read, w->req.sectors * 512);
		break;
	case BLKIF_OP_WRITE:
	case BLKIF_OP_WRITE_BARRIER:
		BLK_COUNT(q, writes, 1);
		BLK_COUNT(q, bytes_written, w->req.sectors * 512);
		break;
	case BLKIF_OP_DISCARD:
		BLK_COUNT(q, discards, 1);
		break;
	default:
		BLK_COUNT(q, flushes, 1);
	}
}

static void leave_range(struct blkback_queue *q, struct blk_work *w)
{
	if (w->range.in)
		blk_range_leave(q->dev->ranges, &w->range);
}

static void give_back(struct blkback_queue *q, struct blk_work *w)
{
	if (w->buf) {
		uint64_t len = w->req.sectors * 512;

		blk_pool_put(q->pool, w->buf, (uint32_t)((len + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE));
		w->buf = NULL;
		q->retry = true;
	}
	if (w->flushing) {
		w->flushing = false;
		smp_store_release(&q->dev->flushing, 0); /* pairs with the exchange that takes it */
	}
	blk_gate_leave(q->dev, w);
	blk_gate_acquit(q->dev, w);
	if (q->barrier == w) {
		q->barrier = NULL;
		q->retry = true;
	}
}

void blk_answer(struct blkback_queue *q, struct blk_work *w, int status)
{
	uint64_t id;
	uint8_t op;

	blkif_head(q->j->slot[w->slot].raw, &q->ring.abi, &id, &op);
	jrnl_result(q->j, w->slot, status);
	blkif_back_answer(&q->ring, q->rsp_next, id, op, (int16_t)status);
	if (MUTANT(LEAVE_EARLY))
		leave_range(q, w);
	jrnl_done(q->j, w->slot, q->rsp_next);
	q->rsp_next++;
	leave_range(q, w);
	TAILQ_REMOVE(&q->live, w, live);
	give_back(q, w);
	count(q, w, status);
	if (MUTANT(FREE_AT_DONE))
		q->free[q->nfree++] = (uint16_t)w->slot;
	else
		q->done[q->ndone++] = (uint16_t)w->slot;
}

static void flush_failed(struct blkback_queue *q)
{
	if (MUTANT(FLUSH_PER_QUEUE))
		pm_store64(&q->j->hdr->pad[0], 1);
	else
		jrnl_flush_failed(&q->dev->jrnl);
}

static int status_of(struct blkback_queue *q, struct blk_work *w, int result)
{
	if (result && result != -EOPNOTSUPP && w->er.op == ENGINE_FLUSH)
		flush_failed(q); /* before anything is answered */
	if (result)
		return result == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
	/* Another queue's flush may have failed between this one's look at the mark and its turn in the engine. */
	if (w->er.op == ENGINE_FLUSH && blk_flush_has_failed(q))
		return BLKIF_RSP_ERROR;
	if (w->req.op == BLKIF_OP_READ &&
	    blk_grants_move(q->grants, w->seg, w->req.nsegs, w->buf, true)) {
		BLK_COUNT(q, peer_faults, 1);
		return BLKIF_RSP_ERROR;
	}
	return BLKIF_RSP_OKAY;
}

static void finished(struct blkback_queue *q, struct blk_work *w)
{
	q->running--;
	pm_stat64(&blk_stats(q)->engine_outstanding, q->running);
	if (!TAILQ_EMPTY(&q->todo))
		q->retry = true;
	if (w->er.result == 0 && blk_next_step(q, w))
		return;
	if (w->alone)
		jrnl_blame(q->j, w->slot, 0); /* it survived alone */
	blk_answer(q, w, status_of(q, w, w->er.result));
}

unsigned blk_reap(struct blkback_queue *q)
{
	struct engine_reqs done = STAILQ_HEAD_INITIALIZER(done);
	unsigned n = engine_reap(q->eq, &done);
	struct engine_req *r;

	if (n)
		q->now = clock_lately(&q->clock);
	while ((r = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, link);
		finished(q, CONTAINER_OF(r, struct blk_work, er));
	}
	return n;
}

bool blk_publish(struct blkback_queue *q, bool always_notify)
{
	uint64_t old = q->rsp_shown;
	bool wanted;

	if (q->rsp_next == old && !always_notify)
		return false;
	if (MUTANT(PUBLISH_FIRST))
		blkif_back_publish(&q->ring, old, q->rsp_next);
	jrnl_publish(q->j, q->rsp_next);
	wanted = blkif_back_publish(&q->ring, old, q->rsp_next);
	q->rsp_shown = q->rsp_next;
	while (q->ndone)
		q->free[q->nfree++] = q->done[--q->ndone];
	if (wanted || always_notify) {
		BLK_COUNT(q, events_out, 1);
		hv_port_notify(q->port);
	}
	return true;
}
