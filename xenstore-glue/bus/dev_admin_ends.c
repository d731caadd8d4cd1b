/* Both ends of a device, made and put back, as xl and libxl write them. */
#include "ring/base/check.h"
#include "xenstore-glue/bus/dev_admin_priv.h"
#include "xenstore-glue/bus/xs_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *admin_below(char out[XS_PATH_SIZE], const char *base, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(out, XS_PATH_SIZE, "%s/", base);

	va_start(ap, fmt);
	if (n > 0 && n < (int)XS_PATH_SIZE)
		vsnprintf(out + n, XS_PATH_SIZE - (size_t)n, fmt, ap);
	va_end(ap);
	return out;
}

void admin_dir(struct xsc_batch *b, const char *path, const struct xs_perm *p, size_t n)
{
	xsc_batch_mkdir(b, path);
	xsc_batch_perms(b, path, p, n);
}

struct ends {
	uint32_t back_domid, domid;
	struct xsc_batch *b;
	struct xs_kvs kvs; /* of the directory that is being filled */
	int rc;
	char front[128], back[128];
};

static struct ends *ends_new(const char *class_name, uint32_t back_domid, uint32_t domid, uint32_t devid)
{
	struct ends *e = calloc(1, sizeof(*e));
	char path[XS_PATH_SIZE];

	CHECK(e);
	e->back_domid = back_domid;
	e->domid = domid;
	e->b = xsc_batch_new();
	snprintf(e->front, sizeof(e->front), "/local/domain/%u/device/%s/%u", domid, class_name, devid);
	snprintf(e->back, sizeof(e->back), "/local/domain/%u/backend/%s/%u/%u", back_domid, class_name, domid, devid);
	xsc_batch_absent(e->b, admin_below(path, e->back, "state"));
	xsc_batch_absent(e->b, admin_below(path, e->front, "state"));
	return e;
}

/* Made anew: their permissions are those of an owner, not what a directory above happens to have. */
static void end_begin(struct ends *e, const char *path, uint32_t owner, uint32_t other)
{
	const struct xs_perm perms[2] = {admin_perm(owner, 0), admin_perm(other, XS_MAY_READ)};

	xsc_batch_rm(e->b, path);
	admin_dir(e->b, path, perms, 2);
	e->kvs.n = 0;
}

static void begin_front(struct ends *e)
{
	end_begin(e, e->front, e->domid, e->back_domid);
	xs_kv_set(&e->kvs, "backend", "%s", e->back);
	xs_kv_set(&e->kvs, "backend-id", "%u", e->back_domid);
	xs_kv_set(&e->kvs, "state", "1");
}

static void begin_back(struct ends *e) { end_begin(e, e->back, e->back_domid, e->domid); }

/* All keys of the directory are there. */
static void end_with(struct ends *e, const char *path) { xs_tree_batch(e->b, path, &e->kvs); }

static void end_with_state(struct ends *e, const char *path, unsigned state)
{
	xs_kv_set(&e->kvs, "state", "%u", state);
	end_with(e, path);
}

/* Only where the domain is, if it is to be made; and only where its toolstack's nodes are not, if it is put back. */
static void for_domain(struct ends *e, bool there)
{
	const struct xs_perm ro[2] = {admin_perm(0, 0), admin_perm(e->domid, XS_MAY_READ)};
	char dom[64], path[XS_PATH_SIZE];

	snprintf(dom, sizeof(dom), "/local/domain/%u", e->domid);
	admin_below(path, dom, "vm");
	if (there) {
		xsc_batch_exists(e->b, path);
		return;
	}
	xsc_batch_absent(e->b, path);
	admin_dir(e->b, dom, ro, 2);
	admin_dir(e->b, admin_below(path, dom, "device"), ro, 2);
}

static void ends_commit(struct ends *e, struct xsc *xs, xsc_done_fn *fn, void *arg)
{
	if (e->rc)
		xsc_batch_write(e->b, "//", "0"); /* refused: something of the caller's does not fit */
	xsc_batch_commit(xs, e->b, fn, arg);
	free(e);
}

