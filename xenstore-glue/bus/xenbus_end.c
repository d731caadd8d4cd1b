/* One end of a device. Three things go on, each at most once at a time, and each is asked for again while it runs:
 *   a look  reads own state, `online` and the peer's state, and feeds the table;
 *   a fetch reads both directories for an action that needs their keys;
 *   a write puts keys, error text and state into the store.
 * Only looks bring the peer's state to the table, never a remembered value; what a look found is dropped when the owner
 * has moved the phase meanwhile, and looked for again. */
#include "xenstore-glue/bus/xenbus_end.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/xs_tree.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN (100 * NS_PER_MS)
#define RETRY_MAX (1 * NS_PER_S)

struct look {
	bool busy, again;
	bool peer_event;     /* the peer's node was written since this look began */
	bool reports_change; /* ... since the one before */
	unsigned outstanding;
	uint32_t phase_seq;
	int rc; /* of the store, not of missing nodes */
	bool own_here, online;
	enum xenbus_state own, peer;
};

struct fetch {
	bool busy;
	enum xenbus_action want, now;
	uint32_t want_seq, phase_seq; /* the phases that want them */
	struct xs_kvs own, peer;
};

struct write {
	bool busy, again, force; /* force: also a state that stands there already */
	enum xenbus_state state; /* being written */
	struct xs_kvs *keys, *sending;
	char error[256];
	bool error_new, error_sent, error_there;
};

struct xenbus_end {
	struct xenbus_end_cfg cfg;
	char path[XS_PATH_SIZE], peer_path[XS_PATH_SIZE];
	unsigned depth;
	bool closed, started, removing, lost, peer_dead, peer_wrote;
	uint32_t epoch; /* connection of the last look */
	enum xenbus_phase phase;
	uint32_t phase_seq; /* changes with the phase */
	enum xenbus_state stored, peer;
	struct xsc_watch own_watch, online_watch, peer_watch;
	struct loop_timer patience, retry;
	uint64_t pause;
	struct look look;
	struct fetch *fetch;
	struct write write;
};

static void look(struct xenbus_end *e);
static void fetch(struct xenbus_end *e, enum xenbus_action action);
static void fetch_again(struct xenbus_end *e);
static void write_out(struct xenbus_end *e);
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
static void tell(struct xenbus_end *e, enum xenbus_action a, const struct xs_kvs *own, const struct xs_kvs *peer)
{
	e->depth++;
	e->cfg.fn(e, a, own, peer, e->cfg.arg);
	if (--e->depth == 0 && e->closed)
		destroy(e);
}

static void patience_over(struct loop_timer *t)
{
	tell(CONTAINER_OF(t, struct xenbus_end, patience), XENBUS_ACT_TIMEOUT, NULL, NULL);
}

static void set_phase(struct xenbus_end *e, enum xenbus_phase phase)
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
static void act(struct xenbus_end *e, enum xenbus_action a)
{
	switch (a) {
	case XENBUS_ACT_NONE:
		break;
	case XENBUS_ACT_PREPARE:
	case XENBUS_ACT_CONNECT:
	case XENBUS_ACT_CHANGED:
		fetch(e, a);
		break;
	case XENBUS_ACT_REMOVED:
		/* Told when the last state is written. */
		e->removing = xenbus_phase_state(e->phase) != XenbusStateUnknown && !xenbus_end_written(e);
		if (!e->removing)
			tell(e, a, NULL, NULL);
		break;
	default:
		tell(e, a, NULL, NULL);
		break;
	}
}

static void step(struct xenbus_end *e, enum xenbus_event ev)
{
	struct xenbus_step s = xenbus_fsm_next(e->phase, ev);

	if (s.action == XENBUS_ACT_CHANGED && !e->peer_wrote)
		return;
	if (s.next != e->phase) {
		set_phase(e, s.next);
		write_out(e);
		look(e);
	}
	act(e, s.action);
}

/* ---- trying again ---- */

static void retry_due(struct loop_timer *t)
{
	struct xenbus_end *e = CONTAINER_OF(t, struct xenbus_end, retry);

	if (!e->peer_path[0]) {
		begin(e);
		return;
	}
	write_out(e);
	fetch_again(e);
	look(e);
}

static void retry_later(struct xenbus_end *e, const char *what, int rc)
{
	if (rc != -ECONNRESET && rc != -ETIMEDOUT && rc != -EAGAIN)
		log_peer("%s: %s failed: %s; trying again", e->path, what, err_str(rc));
	e->pause = e->pause ? MIN(e->pause * 2, (uint64_t)RETRY_MAX) : RETRY_MIN;
	if (!e->retry.active)
		loop_timer_start(xsc_loop(e->cfg.xs), &e->retry, clock_now() + e->pause, retry_due);
}

/* ---- writing ---- */

