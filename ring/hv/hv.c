#include "ring/hv/hv_ops.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"

#include <errno.h>

static void count(uint32_t *counter, size_t n) { fetch_add_relaxed(counter, (uint32_t)n); }
static void uncount(uint32_t *counter, size_t n) { fetch_add_relaxed(counter, 0u - (uint32_t)n); }

void hv_setup(struct hv *hv, const struct hv_ops *ops, const struct hv_open *o, hv_domid_t self)
{
	hv->ops = ops;
	hv->role = o->role;
	hv->domid = self;
	hv->guest = o->guest;
	hv->usage = (struct hv_usage){0};
	LIST_INIT(&hv->ports);
	CHECK(pthread_mutex_init(&hv->ports_lock, NULL) == 0);
}

void hv_close(struct hv *hv)
{
	if (!hv)
		return;
	while (!LIST_EMPTY(&hv->ports))
		hv_port_close(LIST_FIRST(&hv->ports));
	pthread_mutex_destroy(&hv->ports_lock);
	hv->ops->close(hv);
}

unsigned hv_features(const struct hv *hv) { return hv->ops->features; }
hv_domid_t hv_domid(const struct hv *hv) { return hv->domid; }

/* ---- stub */

static int stub_may(const struct hv *hv, hv_domid_t dom, size_t n)
{
	if (n > HV_BATCH_MAX)
		return -E2BIG;
	return hv->role == HV_STUB && dom == hv->guest ? 0 : -EPERM;
}

int hv_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	int rc = stub_may(hv, dom, n);
	size_t ok = 0;

	for (size_t i = 0; i < n; i++)
		m[i].addr = NULL;
	if (!rc && n)
		rc = hv->ops->map(hv, dom, m, n);
	for (size_t i = 0; i < n; i++) {
		if (rc)
			m[i].status = (int16_t)rc;
		else
			ok += m[i].status == 0;
	}
	count(&hv->usage.mapped, ok);
	return rc ? rc : ok == n ? 0 : -EIO;
}

int hv_unmap(struct hv *hv, void *const *addr, size_t n)
{
	int rc = stub_may(hv, hv->guest, n);
	size_t done;

	if (rc || !n)
		return rc;
	done = hv->ops->unmap(hv, addr, n);
	uncount(&hv->usage.mapped, done);
	return done == n ? 0 : -EINVAL;
}

int hv_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out)
{
	int rc = stub_may(hv, dom, npages);

	*out = NULL;
	if (!rc && npages > HV_RING_PAGES_MAX)
		rc = -E2BIG;
	if (!rc)
		rc = npages ? hv->ops->map_ring(hv, dom, grefs, npages, out) : -EINVAL;
	if (!rc)
		count(&hv->usage.mapped, npages);
	return rc;
}

int hv_unmap_ring(struct hv *hv, void *ring, size_t npages)
{
	int rc = stub_may(hv, hv->guest, npages);

	if (!rc)
		rc = hv->ops->unmap_ring(hv, ring, npages);
	if (!rc)
		uncount(&hv->usage.mapped, npages);
	return rc;
}

static bool in_page(const struct hv_copy *c) { return (size_t)c->off + c->len <= BH_PAGE_SIZE; }

/* The provider gets runs of copies that stay inside their pages; the others fail alone. */
static int copy_runs(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	int rc = 0;

	for (size_t i = 0, run; i < n && !rc; i += run) {
		for (run = 0; i + run < n && in_page(&c[i + run]);)
			run++;
		if (run)
			rc = hv->ops->copy(hv, dom, c + i, run);
		else
			c[i].status = -EINVAL, run = 1;
	}
	return rc;
}

int hv_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	int rc = stub_may(hv, dom, n);
	bool all = true;

	if (!rc)
		rc = copy_runs(hv, dom, c, n);
	for (size_t i = 0; i < n; i++) {
		if (rc)
			c[i].status = (int16_t)rc;
		all = all && c[i].status == 0;
	}
	return rc ? rc : all ? 0 : -EIO;
}

/* ---- frontend */

