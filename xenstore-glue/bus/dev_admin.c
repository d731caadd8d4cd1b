/* What xl and libxl write (seen in the store of a Xen 4.17), written here in one transaction for each thing. */
#include "xenstore-glue/bus/dev_admin_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- domains ---- */

void dev_admin_domain_create(struct xsc *xs, const struct dev_admin_domain *d, xsc_done_fn *fn, void *arg)
{
	/* the guest may read, or it owns the directory */
	static const char *const reads[] = {"device", "control", "cpu", "memory", "store"};
	static const char *const owns[] = {"data", "drivers", "feature", "attr", "error", "control/shutdown",
					   "device/suspend"};
	const struct xs_perm ro[2] = {admin_perm(0, 0), admin_perm(d->domid, XS_MAY_READ)}, own = admin_perm(d->domid, 0);
	char dom[XS_PATH_SIZE], vm[XS_PATH_SIZE], path[XS_PATH_SIZE];
	struct xsc_batch *b = xsc_batch_new();

	snprintf(dom, sizeof(dom), "/local/domain/%u", d->domid);
	snprintf(vm, sizeof(vm), "/vm/%s", d->uuid);
	xsc_batch_absent(b, admin_below(path, dom, "vm"));
	admin_dir(b, dom, ro, 2);
	admin_dir(b, vm, ro, 2);
	xsc_batch_write(b, admin_below(path, vm, "uuid"), "%s", d->uuid);
	xsc_batch_write(b, admin_below(path, vm, "name"), "%s", d->name);
	xsc_batch_write(b, admin_below(path, dom, "vm"), "%s", vm);
	xsc_batch_write(b, admin_below(path, dom, "name"), "%s", d->name);
	xsc_batch_write(b, admin_below(path, dom, "domid"), "%u", d->domid);
	for (size_t i = 0; i < ARRAY_LEN(reads); i++)
		admin_dir(b, admin_below(path, dom, "%s", reads[i]), ro, 2);
	for (size_t i = 0; i < ARRAY_LEN(owns); i++)
		admin_dir(b, admin_below(path, dom, "%s", owns[i]), &own, 1);
	xsc_batch_commit(xs, b, fn, arg);
}

/* ---- removing ---- */

struct removal {
	struct xsc *xs;
	char front[128], back[128], state[160];
	bool force;
	struct xsc_watch watch;
	struct loop_timer deadline;
	xsc_done_fn *fn;
	void *arg;
};

static void removal_end(struct removal *r, int rc, const char *text)
{
	xsc_done_fn *fn = r->fn;
	void *arg = r->arg;
	char line[256] = "";

	if (rc && text)
		snprintf(line, sizeof(line), "%s: %s", r->back, text);
	xsc_cancel(r->xs, r);
	xsc_unwatch(r->xs, &r->watch);
	loop_timer_stop(xsc_loop(r->xs), &r->deadline);
	free(r);
	if (fn)
		fn(arg, rc, line[0] ? line : NULL, strlen(line));
}

static void removed(void *arg, int rc, const char *data, size_t len)
{
	(void)data, (void)len;
	removal_end(arg, rc, rc ? "its nodes cannot be removed" : NULL);
}

static void remove_nodes(struct removal *r)
{
	struct xsc_batch *b = xsc_batch_new();

	xsc_unwatch(r->xs, &r->watch);
	loop_timer_stop(xsc_loop(r->xs), &r->deadline);
	xsc_cancel(r->xs, r);
	xsc_batch_rm(b, r->front);
	xsc_batch_rm(b, r->back);
	xsc_batch_commit(r->xs, b, removed, r);
}

static void deadline_over(struct loop_timer *t)
{
	struct removal *r = CONTAINER_OF(t, struct removal, deadline);

	if (r->force)
		remove_nodes(r);
	else
		removal_end(r, -ETIMEDOUT, "the backend did not let go of it in time");
}

static void got_state(void *arg, int rc, const char *data, size_t len)
{
	struct removal *r = arg;

	(void)len;
	if (rc == -ENOENT || (rc == 0 && xenbus_state_parse(data) == XenbusStateClosed))
		remove_nodes(r);
}

static void state_changed(struct xsc_watch *w, const char *path)
{
	struct removal *r = CONTAINER_OF(w, struct removal, watch);

	(void)path;
	/* Each event reads after itself; replies come in order, so the last one tells what stands there. */
	xsc_read(r->xs, 0, r->state, got_state, r);
}

static struct removal *removal_new(struct xsc *xs, const struct dev_admin_dev *d, uint64_t timeout_ns, xsc_done_fn *fn,
				   void *arg)
{
	struct removal *r = calloc(1, sizeof(*r));

	CHECK(r);
	r->xs = xs;
	r->fn = fn;
	r->arg = arg;
	snprintf(r->front, sizeof(r->front), "/local/domain/%u/device/%s/%u", d->domid, d->class_name, d->devid);
	snprintf(r->back, sizeof(r->back), "/local/domain/%u/backend/%s/%u/%u", d->back_domid, d->class_name, d->domid,
		 d->devid);
	snprintf(r->state, sizeof(r->state), "%s/state", r->back);
	loop_timer_start(xsc_loop(xs), &r->deadline, clock_now() + timeout_ns, deadline_over);
	return r;
}

