/* blkif_abi.h - the three layouts of <xen/io/blkif.h>: native, x86_64 and x86_32 (`protocol` in xenstore).
 *
 * The public header lays a request out as the compiler of the guest does; on x86 that makes two layouts, which differ in the
 * alignment of 64-bit members only. Offsets are given here and checked against the header for the native one. Pure.
 */
#ifndef BULKHEAD_RING_PROTO_BLKIF_ABI_H
#define BULKHEAD_RING_PROTO_BLKIF_ABI_H

#include "ring/base/base.h"
#include "ring/base/conn.h"
#include "ring/proto/ring_hdr.h"

#include <assert.h>
#include <stdbool.h>
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/io/blkif.h>

#define BLKIF_RAW_MAX 112u
#define BLKIF_X86_32_REQUEST 108u
#define BLKIF_X86_32_RESPONSE 12u
#define BLKIF_SEGS_PER_PAGE (BH_PAGE_SIZE / sizeof(struct blkif_request_segment))

struct blkif_abi {
	uint32_t req_size, rsp_size, stride;
	uint32_t id, sector, body; /* offsets: id; sector_number; segments, nr_sectors, handle of an indirect request */
	uint32_t grefs;		   /* of an indirect request */
};

static_assert(sizeof(struct blkif_request) == 112 && offsetof(struct blkif_request, id) == 8 &&
	      offsetof(struct blkif_request, sector_number) == 16 && offsetof(struct blkif_request, seg) == 24 &&
	      offsetof(struct blkif_request_discard, nr_sectors) == 24 &&
	      offsetof(struct blkif_request_indirect, handle) == 24 &&
	      offsetof(struct blkif_request_indirect, indirect_grefs) == 28 && sizeof(struct blkif_response) == 16 &&
	      offsetof(struct blkif_response, operation) == 8 && offsetof(struct blkif_response, status) == 10 &&
	      offsetof(struct blkif_sring, ring) == RING_HDR, "the x86_64 layout");

/* The layout of a protocol (enum conn_protocol); NULL for an unknown one. */
static inline const struct blkif_abi *blkif_abi(uint32_t protocol)
{
	static const struct blkif_abi x86_64 = {112, 16, 112, 8, 16, 24, 28},
				      x86_32 = {BLKIF_X86_32_REQUEST, BLKIF_X86_32_RESPONSE, BLKIF_X86_32_REQUEST, 4, 12, 20, 24};

	return protocol == CONN_X86_32 ? &x86_32 : protocol == CONN_NATIVE || protocol == CONN_X86_64 ? &x86_64 : NULL;
}

/* Entries of a ring of so many pages: the largest power of two that fits. */
static inline uint32_t blkif_ring_entries(uint32_t pages, const struct blkif_abi *abi)
{
	uint32_t n = (uint32_t)((pages * BH_PAGE_SIZE - RING_HDR) / abi->stride);

	return n ? 1u << (31 - __builtin_clz(n)) : 0;
}

#endif
