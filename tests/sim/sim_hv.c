#include "tests/sim/sim_hv_priv.h"

#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int sim_fails(struct sim_hv *w)
{
	int err = w->fail_with;

	if (!err || w->fail_after--)
		return 0;
	w->fail_with = 0;
	return err;
}

void sim_hv_fail_after(struct sim_hv *w, unsigned n, int err)
{
	w->fail_after = n;
	w->fail_with = err;
}

/* ---- what the hub asks for */

void sim_region_maybe_free(struct sim_hv *w, struct sim_region *g)
{
	if (!g->ended || g->maps)
		return;
	memset(w->used + g->start, 0, g->npages);
	LIST_REMOVE(g, link);
	free(g);
}

static int region_new(void *ctx, uint64_t bytes, int fd[2])
{
	struct sim_hv *w = ctx;
	size_t n = bytes >> BH_PAGE_SHIFT, run = 0, i;
	struct sim_region *g;

	for (i = 0; i < w->npages && run < n; i++)
		run = w->used[i] ? 0 : run + 1;
	if (run < n)
		return -ENOMEM;
	g = calloc(1, sizeof(*g));
	CHECK(g);
	g->id = w->next_id++;
	g->start = i - n;
	g->npages = n;
	memset(w->used + g->start, 1, n);
	memset(w->mem[0] + g->start * BH_PAGE_SIZE, 0, bytes);
	LIST_INSERT_HEAD(&w->regions, g, link);
	fd[0] = 2 * g->id;
	fd[1] = 2 * g->id + 1;
	return 0;
}

static int table_new(void *ctx, uint64_t **words, int *fd)
{
	(void)ctx;
	*words = calloc(1, HUB_TABLE_BYTES);
	CHECK(*words);
	*fd = -1; /* stubs here ask the hub */
	return 0;
}

static void table_end(void *ctx, uint64_t *words, int fd)
{
	(void)ctx;
	(void)fd;
	free(words);
}

static int event_new(void *ctx, int *fd)
{
	struct sim_hv *w = ctx;
	struct sim_event *e = realloc(w->events, ((size_t)w->nevents + 1) * sizeof(*e));

	CHECK(e);
	w->events = e;
	e[w->nevents] = (struct sim_event){0};
	*fd = SIM_HV_FD + w->nevents++;
	return 0;
}

static void fd_end(void *ctx, int fd)
{
	struct sim_hv *w = ctx;
	struct sim_region *g;

	if (fd >= SIM_HV_FD) {
		w->events[fd - SIM_HV_FD].ended = true;
		return;
	}
	if (fd % 2)
		return;
	LIST_FOREACH(g, &w->regions, link)
		if (g->id == fd / 2)
			break;
	CHECK(g);
	g->ended = true;
	sim_region_maybe_free(w, g);
}

static int store_conn(void *ctx, hv_domid_t dom, int *fd)
{
	(void)ctx;
	(void)dom;
	(void)fd;
	return -EAGAIN;
}

static void on_domain(void *ctx, hv_domid_t dom, bool born)
{
	(void)ctx;
	(void)dom;
	(void)born;
}

/* The hub ended what the process had; that the process goes is the caller's part (sim_hv_destroy). */
static void drop(void *ctx, void *owner)
{
	(void)ctx;
	(void)owner;
}

static const struct hub_ops hub_ops = {
	.region_new = region_new,
	.table_new = table_new,
	.table_end = table_end,
	.event_new = event_new,
	.fd_end = fd_end,
	.store_conn = store_conn,
	.domain = on_domain,
	.drop = drop,
};

/* ---- requests */

/* One request with entries that are already in buf. The reply's rc; what would end a connection is -ECONNRESET. */
int sim_ask(struct sim_hv *w, struct hub_conn *c, union hub_buf *buf, struct hub_reply *r)
{
	return hub_apply(w->hub, c, &buf->m, r) ? -ECONNRESET : r->buf.m.rc;
}

static int hello(struct sim_hv *w, struct hub_conn *c, const struct hv_open *o, enum hub_role role, hv_domid_t *self)
{
	union hub_buf q = {.m = {.op = HUB_HELLO, .version = HUB_VERSION, .role = (uint16_t)role}};
	struct hub_reply r;
	int rc;

	q.m.self = o->self;
	q.m.dom = o->guest;
	if (o->domain)
		strncpy(q.m.name, o->domain, sizeof(q.m.name) - 1);
	rc = sim_ask(w, c, &q, &r);
	*self = r.buf.m.dom;
	return rc;
}

/* ---- worlds and processes */

void sim_proc_end(struct sim_proc *p)
{
	struct sim_hv *w = p->w;

	while (!LIST_EMPTY(&p->maps)) {
		struct sim_map *m = LIST_FIRST(&p->maps);

		for (size_t i = 0; i < m->npages; i++) {
			m->region[i]->maps -= m->ring ? 1 : m->times;
			sim_region_maybe_free(w, m->region[i]);
		}
		sim_map_forget(m);
	}
	hub_conn_end(w->hub, p->conn);
	LIST_REMOVE(p, link);
	free(p);
}

struct sim_hv *sim_hv_new(size_t pages)
{
	struct sim_hv *w = calloc(1, sizeof(*w));
	size_t bytes = pages * BH_PAGE_SIZE;
	hv_domid_t self;

