#include "ring/hv/hv_local.h"

#include "ring/base/barrier.h"
#include "ring/base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IDLE_MAX 16 /* regions without a mapped page that stay mapped, for the copies to come */

/* ---- pieces */

static struct piece *piece_find(struct local *l, uint32_t region, bool ro)
{
	struct piece *p;

	LIST_FOREACH(p, &l->pieces, link)
		if (p->whole && p->region == region && p->ro == ro)
			return p;
	return NULL;
}

static struct piece *piece_at(struct local *l, const void *addr, size_t *slot)
{
	uintptr_t a = (uintptr_t)addr;
	struct piece *p;

	LIST_FOREACH(p, &l->pieces, link) {
		if (a < (uintptr_t)p->mem || a - (uintptr_t)p->mem >= p->npages * BH_PAGE_SIZE)
			continue;
		*slot = (a - (uintptr_t)p->mem) >> BH_PAGE_SHIFT;
		return a % BH_PAGE_SIZE ? NULL : p;
	}
	return NULL;
}

/* Maps npages of a region from page `first` on; nothing is populated, since only touched pages cost at a death. */
static struct piece *piece_new(struct local *l, int fd, const struct hub_ent *e, uint32_t first, uint32_t npages)
{
	size_t self = sizeof(struct piece) + npages * sizeof(struct piece_slot);
	struct piece *p = mmap(NULL, self, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *mem;

	if (p == MAP_FAILED)
		return NULL;
	mem = mmap(NULL, npages * BH_PAGE_SIZE, e->ro ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)(first * BH_PAGE_SIZE));
	if (mem == MAP_FAILED) {
		munmap(p, self);
		return NULL;
	}
	p->mem = mem;
	p->npages = npages;
	p->self_bytes = self;
	p->region = e->region;
	p->first = first;
	p->whole = npages == e->npages;
	p->ro = e->ro;
	LIST_INSERT_HEAD(&l->pieces, p, link);
	return p;
}

static void piece_end(struct piece *p)
{
	LIST_REMOVE(p, link);
	munmap(p->mem, p->npages * BH_PAGE_SIZE);
	munmap(p, p->self_bytes);
}

/* Lets all idle regions go when they have become many: their guest may be gone for long. */
static void trim(struct local *l)
{
	union hub_buf q = {.m = {.op = HUB_FORGET}};
	struct piece *p, *next;
	unsigned idle = 0;

	LIST_FOREACH(p, &l->pieces, link)
		idle += p->whole && !p->used;
	if (idle <= IDLE_MAX)
		return;
	for (p = LIST_FIRST(&l->pieces); p && q.m.nent < HV_BATCH_MAX; p = next) {
		next = LIST_NEXT(p, link);
		if (!p->whole || p->used)
			continue;
		q.m.ent[q.m.nent++] = (struct hub_ent){.region = p->region, .ro = p->ro};
		piece_end(p);
	}
	local_ask(l, &q, NULL, NULL);
}

/* ---- asking the hub where grants are */

static int broken(struct local *l, const char *what)
{
	log_error("the hub's conversation is broken off: %s", what);
	l->lost = true;
	return -ECONNRESET;
}

/* Takes the fds of one answer: each stands for the next (region, ro) that has no piece yet. keep: see locate(). */
static int take_regions(struct local *l, const struct hub_msg *m, const uint16_t *at, int *fds, size_t nfds, int *keep)
{
	size_t used = 0;
	int rc = 0;

	for (uint32_t i = 0; i < m->nent && !rc; i++) {
		const struct hub_ent *e = &m->ent[i];

		if (e->status || piece_find(l, e->region, e->ro))
			continue;
		if (used == nfds || e->page >= e->npages)
			rc = broken(l, "an answer without the region's memory");
		else if (!piece_new(l, fds[used], e, 0, e->npages))
			rc = broken(l, "no address space for a region of guest memory");
		else if (keep)
			keep[at[i]] = fds[used++];
		else
			close(fds[used++]);
	}
	while (used < nfds)
		close(fds[used++]);
	return rc;
}

