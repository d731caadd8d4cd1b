/* The provider on real Xen: libxengnttab (through /dev/xen/gntdev, a frontend's also /dev/xen/gntalloc), libxenevtchn, and
 * libxenctrl for whether a domain runs. The only file that includes xen libraries (docs/xen.md has the facts it rests on).
 *
 * One evtchn descriptor for each port: the supervisor binds, the keeper and the stubs inherit dups; the binding ends with the
 * last of them. Each grant is mapped for itself, so that each can be unmapped for itself: gntdev gives a mapping back as it
 * was made. What maps much maps it once (persistent grants); the rest is copied, in batches. */
#include "ring/hv/hv_ops.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

struct own_grant { /* a frontend's */
	LIST_ENTRY(own_grant) link;
	char *page;
	hv_gref_t gref;
};

struct own_piece {
	LIST_ENTRY(own_piece) link;
	char *mem;
	size_t npages;
};

struct xen {
	struct hv hv;
	xentoollog_logger *quiet; /* refused grants are the guest's doing, told by their status */
	xengnttab_handle *gnt;	/* stub */
	xengntshr_handle *share; /* frontend */
	xc_interface *ctrl;	/* supervisor; NULL: this domain may not ask (a driver domain) */
	LIST_HEAD(, own_piece) pieces;
	LIST_HEAD(, own_grant) grants;
};

struct xen_port {
	struct hv_port p;
	xenevtchn_handle *evtchn;
	bool unmasked; /* by us, and not read from since */
};

static struct xen *xen_of(struct hv *hv) { return CONTAINER_OF(hv, struct xen, hv); }

/* ---- stub: grants */

/* gntdev says EINVAL for whatever the hypervisor refused; what is out on our side it says itself. */
static int16_t map_status(int error)
{
	switch (error) {
	case ENOMEM:
	case ENOSPC:
	case EAGAIN: return -ENOMEM;
	case EACCES: return -EACCES;
	default: return -EINVAL;
	}
}

static int op_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		m[i].addr = xengnttab_map_grant_ref(xen_of(hv)->gnt, dom, m[i].gref, m[i].ro ? PROT_READ : PROT_READ | PROT_WRITE);
		m[i].status = m[i].addr ? 0 : map_status(errno);
	}
	return 0;
}

static size_t op_unmap(struct hv *hv, void *const *addr, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++)
		done += xengnttab_unmap(xen_of(hv)->gnt, addr[i], 1) == 0;
	return done;
}

static int op_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out)
{
	uint32_t refs[HV_RING_PAGES_MAX];

	memcpy(refs, grefs, npages * sizeof(*refs));
	*out = xengnttab_map_domain_grant_refs(xen_of(hv)->gnt, (uint32_t)npages, dom, refs, PROT_READ | PROT_WRITE);
	return *out ? 0 : map_status(errno);
}

static int op_unmap_ring(struct hv *hv, void *ring, size_t npages)
{
	return xengnttab_unmap(xen_of(hv)->gnt, ring, (uint32_t)npages) ? -EINVAL : 0;
}

static int16_t copy_status(int16_t gnttab)
{
	switch (gnttab) {
	case GNTST_okay: return 0;
	case GNTST_permission_denied: return -EACCES;
	case GNTST_no_space: return -ENOMEM;
	default: return -EINVAL;
	}
}

static void copy_segment(struct hv_copy *c, hv_domid_t dom, xengnttab_grant_copy_segment_t *s)
{
	union xengnttab_copy_ptr *local = c->to_guest ? &s->source : &s->dest, *guest = c->to_guest ? &s->dest : &s->source;

	*s = (xengnttab_grant_copy_segment_t){.len = c->len,
					      .flags = c->to_guest ? GNTCOPY_dest_gref : GNTCOPY_source_gref};
	local->virt = c->local;
	guest->foreign.ref = c->gref;
	guest->foreign.offset = c->off;
	guest->foreign.domid = dom;
}

static int op_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	xengnttab_grant_copy_segment_t s[HV_BATCH_MAX];

	for (size_t i = 0; i < n; i++)
		copy_segment(&c[i], dom, &s[i]);
	if (xengnttab_grant_copy(xen_of(hv)->gnt, (uint32_t)n, s))
		return -errno;
	for (size_t i = 0; i < n; i++)
		c[i].status = copy_status(s[i].status);
	return 0;
}

/* ---- frontend: a page becomes the kernel's own when it is granted, and goes back to ordinary memory afterwards */

static int op_alloc(struct hv *hv, size_t npages, void **out)
{
	struct own_piece *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->npages = npages;
	p->mem = mmap(NULL, npages * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->mem == MAP_FAILED) {
		free(p);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&xen_of(hv)->pieces, p, link);
	*out = p->mem;
	return 0;
}

