/* blkif_decode.h - from a private copy of a request to values that may be trusted (ROBUSTNESS: never decode the ring
 * itself). Pure, fuzzed. Threads: any. */
#ifndef BULKHEAD_RING_PROTO_BLKIF_DECODE_H
#define BULKHEAD_RING_PROTO_BLKIF_DECODE_H

#include "ring/proto/blkif_abi.h"

#define BLKIF_SEGS_MAX 256u /* of an indirect request */

/* What a device allows. */
struct blkif_limits {
	uint64_t sectors;     /* of 512 bytes */
	uint32_t sector_size; /* bytes: unit of position and length */
	uint32_t max_segments;/* of an indirect request; 0: none */
	bool read_only, flush, barrier, discard, secure_discard;
};

struct blkif_req {
	uint64_t id;
	uint8_t op; /* of an indirect request the inner one: what is done, and what the answer names */
	bool indirect, secure;
	uint16_t nsegs;
	uint64_t sector, sectors; /* of 512 bytes; sectors of READ and WRITE come by blkif_segs() */
	uint32_t grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST]; /* pages of an indirect list */
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST]; /* of a direct one */
};

/* id and operation (of an indirect request the inner one) only: whatever else is wrong, an answer needs them. */
void blkif_head(const uint8_t *raw, const struct blkif_abi *abi, uint64_t *id, uint8_t *op);
/* BLKIF_RSP_OKAY (0), or the status to answer with: BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP. id and op are always set.
 * Segments are judged by blkif_segs(). */
int blkif_decode(const uint8_t *raw, const struct blkif_abi *abi, const struct blkif_limits *l, struct blkif_req *out);
/* Judges the segments of a READ or WRITE (first_sect <= last_sect < 8, whole units, inside the disk) and sets r->sectors.
 * 0 or BLKIF_RSP_ERROR. */
int blkif_segs(struct blkif_req *r, const struct blkif_request_segment *seg, unsigned n, const struct blkif_limits *l);

#endif