/* Asks about e[], filling status, region, page and npages; the regions of those with status 0 are mapped afterwards.
 * keep: NULL, or for each entry -1, replaced by a descriptor of its region if one came with it (the caller's). */
static int locate(struct local *l, enum hub_op op, struct hub_ent *e, size_t n, int *keep)
{
	uint16_t at[HV_BATCH_MAX];
	int fds[HUB_FDS_MAX], rc = 0;

	trim(l);
	for (size_t i = 0; i < n; i++)
		e[i].status = -EAGAIN;
	for (size_t round = 0; !rc && round <= n; round++) {
		union hub_buf q = {.m = {.op = op}};
		size_t nfds = HUB_FDS_MAX;

		for (size_t i = 0; i < n; i++) {
			if (e[i].status != -EAGAIN)
				continue;
			at[q.m.nent] = (uint16_t)i;
			q.m.ent[q.m.nent++] = e[i];
		}
		if (!q.m.nent)
			return 0;
		rc = local_ask(l, &q, fds, &nfds);
		if (!rc)
			rc = take_regions(l, &q.m, at, fds, nfds, keep);
		for (uint32_t i = 0; i < q.m.nent && !rc; i++)
			e[at[i]] = q.m.ent[i];
	}
	return rc ? rc : broken(l, "it does not get done with a batch");
}

static void hub_unmap(struct local *l, const hv_gref_t *grefs, size_t n)
{
	union hub_buf q = {.m = {.op = HUB_UNMAP, .nent = (uint16_t)n}};

	for (size_t i = 0; i < n; i++)
		q.m.ent[i] = (struct hub_ent){.gref = grefs[i]};
	if (n)
		local_ask(l, &q, NULL, NULL);
}

/* A descriptor of the region in which e lies, which is mapped already; negative on failure. */
static int region_fd(struct local *l, const struct hub_ent *e)
{
	union hub_buf q = {.m = {.op = HUB_FORGET, .nent = 1}};
	size_t nfds = 1;
	int fd, rc;

	q.m.ent[0] = *e;
	rc = local_ask(l, &q, NULL, NULL);
	if (rc)
		return rc;
	q.m = (struct hub_msg){.op = HUB_COPY, .nent = 1};
	q.m.ent[0] = (struct hub_ent){.gref = e->gref, .ro = e->ro};
	rc = local_ask(l, &q, &fd, &nfds);
	if (!rc && nfds == 1)
		return fd;
	if (!rc)
		rc = q.m.ent[0].status; /* its frontend has died meanwhile */
	return rc ? rc : broken(l, "an answer without the region's memory");
}

/* ---- map */

static void *slot_take(struct piece *p, size_t i, hv_gref_t gref)
{
	struct piece_slot *s = &p->slot[i];

	if (s->times && s->gref != gref)
		return NULL;
	p->used += s->times == 0;
	s->gref = gref;
	s->times++;
	return p->mem + i * BH_PAGE_SIZE;
}

/* The address that stands for gref: in its region, or, when another gref of the same page has that, a page apart. */
static void *place(struct local *l, const struct hub_ent *e)
{
	struct piece *p = piece_find(l, e->region, e->ro);
	void *addr = slot_take(p, e->page, e->gref);
	int fd;

	if (addr)
		return addr;
	LIST_FOREACH(p, &l->pieces, link)
		if (!p->whole && p->region == e->region && p->first == e->page && p->ro == e->ro &&
		    p->slot[0].gref == e->gref)
			return slot_take(p, 0, e->gref);
	fd = region_fd(l, e);
	if (fd < 0)
		return NULL;
	p = piece_new(l, fd, e, e->page, 1);
	close(fd);
	return p ? slot_take(p, 0, e->gref) : NULL;
}

