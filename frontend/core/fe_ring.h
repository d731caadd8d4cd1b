/* fe_ring.h - the front half of a blkif ring, in any of the ABIs that guests have (<xen/io/blkif.h>, <xen/io/ring.h>).
 *
 * Requests are given and answers taken as plain structs; the layout is the ring's own. Indices are free-running and
 * compared by difference; what the backend writes is read once and judged against what was published.
 * Owns: nothing; the pages are the caller's. Threads: the queue's.
 */
#ifndef BULKHEAD_FRONTEND_CORE_FE_RING_H
#define BULKHEAD_FRONTEND_CORE_FE_RING_H

#include "ring/proto/blkif_abi.h"

struct fe_ring {
	struct blkif_sring *sring; /* only its indices: slots are found by stride */
	const struct blkif_abi *abi;
	uint32_t entries;	   /* a power of two */
	uint32_t req_put;	   /* next to be written, not yet published */
	uint32_t req_published;
	uint32_t rsp_taken;
};

struct fe_request {
	uint8_t op;		     /* BLKIF_OP_READ, WRITE, WRITE_BARRIER, FLUSH_DISKCACHE, DISCARD */
	bool secure;		     /* DISCARD */
	bool indirect;		     /* segments are in the pages below */
	uint16_t handle, nr_segments;
	uint64_t id, sector, nr_sectors; /* nr_sectors: DISCARD */
	union {
		struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
		grant_ref_t page[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	};
};

struct fe_response {
	uint64_t id;
	uint8_t op;
	int16_t status;
};

/* Makes an empty ring of zeroed memory. */
void fe_ring_init(struct fe_ring *r, void *mem, unsigned pages, enum conn_protocol protocol);
/* Writes one request, unpublished. There must be room: at most `entries` may be unanswered (CHECKed). */
void fe_ring_put(struct fe_ring *r, const struct fe_request *req);
/* Shows the backend what was put. True: it wants to be notified. */
bool fe_ring_publish(struct fe_ring *r);
/* 1 and the next answer; 0 none; -EPEER: more answers than requests. */
int fe_ring_take(struct fe_ring *r, struct fe_response *rsp);
/* Asks to be notified of the next answer. True: there is one already. */
bool fe_ring_arm(struct fe_ring *r);

#endif
