/* bench_ring_ours.c - Bulkhead's end of the ring, with the journal: every store that backend/blk makes for a request, by the same
 * functions and in the same order, without the disk. Also built without check words, as bench_ring_unchecked.c. */
#include "recovery/journal/jrnl.h"
#include "ring/os/clock.h"
#include "ring/proto/blkif_back.h"
#include "tests/bench/bench_ring_rig.h"

#ifndef RING_OURS
#define RING_OURS ring_ours
#endif

static struct {
	struct blkif_back ring;
	struct jrnl jrnl;
	struct jrnl_q *j;
	uint64_t req_cons, rsp_next, rsp_shown, now;
	struct clock_lately clock;
	uint32_t nfree;
	uint16_t free[RING_DEPTH_MAX];
} back __attribute__((aligned(RING_LINE)));

static int ours_open(struct ring_rig *r, char *err, size_t size)
{
	const struct conn_id conn = {.protocol = CONN_NATIVE, .nqueues = 1, .ring_pages = r->pages, .type = CONN_VBD};

	(void)err, (void)size;
	ring_front_open(r);
	blkif_back_init(&back.ring, r->ring, r->entries, blkif_abi(CONN_NATIVE));
	jrnl_format(r->journal, &conn, r->entries, &back.jrnl);
	jrnl_own(&back.jrnl);
	back.j = &back.jrnl.q[0];
	back.req_cons = back.rsp_next = back.rsp_shown = 0;
	back.nfree = r->entries;
	for (unsigned i = 0; i < r->entries; i++)
		back.free[i] = (uint16_t)(r->entries - 1 - i);
	return 0;
}

static bool ours_arm(struct ring_rig *r)
{
	(void)r;
	return blkif_back_arm(&back.ring, back.req_cons);
}

/* What does not change is in registers: the compiler can not know that no store of the loop changes it. */
static void take(unsigned n, unsigned pending)
{
	const struct blkif_back ring = back.ring;
	struct jrnl_q j = *back.j;
	const uint16_t *slot = &back.free[back.nfree];
	uint64_t cons = back.req_cons;

	blkif_back_soon_first(&ring, cons, n);
	for (unsigned i = 0; i < n; i++) {
		if (i + BLKIF_SOON < pending)
			blkif_back_soon(&ring, cons + i + BLKIF_SOON);
		jrnl_take(&j, *--slot, cons + i, blkif_back_entry(&ring, cons + i), sizeof(struct blkif_request), back.now);
	}
	back.req_cons += n;
	jrnl_taken(back.j, back.req_cons);
}

static inline void serve(const struct blkif_back *ring, struct jrnl_q *j, uint64_t rsp, uint32_t slot)
{
	const struct jrnl_slot *s = &j->slot[slot];
	const struct blkif_request *req = (const void *)s->raw;

	jrnl_blame(j, slot, 0);
	ring_consume(req);
	jrnl_loaded(j, slot, 0);
	jrnl_started(j, slot);
	jrnl_result(j, slot, BLKIF_RSP_OKAY);
	blkif_back_answer(ring, rsp, req->id, req->operation, BLKIF_RSP_OKAY);
	jrnl_done(j, slot, rsp);
}

static void show(struct ring_rig *r)
{
	jrnl_publish(back.j, back.rsp_next);
	if (blkif_back_publish(&back.ring, back.rsp_shown, back.rsp_next) && r->back.mode != RING_POLLED)
		ring_wake_other(&r->back);
	back.rsp_shown = back.rsp_next;
}

static unsigned ours_turn(struct ring_rig *r)
{
	int pending = blkif_back_pending(&back.ring, back.req_cons, back.rsp_shown);
	const struct blkif_back ring = back.ring;
	struct jrnl_q j = *back.j;
	const uint16_t *slot = &back.free[back.nfree];

	unsigned n;

	if (pending <= 0) {
		back.now = clock_lately(&back.clock);
		return 0;
	}
	n = blkif_back_batch((uint32_t)pending);
	take(n, (unsigned)pending);
	for (unsigned i = 0; i < n; i++)
		serve(&ring, &j, back.rsp_next + i, *--slot);
	back.rsp_next += n;
	show(r);
	back.now = clock_lately(&back.clock); /* while the other end looks */
	return n;
}

const struct ring_kind RING_OURS = {ours_open, ring_front_close, ring_front_put, ring_front_get, ring_front_arm, ours_turn, ours_arm};
