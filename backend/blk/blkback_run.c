/* blkback_run.c - load, admit, dispatch: from a taken request to the engine (DESIGN.md section 6). */
#include "backend/blk/blkback_priv.h"

#include <string.h>

/* The list of an indirect request is copied from the guest once, into the journal; never again, also not by a successor. */
static int load_list(struct blkback_queue *q, struct blk_work *w)
{
	struct blkif_request_segment list[BLKIF_SEGS_MAX];
	unsigned pages = (unsigned)((w->req.nsegs + BLKIF_SEGS_PER_PAGE - 1) / BLKIF_SEGS_PER_PAGE);

	if (blk_grants_fetch(q->grants, w->req.grefs, pages, w->req.nsegs * sizeof(list[0]), list))
		return BLKIF_RSP_ERROR;
	jrnl_loaded(q->j, w->slot, list, w->req.nsegs);
	return 0;
}

/* Judges the private copy and nothing else. 0, or the status to answer with. */
static int judge(struct blkback_queue *q, struct blk_work *w, bool again)
{
	const struct blkback *b = q->dev;
	int status = blkif_decode(q->j->slot[w->slot].raw, &b->abi, &b->limits, &w->req);

	if (status)
		return status;
	w->seg = w->req.indirect ? (const void *)q->j->list[w->slot].seg : w->req.seg;
	if (!again && w->req.indirect)
		status = load_list(q, w);
	else if (!again)
		jrnl_loaded(q->j, w->slot, NULL, 0);
	if (!status && w->req.nsegs)
		status = blkif_segs(&w->req, w->seg, w->req.nsegs, &b->limits);
	return status;
}

/* True: goes on. False: it was answered. */
static bool load(struct blkback_queue *q, struct blk_work *w)
{
	const struct jrnl_slot *s = &q->j->slot[w->slot];
	bool again = s->state == JRNL_LOADED || s->state == JRNL_STARTED;
	uint32_t count = w->resumed ? JRNL_BLAME_COUNT(s->blame) : 0;
	int status;

	jrnl_blame(q->j, w->slot, count);
	w->alone = count >= BLAME_ALONE;
	status = judge(q, w, again);
	w->loaded = true;
	if (status) {
		BLK_COUNT(q, peer_faults, 1);
		TAILQ_REMOVE(&q->todo, w, link);
		blk_answer(q, w, status);
		return false;
	}
	if (w->req.op == BLKIF_OP_DISCARD && w->req.sectors == 0) {
		TAILQ_REMOVE(&q->todo, w, link);
		blk_answer(q, w, BLKIF_RSP_OKAY); /* nothing to do: must not reach the storage */
		return false;
	}
	if (w->req.op == BLKIF_OP_WRITE_BARRIER)
		w->step = STEP_PRE_FLUSH;
	return true;
}

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

static bool needs_fence(const struct blk_work *w)
{
	return w->req.op == BLKIF_OP_WRITE_BARRIER || (w->redo_started && blk_is_write(&w->req));
}

static void set_range(const struct blkback *b, struct blk_work *w)
{
	uint64_t unit = MAX(b->engine->info.write_unit, 512u), from = w->req.sector * 512, to = from + w->req.sectors * 512;

	w->range.first = from / unit;
	w->range.end = (to + unit - 1) / unit;
}

/* The range rule. A barrier without data has no range. */
bool blk_admit(struct blkback_queue *q, struct blk_work *w)
{
	if (w->admitted || !blk_is_write(&w->req) || w->req.sectors == 0 || MUTANT(NO_RANGE_RULE))
		return true;
	set_range(q->dev, w);
	w->admitted = blk_range_enter(q->dev->ranges, &w->range);
	return w->admitted;
}

/* A suspect is redone with the engine empty and everybody else waiting. True: it may go. */
static bool alone(struct blkback_queue *q, struct blk_work *w)
{
	if (!w->alone)
		return !load_relaxed(&q->dev->alone);
	store_relaxed(&q->dev->alone, w->slot + 1 + (q->index << 16));
	return load_relaxed(&q->dev->running) == 0;
}

