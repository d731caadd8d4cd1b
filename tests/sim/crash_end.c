#include "tests/sim/crash_world_priv.h"

#include <string.h>

/* ---- the end */

static void check_queue(struct crash_world *w, unsigned i)
{
	const struct blkback_queue *q = blkback_get_queue(w->cur.back, i);
	const struct jrnl_q *j = q->j;
	uint64_t all = w->guest.q[i].next, cons = jrnl_seq_of(j->hdr->req_cons), prod = jrnl_seq_of(j->hdr->rsp_prod);
	const struct blkif_sring *s = q->ring.sring;

	if (cons != all || prod != all || s->rsp_prod != (uint32_t)all)
		crash_violation(&w->check, "CONSERVE", "queue %u: req_cons %llu, rsp_prod %llu, ring's %u, of %llu", i,
				(unsigned long long)cons, (unsigned long long)prod, s->rsp_prod, (unsigned long long)all);
	for (uint32_t k = 0; k < j->nslots; k++)
		if (j->slot[k].state != JRNL_FREE && (j->slot[k].state != JRNL_DONE || j->slot[k].rsp_idx >= all))
			crash_violation(&w->check, "CONSERVE", "queue %u: slot %u is live", i, k);
	if (q->nfree != j->nslots || q->ndone || q->running || !TAILQ_EMPTY(&q->live))
		crash_violation(&w->check, "CONSERVE", "queue %u: %u slots of %u free", i, q->nfree, j->nslots);
	if (blk_pool_used(q->pool))
		crash_violation(&w->check, "CONSERVE", "queue %u: %u buffer pages in use", i, blk_pool_used(q->pool));
}

void crash_check_end(struct crash_world *w)
{
	const struct blkback *b = w->cur.back;
	uint32_t mapped = w->guest.nqueues;

	crash_check_registers(&w->check, w->disk.sector);
	crash_guest_check_pages(&w->guest);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		check_queue(w, i);
		mapped += blk_grants_mapped(blkback_get_queue(w->cur.back, i)->grants);
	}
	if (blk_ranges_count(b->ranges) || b->flushing || b->suspects || b->gated || b->alone)
		crash_violation(&w->check, "CONSERVE", "%u ranges, flush %u, %u suspects, gate %u", blk_ranges_count(b->ranges),
				b->flushing, b->suspects, b->gated);
	if (hv_usage(w->cur.hv).mapped != mapped || (!w->wl->persistent && mapped != w->guest.nqueues))
		crash_violation(&w->check, "CONSERVE", "%u pages mapped, accounted %u", hv_usage(w->cur.hv).mapped, mapped);
}

/* ---- classes of deaths
 *
 * jrnl_scan() looks at the state word of a slot first, and then only at what that state vouches for. So all deaths between two
 * stores that are looked at leave the same to a successor, and one of them is enough:
 *   FREE: nothing but the state itself;  TAKEN: not the list, its length and check word;
 *   not DONE: not the result, the response's index and their check word.
 * The header and the queues' words are not looked at while the journal is not valid: a successor is fresh then, and begins anew.
 * The guest's data pages are not looked at before the answer. The ring's every word counts, as does every other store. */

static bool slot_is_looked_at(const struct jrnl_slot *s, size_t at)
{
	if (at == offsetof(struct jrnl_slot, state))
		return true;
	if (s->state == JRNL_FREE)
		return false;
	if (at == offsetof(struct jrnl_slot, result) || at == offsetof(struct jrnl_slot, rsp_idx) ||
	    at == offsetof(struct jrnl_slot, check_answer))
		return s->state == JRNL_DONE;
	if (at == offsetof(struct jrnl_slot, nlist) || at == offsetof(struct jrnl_slot, check_list))
		return s->state != JRNL_TAKEN;
	return true;
}

bool crash_is_looked_at(const struct crash_world *w, const void *where)
{
	const struct jrnl_hdr *h = w->journal;
	uint32_t nr = w->wl->nr, queue;
	size_t at = (size_t)((const char *)where - (const char *)w->journal), slots = nr * sizeof(struct jrnl_slot);
	const struct jrnl_slot *slot;

	if (at >= w->journal_bytes) {
		for (unsigned i = 0; i < w->guest.nqueues; i++)
			if ((size_t)((const char *)where - (const char *)w->guest.q[i].ring) < BH_PAGE_SIZE)
				return true;
		return false; /* a data page */
	}
	if (h->valid != JRNL_VALID)
		return at == offsetof(struct jrnl_hdr, valid);
	if (at < JRNL_PAGE)
		return true;
	queue = at >= jrnl_queue_offset(nr, 1) ? 1 : 0;
	at -= jrnl_queue_offset(nr, queue);
	if (at < JRNL_PAGE)
		return true;
	at -= JRNL_PAGE;
	if (at < slots) {
		slot = (const void *)((const char *)where - at % sizeof(*slot));
		return slot_is_looked_at(slot, at % sizeof(*slot));
	}
	slot = (const void *)((const char *)w->journal + jrnl_queue_offset(nr, queue) + JRNL_PAGE);
	return slot[(at - slots) / sizeof(struct jrnl_list)].state != JRNL_TAKEN;
}

/* ---- a guest that changes its mind */

/* All entries but the bodies of those that wait to be taken; an answer has no body. */
static void spoil_ring(struct crash_world *w, unsigned i, uint64_t cons)
{
	struct crash_guest_queue *q = &w->guest.q[i];
	struct blkif_sring *s = q->ring;

	for (uint32_t k = q->req_prod - w->wl->nr; k != (uint32_t)cons; k++)
		memset((char *)&s->ring[k & (w->wl->nr - 1)] + sizeof(s->ring[0].rsp), 0xee,
		       sizeof(s->ring[0]) - sizeof(s->ring[0].rsp));
}

void crash_change_mind(struct crash_world *w)
{
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		const struct jrnl_q *j = &w->cur.back->jrnl.q[i];

		for (uint32_t k = 0; k < j->nslots; k++)
			if (j->slot[k].state == JRNL_LOADED || j->slot[k].state == JRNL_STARTED)
				crash_guest_spoil_list(&w->guest, i, j->slot[k].index);
		spoil_ring(w, i, jrnl_seq_of(j->hdr->req_cons));
	}
}
