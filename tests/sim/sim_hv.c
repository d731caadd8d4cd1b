#include "tests/sim/sim_hv.h"

#include "ring/base/check.h"
#include "ring/hv/hub.h"
#include "ring/hv/hv_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The rules are the hub's own (ring/hv/hub.h); here are the memory, the events and the processes. */

struct sim_region {
	LIST_ENTRY(sim_region) link;
	int id;		 /* its "fds" are 2 * id and 2 * id + 1 */
	uint32_t number; /* the hub's */
	size_t start, npages;
	unsigned maps;
	bool ended; /* by the hub; the pages come back when nothing maps them */
};

/* Side of a port that waits. Its "fd" is SIM_HV_FD and its index. */
struct sim_event {
	bool pending, ended;
	hv_domid_t dom;
	hv_evtchn_t port;
};

struct sim_map {
	LIST_ENTRY(sim_map) link;
	char *addr;
	size_t npages;
	unsigned times; /* of a single page */
	bool ring, alias; /* alias: mmap()ed for itself */
	bool ro;
	hv_gref_t gref[HV_RING_PAGES_MAX];
	struct sim_region *region[HV_RING_PAGES_MAX];
};

struct sim_proc {
	struct hv hv;
	struct sim_hv *w;
	struct hub_conn *conn;
	LIST_ENTRY(sim_proc) link;
	LIST_HEAD(, sim_map) maps;
};

struct sim_port {
	struct hv_port p;
	int wait, notify;
};

struct sim_hv {
	struct hub *hub;
	struct hub_conn *admin;
	size_t npages;
	int memfd;
	char *mem[2]; /* all pages, read-write and read-only */
	uint8_t *used;
	int next_id;
	LIST_HEAD(, sim_region) regions;
	LIST_HEAD(, sim_proc) procs;
	struct sim_event *events;
	int nevents;
	uint8_t shut[1 << 12]; /* bit per domid, of those below Xen's reserved ones */
	sim_hv_notify_fn *fn;
	void *arg;
	unsigned fail_after;
	int fail_with;
};

static struct sim_hv *world(const struct hv *hv) { return CONTAINER_OF(hv, struct sim_proc, hv)->w; }

static int fails(struct sim_hv *w)
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

static void region_maybe_free(struct sim_hv *w, struct sim_region *g)
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
	region_maybe_free(w, g);
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
	.event_new = event_new,
	.fd_end = fd_end,
	.store_conn = store_conn,
	.domain = on_domain,
	.drop = drop,
};

/* ---- requests */

/* One request with entries that are already in buf. The reply's rc; what would end a connection is -ECONNRESET. */
static int ask(struct sim_hv *w, struct hub_conn *c, union hub_buf *buf, struct hub_reply *r)
{
	return hub_apply(w->hub, c, &buf->m, r) ? -ECONNRESET : r->buf.m.rc;
}

static int ask_arg(struct hv *hv, enum hub_op op, hv_domid_t dom, uint64_t arg, struct hub_reply *r)
{
	union hub_buf q = {.m = {.op = op, .dom = dom, .arg = arg}};

	return ask(world(hv), CONTAINER_OF(hv, struct sim_proc, hv)->conn, &q, r);
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
	rc = ask(w, c, &q, &r);
	*self = r.buf.m.dom;
	return rc;
}

/* ---- mapping */

static struct sim_map *map_at(struct sim_proc *p, const void *addr)
{
	struct sim_map *m;

	LIST_FOREACH(m, &p->maps, link)
		if ((const char *)addr >= m->addr && (const char *)addr < m->addr + m->npages * BH_PAGE_SIZE)
			return m;
	return NULL;
}

