/* blk_threads.h - blocking use of a block frontend by many threads: one thread a queue polls, the callers wait.
 *
 * The poller looks at the ring for a short while, as long as that pays, before it sleeps. Owns: its threads; not the
 * blkfront. Threads: blk_threads_io() from any number at once. Fork: start it after.
 */
#ifndef BULKHEAD_FRONTEND_BLK_BLK_THREADS_H
#define BULKHEAD_FRONTEND_BLK_BLK_THREADS_H

#include "frontend/blk/blkfront.h"

struct blk_threads;

/* 0, -ENOMEM, -EAGAIN (no thread). */
int blk_threads_start(struct blkfront *f, struct blk_threads **out);
/* Ends the pollers, after every blk_threads_io() has returned. NULL is allowed. */
void blk_threads_stop(struct blk_threads *t);
/* One I/O on queue hint % queues; returns its result. */
int blk_threads_io(struct blk_threads *t, unsigned hint, enum blkfront_op op, unsigned flags, uint64_t off, uint64_t len,
		   void *buf);

#endif
