/* Xenstore: which devices there are, and the handshake of each. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "xenstore-glue/bus/xenbus_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_NS (50 * NS_PER_MS)

struct sup_bus {
	struct sup *sup;
	struct xsc *xs;
	struct xenbus_scan *scan;
	struct xsc_watch released;
	LIST_HEAD(, left) left;
	bool was_up, was_down;
	struct xs_kvs kvs; /* too large for the stack; used within one call */
};

static void prepare(struct sup_dev *d, const struct xs_kvs *own)
{
	struct vbd_wanted w;
	char err[sizeof(d->text)] = "";

	if (vbd_wanted_read(own, &w, err, sizeof(err))) {
		sup_dev_text(d, "%s", err);
		sup_bus_refuse(d);
		sup_dev_event(d, SUP_EV_REFUSED);
		return;
	}
	d->wanted = w;
	sup_offer_start(d);
}

static void connect_to(struct sup_dev *d, const struct xs_kvs *peer)
{
	struct vbd_ask ask;
	char err[sizeof(d->text)] = "";
	int rc = d->state == CTL_WAITING ? 0 : -EBUSY;

	if (rc)
		snprintf(err, sizeof(err), "the device is %s", ctl_state_name(d->state));
	if (!rc && sup_group_full(d->group)) {
		rc = -ENOSPC;
		snprintf(err, sizeof(err), "one stub serves at most %u disks: another placement is needed", STUB_DEVS_MAX);
	}
	if (!rc)
		rc = vbd_ask_read(peer, &d->offer, &ask, err, sizeof(err));
	if (!rc)
		rc = sup_conn_make(d, &ask, err, sizeof(err));
	if (!rc) {
		sup_dev_event(d, SUP_EV_ASKED);
		return;
	}
	sup_dev_text(d, "%s", err);
	sup_note(d, CTL_EV_NOTE, "no connection: %s", d->text);
	xenbus_end_failed(d->end, d->text);
}

/* A device that was let go, whose nodes may still be there or already be those of another. */
struct left {
	LIST_ENTRY(left) link;
	struct sup_bus *bus;
	struct loop_timer timer;
	uint32_t domid, devid;
};

static void look_again(struct loop_timer *t)
{
	struct left *l = CONTAINER_OF(t, struct left, timer);

	LIST_REMOVE(l, link);
	xenbus_scan_again(l->bus->scan, l->domid, l->devid);
	free(l);
}

/* Looked for after a while only: a toolstack that takes its time, or dies before it removes the nodes, would otherwise
 * keep us busy with finding and letting go the same device. */
static void removed(struct sup_dev *d)
{
	struct sup_bus *b = d->sup->bus;
	struct left *l = calloc(1, sizeof(*l));

	CHECK(l);
	*l = (struct left){.bus = b, .domid = d->domid, .devid = d->devid};
	LIST_INSERT_HEAD(&b->left, l, link);
	loop_timer_start(b->sup->loop, &l->timer, clock_now() + LOOK_AGAIN_NS, look_again);
	if (d->state != CTL_CLOSED || d->image >= 0)
		sup_note(d, CTL_EV_REMOVED, "%s", "");
	sup_dev_free(d);
}

static void on_action(struct xenbus_end *e UNUSED, enum xenbus_action action, const struct xs_kvs *own, const struct xs_kvs *peer,
		      void *arg)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	log_debug("%s of domain %u: xenbus %s", d->vdev, d->domid, xenbus_action_name(action));
	switch (action) {
	case XENBUS_ACT_PREPARE:
		prepare(d, own);
		break;
	case XENBUS_ACT_CONNECT:
		connect_to(d, peer);
		break;
	case XENBUS_ACT_DISCONNECT:
		sup_dev_event(d, SUP_EV_CLOSE);
		break;
	case XENBUS_ACT_REMOVED:
		removed(d);
		break;
	case XENBUS_ACT_LOST:
		sup_lost(d);
		break;
	default:
		break;
	}
}

/* ---- finding */