/* A place of its own for the pages of m, in their order. */
static void map_alias(struct sim_hv *w, struct sim_map *m, const size_t *pages)
{
	m->addr = mmap(NULL, m->npages * BH_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(m->addr != MAP_FAILED);
	for (size_t i = 0; i < m->npages; i++)
		CHECK(mmap(m->addr + i * BH_PAGE_SIZE, BH_PAGE_SIZE, m->ro ? PROT_READ : PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, w->memfd, (off_t)(pages[i] * BH_PAGE_SIZE)) != MAP_FAILED);
	m->alias = true;
}

static void map_place(struct sim_proc *p, struct sim_map *m, const size_t *pages)
{
	bool together = true;

	for (size_t i = 1; i < m->npages; i++)
		together = together && pages[i] == pages[0] + i;
	m->addr = p->w->mem[m->ro] + pages[0] * BH_PAGE_SIZE;
	for (size_t i = 0; i < m->npages; i++)
		together = together && !map_at(p, m->addr + i * BH_PAGE_SIZE);
	if (!together)
		map_alias(p->w, m, pages);
	LIST_INSERT_HEAD(&p->maps, m, link);
}

static struct sim_region *region_numbered(struct sim_hv *w, uint32_t number)
{
	struct sim_region *g;

	LIST_FOREACH(g, &w->regions, link)
		if (g->number == number)
			return g;
	UNREACHABLE();
}

/* Asks the hub for one page; on success *region and *page (of the world) say where it is. */
static int locate(struct sim_proc *p, enum hub_op op, hv_gref_t gref, bool ro, struct sim_region **region, size_t *page)
{
	union hub_buf q = {.m = {.op = op, .nent = 1}};
	struct hub_reply r;
	int rc = fails(p->w);

	if (rc)
		return rc;
	q.m.ent[0] = (struct hub_ent){.gref = gref, .ro = ro};
	rc = ask(p->w, p->conn, &q, &r);
	if (!rc)
		rc = r.buf.m.ent[0].status;
	if (rc)
		return rc;
	*region = region_numbered(p->w, r.buf.m.ent[0].region);
	*page = (*region)->start + r.buf.m.ent[0].page;
	return 0;
}

static void hub_unmap(struct sim_proc *p, hv_gref_t gref, struct sim_region *g)
{
	union hub_buf q = {.m = {.op = HUB_UNMAP, .nent = 1}};
	struct hub_reply r;

	q.m.ent[0] = (struct hub_ent){.gref = gref};
	CHECK(ask(p->w, p->conn, &q, &r) == 0 && r.buf.m.ent[0].status == 0);
	g->maps--;
	region_maybe_free(p->w, g);
}

static void map_forget(struct sim_map *m)
{
	if (m->alias)
		munmap(m->addr, m->npages * BH_PAGE_SIZE);
	LIST_REMOVE(m, link);
	free(m);
}

static int16_t map_one(struct sim_proc *p, struct hv_map *v)
{
	struct sim_region *g;
	struct sim_map *m;
	size_t page;
	int rc = locate(p, HUB_MAP, v->gref, v->ro, &g, &page);

	if (rc)
		return (int16_t)rc;
	g->maps++;
	LIST_FOREACH(m, &p->maps, link)
		if (!m->ring && m->gref[0] == v->gref && m->ro == v->ro && m->region[0] == g)
			break;
	if (!m) {
		m = calloc(1, sizeof(*m));
		CHECK(m);
		m->npages = 1;
		m->ro = v->ro;
		m->gref[0] = v->gref;
		m->region[0] = g;
		map_place(p, m, &page);
	}
	m->times++;
	v->addr = m->addr;
	return 0;
}

static int op_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	(void)dom;
	for (size_t i = 0; i < n; i++)
		m[i].status = map_one(CONTAINER_OF(hv, struct sim_proc, hv), &m[i]);
	return 0;
}

static size_t op_unmap(struct hv *hv, void *const *addr, size_t n)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	size_t done = 0;

	for (size_t i = 0; i < n; i++) {
		struct sim_map *m = map_at(p, addr[i]);

		if (!m || m->ring || m->addr != addr[i])
			continue;
		hub_unmap(p, m->gref[0], m->region[0]);
		done++;
		if (--m->times == 0)
			map_forget(m);
	}
	return done;
}

static int op_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	struct sim_map *m = calloc(1, sizeof(*m));
	size_t page[HV_RING_PAGES_MAX];
	int rc = 0;

	(void)dom;
	CHECK(m);
	m->ring = true;
	while (!rc && m->npages < npages) {
		m->gref[m->npages] = grefs[m->npages];
		rc = locate(p, HUB_MAP, grefs[m->npages], false, &m->region[m->npages], &page[m->npages]);
		if (!rc)
			m->region[m->npages++]->maps++;
	}
	if (!rc) {
		map_place(p, m, page);
		*out = m->addr;
		return 0;
	}
	while (m->npages--)
		hub_unmap(p, m->gref[m->npages], m->region[m->npages]);
	free(m);
	return rc;
}

static int op_unmap_ring(struct hv *hv, void *ring, size_t npages)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	struct sim_map *m = map_at(p, ring);

	if (!m || !m->ring || m->addr != ring || m->npages != npages)
		return -EINVAL;
	for (size_t i = 0; i < npages; i++)
		hub_unmap(p, m->gref[i], m->region[i]);
	map_forget(m);
	return 0;
}

