#include "frontend/core/fe_ring.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/pm.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void fe_ring_init(struct fe_ring *r, void *mem, unsigned pages, enum conn_protocol protocol)
{
	*r = (struct fe_ring){ .sring = mem, .abi = blkif_abi(protocol) };
	CHECK(r->abi);
	r->entries = blkif_ring_entries(pages, r->abi);
	pm_store32(&r->sring->req_event, 1);
	pm_store32(&r->sring->rsp_event, 1);
}

static void *slot(const struct fe_ring *r, uint32_t index)
{
	return (char *)r->sring->ring + (size_t)(index & (r->entries - 1)) * r->abi->stride;
}

union wire {
	struct blkif_request rw;
	struct blkif_request_discard discard;
	struct blkif_request_indirect indirect;
	char bytes[sizeof(struct blkif_request)];
};

static void encode(const struct fe_request *req, union wire *w)
{
	memset(w, 0, sizeof(*w));
	if (req->op == BLKIF_OP_DISCARD) {
		w->discard.operation = req->op;
		w->discard.flag = req->secure ? BLKIF_DISCARD_SECURE : 0;
		w->discard.handle = req->handle;
		w->discard.id = req->id;
		w->discard.sector_number = req->sector;
		w->discard.nr_sectors = req->nr_sectors;
	} else if (req->indirect) {
		w->indirect.operation = BLKIF_OP_INDIRECT;
		w->indirect.indirect_op = req->op;
		w->indirect.nr_segments = req->nr_segments;
		w->indirect.id = req->id;
		w->indirect.sector_number = req->sector;
		w->indirect.handle = req->handle;
		memcpy(w->indirect.indirect_grefs, req->page, sizeof(req->page));
	} else {
		w->rw.operation = req->op;
		w->rw.nr_segments = (uint8_t)req->nr_segments;
		w->rw.handle = req->handle;
		w->rw.id = req->id;
		w->rw.sector_number = req->sector;
		memcpy(w->rw.seg, req->seg, req->nr_segments * sizeof(req->seg[0]));
	}
}

void fe_ring_put(struct fe_ring *r, const struct fe_request *req)
{
	const size_t id = offsetof(struct blkif_request, id);
	union wire w;
	char *at = slot(r, r->req_put);

	CHECK(r->req_put - r->rsp_taken < r->entries);
	encode(req, &w);
	/* i386 has no padding before 64-bit words: what follows the first of them lies that much earlier. */
	memmove(w.bytes + r->abi->id, w.bytes + id, sizeof(w.bytes) - id);
	pm_copy(at, w.bytes, r->abi->req_size);
	r->req_put++;
}

bool fe_ring_publish(struct fe_ring *r)
{
	uint32_t old = r->req_published, new = r->req_put;

	if (old == new)
		return false;
	smp_wmb(); /* the requests before the index that shows them */
	pm_store32(&r->sring->req_prod, new);
	r->req_published = new;
	smp_mb(); /* the index before the look at what the backend waits for; pairs with its arm, re-check */
	return new - READ_ONCE_U32(&r->sring->req_event) < new - old;
}

int fe_ring_take(struct fe_ring *r, struct fe_response *rsp)
{
	/* Pairs with the backend's barrier between a response and rsp_prod. */
	uint32_t prod = smp_load_acquire(&r->sring->rsp_prod);
	struct blkif_response wire;

	if (prod - r->rsp_taken > r->req_published - r->rsp_taken)
		return -EPEER;
	if (prod == r->rsp_taken)
		return 0;
	memcpy(&wire, slot(r, r->rsp_taken), MIN(r->abi->rsp_size, sizeof(wire)));
	barrier();
	r->rsp_taken++;
	*rsp = (struct fe_response){ .id = wire.id, .op = wire.operation, .status = wire.status };
	return 1;
}

bool fe_ring_arm(struct fe_ring *r)
{
	pm_store32(&r->sring->rsp_event, r->rsp_taken + 1);
	smp_mb(); /* ask before looking; pairs with the backend's publish, then look at rsp_event */
	return READ_ONCE_U32(&r->sring->rsp_prod) != r->rsp_taken;
}
