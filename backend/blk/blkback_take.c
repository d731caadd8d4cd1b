/* blkback_take.c - requests from the ring into the journal: copied once, req_cons moved on, nothing else. */
#include "backend/blk/blkback_priv.h"

#include "ring/os/clock.h"

void blk_enqueue(struct blkback_queue *q, uint32_t slot)
{
	struct blk_work *w = &q->work[slot];

	w->loaded = w->alone = w->convicted = w->redo_started = false;
	TAILQ_INSERT_TAIL(&q->todo, w, link);
	TAILQ_INSERT_TAIL(&q->live, w, live);
}

/* Of constant length, which is worth a branch. */
static void take_one(struct blkback_queue *q, uint32_t slot, uint64_t index, uint64_t now)
{
	const uint8_t *raw = blkif_back_entry(&q->ring, index);

	if (LIKELY(q->ring.abi.req_size == sizeof(struct blkif_request)))
		jrnl_take(q->j, slot, index, raw, sizeof(struct blkif_request), now);
	else
		jrnl_take(q->j, slot, index, raw, BLKIF_X86_32_REQUEST, now);
}

int blk_take(struct blkback_queue *q, unsigned budget)
{
	int pending = blkif_back_pending(&q->ring, q->req_cons, q->rsp_shown);
	unsigned n = 0;
	uint64_t now;

	if (pending <= 0)
		return pending;
	n = MIN(MIN((unsigned)pending, budget), q->nfree);
	if (!n)
		return 0;
	now = q->now = clock_now();
	if (MUTANT(CONS_FIRST))
		jrnl_taken(q->j, q->req_cons + n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t slot = q->free[q->nfree - 1 - i];

		if (i + 1 < n)
			__builtin_prefetch(blkif_back_entry(&q->ring, q->req_cons + i + 1));
		take_one(q, slot, q->req_cons + i, now);
		if (MUTANT(EARLY_ANSWER)) {
			blk_enqueue(q, slot);
			blk_load(q, &q->work[slot]);
		}
	}
	jrnl_taken(q->j, q->req_cons + n);
	for (unsigned i = 0; i < n; i++) {
		q->nfree--;
		if (!MUTANT(EARLY_ANSWER))
			blk_enqueue(q, q->free[q->nfree]);
	}
	q->req_cons += n;
	return (int)n;
}
