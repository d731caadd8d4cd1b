/* Looks of an end, and what is made of them. */
#include "ring/base/check.h"
#include "xenstore-glue/bus/xenbus_end_priv.h"

#include <errno.h>
#include <string.h>

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
	enum xenbus_phase phase;

	e->stored = k->own;
	phase = xenbus_fsm_start(e->cfg.role, k->own, k->peer, e->cfg.connected, &a);
	if (phase == XENBUS_B_CONNECTED && e->cfg.unsaid && k->own == XenbusStateInitWait)
		phase = XENBUS_B_CONNECTING;
	xend_set_phase(e, phase);
	e->started = true;
	xend_write_out(e);
	if (!k->online) {
		xend_step(e, XENBUS_EV_OFFLINE);
		return;
	}
	xend_look(e);
	xend_act(e, a);
}

static void own_missing(struct xenbus_end *e, const struct look *k, bool fresh)
{
	enum xenbus_action a;

	if (!e->started && e->cfg.connected) {
		e->started = e->lost = true;
		xend_set_phase(e, xenbus_fsm_start(e->cfg.role, XenbusStateConnected, k->peer, true, &a));
		xend_tell(e, XENBUS_ACT_LOST, NULL, NULL);
	} else if (!e->started) {
		e->started = true;
		e->phase = e->cfg.role == XENBUS_BACK ? XENBUS_B_GONE : XENBUS_F_GONE;
		xend_tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	} else if (e->removing) {
		e->removing = false;
		xend_tell(e, XENBUS_ACT_REMOVED, NULL, NULL);
	} else if (fresh && !e->lost && !xenbus_phase_final(e->phase)) {
		e->lost = true;
		xend_tell(e, XENBUS_ACT_LOST, NULL, NULL);
	} else if (!e->lost || e->peer_dead) {
		xend_step(e, XENBUS_EV_OWN_GONE);
	}
}

static void judge(struct xenbus_end *e, struct look *k)
{
	bool fresh = e->epoch != xsc_epoch(e->cfg.xs);
	enum xenbus_event ev;

	e->epoch = xsc_epoch(e->cfg.xs);
	if (e->peer_dead)
		k->peer = XenbusStateUnknown;
	e->peer = k->peer;
	e->peer_wrote = k->reports_change;
	if (!k->own_here) {
		own_missing(e, k, fresh);
	} else if (!e->started) {
		first_look(e, k);
	} else if (replaced(e, k)) {
		xend_step(e, XENBUS_EV_OWN_GONE);
	} else {
		/* Nodes that are there again after a store forgot them are somebody's new ones: ours to fill. */
		if (!e->write.busy)
			e->stored = k->own;
		if (e->lost) {
			e->lost = false;
			xend_write_out(e);
		}
		ev = xenbus_fsm_peer(e->cfg.role, e->cfg.direct, k->peer);
		if (!k->online && xenbus_fsm_next(e->phase, XENBUS_EV_OFFLINE).next != e->phase)
			ev = XENBUS_EV_OFFLINE;
		xend_step(e, ev);
	}
}

static void looked(struct xenbus_end *e)
{
	struct look found;
	bool valid;

	if (--e->look.outstanding)
		return;
	e->look.busy = false;
	if (e->look.rc) {
		e->look.peer_event |= e->look.reports_change;
		xend_retry_later(e, "reading the states", e->look.rc);
		return;
	}
	found = e->look;
	e->look.again = false;
	valid = found.phase_seq == e->phase_seq && found.epoch == xsc_epoch(e->cfg.xs);
	if (found.again || !valid)
		xend_look(e);
	if (valid)
		judge(e, &found);
	else
		e->look.peer_event |= found.reports_change;
}

static void got_own(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)len;
	/* A guest may not even know that a node is missing whose parents it may not read. */
	e->look.own_here = rc != -ENOENT && rc != -EACCES;
	e->look.own = xenbus_state_parse(rc ? NULL : data);
	if (rc && e->look.own_here)
		e->look.rc = rc;
	looked(e);
}

static void got_online(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_end *e = arg;

	(void)len;
	e->look.online = rc || strcmp(data, "0") != 0;
	if (rc && rc != -ENOENT && rc != -EACCES)
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

void xend_look(struct xenbus_end *e)
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
	k->epoch = xsc_epoch(e->cfg.xs);
	k->reports_change = k->peer_event;
	k->peer_event = false;
	read_node(e, e->path, "state", got_own);
	if (e->cfg.role == XENBUS_BACK)
		read_node(e, e->path, "online", got_online);
	read_node(e, e->peer_path, "state", got_peer);
}

