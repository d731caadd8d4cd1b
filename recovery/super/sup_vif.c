/* Network interfaces, as one kind of device (sup_class.h). */
#include "recovery/super/sup_priv.h"

#include "recovery/journal/njrnl_fmt.h"
#include "ring/base/log.h"
#include "ring/base/net_spec.h"
#include "xenstore-glue/bus/dev_admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 50u	/* poll-us= where it is not given */
#define DRAIN_MS 10000u /* Linux's netback: rx_drain_timeout_msecs, */
#define STALL_MS 60000u /* rx_stall_timeout_msecs */
#define QUEUES_MIN 2u	/* of a tap, as offered */

static void label(uint32_t devid, char *text, size_t size) { snprintf(text, size, "vif%u", devid); }
static void init(struct sup_dev *d) { d->vif.steer = -1; }
static bool holds(const struct sup_dev *d) { return d->vif.tap[0] || d->vif.nfds; }

/* Where no toolstack runs its script, as in a driver domain, bulkhead-vif does what that would. */
static int wanted(struct sup_dev *d, const struct xs_kvs *own, char *err, size_t size)
{
	struct vif_wanted *w = &d->vif.wanted;
	int rc = vif_wanted_read(own, w, err, size);

	if (sup_bus_self(d->sup) && w->mode == VIF_BY_SCRIPT)
		w->mode = vif_mode_of_script(w->script);
	return rc;
}

/* ---- offer */

static int take_options(struct sup_dev *d, struct spec *sp, uint64_t *queues)
{
	uint64_t drain = DRAIN_MS, stall = STALL_MS;
	int rc = sup_offer_options(d, sp, POLL_US);

	if (!rc)
		rc = sup_offer_number(sp, "queues", CONN_QUEUES_MAX, queues, d);
	if (!rc)
		rc = sup_offer_number(sp, "drain-ms", 3600000, &drain, d);
	if (!rc)
		rc = sup_offer_number(sp, "stall-ms", 3600000, &stall, d);
	d->vif.drain_ms = (uint32_t)drain;
	d->vif.stall_ms = (uint32_t)stall;
	return rc;
}

/* Beside a toolstack's script. */
static int check_antispoof(struct sup_dev *d)
{
	const struct vif_wanted *w = &d->vif.wanted;

	if (!w->script[0])
		sup_dev_text(d, "antispoof=1 needs a mode=: bridge, nat, route or openvswitch");
	else if (strcmp(d->vif.port.engine, "tap") != 0)
		sup_dev_text(d, "antispoof watches a tap, and params=%s names none", d->vif.port.engine);
	else if (vif_mode_of_script(w->script) == VIF_OPENVSWITCH)
		sup_dev_text(d, "antispoof with Open vSwitch needs mode=openvswitch: beside vif-openvswitch nothing would enforce it");
	else if (w->vifname[0]) /* newer kernels watch by name, and the script changes it */
		sup_dev_text(d, "antispoof beside a script knows the interface by the name that it is made with: leave out vifname=%s", w->vifname);
	else
		return 0;
	return -EINVAL;
}

/* What would be ignored is refused: a VM that is not watched, or hangs on nothing, would be found late. */
static int check(struct sup_dev *d)
{
	const struct vif_wanted *w = &d->vif.wanted;
	char err[sizeof(d->text)];

	if (net_spec_check(&d->vif.port, err, sizeof(err))) {
		sup_dev_text(d, "%s", err);
		return -EINVAL;
	}
	if (w->mode != VIF_BY_SCRIPT && strcmp(d->vif.port.engine, "tap") != 0) {
		sup_dev_text(d, "mode=%s attaches a tap, and params=%s names none", vif_mode_name(w->mode), d->vif.port.engine);
		return -EINVAL;
	}
	return w->antispoof && w->mode == VIF_BY_SCRIPT ? check_antispoof(d) : 0;
}

