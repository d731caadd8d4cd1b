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

/* The guest's memory is reached by these alone: it may be another machine's. */
static char peek(const char *at) { return P->peek ? P->peek(at) : *at; }
static void fill(char *at, char byte, size_t n)
{
	if (P->fill)
		P->fill(at, byte, n);
	else
		memset(at, byte, n);
}

static void *pages(struct hv *hv, size_t n, int first)
{
	void *m;

	assert_int_equal(hv_alloc(hv, n, &m), 0);
	for (size_t i = 0; i < n; i++)
		fill((char *)m + i * BH_PAGE_SIZE, (char)(first + (int)i), BH_PAGE_SIZE);
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

static bool has(struct world *w, enum hv_feature f) { return hv_features(w->be) & f; }
/* Why a map or a bind was refused, as far as the provider says it. */
static int why(struct world *w, int reason) { return has(w, HV_FEAT_WHY) ? reason : -EINVAL; }

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

static void assert_total(struct world *w, uint32_t granted, uint32_t ports)
{
	struct hv_usage u;

	if (P->shared)
		return;
	u = P->total(w->ctx, w->dom);
	assert_int_equal(u.granted, granted);
	assert_int_equal(u.ports, ports);
}

static void assert_usage(struct hv *hv, uint32_t mapped, uint32_t granted, uint32_t ports)
{
	struct hv_usage u = hv_usage(hv);

	assert_int_equal(u.mapped, mapped);
	assert_int_equal(u.granted, granted);
	assert_int_equal(u.ports, ports);
}

#include "tests/conform/conform_hv_stub.c"

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
	for (size_t i = 0; i < 8 * BH_PAGE_SIZE; i += P->peek ? 1000 : 1)
		assert_int_equal(peek(m + i), 0);
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
	assert_total(w, 0, 0);
	a = grant(w, 0, false);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, 4242}, 2, st), -EINVAL);
	assert_int_equal(st[0], 0);
	assert_int_equal(st[1], -EINVAL);
	/* A number comes back, and then stands for the new page. */
	b = grant(w, 30, false);
	if (!P->shared)
		assert_int_equal(b, a);
	assert_int_equal(*(char *)map(w, b, true), 31);
}

static void a_mapped_grant_cannot_be_ended(void **state)
{
	struct world *w = *state;
	hv_gref_t g[2] = {grant(w, 0, false), grant(w, 1, false)};
	void *m = map(w, g[0], false);
	int16_t st[2];

	if (!has(w, HV_FEAT_BUSY)) { /* what is given back is another page; the other end keeps its own */
		assert_int_equal(hv_ungrant(w->fe, g, 2, NULL), 0);
		*(char *)m = 33;
		assert_int_equal(peek(page(w, 0)), 1);
		unmap(w, m);
		return;
	}
	assert_int_equal(hv_ungrant(w->fe, g, 2, st), -EBUSY);
	assert_int_equal(st[0], -EBUSY);
	assert_int_equal(st[1], 0);
	assert_usage(w->fe, 0, 1, 0);
	*(char *)m = 33; /* still whole */
	assert_int_equal(peek(page(w, 0)), 33);
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
	struct hv_usage u = P->shared ? (struct hv_usage){.granted = (uint32_t)n} : P->total(w->ctx, w->dom);

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
	if (has(w, HV_FEAT_BUSY)) {
		assert_int_equal(hv_map(w->be, w->dom, &again, 1), -EIO);
		assert_int_equal(again.status, -EINVAL);
	}
	/* The successor's pages are others, and its grants do not take the number that is still mapped. */
	fresh = pages(w->fe, 4, 60);
	for (int i = 0; i < 4; i++) {
		g = (struct hv_grant){.page = fresh + (size_t)i * BH_PAGE_SIZE};
		assert_int_equal(hv_grant(w->fe, 0, &g, 1), 0);
		assert_int_not_equal(g.gref, a);
	}
	assert_int_equal(m[0], 8);
	assert_total(w, 5, 0);
	unmap(w, m);
	assert_total(w, 4, 0);
	assert_usage(w->be, 0, 0, 0);
}

static bool is_gone(struct world *w, uintptr_t dom) { return hv_domain_state(w->sup, (hv_domid_t)dom) == 0; }

static void a_destroyed_domain_is_gone(void **state)
{
	struct world *w = *state;
	hv_domid_t dom, next;
	struct hv *fe, *be;
	struct hv_grant g = {.ro = false};
	struct hv_map m = {.ro = false}, n;
	struct hv_port *p, *q;

	if (P->shared)
		skip(); /* it cannot end */
	dom = P->domain(w->ctx, "shortlived");
	fe = open_as(w, HV_FRONTEND, 0, "shortlived");
	be = open_as(w, HV_STUB, dom, NULL);
	g.page = pages(fe, 1, 5);
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
	if (P->real_fds && hv_port_fd(p) >= 0) {
		struct pollfd f = {.fd = hv_port_fd(p), .events = POLLIN};

		return poll(&f, 1, want ? 5000 : 0) == 1;
	}
	for (int tries = 500; want && tries && !P->pending(w->ctx, p); tries--)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	return P->pending(w->ctx, p);
}

/* Binds the supervisor's end; the event that binding itself may be is taken. */
static struct hv_port *bound(struct world *w, struct hv_port *fe)
{
	struct hv_port *be;

	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	if (P->shared)
		assert_true(pending(w, be, true));
	hv_port_clear(be);
	return be;
}

/* Whether an event comes, of a port that has just been unmasked: on Xen it is another CPU's interrupt that brings it. */
static bool arrives(struct hv_port *p)
{
	struct pollfd f = {.fd = hv_port_fd(p), .events = POLLIN};

	return poll(&f, 1, 200) == 1;
}

static void events_reach_the_other_end_once(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_true(hv_port_number(fe) > 0);
	be = bound(w, fe);
	assert_false(pending(w, be, false));
	for (int i = 0; i < 3; i++)
		assert_int_equal(hv_port_notify(fe), 0);
	assert_true(pending(w, be, true));
	assert_false(pending(w, fe, false));
	assert_int_equal(hv_port_clear(be), 1); /* three were one, or two where ports are masked */
	if (P->shared && arrives(be))
		hv_port_clear(be);
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
	assert_total(w, 0, 0);
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
	hv_evtchn_t closed;

	assert_int_equal(hv_port_alloc(w->fe, 0, &mine), 0);
	assert_int_equal(hv_port_alloc(w->fe, 55, &other), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, 0, &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, w->dom, 9999, &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, 4711, hv_port_number(mine), &p), -EINVAL);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(other), &p), why(w, -EACCES));
	assert_null(p);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(mine), &p), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(mine), &other), why(w, -EBUSY));
	closed = hv_port_number(mine);
	hv_port_close(mine); /* closes for both ends */
	assert_int_equal(hv_port_bind(w->sup, w->dom, closed, &other), -EINVAL);
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
	if (!P->shared)
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