int local_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	struct local *l = local_of(hv);
	struct hub_ent e[HV_BATCH_MAX];
	int rc;

	(void)dom;
	for (size_t i = 0; i < n; i++)
		e[i] = (struct hub_ent){.gref = m[i].gref, .ro = m[i].ro};
	pthread_mutex_lock(&l->lock);
	rc = locate(l, HUB_MAP, e, n, NULL);
	for (size_t i = 0; i < n && !rc; i++) {
		m[i].status = e[i].status;
		if (m[i].status)
			continue;
		m[i].addr = place(l, &e[i]);
		if (!m[i].addr) {
			hub_unmap(l, &m[i].gref, 1);
			m[i].status = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

size_t local_unmap(struct hv *hv, void *const *addr, size_t n)
{
	struct local *l = local_of(hv);
	hv_gref_t grefs[HV_BATCH_MAX];
	size_t done = 0, i;

	pthread_mutex_lock(&l->lock);
	for (size_t k = 0; k < n; k++) {
		struct piece *p = piece_at(l, addr[k], &i);

		if (!p || !p->slot[i].times)
			continue;
		grefs[done++] = p->slot[i].gref;
		if (--p->slot[i].times)
			continue;
		if (--p->used == 0 && !p->whole)
			piece_end(p);
	}
	hub_unmap(l, grefs, done);
	pthread_mutex_unlock(&l->lock);
	return done;
}

/* ---- rings */

/* Maps the pages e[] one after the other at mem; keep[] as from locate(). */
static int ring_fill(struct local *l, char *mem, const struct hub_ent *e, size_t n, int *keep)
{
	for (size_t i = 0, run; i < n; i += run) {
		int fd = -1;
		void *got;

		for (run = 1; i + run < n && e[i + run].region == e[i].region && e[i + run].page == e[i].page + run;)
			run++;
		for (size_t k = 0; k < n; k++)
			if (keep[k] >= 0 && e[k].region == e[i].region)
				fd = keep[k];
		if (fd < 0)
			fd = keep[i] = region_fd(l, &e[i]);
		if (fd < 0)
			return fd;
		got = mmap(mem + i * BH_PAGE_SIZE, run * BH_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, (off_t)(e[i].page * BH_PAGE_SIZE));
		if (got == MAP_FAILED)
			return -ENOMEM;
	}
	return 0;
}

static int ring_map(struct local *l, struct ring_map *r, const struct hub_ent *e, int *keep)
{
	size_t bytes = r->npages * BH_PAGE_SIZE;
	int rc;

	r->mem = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->mem == MAP_FAILED)
		return -ENOMEM;
	rc = ring_fill(l, r->mem, e, r->npages, keep);
	if (rc)
		munmap(r->mem, bytes);
	return rc;
}

/* With the lock held. */
static int ring_try(struct local *l, struct ring_map *r)
{
	struct hub_ent e[HV_RING_PAGES_MAX];
	hv_gref_t mapped[HV_RING_PAGES_MAX];
	int keep[HV_RING_PAGES_MAX], rc;
	size_t n = 0;

	for (size_t i = 0; i < r->npages; i++) {
		e[i] = (struct hub_ent){.gref = r->gref[i]};
		keep[i] = -1;
	}
	rc = locate(l, HUB_MAP, e, r->npages, keep);
	if (rc)
		return rc;
	for (size_t i = 0; i < r->npages; i++) {
		if (e[i].status == 0)
			mapped[n++] = r->gref[i];
		else if (!rc)
			rc = e[i].status;
	}
	if (!rc)
		rc = ring_map(l, r, e, keep);
	if (rc)
		hub_unmap(l, mapped, n);
	for (size_t i = 0; i < r->npages; i++)
		if (keep[i] >= 0)
			close(keep[i]);
	return rc;
}

int local_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out)
{
	struct local *l = local_of(hv);
	struct ring_map *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	(void)dom;
	if (r == MAP_FAILED)
		return -ENOMEM;
	r->npages = npages;
	memcpy(r->gref, grefs, npages * sizeof(*grefs));
	pthread_mutex_lock(&l->lock);
	rc = ring_try(l, r);
	if (!rc) {
		LIST_INSERT_HEAD(&l->rings, r, link);
		*out = r->mem;
	}
	pthread_mutex_unlock(&l->lock);
	if (rc)
		munmap(r, sizeof(*r));
	return rc;
}