static bool want_state(const struct xenbus_end *e)
{
	enum xenbus_state s = xenbus_phase_state(e->phase);

	return e->started && s != XenbusStateUnknown && (s != e->stored || e->write.force);
}

/* What was not written goes under what has been asked for since. */
static void take_back(struct write *w)
{
	struct xs_kvs *old = w->sending;

	w->sending = NULL;
	if (!old || !w->keys) {
		w->keys = old ? old : w->keys;
		return;
	}
	for (unsigned i = 0; i < w->keys->n; i++)
		if (xs_kv_set(old, w->keys->kv[i].key, "%s", w->keys->kv[i].val) < 0)
			log_error("too many keys for one device: %s is not written", w->keys->kv[i].key);
	free(w->keys);
	w->keys = old;
}

static void written(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;
	struct write *w = &e->write;

	(void)data, (void)len;
	w->busy = false;
	if (rc == -ENOENT) {
		free(w->sending);
		w->sending = NULL;
		look(e); /* our nodes are gone */
		return;
	}
	if (rc) {
		take_back(w);
		w->error_new |= w->error_sent;
		w->force = true; /* it is not known what stands there */
		retry_later(e, "writing its state", rc);
		return;
	}
	free(w->sending);
	w->sending = NULL;
	e->pause = 0;
	if (w->state != XenbusStateUnknown)
		e->stored = w->state;
	w->again = false;
	write_out(e);
	if (!w->busy && e->removing) {
		e->removing = false;
		tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	}
}

static void batch_error(struct xenbus_end *e, struct xsc_batch *b)
{
	char node[XS_PATH_SIZE];

	e->write.error_sent = e->write.error_new;
	if (!e->write.error_new || xs_path_join(node, e->path, "error") < 0)
		return;
	e->write.error_new = false;
	if (e->write.error[0])
		xsc_batch_write(b, node, "%s", e->write.error);
	else
		xsc_batch_rm(b, node);
	e->write.error_there = e->write.error[0] != '\0';
}

static void write_out(struct xenbus_end *e)
{
	struct write *w = &e->write;
	bool state = want_state(e);
	char node[XS_PATH_SIZE];
	struct xsc_batch *b;

	if (w->busy) {
		w->again = true;
		return;
	}
	if (!state && !w->keys && !w->error_new)
		return;
	if (e->lost || xs_path_join(node, e->path, "state") < 0)
		return;
	b = xsc_batch_new();
	xsc_batch_exists(b, node);
	if (w->keys)
		xs_tree_batch(b, e->path, w->keys);
	batch_error(e, b);
	w->state = state ? xenbus_phase_state(e->phase) : XenbusStateUnknown;
	if (state)
		xsc_batch_write(b, node, "%u", (unsigned)w->state);
	w->sending = w->keys;
	w->keys = NULL;
	w->force = false;
	w->busy = true;
	xsc_batch_commit(e->cfg.xs, b, written, e);
}

static void add_keys(struct xenbus_end *e, const struct xs_kvs *keys)
{
	struct xs_kvs *copy;

	if (!keys || !keys->n)
		return;
	copy = malloc(sizeof(*copy));
	CHECK(copy);
	*copy = *keys;
	if (e->write.keys) {
		struct xs_kvs *newer = copy;

		CHECK(!e->write.busy || e->write.sending != e->write.keys);
		copy = e->write.keys;
		for (unsigned i = 0; i < newer->n; i++)
			if (xs_kv_set(copy, newer->kv[i].key, "%s", newer->kv[i].val) < 0)
				log_error("%s: too many keys, %s is not written", e->path, newer->kv[i].key);
		free(newer);
	}
	e->write.keys = copy;
}

static void set_error(struct xenbus_end *e, const char *text)
{
	snprintf(e->write.error, sizeof(e->write.error), "%s", text ? text : "");
	e->write.error_new = e->write.error[0] || e->write.error_there;
}

/* ---- reading both directories ---- */

static void fetched(struct xenbus_end *e, int rc)
{
	struct fetch *f = e->fetch;
	enum xenbus_action a = f->now;

	f->busy = false;
	if (f->want != XENBUS_ACT_NONE) { /* another one was asked for meanwhile */
		fetch_again(e);
		return;
	}
	if (f->phase_seq != e->phase_seq)
		return; /* the peer has gone on */
	if (rc == -EPEER || rc == -E2BIG) {
		xenbus_end_failed(e, "the other end's directory holds too much, or something too long");
		return;
	}
	if (rc) {
		f->want = a;
		f->want_seq = f->phase_seq;
		retry_later(e, "reading its keys", rc);
		return;
	}
	e->pause = 0;
	tell(e, a, &f->own, &f->peer);
}

