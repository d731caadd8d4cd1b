#include "xenstore-glue/bus/xenbus_end.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/xenbus_end_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN (100 * NS_PER_MS)
#define RETRY_MAX (1 * NS_PER_S)

static void begin(struct xenbus_end *e);

/* ---- telling the owner ---- */

static void destroy(struct xenbus_end *e)
{
	free(e->write.keys);
	free(e->write.sending);
	free(e->fetch);
	free(e);
}

/* May free e: the caller returns at once. */
void xend_tell(struct xenbus_end *e, enum xenbus_action a, const struct xs_kvs *own, const struct xs_kvs *peer)
{
	e->depth++;
	e->cfg.fn(e, a, own, peer, e->cfg.arg);
	if (--e->depth == 0 && e->closed)
		destroy(e);
}

static void patience_over(struct loop_timer *t)
{
	xend_tell(CONTAINER_OF(t, struct xenbus_end, patience), XENBUS_ACT_TIMEOUT, NULL, NULL);
}

void xend_set_phase(struct xenbus_end *e, enum xenbus_phase phase)
{
	struct loop *l = xsc_loop(e->cfg.xs);

	if (e->started)
		log_debug("%s: %s -> %s", e->path, xenbus_phase_name(e->phase), xenbus_phase_name(phase));
	e->phase = phase;
	e->phase_seq++;
	loop_timer_stop(l, &e->patience);
	if (e->cfg.patience_ns && xenbus_phase_waits(phase))
		loop_timer_start(l, &e->patience, clock_now() + e->cfg.patience_ns, patience_over);
}

/* What the table says has to be done. Last in its caller: the owner may close e. */
void xend_act(struct xenbus_end *e, enum xenbus_action a)
{
	switch (a) {
	case XENBUS_ACT_NONE:
		break;
	case XENBUS_ACT_PREPARE:
	case XENBUS_ACT_CONNECT:
	case XENBUS_ACT_CHANGED:
		xend_fetch(e, a);
		break;
	case XENBUS_ACT_REMOVED:
		/* Told when the last state is written. */
		e->removing = xenbus_phase_state(e->phase) != XenbusStateUnknown && !xenbus_end_written(e);
		if (!e->removing)
			xend_tell(e, a, NULL, NULL);
		break;
	default:
		xend_tell(e, a, NULL, NULL);
		break;
	}
}

void xend_step(struct xenbus_end *e, enum xenbus_event ev)
{
	struct xenbus_step s = xenbus_fsm_next(e->phase, ev);

	if (s.action == XENBUS_ACT_CHANGED && !e->peer_wrote)
		return;
	if (s.next != e->phase) {
		xend_set_phase(e, s.next);
		xend_write_out(e);
		xend_look(e);
	}
	xend_act(e, s.action);
}

/* ---- trying again ---- */

static void retry_due(struct loop_timer *t)
{
	struct xenbus_end *e = CONTAINER_OF(t, struct xenbus_end, retry);

	if (!e->peer_path[0]) {
		begin(e);
		return;
	}
	xend_write_out(e);
	xend_fetch_again(e);
	xend_look(e);
}

void xend_retry_later(struct xenbus_end *e, const char *what, int rc)
{
	if (rc != -ECONNRESET && rc != -ETIMEDOUT && rc != -EAGAIN)
		log_peer("%s: %s failed: %s; trying again", e->path, what, err_str(rc));
	e->pause = e->pause ? MIN(e->pause * 2, (uint64_t)RETRY_MAX) : RETRY_MIN;
	if (!e->retry.active)
		loop_timer_start(xsc_loop(e->cfg.xs), &e->retry, clock_now() + e->pause, retry_due);
}

static void own_event(struct xsc_watch *w, const char *path)
{
	(void)path;
	xend_look(CONTAINER_OF(w, struct xenbus_end, own_watch));
}

static void online_event(struct xsc_watch *w, const char *path)
{
	(void)path;
	xend_look(CONTAINER_OF(w, struct xenbus_end, online_watch));
}

static void peer_event(struct xsc_watch *w, const char *path)
{
	struct xenbus_end *e = CONTAINER_OF(w, struct xenbus_end, peer_watch);

	(void)path;
	e->look.peer_event = true;
	xend_look(e);
}

/* ---- beginning ---- */

static int watch_node(struct xenbus_end *e, struct xsc_watch *w, const char *dir, const char *name,
		      void (*fn)(struct xsc_watch *w, const char *path))
{
	char node[XS_PATH_SIZE];
	int rc = xs_path_join(node, dir, name);

	return rc ? rc : xsc_watch(e->cfg.xs, w, node, fn);
}

static int follow(struct xenbus_end *e)
{
	int rc = watch_node(e, &e->peer_watch, e->peer_path, "state", peer_event);

	if (rc == 0)
		rc = watch_node(e, &e->own_watch, e->path, "state", own_event);
	if (rc == 0 && e->cfg.role == XENBUS_BACK)
		rc = watch_node(e, &e->online_watch, e->path, "online", online_event);
	if (rc == 0)
		xend_look(e);
	return rc;
}

static void no_peer(struct xenbus_end *e, const char *why)
{
	log_peer("%s: %s", e->path, why);
	e->started = true;
	e->phase = e->cfg.role == XENBUS_BACK ? XENBUS_B_GONE : XENBUS_F_GONE;
	xend_tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
}

