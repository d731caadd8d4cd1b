#include "tests/conform/conform_hv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct conform_hv *P;

/* One guest with a frontend, its stub and the supervisor. */
struct world {
	void *ctx;
	hv_domid_t dom;
	struct hv *fe, *be, *sup;
	char *mem; /* of fe: MEM_PAGES pages, page i holds byte i + 1 throughout */
};
#define MEM_PAGES 64

static struct hv *open_as(struct world *w, enum hv_role role, hv_domid_t guest, const char *name)
{
	struct hv_open o = {.role = role, .guest = guest, .domain = name};
	struct hv *hv;

	assert_int_equal(P->open(w->ctx, &o, &hv), 0);
	return hv;
}

static void *pages(struct hv *hv, size_t n, int first)
{
	void *m;

	assert_int_equal(hv_alloc(hv, n, &m), 0);
	for (size_t i = 0; i < n; i++)
		memset((char *)m + i * BH_PAGE_SIZE, first + (int)i, BH_PAGE_SIZE);
	return m;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->ctx = P->begin();
	w->dom = P->domain(w->ctx, "guest");
	w->fe = open_as(w, HV_FRONTEND, 0, "guest");
	w->be = open_as(w, HV_STUB, w->dom, NULL);
	w->sup = open_as(w, HV_SUPERVISOR, 0, NULL);
	w->mem = pages(w->fe, MEM_PAGES, 1);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hv_close(w->fe);
	hv_close(w->be);
	hv_close(w->sup);
	P->end(w->ctx);
	free(w);
	return 0;
}

static char *page(struct world *w, size_t i) { return w->mem + i * BH_PAGE_SIZE; }

static hv_gref_t grant(struct world *w, size_t i, bool ro)
{
	struct hv_grant g = {.page = page(w, i), .ro = ro};

	assert_int_equal(hv_grant(w->fe, 0, &g, 1), 0);
	return g.gref;
}

static void *map(struct world *w, hv_gref_t gref, bool ro)
{
	struct hv_map m = {.gref = gref, .ro = ro};

	assert_int_equal(hv_map(w->be, w->dom, &m, 1), 0);
	assert_int_equal(m.status, 0);
	return m.addr;
}

static void unmap(struct world *w, void *addr) { assert_int_equal(hv_unmap(w->be, &addr, 1), 0); }

/* What another process's end brings about comes soon, not at once. */
static void until(bool (*cond)(struct world *w, uintptr_t arg), struct world *w, uintptr_t arg)
{
	for (int tries = 25000; !cond(w, arg); tries--) { /* five seconds */
		const struct timespec t = {.tv_nsec = 200 * 1000};

		assert_true(tries);
		nanosleep(&t, NULL);
	}
}

static void assert_usage(struct hv *hv, uint32_t mapped, uint32_t granted, uint32_t ports)
{
	struct hv_usage u = hv_usage(hv);

	assert_int_equal(u.mapped, mapped);
	assert_int_equal(u.granted, granted);
	assert_int_equal(u.ports, ports);
}

/* ---- opening */

static void open_reports_what_is_wrong(void **state)
{
	struct world *w = *state;
	struct hv *hv;
	struct hv_open nobody = {.role = HV_FRONTEND, .domain = "nobody"};
	struct hv_open gone = {.role = HV_STUB, .guest = 4000};

	assert_int_equal(P->open(w->ctx, &nobody, &hv), -ENOENT);
	assert_null(hv);
	assert_int_equal(P->open(w->ctx, &gone, &hv), -ENOENT);
	assert_int_equal(hv_domid(w->fe), w->dom);
	assert_int_equal(hv_domid(w->be), 0);
	hv_close(NULL);
}

