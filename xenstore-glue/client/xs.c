#include "xenstore-glue/client/xs.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/rundir.h"
#include "ring/os/xen_host.h"
#include "xenstore-glue/client/xs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKOFF_MIN (10 * NS_PER_MS)
#define BACKOFF_MAX (1 * NS_PER_S)
#define READS_PER_WAKE 4
#define XENSTORED "/run/xenstored/socket"

static void dial(struct xsc *xs);

void xsc_enter(struct xsc *xs) { xs->depth++; }

void xsc_leave(struct xsc *xs)
{
	CHECK(xs->depth > 0);
	if (--xs->depth == 0 && xs->closed)
		free(xs);
}

static void tell(struct xsc *xs)
{
	if (xs->cfg.state && !xs->closed)
		xs->cfg.state(xs->up, xs->cfg.arg);
}

static void redial_due(struct loop_timer *t)
{
	struct xsc *xs = CONTAINER_OF(t, struct xsc, redial);

	xsc_enter(xs);
	dial(xs);
	xsc_leave(xs);
}

static void redial_later(struct xsc *xs)
{
	loop_timer_start(xs->loop, &xs->redial, clock_now() + xs->backoff, redial_due);
	xs->backoff = MIN(xs->backoff * 2, (uint64_t)BACKOFF_MAX);
}

static void hang_up(struct xsc *xs)
{
	loop_fd_stop(xs->loop, &xs->watch_fd);
	if (xs->fd >= 0)
		close(xs->fd);
	xs->fd = -1;
	xs->up = false;
}

void xsc_lost(struct xsc *xs, const char *why)
{
	if (!xs->up)
		return;
	log_peer("store: connection lost (%s), connecting anew", why);
	hang_up(xs);
	xs->epoch++;
	xs->out_len = 0;
	xs_reader_init(&xs->reader);
	xsc_watches_lost(xs);
	xsc_reqs_lost(xs);
	redial_later(xs);
	tell(xs);
}

/* ---- in ---- */

static void got_reply(struct xsc *xs)
{
	const struct xsd_sockmsg *h = &xs->reader.hdr;
	struct xsc_req *r = xsc_req_find(xs, h->req_id);
	int rc;

	if (!r && h->type == XS_TRANSACTION_START)
		xsc_txn_drop(xs, xs->reader.data);
	if (!r)
		return; /* its deadline has passed */
	if (h->type == XS_ERROR) {
		rc = xs_error_parse(xs->reader.data, h->len);
		xsc_req_complete(r, rc < 0 ? rc : -EPEER, NULL, 0);
	} else if (h->type == r->type) {
		xsc_req_complete(r, 0, xs->reader.data, h->len);
	} else {
		xsc_lost(xs, "the reply is of another type than the request");
	}
}

static void got_message(struct xsc *xs)
{
	const char *path, *token;

	if (!xs->proven) {
		xs->proven = true;
		xs->backoff = BACKOFF_MIN;
	}
	if (xs->reader.hdr.type != XS_WATCH_EVENT)
		got_reply(xs);
	else if (xs_event_split(xs->reader.data, xs->reader.hdr.len, &path, &token) == 0)
		xsc_watch_event(xs, path, token);
	else
		xsc_lost(xs, "a malformed watch event");
}

static void got_bytes(struct xsc *xs, size_t n)
{
	uint32_t epoch = xs->epoch;
	size_t at = 0, used;
	int rc;

	while (at < n && !xs->closed && xs->epoch == epoch) {
		rc = xs_reader_feed(&xs->reader, xs->in + at, n - at, &used);
		at += used;
		if (rc < 0)
			xsc_lost(xs, "a message longer than the protocol allows");
		else if (rc == 1)
			got_message(xs);
		else
			break;
	}
}

static void receive(struct xsc *xs)
{
	for (int i = 0; i < READS_PER_WAKE && xs->up && !xs->closed; i++) {
		ssize_t n = xs->ops->recv(xs->fd, xs->in, sizeof(xs->in));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			xsc_lost(xs, n ? err_str((int)n) : "end of file");
			return;
		}
		got_bytes(xs, (size_t)n);
		if ((size_t)n < sizeof(xs->in))
			return;
	}
}

/* ---- out ---- */

/* Sends until the kernel takes no more. False: lost. */
static bool flush(struct xsc *xs)
{
	while (xs->out_len) {
		ssize_t n = xs->ops->send(xs->fd, xs->out, xs->out_len);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN || n == 0)
			break;
		if (n < 0) {
			xsc_lost(xs, err_str((int)n));
			return false;
		}
		xs->out_len -= (uint32_t)n;
		memmove(xs->out, xs->out + n, xs->out_len);
		xsc_reqs_stage(xs);
	}
	loop_fd_change(xs->loop, &xs->watch_fd, EPOLLIN | (xs->out_len ? (uint32_t)EPOLLOUT : 0));
	return true;
}