static void name_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	(void)len;
	if (!rc)
		snprintf(d->domain, sizeof(d->domain), "%s", data);
}

/* "/vm/8-4-4-4-12" */
static void vm_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	const char *p = rc ? NULL : strrchr(data, '/');
	unsigned n = 0, byte;

	(void)len;
	for (p = p ? p + 1 : ""; *p && n < sizeof(d->uuid); p += *p == '-' ? 1 : 2)
		if (*p != '-') {
			if (sscanf(p, "%2x", &byte) != 1 || !p[1])
				return;
			d->uuid[n++] = (uint8_t)byte;
		}
}

static void appeared(struct sup_dev *d)
{
	struct sup_bus *b = d->sup->bus;
	char path[XS_PATH_SIZE], peer[XS_PATH_SIZE], node[64];
	struct xenbus_end_cfg cfg = {.xs = b->xs, .role = XENBUS_BACK, .path = path, .peer = peer, .fn = on_action, .arg = d};
	int rc;

	snprintf(node, sizeof(node), "/local/domain/%u/name", d->domid);
	xsc_read(b->xs, 0, node, name_read, d);
	snprintf(node, sizeof(node), "/local/domain/%u/vm", d->domid);
	xsc_read(b->xs, 0, node, vm_read, d);
	vbd_back_path(path, sizeof(path), 0, d->domid, d->devid);
	vbd_front_path(peer, sizeof(peer), d->domid, d->devid);
	/* Draining, by a stub that a predecessor told so: Closed is written when that has ended. */
	cfg.connected = sup_dev_runs(d) || d->state == CTL_SUSPENDED || d->state == CTL_BROKEN || (d->state == CTL_FAILED && d->has_journal) ||
			(d->state == CTL_DRAINING && sup_dev_has_procs(d));
	rc = xenbus_end_open(&cfg, &d->end);
	if (rc)
		log_error("%s: %s: this device is not served", path, err_str(rc));
}

static void on_scan(enum xenbus_scan_event ev, uint32_t domid, uint32_t devid, void *arg)
{
	struct sup_bus *b = (struct sup_bus *)arg;
	struct sup_dev *d = sup_dev_find(b->sup, domid, devid);

	if (ev != XENBUS_APPEARED || b->sup->stopping)
		return; /* what vanishes is told by its end, which has to be disconnected first */
	if (!d)
		d = sup_dev_new(b->sup, domid, devid);
	if (!d->end)
		appeared(d);
}

/* Also those whose nodes are gone: the scan would not find them. */
static void follow_adopted(struct sup *s)
{
	struct sup_group *g;
	struct sup_dev *d;

	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			appeared(d);
}

/* A domain was shut down or is gone, and this is how xenstored says so: of those that it knows. */
static void domain_ended(struct xsc_watch *w, const char *path)
{
	(void)path;
	sup_domains_check(CONTAINER_OF(w, struct sup_bus, released)->sup);
}

static void on_store(bool up, void *arg)
{
	struct sup_bus *b = (struct sup_bus *)arg;
	struct ctl_event e = {.kind = up ? CTL_EV_STORE_BACK : CTL_EV_STORE_LOST, .domid = 0};

	if (up ? b->was_down : b->was_up) {
		log_warn("xenstore %s", up ? "is back" : "is away: I/O goes on, nothing can be attached or detached");
		sup_note_event(b->sup, &e, SUP_QUIET);
	}
	b->was_up = up;
	b->was_down = b->was_down || !up;
}