	CHECK(w);
	w->npages = pages;
	w->used = calloc(pages, 1);
	w->memfd = memfd_create("sim", MFD_CLOEXEC);
	CHECK(w->used && w->memfd >= 0 && ftruncate(w->memfd, (off_t)bytes) == 0);
	w->mem[0] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->memfd, 0);
	w->mem[1] = mmap(NULL, bytes, PROT_READ, MAP_SHARED, w->memfd, 0);
	CHECK(w->mem[0] != MAP_FAILED && w->mem[1] != MAP_FAILED);
	w->hub = hub_new(&hub_ops, w);
	CHECK(w->hub);
	w->admin = hub_conn_new(w->hub, NULL);
	CHECK(w->admin && hello(w, w->admin, &(struct hv_open){0}, HUB_ADMIN, &self) == 0);
	return w;
}

void sim_hv_free(struct sim_hv *w)
{
	if (!w)
		return;
	while (!LIST_EMPTY(&w->procs))
		sim_hv_kill(&LIST_FIRST(&w->procs)->hv);
	hub_free(w->hub);
	CHECK(LIST_EMPTY(&w->regions));
	munmap(w->mem[0], w->npages * BH_PAGE_SIZE);
	munmap(w->mem[1], w->npages * BH_PAGE_SIZE);
	close(w->memfd);
	free(w->events);
	free(w->used);
	free(w);
}

hv_domid_t sim_hv_domain(struct sim_hv *w, const char *name)
{
	union hub_buf q = {.m = {.op = HUB_DOM_CREATE}};
	struct hub_reply r;

	strncpy(q.m.name, name, sizeof(q.m.name) - 1);
	CHECK(sim_ask(w, w->admin, &q, &r) == 0);
	return r.buf.m.dom;
}

void sim_hv_shutdown(struct sim_hv *w, hv_domid_t dom) { w->shut[dom / 8] |= (uint8_t)(1u << dom % 8); }

void sim_hv_resume(struct sim_hv *w, hv_domid_t dom) { w->shut[dom / 8] &= (uint8_t)~(1u << dom % 8); }
bool sim_hv_is_shut(const struct sim_hv *w, hv_domid_t dom) { return w->shut[dom / 8] & 1u << dom % 8; }

void sim_hv_destroy(struct sim_hv *w, hv_domid_t dom)
{
	union hub_buf q = {.m = {.op = HUB_DOM_DESTROY, .dom = dom}};
	struct hub_reply r;

	CHECK(sim_ask(w, w->admin, &q, &r) == 0);
}

int sim_hv_open(struct sim_hv *w, const struct hv_open *o, struct hv **out)
{
	static const enum hub_role role[] = {
		[HV_FRONTEND] = HUB_FRONTEND, [HV_STUB] = HUB_STUB, [HV_SUPERVISOR] = HUB_SUPERVISOR};
	struct sim_proc *p = calloc(1, sizeof(*p));
	hv_domid_t self;
	int rc;

	*out = NULL;
	CHECK(p);
	p->w = w;
	p->conn = hub_conn_new(w->hub, p);
	CHECK(p->conn);
	rc = hello(w, p->conn, o, role[o->role], &self);
	if (rc) {
		hub_conn_end(w->hub, p->conn);
		free(p);
		return rc;
	}
	hv_setup(&p->hv, &sim_hv_ops, o, self);
	LIST_INSERT_HEAD(&w->procs, p, link);
	*out = &p->hv;
	return 0;
}

void sim_hv_kill(struct hv *hv)
{
	struct hv_port *p;

	while ((p = LIST_FIRST(&hv->ports))) {
		LIST_REMOVE(p, link);
		free(p);
	}
	sim_proc_end(sim_proc(hv));
}

void sim_hv_on_notify(struct sim_hv *w, sim_hv_notify_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
}

bool sim_hv_pending(const struct hv_port *p)
{
	return sim_event(sim_world(p->hv), ((const struct sim_port *)p)->wait)->pending;
}

void *sim_hv_page(struct sim_hv *w, hv_domid_t dom, hv_gref_t gref)
{
	struct hv_open o = {.role = HV_STUB, .guest = dom};
	struct hv *hv;
	struct sim_region *g;
	size_t page;
	int rc = sim_hv_open(w, &o, &hv), fail_with = w->fail_with;

	if (rc)
		return NULL;
	w->fail_with = 0;
	rc = sim_locate(sim_proc(hv), HUB_COPY, gref, true, &g, &page);
	w->fail_with = fail_with;
	hv_close(hv);
	return rc ? NULL : w->mem[0] + page * BH_PAGE_SIZE;
}

unsigned sim_hv_mapped(struct sim_hv *w, hv_domid_t dom, hv_gref_t gref)
{
	struct sim_proc *p;
	struct sim_map *m;
	unsigned n = 0;

	LIST_FOREACH(p, &w->procs, link)
		LIST_FOREACH(m, &p->maps, link)
			for (size_t i = 0; i < m->npages && p->hv.guest == dom; i++)
				if (m->gref[i] == gref)
					n += m->ring ? 1 : m->times;
	return n;
}

struct hv_usage sim_hv_total(const struct sim_hv *w)
{
	struct hv_usage u = {0};
	struct sim_proc *p;
	struct hub_dom d;

	LIST_FOREACH(p, &w->procs, link)
		u.mapped += p->hv.usage.mapped;
	for (size_t i = 0; hub_domain_at(w->hub, i, &d); i++) {
		u.granted += d.ngrants;
		u.ports += d.nports;
	}
	return u;
}