/* From wanted.params: what is offered, and the netport. -EINVAL: d->text says why. */
static int parse(struct sup_dev *d)
{
	const char *text = d->vif.wanted.params[0] ? d->vif.wanted.params : "tap";
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t queues = 0;
	int rc = spec_parse_short(text, &d->vif.port);

	if (rc) {
		sup_dev_text(d, "'%s' names no netport: tap, pair:NAME or null is meant", text);
		return rc;
	}
	rc = take_options(d, &d->vif.port, &queues);
	if (!rc)
		sup_vif_filter_put(d);
	if (!rc)
		rc = check(d);
	if (!queues) /* a wire has as many ways as its other end */
		queues = strcmp(d->vif.port.engine, "pair") == 0 ? 1 : MIN(MAX((uint64_t)MAX(cpus, 1L), QUEUES_MIN), CONN_QUEUES_MAX);
	d->vif.offer = (struct vif_offer){.sg = true, .gso4 = true, .gso6 = true, .csum6 = true, .mcast = true, .dynamic_mcast = true, .split = true,
					  .ctrl_ring = true, .xdp = true, .max_queues = (uint32_t)queues};
	return rc;
}

static void offer(struct sup_dev *d)
{
	int rc = parse(d);

	if (rc) {
		sup_offer_refused_now(d);
		return;
	}
	if (sup_vif_port_leaving(d)) {
		sup_offer_soon(d);
		return;
	}
	rc = sup_vif_port_take(d);
	if (rc)
		sup_offer_refused(d, rc == -EBUSY);
	else if (!sup_vif_attaches(d))
		sup_vif_offered(d);
	else if (sup_vif_attach(d)) {
		sup_dev_text(d, "bulkhead-vif, which attaches %s, can not be started", d->vif.tap);
		sup_offer_refused(d, false);
	}
}

void sup_vif_offered(struct sup_dev *d)
{
	sup_offer_made(d, "%s%s%s%s%s", d->vif.port.engine, d->vif.tap[0] ? " " : "", d->vif.tap, d->vif.guest[0] ? ", the VM's: " : "",
		       d->vif.guest);
}

/* ---- nodes that change */

static void read_node(struct sup_dev *d, const char *name, xsc_done_fn *fn)
{
	char node[XS_PATH_SIZE];

	if (d->end && xs_path_join(node, xenbus_end_path(d->end), name) == 0)
		xsc_read(sup_bus_store(d->sup), 0, node, fn, d);
}

static void follow_node(struct sup_dev *d, struct xsc_watch *w, const char *name, void (*fn)(struct xsc_watch *w, const char *path))
{
	char node[XS_PATH_SIZE];

	if (w->active || !d->end || xs_path_join(node, xenbus_end_path(d->end), name))
		return;
	if (xsc_watch(sup_bus_store(d->sup), w, node, fn))
		log_error("%s of domain %u: its node %s can not be followed", d->vdev, d->domid, name);
}

static void set_rate(struct sup_dev *d, uint64_t bytes, uint64_t us)
{
	struct vif_wanted *w = &d->vif.wanted;
	struct stub_msg m = {.type = STUB_RATE};

	if (bytes == w->rate_bytes && us == w->rate_us)
		return;
	w->rate_bytes = m.arg[0] = bytes;
	w->rate_us = m.arg[1] = us;
	sup_dev_save(d);
	sup_proc_tell(d, &m);
	sup_note(d, CTL_EV_NOTE, "rate %llu bytes in %llu us", (unsigned long long)bytes, (unsigned long long)us);
}

/* There is no rate; but where nothing is of the device's, the store has forgotten it. */
static void beside_rate_read(void *arg, int rc, const char *data, size_t len)
{
	if (!rc && !sup_vif_named(data, len, "rate"))
		set_rate((struct sup_dev *)arg, 0, 0);
}

static void rate_read(void *arg, int rc, const char *data, size_t len UNUSED)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	uint64_t bytes = 0, us = 0;

	if (rc == -ENOENT && d->end)
		xsc_directory(sup_bus_store(d->sup), 0, xenbus_end_path(d->end), beside_rate_read, d);
	else if (rc || vif_rate_parse(data, &bytes, &us))
		log_peer("%s of domain %u: its rate is none: BYTES,MICROSECONDS is meant; it stays as it was", d->vdev, d->domid);
	else
		set_rate(d, bytes, us);
}

static void rate_changed(struct xsc_watch *w, const char *path UNUSED)
{
	read_node(CONTAINER_OF(w, struct sup_dev, vif.rate), "rate", rate_read);
}

