/* Xenstore: which devices there are, and the handshake of each. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/xen_host.h"
#include "xenstore-glue/bus/xenbus_scan.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_AGAIN_NS (50 * NS_PER_MS)
#define REMOVE_NS (500 * NS_PER_MS) /* state 6 is to be seen before it is removed, or libxl takes that for a failure */

/* Devices of one kind. */
struct kind {
	struct sup_bus *bus;
	const struct sup_class *class;
	struct xenbus_scan *scan;
};

struct sup_bus {
	struct sup *sup;
	struct xsc *xs;
	struct kind kind[SUP_CLASSES];
	struct xsc_watch released;
	LIST_HEAD(, left) left;
	LIST_HEAD(, seen) seen;
	struct loop_timer ask_again;
	uint32_t self; /* own domid: 0, or a driver domain's */
	bool was_up, was_down;
	struct xs_kvs kvs; /* too large for the stack; used within one call */
};

static struct kind *kind_of(const struct sup_dev *d)
{
	struct kind *k = d->sup->bus->kind;

	while (k->class != d->class)
		k++;
	return k;
}

static void back_path(char path[XS_PATH_SIZE], const struct kind *k, uint32_t domid, uint32_t devid)
{
	xs_path_backend(path, (uint16_t)k->bus->self, k->class->name, (uint16_t)domid, devid);
}

static void prepare(struct sup_dev *d, const struct xs_kvs *own)
{
	const char *why = xs_kv_get(own, "hotplug-error");
	char err[sizeof(d->text)] = "";
	int rc = d->class->wanted(d, own, err, sizeof(err));

	d->refused = why != NULL;
	d->asked = clock_now();
	if (why)
		snprintf(err, sizeof(err), "%s", why);
	if (!rc && !why) {
		sup_offer_start(d);
		return;
	}
	sup_dev_text(d, "%s", err);
	sup_bus_refuse(d, false);
	sup_dev_event(d, SUP_EV_REFUSED);
}

static void connect_to(struct sup_dev *d, const struct xs_kvs *own, const struct xs_kvs *peer)
{
	char err[sizeof(d->text)] = "";
	int rc = d->state == CTL_WAITING ? 0 : -EBUSY;

	if (d->refused)
		return;
	if (rc)
		snprintf(err, sizeof(err), "the device is %s", ctl_state_name(d->state));
	if (!rc && sup_group_full(d->group)) {
		rc = -ENOSPC;
		snprintf(err, sizeof(err), "one stub serves at most %u devices: another placement is needed", STUB_DEVS_MAX);
	}
	if (!rc)
		rc = d->class->ask(d, own, peer, err, sizeof(err));
	if (!rc)
		rc = sup_conn_make(d, err, sizeof(err));
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
	struct kind *kind;
	struct loop_timer timer;
	uint32_t domid, devid;
	bool ours; /* to remove: libxl does it itself where it runs */
};

static void scan_again(struct left *l)
{
	LIST_REMOVE(l, link);
	xenbus_scan_again(l->kind->scan, l->domid, l->devid);
	free(l);
}

static void last_state_read(void *arg, int rc, const char *data, size_t len)
{
	struct left *l = (struct left *)arg;
	char path[XS_PATH_SIZE];

	(void)len;
	back_path(path, l->kind, l->domid, l->devid);
	if (!rc && xenbus_state_parse(data) == XenbusStateClosed)
		xsc_rm(l->kind->bus->xs, 0, path, NULL, NULL);
	scan_again(l);
}

static void look_again(struct loop_timer *t)
{
	struct left *l = CONTAINER_OF(t, struct left, timer);
	char path[XS_PATH_SIZE], node[XS_PATH_SIZE];

	if (!l->ours) {
		scan_again(l);
		return;
	}
	back_path(path, l->kind, l->domid, l->devid);
	CHECK(xs_path_join(node, path, "state") == 0);
	xsc_read(l->kind->bus->xs, 0, node, last_state_read, l);
}

