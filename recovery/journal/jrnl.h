/* jrnl.h - the stores to a journal, each step of DESIGN.md section 6 one function, in its exact order.
 *
 * Pure: works on memory that the caller mapped and owns the lock of. Every store goes through pm.h.
 * Threads: a queue belongs to one thread; jrnl_flush_failed() to any.
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_H

#include "recovery/journal/jrnl_check.h"
#include "recovery/journal/jrnl_fmt.h"
#include "ring/base/barrier.h"
#include "ring/base/pm.h"

#include <stdbool.h>

/* Rules that the crash tests take out one by one, to see that their absence is found. Constant 0 in production. */
enum jrnl_mutant {
	MUTANT_NONE,
	/* take */
	MUTANT_CONS_FIRST,	 /* req_cons before the copies */
	MUTANT_EARLY_ANSWER,	 /* a rejected request is answered before req_cons is stored */
	MUTANT_CHECK_CHANGING,	 /* the check word is over the blame word as well, which changes */
	/* load, dispatch */
	MUTANT_BLAME_LATE,	 /* blame is stored after the dispatch */
	MUTANT_NO_RANGE_RULE,
	MUTANT_RANGE_PER_QUEUE,	 /* queues do not wait for each other */
	MUTANT_RANGE_UNROUNDED,	 /* ranges in sectors, whatever the engine's write unit */
	MUTANT_STARTED_UNSAID,	 /* STARTED is not stored */
	MUTANT_NO_BARRIER,	 /* a barrier does not wait for what is in front of it */
	MUTANT_FLUSH_UNSAID,	 /* a failed flush is not stored */
	MUTANT_FLUSH_PER_QUEUE,	 /* it is stored for its queue only */
	MUTANT_GUEST_PAGES,	 /* the engine works on the guest's own memory */
	/* done, publish */
	MUTANT_LEAVE_EARLY,	 /* the range table is left before DONE is stored */
	MUTANT_FREE_AT_DONE,	 /* a slot is free for others when done, not when published */
	MUTANT_PUBLISH_FIRST,	 /* the ring's rsp_prod before the journal's */
	/* resume */
	MUTANT_NO_JOURNAL_LOCK,	 /* it does not wait until the former generation can store no more (crash_world.c) */
	MUTANT_REPLAY_GONE,	 /* the supervisor resumes for a domain that is shut down (crash_world.c) */
	MUTANT_FORGET_PRIVATELY, /* slots that are over are forgotten only in private memory */
	MUTANT_SEQ32,		 /* sequence numbers are compared as 32 bits */
	MUTANT_INDEX_ONLY,	 /* requests are told apart by their index, whatever their queue */
	MUTANT_TRUST_RING,	 /* rsp_prod is taken from the ring */
	MUTANT_OTHER_INDEX,	 /* unpublished answers go to the next free index, not to their own */
	MUTANT_REREAD_RING,	 /* what was loaded is decoded from the ring again */
	MUTANT_REREAD_LIST,	 /* its indirect list is fetched from the guest again */
	MUTANT_STARTED_LAST,	 /* what was started does not enter the range table first */
	MUTANT_NO_FENCE,
	MUTANT_ONE_FENCE_BYTE,	 /* one lock byte for all generations (crash_disk.c) */
	MUTANT_COUNT_FOREIGN,	 /* deaths from outside count as its own faults */
	MUTANT_NO_UNMASK,	 /* the port is not read empty and unmasked */
	MUTANT_NO_NOTIFY,	 /* no notification */
	MUTANT_COUNT
};
#ifdef PM_HOOK
extern enum jrnl_mutant jrnl_mutant;
#define MUTANT(m) (jrnl_mutant == MUTANT_##m)
#else
#define MUTANT(m) (0)
#endif

struct jrnl_q {
	struct jrnl_queue *hdr;
	struct jrnl_slot *slot;
	struct jrnl_list *list;
	uint32_t nslots;
	uint64_t generation;
};

struct jrnl {
	struct jrnl_hdr *hdr;
	uint32_t nslots, nqueues;
	struct jrnl_q q[CONN_QUEUES_MAX];
};

/* Clears the memory (len = jrnl_file_bytes(nslots, conn->nqueues)) and writes the header, valid last; generation 1. */
void jrnl_format(void *mem, const struct conn_id *conn, uint32_t nslots, struct jrnl *out);
/* Looks at what is there; stores nothing. 0; -EMISMATCH: it belongs to another connection, or is none; -EBADMSG: its
 * header is damaged. */