static void got_link(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	if (rc == -ENOENT) {
		no_peer(e, "no such device, or it does not name its other end");
		return;
	}
	if (rc) {
		xend_retry_later(e, "reading where its other end is", rc);
		return;
	}
	if (strlen(data) != len || len >= sizeof(e->peer_path) || !xs_path_valid(data) ||
	    strncmp(data, "/local/domain/", 14) != 0) {
		no_peer(e, "the path of its other end is none");
		return;
	}
	strcpy(e->peer_path, data);
	if (follow(e) < 0)
		no_peer(e, "its other end cannot be watched");
}

static void begin(struct xenbus_end *e)
{
	char node[XS_PATH_SIZE];

	CHECK(xs_path_join(node, e->path, e->cfg.role == XENBUS_BACK ? "frontend" : "backend") == 0);
	xsc_read(e->cfg.xs, 0, node, got_link, e);
}

int xenbus_end_open(const struct xenbus_end_cfg *cfg, struct xenbus_end **out)
{
	struct xenbus_end *e;
	int rc = 0;

	*out = NULL;
	if (!cfg->fn || !cfg->path || !xs_path_valid(cfg->path) || (cfg->peer && !xs_path_valid(cfg->peer)))
		return -EINVAL;
	if (strlen(cfg->path) + sizeof("/frontend") > XENSTORE_ABS_PATH_MAX)
		return -ENAMETOOLONG;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->cfg = *cfg;
	e->epoch = xsc_epoch(cfg->xs);
	strcpy(e->path, cfg->path);
	if (cfg->peer)
		strcpy(e->peer_path, cfg->peer);
	if (cfg->peer)
		rc = follow(e);
	else
		begin(e);
	if (rc) {
		xenbus_end_close(e);
		return rc;
	}
	*out = e;
	return 0;
}

void xenbus_end_close(struct xenbus_end *e)
{
	if (!e || e->closed)
		return;
	e->closed = true;
	xsc_cancel(e->cfg.xs, e);
	xsc_unwatch(e->cfg.xs, &e->own_watch);
	xsc_unwatch(e->cfg.xs, &e->online_watch);
	xsc_unwatch(e->cfg.xs, &e->peer_watch);
	loop_timer_stop(xsc_loop(e->cfg.xs), &e->patience);
	loop_timer_stop(xsc_loop(e->cfg.xs), &e->retry);
	if (e->depth == 0)
		destroy(e);
}

/* ---- the owner's part ---- */

/* Keys and state go in one transaction: xend_step() writes when the phase changes. */
static void answer(struct xenbus_end *e, enum xenbus_event ev, const struct xs_kvs *keys)
{
	if (e->closed || !e->started)
		return;
	if (xenbus_fsm_next(e->phase, ev).next == e->phase)
		return;
	xend_add_keys(e, keys);
	xend_step(e, ev);
}

void xenbus_end_ready(struct xenbus_end *e, const struct xs_kvs *keys)
{
	bool direct = e->cfg.role == XENBUS_FRONT && e->cfg.direct;

	xend_set_error(e, NULL);
	answer(e, direct ? XENBUS_EV_READY_DIRECT : XENBUS_EV_READY, keys);
}

void xenbus_end_up(struct xenbus_end *e, const struct xs_kvs *keys)
{
	xend_set_error(e, NULL);
	answer(e, XENBUS_EV_UP, keys);
}

void xenbus_end_down(struct xenbus_end *e) { answer(e, XENBUS_EV_DOWN, NULL); }
void xenbus_end_shut(struct xenbus_end *e) { answer(e, XENBUS_EV_CLOSE, NULL); }
void xenbus_end_reopen(struct xenbus_end *e) { answer(e, XENBUS_EV_OPEN, NULL); }

void xenbus_end_failed(struct xenbus_end *e, const char *text)
{
	if (e->closed || !e->started)
		return;
	xend_set_error(e, text);
	xend_write_out(e);
	answer(e, XENBUS_EV_FAILED, NULL);
}

void xenbus_end_refuse(struct xenbus_end *e, const char *text, const struct xs_kvs *keys)
{
	if (e->closed || !e->started)
		return;
	xend_set_error(e, text);
	answer(e, XENBUS_EV_READY, keys);
}

void xenbus_end_peer_dead(struct xenbus_end *e)
{
	e->peer_dead = true;
	xend_look(e);
}

void xenbus_end_rewrite(struct xenbus_end *e, const struct xs_kvs *keys)
{
	if (e->closed)
		return;
	xend_add_keys(e, keys);
	e->write.force = true; /* before the first look, it is done then */
	xend_write_out(e);
}

void xenbus_end_error(struct xenbus_end *e, const char *text)
{
	if (e->closed)
		return;
	xend_set_error(e, text);
	xend_write_out(e);
}

enum xenbus_phase xenbus_end_phase(const struct xenbus_end *e) { return e->phase; }
enum xenbus_state xenbus_end_peer_state(const struct xenbus_end *e) { return e->peer; }
const char *xenbus_end_path(const struct xenbus_end *e) { return e->path; }
const char *xenbus_end_peer_path(const struct xenbus_end *e) { return e->peer_path; }

bool xenbus_end_written(const struct xenbus_end *e)
{
	return e->started && !e->write.busy && !e->write.keys && xenbus_phase_state(e->phase) == e->stored;
}
