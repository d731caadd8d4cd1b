#include "backend/blk/blkback_grant.h"

#include "backend/core/be_guest.h"
#include "ring/base/pm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One page that stays mapped. */
struct kept {
	hv_gref_t gref;
	bool ro; /* ro: the guest lets us read only */
	void *addr;
	int next; /* in its hash chain, -1: last */
	TAILQ_ENTRY(kept) age; /* least recently used first */
};

TAILQ_HEAD(kept_list, kept);

struct blk_grants {
	struct hv *hv;
	hv_domid_t dom;
	bool persistent;
	bool no_more; /* the host lets this process map no more */
	uint32_t limit, count, mask;
	uint32_t missed; /* pages that were not mapped when all places were taken */
	int *head; /* hash chains */
	struct kept *kept;
	struct kept_list ages;
	struct hv_copy copy[HV_BATCH_MAX];
	struct hv_map map[HV_BATCH_MAX];
};

int blk_grants_open(struct hv *hv, hv_domid_t dom, bool persistent, uint32_t limit, struct blk_grants **out)
{
	struct blk_grants *g = calloc(1, sizeof(*g));
	uint32_t buckets = 1;

	if (!g)
		return -ENOMEM;
	while (persistent && buckets < limit)
		buckets *= 2;
	g->hv = hv;
	g->dom = dom;
	g->persistent = persistent;
	g->limit = persistent ? limit : 0;
	g->mask = buckets - 1;
	g->head = malloc(buckets * sizeof(*g->head));
	g->kept = calloc(g->limit ? g->limit : 1, sizeof(*g->kept));
	if (!g->head || !g->kept) {
		free(g->head);
		free(g->kept);
		free(g);
		return -ENOMEM;
	}
	TAILQ_INIT(&g->ages);
	for (uint32_t i = 0; i < buckets; i++)
		g->head[i] = -1;
	*out = g;
	return 0;
}

void blk_grants_close(struct blk_grants *g)
{
	free(g->head);
	free(g->kept);
	free(g);
}

static int *chain(struct blk_grants *g, hv_gref_t gref) { return &g->head[gref * 2654435761u >> 7 & g->mask]; }

static struct kept *find(struct blk_grants *g, hv_gref_t gref)
{
	for (int i = *chain(g, gref); i >= 0; i = g->kept[i].next)
		if (g->kept[i].gref == gref)
			return &g->kept[i];
	return NULL;
}

static void touch(struct blk_grants *g, struct kept *k)
{
	if (TAILQ_LAST(&g->ages, kept_list) == k)
		return;
	TAILQ_REMOVE(&g->ages, k, age);
	TAILQ_INSERT_TAIL(&g->ages, k, age);
}

/* Takes the least recently used one out of the table and unmaps it. */
static struct kept *evict(struct blk_grants *g)
{
	struct kept *k = TAILQ_FIRST(&g->ages);
	int *at = chain(g, k->gref), me = (int)(k - g->kept);

	while (*at != me)
		at = &g->kept[*at].next;
	*at = k->next;
	TAILQ_REMOVE(&g->ages, k, age);
	hv_unmap(g->hv, &k->addr, 1);
	return k;
}

static void keep(struct blk_grants *g, hv_gref_t gref, void *addr, bool ro)
{
	struct kept *k = g->count < g->limit ? &g->kept[g->count++] : evict(g);
	int *at = chain(g, gref);

	*k = (struct kept){.gref = gref, .ro = ro, .addr = addr, .next = *at};
	*at = (int)(k - g->kept);
	TAILQ_INSERT_TAIL(&g->ages, k, age);
}

/* A page that finds no place is copied, which costs far less than a map and an unmap. Now and then one takes the place of the least
 * recently used, so that what is used most gets there whatever came first. */
static bool worth_mapping(struct blk_grants *g, unsigned more)
{
	return !g->no_more && (g->count + more < g->limit || g->missed++ % BLK_GRANTS_REPLACE == 0);
}

