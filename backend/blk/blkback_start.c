/* blkback_start.c - taking over: a fresh journal, or what the former generation left (DESIGN.md section 6, resume). */
#include "backend/blk/blkback_priv.h"

#include "recovery/journal/jrnl_replay.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <stdio.h>

static void load_indices(struct blkback_queue *q)
{
	q->req_cons = jrnl_seq_of(q->j->hdr->req_cons);
	q->rsp_shown = q->rsp_next = jrnl_seq_of(q->j->hdr->rsp_prod);
}

/* In private memory: which slots nobody uses. */
static void list_free(struct blkback_queue *q)
{
	q->nfree = 0;
	for (uint32_t i = q->dev->nslots; i-- > 0;)
		if (q->j->slot[i].state == JRNL_FREE)
			q->free[q->nfree++] = (uint16_t)i;
}

static void forget(struct blkback_queue *q, const struct jrnl_scan *scan)
{
	for (uint32_t i = 0; i < scan->nforget; i++)
		if (!MUTANT(FORGET_PRIVATELY))
			jrnl_free(q->j, scan->forget[i]);
}

/* The answers that the guest may not have seen, each at its own index. Their I/O is over: no fence is needed. */
static void reanswer(struct blkback_queue *q, const struct jrnl_scan *scan)
{
	if (MUTANT(TRUST_RING))
		q->rsp_shown = q->rsp_next = READ_ONCE_U32(&q->ring.sring->rsp_prod);
	pm_store32(&q->ring.sring->rsp_prod, (uint32_t)q->rsp_shown);
	for (uint32_t i = 0; i < scan->nreanswer; i++) {
		uint32_t k = MUTANT(OTHER_INDEX) ? scan->nreanswer - 1 - i : i;
		const struct jrnl_slot *s = &q->j->slot[scan->reanswer[k]];
		uint64_t id;
		uint8_t op;

		blkif_head(s->raw, &q->ring.abi, &id, &op);
		blkif_back_answer(&q->ring, MUTANT(OTHER_INDEX) ? q->rsp_next + i : s->rsp_idx, id, op, (int16_t)s->result);
		if (MUTANT(OTHER_INDEX)) /* which shows when they go out one by one */
			jrnl_publish(q->j, q->rsp_next + i + 1);
	}
	if (!scan->nreanswer)
		return;
	q->rsp_next += scan->nreanswer;
	jrnl_publish(q->j, q->rsp_next);
	blkif_back_publish(&q->ring, q->rsp_shown, q->rsp_next);
	q->rsp_shown = q->rsp_next;
	for (uint32_t i = 0; i < scan->nreanswer; i++)
		jrnl_free(q->j, scan->reanswer[i]);
	BLK_COUNT(q, reanswered, scan->nreanswer);
}

/* What was started alone may have reached the storage: it enters the range table before anything else may, and it must fit,
 * since the rule held when it was started. Stores nothing into shared memory. */
static int reload(struct blkback_queue *q, uint32_t slot)
{
	struct blk_work *w = &q->work[slot];
	uint32_t state = q->j->slot[slot].state;

	blk_enqueue(q, slot);
	if (state == JRNL_TAKEN)
		return 0;
	if (blk_reload(q, w)) {
		blk_break(q->dev, BLKBACK_BROKEN_JOURNAL, "a request that was never valid is said to be loaded");
		return -EBADMSG;
	}
	w->redo_started = state == JRNL_STARTED;
	if (!w->redo_started || MUTANT(STARTED_LAST) || blk_admit(q, w))
		return 0;
	blk_break(q->dev, BLKBACK_BROKEN_JOURNAL, "two requests in the storage overlap");
	return -EBADMSG;
}

/* One store, into live slots that the generation which died by its own fault had in work. From BLAME_ALONE on only who was tried
 * since is counted again: a suspect that waits for its turn to be alone must not be convicted by another's deaths. */
static void suspect(struct blkback_queue *q, struct blk_work *w, bool own_fault)
{
	uint64_t blame = q->j->slot[w->slot].blame;
	uint32_t count = JRNL_BLAME_COUNT(blame);

	if ((own_fault || MUTANT(COUNT_FOREIGN)) && JRNL_BLAME_GENERATION(blame) == q->j->generation - 1) {
		count = MIN(count + 1, BLAME_CONVICT);
		jrnl_suspect(q->j, w->slot, count, count >= BLAME_ALONE ? 0 : q->j->generation);
	}
	w->convicted = count >= BLAME_CONVICT;
	w->alone = !w->convicted && count >= BLAME_ALONE;
	q->dev->suspects += w->alone;
}

