/* blkback_run.c - what holds a taken request back, and its way into the engine (DESIGN.md section 6). */
#include "backend/blk/blkback_priv.h"

#include <string.h>

/* One look at everything that waits. */
struct pass {
	struct blkback_queue *q;
	bool no_buffers; /* nobody behind gets one either, or large requests would starve */
	unsigned held;	 /* writes left waiting for their range */
	signed char fence; /* -1: not asked yet */
};

bool blk_fence_open(struct blkback *b)
{
	if (load_relaxed(&b->fenced) || MUTANT(NO_FENCE))
		return true;
	if (engine_fence_poll(b->engine) != 1)
		return false;
	if (!exchange_acq_rel(&b->fenced, 1) && load_relaxed(&b->fence_said))
		b->event(b->event_arg, BLKBACK_FENCED, 0, NULL);
	return true;
}

static bool fence_open(struct pass *p)
{
	if (p->fence < 0)
		p->fence = blk_fence_open(p->q->dev);
	return p->fence;
}

/* Said once, and taken back if another queue has found it open meanwhile. */
static void say_fencing(struct blkback *b)
{
	if (exchange_acq_rel(&b->fence_said, 1))
		return;
	b->event(b->event_arg, BLKBACK_FENCING, 1, NULL);
	smp_mb(); /* the mark before the look; pairs with the exchange in blk_fence_open() before its look at the mark */
	if (load_relaxed(&b->fenced))
		b->event(b->event_arg, BLKBACK_FENCED, 0, NULL);
}

static bool needs_fence(const struct blk_work *w)
{
	return w->req.op == BLKIF_OP_WRITE_BARRIER || (w->redo_started && blk_is_write(&w->req));
}

static bool is_flush(const struct blk_work *w)
{
	return w->req.op == BLKIF_OP_FLUSH_DISKCACHE || w->req.op == BLKIF_OP_WRITE_BARRIER;
}

bool blk_admit(struct blkback_queue *q, struct blk_work *w)
{
	if (w->range.in || !blk_is_write(&w->req) || w->req.sectors == 0 || MUTANT(NO_RANGE_RULE))
		return true;
	return blk_range_enter(q->dev->ranges, &w->range);
}

/* Those of the own queue that came earlier and still wait for their range are not passed: they would starve. */
static bool admit(struct pass *p, struct blk_work *w)
{
	const struct blk_work *e;

	if (p->held && blk_is_write(&w->req) && !w->range.in)
		for (e = TAILQ_FIRST(&p->q->todo); e != w; e = TAILQ_NEXT(e, link))
			if (blk_is_write(&e->req) && !e->range.in && e->range.first < w->range.end &&
			    w->range.first < e->range.end)
				goto held;
	if (blk_admit(p->q, w))
		return true;
held:
	p->held++;
	return false;
}

/* Whether nothing before it in the queue is unfinished; those are in the engine or in front of it in todo. */
static bool first_in_queue(const struct blkback_queue *q, const struct blk_work *w)
{
	return q->running == 0 && TAILQ_FIRST(&q->todo) == w;
}

