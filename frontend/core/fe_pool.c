#include "frontend/core/fe_pool.h"

#include "ring/base/check.h"
#include "ring/base/log.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t chunk_pages(const struct fe_pool *p) { return MIN(p->npages, FE_CHUNK_PAGES); }

static int grant_list(struct fe_pool *p, const uint32_t *pages, uint32_t n, bool ro)
{
	struct hv_grant g[HV_BATCH_MAX];
	int rc;

	for (uint32_t i = 0; i < n; i++)
		g[i] = (struct hv_grant){ .page = p->page[pages[i]].addr, .ro = ro };
	pthread_mutex_lock(p->lock);
	rc = hv_grant(p->hv, p->dom, g, n);
	pthread_mutex_unlock(p->lock);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		p->page[pages[i]].gref = g[i].gref;
		p->page[pages[i]].granted = true;
	}
	return 0;
}

/* A page whose grant does not end stays marked as granted. */
static void ungrant_list(struct fe_pool *p, const uint32_t *pages, uint32_t n)
{
	hv_gref_t grefs[HV_BATCH_MAX];
	int16_t status[HV_BATCH_MAX];
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		grefs[i] = p->page[pages[i]].gref;
		status[i] = -EIO;
	}
	pthread_mutex_lock(p->lock);
	rc = hv_ungrant(p->hv, grefs, n, status);
	pthread_mutex_unlock(p->lock);
	for (uint32_t i = 0; i < n; i++)
		p->page[pages[i]].granted = rc != 0 && status[i] != 0;
}

static int add_chunk(struct fe_pool *p, uint32_t c)
{
	uint32_t per = chunk_pages(p), pages[FE_CHUNK_PAGES];
	int rc = hv_alloc(p->hv, per, &p->chunk[c]);

	if (rc)
		return rc;
	p->nchunks++;
	for (uint32_t i = 0; i < per; i++) {
		pages[i] = c * per + i;
		p->page[pages[i]].addr = (char *)p->chunk[c] + (size_t)i * BH_PAGE_SIZE;
	}
	return p->persistent ? grant_list(p, pages, per, false) : 0;
}

int fe_pool_open(struct fe_pool *p, struct hv *hv, hv_domid_t dom, pthread_mutex_t *lock, uint32_t npages, bool persistent)
{
	uint32_t per, nchunks;

	*p = (struct fe_pool){ .hv = hv, .dom = dom, .lock = lock, .persistent = persistent, .npages = npages };
	p->free_head = FE_PAGE_NONE;
	per = chunk_pages(p);
	nchunks = (npages + per - 1) / per;
	p->npages = nchunks * per;
	p->page = calloc(p->npages, sizeof(*p->page));
	p->chunk = calloc(nchunks, sizeof(*p->chunk));
	if (!p->page || !p->chunk)
		return -ENOMEM;
	for (uint32_t c = 0; c < nchunks; c++) {
		int rc = add_chunk(p, c);

		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < p->npages; i++)
		p->page[i].next = i + 1 < p->npages ? i + 1 : FE_PAGE_NONE;
	p->free_head = 0;
	p->nfree = p->npages;
	return 0;
}

void fe_pool_close(struct fe_pool *p)
{
	uint32_t per = chunk_pages(p), pages[FE_CHUNK_PAGES];

	for (uint32_t c = 0; c < p->nchunks; c++) {
		uint32_t n = 0;

		for (uint32_t i = c * per; i < (c + 1) * per; i++) {
			if (p->page[i].granted)
				pages[n++] = i;
		}
		if (n > 0)
			ungrant_list(p, pages, n);
		pthread_mutex_lock(p->lock);
		hv_free(p->hv, p->chunk[c], per); /* -EBUSY: a page of it is still mapped; hv_close() ends it */
		pthread_mutex_unlock(p->lock);
	}
	free(p->chunk);
	free(p->page);
	*p = (struct fe_pool){ 0 };
}

int fe_pool_take(struct fe_pool *p, uint32_t n, bool ro, uint32_t *head)
{
	uint32_t pages[HV_BATCH_MAX], at = p->free_head, last = FE_PAGE_NONE;

	CHECK(n <= p->nfree && (p->persistent || n <= HV_BATCH_MAX));
	if (n == 0) {
		*head = FE_PAGE_NONE;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!p->persistent)
			pages[i] = at;
		last = at;
		at = p->page[at].next;
	}
	if (!p->persistent) {
		int rc = grant_list(p, pages, n, ro);

		if (rc)
			return rc;
	}
	*head = p->free_head;
	p->free_head = at;
	p->page[last].next = FE_PAGE_NONE;
	p->nfree -= n;
	return 0;
}

static void put_page(struct fe_pool *p, uint32_t i)
{
	if (!p->persistent && p->page[i].granted) {
		p->lost++;
		log_peer("the backend still maps a page after its answer: the page is given up (%u so far)", p->lost);
		return;
	}
	p->page[i].next = p->free_head;
	p->free_head = i;
	p->nfree++;
}

void fe_pool_put(struct fe_pool *p, uint32_t head)
{
	uint32_t pages[HV_BATCH_MAX];

	while (head != FE_PAGE_NONE) {
		uint32_t n = 0;

		for (; head != FE_PAGE_NONE && n < HV_BATCH_MAX; head = p->page[head].next)
			pages[n++] = head;
		if (!p->persistent)
			ungrant_list(p, pages, n);
		while (n > 0)
			put_page(p, pages[--n]);
	}
}