static int op_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	struct sim_region *g;
	size_t page;

	(void)dom;
	for (size_t i = 0; i < n; i++) {
		c[i].status = (int16_t)locate(p, HUB_COPY, c[i].gref, !c[i].to_guest, &g, &page);
		if (c[i].status)
			continue;
		if (c[i].to_guest)
			memcpy(p->w->mem[0] + page * BH_PAGE_SIZE + c[i].off, c[i].local, c[i].len);
		else
			memcpy(c[i].local, p->w->mem[0] + page * BH_PAGE_SIZE + c[i].off, c[i].len);
	}
	return 0;
}

/* ---- frontend */

static struct sim_region *region_with(struct sim_hv *w, const void *addr)
{
	size_t off = (size_t)((const char *)addr - w->mem[0]);
	struct sim_region *g;

	LIST_FOREACH(g, &w->regions, link)
		if (!g->ended && off / BH_PAGE_SIZE >= g->start && off / BH_PAGE_SIZE < g->start + g->npages)
			return g;
	return NULL;
}

static int op_alloc(struct hv *hv, size_t npages, void **out)
{
	struct sim_hv *w = world(hv);
	struct sim_region *g;
	struct hub_reply r;
	int rc = fails(w);

	if (!rc)
		rc = ask_arg(hv, HUB_REGION, 0, npages * BH_PAGE_SIZE, &r);
	if (rc)
		return rc;
	g = LIST_FIRST(&w->regions); /* just made */
	g->number = (uint32_t)r.buf.m.arg;
	*out = w->mem[0] + g->start * BH_PAGE_SIZE;
	return 0;
}

static int op_free(struct hv *hv, void *mem, size_t npages)
{
	struct sim_hv *w = world(hv);
	struct sim_region *g = region_with(w, mem);
	struct hub_reply r;

	if (!g || mem != w->mem[0] + g->start * BH_PAGE_SIZE || npages != g->npages)
		return -EINVAL;
	return ask_arg(hv, HUB_REGION_FREE, 0, g->number, &r);
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *v, size_t n)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	union hub_buf q = {.m = {.op = HUB_GRANT, .dom = dom, .nent = (uint16_t)n}};
	struct hub_reply r;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		size_t off = (size_t)((char *)v[i].page - p->w->mem[0]);
		struct sim_region *g = region_with(p->w, v[i].page);

		rc = fails(p->w);
		if (!g || off % BH_PAGE_SIZE)
			rc = -EINVAL;
		else
			q.m.ent[i] = (struct hub_ent){
				.region = g->number,
				.page = (uint32_t)(off / BH_PAGE_SIZE - g->start),
				.ro = v[i].ro,
			};
	}
	if (!rc)
		rc = ask(p->w, p->conn, &q, &r);
	for (size_t i = 0; i < n && !rc; i++)
		v[i].gref = r.buf.m.ent[i].gref;
	return rc;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	struct sim_proc *p = CONTAINER_OF(hv, struct sim_proc, hv);
	union hub_buf q = {.m = {.op = HUB_UNGRANT, .nent = (uint16_t)n}};
	struct hub_reply r;
	int rc;

	for (size_t i = 0; i < n; i++)
		q.m.ent[i] = (struct hub_ent){.gref = grefs[i]};
	rc = ask(p->w, p->conn, &q, &r);
	for (size_t i = 0; i < n && !rc; i++)
		status[i] = r.buf.m.ent[i].status;
	return rc;
}

/* ---- ports */

static struct sim_event *event(const struct sim_hv *w, int fd) { return &w->events[fd - SIM_HV_FD]; }

static int port_open(struct hv *hv, int wait, int notify, hv_evtchn_t number, struct hv_port **out)
{
	struct sim_port *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->p.hv = hv;
	p->p.number = number;
	p->wait = wait;
	p->notify = notify;
	*out = &p->p;
	return 0;
}

static int port_ask(struct hv *hv, enum hub_op op, hv_domid_t dom, uint64_t arg, struct hv_port **out)
{
	struct sim_hv *w = world(hv);
	struct hub_reply r;
	int rc = fails(w);

	if (!rc)
		rc = ask_arg(hv, op, dom, arg, &r);
	if (rc)
		return rc;
	event(w, r.fds[0])->dom = hv->domid;
	event(w, r.fds[0])->port = (hv_evtchn_t)r.buf.m.arg;
	return port_open(hv, r.fds[0], r.fds[1], (hv_evtchn_t)r.buf.m.arg, out);
}

static int op_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	return port_ask(hv, HUB_PORT_ALLOC, dom, 0, out);
}

