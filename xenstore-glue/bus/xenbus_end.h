/* xenbus_end.h - one end of one device in the store: follows the peer, drives the table of xenbus_fsm.h, tells its owner.
 *
 * Owns: the node `state` of its directory (nobody else of ours writes it) and `error`; two or three watches.
 * Threads: the loop's. Lifetime: everything may be called from the callback, xenbus_end_close() included.
 * Trust: the peer's directory may hold anything and change at any time; the keys handed to the owner are copies, each
 * bounded, still to be judged (vbd_keys.h). A storm of changes costs one read at a time, never a queue.
 * State is written in a transaction that first looks whether our nodes are still there, so removed nodes never come back.
 * A write that fails because the store is away is done when it is back; after any other error every second, with a line.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_END_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_END_H

#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/xenbus_fsm.h"
#include "xenstore-glue/client/xs.h"

struct xenbus_end;

/* own and peer: the keys of both directories, for PREPARE, CONNECT, CHANGED (peer empty if it is not there, and with a backend's
 * PREPARE); NULL with the other actions. Valid during the call. */
typedef void xenbus_end_fn(struct xenbus_end *e, enum xenbus_action action, const struct xs_kvs *own,
			   const struct xs_kvs *peer, void *arg);

struct xenbus_end_cfg {
	struct xsc *xs;
	enum xenbus_role role;
	bool direct;		/* net: the frontend goes from 1 to 4 */
	bool connected;		/* backend, after the owner's restart: this connection lives (stubs or journal); without nodes: LOST */
	bool unsaid;		/* but the frontend is not to be told yet, if it was not: xenbus_end_up() will */
	const char *path;	/* own directory, absolute; copied */
	const char *peer;	/* the other's; copied. NULL: taken from own key `frontend` or `backend` */
	uint64_t patience_ns;	/* TIMEOUT when the peer does not answer that long in a phase that waits; 0: never */
	xenbus_end_fn *fn;
	void *arg;
};

/* Reads where both ends are and begins. What was in the store decides the first phase (xenbus_fsm_start): a frontend that
 * finds a former incarnation's connection does 5-6-1 first. -EINVAL, -ENAMETOOLONG, -ENOSPC. */
int xenbus_end_open(const struct xenbus_end_cfg *cfg, struct xenbus_end **out);
/* Lets go; nothing in the store changes, nothing is called back. NULL is allowed. */
void xenbus_end_close(struct xenbus_end *e);

/* The owner's answers to PREPARE, CONNECT, DISCONNECT. keys (may be NULL; copied) are written below the own directory in the
 * transaction that writes the new state. An answer that comes too late (the peer has left) changes nothing. */
void xenbus_end_ready(struct xenbus_end *e, const struct xs_kvs *keys);
void xenbus_end_up(struct xenbus_end *e, const struct xs_kvs *keys);
void xenbus_end_down(struct xenbus_end *e);
/* Cannot prepare or connect: text goes to the node `error`. A backend that was connecting closes and may be connected
 * anew; a backend that was preparing stays where it is, and the owner calls xenbus_end_ready() when it can. */
void xenbus_end_failed(struct xenbus_end *e, const char *text);
/* A backend that was preparing, instead of xenbus_end_ready(): there is nothing to offer. text goes to `error`, and keys and
 * InitWait are written, since that is what libxl waits for before its script finds out. */
void xenbus_end_refuse(struct xenbus_end *e, const char *text, const struct xs_kvs *keys);

/* Frontend: close; connect again after RELEASE. */
void xenbus_end_shut(struct xenbus_end *e);
void xenbus_end_reopen(struct xenbus_end *e);
/* Backend: the peer's domain is dead, or its owner says so: as if its nodes were gone. */
void xenbus_end_peer_dead(struct xenbus_end *e);

/* Writes keys and the present state once more, so that the peer looks again (a new size). */
void xenbus_end_rewrite(struct xenbus_end *e, const struct xs_kvs *keys);
/* Sets (or with NULL removes) the text in the node `error`; the state stays. */
void xenbus_end_error(struct xenbus_end *e, const char *text);

enum xenbus_phase xenbus_end_phase(const struct xenbus_end *e);
enum xenbus_state xenbus_end_peer_state(const struct xenbus_end *e);
const char *xenbus_end_path(const struct xenbus_end *e);
const char *xenbus_end_peer_path(const struct xenbus_end *e); /* "" until it was read */
/* The present phase's state stands in the store. */
bool xenbus_end_written(const struct xenbus_end *e);

#endif