static void roles_are_kept_apart(void **state)
{
	struct world *w = *state;
	hv_gref_t g = grant(w, 0, false);
	struct hv_map m = {.gref = g};
	struct hv_copy c = {.gref = g};
	struct hv_grant gr = {.page = w->mem};
	struct hv_port *p;
	void *v;

	assert_int_equal(hv_map(w->fe, w->dom, &m, 1), -EPERM);
	assert_int_equal(m.status, -EPERM);
	assert_int_equal(hv_map(w->sup, w->dom, &m, 1), -EPERM);
	assert_int_equal(hv_copy(w->sup, w->dom, &c, 1), -EPERM);
	assert_int_equal(hv_map_ring(w->sup, w->dom, &g, 1, &v), -EPERM);
	assert_int_equal(hv_alloc(w->be, 1, &v), -EPERM);
	assert_int_equal(hv_grant(w->be, 0, &gr, 1), -EPERM);
	assert_int_equal(hv_ungrant(w->be, &g, 1, NULL), -EPERM);
	assert_int_equal(hv_port_alloc(w->be, 0, &p), -EPERM);
	assert_int_equal(hv_port_bind(w->be, w->dom, 1, &p), -EPERM);
	assert_int_equal(hv_domain_state(w->be, w->dom), -EPERM);
	assert_int_equal(hv_ungrant(w->fe, &g, 1, NULL), 0);
}

/* ---- map */

static void mapped_pages_are_shared(void **state)
{
	struct world *w = *state;
	hv_gref_t a = grant(w, 3, false), b = grant(w, 9, false);
	char *x = map(w, a, false), *y = map(w, b, false);

	assert_int_equal(x[0], 4);
	assert_int_equal(y[BH_PAGE_SIZE - 1], 10);
	x[17] = 77;
	page(w, 9)[5] = 55;
	assert_int_equal(page(w, 3)[17], 77);
	assert_int_equal(y[5], 55);
	assert_usage(w->be, 2, 0, 0);
	assert_usage(w->fe, 0, 2, 0);
	unmap(w, x);
	unmap(w, y);
	assert_int_equal(hv_unmap(w->be, (void *[]){x}, 1), -EINVAL);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b}, 2, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
	assert_usage(w->fe, 0, 0, 0);
}

static void some_of_a_batch_may_fail(void **state)
{
	struct world *w = *state;
	hv_gref_t good = grant(w, 1, false), ro = grant(w, 2, true);
	struct hv_grant other = {.page = page(w, 3)};
	struct hv_map m[5];
	void *addr[3];

	assert_int_equal(hv_grant(w->fe, 77, &other, 1), 0); /* for another domain than the stub's */
	m[0] = (struct hv_map){.gref = good};
	m[1] = (struct hv_map){.gref = 99999};
	m[2] = (struct hv_map){.gref = ro};
	m[3] = (struct hv_map){.gref = other.gref, .ro = true};
	m[4] = (struct hv_map){.gref = ro, .ro = true};
	assert_int_equal(hv_map(w->be, w->dom, m, 5), -EIO);
	assert_int_equal(m[0].status, 0);
	assert_int_equal(m[1].status, -EINVAL);
	assert_int_equal(m[2].status, -EACCES);
	assert_int_equal(m[3].status, -EACCES);
	assert_int_equal(m[4].status, 0);
	assert_null(m[1].addr);
	assert_null(m[2].addr);
	assert_int_equal(*(char *)m[0].addr, 2);
	assert_int_equal(*(char *)m[4].addr, 3);
	assert_usage(w->be, 2, 0, 0);
	addr[0] = m[0].addr;
	addr[1] = page(w, 60) + 1; /* not ours: the rest is released all the same */
	addr[2] = m[4].addr;
	assert_int_equal(hv_unmap(w->be, addr, 3), -EINVAL);
	assert_usage(w->be, 0, 0, 0);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){good, ro, other.gref}, 3, NULL), 0);
	for (hv_gref_t g = 0; g < 8; g++) /* reserved ones and edges */
		assert_int_equal(hv_map(w->be, w->dom, &(struct hv_map){.gref = g}, 1), -EIO);
	assert_int_equal(hv_map(w->be, w->dom, &(struct hv_map){.gref = UINT32_MAX}, 1), -EIO);
}

