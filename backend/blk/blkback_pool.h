/* blkback_pool.h - contiguous buffers of whole pages for one queue's requests.
 *
 * Address space is reserved at once, memory comes when it is touched and goes back by blk_pool_trim() when the queue is
 * idle, but for a few pages. First fit from the lowest page keeps what is hot together. Threads: one.
 */
#ifndef BULKHEAD_BACKEND_BLK_BLKBACK_POOL_H
#define BULKHEAD_BACKEND_BLK_BLKBACK_POOL_H

#include <stddef.h>
#include <stdint.h>

struct blk_pool;

/* npages: all of it; at least the largest request's. -ENOMEM. */
int blk_pool_open(uint32_t npages, struct blk_pool **out);
void blk_pool_close(struct blk_pool *p);
/* NULL: no run of so many pages is free now; when nothing is in use there always is. */
void *blk_pool_get(struct blk_pool *p, uint32_t npages);
void blk_pool_put(struct blk_pool *p, void *mem, uint32_t npages);
uint32_t blk_pool_used(const struct blk_pool *p);
/* Before each sleep. Gives memory back to the kernel if nothing is in use, and nothing was since the last call: a busy queue
 * sleeps often, and would fault its pages in each time. */
void blk_pool_trim(struct blk_pool *p);

#endif
