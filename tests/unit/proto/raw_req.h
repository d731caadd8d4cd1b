/* raw_req.h - requests as a guest lays them out: native by the public header, x86_32 by hand. */
#ifndef BULKHEAD_TESTS_UNIT_PROTO_RAW_REQ_H
#define BULKHEAD_TESTS_UNIT_PROTO_RAW_REQ_H

#include "ring/proto/blkif_abi.h"

#include <string.h>

/* What the i386 System V ABI makes of the public header: 64-bit members are aligned to 4 bytes. */
struct req32 {
	uint8_t operation, nr_segments;
	uint16_t handle;
	uint64_t id, sector_number;
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
} __attribute__((packed));
struct discard32 {
	uint8_t operation, flag;
	uint16_t handle;
	uint64_t id, sector_number, nr_sectors;
} __attribute__((packed));
struct indirect32 {
	uint8_t operation, indirect_op;
	uint16_t nr_segments;
	uint64_t id, sector_number;
	uint16_t handle, hole;
	uint32_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	uint64_t pad;
} __attribute__((packed));
struct rsp32 {
	uint64_t id;
	uint8_t operation, hole;
	int16_t status;
} __attribute__((packed));

struct raw_req {
	uint8_t b[BLKIF_RAW_MAX];
};

static inline struct raw_req raw_rw(uint32_t protocol, uint8_t op, uint8_t nsegs, uint64_t id, uint64_t sector,
				    const struct blkif_request_segment *seg)
{
	struct raw_req r;

	memset(&r, 0xa5, sizeof(r));
	if (protocol == CONN_X86_32) {
		struct req32 q = {.operation = op, .nr_segments = nsegs, .id = id, .sector_number = sector};

		memcpy(q.seg, seg, sizeof(q.seg));
		memcpy(r.b, &q, sizeof(q));
	} else {
		struct blkif_request q = {.operation = op, .nr_segments = nsegs, .id = id, .sector_number = sector};

		memcpy(q.seg, seg, sizeof(q.seg));
		memcpy(r.b, &q, sizeof(q));
	}
	return r;
}

static inline struct raw_req raw_discard(uint32_t protocol, uint8_t flag, uint64_t id, uint64_t sector, uint64_t n)
{
	struct raw_req r;

	memset(&r, 0xa5, sizeof(r));
	if (protocol == CONN_X86_32) {
		struct discard32 q = {
			.operation = BLKIF_OP_DISCARD, .flag = flag, .id = id, .sector_number = sector,
			.nr_sectors = n};

		memcpy(r.b, &q, sizeof(q));
	} else {
		struct blkif_request_discard q = {
			.operation = BLKIF_OP_DISCARD, .flag = flag, .id = id, .sector_number = sector,
			.nr_sectors = n};

		memcpy(r.b, &q, sizeof(q));
	}
	return r;
}

static inline struct raw_req raw_indirect(uint32_t protocol, uint8_t op, uint16_t nsegs, uint64_t id, uint64_t sector,
					  const uint32_t *grefs)
{
	struct raw_req r;

	memset(&r, 0xa5, sizeof(r));
	if (protocol == CONN_X86_32) {
		struct indirect32 q = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op, .nr_segments = nsegs,
				       .id = id, .sector_number = sector};

		memcpy(q.indirect_grefs, grefs, sizeof(q.indirect_grefs));
		memcpy(r.b, &q, sizeof(q));
	} else {
		struct blkif_request_indirect q = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op,
						   .nr_segments = nsegs, .id = id, .sector_number = sector};

		memcpy(q.indirect_grefs, grefs, sizeof(q.indirect_grefs));
		memcpy(r.b, &q, sizeof(q));
	}
	return r;
}

#endif