static void batches_have_a_limit(void **state)
{
	static struct hv_map m[HV_BATCH_MAX + 1];
	static struct hv_grant g[HV_BATCH_MAX + 1];
	static struct hv_copy c[HV_BATCH_MAX + 1];
	static void *addr[HV_BATCH_MAX + 1];
	static hv_gref_t grefs[HV_BATCH_MAX + 1];
	struct world *w = *state;

	for (size_t i = 0; i <= HV_BATCH_MAX; i++)
		g[i].page = page(w, i % MEM_PAGES);
	assert_int_equal(hv_grant(w->fe, 0, g, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_grant(w->fe, 0, g, HV_BATCH_MAX), 0);
	for (size_t i = 0; i < HV_BATCH_MAX; i++)
		m[i].gref = c[i].gref = grefs[i] = g[i].gref;
	assert_int_equal(hv_map(w->be, w->dom, m, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(m[0].status, -E2BIG);
	assert_int_equal(hv_copy(w->be, w->dom, c, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_map(w->be, w->dom, m, HV_BATCH_MAX), 0);
	for (size_t i = 0; i < HV_BATCH_MAX; i++) {
		addr[i] = m[i].addr;
		assert_int_equal(*(char *)addr[i], 1 + (int)(i % MEM_PAGES));
	}
	assert_int_equal(hv_unmap(w->be, addr, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_unmap(w->be, addr, HV_BATCH_MAX), 0);
	assert_int_equal(hv_ungrant(w->fe, grefs, HV_BATCH_MAX + 1, NULL), -E2BIG);
	assert_int_equal(hv_ungrant(w->fe, grefs, HV_BATCH_MAX, NULL), 0);
	assert_int_equal(hv_map(w->be, w->dom, m, 0), 0);
	assert_int_equal(hv_copy(w->be, w->dom, c, 0), 0);
	assert_int_equal(hv_unmap(w->be, addr, 0), 0);
	assert_int_equal(hv_grant(w->fe, 0, g, 0), 0);
	assert_int_equal(hv_ungrant(w->fe, grefs, 0, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
}

static void another_domain_cannot_be_mapped(void **state)
{
	struct world *w = *state;
	hv_domid_t other = P->domain(w->ctx, "other");
	struct hv *fe = open_as(w, HV_FRONTEND, 0, "other");
	struct hv_grant g = {.page = pages(fe, 1, 99)};
	struct hv_map m = {0};
	hv_gref_t mine;

	assert_int_equal(hv_grant(fe, 0, &g, 1), 0);
	m.gref = g.gref;
	assert_int_equal(hv_map(w->be, other, &m, 1), -EPERM);
	/* The same number in the stub's own guest is another page, or none. */
	assert_int_equal(hv_map(w->be, w->dom, &m, 1), -EIO);
	assert_int_equal(m.status, -EINVAL);
	mine = grant(w, 0, false);
	assert_int_equal(mine, g.gref);
	assert_int_equal(*(char *)map(w, mine, true), 1);
	/* Nor can one guest use the pages of another, or end its grants. */
	assert_int_equal(hv_grant(fe, 0, &(struct hv_grant){.page = w->mem}, 1), -EINVAL);
	hv_close(fe);
}

static void one_page_may_be_mapped_often(void **state)
{
	struct world *w = *state;
	hv_gref_t a = grant(w, 5, false), b = grant(w, 5, false), c = grant(w, 5, true);
	void *a1, *a2, *b1, *c1;
	int16_t st[3];

	assert_int_not_equal(a, b);
	a1 = map(w, a, false);
	a2 = map(w, a, false);
	b1 = map(w, b, false);
	c1 = map(w, c, true);
	assert_ptr_not_equal(a1, b1);
	assert_ptr_not_equal(a1, c1);
	*(char *)b1 = 42;
	assert_int_equal(*(char *)a1, 42);
	assert_int_equal(*(char *)c1, 42);
	unmap(w, a1);
	unmap(w, c1);
	/* a is mapped once more, b as well, c is not. */
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b, c}, 3, st), -EBUSY);
	assert_int_equal(st[0], -EBUSY);
	assert_int_equal(st[1], -EBUSY);
	assert_int_equal(st[2], 0);
	unmap(w, a2);
	unmap(w, b1);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b}, 2, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
	assert_usage(w->fe, 0, 0, 0);
}

/* ---- rings */

static void rings_are_contiguous_over_scattered_pages(void **state)
{
	static const size_t order[4] = {40, 3, 4, 17};
	struct world *w = *state;
	char *elsewhere = pages(w->fe, 2, 100), *ring;
	hv_gref_t g[6];
	struct hv_grant e = {.page = elsewhere + BH_PAGE_SIZE};
	void *v, *data;

	for (int i = 0; i < 4; i++)
		g[i] = grant(w, order[i], false);
	assert_int_equal(hv_grant(w->fe, 0, &e, 1), 0);
	g[4] = e.gref;
	g[5] = grant(w, 63, false);
	data = map(w, g[1], false); /* may be mapped as data besides */
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 6, &v), 0);
	ring = v;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(ring[i * BH_PAGE_SIZE], i < 4 ? (int)order[i] + 1 : i == 4 ? 101 : 64);
	/* Over the seam of two pages, as a struct in a multi-page ring lies. */
	memset(ring + BH_PAGE_SIZE - 4, 9, 8);
	assert_int_equal(page(w, 40)[BH_PAGE_SIZE - 1], 9);
	assert_int_equal(page(w, 3)[3], 9);
	assert_int_equal(page(w, 3)[4], 4);
	assert_int_equal(((char *)data)[0], 9);
	assert_usage(w->be, 7, 0, 0);
	assert_int_equal(hv_unmap_ring(w->be, ring, 5), -EINVAL);
	assert_int_equal(hv_unmap(w->be, &v, 1), -EINVAL);
	assert_int_equal(hv_ungrant(w->fe, &g[5], 1, NULL), -EBUSY);
	assert_int_equal(hv_unmap_ring(w->be, ring, 6), 0);
	assert_int_equal(hv_unmap_ring(w->be, ring, 6), -EINVAL);
	unmap(w, data);
	assert_int_equal(hv_ungrant(w->fe, g, 6, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
}

static void rings_are_all_or_nothing(void **state)
{
	struct world *w = *state;
	hv_gref_t g[3] = {grant(w, 1, false), grant(w, 2, true), grant(w, 3, false)}, many[HV_RING_PAGES_MAX + 1];
	void *v = w;

	assert_int_equal(hv_map_ring(w->be, w->dom, g, 3, &v), -EACCES); /* one is for reading only */
	assert_null(v);
	assert_usage(w->be, 0, 0, 0);
	assert_int_equal(hv_ungrant(w->fe, g, 2, NULL), 0); /* nothing stayed mapped */
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 3, &v), -EINVAL);
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 0, &v), -EINVAL);
	assert_int_equal(hv_map_ring(w->be, 4711, g, 1, &v), -EPERM);
	for (size_t i = 0; i <= HV_RING_PAGES_MAX; i++)
		many[i] = grant(w, i, false);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, HV_RING_PAGES_MAX + 1, &v), -E2BIG);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, HV_RING_PAGES_MAX, &v), 0);
	assert_int_equal(hv_unmap_ring(w->be, v, HV_RING_PAGES_MAX), 0);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, 1, &v), 0);
	assert_int_equal(*(char *)v, 1);
	assert_int_equal(hv_unmap_ring(w->be, v, 1), 0);
}

