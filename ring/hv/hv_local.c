#include "ring/hv/hv_local.h"

#include "ring/base/check.h"
#include "ring/hv/hub_client.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct local_port {
	struct hv_port p;
	int wait, notify; /* eventfds of the hub, non-blocking */
};

/* ---- the conversation */

int local_ask(struct local *l, union hub_buf *q, int *fds, size_t *nfds)
{
	int rc = l->lost ? -ECONNRESET : hub_client_call(l->sock, q, fds, nfds);

	l->lost = rc == -ECONNRESET;
	return rc;
}

/* A request without entries, under the lock. */
static int ask_arg(struct hv *hv, enum hub_op op, hv_domid_t dom, uint64_t *arg, int *fds, size_t nfds)
{
	struct local *l = local_of(hv);
	union hub_buf q = {.m = {.op = op, .dom = dom, .arg = *arg}};
	size_t n = nfds;
	int rc;

	pthread_mutex_lock(&l->lock);
	rc = local_ask(l, &q, fds, &n);
	pthread_mutex_unlock(&l->lock);
	*arg = q.m.arg;
	if (rc || n == nfds)
		return rc;
	while (n)
		close(fds[--n]);
	return -ECONNRESET;
}

static int dial(const struct hv_open *o, hv_domid_t *self)
{
	static const enum hub_role role[] = {
		[HV_FRONTEND] = HUB_FRONTEND, [HV_STUB] = HUB_STUB, [HV_SUPERVISOR] = HUB_SUPERVISOR};

	return hub_client_open(o->runtime_dir, role[o->role], o->domain, o->self, o->guest, self);
}

/* ---- frontend */

static int op_alloc(struct hv *hv, size_t npages, void **out)
{
	struct own_region *g = calloc(1, sizeof(*g));
	uint64_t arg = npages * BH_PAGE_SIZE;
	void *mem;
	int fd, rc;

	if (!g)
		return -ENOMEM;
	rc = ask_arg(hv, HUB_REGION, 0, &arg, &fd, 1);
	if (rc) {
		free(g);
		return rc;
	}
	mem = mmap(NULL, npages * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mem == MAP_FAILED) {
		ask_arg(hv, HUB_REGION_FREE, 0, &arg, NULL, 0);
		free(g);
		return -ENOMEM;
	}
	g->mem = *out = mem;
	g->npages = npages;
	g->number = (uint32_t)arg;
	LIST_INSERT_HEAD(&local_of(hv)->regions, g, link);
	return 0;
}

static void region_end(struct own_region *g)
{
	munmap(g->mem, g->npages * BH_PAGE_SIZE);
	LIST_REMOVE(g, link);
	free(g);
}

static int op_free(struct hv *hv, void *mem, size_t npages)
{
	struct own_region *g;
	uint64_t arg;
	int rc;

	LIST_FOREACH(g, &local_of(hv)->regions, link)
		if (g->mem == mem && g->npages == npages)
			break;
	if (!g)
		return -EINVAL;
	arg = g->number;
	rc = ask_arg(hv, HUB_REGION_FREE, 0, &arg, NULL, 0);
	if (!rc)
		region_end(g);
	return rc;
}

static int find_page(struct local *l, const void *page, struct hub_ent *e)
{
	struct own_region *g;
	uintptr_t a = (uintptr_t)page;

	LIST_FOREACH(g, &l->regions, link) {
		if (a < (uintptr_t)g->mem || a - (uintptr_t)g->mem >= g->npages * BH_PAGE_SIZE)
			continue;
		e->region = g->number;
		e->page = (uint32_t)((a - (uintptr_t)g->mem) >> BH_PAGE_SHIFT);
		return a % BH_PAGE_SIZE ? -EINVAL : 0;
	}
	return -EINVAL;
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n)
{
	struct local *l = local_of(hv);
	union hub_buf q = {.m = {.op = HUB_GRANT, .dom = dom, .nent = (uint16_t)n}};
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		q.m.ent[i] = (struct hub_ent){.ro = g[i].ro};
		rc = find_page(l, g[i].page, &q.m.ent[i]);
	}
	if (rc)
		return rc;
	pthread_mutex_lock(&l->lock);
	rc = local_ask(l, &q, NULL, NULL);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < n && !rc; i++)
		g[i].gref = q.m.ent[i].gref;
	return rc;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	struct local *l = local_of(hv);
	union hub_buf q = {.m = {.op = HUB_UNGRANT, .nent = (uint16_t)n}};
	int rc;

	for (size_t i = 0; i < n; i++)
		q.m.ent[i] = (struct hub_ent){.gref = grefs[i]};
	pthread_mutex_lock(&l->lock);
	rc = local_ask(l, &q, NULL, NULL);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < n && !rc; i++)
		status[i] = q.m.ent[i].status;
	return rc;
}

/* ---- ports */

static int op_port_adopt(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out)
{
	struct local_port *p = nfds == HV_PORT_FDS ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		return nfds == HV_PORT_FDS ? -ENOMEM : -EINVAL;
	}
	p->p.hv = hv;
	p->p.number = port;
	p->wait = fds[0];
	p->notify = fds[1];
	*out = &p->p;
	return 0;
}

