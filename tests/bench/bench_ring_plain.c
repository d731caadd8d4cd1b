/* bench_ring_plain.c - Bulkhead's end of the ring without a journal: private copies, answered in a second pass;
 * also in batches, and with entries asked for ahead, as backend/blk does both: then only the journal is missing. */
#include "ring/proto/blkif_back.h"
#include "tests/bench/bench_ring_rig.h"

static struct {
	struct blkif_back ring;
	uint64_t req_cons, rsp_next, rsp_shown;
	struct blkif_request copy[RING_DEPTH_MAX];
} back __attribute__((aligned(RING_LINE)));

static int plain_open(struct ring_rig *r, char *err, size_t size)
{
	(void)err, (void)size;
	ring_front_open(r);
	blkif_back_init(&back.ring, r->ring, r->entries, blkif_abi(CONN_NATIVE));
	back.req_cons = back.rsp_next = back.rsp_shown = 0;
	return 0;
}

static bool plain_arm(struct ring_rig *r)
{
	(void)r;
	return blkif_back_arm(&back.ring, back.req_cons);
}

static inline unsigned plain(struct ring_rig *r, bool half)
{
	int pending = blkif_back_pending(&back.ring, back.req_cons, back.rsp_shown);
	unsigned n;

	if (pending <= 0)
		return 0;
	n = half ? blkif_back_batch((uint32_t)pending) : (uint32_t)pending;
	if (half)
		blkif_back_soon_first(&back.ring, back.req_cons, n);
	for (unsigned i = 0; i < n; i++) {
		if (half && i + BLKIF_SOON < (unsigned)pending)
			blkif_back_soon(&back.ring, back.req_cons + i + BLKIF_SOON);
		pm_copy(&back.copy[i], blkif_back_entry(&back.ring, back.req_cons + i), sizeof(back.copy[i]));
	}
	back.req_cons += n;
	for (unsigned i = 0; i < n; i++) {
		ring_consume(&back.copy[i]);
		blkif_back_answer(&back.ring, back.rsp_next++, back.copy[i].id, back.copy[i].operation, BLKIF_RSP_OKAY);
	}
	if (blkif_back_publish(&back.ring, back.rsp_shown, back.rsp_next) && r->back.mode != RING_POLLED)
		ring_wake_other(&r->back);
	back.rsp_shown = back.rsp_next;
	return n;
}

static unsigned plain_turn(struct ring_rig *r) { return plain(r, false); }
static unsigned plain_half_turn(struct ring_rig *r) { return plain(r, true); }

const struct ring_kind ring_ours_plain = {plain_open, ring_front_close, ring_front_put, ring_front_get, ring_front_arm, plain_turn,
					  plain_arm};
const struct ring_kind ring_ours_plain_half = {plain_open,     ring_front_close, ring_front_put, ring_front_get,
					       ring_front_arm, plain_half_turn,  plain_arm};