/* ---- copy */

static void copies_go_both_ways_inside_a_page(void **state)
{
	struct world *w = *state;
	hv_gref_t rw = grant(w, 10, false), ro = grant(w, 11, true);
	char buf[BH_PAGE_SIZE], out[64];
	struct hv_copy c[6] = {
		{.gref = rw, .off = 100, .len = 50, .to_guest = true, .local = out},
		{.gref = ro, .off = 0, .len = BH_PAGE_SIZE, .local = buf},
		{.gref = ro, .off = 0, .len = 1, .to_guest = true, .local = out},
		{.gref = rw, .off = 1, .len = BH_PAGE_SIZE, .local = buf},
		{.gref = 12345, .off = 0, .len = 1, .local = buf},
		{.gref = rw, .off = BH_PAGE_SIZE - 1, .len = 1, .to_guest = true, .local = out},
	};

	memset(out, 7, sizeof(out));
	assert_int_equal(hv_copy(w->be, w->dom, c, 6), -EIO);
	assert_int_equal(c[0].status, 0);
	assert_int_equal(c[1].status, 0);
	assert_int_equal(c[2].status, -EACCES);
	assert_int_equal(c[3].status, -EINVAL); /* runs out of the page */
	assert_int_equal(c[4].status, -EINVAL);
	assert_int_equal(c[5].status, 0);
	assert_int_equal(page(w, 10)[99], 11);
	assert_int_equal(page(w, 10)[100], 7);
	assert_int_equal(page(w, 10)[149], 7);
	assert_int_equal(page(w, 10)[150], 11);
	assert_int_equal(page(w, 10)[BH_PAGE_SIZE - 1], 7);
	assert_int_equal(page(w, 11)[0], 12);
	assert_int_equal(buf[BH_PAGE_SIZE - 1], 12);
	assert_int_equal(hv_copy(w->be, w->dom, c, 2), 0);
	assert_int_equal(hv_copy(w->be, 4711, c, 1), -EPERM);
	assert_int_equal(c[0].status, -EPERM);
	assert_usage(w->be, 0, 0, 0);
	/* A copy leaves nothing mapped, and an ended grant is not copied from. */
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){rw, ro}, 2, NULL), 0);
	assert_int_equal(hv_copy(w->be, w->dom, c, 2), -EIO);
	assert_int_equal(c[0].status, -EINVAL);
}