static bool inside(const struct own_piece *p, const char *page)
{
	return page >= p->mem && page < p->mem + p->npages * BH_PAGE_SIZE && (uintptr_t)page % BH_PAGE_SIZE == 0;
}

static int op_free(struct hv *hv, void *mem, size_t npages)
{
	struct own_piece *p;
	struct own_grant *g;

	LIST_FOREACH(p, &xen_of(hv)->pieces, link)
		if (p->mem == mem && p->npages == npages)
			break;
	if (!p)
		return -EINVAL;
	LIST_FOREACH(g, &xen_of(hv)->grants, link)
		if (inside(p, g->page))
			return -EBUSY;
	munmap(p->mem, npages * BH_PAGE_SIZE);
	LIST_REMOVE(p, link);
	free(p);
	return 0;
}

static bool is_own(struct xen *x, const char *page)
{
	struct own_piece *p;

	LIST_FOREACH(p, &x->pieces, link)
		if (inside(p, page))
			return true;
	return false;
}

static bool is_granted(struct xen *x, const char *page)
{
	struct own_grant *g;

	LIST_FOREACH(g, &x->grants, link)
		if (g->page == page)
			return true;
	return false;
}

static bool named_before(const struct hv_grant *g, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (g[k].page == g[i].page)
			return true;
	return false;
}

/* The shared page takes the place of the ordinary one, with what that held: so it can be granted once at a time. */
static int grant_page(struct xen *x, hv_domid_t dom, struct hv_grant *h)
{
	struct own_grant *g = calloc(1, sizeof(*g));
	void *shared;

	if (!g)
		return -ENOMEM;
	shared = xengntshr_share_pages(x->share, dom, 1, &h->gref, !h->ro);
	if (!shared) {
		free(g);
		return -ENOSPC;
	}
	memcpy(shared, h->page, BH_PAGE_SIZE);
	CHECK(mremap(shared, BH_PAGE_SIZE, BH_PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, h->page) == h->page);
	g->page = h->page;
	g->gref = h->gref;
	LIST_INSERT_HEAD(&x->grants, g, link);
	return 0;
}

