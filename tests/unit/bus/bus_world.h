/* bus_world.h - for tests: a store, the clients of domain 0 and of a guest, and owners of both ends of one disk who say yes
 * to everything, unless told otherwise. */
#ifndef BULKHEAD_TESTS_UNIT_BUS_BUS_WORLD_H
#define BULKHEAD_TESTS_UNIT_BUS_BUS_WORLD_H

#include "tests/unit/bus/real_store.h"

#include "ring/base/base.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/hv/hub_wire.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/bus/xenbus_end.h"
#include "xenstore-glue/bus/xenbus_scan.h"
#include "xenstore-glue/client/xs_sync.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PATIENCE (10 * NS_PER_S)
#define DOM 3u
#define DEV 51712u
#define UUID "00112233-4455-6677-8899-aabbccddeeff"

/* One end and an owner that says yes to everything, unless told otherwise. */
struct owner {
	struct world *w;
	struct xenbus_end *end;
	unsigned calls[XENBUS_NACTIONS];
	bool refuses, keeps, close_on_removed; /* keeps: does not answer DISCONNECT by itself */
	struct vbd_offer offer;
	struct vbd_ask ask;
	char line[256];
};

struct world {
	struct real_store store;
	struct loop *loop;
	struct xsc *xs, *guest;
	struct owner back, front;
	struct xenbus_scan *scan;
	unsigned appeared, vanished, lost;
	uint32_t domid, devid;
	char bpath[128], fpath[128];
};

/* ---- owners ---- */

static struct xs_kvs scratch;

static inline void back_prepare(struct owner *o, const struct xs_kvs *own)
{
	struct vbd_wanted wanted;

	if (vbd_wanted_read(own, &wanted, o->line, sizeof(o->line)) < 0) {
		xenbus_end_failed(o->end, o->line);
		return;
	}
	o->offer = (struct vbd_offer){.sectors = 2048, .sector_size = 512, .physical_size = 4096, .flush = true,
				      .persistent = true, .max_queues = 4, .max_ring_order = 2};
	scratch.n = 0;
	assert_int_equal(vbd_offer_write(&o->offer, &scratch), 0);
	xenbus_end_ready(o->end, &scratch);
}

static inline void back_connect(struct owner *o, const struct xs_kvs *peer)
{
	if (vbd_ask_read(peer, &o->offer, &o->ask, o->line, sizeof(o->line)) < 0)
		xenbus_end_failed(o->end, o->line);
	else
		xenbus_end_up(o->end, NULL);
}

static inline void back_cb(struct xenbus_end *e, enum xenbus_action a, const struct xs_kvs *own, const struct xs_kvs *peer,
		    void *arg)
{
	struct owner *o = arg;

	o->calls[a]++;
	o->end = e;
	if (a == XENBUS_ACT_PREPARE) {
		back_prepare(o, own);
	} else if (a == XENBUS_ACT_CONNECT) {
		back_connect(o, peer);
	} else if (a == XENBUS_ACT_DISCONNECT && !o->keeps) {
		xenbus_end_down(e);
	} else if (a == XENBUS_ACT_REMOVED && o->close_on_removed) {
		xenbus_end_close(e);
		o->end = NULL;
	}
}

static inline void front_prepare(struct owner *o, const struct xs_kvs *peer)
{
	uint32_t ref = 100;

	assert_int_equal(vbd_offer_read(peer, &o->offer, o->line, sizeof(o->line)), 0);
	o->ask = (struct vbd_ask){.protocol = CONN_X86_64, .nqueues = o->refuses ? 9 : 2, .ring_pages = 2,
				  .persistent = true};
	for (uint32_t q = 0; q < o->ask.nqueues; q++) {
		o->ask.q[q].evtchn = q + 1;
		for (uint32_t p = 0; p < 2; p++)
			o->ask.q[q].gref[p] = ref++;
	}
	scratch.n = 0;
	assert_int_equal(vbd_ask_write(&o->ask, &scratch), 0);
	xenbus_end_ready(o->end, &scratch);
}

static inline void front_cb(struct xenbus_end *e, enum xenbus_action a, const struct xs_kvs *own, const struct xs_kvs *peer,
		     void *arg)
{
	struct owner *o = arg;

	(void)own;
	o->calls[a]++;
	o->end = e;
	if (a == XENBUS_ACT_PREPARE)
		front_prepare(o, peer);
	else if (a == XENBUS_ACT_CONNECT)
		xenbus_end_up(e, NULL);
	else if (a == XENBUS_ACT_CHANGED)
		assert_int_equal(vbd_offer_read(peer, &o->offer, o->line, sizeof(o->line)), 0);
	else if (a == XENBUS_ACT_DISCONNECT && !o->keeps)
		xenbus_end_down(e);
	if (a == XENBUS_ACT_REMOVED && o->close_on_removed) {
		xenbus_end_close(e);
		o->end = NULL;
	}
}

static inline void open_back(struct world *w, bool connected)
{
	struct xenbus_end_cfg cfg = {.xs = w->xs, .role = XENBUS_BACK, .connected = connected, .path = w->bpath,
				     .fn = back_cb, .arg = &w->back};

	w->back.w = w;
	assert_int_equal(xenbus_end_open(&cfg, &w->back.end), 0);
}

static inline void open_front(struct world *w)
{
	struct xenbus_end_cfg cfg = {.xs = w->guest, .role = XENBUS_FRONT, .path = w->fpath, .fn = front_cb,
				     .arg = &w->front, .patience_ns = 200 * NS_PER_MS};

	w->front.w = w;
	assert_int_equal(xenbus_end_open(&cfg, &w->front.end), 0);
}

