/* xenbus_fsm.h - the xenbus handshake of both ends as one table: phase and event give action and next phase. Pure.
 *
 * A phase is finer than the state that stands in the store: a backend in InitWait may be waiting or connecting. The table
 * is XENBUS_EDGES in xenbus_fsm.c; a pair that it does not list changes nothing. No event says that a stub died: a
 * backend's state has nothing to do with it.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_FSM_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_FSM_H

#include "xenstore-glue/bus/xenbus.h"

#include <stdbool.h>
#include <stdio.h>

enum xenbus_role { XENBUS_BACK, XENBUS_FRONT };

/* X(phase, role, state in the store; Unknown: nothing is written any more) */
#define XENBUS_PHASES(X)                                                                               \
	X(B_INIT, BACK, Initialising)	/* being probed by the owner */                               \
	X(B_RESTART, BACK, InitWait)	/* the same, of an owner that has restarted */                \
	X(B_WAIT, BACK, InitWait)	/* offered; waits for the frontend */                         \
	X(B_CONNECTING, BACK, InitWait) /* the owner was told to connect */                           \
	X(B_CONNECTED, BACK, Connected)                                                               \
	X(B_MET, BACK, Connected)	/* the frontend has said so, too */                           \
	X(B_REJOIN_DRAIN, BACK, InitWait) /* it asks anew (resumed): the owner was told to disconnect */ \
	X(B_REJOIN, BACK, InitWait)	/* being prepared for what it asks */                         \
	X(B_CLOSING, BACK, Closing)	/* still serving; the frontend closes */                      \
	X(B_DRAINING, BACK, Closing)	/* the owner was told to disconnect */                        \
	X(B_CLOSED, BACK, Closed)	/* online; the frontend may come back */                      \
	X(B_AGAIN, BACK, Closed)	/* it came back: being prepared */                            \
	X(B_LEAVING, BACK, Closing)	/* detach: still serving until the frontend has closed */     \
	X(B_LEAVE_DRAIN, BACK, Closing) /* detach: the owner was told to disconnect */                \
	X(B_LEFT, BACK, Closed)		/* detached; the end */                                       \
	X(B_GONE_DRAIN, BACK, Unknown)	/* our nodes are gone: the owner was told to disconnect */    \
	X(B_GONE, BACK, Unknown)	/* the end */                                                 \
	X(F_RESET_CLOSING, FRONT, Closing) /* 5-6-1 over a former incarnation's connection */         \
	X(F_RESET_CLOSED, FRONT, Closed)                                                              \
	X(F_INIT, FRONT, Initialising)	   /* waits for the backend's offer */                        \
	X(F_PARKED, FRONT, Initialising)   /* closed before it met an offer */                        \
	X(F_PREPARING, FRONT, Initialising) /* the owner makes rings */                               \
	X(F_INITIALISED, FRONT, Initialised)                                                          \
	X(F_CONNECTING, FRONT, Initialised) /* backend is connected; the owner reads its keys */      \
	X(F_DIRECT, FRONT, Connected)	    /* net: 1 to 4 at once; waits for the backend */          \
	X(F_CONNECTED, FRONT, Connected)                                                              \
	X(F_STOPPING, FRONT, Closing)	/* the owner lets its requests end */                         \
	X(F_STOPPED, FRONT, Closed)	/* waits until the backend has let go of our pages */         \
	X(F_RELEASED, FRONT, Closed)	/* pages and ports are ours again */                          \
	X(F_GONE_DRAIN, FRONT, Unknown)                                                               \
	X(F_GONE, FRONT, Unknown)

enum xenbus_phase {
#define X(name, role, state) XENBUS_##name,
	XENBUS_PHASES(X)
#undef X
	XENBUS_NPHASES
};

/* Events below XENBUS_NSTATES are the peer's state as it stands in the store: event 4 is "the peer is Connected". */
#define XENBUS_EVENTS(X)                                                                               \
	X(DIRECT)	/* peer Connected, of a class whose frontend goes from 1 to 4 (net) */        \
	X(READY)	/* owner: prepared */                                                          \
	X(READY_DIRECT) /* owner of a net frontend: prepared */                                       \
	X(UP)		/* owner: connected */                                                        \
	X(DOWN)		/* owner: disconnected */                                                     \
	X(FAILED)	/* owner: cannot prepare or connect */                                        \
	X(OFFLINE)	/* backend: online=0, the toolstack detaches */                               \
	X(OWN_GONE)	/* our own nodes are gone, or are those of a new device */                    \
	X(CLOSE)	/* owner of a frontend: close */                                              \
	X(OPEN)		/* owner of a closed frontend: connect again */

enum xenbus_event {
	XENBUS_EV_PEER = 0, /* + the peer's state */
	XENBUS_EV_BEFORE_OTHERS = XENBUS_NSTATES - 1,
#define X(name) XENBUS_EV_##name,
	XENBUS_EVENTS(X)
#undef X
	XENBUS_NEVENTS
};

#define XENBUS_ACTIONS(X)                                                                              \
	X(NONE)                                                                                       \
	X(PREPARE)    /* back: probe, offer. front: read the offer, make rings, ask. Then READY or FAILED */ \
	X(CONNECT)    /* the peer is ready: connect. Then UP or FAILED */                             \
	X(DISCONNECT) /* let go; also without a CONNECT before. Then DOWN */                          \
	X(CHANGED)    /* front: the backend said Connected again: read its keys again (size) */       \
	X(RELEASE)    /* front: the backend has let go of pages and ports */                          \
	X(REMOVED)    /* the device is no more: forget it */                                          \
	X(TIMEOUT)    /* only from xenbus_end: the peer does not answer */                            \
	X(LOST)	      /* only from xenbus_end: the store came back without our nodes */

enum xenbus_action {
#define X(name) XENBUS_ACT_##name,
	XENBUS_ACTIONS(X)
#undef X
	XENBUS_NACTIONS
};

struct xenbus_step {
	enum xenbus_phase next;
	enum xenbus_action action;
};
/* Both arguments in range (CHECKed). What is not in the table: the same phase and NONE. */
struct xenbus_step xenbus_fsm_next(enum xenbus_phase phase, enum xenbus_event ev);

/* The phase of an end whose store nodes say own and peer. connected (backend): the owner has living stubs or a journal
 * of this connection. *action is what the owner has to do first (PREPARE or NONE). */
enum xenbus_phase xenbus_fsm_start(enum xenbus_role role, enum xenbus_state own, enum xenbus_state peer, bool connected,
				   enum xenbus_action *action);
/* The event that a peer's state is to this end; direct: of a class whose frontend goes from 1 to 4. */
enum xenbus_event xenbus_fsm_peer(enum xenbus_role role, bool direct, enum xenbus_state peer);

enum xenbus_state xenbus_phase_state(enum xenbus_phase phase);
enum xenbus_role xenbus_phase_role(enum xenbus_phase phase);
/* The end of its life: nothing is expected or written any more. */
bool xenbus_phase_final(enum xenbus_phase phase);
/* It is the peer's turn: a deadline makes sense. */
bool xenbus_phase_waits(enum xenbus_phase phase);
const char *xenbus_phase_name(enum xenbus_phase phase);
const char *xenbus_event_name(enum xenbus_event ev);
const char *xenbus_action_name(enum xenbus_action a);

/* The table for people: Markdown, or Graphviz. */
void xenbus_fsm_markdown(FILE *f);
void xenbus_fsm_dot(FILE *f);

#endif
