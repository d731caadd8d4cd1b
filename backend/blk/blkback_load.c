/* blkback_load.c - judging a taken request, by its private copy alone (DESIGN.md section 6). */
#include "backend/blk/blkback_priv.h"

#include "ring/base/check.h"

#include <errno.h>

/* The list of an indirect request is copied from the guest once, into the journal; never again, also not by a successor. */
static int load_list(struct blkback_queue *q, struct blk_work *w)
{
	struct blkif_request_segment list[BLKIF_SEGS_MAX];
	unsigned pages = (unsigned)((w->req.nsegs + BLKIF_SEGS_PER_PAGE - 1) / BLKIF_SEGS_PER_PAGE);

	if (blk_grants_fetch(q->grants, w->req.grefs, pages, w->req.nsegs * sizeof(list[0]), list))
		return BLKIF_RSP_ERROR;
	jrnl_list(q->j, w->slot, list, w->req.nsegs);
	return 0;
}

static void set_range(const struct blkback_queue *q, struct blk_work *w)
{
	uint64_t unit = MUTANT(RANGE_UNROUNDED) ? 512 : q->dev->engine->info.write_unit;
	uint64_t from = w->req.sector * 512, to = from + w->req.sectors * 512;

	w->range.first = from / unit;
	w->range.end = (to + unit - 1) / unit;
	if (MUTANT(RANGE_PER_QUEUE)) {
		w->range.first += (uint64_t)q->index << 40;
		w->range.end += (uint64_t)q->index << 40;
	}
}

static int judge_segments(struct blkback_queue *q, struct blk_work *w, const struct blkif_limits *l)
{
	int status = 0;

	w->seg = w->req.indirect ? (const void *)q->j->list[w->slot].seg : w->req.seg;
	if (w->req.nsegs)
		status = blkif_segs(&w->req, w->seg, w->req.nsegs, l);
	if (!status && blk_is_write(&w->req))
		set_range(q, w);
	w->step = w->req.op == BLKIF_OP_WRITE_BARRIER ? STEP_PRE_FLUSH : STEP_ONLY;
	return status;
}

bool blk_load(struct blkback_queue *q, struct blk_work *w)
{
	const struct jrnl_slot *s = &q->j->slot[w->slot];
	struct blkif_limits l = q->dev->limits;
	int status;

	l.sectors = load_relaxed(&q->dev->engine->info.sectors);
	if (JRNL_BLAME_GENERATION(s->blame) != q->j->generation && !MUTANT(BLAME_LATE))
		jrnl_blame(q->j, w->slot, JRNL_BLAME_COUNT(s->blame));
	status = blkif_decode(s->raw, &q->dev->abi, &l, &w->req);
	if (!status && w->req.indirect)
		status = load_list(q, w);
	if (!status)
		status = judge_segments(q, w, &l);
	w->loaded = true;
	if (LIKELY(!status)) {
		jrnl_loaded(q->j, w->slot, w->req.indirect ? w->req.nsegs : 0);
		return true;
	}
	BLK_COUNT(q, peer_faults, 1);
	TAILQ_REMOVE(&q->todo, w, link);
	blk_answer(q, w, status);
	return false;
}

int blk_reload(struct blkback_queue *q, struct blk_work *w)
{
	/* It was judged when it was loaded; the disk may have changed its size or abilities since, which the engine says. */
	static const struct blkif_limits any = {.sectors = INT64_MAX / 512,
						.sector_size = 512,
						.max_segments = BLKIF_SEGS_MAX,
						.flush = true,
						.barrier = true,
						.discard = true,
						.secure_discard = true};
	const struct jrnl_slot *s = &q->j->slot[w->slot];

	if (blkif_decode(MUTANT(REREAD_RING) ? blkif_back_entry(&q->ring, s->index) : s->raw, &q->dev->abi, &any, &w->req))
		return -EBADMSG;
	if (s->nlist != (w->req.indirect ? w->req.nsegs : 0u))
		return -EBADMSG;
	w->loaded = true;
	if (MUTANT(REREAD_LIST) && w->req.indirect && load_list(q, w))
		return -EBADMSG;
	return judge_segments(q, w, &any) ? -EBADMSG : 0;
}