static void fetched_peer(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)data, (void)len;
	if (rc == -ENOENT) {
		e->fetch->peer.n = 0;
		rc = 0;
	}
	fetched(e, rc);
}

static void fetched_own(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)data, (void)len;
	if (rc == -ENOENT)
		look(e);
	if (rc) {
		fetched(e, rc);
	} else {
		xs_tree_read(e->cfg.xs, e->peer_path, &e->fetch->peer, fetched_peer, e);
	}
}

static void fetch(struct xenbus_end *e, enum xenbus_action action)
{
	if (!e->fetch)
		e->fetch = calloc(1, sizeof(*e->fetch));
	CHECK(e->fetch);
	e->fetch->want = action;
	e->fetch->want_seq = e->phase_seq;
	if (e->fetch->busy)
		return;
	e->fetch->busy = true;
	e->fetch->now = action;
	e->fetch->want = XENBUS_ACT_NONE;
	e->fetch->phase_seq = e->phase_seq;
	xs_tree_read(e->cfg.xs, e->path, &e->fetch->own, fetched_own, e);
}

static void fetch_again(struct xenbus_end *e)
{
	struct fetch *f = e->fetch;

	if (!f || f->busy || f->want == XENBUS_ACT_NONE)
		return;
	if (f->want_seq == e->phase_seq)
		fetch(e, f->want);
	else
		f->want = XENBUS_ACT_NONE;
}

/* ---- looking ---- */

/* Whether the nodes are those of a device that was removed and made anew: both ends are at their beginning, and we did
 * not write ours so. */
static bool replaced(const struct xenbus_end *e, const struct look *k)
{
	return k->own == XenbusStateInitialising && e->stored != XenbusStateInitialising && !e->write.busy &&
	       (k->peer == XenbusStateInitialising || k->peer == XenbusStateUnknown);
}

static void first_look(struct xenbus_end *e, const struct look *k)
{
	enum xenbus_action a;

	e->stored = k->own;
	set_phase(e, xenbus_fsm_start(e->cfg.role, k->own, k->peer, e->cfg.connected, &a));
	e->started = true;
	write_out(e);
	if (!k->online) {
		step(e, XENBUS_EV_OFFLINE);
		return;
	}
	look(e);
	act(e, a);
}

static void own_missing(struct xenbus_end *e, bool fresh)
{
	if (!e->started) {
		e->started = true;
		e->phase = e->cfg.role == XENBUS_BACK ? XENBUS_B_GONE : XENBUS_F_GONE;
		tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	} else if (e->removing) {
		e->removing = false;
		tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	} else if (fresh && !e->lost && !xenbus_phase_final(e->phase)) {
		e->lost = true;
		tell(e, XENBUS_ACT_LOST, NULL, NULL);
	} else if (!e->lost) {
		step(e, XENBUS_EV_OWN_GONE);
	}
}

static void judge(struct xenbus_end *e, struct look *k)
{
	bool fresh = e->epoch != xsc_epoch(e->cfg.xs);

	e->epoch = xsc_epoch(e->cfg.xs);
	if (e->peer_dead)
		k->peer = XenbusStateUnknown;
	e->peer = k->peer;
	e->peer_wrote = k->reports_change;
	if (!k->own_here) {
		own_missing(e, fresh);
	} else if (!e->started) {
		first_look(e, k);
	} else if (replaced(e, k)) {
		step(e, XENBUS_EV_OWN_GONE);
	} else {
		/* Nodes that are there again after a store forgot them are somebody's new ones: ours to fill. */
		if (!e->write.busy)
			e->stored = k->own;
		if (e->lost) {
			e->lost = false;
			write_out(e);
		}
		if (!k->online)
			step(e, XENBUS_EV_OFFLINE);
		else
			step(e, xenbus_fsm_peer(e->cfg.role, e->cfg.direct, k->peer));
	}
}

static void looked(struct xenbus_end *e)
{
	struct look found;

	if (--e->look.outstanding)
		return;
	e->look.busy = false;
	if (e->look.rc) {
		e->look.peer_event |= e->look.reports_change;
		retry_later(e, "reading the states", e->look.rc);
		return;
	}
	found = e->look;
	e->look.again = false;
	if (found.again || found.phase_seq != e->phase_seq)
		look(e);
	if (found.phase_seq == e->phase_seq)
		judge(e, &found);
	else
		e->look.peer_event |= found.reports_change;
}

static void got_own(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)len;
	e->look.own_here = rc != -ENOENT;
	e->look.own = xenbus_state_parse(rc ? NULL : data);
	if (rc && rc != -ENOENT)
		e->look.rc = rc;
	looked(e);
}

static void got_online(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)len;
	e->look.online = rc || strcmp(data, "0") != 0;
	if (rc && rc != -ENOENT)
		e->look.rc = rc;
	looked(e);
}

