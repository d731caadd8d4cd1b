/* fe_pool.h - the pages of one queue that data is copied into and out of, and their grants.
 *
 * A page of the pool never holds anything but what this device's requests put there, and is zero before its first grant, so
 * a backend that maps it sees no byte that was not meant for it (XSA-403). The page freed last is taken next: few
 * requests in flight touch few pages, which keeps the backend's mappings small.
 * Persistent: everything is granted once, writable, at the open. Otherwise a page is granted for one request only; if the
 * backend still has it mapped after its answer, it is never used again (XSA-396).
 *
 * Owns: its memory and grants. Threads: the queue's, but calls of hv are made under *lock, which all queues share.
 */
#ifndef BULKHEAD_FRONTEND_CORE_FE_POOL_H
#define BULKHEAD_FRONTEND_CORE_FE_POOL_H

#include "ring/hv/hv.h"

#include <pthread.h>

#define FE_PAGE_NONE UINT32_MAX
#define FE_CHUNK_PAGES 256u /* one piece of memory: what a backend of the local provider maps for one page of it */

struct fe_page {
	void *addr;
	hv_gref_t gref;
	uint32_t next; /* in the free list, or in the list of one request */
	bool granted;
};

struct fe_pool {
	struct hv *hv;
	hv_domid_t dom;
	pthread_mutex_t *lock;
	bool persistent;
	uint32_t npages, nfree, free_head, lost;
	uint32_t nchunks;
	void **chunk;
	struct fe_page *page;
};

/* npages is rounded up to whole chunks of min(npages, FE_CHUNK_PAGES). 0, -ENOMEM, or what granting says; after a failure
 * only fe_pool_close() may follow. */
int fe_pool_open(struct fe_pool *p, struct hv *hv, hv_domid_t dom, pthread_mutex_t *lock, uint32_t npages, bool persistent);
/* Ends all grants. Memory that the other end still maps is left to hv_close(). */
void fe_pool_close(struct fe_pool *p);

/* Takes n free pages (n <= nfree, CHECKed) as a list, granted; ro: the backend only reads them (not persistent).
 * 0, or what granting says, with nothing taken. */
int fe_pool_take(struct fe_pool *p, uint32_t n, bool ro, uint32_t *head);
/* Gives back a list that fe_pool_take made (FE_PAGE_NONE: nothing). */
void fe_pool_put(struct fe_pool *p, uint32_t head);

#endif