/* ---- frontend */

static void memory_is_zeroed_and_bounded(void **state)
{
	struct world *w = *state;
	char *m;
	void *v;

	assert_int_equal(hv_alloc(w->fe, 0, &v), -EINVAL);
	assert_int_equal(hv_alloc(w->fe, HV_REGION_MAX / BH_PAGE_SIZE + 1, &v), -E2BIG);
	m = pages(w->fe, 8, 50);
	assert_int_equal(hv_free(w->fe, m, 7), -EINVAL);
	assert_int_equal(hv_free(w->fe, m, 8), 0);
	assert_int_equal(hv_alloc(w->fe, 8, &v), 0);
	m = v;
	for (size_t i = 0; i < 8 * BH_PAGE_SIZE; i++)
		assert_int_equal(m[i], 0);
	assert_int_equal(hv_free(w->fe, m, 8), 0);
	assert_int_equal(hv_free(w->fe, m, 8), -EINVAL);
}

static void granted_memory_is_not_freed(void **state)
{
	struct world *w = *state;
	void *m = pages(w->fe, 2, 50);
	struct hv_grant g = {.page = m};

	assert_int_equal(hv_grant(w->fe, 0, &g, 1), 0);
	assert_int_equal(hv_free(w->fe, m, 2), -EBUSY);
	assert_int_equal(hv_ungrant(w->fe, &g.gref, 1, NULL), 0);
	assert_int_equal(hv_free(w->fe, m, 2), 0);
}

static void grants_are_all_or_nothing(void **state)
{
	struct world *w = *state;
	char stack;
	struct hv_grant g[2] = {{.page = page(w, 0)}, {.page = &stack}};
	hv_gref_t a, b;
	int16_t st[2];

	assert_int_equal(hv_grant(w->fe, 0, g, 2), -EINVAL);
	g[1].page = page(w, 0) + 8; /* inside a page */
	assert_int_equal(hv_grant(w->fe, 0, g, 2), -EINVAL);
	assert_usage(w->fe, 0, 0, 0);
	assert_int_equal(P->total(w->ctx, w->dom).granted, 0);
	a = grant(w, 0, false);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, 4242}, 2, st), -EINVAL);
	assert_int_equal(st[0], 0);
	assert_int_equal(st[1], -EINVAL);
	/* A number comes back, and then stands for the new page. */
	b = grant(w, 30, false);
	assert_int_equal(b, a);
	assert_int_equal(*(char *)map(w, b, true), 31);
}

static void a_mapped_grant_cannot_be_ended(void **state)
{
	struct world *w = *state;
	hv_gref_t g[2] = {grant(w, 0, false), grant(w, 1, false)};
	void *m = map(w, g[0], false);
	int16_t st[2];

	assert_int_equal(hv_ungrant(w->fe, g, 2, st), -EBUSY);
	assert_int_equal(st[0], -EBUSY);
	assert_int_equal(st[1], 0);
	assert_usage(w->fe, 0, 1, 0);
	*(char *)m = 33; /* still whole */
	assert_int_equal(page(w, 0)[0], 33);
	unmap(w, m);
	assert_int_equal(hv_ungrant(w->fe, g, 1, st), 0);
}

/* ---- deaths */

static bool ungrants(struct world *w, uintptr_t gref)
{
	hv_gref_t g = (hv_gref_t)gref;

	return hv_ungrant(w->fe, &g, 1, NULL) == 0;
}