int jrnl_open(void *mem, size_t len, const struct conn_id *conn, uint32_t nslots, struct jrnl *out);
/* The first store of a new owner: its generation. Returns it. */
uint64_t jrnl_own(struct jrnl *j);

uint32_t jrnl_check_copy(const struct jrnl_slot *s);
uint32_t jrnl_check_list(const struct jrnl_list *l, uint32_t n);
static inline uint32_t jrnl_check_of_answer(uint64_t index, int32_t result, uint64_t rsp_idx)
{
	const uint64_t w[2] = {rsp_idx, (uint32_t)result};

	return jrnl_sum(w, 2, index);
}
static inline uint32_t jrnl_check_answer(const struct jrnl_slot *s)
{
	return jrnl_check_of_answer(s->index, s->result, s->rsp_idx);
}

/* take: the raw copy comes straight from the ring: this is the one private copy, each of its bytes is read once. len: at most
 * JRNL_RAW, the same for all requests of a queue; best a constant. now: statistics. */
static inline void jrnl_take(struct jrnl_q *q, uint32_t slot, uint64_t index, const void *raw, size_t len, uint64_t now)
{
	struct jrnl_slot *s = &q->slot[slot];
	uint32_t check;

	pm_store32(&s->state, JRNL_FREE);
	check = jrnl_copy_sum(s->raw, raw, len, MUTANT(CHECK_CHANGING) ? index ^ JRNL_BLAME(0u, 0) : index);
	pm_store64(&s->blame, JRNL_BLAME(0u, 0));
	pm_store64(&s->index, index);
	pm_store32(&s->check_copy, check);
	pm_stat64(&s->taken_at, now);
	pm_store32(&s->state, JRNL_TAKEN);
}
static inline void jrnl_taken(struct jrnl_q *q, uint64_t req_cons) { pm_store64(&q->hdr->req_cons, jrnl_seq(req_cons)); }

/* load */
static inline void jrnl_blame(struct jrnl_q *q, uint32_t slot, uint32_t count)
{
	pm_store64(&q->slot[slot].blame, JRNL_BLAME(count, q->generation));
}
/* resume: generation 0: counted, but not in work any more. */
static inline void jrnl_suspect(struct jrnl_q *q, uint32_t slot, uint32_t count, uint64_t generation)
{
	pm_store64(&q->slot[slot].blame, JRNL_BLAME(count, generation));
}
/* load of an indirect request: its list, before it is judged. */
void jrnl_list(struct jrnl_q *q, uint32_t slot, const void *segs, uint32_t n);
/* nlist: segments of the list; 0: none. */
static inline void jrnl_loaded(struct jrnl_q *q, uint32_t slot, uint32_t nlist)
{
	pm_store32(&q->slot[slot].nlist, nlist);
	pm_store32(&q->slot[slot].state, JRNL_LOADED);
}
static inline void jrnl_started(struct jrnl_q *q, uint32_t slot)
{
	if (!MUTANT(STARTED_UNSAID))
		pm_store32(&q->slot[slot].state, JRNL_STARTED);
}

/* done, around the response's own store into the ring */
static inline void jrnl_result(struct jrnl_q *q, uint32_t slot, int32_t result)
{
	pm_store32((uint32_t *)&q->slot[slot].result, (uint32_t)result);
}
static inline void jrnl_done(struct jrnl_q *q, uint32_t slot, uint64_t rsp_idx)
{
	struct jrnl_slot *s = &q->slot[slot];

	pm_store64(&s->rsp_idx, rsp_idx);
	pm_store32(&s->check_answer, jrnl_check_of_answer(s->index, s->result, rsp_idx));
	pm_store32(&s->state, JRNL_DONE);
}

static inline void jrnl_publish(struct jrnl_q *q, uint64_t rsp_prod) { pm_store64(&q->hdr->rsp_prod, jrnl_seq(rsp_prod)); }
static inline void jrnl_free(struct jrnl_q *q, uint32_t slot) { pm_store32(&q->slot[slot].state, JRNL_FREE); }

static inline void jrnl_flush_failed(struct jrnl *j)
{
	if (!MUTANT(FLUSH_UNSAID))
		pm_store32(&j->hdr->flush_failed, JRNL_FLUSH_FAILED);
}
static inline bool jrnl_flush_has_failed(const struct jrnl *j) { return READ_ONCE_U32(&j->hdr->flush_failed) != 0; }

#endif
