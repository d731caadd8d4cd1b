#include "frontend/core/fe_xs.h"

#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/loop.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/bus/xenbus_end.h"
#include "xenstore-glue/client/xs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How long a closing end waits for the other, and how long a detach waits for requests that are on the ring. */
#define CLOSE_NS (5 * NS_PER_S)
#define DRAIN_NS (10 * NS_PER_S)
#define DRAIN_LOOK_NS (2 * NS_PER_MS)

struct fe_xs {
	struct fe_xs_cfg cfg;
	char path[128];
	struct loop *loop;
	struct xsc *xs;
	struct xenbus_end *end;
	int first_fd; /* a store connection already made; -1 when used */
	/* The connecting: until connected or failed. */
	bool connected, released, failed;
	bool gone; /* the device's nodes are not there */
	char why[200];
	char back_path[200];
	/* The watcher. */
	bool watching;
	pthread_t thread;
	struct loop_fd stop;
	int stop_fd;
	struct loop_timer drain;
	uint64_t drain_until;
};

static PRINTF_LIKE(2, 3) void give_up(struct fe_xs *x, const char *fmt, ...)
{
	va_list ap;

	x->failed = true;
	if (x->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(x->why, sizeof(x->why), fmt, ap);
	va_end(ap);
}

/* ---- connecting ---- */

static void prepare(struct fe_xs *x, const struct xs_kvs *own, const struct xs_kvs *peer)
{
	const char *back_id = own ? xs_kv_get(own, "backend-id") : NULL;
	hv_domid_t back_domid = (hv_domid_t)(back_id ? strtoul(back_id, NULL, 10) : 0);
	struct xs_kvs *keys = calloc(1, sizeof(*keys));
	char err[160] = "";
	int rc = keys ? x->cfg.ops->prepare(x->cfg.dev, back_domid, own, peer, keys, err, sizeof(err)) : -ENOMEM;

	if (rc == 0) {
		xenbus_end_ready(x->end, keys);
	} else if (rc == -EPEER) {
		give_up(x, "the backend's offer is unusable: %s", err[0] ? err : "it is not there");
	} else {
		give_up(x, "rings and pages cannot be made: %s", err_str(rc));
		xenbus_end_failed(x->end, x->why);
	}
	free(keys);
}

/* ---- detach by the backend ---- */

static void drain_look(struct loop_timer *t)
{
	struct fe_xs *x = CONTAINER_OF(t, struct fe_xs, drain);
	enum xenbus_state peer = xenbus_end_peer_state(x->end);
	bool answers_may_come = peer == XenbusStateClosing || peer == XenbusStateConnected;

	if (!x->cfg.ops->quiet(x->cfg.dev) && answers_may_come && clock_now() < x->drain_until) {
		loop_timer_start(x->loop, t, clock_now() + DRAIN_LOOK_NS, drain_look);
		return;
	}
	x->cfg.ops->ended(x->cfg.dev);
	xenbus_end_down(x->end);
}

/* The backend wants to go, or has gone: nothing new is put on the ring; what is there may still be answered. */
static void disconnect(struct fe_xs *x)
{
	if (!x->connected)
		give_up(x, "the backend closed while it was being connected");
	x->cfg.ops->closing(x->cfg.dev);
	x->drain_until = clock_now() + DRAIN_NS;
	drain_look(&x->drain);
}

static void bus_event(struct xenbus_end *e, enum xenbus_action action, const struct xs_kvs *own, const struct xs_kvs *peer,
		      void *arg)
{
	struct fe_xs *x = arg;

	x->end = e;
	switch (action) {
	case XENBUS_ACT_PREPARE:
		prepare(x, own, peer);
		break;
	case XENBUS_ACT_CONNECT:
		x->cfg.ops->changed(x->cfg.dev, peer);
		xenbus_end_up(e, NULL);
		break;
	case XENBUS_ACT_CHANGED:
		x->cfg.ops->changed(x->cfg.dev, peer);
		break;
	case XENBUS_ACT_DISCONNECT:
		disconnect(x);
		break;
	case XENBUS_ACT_RELEASE:
		x->released = true;
		break;
	case XENBUS_ACT_REMOVED:
		x->gone = x->released = true;
		x->cfg.ops->ended(x->cfg.dev);
		give_up(x, "there is no such device");
		break;
	case XENBUS_ACT_TIMEOUT:
		if (!x->connected)
			give_up(x, "the backend does not answer");
		break;
	case XENBUS_ACT_LOST: /* the ring is untouched by what the store forgot */
		log_warn("%s: the store came back without this device; I/O goes on", xenbus_end_path(e));
		break;
	default:
		break;
	}
}

static int dial(void *arg)
{
	struct fe_xs *x = arg;
	int fd = x->first_fd;

	if (fd >= 0) {
		x->first_fd = -1;
		return fd;
	}
	pthread_mutex_lock(x->cfg.hv_lock);
	fd = hv_store_fd(x->cfg.hv);
	pthread_mutex_unlock(x->cfg.hv_lock);
	return fd;
}

static int open_store(struct fe_xs *x)
{
	struct xsc_cfg xcfg = { .loop = x->loop, .dial = dial, .arg = x };
	char path[200];

	x->first_fd = hv_store_fd(x->cfg.hv);
	if (x->first_fd == -ENOSYS) {
		int rc = xsc_path(NULL, path, sizeof(path));

		if (rc)
			return rc;
		xcfg.path = path;
		xcfg.dial = NULL;
	}
	return xsc_open(&xcfg, &x->xs);
}

int fe_join(const char *provider, const char *runtime_dir, const char *domain, struct hv **out, char *err, size_t size)
{
	struct hv_open ho = { .role = HV_FRONTEND, .domain = domain };
	char dir[128];
	int rc = rundir_default(runtime_dir, dir, sizeof(dir));

	if (rc) {
		snprintf(err, size, "runtime directory: %s", err_str(rc));
		return rc;
	}
	ho.runtime_dir = dir;
	rc = hv_open(provider ? provider : "auto", &ho, out);
	if (rc == -ENOENT)
		snprintf(err, size, "no domain %s (or no hub) in %s; see 'bulkhead list'", domain, dir);
	else if (rc == -ECONNREFUSED)
		snprintf(err, size, "no hub in %s; 'bulkhead start' starts one", dir);
	else if (rc)
		snprintf(err, size, "cannot join domain %s in %s: %s", domain, dir, err_str(rc));
	return rc;
}

int fe_xs_open(const struct fe_xs_cfg *cfg, struct fe_xs **out, char *err, size_t size)
{
	struct fe_xs *x = calloc(1, sizeof(*x));
	int rc;

	*out = x;
	if (!x) {
		snprintf(err, size, "out of memory");
		return -ENOMEM;
	}
	x->cfg = *cfg;
	snprintf(x->path, sizeof(x->path), "%s", cfg->path);
	x->first_fd = -1;
	x->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = x->stop_fd < 0 ? -errno : loop_open(&x->loop);
	if (!rc)
		rc = open_store(x);
	if (rc)
		snprintf(err, size, "cannot speak to xenstore: %s", err_str(rc));
	return rc;
}

/* Runs the loop until *flag, a failure, or the deadline. */
static bool run_until(struct fe_xs *x, bool (*reached)(struct fe_xs *x), uint64_t deadline)
{
	for (;;) {
		uint64_t now = clock_now();

		if (reached(x))
			return true;
		if (x->failed || now >= deadline)
			return false;
		loop_once(x->loop, MIN(deadline - now, 50 * NS_PER_MS));
	}
}

static bool is_connected(struct fe_xs *x)
{
	return xenbus_end_phase(x->end) == XENBUS_F_CONNECTED && xenbus_end_written(x->end);
}

static bool is_released(struct fe_xs *x) { return x->released && xenbus_end_written(x->end); }

static void tell_deadline(struct fe_xs *x, char *err, size_t size)
{
	enum xenbus_phase phase = xenbus_end_phase(x->end);

	if (!xsc_up(x->xs))
		snprintf(err, size, "xenstore does not answer");
	else if (phase == XENBUS_F_INITIALISED || phase == XENBUS_F_DIRECT)
		snprintf(err, size, "the backend was asked to connect and does not (is bulkheadd running? see its log)");
	else
		snprintf(err, size, "the backend offers nothing (its state is %s; is bulkheadd running?)",
			 xenbus_state_name(xenbus_end_peer_state(x->end)));
}

static void *watcher(void *arg);

int fe_xs_connect(struct fe_xs *x, uint64_t deadline, char *err, size_t size)
{
	struct xenbus_end_cfg cfg = { .xs = x->xs, .role = XENBUS_FRONT, .direct = x->cfg.direct, .path = x->path, .fn = bus_event,
				      .arg = x };
	int rc = xenbus_end_open(&cfg, &x->end);

	if (rc) {
		snprintf(err, size, "%s", err_str(rc));
		return rc;
	}
	if (!run_until(x, is_connected, deadline)) {
		if (x->failed)
			snprintf(err, size, "%s", x->why);
		else
			tell_deadline(x, err, size);
		return x->gone ? -ENODEV : x->failed ? -EIO : -ETIMEDOUT;
	}
	x->connected = true;
	rc = -pthread_create(&x->thread, NULL, watcher, x);
	if (rc)
		snprintf(err, size, "no thread: %s", err_str(rc));
	x->watching = rc == 0;
	return rc;
}

/* ---- while connected ---- */

static void stop_watching(struct loop_fd *w, uint32_t events)
{
	struct fe_xs *x = CONTAINER_OF(w, struct fe_xs, stop);

	(void)events;
	loop_fd_stop(x->loop, w);
	loop_stop(x->loop);
}

static void *watcher(void *arg)
{
	struct fe_xs *x = arg;
	int rc = loop_fd_start(x->loop, &x->stop, x->stop_fd, EPOLLIN, stop_watching);

	if (!rc)
		rc = loop_run(x->loop);
	if (rc)
		log_error("%s: the backend's state is not followed any more: %s", xenbus_end_path(x->end), err_str(rc));
	return NULL;
}

void fe_xs_close(struct fe_xs *x)
{
	uint64_t one = 1;

	if (!x)
		return;
	if (x->watching) {
		if (write(x->stop_fd, &one, sizeof(one)) != sizeof(one))
			log_error("the watcher cannot be stopped: %s", err_str(-errno));
		pthread_join(x->thread, NULL);
	}
	if (x->end && x->connected && !x->gone) {
		x->failed = false;
		if (!x->released)
			xenbus_end_shut(x->end);
		if (!run_until(x, is_released, clock_now() + CLOSE_NS) && !x->gone)
			log_warn("%s: the backend has not let go within %llu s", xenbus_end_path(x->end), CLOSE_NS / NS_PER_S);
	}
	loop_timer_stop(x->loop, &x->drain);
	xenbus_end_close(x->end);
	xsc_close(x->xs);
	loop_close(x->loop);
	if (x->first_fd >= 0)
		close(x->first_fd);
	if (x->stop_fd >= 0)
		close(x->stop_fd);
	free(x);
}