static void pump_due(struct loop_timer *t)
{
	struct xsc *xs = CONTAINER_OF(t, struct xsc, pump);

	xsc_enter(xs);
	if (xs->up && !xs->closed) {
		xsc_reqs_stage(xs);
		flush(xs);
	}
	if (!xs->closed)
		xsc_reqs_fail(xs);
	xsc_leave(xs);
}

void xsc_kick(struct xsc *xs)
{
	if (!xs->pump.active && !xs->closed)
		loop_timer_start(xs->loop, &xs->pump, clock_now(), pump_due);
}

static void ready(struct loop_fd *w, uint32_t events)
{
	struct xsc *xs = CONTAINER_OF(w, struct xsc, watch_fd);

	xsc_enter(xs);
	if (events & EPOLLOUT)
		flush(xs);
	if (xs->up && events & ~(uint32_t)EPOLLOUT)
		receive(xs);
	if (xs->up && xs->ops->alone && !TAILQ_EMPTY(&xs->waiting))
		xsc_kick(xs);
	xsc_leave(xs);
}

static void dial(struct xsc *xs)
{
	int rc, fd = xs->path[0] ? xs->ops->open(xs->path) : xs->cfg.dial(xs->cfg.arg);

	if (fd < 0) {
		log_msg(xs->missed ? LOG_LVL_DEBUG : LOG_LVL_INFO, "store: %s is not there yet (%s): waiting for it",
			xs->path[0] ? xs->path : "it", err_str(fd));
		xs->missed = true;
		redial_later(xs);
		return;
	}
	xs->fd = fd;
	rc = loop_fd_start(xs->loop, &xs->watch_fd, fd, EPOLLIN, ready);
	if (rc) {
		log_error("store: cannot watch the connection: %s", err_str(rc));
		hang_up(xs);
		redial_later(xs);
		return;
	}
	xs->up = true;
	xs->missed = xs->proven = false;
	xsc_watches_up(xs);
	xsc_kick(xs);
	tell(xs);
}

/* ---- open and close ---- */

int xsc_open(const struct xsc_cfg *cfg, struct xsc **out)
{
	struct stat st;
	struct xsc *xs;

	*out = NULL;
	if (!cfg->loop || (!cfg->path && !cfg->dial))
		return -EINVAL;
	if (cfg->path && (!cfg->path[0] || strlen(cfg->path) >= sizeof(xs->path)))
		return cfg->path[0] ? -ENAMETOOLONG : -EINVAL;
	xs = calloc(1, sizeof(*xs));
	if (!xs)
		return -ENOMEM;
	xs->cfg = *cfg;
	xs->cfg.path = NULL;
	if (cfg->path)
		strcpy(xs->path, cfg->path);
	xs->ops = cfg->path && stat(cfg->path, &st) == 0 && S_ISCHR(st.st_mode) ? &xs_conn_dev : &xs_conn_unix;
	xs->loop = cfg->loop;
	xs->fd = -1;
	xs->epoch = 1;
	xs->backoff = BACKOFF_MIN;
	if (!xs->cfg.timeout_ns)
		xs->cfg.timeout_ns = XSC_TIMEOUT_NS;
	TAILQ_INIT(&xs->waiting);
	TAILQ_INIT(&xs->sent);
	TAILQ_INIT(&xs->failed);
	TAILQ_INIT(&xs->jobs);
	xs_reader_init(&xs->reader);
	/* From the loop, so that no callback comes from inside this call. */
	loop_timer_start(xs->loop, &xs->redial, clock_now(), redial_due);
	*out = xs;
	return 0;
}

void xsc_close(struct xsc *xs)
{
	if (!xs || xs->closed)
		return;
	xsc_enter(xs);
	hang_up(xs);
	loop_timer_stop(xs->loop, &xs->redial);
	loop_timer_stop(xs->loop, &xs->rewatch);
	loop_timer_stop(xs->loop, &xs->pump);
	xsc_reqs_free(xs);
	for (uint32_t i = 0; i < xs->nslots; i++) {
		if (xs->slots[i]->w)
			xs->slots[i]->w->active = false;
		free(xs->slots[i]);
	}
	free(xs->slots);
	xs->slots = NULL;
	xs->nslots = 0;
	xs->closed = true;
	xsc_leave(xs);
}

bool xsc_up(const struct xsc *xs) { return xs->up; }
uint32_t xsc_epoch(const struct xsc *xs) { return xs->epoch; }
struct loop *xsc_loop(const struct xsc *xs) { return xs->loop; }

int xsc_path(const char *runtime, char *path, size_t size)
{
	const char *env = getenv("XENSTORED_PATH");
	int n;

	if (env && *env)
		n = snprintf(path, size, "%s", env);
	else if (runtime)
		return rundir_file(runtime, "store.sock", path, size);
	else /* the control domain's daemon may not have made its socket yet */
		n = snprintf(path, size, "%s",
			     access(XENSTORED, F_OK) == 0 || xen_host_control("") ? XENSTORED : "/dev/xen/xenbus");
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}