static int op_port_bind(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out)
{
	return port_ask(hv, HUB_PORT_BIND, dom, remote, out);
}

static size_t op_port_fds(const struct hv_port *p, int fds[HV_PORT_FDS])
{
	const struct sim_port *s = (const struct sim_port *)p;

	fds[0] = s->wait;
	fds[1] = s->notify;
	return 2;
}

static int op_port_adopt(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out)
{
	struct sim_hv *w = world(hv);

	if (nfds != 2)
		return -EINVAL;
	for (size_t i = 0; i < nfds; i++)
		if (fds[i] < SIM_HV_FD || fds[i] >= SIM_HV_FD + w->nevents)
			return -EBADF;
	return port_open(hv, fds[0], fds[1], port, out);
}

static int op_port_fd(const struct hv_port *p) { return ((const struct sim_port *)p)->wait; }

static int op_port_notify(struct hv_port *p)
{
	struct sim_hv *w = world(p->hv);
	struct sim_event *e = event(w, ((struct sim_port *)p)->notify);

	if (e->ended)
		return -EPIPE;
	if (e->pending)
		return 0;
	e->pending = true;
	if (w->fn)
		w->fn(w->arg, e->dom, e->port); /* may not come back */
	return 0;
}

static int op_port_clear(struct hv_port *p)
{
	struct sim_event *e = event(world(p->hv), ((struct sim_port *)p)->wait);
	bool was = e->pending;

	e->pending = false;
	return was;
}

static void op_port_close(struct hv_port *p)
{
	struct hub_reply r;

	if (p->hv->role != HV_STUB)
		ask_arg(p->hv, HUB_PORT_CLOSE, 0, p->number, &r);
	free(p);
}

/* ---- the rest */

static void proc_end(struct sim_proc *p)
{
	struct sim_hv *w = p->w;

	while (!LIST_EMPTY(&p->maps)) {
		struct sim_map *m = LIST_FIRST(&p->maps);

		for (size_t i = 0; i < m->npages; i++) {
			m->region[i]->maps -= m->ring ? 1 : m->times;
			region_maybe_free(w, m->region[i]);
		}
		map_forget(m);
	}
	hub_conn_end(w->hub, p->conn);
	LIST_REMOVE(p, link);
	free(p);
}

static void op_close(struct hv *hv) { proc_end(CONTAINER_OF(hv, struct sim_proc, hv)); }

static int op_domain_state(struct hv *hv, hv_domid_t dom)
{
	struct hub_reply r;
	int rc = ask_arg(hv, HUB_DOM_STATE, dom, 0, &r);

	if (rc || !r.buf.m.arg)
		return rc;
	return world(hv)->shut[dom / 8] & 1u << dom % 8 ? -ESHUTDOWN : 1;
}

static const struct hv_ops ops = {
	.name = "sim",
	.close = op_close,
	.map = op_map,
	.unmap = op_unmap,
	.map_ring = op_map_ring,
	.unmap_ring = op_unmap_ring,
	.copy = op_copy,
	.alloc = op_alloc,
	.free = op_free,
	.grant = op_grant,
	.ungrant = op_ungrant,
	.port_alloc = op_port_alloc,
	.port_bind = op_port_bind,
	.port_fds = op_port_fds,
	.port_adopt = op_port_adopt,
	.port_fd = op_port_fd,
	.port_notify = op_port_notify,
	.port_clear = op_port_clear,
	.port_close = op_port_close,
	.domain_state = op_domain_state,
};

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
	CHECK(ask(w, w->admin, &q, &r) == 0);
	return r.buf.m.dom;
}

void sim_hv_shutdown(struct sim_hv *w, hv_domid_t dom) { w->shut[dom / 8] |= (uint8_t)(1u << dom % 8); }

void sim_hv_destroy(struct sim_hv *w, hv_domid_t dom)
{
	union hub_buf q = {.m = {.op = HUB_DOM_DESTROY, .dom = dom}};
	struct hub_reply r;

	CHECK(ask(w, w->admin, &q, &r) == 0);
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
	hv_setup(&p->hv, &ops, o, self);
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
	proc_end(CONTAINER_OF(hv, struct sim_proc, hv));
}

void sim_hv_on_notify(struct sim_hv *w, sim_hv_notify_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
}

bool sim_hv_pending(const struct hv_port *p) { return event(world(p->hv), op_port_fd(p))->pending; }

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
	rc = locate(CONTAINER_OF(hv, struct sim_proc, hv), HUB_COPY, gref, true, &g, &page);
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