static int port_ask(struct hv *hv, enum hub_op op, hv_domid_t dom, uint64_t arg, struct hv_port **out)
{
	int fds[HV_PORT_FDS], rc = ask_arg(hv, op, dom, &arg, fds, HV_PORT_FDS);

	return rc ? rc : op_port_adopt(hv, fds, HV_PORT_FDS, (hv_evtchn_t)arg, out);
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
	fds[0] = ((const struct local_port *)p)->wait;
	fds[1] = ((const struct local_port *)p)->notify;
	return HV_PORT_FDS;
}

static int op_port_fd(const struct hv_port *p) { return ((const struct local_port *)p)->wait; }

/* The hub keeps both eventfds for as long as the port lives, so that the other end is gone cannot be seen here. */
static int op_port_notify(struct hv_port *p)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(((struct local_port *)p)->notify, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	return n < 0 && errno != EAGAIN ? -EPIPE : 0;
}

static int op_port_clear(struct hv_port *p)
{
	uint64_t v;

	return read(((struct local_port *)p)->wait, &v, sizeof(v)) == sizeof(v);
}

static void op_port_close(struct hv_port *p)
{
	struct local_port *lp = (struct local_port *)p;
	uint64_t arg = p->number;

	/* An adopted one of a supervisor is not known by this connection: refused, and nothing lost. */
	if (p->hv->role != HV_STUB)
		ask_arg(p->hv, HUB_PORT_CLOSE, 0, &arg, NULL, 0);
	close(lp->wait);
	close(lp->notify);
	free(lp);
}

/* ---- domains */

static int op_domain_fd(struct hv *hv) { return local_of(hv)->watch; }

static void op_domain_clear(struct hv *hv)
{
	union hub_buf q;

	while (fdmsg_recv(local_of(hv)->watch, &q, sizeof(q), NULL, NULL) > 0)
		;
}

static int op_domain_state(struct hv *hv, hv_domid_t dom)
{
	uint64_t arg = 0;
	int rc = ask_arg(hv, HUB_DOM_STATE, dom, &arg, NULL, 0);

	return rc ? rc : (int)arg;
}

static int op_store_fd(struct hv *hv)
{
	uint64_t arg = 0;
	int fd, rc = ask_arg(hv, HUB_STORE, 0, &arg, &fd, 1);

	return rc ? rc : fd;
}

static int watch_domains(struct local *l, const struct hv_open *o)
{
	union hub_buf q = {.m = {.op = HUB_DOM_WATCH}};
	hv_domid_t self;
	int rc;

	l->watch = dial(o, &self);
	if (l->watch < 0)
		return l->watch;
	rc = hub_client_call(l->watch, &q, NULL, NULL);
	return rc ? rc : fcntl(l->watch, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* ---- open and close */

static int read_table(struct local *l)
{
	uint64_t arg = 0;
	int fd, rc = ask_arg(&l->hv, HUB_TABLE, 0, &arg, &fd, 1);
	void *mem;

	if (rc)
		return rc;
	mem = mmap(NULL, HUB_TABLE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	l->table = mem;
	return 0;
}

static void op_close(struct hv *hv)
{
	struct local *l = local_of(hv);

	local_unmap_all(l);
	if (l->table)
		munmap((void *)l->table, HUB_TABLE_BYTES);
	while (!LIST_EMPTY(&l->regions))
		region_end(LIST_FIRST(&l->regions));
	pthread_mutex_destroy(&l->lock);
	if (l->watch >= 0)
		close(l->watch);
	close(l->sock);
	free(l);
}

static const struct hv_ops ops = {
	.name = "local",
	.features = HV_FEAT_DOMAIN_EVENTS | HV_FEAT_WHY | HV_FEAT_BUSY | HV_FEAT_REGRANT,
	.close = op_close,
	.map = local_map,
	.unmap = local_unmap,
	.map_ring = local_map_ring,
	.unmap_ring = local_unmap_ring,
	.copy = local_copy,
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
	.domain_fd = op_domain_fd,
	.domain_clear = op_domain_clear,
	.domain_state = op_domain_state,
	.store_fd = op_store_fd,
};

int hv_local_open(const struct hv_open *o, struct hv **out)
{
	struct local *l = calloc(1, sizeof(*l));
	hv_domid_t self;
	int rc = 0;

	if (!l)
		return -ENOMEM;
	l->sock = dial(o, &self);
	if (l->sock < 0) {
		rc = l->sock;
		free(l);
		return rc;
	}
	l->watch = -1;
	CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
	hv_setup(&l->hv, &ops, o, self);
	if (o->role == HV_SUPERVISOR)
		rc = watch_domains(l, o);
	else if (o->role == HV_STUB)
		rc = read_table(l);
	if (rc) {
		hv_close(&l->hv);
		return rc;
	}
	*out = &l->hv;
	return 0;
}