static void a_dead_stub_maps_nothing(void **state)
{
	struct world *w = *state;
	hv_gref_t g[3] = {grant(w, 0, false), grant(w, 1, false), grant(w, 2, false)};
	void *v;

	map(w, g[0], false);
	map(w, g[0], true);
	assert_int_equal(hv_map_ring(w->be, w->dom, g + 1, 2, &v), 0);
	P->kill(w->ctx, w->be);
	for (int i = 0; i < 3; i++)
		until(ungrants, w, g[i]);
	w->be = open_as(w, HV_STUB, w->dom, NULL);
	g[0] = grant(w, 0, false);
	assert_int_equal(*(char *)map(w, g[0], false), 1);
}

/* No port is left, and no grant but n that are still mapped. */
static bool all_ended(struct world *w, uintptr_t n)
{
	struct hv_usage u = P->total(w->ctx, w->dom);

	return u.granted == n && u.ports == 0;
}

static void a_dead_frontend_leaves_the_mapped_pages(void **state)
{
	struct world *w = *state;
	hv_gref_t a = grant(w, 7, false);
	struct hv_map again = {.gref = a};
	char *m = map(w, a, false), *fresh;
	struct hv_grant g;

	grant(w, 8, false); /* never mapped */
	P->kill(w->ctx, w->fe);
	w->fe = open_as(w, HV_FRONTEND, 0, "guest");
	until(all_ended, w, 1);
	assert_int_equal(m[0], 8);
	m[1] = 1; /* no fault */
	assert_int_equal(hv_map(w->be, w->dom, &again, 1), -EIO);
	assert_int_equal(again.status, -EINVAL);
	/* The successor's pages are others, and its grants do not take the number that is still mapped. */
	fresh = pages(w->fe, 4, 60);
	for (int i = 0; i < 4; i++) {
		g = (struct hv_grant){.page = fresh + (size_t)i * BH_PAGE_SIZE};
		assert_int_equal(hv_grant(w->fe, 0, &g, 1), 0);
		assert_int_not_equal(g.gref, a);
	}
	assert_int_equal(m[0], 8);
	assert_int_equal(P->total(w->ctx, w->dom).granted, 5);
	unmap(w, m);
	assert_int_equal(P->total(w->ctx, w->dom).granted, 4);
	assert_usage(w->be, 0, 0, 0);
}

static bool is_gone(struct world *w, uintptr_t dom) { return hv_domain_state(w->sup, (hv_domid_t)dom) == 0; }

static void a_destroyed_domain_is_gone(void **state)
{
	struct world *w = *state;
	hv_domid_t dom = P->domain(w->ctx, "shortlived"), next;
	struct hv *fe = open_as(w, HV_FRONTEND, 0, "shortlived"), *be = open_as(w, HV_STUB, dom, NULL);
	struct hv_grant g = {.page = pages(fe, 1, 5)};
	struct hv_map m = {.ro = false}, n;
	struct hv_port *p, *q;

	assert_int_equal(hv_domain_state(w->sup, dom), 1);
	if (hv_features(w->sup) & HV_FEAT_DOMAIN_EVENTS) {
		struct pollfd f = {.fd = hv_domain_fd(w->sup), .events = POLLIN};

		assert_int_equal(poll(&f, 1, 5000), 1); /* the creation */
		hv_domain_clear(w->sup);
		assert_int_equal(poll(&f, 1, 0), 0);
	} else {
		assert_int_equal(hv_domain_fd(w->sup), -1);
	}
	assert_int_equal(hv_grant(fe, 0, &g, 1), 0);
	assert_int_equal(hv_port_alloc(fe, 0, &p), 0);
	m.gref = g.gref;
	assert_int_equal(hv_map(be, dom, &m, 1), 0);
	P->destroy(w->ctx, dom);
	until(is_gone, w, dom);
	if (hv_features(w->sup) & HV_FEAT_DOMAIN_EVENTS) {
		struct pollfd f = {.fd = hv_domain_fd(w->sup), .events = POLLIN};

		assert_int_equal(poll(&f, 1, 5000), 1);
		hv_domain_clear(w->sup);
	}
	*(char *)m.addr = 6; /* what was mapped stays */
	n = m;
	assert_int_equal(hv_map(be, dom, &n, 1), -EIO);
	assert_int_equal(n.status, -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, dom, hv_port_number(p), &q), -EINVAL);
	assert_int_equal(hv_unmap(be, &m.addr, 1), 0);
	next = P->domain(w->ctx, "shortlived"); /* the name is free, the number is not used again soon */
	assert_int_not_equal(next, dom);
	P->kill(w->ctx, fe);
	hv_close(be);
}

