#include "tests/sim/sim_hv_priv.h"

#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int ask_arg(struct hv *hv, enum hub_op op, hv_domid_t dom, uint64_t arg, struct hub_reply *r)
{
	union hub_buf q = {.m = {.op = op, .dom = dom, .arg = arg}};

	return sim_ask(sim_world(hv), sim_proc(hv)->conn, &q, r);
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

int sim_locate(struct sim_proc *p, enum hub_op op, hv_gref_t gref, bool ro, struct sim_region **region, size_t *page)
{
	union hub_buf q = {.m = {.op = op, .nent = 1}};
	struct hub_reply r;
	int rc = sim_fails(p->w);

	if (rc)
		return rc;
	q.m.ent[0] = (struct hub_ent){.gref = gref, .ro = ro};
	rc = sim_ask(p->w, p->conn, &q, &r);
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
	CHECK(sim_ask(p->w, p->conn, &q, &r) == 0 && r.buf.m.ent[0].status == 0);
	g->maps--;
	sim_region_maybe_free(p->w, g);
}

void sim_map_forget(struct sim_map *m)
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
	int rc = sim_locate(p, HUB_MAP, v->gref, v->ro, &g, &page);

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
		m[i].status = map_one(sim_proc(hv), &m[i]);
	return 0;
}

static size_t op_unmap(struct hv *hv, void *const *addr, size_t n)
{
	struct sim_proc *p = sim_proc(hv);
	size_t done = 0;

	for (size_t i = 0; i < n; i++) {
		struct sim_map *m = map_at(p, addr[i]);

		if (!m || m->ring || m->addr != addr[i])
			continue;
		hub_unmap(p, m->gref[0], m->region[0]);
		done++;
		if (--m->times == 0)
			sim_map_forget(m);
	}
	return done;
}

static int op_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out)
{
	struct sim_proc *p = sim_proc(hv);
	struct sim_map *m = calloc(1, sizeof(*m));
	size_t page[HV_RING_PAGES_MAX];
	int rc = 0;

	(void)dom;
	CHECK(m);
	m->ring = true;
	while (!rc && m->npages < npages) {
		m->gref[m->npages] = grefs[m->npages];
		rc = sim_locate(p, HUB_MAP, grefs[m->npages], false, &m->region[m->npages], &page[m->npages]);
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
	struct sim_proc *p = sim_proc(hv);
	struct sim_map *m = map_at(p, ring);

	if (!m || !m->ring || m->addr != ring || m->npages != npages)
		return -EINVAL;
	for (size_t i = 0; i < npages; i++)
		hub_unmap(p, m->gref[i], m->region[i]);
	sim_map_forget(m);
	return 0;
}

static int op_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	struct sim_proc *p = sim_proc(hv);
	struct sim_region *g;
	size_t page;

	(void)dom;
	for (size_t i = 0; i < n; i++) {
		c[i].status = (int16_t)sim_locate(p, HUB_COPY, c[i].gref, !c[i].to_guest, &g, &page);
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
	struct sim_hv *w = sim_world(hv);
	struct sim_region *g;
	struct hub_reply r;
	int rc = sim_fails(w);

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
	struct sim_hv *w = sim_world(hv);
	struct sim_region *g = region_with(w, mem);
	struct hub_reply r;

	if (!g || mem != w->mem[0] + g->start * BH_PAGE_SIZE || npages != g->npages)
		return -EINVAL;
	return ask_arg(hv, HUB_REGION_FREE, 0, g->number, &r);
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *v, size_t n)
{
	struct sim_proc *p = sim_proc(hv);
	union hub_buf q = {.m = {.op = HUB_GRANT, .dom = dom, .nent = (uint16_t)n}};
	struct hub_reply r;
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		size_t off = (size_t)((char *)v[i].page - p->w->mem[0]);
		struct sim_region *g = region_with(p->w, v[i].page);

		rc = sim_fails(p->w);
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
		rc = sim_ask(p->w, p->conn, &q, &r);
	for (size_t i = 0; i < n && !rc; i++)
		v[i].gref = r.buf.m.ent[i].gref;
	return rc;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	struct sim_proc *p = sim_proc(hv);
	union hub_buf q = {.m = {.op = HUB_UNGRANT, .nent = (uint16_t)n}};
	struct hub_reply r;
	int rc;

	for (size_t i = 0; i < n; i++)
		q.m.ent[i] = (struct hub_ent){.gref = grefs[i]};
	rc = sim_ask(p->w, p->conn, &q, &r);
	for (size_t i = 0; i < n && !rc; i++)
		status[i] = r.buf.m.ent[i].status;
	return rc;
}

/* ---- ports */

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
	struct sim_hv *w = sim_world(hv);
	struct hub_reply r;
	int rc = sim_fails(w);

	if (!rc)
		rc = ask_arg(hv, op, dom, arg, &r);
	if (rc)
		return rc;
	sim_event(w, r.fds[0])->dom = hv->domid;
	sim_event(w, r.fds[0])->port = (hv_evtchn_t)r.buf.m.arg;
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
	struct sim_hv *w = sim_world(hv);

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
	struct sim_hv *w = sim_world(p->hv);
	struct sim_event *e = sim_event(w, ((struct sim_port *)p)->notify);

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
	struct sim_event *e = sim_event(sim_world(p->hv), ((struct sim_port *)p)->wait);
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

static void op_close(struct hv *hv) { sim_proc_end(sim_proc(hv)); }

static int op_domain_state(struct hv *hv, hv_domid_t dom)
{
	struct hub_reply r;
	int rc = ask_arg(hv, HUB_DOM_STATE, dom, 0, &r);

	if (rc || !r.buf.m.arg)
		return rc;
	return sim_hv_is_shut(sim_world(hv), dom) ? -ESHUTDOWN : 1;
}

const struct hv_ops sim_hv_ops = {
	.name = "sim",
	.features = HV_FEAT_WHY | HV_FEAT_BUSY | HV_FEAT_REGRANT,
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
