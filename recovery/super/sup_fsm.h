/* sup_fsm.h - the life of one device as a table: state, event, next state, what to do (DESIGN.md section 3). Pure.
 *
 * The states are those of ctl_wire.h. A pair that is not in the table is ignored. Leaves of the xenbus protocol (which
 * state the other end is in) and of processes are decided by the caller, who turns them into these events.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_FSM_H
#define BULKHEAD_RECOVERY_SUPER_SUP_FSM_H

#include "recovery/ctl/ctl_wire.h"

#define SUP_EVENTS(X)                                                                     \
	X(OFFERED, "image reserved and probed, offer written")                            \
	X(REFUSED, "the image can not be offered")                                        \
	X(ASKED, "the frontend asks for a connection")                                    \
	X(BAD_ASK, "the frontend asks for nonsense")                                      \
	X(CONNECTED, "the fresh stub has written the journal and takes requests")         \
	X(DIED, "the stub of a connection is dead")                                       \
	X(RESUMED, "its successor takes requests")                                        \
	X(FENCE_WAIT, "the successor waits for the storage")                              \
	X(FENCED, "the storage has let the former generations go")                        \
	X(FENCED_EARLY, "the same, before the successor takes requests")                  \
	X(RING_BROKEN, "the guest broke the ring, or the journal is corrupt")             \
	X(GIVE_UP, "too many deaths")                                                     \
	X(CLOSE, "the frontend closes, is gone, or the device is taken away")             \
	X(ENDED, "every process of the connection is gone")                               \
	X(STOPPED, "its domain is shut down: suspended, or about to end")                 \
	X(RUNS, "its domain runs again")                                                  \
	X(RESTART, "an operator wants a new stub")                                        \
	X(RESET, "an operator wants the connection ended")
enum sup_event {
#define X(sym, what) SUP_EV_##sym,
	SUP_EVENTS(X)
#undef X
	SUP_EVENT_COUNT
};

enum sup_action {
	SUP_DO_NOTHING,
	SUP_DO_CONNECT,	  /* a fresh stub; one that runs for others is replaced by one for all */
	SUP_DO_ONLINE,	  /* state 4, then a standby */
	SUP_DO_SETTLED,	  /* a resume is over: account the outage, then a standby */
	SUP_DO_REPAIR,	  /* start the successor now or after a pause */
	SUP_DO_REJOIN,	  /* as CONNECT, for a connection that was without a stub for a time */
	SUP_DO_HALT,	  /* kill what runs, leave everything as it is, say why */
	SUP_DO_END,	  /* drain or kill, then SUP_EV_ENDED */
	SUP_DO_FORGET,	  /* journal and ports away, state 6, offer anew or detach */
	SUP_DO_REPLACE,	  /* drain the stub, its successor resumes */
	SUP_DO_PARK,	  /* drain the stub; nothing resumes until the domain runs */
};

#define SUP_EDGES(X)                              \
	X(CLOSED, OFFERED, WAITING, NOTHING)      \
	X(CLOSED, REFUSED, FAILED, NOTHING)       \
	X(WAITING, ASKED, CONNECTING, CONNECT)    \
	X(WAITING, BAD_ASK, BROKEN, NOTHING)      \
	X(CLOSED, CLOSE, DRAINING, END)           \
	X(WAITING, CLOSE, DRAINING, END)          \
	X(CONNECTING, CONNECTED, UP, ONLINE)      \
	X(CONNECTING, DIED, CONNECTING, REPAIR)   \
	X(CONNECTING, RING_BROKEN, BROKEN, HALT)  \
	X(CONNECTING, GIVE_UP, FAILED, HALT)      \
	X(CONNECTING, CLOSE, DRAINING, END)       \
	X(CONNECTING, RESET, DRAINING, END)       \
	X(CONNECTING, FENCE_WAIT, CONNECTING, NOTHING) \
	X(UP, DIED, RESUMING, REPAIR)             \
	X(UP, RING_BROKEN, BROKEN, HALT)          \
	X(UP, FENCE_WAIT, FENCING, NOTHING)       \
	X(UP, GIVE_UP, FAILED, HALT)              \
	X(UP, CLOSE, DRAINING, END)               \
	X(UP, RESTART, RESUMING, REPLACE)         \
	X(UP, RESET, DRAINING, END)               \
	X(UP, STOPPED, SUSPENDED, PARK)           \
	X(RESUMING, RESUMED, UP, SETTLED)         \
	X(RESUMING, CONNECTED, UP, SETTLED)       \
	X(RESUMING, FENCE_WAIT, FENCING, NOTHING) \
	X(RESUMING, DIED, RESUMING, REPAIR)       \
	X(RESUMING, RING_BROKEN, BROKEN, HALT)    \
	X(RESUMING, GIVE_UP, FAILED, HALT)        \
	X(RESUMING, CLOSE, DRAINING, END)         \
	X(RESUMING, RESET, DRAINING, END)         \
	X(RESUMING, STOPPED, SUSPENDED, PARK)     \
	X(FENCING, RESUMED, FENCING, SETTLED)     \
	X(FENCING, FENCED, UP, NOTHING)           \
	X(FENCING, FENCED_EARLY, RESUMING, NOTHING) \
	X(FENCING, DIED, RESUMING, REPAIR)        \
	X(FENCING, RING_BROKEN, BROKEN, HALT)     \
	X(FENCING, GIVE_UP, FAILED, HALT)         \
	X(FENCING, CLOSE, DRAINING, END)          \
	X(FENCING, RESTART, RESUMING, REPLACE)    \
	X(FENCING, RESET, DRAINING, END)          \
	X(FENCING, STOPPED, SUSPENDED, PARK)      \
	X(SUSPENDED, RUNS, RESUMING, REJOIN)      \
	X(SUSPENDED, RING_BROKEN, BROKEN, HALT)   \
	X(SUSPENDED, CLOSE, DRAINING, END)        \
	X(SUSPENDED, RESET, DRAINING, END)        \
	X(DRAINING, ENDED, CLOSED, FORGET)        \
	X(BROKEN, CLOSE, DRAINING, END)           \
	X(BROKEN, RESET, DRAINING, END)           \
	X(FAILED, CLOSE, DRAINING, END)           \
	X(FAILED, RESET, DRAINING, END)           \
	X(FAILED, RESTART, RESUMING, REJOIN)      \
	X(FAILED, OFFERED, WAITING, NOTHING)      \
	X(FAILED, REFUSED, FAILED, NOTHING)

struct sup_edge {
	enum ctl_state next;
	enum sup_action action;
};

/* The edge for (state, event); NULL when the event means nothing there. */
const struct sup_edge *sup_fsm(enum ctl_state state, enum sup_event ev);
const char *sup_event_name(enum sup_event ev);

#endif
