#include "backend/blk/blkback_pool.h"

#include "ring/base/base.h"
#include "ring/base/check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KEEP_PAGES 64u /* stay touched: who does a request now and then shall not fault its pages in each time */

struct blk_pool {
	char *mem;
	uint32_t npages, used, top; /* top: pages below it may have been touched since the last trim */
	uint32_t hint;		    /* no page below it is free */
	bool fresh;		    /* used since the last trim */
	uint8_t *busy;		    /* one byte a page */
};

int blk_pool_open(uint32_t npages, struct blk_pool **out)
{
	struct blk_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->npages = npages;
	p->busy = calloc(npages, 1);
	p->mem = mmap(NULL, npages * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!p->busy || p->mem == MAP_FAILED) {
		free(p->busy);
		free(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

void blk_pool_close(struct blk_pool *p)
{
	munmap(p->mem, p->npages * BH_PAGE_SIZE);
	free(p->busy);
	free(p);
}

void *blk_pool_get(struct blk_pool *p, uint32_t npages)
{
	uint32_t run = 0;

	p->fresh = true;
	for (uint32_t i = p->hint; i < p->npages; i++) {
		run = p->busy[i] ? 0 : run + 1;
		if (run < npages)
			continue;
		i -= npages - 1;
		memset(p->busy + i, 1, npages);
		if (i == p->hint)
			p->hint += npages;
		p->used += npages;
		p->top = MAX(p->top, i + npages);
		return p->mem + i * BH_PAGE_SIZE;
	}
	return NULL;
}

void blk_pool_put(struct blk_pool *p, void *mem, uint32_t npages)
{
	uint32_t i = (uint32_t)((size_t)((char *)mem - p->mem) / BH_PAGE_SIZE);

	CHECK(i + npages <= p->npages && p->busy[i]);
	memset(p->busy + i, 0, npages);
	p->used -= npages;
	p->hint = MIN(p->hint, i);
}

uint32_t blk_pool_used(const struct blk_pool *p) { return p->used; }

void blk_pool_trim(struct blk_pool *p)
{
	bool fresh = p->fresh;

	if (p->used)
		return;
	p->fresh = false;
	if (fresh || p->top <= KEEP_PAGES)
		return;
	madvise(p->mem + KEEP_PAGES * BH_PAGE_SIZE, (p->top - KEEP_PAGES) * BH_PAGE_SIZE, MADV_DONTNEED);
	p->top = KEEP_PAGES;
}