int sup_bus_open(struct sup *s, char *err, size_t size)
{
	struct sup_bus *b = calloc(1, sizeof(*b));
	char path[PATH_MAX];
	struct xsc_cfg cfg = {.loop = s->loop, .path = path, .state = on_store, .arg = b};
	int rc;

	CHECK(b);
	b->sup = s;
	LIST_INIT(&b->left);
	s->bus = b;
	rc = xsc_path(strcmp(s->o.provider, "local") == 0 ? s->dirs.run : NULL, path, sizeof(path));
	if (!rc)
		rc = xsc_open(&cfg, &b->xs);
	if (!rc)
		follow_adopted(s);
	if (!rc)
		rc = xenbus_scan_open(b->xs, 0, "vbd", on_scan, b, &b->scan);
	if (!rc && !(hv_features(s->hv) & HV_FEAT_DOMAIN_EVENTS))
		rc = xsc_watch(b->xs, &b->released, "@releaseDomain", domain_ended);
	if (rc)
		snprintf(err, size, "xenstore at %s: %s", path, err_str(rc));
	return rc;
}

void sup_bus_close(struct sup *s)
{
	struct left *l;

	if (!s->bus)
		return;
	while ((l = LIST_FIRST(&s->bus->left))) {
		loop_timer_stop(s->loop, &l->timer);
		LIST_REMOVE(l, link);
		free(l);
	}
	xenbus_scan_close(s->bus->scan);
	xsc_close(s->bus->xs);
	free(s->bus);
	s->bus = NULL;
}

/* ---- telling */

void sup_bus_offer(struct sup_dev *d)
{
	struct xs_kvs *kvs = &d->sup->bus->kvs;

	kvs->n = 0;
	if (d->end && vbd_offer_write(&d->offer, kvs) == 0) {
		xenbus_end_error(d->end, NULL);
		xenbus_end_ready(d->end, kvs);
	}
}

void sup_bus_refuse(struct sup_dev *d)
{
	if (d->state != CTL_FAILED) /* said once; it is looked at again and again */
		sup_note(d, CTL_EV_FAILED, "%s", d->text);
	if (d->end)
		xenbus_end_failed(d->end, d->text);
}

bool sup_bus_waits(const struct sup_dev *d) { return d->end && xenbus_end_phase(d->end) == XENBUS_B_CONNECTING; }

void sup_bus_online(struct sup_dev *d)
{
	if (sup_bus_waits(d))
		xenbus_end_up(d->end, NULL);
}

void sup_bus_closed(struct sup_dev *d)
{
	if (!d->end) { /* its nodes are gone: nothing will say so any more. Or it is being adopted: that is seen next */
		if (d->sup->bus && !d->sup->stopping)
			removed(d);
		return;
	}
	if (d->domain_gone && d->put_back)
		xsc_rm(d->sup->bus->xs, 0, xenbus_end_path(d->end), NULL, NULL);
	xenbus_end_error(d->end, NULL);
	xenbus_end_down(d->end);
	/* No end any more: the nodes were gone before, and with this the device is. */
	if (!d->end || xenbus_phase_state(xenbus_end_phase(d->end)) != XenbusStateConnected)
		return;
	/* It was our wish, not the frontend's: an end that knows of no connection writes Closed and waits for its 5-6-1. */
	xenbus_end_close(d->end);
	d->end = NULL;
	appeared(d);
}

void sup_bus_domain_gone(struct sup_dev *d)
{
	d->domain_gone = true;
	if (d->end)
		xenbus_end_peer_dead(d->end);
	else
		sup_dev_event(d, SUP_EV_CLOSE);
}

void sup_bus_gone(struct sup_dev *d)
{
	sup_bus_forget(d);
	sup_dev_event(d, SUP_EV_CLOSE);
}

struct xsc *sup_bus_store(struct sup *s) { return s->bus->xs; }

void sup_bus_error(struct sup_dev *d, const char *text)
{
	if (!d->end)
		return;
	if (d->state == CTL_BROKEN && xenbus_end_phase(d->end) == XENBUS_B_CONNECTING)
		xenbus_end_failed(d->end, text); /* nothing was taken yet: the frontend may as well begin anew */
	else
		xenbus_end_error(d->end, text);
}

void sup_bus_forget(struct sup_dev *d)
{
	loop_timer_stop(d->sup->loop, &d->lost);
	if (d->sup->bus)
		xsc_cancel(d->sup->bus->xs, d);
	xenbus_end_close(d->end);
	d->end = NULL;
}