/* A request that has killed too often is answered with an error, alone; the others go on. */
void blk_report_poison(struct blkback_queue *q, const struct blk_work *w)
{
	const struct jrnl_slot *s = &q->j->slot[w->slot];
	char text[160];
	uint64_t id;
	uint8_t op;

	blkif_head(s->raw, &q->dev->abi, &id, &op);
	snprintf(text, sizeof(text), "request %llu (operation %u, id %llu) of queue %u killed %u stubs: answered with an error",
		 (unsigned long long)s->index, op, (unsigned long long)id, q->index, JRNL_BLAME_COUNT(s->blame));
	q->dev->event(q->dev->event_arg, BLKBACK_POISON, s->index, text);
}

static uint32_t waiting_for_fence(struct blkback *b)
{
	const struct blk_work *w;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->conn.nqueues; i++)
		TAILQ_FOREACH(w, &b->q[i].todo, link)
			n += w->redo_started && blk_is_write(&w->req); /* req is set: it was loaded */
	return n;
}

/* MUTANT INDEX_ONLY: another queue has one of that index. */
static bool known(const struct blkback_queue *q, const struct jrnl_scan *scan, uint64_t index)
{
	for (uint32_t k = 0; k < scan->nredo; k++)
		if (q->j->slot[scan->redo[k]].index == index)
			return true;
	return false;
}

/* Look at everything before anything is stored: from a corrupt journal nothing is answered, on no queue. */
static int scan_all(struct blkback *b, struct jrnl_scan *scans)
{
	char text[160];
	int rc = 0;

	for (uint32_t i = 0; i < b->conn.nqueues; i++) {
		b->q[i].j = &b->jrnl.q[i];
		if (jrnl_scan(&b->jrnl.q[i], &scans[i], text, sizeof(text)) == 0)
			continue;
		blk_break(b, BLKBACK_BROKEN_JOURNAL, text);
		return -EBADMSG;
	}
	for (uint32_t i = 0; i < b->conn.nqueues; i++)
		for (uint32_t k = 0; !rc && k < scans[i].nredo; k++)
			if (!MUTANT(INDEX_ONLY) || !i || !known(&b->q[0], &scans[0], b->q[i].j->slot[scans[i].redo[k]].index))
				rc = reload(&b->q[i], scans[i].redo[k]);
	return rc;
}

static void resume_queue(struct blkback_queue *q, const struct jrnl_scan *scan, bool own_fault)
{
	struct blk_work *w;

	load_indices(q);
	forget(q, scan);
	reanswer(q, scan);
	list_free(q);
	TAILQ_FOREACH(w, &q->todo, link)
		suspect(q, w, own_fault);
	BLK_COUNT(q, replayed, scan->nredo);
	/* What the dead one left there would make an idle successor look like one that does not get on. */
	blk_show_state(q);
}

/* Whatever the former generation had still to say may have died with it. */
static void greet(struct blkback *b)
{
	for (uint32_t i = 0; i < b->conn.nqueues; i++) {
		b->q[i].now = clock_now();
		if (!MUTANT(NO_UNMASK))
			hv_port_clear(b->q[i].port);
		if (!MUTANT(NO_NOTIFY))
			blk_publish(&b->q[i], true);
		b->q[i].retry = true;
	}
}

static int start_fresh(struct blkback *b, struct blkback_started *out)
{
	int rc = engine_own(b->engine, 1, true);

	if (rc)
		return rc;
	jrnl_format(b->journal, &b->conn, b->nslots, &b->jrnl);
	out->generation = jrnl_own(&b->jrnl);
	store_relaxed(&b->fenced, 1); /* own() waited for everybody */
	for (uint32_t i = 0; i < b->conn.nqueues; i++) {
		b->q[i].j = &b->jrnl.q[i];
		load_indices(&b->q[i]);
		list_free(&b->q[i]);
	}
	greet(b);
	return 0;
}

static int start_resume(struct blkback *b, bool own_fault, struct blkback_started *out)
{
	static struct jrnl_scan scans[CONN_QUEUES_MAX]; /* large; a process starts one device at a time */
	int rc = jrnl_open(b->journal, b->journal_bytes, &b->conn, b->nslots, &b->jrnl);
	uint32_t n;

	if (rc == -EBADMSG)
		blk_break(b, BLKBACK_BROKEN_JOURNAL, "its header is damaged");
	if (!rc)
		rc = scan_all(b, scans);
	if (rc)
		return rc;
	out->generation = jrnl_own(&b->jrnl);
	rc = engine_own(b->engine, out->generation, false);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < b->conn.nqueues; i++) {
		resume_queue(&b->q[i], &scans[i], own_fault);
		out->reanswered += scans[i].nreanswer;
		out->redo += scans[i].nredo;
	}
	n = waiting_for_fence(b);
	if (n && !blk_fence_open(b)) {
		store_relaxed(&b->fence_said, 1);
		b->event(b->event_arg, BLKBACK_FENCING, n, NULL);
	}
	greet(b);
	return 0;
}

int blkback_start(struct blkback *b, enum blkback_kind kind, bool own_fault, struct blkback_started *out)
{
	*out = (struct blkback_started){0};
	return kind == BLKBACK_FRESH ? start_fresh(b, out) : start_resume(b, own_fault, out);
}
