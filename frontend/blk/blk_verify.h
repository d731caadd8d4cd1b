/* blk_verify.h - writes and reads stamps at random and checks every sector that it reads, while backends may die.
 *
 * Each sector's stamp names seed, sector and version; at any time at most one request touches a sector, so what a read
 * must find is known exactly. Any number of queues, all driven by the calling thread.
 */
#ifndef BULKHEAD_FRONTEND_BLK_BLK_VERIFY_H
#define BULKHEAD_FRONTEND_BLK_BLK_VERIFY_H

#include "frontend/blk/blkfront.h"

struct blk_verify_opts {
	unsigned seconds, depth; /* depth: of all queues together */
	uint64_t seed, size_limit; /* size_limit: of the part of the disk that is used, from its start; 0: 64 MiB */
	uint64_t outage_ns;	   /* a gap between answers from which on it counts as an outage */
	unsigned stall_s;	   /* an I/O without answer for so long is a failure */
	bool no_discard, no_flush; /* leave out what makes slow storage wait */
};

struct blk_verify_result {
	uint64_t ios, errors, wrong; /* wrong: sectors whose content was not what was written */
	uint64_t first_wrong;	     /* its sector, if there was one */
	uint64_t bytes_read, bytes_written, checked; /* checked: sectors compared */
	uint64_t outages, outage_p50, outage_p99, gap_max; /* ns */
	int rc;			     /* of the first error */
	bool stalled;
};

/* 0: it ran (the result says how well); -ENOMEM, -EINVAL (disk too small). */
int blk_verify(struct blkfront *f, const struct blk_verify_opts *o, struct blk_verify_result *res);

#endif