/* Looked for after a while only: a toolstack that takes its time, or dies before it removes the nodes, would otherwise
 * keep us busy with finding and letting go the same device. */
static void removed(struct sup_dev *d)
{
	struct sup_bus *b = d->sup->bus;
	struct left *l = calloc(1, sizeof(*l));

	CHECK(l);
	*l = (struct left){.kind = kind_of(d), .domid = d->domid, .devid = d->devid};
	l->ours = b->self && d->end && xenbus_end_phase(d->end) == XENBUS_B_LEFT;
	LIST_INSERT_HEAD(&b->left, l, link);
	loop_timer_start(b->sup->loop, &l->timer, clock_now() + (l->ours ? REMOVE_NS : LOOK_AGAIN_NS), look_again);
	if (d->state != CTL_CLOSED || d->class->holds(d))
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
		connect_to(d, own, peer);
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

static void type_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	(void)len;
	d->hvm = !rc && strcmp(data, "hvm") == 0;
}

static void appeared(struct sup_dev *d)
{
	struct sup_bus *b = d->sup->bus;
	char path[XS_PATH_SIZE], peer[XS_PATH_SIZE], node[64];
	struct xenbus_end_cfg cfg = {.xs = b->xs, .role = XENBUS_BACK, .direct = d->class->direct,
				 .path = path, .peer = peer, .fn = on_action, .arg = d};
	int rc;

	snprintf(node, sizeof(node), "/local/domain/%u/name", d->domid);
	xsc_read(b->xs, 0, node, name_read, d);
	snprintf(node, sizeof(node), "/local/domain/%u/vm", d->domid);
	xsc_read(b->xs, 0, node, vm_read, d);
	snprintf(node, sizeof(node), "/libxl/%u/type", d->domid);
	xsc_read(b->xs, 0, node, type_read, d);
	back_path(path, kind_of(d), d->domid, d->devid);
	xs_path_frontend(peer, (uint16_t)d->domid, d->class->name, d->devid);
	/* Draining, by a stub that a predecessor told so: Closed is written when that has ended. */
	cfg.connected = sup_dev_runs(d) || d->state == CTL_SUSPENDED || d->state == CTL_BROKEN || (d->state == CTL_FAILED && d->has_journal) ||
			(d->state == CTL_DRAINING && sup_dev_has_procs(d));
	cfg.unsaid = d->class->may_go_online && !d->class->may_go_online(d);
	rc = xenbus_end_open(&cfg, &d->end);
	if (rc)
		log_error("%s: %s: this device is not served", path, err_str(rc));
	if (cfg.connected && d->class->found)
		d->class->found(d, path);
}

static struct dev_id id_of(const struct kind *k, uint32_t domid, uint32_t devid)
{
	return (struct dev_id){.type = k->class->type, .domid = domid, .devid = devid};
}