static void ring_end(struct ring_map *r)
{
	LIST_REMOVE(r, link);
	munmap(r->mem, r->npages * BH_PAGE_SIZE);
	munmap(r, sizeof(*r));
}

int local_unmap_ring(struct hv *hv, void *ring, size_t npages)
{
	struct local *l = local_of(hv);
	hv_gref_t grefs[HV_RING_PAGES_MAX];
	struct ring_map *r;

	pthread_mutex_lock(&l->lock);
	LIST_FOREACH(r, &l->rings, link)
		if (r->mem == ring && r->npages == npages)
			break;
	if (r) {
		memcpy(grefs, r->gref, sizeof(grefs));
		ring_end(r);
		hub_unmap(l, grefs, npages);
	}
	pthread_mutex_unlock(&l->lock);
	return r ? 0 : -EINVAL;
}

/* ---- copy */

/* Where the page of e's gref is, by the table; the status is the one that the hub would give (hub_mem.c, judge()). */
static void look_up(const struct local *l, struct hub_ent *e)
{
	uint32_t i = e->gref - HUB_GREF_FIRST; /* a small gref becomes a huge one */
	/* Pairs with the smp_store_release in publish() (hub_mem.c). */
	uint64_t w = i < HUB_DOM_GRANTS ? smp_load_acquire(&l->table[i]) : 0;

	if (!(w & HUB_WORD_LIVE))
		e->status = -EINVAL;
	else if (hub_word_dom(w) != l->hv.domid || ((w & HUB_WORD_RO) && !e->ro))
		e->status = -EACCES;
	else
		e->status = 0;
	e->region = hub_word_region(w);
	e->page = hub_word_page(w);
}

static struct piece *piece_of(struct local *l, const struct hub_ent *e)
{
	return e->status ? NULL : piece_find(l, e->region, e->ro);
}

/* Where the pages of e[] are, and in which piece; NULL for those with a status. The hub is asked only for the memory of a region that is
 * new here, so that data does not wait for it. */
static int find_pages(struct local *l, struct hub_ent *e, struct piece **p, size_t n)
{
	bool known = true;
	int rc;

	for (size_t i = 0; i < n; i++) {
		look_up(l, &e[i]);
		p[i] = piece_of(l, &e[i]);
		known = known && (e[i].status || p[i]);
	}
	if (known)
		return 0;
	rc = locate(l, HUB_COPY, e, n, NULL);
	for (size_t i = 0; i < n && !rc; i++)
		p[i] = piece_of(l, &e[i]);
	return rc;
}

int local_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	struct local *l = local_of(hv);
	struct hub_ent e[HV_BATCH_MAX];
	struct piece *p[HV_BATCH_MAX];
	int rc;

	(void)dom;
	for (size_t i = 0; i < n; i++)
		e[i] = (struct hub_ent){.gref = c[i].gref, .ro = !c[i].to_guest};
	pthread_mutex_lock(&l->lock);
	rc = l->lost ? -ECONNRESET : find_pages(l, e, p, n);
	for (size_t i = 0; i < n && !rc; i++) {
		c[i].status = e[i].status;
		if (p[i])
			p[i]->used++;
	}
	pthread_mutex_unlock(&l->lock);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (p[i] && c[i].to_guest)
			memcpy(p[i]->mem + e[i].page * BH_PAGE_SIZE + c[i].off, c[i].local, c[i].len);
		else if (p[i])
			memcpy(c[i].local, p[i]->mem + e[i].page * BH_PAGE_SIZE + c[i].off, c[i].len);
	}
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++)
		if (p[i])
			p[i]->used--;
	pthread_mutex_unlock(&l->lock);
	return 0;
}

void local_unmap_all(struct local *l)
{
	while (!LIST_EMPTY(&l->pieces))
		piece_end(LIST_FIRST(&l->pieces));
	while (!LIST_EMPTY(&l->rings))
		ring_end(LIST_FIRST(&l->rings));
}
