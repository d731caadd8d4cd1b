#include "frontend/core/fe_ring.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/pm.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The i386 ABI has no padding before 64-bit words: each of them, and what follows, is 4 bytes earlier than in x86_64's,
 * whose layouts the structs of blkif.h are on this host. */
#define X86_32_SHIFT 4u
#define X86_32_REQUEST 108u
#define X86_32_RESPONSE 12u
static_assert(sizeof(void *) == 8 && sizeof(struct blkif_request) == 112, "blkif.h as x86_64 lays it out");
static_assert(offsetof(struct blkif_request, id) == 8 && offsetof(struct blkif_request_indirect, indirect_grefs) == 28,
	      "blkif.h as x86_64 lays it out");
static_assert(offsetof(struct blkif_response, operation) == 8 && offsetof(struct blkif_response, status) == 10,
	      "a response is laid out alike in both ABIs");

static uint32_t stride_of(enum conn_protocol protocol)
{
	return protocol == CONN_X86_32 ? X86_32_REQUEST : (uint32_t)sizeof(union blkif_sring_entry);
}

uint32_t fe_ring_entries(unsigned pages, enum conn_protocol protocol)
{
	uint32_t n = (uint32_t)((pages * BH_PAGE_SIZE - offsetof(struct blkif_sring, ring)) / stride_of(protocol));

	return 1u << (31 - __builtin_clz(n));
}

void fe_ring_init(struct fe_ring *r, void *mem, unsigned pages, enum conn_protocol protocol)
{
	*r = (struct fe_ring){ .sring = mem, .protocol = protocol };
	r->entries = fe_ring_entries(pages, protocol);
	r->stride = stride_of(protocol);
	pm_store32(&r->sring->req_event, 1);
	pm_store32(&r->sring->rsp_event, 1);
}

static void *slot(const struct fe_ring *r, uint32_t index)
{
	return (char *)r->sring->ring + (size_t)(index & (r->entries - 1)) * r->stride;
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
	union wire w;
	char *at = slot(r, r->req_put);

	CHECK(r->req_put - r->rsp_taken < r->entries);
	encode(req, &w);
	if (r->protocol == CONN_X86_32) {
		size_t head = offsetof(struct blkif_request, id) - X86_32_SHIFT;

		memmove(w.bytes + head, w.bytes + head + X86_32_SHIFT, sizeof(w.bytes) - head - X86_32_SHIFT);
	}
	pm_copy(at, w.bytes, r->stride);
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
	memcpy(&wire, slot(r, r->rsp_taken), X86_32_RESPONSE);
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
