/* bench_ring_front.c - a frontend as Linux's: the macros of <xen/io/ring.h>. The same for all backends of a blkif ring. */
#include "tests/bench/bench_ring_xen.h"

#include "ring/base/check.h"

static struct {
	blkif_front_ring_t ring;
	struct blkif_request like;
	uint64_t next_id, answered, sum;
} front __attribute__((aligned(RING_LINE)));

void ring_front_open(struct ring_rig *r)
{
	blkif_sring_t *s = r->ring;

	front.next_id = front.answered = front.sum = 0;
	XEN_FRONT_RING_INIT(&front.ring, s, r->pages * BH_PAGE_SIZE);
	CHECK(RING_SIZE(&front.ring) == r->entries);
	front.like = (struct blkif_request){.operation = BLKIF_OP_READ, .nr_segments = 1};
	for (unsigned i = 0; i < ARRAY_LEN(front.like.seg); i++)
		front.like.seg[i] = (struct blkif_request_segment){.gref = 8 + i};
}

void ring_front_put(struct ring_rig *r, unsigned n)
{
	int notify;

	for (unsigned i = 0; i < n; i++) {
		struct blkif_request *req = RING_GET_REQUEST(&front.ring, front.ring.req_prod_pvt);

		*req = front.like;
		req->id = front.next_id;
		req->sector_number = front.next_id++ % 1024;
		front.ring.req_prod_pvt++;
	}
	RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&front.ring, notify);
	if (notify && r->front.mode != RING_POLLED)
		ring_wake_other(&r->front);
}

unsigned ring_front_get(struct ring_rig *r)
{
	RING_IDX prod = READ_ONCE_U32(&front.ring.sring->rsp_prod);
	unsigned n = prod - front.ring.rsp_cons;

	(void)r;
	if (!n)
		return 0;
	xen_rmb();
	for (; front.ring.rsp_cons != prod; front.ring.rsp_cons++) {
		const struct blkif_response *rsp = RING_GET_RESPONSE(&front.ring, front.ring.rsp_cons);

		CHECK(rsp->status == BLKIF_RSP_OKAY);
		front.sum += rsp->id;
	}
	front.answered += n;
	return n;
}

bool ring_front_arm(struct ring_rig *r)
{
	int more;

	(void)r;
	RING_FINAL_CHECK_FOR_RESPONSES(&front.ring, more);
	return more;
}

void ring_front_close(struct ring_rig *r)
{
	(void)r;
	CHECK(front.answered == front.next_id && front.sum == front.next_id * (front.next_id - 1) / 2);
}
