/* bench_ring_bare.c - the macros of <xen/io/ring.h> and nothing else, in the two ways that a backend can use them; each also in
 * batches of Bulkhead's size. */
#include "ring/proto/blkif_back.h"
#include "tests/bench/bench_ring_xen.h"

static struct {
	blkif_back_ring_t ring;
	struct blkif_request copy[RING_DEPTH_MAX];
} back __attribute__((aligned(RING_LINE)));

static int bare_open(struct ring_rig *r, char *err, size_t size)
{
	blkif_sring_t *s = r->ring;

	(void)err, (void)size;
	ring_front_open(r);
	BACK_RING_INIT(&back.ring, s, r->pages * BH_PAGE_SIZE);
	return 0;
}

static bool bare_arm(struct ring_rig *r)
{
	int more;

	(void)r;
	RING_FINAL_CHECK_FOR_REQUESTS(&back.ring, more);
	return more;
}

/* How many requests to answer in this turn: all that wait, or half as Bulkhead does. */
static inline unsigned waiting(bool half)
{
	RING_IDX prod = READ_ONCE_U32(&back.ring.sring->req_prod);

	xen_rmb();
	if (RING_REQUEST_PROD_OVERFLOW(&back.ring, prod))
		return 0;
	return half ? blkif_back_batch(prod - back.ring.req_cons) : prod - back.ring.req_cons;
}

static void answer(const struct blkif_request *req)
{
	struct blkif_response *rsp;
	uint64_t id = req->id; /* before the answer, which takes its place */
	uint8_t op = req->operation;

	ring_consume(req);
	rsp = RING_GET_RESPONSE(&back.ring, back.ring.rsp_prod_pvt);
	rsp->id = id;
	rsp->operation = op;
	rsp->status = BLKIF_RSP_OKAY;
	back.ring.rsp_prod_pvt++;
}

static void push(struct ring_rig *r)
{
	int notify;

	RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&back.ring, notify);
	if (notify && r->back.mode != RING_POLLED)
		ring_wake_other(&r->back);
}

/* Each is looked at and answered where it is: no copy, which only a backend that trusts its guest can do. */
static inline unsigned one_pass(struct ring_rig *r, bool half)
{
	unsigned n = waiting(half);
	RING_IDX end = back.ring.req_cons + n;

	if (!n)
		return 0;
	for (; back.ring.req_cons != end; back.ring.req_cons++)
		answer(RING_GET_REQUEST(&back.ring, back.ring.req_cons));
	push(r);
	return n;
}

/* All are copied, then each is looked at and answered: what a backend without a journal has to do. */
static inline unsigned copies(struct ring_rig *r, bool half)
{
	unsigned n = waiting(half);

	if (!n)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		__builtin_memcpy(&back.copy[i], RING_GET_REQUEST(&back.ring, back.ring.req_cons + i), sizeof(back.copy[i]));
		barrier();
	}
	back.ring.req_cons += n;
	for (unsigned i = 0; i < n; i++)
		answer(&back.copy[i]);
	push(r);
	return n;
}

static unsigned one_pass_turn(struct ring_rig *r) { return one_pass(r, false); }
static unsigned one_pass_half_turn(struct ring_rig *r) { return one_pass(r, true); }
static unsigned copies_turn(struct ring_rig *r) { return copies(r, false); }
static unsigned copies_half_turn(struct ring_rig *r) { return copies(r, true); }

#define BARE(turn) {bare_open, ring_front_close, ring_front_put, ring_front_get, ring_front_arm, turn, bare_arm}

const struct ring_kind ring_bare_one_pass = BARE(one_pass_turn);
const struct ring_kind ring_bare_one_pass_half = BARE(one_pass_half_turn);
const struct ring_kind ring_bare_copies = BARE(copies_turn);
const struct ring_kind ring_bare_copies_half = BARE(copies_half_turn);