static void asked(void *arg, int rc, const char *data, size_t len)
{
	struct removal *r = arg;

	(void)data, (void)len;
	if (rc == -ENOENT)
		removal_end(r, rc, "no such device");
	else if (rc)
		removal_end(r, rc, err_str(rc));
	else
		CHECK(xsc_watch(r->xs, &r->watch, r->state, state_changed) == 0);
}

/* A backend that has closed already, and may have forgotten the device, is not asked to close: nobody would answer. */
static void got_present(void *arg, int rc, const char *data, size_t len)
{
	struct removal *r = arg;
	struct xsc_batch *b;
	char path[XS_PATH_SIZE];

	(void)len;
	if (rc) {
		removal_end(r, rc, rc == -ENOENT ? "no such device" : err_str(rc));
		return;
	}
	if (xenbus_state_parse(data) == XenbusStateClosed) {
		remove_nodes(r);
		return;
	}
	b = xsc_batch_new();
	xsc_batch_exists(b, r->state);
	xsc_batch_write(b, admin_below(path, r->back, "online"), "0");
	xsc_batch_write(b, r->state, "%d", XenbusStateClosing);
	xsc_batch_commit(r->xs, b, asked, r);
}

void dev_admin_remove(struct xsc *xs, const struct dev_admin_dev *d, uint64_t timeout_ns, bool force, xsc_done_fn *fn,
		      void *arg)
{
	struct removal *r = removal_new(xs, d, timeout_ns, fn, arg);

	r->force = force;
	xsc_read(xs, 0, r->state, got_present, r);
}

/* ---- the end of a domain ---- */

static const char *const classes[] = {"vbd", "vif"};

struct ending {
	struct xsc *xs;
	uint32_t back_domid, domid;
	uint64_t timeout_ns;
	unsigned listed; /* classes */
	unsigned outstanding;
	xsc_done_fn *fn;
	void *arg;
};

static const char *classes_path(char *path, size_t size, const struct ending *e, size_t i)
{
	snprintf(path, size, "/local/domain/%u/backend/%s/%u", e->back_domid, classes[i], e->domid);
	return path;
}

static void ending_done(void *arg, int rc, const char *data, size_t len)
{
	struct ending *e = arg;

	(void)data, (void)len;
	if (e->fn)
		e->fn(e->arg, rc, NULL, 0);
	free(e);
}

static void remove_domain(void *arg, int rc, const char *vm, size_t len)
{
	struct ending *e = arg;
	struct xsc_batch *b = xsc_batch_new();
	char path[XS_PATH_SIZE];

	(void)len;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		xsc_batch_rm(b, classes_path(path, sizeof(path), e, i));
	snprintf(path, sizeof(path), "/local/domain/%u", e->domid);
	xsc_batch_rm(b, path);
	/* The node is domain 0's, so its text may be believed. */
	if (rc == 0 && strncmp(vm, "/vm/", 4) == 0 && strchr(vm + 4, '/') == NULL && vm[4])
		xsc_batch_rm(b, vm);
	xsc_batch_commit(e->xs, b, ending_done, e);
}

static void device_gone(void *arg, int rc, const char *data, size_t len)
{
	struct ending *e = arg;
	char path[64];

	(void)rc, (void)data, (void)len; /* what could not be removed goes with the directory above it */
	if (--e->outstanding)
		return;
	snprintf(path, sizeof(path), "/local/domain/%u/vm", e->domid);
	xsc_read(e->xs, 0, path, remove_domain, e);
}

static void list_next(struct ending *e);

static void got_devices(void *arg, int rc, const char *data, size_t len)
{
	struct ending *e = arg;
	struct dev_admin_dev d = {.back_domid = e->back_domid, .domid = e->domid};

	strcpy(d.class_name, classes[e->listed++]);
	for (size_t at = 0; rc == 0 && at < len; at += strlen(data + at) + 1)
		if (xs_parse_u32(data + at, UINT32_MAX, &d.devid)) {
			e->outstanding++;
			dev_admin_remove(e->xs, &d, e->timeout_ns, true, device_gone, e);
		}
	list_next(e);
}

static void list_next(struct ending *e)
{
	char path[96];

	if (e->listed < ARRAY_LEN(classes))
		xsc_directory(e->xs, 0, classes_path(path, sizeof(path), e, e->listed), got_devices, e);
	else
		device_gone(e, 0, NULL, 0);
}

static void front_gone(void *arg, int rc, const char *data, size_t len)
{
	struct ending *e = arg;

	(void)data, (void)len;
	if (rc && rc != -ENOENT) {
		ending_done(e, rc, NULL, 0);
		return;
	}
	e->outstanding = 1; /* the lists */
	list_next(e);
}

void dev_admin_domain_destroy(struct xsc *xs, uint32_t back_domid, uint32_t domid, uint64_t timeout_ns, xsc_done_fn *fn,
			      void *arg)
{
	struct ending *e = calloc(1, sizeof(*e));
	char path[96];

	CHECK(e);
	e->xs = xs;
	e->back_domid = back_domid;
	e->domid = domid;
	e->timeout_ns = timeout_ns;
	e->fn = fn;
	e->arg = arg;
	/* The frontends' nodes first, as libxl does it: backends need not wait for a guest that is no more. */
	snprintf(path, sizeof(path), "/local/domain/%u/device", domid);
	xsc_rm(xs, 0, path, front_gone, e);
}