/* ---- a vbd ---- */

static void vbd_front(struct ends *e, const struct dev_admin_vbd *v)
{
	begin_front(e);
	xs_kv_set(&e->kvs, "virtual-device", "%u", v->devid);
	xs_kv_set(&e->kvs, "device-type", "%s", v->wanted.cdrom ? "cdrom" : "disk");
	xs_kv_set(&e->kvs, "trusted", "1");
}

static void vbd_back(struct ends *e, const struct dev_admin_vbd *v)
{
	struct vbd_wanted w = v->wanted;

	begin_back(e);
	snprintf(w.frontend, sizeof(w.frontend), "%s", e->front);
	w.frontend_id = v->domid;
	w.online = true;
	if (!w.dev[0])
		vbd_vdev(v->devid, w.dev, sizeof(w.dev));
	e->rc |= vbd_wanted_write(&w, &e->kvs);
}

void dev_admin_vbd_create(struct xsc *xs, const struct dev_admin_vbd *v, xsc_done_fn *fn, void *arg)
{
	struct ends *e = ends_new("vbd", v->back_domid, v->domid, v->devid);

	for_domain(e, true);
	vbd_front(e, v);
	end_with(e, e->front);
	vbd_back(e, v);
	end_with(e, e->back);
	ends_commit(e, xs, fn, arg);
}

void dev_admin_vbd_restore(struct xsc *xs, const struct dev_admin_ends *d, xsc_done_fn *fn, void *arg)
{
	struct ends *e = ends_new("vbd", d->vbd.back_domid, d->vbd.domid, d->vbd.devid);

	for_domain(e, false);
	vbd_front(e, &d->vbd);
	e->rc |= vbd_ask_write(&d->ask, &e->kvs);
	end_with_state(e, e->front, d->front_state);
	vbd_back(e, &d->vbd);
	e->rc |= vbd_offer_write(&d->offer, &e->kvs);
	end_with_state(e, e->back, d->back_state);
	ends_commit(e, xs, fn, arg);
}

/* ---- a vif ---- */

static void vif_front(struct ends *e, const struct dev_admin_vif *v)
{
	struct vif_told t = {.handle = v->devid, .mtu = v->wanted.mtu, .trusted = true};

	begin_front(e);
	memcpy(t.mac, v->wanted.mac, sizeof(t.mac));
	e->rc |= vif_told_write(&t, &e->kvs);
}

static void vif_back(struct ends *e, const struct dev_admin_vif *v)
{
	struct vif_wanted w = v->wanted;

	begin_back(e);
	snprintf(w.frontend, sizeof(w.frontend), "%s", e->front);
	w.frontend_id = v->domid;
	w.online = true;
	w.handle = v->devid;
	e->rc |= vif_wanted_write(&w, &e->kvs);
}

void dev_admin_vif_create(struct xsc *xs, const struct dev_admin_vif *v, xsc_done_fn *fn, void *arg)
{
	struct ends *e = ends_new("vif", v->back_domid, v->domid, v->devid);

	for_domain(e, true);
	vif_front(e, v);
	end_with(e, e->front);
	vif_back(e, v);
	end_with(e, e->back);
	ends_commit(e, xs, fn, arg);
}

void dev_admin_vif_restore(struct xsc *xs, const struct dev_admin_vif_ends *d, xsc_done_fn *fn, void *arg)
{
	struct ends *e = ends_new("vif", d->vif.back_domid, d->vif.domid, d->vif.devid);

	for_domain(e, false);
	vif_front(e, &d->vif);
	e->rc |= vif_ask_write(&d->ask, &e->kvs);
	end_with_state(e, e->front, d->front_state);
	vif_back(e, &d->vif);
	e->rc |= vif_offer_write(&d->offer, &e->kvs);
	end_with_state(e, e->back, d->back_state);
	ends_commit(e, xs, fn, arg);
}