int hv_alloc(struct hv *hv, size_t npages, void **out)
{
	*out = NULL;
	if (hv->role != HV_FRONTEND)
		return -EPERM;
	if (!npages)
		return -EINVAL;
	return npages <= HV_REGION_MAX / BH_PAGE_SIZE ? hv->ops->alloc(hv, npages, out) : -E2BIG;
}

int hv_free(struct hv *hv, void *mem, size_t npages)
{
	return hv->role == HV_FRONTEND ? hv->ops->free(hv, mem, npages) : -EPERM;
}

int hv_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n)
{
	int rc;

	if (hv->role != HV_FRONTEND)
		return -EPERM;
	if (n > HV_BATCH_MAX)
		return -E2BIG;
	rc = n ? hv->ops->grant(hv, dom, g, n) : 0;
	if (!rc)
		count(&hv->usage.granted, n);
	return rc;
}

int hv_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	int16_t own[HV_BATCH_MAX], *st = status ? status : own;
	size_t ended = 0;
	int rc;

	if (hv->role != HV_FRONTEND)
		return -EPERM;
	if (n > HV_BATCH_MAX)
		return -E2BIG;
	rc = n ? hv->ops->ungrant(hv, grefs, n, st) : 0;
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		ended += st[i] == 0;
		if (st[i] && rc != -EBUSY)
			rc = st[i];
	}
	uncount(&hv->usage.granted, ended);
	return rc;
}

/* ---- ports */

static int port_new(struct hv *hv, int rc, struct hv_port **p)
{
	if (rc)
		return rc;
	pthread_mutex_lock(&hv->ports_lock);
	LIST_INSERT_HEAD(&hv->ports, *p, link);
	pthread_mutex_unlock(&hv->ports_lock);
	count(&hv->usage.ports, 1);
	return 0;
}

int hv_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	*out = NULL;
	return hv->role == HV_FRONTEND ? port_new(hv, hv->ops->port_alloc(hv, dom, out), out) : -EPERM;
}

int hv_port_bind(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out)
{
	*out = NULL;
	return hv->role == HV_SUPERVISOR ? port_new(hv, hv->ops->port_bind(hv, dom, remote, out), out) : -EPERM;
}

int hv_port_adopt(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out)
{
	*out = NULL;
	return port_new(hv, hv->ops->port_adopt(hv, fds, nfds, port, out), out);
}

void hv_port_close(struct hv_port *p)
{
	struct hv *hv;

	if (!p)
		return;
	hv = p->hv;
	pthread_mutex_lock(&hv->ports_lock);
	LIST_REMOVE(p, link);
	pthread_mutex_unlock(&hv->ports_lock);
	uncount(&hv->usage.ports, 1);
	hv->ops->port_close(p);
}

size_t hv_port_fds(const struct hv_port *p, int fds[HV_PORT_FDS]) { return p->hv->ops->port_fds(p, fds); }
hv_evtchn_t hv_port_number(const struct hv_port *p) { return p->number; }
int hv_port_fd(const struct hv_port *p) { return p->hv->ops->port_fd(p); }
int hv_port_notify(struct hv_port *p) { return p->hv->ops->port_notify(p); }
int hv_port_clear(struct hv_port *p) { return p->hv->ops->port_clear(p); }

/* ---- domains and accounts */

int hv_domain_fd(struct hv *hv)
{
	return hv->role == HV_SUPERVISOR && hv->ops->features & HV_FEAT_DOMAIN_EVENTS ? hv->ops->domain_fd(hv) : -1;
}

void hv_domain_clear(struct hv *hv)
{
	if (hv_domain_fd(hv) >= 0)
		hv->ops->domain_clear(hv);
}

int hv_domain_state(struct hv *hv, hv_domid_t dom)
{
	return hv->role == HV_SUPERVISOR ? hv->ops->domain_state(hv, dom) : -EPERM;
}

int hv_store_fd(struct hv *hv)
{
	if (hv->role != HV_FRONTEND)
		return -EPERM;
	return hv->ops->store_fd ? hv->ops->store_fd(hv) : -ENOSYS;
}

struct hv_usage hv_usage(const struct hv *hv)
{
	return (struct hv_usage){
		.mapped = load_relaxed(&hv->usage.mapped),
		.granted = load_relaxed(&hv->usage.granted),
		.ports = load_relaxed(&hv->usage.ports),
	};
}