static void map_no_more(struct blk_grants *g)
{
	if (!g->no_more)
		log_warn("domain %u: no more than %u of its pages can be mapped here (vm.max_map_count, or Xen's maptrack frames): "
			 "the others are copied", g->dom, g->count);
	g->no_more = true;
}

/* Maps of the segments what is not mapped yet and is worth it. A page that can not be mapped for writing is tried for reading only, where
 * that is enough: not every provider can say that this was the reason (HV_FEAT_WHY). */
static void map_missing(struct blk_grants *g, const struct blkif_request_segment *seg, unsigned n, bool read_only_will_do)
{
	unsigned m = 0;

	for (unsigned i = 0; i < n; i++) {
		struct kept *k0 = find(g, seg[i].gref);
		bool there = k0 != NULL;

		if (there)
			touch(g, k0); /* so that what follows does not push it out */
		for (unsigned k = 0; k < m && !there; k++)
			there = g->map[k].gref == seg[i].gref;
		if (!there && worth_mapping(g, m))
			g->map[m++] = (struct hv_map){.gref = seg[i].gref};
	}
	if (!m)
		return;
	be_only_guests_fault(hv_map(g->hv, g->dom, g->map, m));
	for (unsigned k = 0; k < m; k++) {
		bool ro = false;

		if ((g->map[k].status == -EACCES || g->map[k].status == -EINVAL) && read_only_will_do) {
			g->map[k].ro = ro = true;
			be_only_guests_fault(hv_map(g->hv, g->dom, &g->map[k], 1));
		}
		if (g->map[k].status == 0)
			keep(g, g->map[k].gref, g->map[k].addr, ro);
		else if (g->map[k].status == -ENOMEM)
			map_no_more(g);
	}
}

void blk_grants_ahead(struct blk_grants *g, const struct blkif_request_segment *seg, unsigned n)
{
	/* For reading and writing, or not at all: what the guest has not granted now it may grant in the next moment, for anything. */
	if (g->persistent && g->count + n <= g->limit)
		map_missing(g, seg, n, false);
}

static void copy_later(struct hv_copy *c, const struct blkif_request_segment *s, char *buf, bool to_guest)
{
	*c = (struct hv_copy){.gref = s->gref,
			      .off = (uint16_t)(s->first_sect * 512u),
			      .len = (uint16_t)((s->last_sect + 1u - s->first_sect) * 512u),
			      .to_guest = to_guest,
			      .local = buf};
}

int blk_grants_move(struct blk_grants *g, const struct blkif_request_segment *seg, unsigned n, char *buf, bool to_guest)
{
	bool mapped = g->persistent && n <= g->limit;
	unsigned copies = 0;

	if (n > HV_BATCH_MAX)
		return -E2BIG;
	if (mapped)
		map_missing(g, seg, n, !to_guest);
	for (unsigned i = 0; i < n; i++) {
		size_t off = seg[i].first_sect * 512u, len = (seg[i].last_sect + 1u) * 512u - off;
		struct kept *k = mapped ? find(g, seg[i].gref) : NULL;

		if (!k || (to_guest && k->ro)) { /* a copy says whether the guest lets us */
			copy_later(&g->copy[copies++], &seg[i], buf, to_guest);
		} else {
			touch(g, k);
			if (to_guest)
				pm_copy((char *)k->addr + off, buf, len);
			else
				memcpy(buf, (char *)k->addr + off, len);
		}
		buf += len;
	}
	return copies ? be_only_guests_fault(hv_copy(g->hv, g->dom, g->copy, copies)) : 0;
}

int blk_grants_fetch(struct blk_grants *g, const uint32_t *grefs, unsigned npages, size_t bytes, void *buf)
{
	for (unsigned i = 0; i < npages; i++) {
		size_t done = i * BH_PAGE_SIZE, len = MIN(bytes - done, BH_PAGE_SIZE);

		g->copy[i] = (struct hv_copy){.gref = grefs[i], .len = (uint16_t)len, .local = (char *)buf + done};
	}
	return be_only_guests_fault(hv_copy(g->hv, g->dom, g->copy, npages));
}

uint32_t blk_grants_mapped(const struct blk_grants *g) { return g->count; }