/* ---- ports */

static bool pending(struct world *w, struct hv_port *p, bool want)
{
	if (P->real_fds) {
		struct pollfd f = {.fd = hv_port_fd(p), .events = POLLIN};

		return poll(&f, 1, want ? 5000 : 0) == 1;
	}
	return P->pending(w->ctx, p);
}

static void events_reach_the_other_end_once(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_true(hv_port_number(fe) > 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	assert_false(pending(w, be, false));
	for (int i = 0; i < 3; i++)
		assert_int_equal(hv_port_notify(fe), 0);
	assert_true(pending(w, be, true));
	assert_false(pending(w, fe, false));
	assert_int_equal(hv_port_clear(be), 1); /* three were one */
	assert_int_equal(hv_port_clear(be), 0);
	assert_false(pending(w, be, false));
	assert_int_equal(hv_port_notify(be), 0);
	assert_true(pending(w, fe, true));
	assert_int_equal(hv_port_clear(fe), 1);
	assert_usage(w->fe, 0, 0, 1);
	assert_usage(w->sup, 0, 0, 1);
	hv_port_close(be);
	hv_port_close(fe);
	hv_port_close(NULL);
	assert_usage(w->fe, 0, 0, 0);
	assert_usage(w->sup, 0, 0, 0);
	assert_int_equal(P->total(w->ctx, w->dom).ports, 0);
}

static void events_before_the_bind_are_kept(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_notify(fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	assert_true(pending(w, be, true));
	assert_int_equal(hv_port_clear(be), 1);
}

static void binding_is_checked(void **state)
{
	struct world *w = *state;
	struct hv_port *mine, *other, *p;

	assert_int_equal(hv_port_alloc(w->fe, 0, &mine), 0);
	assert_int_equal(hv_port_alloc(w->fe, 55, &other), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, 0, &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, w->dom, 9999, &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, 4711, hv_port_number(mine), &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(other), &p), -EACCES);
	assert_null(p);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(mine), &p), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(mine), &other), -EBUSY);
	hv_port_close(mine); /* closes for both ends */
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(p), &other), -EINVAL);
	hv_port_close(p);
}

static struct hv_port *rebind_port;
static bool rebinds(struct world *w, uintptr_t remote)
{
	return hv_port_bind(w->sup, w->dom, (hv_evtchn_t)remote, &rebind_port) == 0;
}

