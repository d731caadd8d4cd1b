/* blkback_range.h - the range rule: a write or discard that overlaps an unfinished one, of any queue of the device, waits
 * (DESIGN.md section 6).
 *
 * Ranges are in engine write units, rounded outwards by the caller. Threads: any, under a lock of the table's own, which a
 * device with one queue does not take.
 */
#ifndef BULKHEAD_BACKEND_BLK_BLKBACK_RANGE_H
#define BULKHEAD_BACKEND_BLK_BLKBACK_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* Embedded in its owner; the table links it while it is in. */
struct blk_range {
	uint64_t first, end; /* units, end exclusive */
	bool in;
	LIST_ENTRY(blk_range) link;
	LIST_ENTRY(blk_range) far_link;
};

struct blk_ranges;

int blk_ranges_open(bool shared, struct blk_ranges **out);
void blk_ranges_close(struct blk_ranges *t);
/* True: it is in now. False: an overlapping one is. */
bool blk_range_enter(struct blk_ranges *t, struct blk_range *r);
void blk_range_leave(struct blk_ranges *t, struct blk_range *r);
/* Counts departures: who waits looks again when it has changed. */
uint64_t blk_ranges_epoch(const struct blk_ranges *t);
uint32_t blk_ranges_count(const struct blk_ranges *t);

#endif
