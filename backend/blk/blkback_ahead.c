/* blkback_ahead.c - guest pages mapped before they are needed. Which ones: those that the former generation's requests name. They
 * are only read here, while their owner may still be writing them: what is read is a guess, and a wrong one maps nothing or too
 * much, for as long as this stub lives. It spares the first answer after a death its questions to the hypervisor. */
#include "backend/blk/blkback_priv.h"

#include <string.h>

void blk_map_ahead(struct blkback_queue *q)
{
	static const struct blkif_limits any = {.sectors = INT64_MAX / 512, .sector_size = 512, .max_segments = BLKIF_SEGS_MAX};
	const struct blkback *b = q->dev;
	const char *at = (const char *)b->journal + jrnl_queue_offset(b->nslots, q->index) + JRNL_PAGE;
	struct blkif_request_segment seg[HV_BATCH_MAX];
	unsigned n = 0;

	if (jrnl_file_bytes(b->nslots, b->conn.nqueues) > b->journal_bytes)
		return;
	for (uint32_t i = 0; i < b->nslots; i++) {
		uint8_t raw[JRNL_RAW];
		struct blkif_req r;

		memcpy(raw, at + i * sizeof(struct jrnl_slot) + offsetof(struct jrnl_slot, raw), sizeof(raw));
		if (blkif_decode(raw, &b->abi, &any, &r) || r.indirect || r.nsegs > BLKIF_MAX_SEGMENTS_PER_REQUEST)
			continue;
		if (n + r.nsegs > HV_BATCH_MAX) {
			blk_grants_ahead(q->grants, seg, n);
			n = 0;
		}
		memcpy(&seg[n], r.seg, r.nsegs * sizeof(seg[0]));
		n += r.nsegs;
	}
	if (n)
		blk_grants_ahead(q->grants, seg, n);
}
