#include "frontend/core/fe_ring.h"

#include "ring/base/check.h"
#include "ring/proto/ring_front.h"

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

static struct ring_hdr *hdr(const struct fe_ring *r) { return (struct ring_hdr *)(void *)r->sring; }

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
	uint32_t old = r->req_published;

	r->req_published = r->req_put;
	return ring_front_publish(hdr(r), old, r->req_put);
}

int fe_ring_take(struct fe_ring *r, struct fe_response *rsp)
{
	int pending = ring_front_pending(hdr(r), r->rsp_taken, r->req_published);
	struct blkif_response wire;

	if (pending <= 0)
		return pending;
	memcpy(&wire, slot(r, r->rsp_taken), MIN(r->abi->rsp_size, sizeof(wire)));
	barrier();
	r->rsp_taken++;
	*rsp = (struct fe_response){ .id = wire.id, .op = wire.operation, .status = wire.status };
	return 1;
}

bool fe_ring_arm(struct fe_ring *r) { return ring_front_arm(hdr(r), r->rsp_taken, 1); }
