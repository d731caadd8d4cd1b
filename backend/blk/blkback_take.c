/* blkback_take.c - requests from the ring into the journal: copied once, req_cons moved on, nothing else. */
#include "backend/blk/blkback_priv.h"

void blk_enqueue(struct blkback_queue *q, uint32_t slot)
{
	struct blk_work *w = &q->work[slot];

	w->loaded = w->alone = w->convicted = w->redo_started = false;
	TAILQ_INSERT_TAIL(&q->todo, w, link);
	TAILQ_INSERT_TAIL(&q->live, w, live);
}

/* Of constant length, which is worth a branch. */
static inline void take_one(const struct blkif_back *ring, struct jrnl_q *j, uint32_t slot, uint64_t index, uint64_t now)
{
	const uint8_t *raw = blkif_back_entry(ring, index);

	if (LIKELY(ring->abi.req_size == sizeof(struct blkif_request)))
		jrnl_take(j, slot, index, raw, sizeof(struct blkif_request), now);
	else
		jrnl_take(j, slot, index, raw, BLKIF_X86_32_REQUEST, now);
}

int blk_take(struct blkback_queue *q, unsigned budget)
{
	int pending = blkif_back_pending(&q->ring, q->req_cons, q->rsp_shown);
	/* In registers: the compiler can not know that no store of the loop changes them. */
	const struct blkif_back ring = q->ring;
	struct jrnl_q j = *q->j;
	unsigned n = 0;

	if (pending <= 0)
		return pending;
	n = MIN(MIN(blkif_back_batch((unsigned)pending), budget), q->nfree);
	if (!n)
		return 0;
	if (MUTANT(CONS_FIRST))
		jrnl_taken(q->j, q->req_cons + n);
	blkif_back_soon_first(&ring, q->req_cons, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t slot = q->free[q->nfree - 1 - i];

		if (i + BLKIF_SOON < (unsigned)pending)
			blkif_back_soon(&ring, q->req_cons + i + BLKIF_SOON);
		take_one(&ring, &j, slot, q->req_cons + i, q->now);
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
