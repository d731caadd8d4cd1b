/* ofd_fence.h - the fence of engines whose I/O goes through one open file description (DESIGN.md section 7).
 *
 * Generation g holds byte base + g of the file, on the description that does its I/O. The kernel keeps a description,
 * and so its locks, until the last request that uses it has ended, whatever became of the process: so whoever is
 * granted the bytes of all former generations knows that none of their I/O can come any more.
 * Threads: take on one thread; after that, poll on any, also on several at once.
 */
#ifndef BULKHEAD_BACKEND_ENGINE_OFD_FENCE_H
#define BULKHEAD_BACKEND_ENGINE_OFD_FENCE_H

#include "ring/base/base.h"

#include <stdbool.h>

struct ofd_fence {
	int fd; /* not owned */
	uint64_t base;
	uint64_t generation; /* 0: none taken yet */
	bool granted;
};

/* As engine_own() and engine_fence_poll() say. */
int ofd_fence_take(struct ofd_fence *f, uint64_t generation, bool fresh);
int ofd_fence_poll(struct ofd_fence *f);

#endif