static void hotplug_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	char name[sizeof(d->vif.tap)];

	(void)len;
	if (!rc && strcmp(data, "connected") == 0) {
		memcpy(name, d->vif.tap, sizeof(name));
		sup_vif_port_found(d);
		if (d->vif.wanted.antispoof && strcmp(name, d->vif.tap) != 0) {
			sup_note(d, CTL_EV_NOTE, "its script has renamed %s to %s, where nothing enforces antispoof: the frontend is not told that it is connected",
				 name, d->vif.tap);
			return;
		}
		d->vif.script_runs = false;
		sup_dev_save(d);
		xsc_unwatch(sup_bus_store(d->sup), &d->vif.hotplug);
		if (d->connected)
			sup_bus_online(d);
	} else if (!rc && strcmp(data, "error") == 0) {
		sup_note(d, CTL_EV_NOTE, "the toolstack's script has failed: the frontend is not told that it is connected");
	}
}

static void hotplug_changed(struct xsc_watch *w, const char *path UNUSED)
{
	read_node(CONTAINER_OF(w, struct sup_dev, vif.hotplug), "hotplug-status", hotplug_read);
}

/* As Linux's netback: where a script runs, the guest is told when its interface has been attached to something. */
static bool may_go_online(struct sup_dev *d)
{
	if (d->vif.script_runs)
		follow_node(d, &d->vif.hotplug, "hotplug-status", hotplug_changed);
	return !d->vif.script_runs;
}

static void unfollow(struct sup_dev *d)
{
	if (!d->sup->bus)
		return;
	xsc_unwatch(sup_bus_store(d->sup), &d->vif.rate);
	xsc_unwatch(sup_bus_store(d->sup), &d->vif.hotplug);
	sup_vif_mcast_unfollow(d);
}

static void release(struct sup_dev *d)
{
	unfollow(d);
	sup_vif_port_leave(d);
}

static int offer_keys(const struct sup_dev *d, struct xs_kvs *kvs)
{
	int rc = vif_offer_write(&d->vif.offer, kvs);

	return rc || !d->vif.guest[0] ? rc : xs_kv_set(kvs, VIF_GUEST, "%s", d->vif.guest);
}

/* Of an interface that is not there Xen's scripts would say so; ours says why. */
static void refuse_keys(const struct sup_dev *d, struct xs_kvs *kvs) { sup_offer_script(d, d->vif.wanted.script, VIF_SCRIPT, false, kvs); }

static void put_back(struct sup_dev *d, unsigned back_state, unsigned front_state, xsc_done_fn *fn)
{
	struct dev_admin_vif_ends e = {.vif = {.domid = d->domid, .devid = d->devid, .wanted = d->vif.wanted},
				       .offer = d->vif.offer,
				       .ask = d->vif.ask,
				       .back_state = back_state,
				       .front_state = front_state};

	dev_admin_vif_restore(sup_bus_store(d->sup), &e, fn, d);
}

/* ---- connection */

static uint32_t features(const struct vif_ask *a)
{
	uint32_t f = 0;

	f |= a->sg ? CONN_NET_SG : 0;
	f |= a->gso4 ? CONN_NET_GSO4 : 0;
	f |= a->gso6 ? CONN_NET_GSO6 : 0;
	f |= a->no_csum ? 0 : CONN_NET_CSUM4;
	f |= a->csum6 ? CONN_NET_CSUM6 : 0;
	f |= a->mcast ? CONN_NET_MCAST : 0;
	f |= a->rx_notify ? CONN_NET_RX_NOTIFY : 0;
	f |= a->xdp_headroom ? CONN_NET_XDP : 0;
	return f;
}

/* A toolstack writes the address at both ends, and the guest may not change it there. */
static void take_mac(struct sup_dev *d, const struct xs_kvs *peer)
{
	static const uint8_t none[6];
	struct vif_told t;
	char err[sizeof(d->text)];

	memcpy(d->conn.mac, d->vif.wanted.mac, sizeof(d->conn.mac));
	if (memcmp(d->conn.mac, none, sizeof(none)) == 0 && vif_told_read(peer, &t, err, sizeof(err)) == 0)
		memcpy(d->conn.mac, t.mac, sizeof(d->conn.mac));
}