static void no_event_is_lost_by_a_rebind(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be;
	hv_evtchn_t local;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	local = hv_port_number(be);
	assert_int_equal(hv_port_notify(fe), 0); /* pending, not seen yet */
	P->kill(w->ctx, w->sup);
	assert_int_equal(hv_port_notify(fe), 0); /* nobody is there */
	w->sup = open_as(w, HV_SUPERVISOR, 0, NULL);
	until(rebinds, w, hv_port_number(fe));
	assert_int_not_equal(hv_port_number(rebind_port), local);
	assert_true(pending(w, rebind_port, true));
	assert_int_equal(hv_port_clear(rebind_port), 1);
	assert_int_equal(hv_port_notify(rebind_port), 0);
	assert_true(pending(w, fe, true));
	hv_port_close(rebind_port);
	assert_int_equal(hv_port_notify(fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	assert_true(pending(w, be, true));
}

static void a_stub_adopts_what_the_supervisor_bound(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be, *adopted;
	int fds[HV_PORT_FDS];
	size_t n;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	for (int turn = 0; turn < 2; turn++) { /* one stub after the other */
		n = hv_port_fds(be, fds);
		assert_true(n >= 1 && n <= HV_PORT_FDS);
		for (size_t i = 0; i < n && P->real_fds; i++)
			fds[i] = dup(fds[i]);
		assert_int_equal(hv_port_notify(fe), 0); /* between two stubs */
		assert_int_equal(hv_port_adopt(w->be, fds, n, hv_port_number(be), &adopted), 0);
		assert_int_equal(hv_port_number(adopted), hv_port_number(be));
		assert_usage(w->be, 0, 0, 1);
		assert_true(pending(w, adopted, true));
		assert_int_equal(hv_port_clear(adopted), 1);
		assert_int_equal(hv_port_notify(adopted), 0);
		assert_true(pending(w, fe, true));
		assert_int_equal(hv_port_clear(fe), 1);
		P->kill(w->ctx, w->be);
		w->be = open_as(w, HV_STUB, w->dom, NULL);
	}
	assert_usage(w->be, 0, 0, 0);
}

static void close_releases_everything(void **state)
{
	struct world *w = *state;
	struct hv_port *p;

	assert_int_equal(hv_port_alloc(w->fe, 0, &p), 0);
	grant(w, 0, false);
	hv_close(w->fe); /* port and grant are still there */
	w->fe = open_as(w, HV_FRONTEND, 0, "guest");
	until(all_ended, w, 0);
}

/* ---- threads */

struct worker {
	pthread_t thread;
	struct world *w;
	hv_gref_t gref[8];
	int first, errors;
};

static void *work(void *arg)
{
	struct worker *k = arg;

	for (int round = 0; round < 200; round++) {
		struct hv_map m[8];
		struct hv_copy c[2];
		char in = 0, out = (char)round;
		void *addr[8];

		for (int i = 0; i < 8; i++)
			m[i] = (struct hv_map){.gref = k->gref[i], .ro = (round + i) % 2};
		k->errors += hv_map(k->w->be, k->w->dom, m, 8) != 0;
		for (int i = 0; i < 8; i++) {
			addr[i] = m[i].addr;
			k->errors += ((char *)m[i].addr)[100] != k->first + i;
		}
		c[0] = (struct hv_copy){.gref = k->gref[0], .off = 7, .len = 1, .to_guest = true, .local = &out};
		c[1] = (struct hv_copy){.gref = k->gref[0], .off = 7, .len = 1, .local = &in};
		k->errors += hv_copy(k->w->be, k->w->dom, c, 1) != 0;
		k->errors += hv_copy(k->w->be, k->w->dom, c + 1, 1) != 0 || in != out;
		k->errors += hv_unmap(k->w->be, addr, 8) != 0;
	}
	return NULL;
}

static void eight_threads_at_once(void **state)
{
	struct world *w = *state;
	struct worker k[8] = {0};
	hv_gref_t all[64];

	if (!P->threads)
		skip(); /* this provider is for one thread */
	for (int t = 0; t < 8; t++) {
		k[t].w = w;
		k[t].first = t * 8 + 1;
		for (int i = 0; i < 8; i++)
			all[t * 8 + i] = k[t].gref[i] = grant(w, (size_t)(t * 8 + i), false);
		assert_int_equal(pthread_create(&k[t].thread, NULL, work, &k[t]), 0);
	}
	for (int t = 0; t < 8; t++) {
		pthread_join(k[t].thread, NULL);
		assert_int_equal(k[t].errors, 0);
	}
	assert_usage(w->be, 0, 0, 0);
	assert_int_equal(hv_ungrant(w->fe, all, 64, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int conform_hv_run(const struct conform_hv *p)
{
	const struct CMUnitTest t[] = {
		T(open_reports_what_is_wrong),
		T(roles_are_kept_apart),
		T(mapped_pages_are_shared),
		T(some_of_a_batch_may_fail),
		T(batches_have_a_limit),
		T(another_domain_cannot_be_mapped),
		T(one_page_may_be_mapped_often),
		T(rings_are_contiguous_over_scattered_pages),
		T(rings_are_all_or_nothing),
		T(copies_go_both_ways_inside_a_page),
		T(memory_is_zeroed_and_bounded),
		T(granted_memory_is_not_freed),
		T(grants_are_all_or_nothing),
		T(a_mapped_grant_cannot_be_ended),
		T(a_dead_stub_maps_nothing),
		T(a_dead_frontend_leaves_the_mapped_pages),
		T(a_destroyed_domain_is_gone),
		T(events_reach_the_other_end_once),
		T(events_before_the_bind_are_kept),
		T(binding_is_checked),
		T(no_event_is_lost_by_a_rebind),
		T(a_stub_adopts_what_the_supervisor_bound),
		T(close_releases_everything),
		T(eight_threads_at_once),
	};

	P = p;
	return cmocka_run_group_tests_name(p->name, t, NULL, NULL);
}