static void take(struct kind *k, uint32_t domid, uint32_t devid)
{
	struct sup_bus *b = k->bus;
	struct sup_dev *d = sup_dev_find(b->sup, id_of(k, domid, devid));
	char name[32];

	sup_id_format(name, sizeof(name), "", id_of(k, domid, devid));
	if (!d && strcmp(b->sup->o.provider, "xen") == 0 && xen_host_bound("", name)) {
		log_warn("%s: the kernel's own backend has taken it: it is not served here", name);
		return;
	}
	if (!d)
		d = sup_dev_new(b->sup, id_of(k, domid, devid));
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

/* A device that is ours only if its script says so. */
struct seen {
	LIST_ENTRY(seen) link;
	struct kind *kind;
	uint32_t domid, devid;
};

static void script_read(void *arg, int rc, const char *data, size_t len)
{
	struct seen *n = (struct seen *)arg;

	(void)len;
	LIST_REMOVE(n, link);
	if (!n->kind->bus->sup->stopping && !rc && n->kind->class->marked(data))
		take(n->kind, n->domid, n->devid);
	else if (rc && rc != -ENOENT)
		xenbus_scan_again(n->kind->scan, n->domid, n->devid);
	free(n);
}

static void ask_script(struct kind *k, uint32_t domid, uint32_t devid)
{
	char path[XS_PATH_SIZE], node[XS_PATH_SIZE];
	struct seen *n = calloc(1, sizeof(*n));

	CHECK(n);
	*n = (struct seen){.kind = k, .domid = domid, .devid = devid};
	LIST_INSERT_HEAD(&k->bus->seen, n, link);
	back_path(path, k, domid, devid);
	CHECK(xs_path_join(node, path, "script") == 0);
	xsc_read(k->bus->xs, 0, node, script_read, n);
}

static bool must_be_marked(const struct kind *k)
{
	const struct sup_options *o = &k->bus->sup->o;

	return k->class->type == CONN_VIF ? o->vifs_marked : o->disks_marked;
}

static void on_scan(enum xenbus_scan_event ev, uint32_t domid, uint32_t devid, void *arg)
{
	struct kind *k = (struct kind *)arg;
	struct sup *s = k->bus->sup;

	if (ev != XENBUS_APPEARED || s->stopping)
		return; /* what vanishes is told by its end, which has to be disconnected first */
	if (must_be_marked(k) && !sup_dev_find(s, id_of(k, domid, devid)))
		ask_script(k, domid, devid);
	else
		take(k, domid, devid);
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

static void begin(struct sup_bus *b)
{
	follow_adopted(b->sup);
	for (struct kind *k = b->kind; k < b->kind + SUP_CLASSES; k++)
		CHECK(xenbus_scan_open(b->xs, b->self, k->class->name, on_scan, k, &k->scan) == 0);
	if (!b->self && !(hv_features(b->sup->hv) & HV_FEAT_DOMAIN_EVENTS)) /* others are not told */
		CHECK(xsc_watch(b->xs, &b->released, "@releaseDomain", domain_ended) == 0);
}

static void ask_domid(struct sup_bus *b);
static void ask_due(struct loop_timer *t) { ask_domid(CONTAINER_OF(t, struct sup_bus, ask_again)); }

static void got_domid(void *arg, int rc, const char *data, size_t len)
{
	struct sup_bus *b = (struct sup_bus *)arg;

	(void)len;
	if (!rc && xs_parse_u32(data, XS_DOMID_FIRST_RESERVED - 1, &b->self))
		begin(b);
	else
		loop_timer_start(b->sup->loop, &b->ask_again, clock_now() + LOOK_AGAIN_NS, ask_due);
}

static void ask_domid(struct sup_bus *b) { xsc_read(b->xs, 0, "domid", got_domid, b); }

int sup_bus_open(struct sup *s, char *err, size_t size)
{
	bool driver_domain = strcmp(s->o.provider, "xen") == 0 && !xen_host_control("");
	struct sup_bus *b = calloc(1, sizeof(*b));
	char path[PATH_MAX];
	struct xsc_cfg cfg = {.loop = s->loop, .path = path, .state = on_store, .arg = b};
	int rc;

	CHECK(b);
	b->sup = s;
	for (unsigned i = 0; i < SUP_CLASSES; i++)
		b->kind[i] = (struct kind){.bus = b, .class = sup_classes[i]};
	LIST_INIT(&b->left);
	LIST_INIT(&b->seen);
	s->bus = b;
	rc = xsc_path(strcmp(s->o.provider, "local") == 0 ? s->dirs.run : NULL, path, sizeof(path));
	if (!rc)
		rc = xsc_open(&cfg, &b->xs);
	if (rc)
		snprintf(err, size, "xenstore at %s: %s", path, err_str(rc));
	else if (driver_domain)
		ask_domid(b);
	else
		begin(b);
	return rc;
}

void sup_bus_close(struct sup *s)
{
	struct left *l;
	struct seen *n;

	if (!s->bus)
		return;
	while ((l = LIST_FIRST(&s->bus->left))) {
		loop_timer_stop(s->loop, &l->timer);
		xsc_cancel(s->bus->xs, l);
		LIST_REMOVE(l, link);
		free(l);
	}
	while ((n = LIST_FIRST(&s->bus->seen))) {
		xsc_cancel(s->bus->xs, n);
		LIST_REMOVE(n, link);
		free(n);
	}
	loop_timer_stop(s->loop, &s->bus->ask_again);
	for (unsigned i = 0; i < SUP_CLASSES; i++)
		xenbus_scan_close(s->bus->kind[i].scan);
	xsc_close(s->bus->xs);
	free(s->bus);
	s->bus = NULL;
}

/* ---- telling */

void sup_bus_offer(struct sup_dev *d)
{
	struct xs_kvs *kvs = &d->sup->bus->kvs;

	kvs->n = 0;
	if (d->end && d->class->offer_keys(d, kvs) == 0) {
		xenbus_end_error(d->end, NULL);
		xenbus_end_ready(d->end, kvs);
	}
}

bool sup_bus_refuse(struct sup_dev *d, bool passes)
{
	struct sup_bus *b = d->sup->bus;

	if (d->state != CTL_FAILED) /* said once; it may be looked at again and again */
		sup_note(d, CTL_EV_FAILED, "%s", d->text);
	if (!d->end)
		return false;
	if (!d->refused && (passes || xenbus_end_phase(d->end) != XENBUS_B_INIT)) {
		xenbus_end_failed(d->end, d->text);
		return false;
	}
	d->refused = true;
	if (b->self) { /* its toolstack runs no script, but sees that the state is gone */
		xsc_rm(b->xs, 0, xenbus_end_path(d->end), NULL, NULL);
		return true;
	}
	b->kvs.n = 0;
	xs_kv_set(&b->kvs, "hotplug-error", "%s", d->text);
	d->class->refuse_keys(d, &b->kvs);
	xenbus_end_refuse(d->end, d->text, &b->kvs);
	return true;
}

bool sup_bus_waits(const struct sup_dev *d) { return d->end && xenbus_end_phase(d->end) == XENBUS_B_CONNECTING; }

/* What may have changed since it was offered. */
static const struct xs_kvs *up_keys(const struct sup_dev *d)
{
	struct xs_kvs *kvs = &d->sup->bus->kvs;

	kvs->n = 0;
	if (d->class->up_keys)
		d->class->up_keys(d, kvs);
	return kvs;
}

void sup_bus_online(struct sup_dev *d)
{
	if (sup_bus_waits(d) && (!d->class->may_go_online || d->class->may_go_online(d)))
		xenbus_end_up(d->end, up_keys(d));
}

void sup_bus_rewrite(struct sup_dev *d)
{
	enum xenbus_phase at = d->end ? xenbus_end_phase(d->end) : XENBUS_B_GONE;

	if (at == XENBUS_B_WAIT || at == XENBUS_B_CONNECTED || at == XENBUS_B_MET)
		xenbus_end_rewrite(d->end, up_keys(d));
}

/* And the directory of all such devices of the domain: whatever is in it was put back by us. */
static void remove_put_back(struct sup_dev *d)
{
	char path[XS_PATH_SIZE];

	snprintf(path, sizeof(path), "%s", xenbus_end_path(d->end));
	*strrchr(path, '/') = '\0';
	xsc_rm(d->sup->bus->xs, 0, path, NULL, NULL);
}

/* A device without a connection whose domain is gone: the image is free, whenever a toolstack takes the nodes away, and where
 * none will, we do. */
static void for_nobody(struct sup_dev *d)
{
	sup_offer_stop(d);
	d->class->release(d);
	if (d->put_back && d->end)
		remove_put_back(d);
}

void sup_bus_closed(struct sup_dev *d)
{
	if (!d->end) { /* its nodes are gone: nothing will say so any more. Or it is being adopted: that is seen next */
		if (d->sup->bus && !d->sup->stopping)
			removed(d);
		return;
	}
	if (d->domain_gone)
		for_nobody(d);
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
	if (d->state == CTL_CLOSED || d->state == CTL_WAITING)
		for_nobody(d);
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
uint32_t sup_bus_self(const struct sup *s) { return s->bus->self; }

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