static int ask(struct sup_dev *d, const struct xs_kvs *own, const struct xs_kvs *peer, char *err, size_t size)
{
	struct vif_ask *a = &d->vif.ask;
	struct conn_id *c = &d->conn;
	int rc = vif_ask_read(peer, &d->vif.offer, a, err, size);

	if (rc)
		return rc;
	sup_conn_record(d);
	c->protocol = CONN_NATIVE;
	c->nqueues = a->nqueues;
	c->ring_pages = 1;
	c->features = features(a);
	c->ctrl_gref = a->ctrl_evtchn ? a->ctrl_gref : 0;
	c->ctrl_evtchn = a->ctrl_evtchn;
	c->xdp_headroom = (uint16_t)a->xdp_headroom;
	take_mac(d, peer);
	for (uint32_t q = 0; q < c->nqueues; q++) {
		c->q[q].evtchn = a->q[q].evtchn;
		c->q[q].evtchn_rx = a->split ? a->q[q].evtchn_rx : 0;
		c->q[q].gref[CONN_NET_TX] = a->q[q].tx_gref;
		c->q[q].gref[CONN_NET_RX] = a->q[q].rx_gref;
	}
	d->vif.script_runs = d->vif.wanted.mode == VIF_BY_SCRIPT && vif_hotplug_read(own) == VIF_HOTPLUG_WAIT;
	return 0;
}

static uint64_t journal_bytes(const struct conn_id *c) { return njrnl_file_bytes(c->nqueues); }
static uint64_t queue_offset(const struct conn_id *c UNUSED, uint32_t queue) { return njrnl_queue_offset(queue); }

static int fill(struct sup_dev *d, struct stub_dev *sd, struct sup_pass *pass)
{
	int rc = sup_vif_port_open(d, d->text, sizeof(d->text)); /* if the keeper has lost it */

	if (!rc)
		rc = spec_format(&d->vif.port, sd->spec, sizeof(sd->spec));
	for (uint32_t q = 0; !rc && q < d->conn.nqueues; q++) {
		int fd = sup_vif_port_fd(d, q);

		if (fd >= 0)
			sd->q[q].net_fd = sup_pass(pass, fd);
	}
	if (d->vif.steer >= 0)
		sd->steer_fd = sup_pass(pass, d->vif.steer);
	sd->drain_ms = d->vif.drain_ms;
	sd->stall_ms = d->vif.stall_ms;
	sd->rate_bytes = d->vif.wanted.rate_bytes;
	sd->rate_us = d->vif.wanted.rate_us;
	return rc;
}

/* A wire's are memory. */
static int waits_fd(const struct sup_dev *d, uint32_t queue) { return d->vif.tap[0] && d->vif.nfds ? sup_vif_port_fd(d, queue) : -1; }

/* ---- a stub's words */

static void carrier(struct sup_dev *d, bool on)
{
	if (d->vif.stalled == !on)
		return;
	d->vif.stalled = !on;
	sup_vif_port_carrier(d, on);
	sup_dev_save(d);
	sup_note(d, CTL_EV_NOTE, "%s", on ? "its guest receives again: carrier on" : "its guest takes no packets: carrier off");
}

/* Each stub begins with a guest that it takes for living. */
static void up(struct sup_dev *d)
{
	carrier(d, true);
	follow_node(d, &d->vif.rate, "rate", rate_changed);
	sup_vif_mcast_follow(d);
	sup_vif_mcast_tell(d);
}

static void found(struct sup_dev *d, const char *path UNUSED)
{
	follow_node(d, &d->vif.rate, "rate", rate_changed);
	sup_vif_mcast_follow(d);
	may_go_online(d);
}

static void said(struct sup_dev *d, const struct stub_msg *m)
{
	if (m->type == STUB_STEER)
		sup_vif_steer(d);
	else
		carrier(d, m->arg[0] != 0);
}

/* ---- a successor of ours */

static void save(const struct sup_dev *d, struct saved_dev *v)
{
	v->vif = (struct saved_vif){.offer = d->vif.offer,
				    .wanted = d->vif.wanted,
				    .ask = d->vif.ask,
				    .side = d->vif.side,
				    .stalled = d->vif.stalled,
				    .script_runs = d->vif.script_runs,
				    .filtered = d->vif.filtered,
				    .filter = d->vif.filter,
				    .tap_index = d->vif.tap_index};
	memcpy(v->vif.tap, d->vif.tap, sizeof(v->vif.tap));
}

