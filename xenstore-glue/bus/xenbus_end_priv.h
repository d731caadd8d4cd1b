/* xenbus_end_priv.h - the insides of xenbus_end: three things go on, each at most once at a time, and each is asked for again
 * while it runs:
 *   a look  reads own state, `online` and the peer's state, and feeds the table;
 *   a fetch reads both directories for an action that needs their keys;
 *   a write puts keys, error text and state into the store.
 * Only looks bring the peer's state to the table, never a remembered value; what a look found is dropped when the owner
 * has moved the phase meanwhile, and looked for again. */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_END_PRIV_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_END_PRIV_H

#include "xenstore-glue/bus/xenbus_end.h"

#include "xenstore-glue/wire/xs_path.h"

struct look {
	bool busy, again;
	bool peer_event;     /* the peer's node was written since this look began */
	bool reports_change; /* ... since the one before */
	unsigned outstanding;
	uint32_t phase_seq;
	uint32_t epoch; /* connection it began on: half from one store and half from the next is none */
	int rc; /* of the store, not of missing nodes */
	bool own_here, online;
	enum xenbus_state own, peer;
};

struct fetch {
	bool busy;
	enum xenbus_action want, now;
	uint32_t want_seq, phase_seq; /* the phases that want them */
	uint32_t epoch; /* as in struct look */
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

/* ---- xenbus_end.c ---- */
/* May free e: the caller returns at once. So may all that call it: act and step, and what they are called from. */
void xend_tell(struct xenbus_end *e, enum xenbus_action a, const struct xs_kvs *own, const struct xs_kvs *peer);
void xend_set_phase(struct xenbus_end *e, enum xenbus_phase phase);
/* What the table says has to be done. */
void xend_act(struct xenbus_end *e, enum xenbus_action a);
/* Feeds the table. */
void xend_step(struct xenbus_end *e, enum xenbus_event ev);
void xend_retry_later(struct xenbus_end *e, const char *what, int rc);

/* ---- xenbus_end_io.c ---- */
void xend_write_out(struct xenbus_end *e);
/* For the next write; keys may be NULL. */
void xend_add_keys(struct xenbus_end *e, const struct xs_kvs *keys);
void xend_set_error(struct xenbus_end *e, const char *text);
void xend_fetch(struct xenbus_end *e, enum xenbus_action action);
/* The one that failed or was asked for meanwhile, if the phase still wants it. */
void xend_fetch_again(struct xenbus_end *e);

/* ---- xenbus_end_look.c ---- */
void xend_look(struct xenbus_end *e);

#endif