static void got_peer(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	/* What a peer hides from us, or makes no number of, is as good as gone. */
	e->look.peer = xenbus_state_parse(rc || strlen(data) != len ? NULL : data);
	if (rc && rc != -ENOENT && rc != -EACCES)
		e->look.rc = rc;
	looked(e);
}

static void read_node(struct xenbus_end *e, const char *dir, const char *name, xsc_done_fn *fn)
{
	char node[XS_PATH_SIZE];

	CHECK(xs_path_join(node, dir, name) == 0); /* watched already */
	e->look.outstanding++;
	xsc_read(e->cfg.xs, 0, node, fn, e);
}

static void look(struct xenbus_end *e)
{
	struct look *k = &e->look;

	if (k->busy) {
		k->again = true;
		return;
	}
	k->busy = true;
	k->rc = 0;
	k->online = true;
	k->phase_seq = e->phase_seq;
	k->reports_change = k->peer_event;
	k->peer_event = false;
	read_node(e, e->path, "state", got_own);
	if (e->cfg.role == XENBUS_BACK)
		read_node(e, e->path, "online", got_online);
	read_node(e, e->peer_path, "state", got_peer);
}

static void own_event(struct xsc_watch *w, const char *path)
{
	(void)path;
	look(CONTAINER_OF(w, struct xenbus_end, own_watch));
}

static void online_event(struct xsc_watch *w, const char *path)
{
	(void)path;
	look(CONTAINER_OF(w, struct xenbus_end, online_watch));
}

static void peer_event(struct xsc_watch *w, const char *path)
{
	struct xenbus_end *e = CONTAINER_OF(w, struct xenbus_end, peer_watch);

	(void)path;
	e->look.peer_event = true;
	look(e);
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
		look(e);
	return rc;
}

static void no_peer(struct xenbus_end *e, const char *why)
{
	log_peer("%s: %s", e->path, why);
	e->started = true;
	e->phase = e->cfg.role == XENBUS_BACK ? XENBUS_B_GONE : XENBUS_F_GONE;
	tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
}

static void got_link(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	if (rc == -ENOENT) {
		no_peer(e, "no such device, or it does not name its other end");
		return;
	}
	if (rc) {
		retry_later(e, "reading where its other end is", rc);
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

/* Keys and state go in one transaction: step() writes when the phase changes. */
static void answer(struct xenbus_end *e, enum xenbus_event ev, const struct xs_kvs *keys)
{
	if (e->closed || !e->started)
		return;
	if (xenbus_fsm_next(e->phase, ev).next == e->phase)
		return;
	add_keys(e, keys);
	step(e, ev);
}

void xenbus_end_ready(struct xenbus_end *e, const struct xs_kvs *keys)
{
	bool direct = e->cfg.role == XENBUS_FRONT && e->cfg.direct;

	set_error(e, NULL);
	answer(e, direct ? XENBUS_EV_READY_DIRECT : XENBUS_EV_READY, keys);
}

void xenbus_end_up(struct xenbus_end *e, const struct xs_kvs *keys)
{
	set_error(e, NULL);
	answer(e, XENBUS_EV_UP, keys);
}

void xenbus_end_down(struct xenbus_end *e) { answer(e, XENBUS_EV_DOWN, NULL); }
void xenbus_end_shut(struct xenbus_end *e) { answer(e, XENBUS_EV_CLOSE, NULL); }
void xenbus_end_reopen(struct xenbus_end *e) { answer(e, XENBUS_EV_OPEN, NULL); }

void xenbus_end_failed(struct xenbus_end *e, const char *text)
{
	if (e->closed || !e->started)
		return;
	set_error(e, text);
	write_out(e);
	answer(e, XENBUS_EV_FAILED, NULL);
}

void xenbus_end_peer_dead(struct xenbus_end *e)
{
	e->peer_dead = true;
	look(e);
}

void xenbus_end_rewrite(struct xenbus_end *e, const struct xs_kvs *keys)
{
	if (e->closed || !e->started)
		return;
	add_keys(e, keys);
	e->write.force = true;
	write_out(e);
}

void xenbus_end_error(struct xenbus_end *e, const char *text)
{
	if (e->closed)
		return;
	set_error(e, text);
	write_out(e);
}

enum xenbus_phase xenbus_end_phase(const struct xenbus_end *e) { return e->phase; }
enum xenbus_state xenbus_end_peer_state(const struct xenbus_end *e) { return e->peer; }
const char *xenbus_end_path(const struct xenbus_end *e) { return e->path; }
const char *xenbus_end_peer_path(const struct xenbus_end *e) { return e->peer_path; }

bool xenbus_end_written(const struct xenbus_end *e)
{
	return e->started && !e->write.busy && !e->write.keys && xenbus_phase_state(e->phase) == e->stored;
}