static void adopt(struct sup_dev *d, const struct saved_dev *v)
{
	struct vif_offer offered = v->vif.offer;

	d->conn.nqueues = v->conn.nqueues;
	d->vif.wanted = v->vif.wanted;
	d->vif.wanted.params[sizeof(d->vif.wanted.params) - 1] = '\0';
	d->vif.filtered = v->vif.filtered;
	d->vif.filter = v->vif.filter;
	if (parse(d))
		log_warn("%s of domain %u: %s", d->vdev, d->domid, d->text);
	d->vif.offer = offered;
	d->vif.ask = v->vif.ask;
	d->vif.side = v->vif.side != 0;
	d->vif.stalled = v->vif.stalled;
	d->vif.script_runs = v->vif.script_runs;
	memcpy(d->vif.tap, v->vif.tap, sizeof(d->vif.tap));
	d->vif.tap[sizeof(d->vif.tap) - 1] = '\0';
	d->vif.tap_index = v->vif.tap_index;
	sup_vif_port_adopt(d);
}

/* ---- status */

/* What the kernel has dropped because nobody took it in time. */
static uint64_t tap_drops(const struct sup_dev *d)
{
	char path[96], text[32] = "";
	uint64_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/tx_dropped", d->vif.tap);
	f = d->vif.tap[0] ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	if (fgets(text, sizeof(text), f) && sscanf(text, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static void add_queue(struct ctl_net *n, const struct njrnl_stats *s)
{
	n->tx_packets += s->tx_packets;
	n->tx_bytes += s->tx_bytes;
	n->rx_packets += s->rx_packets;
	n->rx_bytes += s->rx_bytes;
	n->stalls += s->stalls;
	n->ctrl += s->ctrl;
	n->rated += s->rated;
	n->replayed += s->tx_again;
	n->drop[CTL_DROP_TX_BAD] += s->tx_bad;
	n->drop[CTL_DROP_TX_COPY] += s->tx_copy;
	n->drop[CTL_DROP_TX_REFUSED] += s->tx_refused;
	n->drop[CTL_DROP_RX_NO_ROOM] += s->rx_no_room;
	n->drop[CTL_DROP_RX_UNFIT] += s->rx_unfit;
	n->drop[CTL_DROP_RX_COPY] += s->rx_copy;
	n->drop[CTL_DROP_RX_MULTICAST] += s->rx_multicast;
	n->drop[CTL_DROP_RX_LOST] += s->rx_lost;
}

static void status(const struct sup_dev *d, struct ctl_dev *c)
{
	const char *params = d->vif.wanted.params[0] ? d->vif.wanted.params : "tap";
	struct njrnl_stats s;

	snprintf(c->spec, sizeof(c->spec), "%.*s", (int)sizeof(c->spec) - 1, params);
	memcpy(c->net.port, d->vif.tap, sizeof(c->net.port));
	memcpy(c->net.bridge, d->vif.wanted.bridge, MIN(sizeof(c->net.bridge), sizeof(d->vif.wanted.bridge)));
	snprintf(c->net.mode, sizeof(c->net.mode), "%s", vif_mode_name(d->vif.wanted.mode));
	sup_vif_filter_text(d, c->net.filter);
	memcpy(c->net.mac, sup_dev_queues(d) ? d->conn.mac : d->vif.wanted.mac, sizeof(c->net.mac));
	c->net.carrier = sup_dev_runs(d) && !d->vif.stalled;
	c->net.steer = sup_vif_steer_status(d);
	for (uint32_t q = 0; q < sup_dev_queues(d); q++) {
		off_t at = (off_t)(njrnl_queue_offset(q) + offsetof(struct njrnl_queue, net));

		if (d->jfd >= 0 && pread(d->jfd, &s, sizeof(s), at) == (ssize_t)sizeof(s))
			add_queue(&c->net, &s);
	}
	c->net.drop[CTL_DROP_RX_QUEUE] = tap_drops(d);
}

const struct sup_class sup_vif_class = {
	.type = CONN_VIF,
	.name = "vif",
	.program = "bulkhead-net",
	.direct = true,
	.magic = NJRNL_MAGIC,
	.label = label,
	.marked = vif_marked,
	.init = init,
	.wanted = wanted,
	.offer = offer,
	.release = release,
	.holds = holds,
	.deposit = sup_vif_port_deposit,
	.offer_keys = offer_keys,
	.refuse_keys = refuse_keys,
	.found = found,
	.ask = ask,
	.connect = sup_vif_port_open,
	.disconnect = sup_vif_port_close,
	.may_go_online = may_go_online,
	.journal_bytes = journal_bytes,
	.queue_offset = queue_offset,
	.fill = fill,
	.waits_fd = waits_fd,
	.up = up,
	.said = said,
	.save = save,
	.adopt = adopt,
	.status = status,
	.put_back = put_back,
};
