/* Writes and fetches of an end. */
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "xenstore-glue/bus/xenbus_end_priv.h"
#include "xenstore-glue/bus/xs_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
		xend_look(e); /* our nodes are gone */
		return;
	}
	if (rc == -EACCES)
		xend_look(e); /* or that, where we may not know it */
	if (rc) {
		take_back(w);
		w->error_new |= w->error_sent;
		w->force = true; /* it is not known what stands there */
		xend_retry_later(e, "writing its state", rc);
		return;
	}
	free(w->sending);
	w->sending = NULL;
	e->pause = 0;
	if (w->state != XenbusStateUnknown)
		e->stored = w->state;
	w->again = false;
	xend_write_out(e);
	if (!w->busy && e->removing) {
		e->removing = false;
		xend_tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	}
}

static void batch_error(struct xenbus_end *e, struct xsc_batch *b)
{
	char node[XS_PATH_SIZE];

	e->write.error_sent = e->write.error_new;
	if (!e->write.error_new || xs_path_join(node, e->path, "error") < 0)
		return;
	e->write.error_new = false;
	e->write.error_there = e->write.error[0] != '\0';
	if (e->write.error_there)
		xsc_batch_write(b, node, "%s", e->write.error);
	else
		xsc_batch_rm(b, node);
}

void xend_write_out(struct xenbus_end *e)
{
	struct write *w = &e->write;
	bool state = want_state(e);
	char node[XS_PATH_SIZE];
	struct xsc_batch *b;

	if (w->busy) {
		w->again = true;
		return;
	}
	if (!e->started || (!state && !w->keys && !w->error_new))
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

void xend_add_keys(struct xenbus_end *e, const struct xs_kvs *keys)
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

void xend_set_error(struct xenbus_end *e, const char *text)
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
		xend_fetch_again(e);
		return;
	}
	if (f->phase_seq != e->phase_seq)
		return; /* the peer has gone on */
	if (f->epoch != xsc_epoch(e->cfg.xs))
		rc = -ECONNRESET;
	if (rc == -EPEER || rc == -E2BIG) {
		xenbus_end_failed(e, "the other end's directory holds too much, or something too long");
		return;
	}
	if (rc) {
		f->want = a;
		f->want_seq = f->phase_seq;
		xend_retry_later(e, "reading its keys", rc);
		return;
	}
	e->pause = 0;
	xend_tell(e, a, &f->own, &f->peer);
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

/* What a backend offers does not depend on the frontend, whose directory may hold anything that it, or the one before it, left. */
static bool needs_own_only(const struct xenbus_end *e)
{
	return e->cfg.role == XENBUS_BACK && e->fetch->now == XENBUS_ACT_PREPARE;
}

static void fetched_own(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)data, (void)len;
	if (rc == -ENOENT)
		xend_look(e);
	if (rc || needs_own_only(e)) {
		e->fetch->peer.n = 0;
		fetched(e, rc);
	} else {
		xs_tree_read(e->cfg.xs, e->peer_path, &e->fetch->peer, fetched_peer, e);
	}
}

void xend_fetch(struct xenbus_end *e, enum xenbus_action action)
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
	e->fetch->epoch = xsc_epoch(e->cfg.xs);
	xs_tree_read(e->cfg.xs, e->path, &e->fetch->own, fetched_own, e);
}

void xend_fetch_again(struct xenbus_end *e)
{
	struct fetch *f = e->fetch;

	if (!f || f->busy || f->want == XENBUS_ACT_NONE)
		return;
	if (f->want_seq == e->phase_seq)
		xend_fetch(e, f->want);
	else
		f->want = XENBUS_ACT_NONE;
}