static bool get_buffer(struct pass *p, struct blk_work *w)
{
	uint64_t len = w->req.sectors * 512;

	if (w->buf || w->req.op == BLKIF_OP_DISCARD || len == 0)
		return true;
	w->buf = p->no_buffers ? NULL : blk_pool_get(p->q->pool, (uint32_t)((len + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE));
	p->no_buffers = !w->buf;
	w->iov = (struct iovec){MUTANT(GUEST_PAGES) ? (void *)p->q->ring.sring : w->buf, len};
	return w->buf != NULL;
}

/* One flush at a time on the device: the kernel tells only one of two that writes were lost. Held while in the engine. */
static bool get_flush(struct blkback *b, struct blk_work *w)
{
	if (!is_flush(w))
		return true;
	w->flushing = !exchange_acq_rel(&b->flushing, 1);
	return w->flushing;
}

static enum engine_op engine_op_of(const struct blk_work *w)
{
	if (w->step == STEP_PRE_FLUSH || w->step == STEP_POST_FLUSH)
		return ENGINE_FLUSH;
	switch (w->req.op) {
	case BLKIF_OP_READ:
		return ENGINE_READ;
	case BLKIF_OP_DISCARD:
		return ENGINE_DISCARD;
	case BLKIF_OP_FLUSH_DISKCACHE:
		return ENGINE_FLUSH;
	default:
		return ENGINE_WRITE;
	}
}

static void submit(struct blkback_queue *q, struct blk_work *w)
{
	enum engine_op op = engine_op_of(w);
	bool data = op == ENGINE_READ || op == ENGINE_WRITE;

	w->er = (struct engine_req){.op = op,
				    .flags = w->req.secure ? ENGINE_SECURE : 0,
				    .off = op == ENGINE_FLUSH ? 0 : w->req.sector * 512,
				    .len = op == ENGINE_FLUSH ? 0 : w->req.sectors * 512,
				    .iov = data ? &w->iov : NULL,
				    .iovcnt = data ? 1 : 0};
	q->running++;
	pm_stat64(&blk_stats(q)->engine_outstanding, q->running);
	engine_submit(q->eq, &w->er);
}

/* All that may hold a request back was passed. */
static void dispatch(struct blkback_queue *q, struct blk_work *w)
{
	uint64_t blame = q->j->slot[w->slot].blame;

	TAILQ_REMOVE(&q->todo, w, link);
	if (JRNL_BLAME_GENERATION(blame) != q->j->generation && !MUTANT(BLAME_LATE))
		jrnl_blame(q->j, w->slot, JRNL_BLAME_COUNT(blame));
	if (w->req.op != BLKIF_OP_READ && w->req.nsegs &&
	    blk_grants_move(q->grants, w->seg, w->req.nsegs, w->buf, false)) {
		BLK_COUNT(q, peer_faults, 1);
		blk_answer(q, w, BLKIF_RSP_ERROR);
		return;
	}
	jrnl_started(q->j, w->slot);
	if (w->req.op == BLKIF_OP_WRITE_BARRIER)
		q->barrier = w;
	submit(q, w);
	if (MUTANT(BLAME_LATE))
		jrnl_blame(q->j, w->slot, JRNL_BLAME_COUNT(blame));
}

bool blk_next_step(struct blkback_queue *q, struct blk_work *w)
{
	if (w->step == STEP_ONLY || w->step == STEP_POST_FLUSH)
		return false;
	w->step = w->step == STEP_PRE_FLUSH && w->req.sectors ? STEP_WRITE : STEP_POST_FLUSH;
	submit(q, w);
	return true;
}

/* A request that killed too often is not even judged any more. */
static void answer_poison(struct blkback_queue *q, struct blk_work *w)
{
	blk_report_poison(q, w);
	TAILQ_REMOVE(&q->todo, w, link);
	blk_answer(q, w, BLKIF_RSP_ERROR);
}

/* What is answered without the engine: flushes, for ever once one has failed (the kernel
 * says it only once), which concerns the device, not the queue; a discard of nothing. True: it was. */
static bool answer_at_once(struct blkback_queue *q, struct blk_work *w)
{
	int status = BLKIF_RSP_ERROR;

	if (w->req.op == BLKIF_OP_DISCARD && w->req.sectors == 0)
		status = BLKIF_RSP_OKAY;
	else if (!is_flush(w) || !blk_flush_has_failed(q))
		return false;
	TAILQ_REMOVE(&q->todo, w, link);
	blk_answer(q, w, status);
	return true;
}

/* The order of the gates matters: who waits at one holds nothing that somebody at a later one needs. */
static bool try_one(struct pass *p, struct blk_work *w)
{
	struct blkback_queue *q = p->q;

	if (w->convicted && (!w->redo_started || !blk_is_write(&w->req) || fence_open(p))) {
		answer_poison(q, w);
		return true;
	}
	if (w->convicted || (!w->loaded && !blk_load(q, w)))
		return !w->convicted;
	if (w->req.op == BLKIF_OP_WRITE_BARRIER && !first_in_queue(q, w) && !MUTANT(NO_BARRIER))
		return false;
	if (needs_fence(w) && !fence_open(p)) {
		say_fencing(q->dev);
		return false;
	}
	if (answer_at_once(q, w))
		return true;
	if (!admit(p, w) || !get_buffer(p, w) || !blk_gate_enter(q->dev, w))
		return false;
	if (!get_flush(q->dev, w)) {
		blk_gate_leave(q->dev, w);
		return false;
	}
	dispatch(q, w);
	return true;
}

bool blk_run_todo(struct blkback_queue *q, unsigned budget)
{
	struct pass p = {.q = q, .fence = -1};
	struct blk_work *w, *next;
	bool moved = false;

	q->retry = false;
	q->range_epoch = blk_ranges_epoch(q->dev->ranges);
	for (w = TAILQ_FIRST(&q->todo); w && !q->barrier; w = next) {
		next = TAILQ_NEXT(w, link);
		if (budget == 0) {
			q->retry = true; /* the rest after this turn's answers are out */
			break;
		}
		if (try_one(&p, w)) {
			moved = true;
			budget--;
		} else if (w->req.op == BLKIF_OP_WRITE_BARRIER) {
			break; /* nothing passes a barrier */
		}
	}
	return moved;
}