/* The kernel keeps a page that the other end still maps from every other use: nothing to be told here. */
static void ungrant_page(struct own_grant *g)
{
	char was[BH_PAGE_SIZE];

	memcpy(was, g->page, sizeof(was));
	CHECK(mmap(g->page, BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == g->page);
	memcpy(g->page, was, sizeof(was));
	LIST_REMOVE(g, link);
	free(g);
}

static struct own_grant *find_grant(struct xen *x, hv_gref_t gref)
{
	struct own_grant *g;

	LIST_FOREACH(g, &x->grants, link)
		if (g->gref == gref)
			return g;
	return NULL;
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n)
{
	struct xen *x = xen_of(hv);
	size_t done = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (!is_own(x, g[i].page))
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (is_granted(x, g[i].page) || named_before(g, i))
			return -EBUSY;
	while (done < n && !rc) {
		rc = grant_page(x, dom, &g[done]);
		done += !rc;
	}
	while (rc && done)
		ungrant_page(find_grant(x, g[--done].gref));
	return rc;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	for (size_t i = 0; i < n; i++) {
		struct own_grant *g = find_grant(xen_of(hv), grefs[i]);

		status[i] = g ? 0 : -EINVAL;
		if (g)
			ungrant_page(g);
	}
	return 0;
}

/* ---- ports */

/* Reads are never to block: a port is looked at after poll(2) or for the look's sake. */
static int port_new(struct hv *hv, xenevtchn_handle *e, int port, struct hv_port **out)
{
	struct xen_port *p = calloc(1, sizeof(*p));
	int rc = port < 0 ? -errno : 0;

	if (!rc && fcntl(xenevtchn_fd(e), F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		rc = -errno;
	if (!p || rc) {
		free(p);
		xenevtchn_close(e);
		return rc ? rc : -ENOMEM;
	}
	*p = (struct xen_port){.p = {.hv = hv, .number = (hv_evtchn_t)port}, .evtchn = e};
	*out = &p->p;
	return 0;
}

static int op_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	xenevtchn_handle *e = xenevtchn_open(NULL, 0);

	return e ? port_new(hv, e, xenevtchn_bind_unbound_port(e, dom), out) : -errno;
}

/* Whoever inherits the descriptor can bind to that one domain only. */
static int op_port_bind(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out)
{
	xenevtchn_handle *e = xenevtchn_open(NULL, 0);
	int rc;

	if (!e)
		return -errno;
	if (xenevtchn_restrict(e, dom))
		log_debug("an event channel to domain %u is not restricted to it: %s", dom, err_str(errno));
	rc = port_new(hv, e, xenevtchn_bind_interdomain(e, dom, remote), out);
	return rc == -ESRCH ? -EINVAL : rc; /* no such domain: nor its port */
}

static size_t op_port_fds(const struct hv_port *p, int fds[HV_PORT_FDS])
{
	fds[0] = xenevtchn_fd(((const struct xen_port *)p)->evtchn);
	return 1;
}

static int op_port_adopt(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out)
{
	xenevtchn_handle *e = nfds == 1 ? xenevtchn_fdopen(NULL, fds[0], 0) : NULL;

	if (e)
		return port_new(hv, e, (int)port, out);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	return nfds == 1 ? -ENOMEM : -EINVAL;
}

static int op_port_fd(const struct hv_port *p) { return xenevtchn_fd(((const struct xen_port *)p)->evtchn); }

static int op_port_notify(struct hv_port *p)
{
	return xenevtchn_notify(((struct xen_port *)p)->evtchn, p->number) ? -EPIPE : 0;
}

/* An event that was read stays masked until somebody unmasks it, over the reader's death too: so it is unmasked the first time in
 * any case, which harms nothing when it was not masked. The descriptor has one port, which tells nothing while it is masked: so
 * one read empties it. */
static int op_port_clear(struct hv_port *p)
{
	struct xen_port *x = CONTAINER_OF(p, struct xen_port, p);
	int port = xenevtchn_pending(x->evtchn), was = port >= 0 && (hv_evtchn_t)port == p->number;

	if (was || !x->unmasked)
		x->unmasked = xenevtchn_unmask(x->evtchn, p->number) == 0;
	return was;
}

/* The binding ends with the descriptor's last holder: a supervisor that leaves all to its successor takes nothing away. */
static void op_port_close(struct hv_port *p)
{
	xenevtchn_close(((struct xen_port *)p)->evtchn);
	free(p);
}

/* ---- domains */

/* The end of a domain is told by xenstore (@releaseDomain); the hypervisor's own event has one listener, which is xenstored. */
static int op_domain_state(struct hv *hv, hv_domid_t dom)
{
	struct xen *x = xen_of(hv);
	xc_dominfo_t info;
	int n;

	if (!x->ctrl)
		return -EPERM;
	n = xc_domain_getinfo(x->ctrl, dom, 1, &info);
	if (n < 0 && errno != ESRCH) /* it says that of a domain behind the last one */
		return -errno;
	if (n <= 0 || info.domid != dom)
		return 0;
	return info.dying || info.shutdown ? -ESHUTDOWN : 1;
}

/* ---- open and close */

static void op_close(struct hv *hv)
{
	struct xen *x = xen_of(hv);

	while (!LIST_EMPTY(&x->grants))
		ungrant_page(LIST_FIRST(&x->grants));
	while (!LIST_EMPTY(&x->pieces))
		CHECK(op_free(hv, LIST_FIRST(&x->pieces)->mem, LIST_FIRST(&x->pieces)->npages) == 0);
	if (x->gnt)
		xengnttab_close(x->gnt);
	if (x->quiet)
		xtl_logger_destroy(x->quiet);
	if (x->share)
		xengntshr_close(x->share);
	if (x->ctrl)
		xc_interface_close(x->ctrl);
	free(x);
}

static const struct hv_ops ops = {
	.name = "xen",
	.features = HV_FEAT_PAGE_GRANULAR | HV_FEAT_MASK | HV_FEAT_SUSPEND,
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

/* libxenctrl speaks one version of an interface that changes with every Xen, which says EACCES to any other. */
static void check_version(struct xen *x)
{
	unsigned of = __XEN_LATEST_INTERFACE_VERSION__;
	xc_dominfo_t info;
	int is;

	if (!x->ctrl || xc_domain_getinfo(x->ctrl, x->hv.domid, 1, &info) >= 0 || errno != EACCES)
		return;
	is = xc_version(x->ctrl, XENVER_version, NULL);
	log_warn("libxenctrl is for Xen %u.%u, this is %d.%d: ends of domains are learnt from xenstore only", of >> 16,
		 of >> 8 & 0xff, is >> 16, is & 0xffff);
	xc_interface_close(x->ctrl);
	x->ctrl = NULL;
}

static int open_devices(struct xen *x)
{
	switch (x->hv.role) {
	case HV_STUB:
		x->quiet = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
		x->gnt = xengnttab_open(x->quiet, 0);
		return x->gnt ? 0 : -errno;
	case HV_FRONTEND:
		x->share = xengntshr_open(NULL, 0);
		return x->share ? 0 : -errno;
	default:
		x->ctrl = xc_interface_open(NULL, NULL, 0);
		check_version(x);
		return 0;
	}
}

int hv_xen_open(const struct hv_open *o, struct hv **out)
{
	struct xen *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	hv_setup(&x->hv, &ops, o, o->self);
	rc = open_devices(x);
	if (rc) {
		hv_close(&x->hv);
		return rc;
	}
	*out = &x->hv;
	return 0;
}