/* Whether nothing before it in the queue is unfinished; those are in the engine or in front of it in todo. */
static bool first_in_queue(const struct blkback_queue *q, const struct blk_work *w)
{
	return q->running == 0 && TAILQ_FIRST(&q->todo) == w;
}

static bool get_buffer(struct blkback_queue *q, struct blk_work *w)
{
	uint64_t len = w->req.sectors * 512;

	if (w->buf || w->req.op == BLKIF_OP_DISCARD || len == 0)
		return true;
	w->buf = blk_pool_get(q->pool, (uint32_t)((len + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE));
	return w->buf != NULL;
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

	w->iov = (struct iovec){w->buf, w->req.sectors * 512};
	w->er = (struct engine_req){.op = op,
				    .flags = w->req.secure ? ENGINE_SECURE : 0,
				    .off = w->req.sector * 512,
				    .len = op == ENGINE_FLUSH ? 0 : w->req.sectors * 512,
				    .iov = data ? &w->iov : NULL,
				    .iovcnt = data ? 1 : 0};
	q->running++;
	fetch_add_relaxed(&q->dev->running, 1);
	pm_stat64(&blk_stats(q)->engine_outstanding, q->running);
	engine_submit(q->eq, &w->er);
}

/* All that may hold a request back was passed. */
static void dispatch(struct blkback_queue *q, struct blk_work *w)
{
	TAILQ_REMOVE(&q->todo, w, link);
	if (w->req.op == BLKIF_OP_WRITE || w->req.op == BLKIF_OP_WRITE_BARRIER)
		if (w->req.nsegs && blk_grants_move(q->grants, w->seg, w->req.nsegs, w->buf, false)) {
			BLK_COUNT(q, peer_faults, 1);
			blk_answer(q, w, BLKIF_RSP_ERROR);
			return;
		}
	jrnl_started(q->j, w->slot);
	if (w->req.op == BLKIF_OP_WRITE_BARRIER)
		q->barrier = w;
	submit(q, w);
}

bool blk_next_step(struct blkback_queue *q, struct blk_work *w)
{
	if (w->step == STEP_ONLY || w->step == STEP_POST_FLUSH)
		return false;
	w->step = w->step == STEP_PRE_FLUSH && w->req.sectors ? STEP_WRITE : STEP_POST_FLUSH;
	submit(q, w);
	return true;
}

/* A flush fails for ever once one has failed (the kernel says it only once): at the device, not at the queue. */
static bool refused_flush(struct blkback_queue *q, struct blk_work *w)
{
	if (w->req.op != BLKIF_OP_FLUSH_DISKCACHE && w->req.op != BLKIF_OP_WRITE_BARRIER)
		return false;
	if (!jrnl_flush_has_failed(&q->dev->jrnl))
		return false;
	TAILQ_REMOVE(&q->todo, w, link);
	blk_answer(q, w, BLKIF_RSP_ERROR);
	return true;
}

static bool try_one(struct blkback_queue *q, struct blk_work *w)
{
	if (!w->loaded && !load(q, w))
		return true;
	if (refused_flush(q, w))
		return true;
	if (!alone(q, w))
		return false;
	if (needs_fence(w) && !blk_fence_open(q->dev))
		return false;
	if (w->req.op == BLKIF_OP_WRITE_BARRIER && !first_in_queue(q, w))
		return false;
	if (!blk_admit(q, w) || !get_buffer(q, w))
		return false;
	dispatch(q, w);
	return true;
}

bool blk_run_todo(struct blkback_queue *q)
{
	struct blk_work *w, *next;
	bool moved = false;

	q->retry = false;
	q->range_epoch = blk_ranges_epoch(q->dev->ranges);
	for (w = TAILQ_FIRST(&q->todo); w && !q->barrier; w = next) {
		next = TAILQ_NEXT(w, link);
		if (try_one(q, w))
			moved = true;
		else if (w->req.op == BLKIF_OP_WRITE_BARRIER || w->alone)
			break; /* nothing passes a barrier, or a suspect */
	}
	return moved;
}