static inline void scan_cb(enum xenbus_scan_event ev, uint32_t domid, uint32_t devid, void *arg)
{
	struct world *w = arg;

	w->appeared += ev == XENBUS_APPEARED;
	w->vanished += ev == XENBUS_VANISHED;
	w->lost += ev == XENBUS_LOST;
	w->domid = domid;
	w->devid = devid;
}

/* ---- the world ---- */

#define UNTIL(w, cond)                                                                      \
	do {                                                                                \
		uint64_t end_ = clock_now() + PATIENCE;                                     \
		while (!(cond) && clock_now() < end_)                                       \
			loop_once((w)->loop, 20 * NS_PER_MS);                               \
		if (!(cond))                                                                \
			fail_msg("never: %s (back %s, front %s)", #cond, phase(&(w)->back), phase(&(w)->front)); \
	} while (0)

static inline const char *phase(const struct owner *o)
{
	return o->end ? xenbus_phase_name(xenbus_end_phase(o->end)) : "none";
}

static inline void settle(struct world *w)
{
	for (int i = 0; i < 5; i++)
		loop_once(w->loop, 10 * NS_PER_MS);
}

static inline bool at(const struct owner *o, enum xenbus_phase p)
{
	return o->end && xenbus_end_phase(o->end) == p && xenbus_end_written(o->end);
}

static inline bool both_connected(const struct world *w)
{
	return at(&w->back, XENBUS_B_MET) && at(&w->front, XENBUS_F_CONNECTED);
}

static inline const char *value(struct world *w, const char *dir, const char *name)
{
	static char text[SPEC_MAX], path[256];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = xsc_sync_read(w->xs, path, text, sizeof(text));
	if (rc)
		snprintf(text, sizeof(text), "(%s)", err_str(rc));
	return text;
}

static inline void put(struct world *w, const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(xsc_sync_write(w->xs, path, "%s", text), 0);
}

static inline int wait_rc(struct world *w, struct xsc_wait *wait)
{
	int rc = xsc_wait(w->xs, wait);

	xsc_wait_free(wait);
	return rc;
}

static inline int create_vbd(struct world *w)
{
	struct dev_admin_vbd v = {.domid = DOM, .devid = DEV, .wanted = {.params = "/img,aio=threads", .discard_enable = true}};
	struct xsc_wait wait = {0};

	dev_admin_vbd_create(w->xs, &v, xsc_wait_done, &wait);
	return wait_rc(w, &wait);
}

static inline int create_domain(struct world *w)
{
	struct dev_admin_domain d = {.domid = DOM, .name = "guest", .uuid = UUID};
	struct xsc_wait wait = {0};

	dev_admin_domain_create(w->xs, &d, xsc_wait_done, &wait);
	return wait_rc(w, &wait);
}

static inline int remove_vbd(struct world *w, uint64_t timeout_ns, bool force)
{
	struct dev_admin_dev d = {.domid = DOM, .devid = DEV, .class_name = "vbd"};
	struct xsc_wait wait = {0};

	dev_admin_remove(w->xs, &d, timeout_ns, force, xsc_wait_done, &wait);
	return wait_rc(w, &wait);
}

/* The hub's part: the guest's connection, with its domain's rights and no more. */
static inline int tell_store(int hub, enum hub_store_op op, const int *fd)
{
	struct hub_store_msg m = {.op = op, .domid = DOM};
	int rc = fdmsg_send(hub, &m, sizeof(m), fd, fd != NULL);

	if (rc == 0)
		rc = fdmsg_recv(hub, &m, sizeof(m), NULL, NULL) == (ssize_t)sizeof(m) ? m.rc : -EAGAIN;
	return rc;
}

static inline int guest_dial(void *arg)
{
	struct world *w = arg;
	char path[96];
	int hub, rc, s[2];

	snprintf(path, sizeof(path), "%s/" HUB_STORE_SOCK, w->store.dir);
	hub = fdmsg_connect(path);
	if (hub < 0)
		return hub;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	rc = tell_store(hub, HUB_STORE_INTRODUCE, NULL);
	if (rc == 0)
		rc = tell_store(hub, HUB_STORE_CONNECT, &s[1]);
	close(s[1]);
	close(hub);
	if (rc)
		close(s[0]);
	return rc ? rc : s[0];
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct xsc_cfg cfg = {0};

	*state = w;
	if (!w || !real_store_open(&w->store))
		return 0;
	assert_int_equal(loop_open(&w->loop), 0);
	cfg.loop = w->loop;
	cfg.path = w->store.sock;
	assert_int_equal(xsc_open(&cfg, &w->xs), 0);
	cfg.path = NULL;
	cfg.dial = guest_dial;
	cfg.arg = w;
	assert_int_equal(xsc_open(&cfg, &w->guest), 0);
	UNTIL(w, xsc_up(w->guest));
	snprintf(w->bpath, sizeof(w->bpath), "/local/domain/0/backend/vbd/%u/%u", DOM, DEV);
	snprintf(w->fpath, sizeof(w->fpath), "/local/domain/%u/device/vbd/%u", DOM, DEV);
	assert_int_equal(create_domain(w), 0);
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	xenbus_end_close(w->back.end);
	xenbus_end_close(w->front.end);
	xenbus_scan_close(w->scan);
	xsc_close(w->xs);
	xsc_close(w->guest);
	loop_close(w->loop);
	if (w->store.dir[0])
		real_store_close(&w->store);
	free(w);
	return 0;
}

static inline struct world *world(void **state)
{
	struct world *w = *state;

	if (!w->loop) {
		print_message("bulkhead-store is not built beside this test\n");
		skip();
	}
	return w;
}

static inline void connect_both(struct world *w)
{
	assert_int_equal(create_vbd(w), 0);
	open_back(w, false);
	open_front(w);
	UNTIL(w, both_connected(w));
}

#endif
