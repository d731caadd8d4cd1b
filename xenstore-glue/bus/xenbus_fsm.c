#include "xenstore-glue/bus/xenbus_fsm.h"

#include "ring/base/base.h"
#include "ring/base/check.h"

#include <assert.h>

/* Peer states as events, for the table. */
enum {
	EV_Unknown = XENBUS_EV_PEER,
	EV_Initialising,
	EV_InitWait,
	EV_Initialised,
	EV_Connected,
	EV_Closing,
	EV_Closed,
	EV_Reconfiguring,
	EV_Reconfigured,
#define X(name) EV_##name = XENBUS_EV_##name,
	XENBUS_EVENTS(X)
#undef X
};

/* X(phase, event, next, action). What is not listed changes nothing. In particular a frontend ignores Unknown: a backend
 * that vanishes leaves it waiting, and what it has outstanding stays outstanding.
 *
 * Backend. Closing is answered with Closing, and we go on serving; the frontend's Closed (or Unknown: its nodes are gone;
 * or Initialising, InitWait: it has begun anew) makes us let go, and only then Closed is written. A net frontend that is
 * Connected is ready (DIRECT); a disk's is not: its ring is in use, and a fresh connection to it would corrupt it. One that
 * was Connected and is Initialised again was resumed, and has a new ring. */
#define BACK_EDGES(X)                                                  \
	X(B_INIT, READY, B_WAIT, NONE)                                 \
	X(B_INIT, OFFLINE, B_LEFT, REMOVED)                            \
	X(B_INIT, OWN_GONE, B_GONE, REMOVED)                           \
	X(B_RESTART, READY, B_WAIT, NONE)                              \
	X(B_RESTART, OFFLINE, B_LEFT, REMOVED)                         \
	X(B_RESTART, OWN_GONE, B_GONE, REMOVED)                        \
	X(B_WAIT, Initialised, B_CONNECTING, CONNECT)                  \
	X(B_WAIT, DIRECT, B_CONNECTING, CONNECT)                       \
	X(B_WAIT, Closing, B_CLOSING, NONE)                            \
	X(B_WAIT, Closed, B_CLOSED, NONE)                              \
	X(B_WAIT, OFFLINE, B_LEFT, REMOVED)                            \
	X(B_WAIT, OWN_GONE, B_GONE, REMOVED)                           \
	X(B_CONNECTING, UP, B_CONNECTED, NONE)                         \
	X(B_CONNECTING, FAILED, B_CLOSING, NONE)                       \
	X(B_CONNECTING, Unknown, B_DRAINING, DISCONNECT)               \
	X(B_CONNECTING, Initialising, B_DRAINING, DISCONNECT)          \
	X(B_CONNECTING, InitWait, B_DRAINING, DISCONNECT)              \
	X(B_CONNECTING, Closing, B_CLOSING, NONE)                      \
	X(B_CONNECTING, Closed, B_DRAINING, DISCONNECT)                \
	X(B_CONNECTING, OFFLINE, B_LEAVE_DRAIN, DISCONNECT)            \
	X(B_CONNECTING, OWN_GONE, B_GONE_DRAIN, DISCONNECT)            \
	X(B_CONNECTED, Connected, B_MET, NONE)                         \
	X(B_CONNECTED, Unknown, B_DRAINING, DISCONNECT)                \
	X(B_CONNECTED, Initialising, B_DRAINING, DISCONNECT)           \
	X(B_CONNECTED, InitWait, B_DRAINING, DISCONNECT)               \
	X(B_CONNECTED, Closing, B_CLOSING, NONE)                       \
	X(B_CONNECTED, Closed, B_DRAINING, DISCONNECT)                 \
	X(B_CONNECTED, OFFLINE, B_LEAVING, NONE)                       \
	X(B_CONNECTED, OWN_GONE, B_GONE_DRAIN, DISCONNECT)             \
	X(B_MET, Unknown, B_DRAINING, DISCONNECT)                      \
	X(B_MET, Initialising, B_DRAINING, DISCONNECT)                 \
	X(B_MET, InitWait, B_DRAINING, DISCONNECT)                     \
	X(B_MET, Closing, B_CLOSING, NONE)                             \
	X(B_MET, Closed, B_DRAINING, DISCONNECT)                       \
	X(B_MET, OFFLINE, B_LEAVING, NONE)                             \
	X(B_MET, OWN_GONE, B_GONE_DRAIN, DISCONNECT)                   \
	X(B_MET, Initialised, B_REJOIN_DRAIN, DISCONNECT)              \
	X(B_REJOIN_DRAIN, DOWN, B_REJOIN, PREPARE)                     \
	X(B_REJOIN_DRAIN, OFFLINE, B_LEAVE_DRAIN, NONE)                \
	X(B_REJOIN_DRAIN, OWN_GONE, B_GONE_DRAIN, NONE)                \
	X(B_REJOIN, READY, B_CONNECTING, CONNECT)                      \
	X(B_REJOIN, OFFLINE, B_LEFT, REMOVED)                          \
	X(B_REJOIN, OWN_GONE, B_GONE, REMOVED)                         \
	X(B_CLOSING, Unknown, B_DRAINING, DISCONNECT)                  \
	X(B_CLOSING, Initialising, B_DRAINING, DISCONNECT)             \
	X(B_CLOSING, InitWait, B_DRAINING, DISCONNECT)                 \
	X(B_CLOSING, Closed, B_DRAINING, DISCONNECT)                   \
	X(B_CLOSING, OFFLINE, B_LEAVING, NONE)                         \
	X(B_CLOSING, OWN_GONE, B_GONE_DRAIN, DISCONNECT)               \
	X(B_DRAINING, DOWN, B_CLOSED, NONE)                            \
	X(B_DRAINING, OFFLINE, B_LEAVE_DRAIN, NONE)                    \
	X(B_DRAINING, OWN_GONE, B_GONE_DRAIN, NONE)                    \
	X(B_CLOSED, Initialising, B_AGAIN, PREPARE)                    \
	X(B_CLOSED, OFFLINE, B_LEFT, REMOVED)                          \
	X(B_CLOSED, OWN_GONE, B_GONE, REMOVED)                         \
	X(B_AGAIN, READY, B_WAIT, NONE)                                \
	X(B_AGAIN, OFFLINE, B_LEFT, REMOVED)                           \
	X(B_AGAIN, OWN_GONE, B_GONE, REMOVED)                          \
	X(B_LEAVING, Unknown, B_LEAVE_DRAIN, DISCONNECT)               \
	X(B_LEAVING, Initialising, B_LEAVE_DRAIN, DISCONNECT)          \
	X(B_LEAVING, InitWait, B_LEAVE_DRAIN, DISCONNECT)              \
	X(B_LEAVING, Closed, B_LEAVE_DRAIN, DISCONNECT)                \
	X(B_LEAVING, OWN_GONE, B_GONE_DRAIN, DISCONNECT)               \
	X(B_LEAVE_DRAIN, DOWN, B_LEFT, REMOVED)                        \
	X(B_LEAVE_DRAIN, OWN_GONE, B_GONE_DRAIN, NONE)                 \
	X(B_GONE_DRAIN, DOWN, B_GONE, REMOVED)

/* Frontend. The reset is kexec's 5-6-1, each step when the backend has followed. After its Closed it waits for the backend's
 * and for nothing else before pages are used again: InitWait may still be that of a backend that is connecting. It writes
 * Closed only after it has met an offer, or the backend's late answer would look like one. */
#define FRONT_EDGES(X)                                                 \
	X(F_RESET_CLOSING, Closing, F_RESET_CLOSED, NONE)              \
	X(F_RESET_CLOSING, Closed, F_RESET_CLOSED, NONE)               \
	X(F_RESET_CLOSING, Initialising, F_INIT, NONE)                 \
	X(F_RESET_CLOSING, OWN_GONE, F_GONE, REMOVED)                  \
	X(F_RESET_CLOSING, CLOSE, F_STOPPED, NONE)                     \
	X(F_RESET_CLOSED, Closed, F_INIT, NONE)                        \
	X(F_RESET_CLOSED, OWN_GONE, F_GONE, REMOVED)                   \
	X(F_RESET_CLOSED, CLOSE, F_STOPPED, NONE)                      \
	X(F_INIT, InitWait, F_PREPARING, PREPARE)                      \
	X(F_INIT, CLOSE, F_PARKED, RELEASE)                            \
	X(F_PARKED, OPEN, F_INIT, NONE)                                \
	X(F_PARKED, OWN_GONE, F_GONE, REMOVED)                         \
	X(F_INIT, OWN_GONE, F_GONE, REMOVED)                           \
	X(F_PREPARING, READY, F_INITIALISED, NONE)                     \
	X(F_PREPARING, READY_DIRECT, F_DIRECT, NONE)                   \
	X(F_PREPARING, FAILED, F_STOPPING, DISCONNECT)                 \
	X(F_PREPARING, Closing, F_STOPPING, DISCONNECT)                \
	X(F_PREPARING, Closed, F_STOPPING, DISCONNECT)                 \
	X(F_PREPARING, CLOSE, F_STOPPING, DISCONNECT)                  \
	X(F_PREPARING, OWN_GONE, F_GONE_DRAIN, DISCONNECT)             \
	X(F_INITIALISED, Connected, F_CONNECTING, CONNECT)             \
	X(F_INITIALISED, Closing, F_STOPPING, DISCONNECT)              \
	X(F_INITIALISED, Closed, F_STOPPING, DISCONNECT)               \
	X(F_INITIALISED, CLOSE, F_STOPPING, DISCONNECT)                \
	X(F_INITIALISED, OWN_GONE, F_GONE_DRAIN, DISCONNECT)           \
	X(F_CONNECTING, UP, F_CONNECTED, NONE)                         \
	X(F_CONNECTING, FAILED, F_STOPPING, DISCONNECT)                \
	X(F_CONNECTING, Closing, F_STOPPING, DISCONNECT)               \
	X(F_CONNECTING, Closed, F_STOPPING, DISCONNECT)                \
	X(F_CONNECTING, CLOSE, F_STOPPING, DISCONNECT)                 \
	X(F_CONNECTING, OWN_GONE, F_GONE_DRAIN, DISCONNECT)            \
	X(F_DIRECT, Connected, F_CONNECTED, CONNECT)                   \
	X(F_DIRECT, Closing, F_STOPPING, DISCONNECT)                   \
	X(F_DIRECT, Closed, F_STOPPING, DISCONNECT)                    \
	X(F_DIRECT, CLOSE, F_STOPPING, DISCONNECT)                     \
	X(F_DIRECT, OWN_GONE, F_GONE_DRAIN, DISCONNECT)                \
	X(F_CONNECTED, Connected, F_CONNECTED, CHANGED)                \
	X(F_CONNECTED, FAILED, F_STOPPING, DISCONNECT)                 \
	X(F_CONNECTED, Closing, F_STOPPING, DISCONNECT)                \
	X(F_CONNECTED, Closed, F_STOPPING, DISCONNECT)                 \
	X(F_CONNECTED, CLOSE, F_STOPPING, DISCONNECT)                  \
	X(F_CONNECTED, OWN_GONE, F_GONE_DRAIN, DISCONNECT)             \
	X(F_STOPPING, DOWN, F_STOPPED, NONE)                           \
	X(F_STOPPING, OWN_GONE, F_GONE_DRAIN, NONE)                    \
	X(F_STOPPED, Closed, F_RELEASED, RELEASE)                      \
	X(F_STOPPED, OWN_GONE, F_GONE, REMOVED)                        \
	X(F_RELEASED, OPEN, F_INIT, NONE)                              \
	X(F_RELEASED, OWN_GONE, F_GONE, REMOVED)                       \
	X(F_GONE_DRAIN, DOWN, F_GONE, REMOVED)

#define XENBUS_EDGES(X) BACK_EDGES(X) FRONT_EDGES(X)

struct cell {
	uint8_t set, next, action;
};

static const struct cell table[XENBUS_NPHASES][XENBUS_NEVENTS] = {
#define X(phase, ev, nxt, act) [XENBUS_##phase][EV_##ev] = {1, XENBUS_##nxt, XENBUS_ACT_##act},
	XENBUS_EDGES(X)
#undef X
};

static const struct phase {
	const char *name;
	enum xenbus_role role;
	enum xenbus_state state;
} phases[] = {
#define X(name, role, state) {#name, XENBUS_##role, XenbusState##state},
	XENBUS_PHASES(X)
#undef X
};

struct xenbus_step xenbus_fsm_next(enum xenbus_phase phase, enum xenbus_event ev)
{
	const struct cell *c;

	CHECK(phase < XENBUS_NPHASES && ev < XENBUS_NEVENTS);
	c = &table[phase][ev];
	if (!c->set)
		return (struct xenbus_step){phase, XENBUS_ACT_NONE};
	return (struct xenbus_step){(enum xenbus_phase)c->next, (enum xenbus_action)c->action};
}

static enum xenbus_phase back_start(enum xenbus_state own, bool connected, enum xenbus_action *action)
{
	if (connected && (own == XenbusStateClosing || own == XenbusStateClosed))
		return XENBUS_B_CLOSING;
	if (connected)
		return XENBUS_B_CONNECTED;
	switch (own) {
	case XenbusStateConnected:
	case XenbusStateClosing:
	case XenbusStateClosed:
		return XENBUS_B_CLOSED;
	case XenbusStateInitWait:
	case XenbusStateInitialised:
		*action = XENBUS_ACT_PREPARE;
		return XENBUS_B_RESTART;
	default:
		*action = XENBUS_ACT_PREPARE;
		return XENBUS_B_INIT;
	}
}

/* InitWait may be a backend that is connecting right now, Unknown one that will come back and find the connection. */
static enum xenbus_phase front_start(enum xenbus_state own, enum xenbus_state peer)
{
	if (own == XenbusStateInitialising || own == XenbusStateUnknown || peer == XenbusStateClosed)
		return XENBUS_F_INIT;
	if (own == XenbusStateClosed || peer == XenbusStateClosing)
		return XENBUS_F_RESET_CLOSED;
	return peer == XenbusStateInitialising ? XENBUS_F_INIT : XENBUS_F_RESET_CLOSING;
}

enum xenbus_phase xenbus_fsm_start(enum xenbus_role role, enum xenbus_state own, enum xenbus_state peer, bool connected,
				   enum xenbus_action *action)
{
	*action = XENBUS_ACT_NONE;
	return role == XENBUS_BACK ? back_start(own, connected, action) : front_start(own, peer);
}

enum xenbus_event xenbus_fsm_peer(enum xenbus_role role, bool direct, enum xenbus_state peer)
{
	if (role == XENBUS_BACK && direct && peer == XenbusStateConnected)
		return XENBUS_EV_DIRECT;
	return (enum xenbus_event)(XENBUS_EV_PEER + (unsigned)peer);
}

enum xenbus_state xenbus_phase_state(enum xenbus_phase phase) { return phases[phase].state; }
enum xenbus_role xenbus_phase_role(enum xenbus_phase phase) { return phases[phase].role; }

bool xenbus_phase_final(enum xenbus_phase phase)
{
	return phase == XENBUS_B_LEFT || phase == XENBUS_B_GONE || phase == XENBUS_F_GONE;
}

bool xenbus_phase_waits(enum xenbus_phase phase)
{
	switch (phase) {
	case XENBUS_B_CLOSING:
	case XENBUS_B_LEAVING:
	case XENBUS_F_RESET_CLOSING:
	case XENBUS_F_RESET_CLOSED:
	case XENBUS_F_INIT:
	case XENBUS_F_INITIALISED:
	case XENBUS_F_DIRECT:
	case XENBUS_F_STOPPED:
		return true;
	default:
		return false;
	}
}

/* ---- names ---- */

static const char *const state_names[] = {
#define X(name) #name,
	XENBUS_STATES(X)
#undef X
};
static_assert(ARRAY_LEN(state_names) == XENBUS_NSTATES, "a name for each state");

const char *xenbus_state_name(unsigned state) { return state < XENBUS_NSTATES ? state_names[state] : "?"; }

enum xenbus_state xenbus_state_parse(const char *value)
{
	if (!value || value[0] < '0' || value[0] >= '0' + XENBUS_NSTATES || value[1] != '\0')
		return XenbusStateUnknown;
	return (enum xenbus_state)(value[0] - '0');
}

const char *xenbus_phase_name(enum xenbus_phase phase) { return phase < XENBUS_NPHASES ? phases[phase].name : "?"; }

const char *xenbus_event_name(enum xenbus_event ev)
{
	static const char *const names[] = {
#define X(name) [XENBUS_EV_##name] = #name,
		XENBUS_EVENTS(X)
#undef X
	};

	if (ev < XENBUS_NSTATES)
		return state_names[ev];
	return ev < XENBUS_NEVENTS ? names[ev] : "?";
}

const char *xenbus_action_name(enum xenbus_action a)
{
	static const char *const names[] = {
#define X(name) #name,
		XENBUS_ACTIONS(X)
#undef X
	};

	return a < XENBUS_NACTIONS ? names[a] : "?";
}

/* ---- for people ---- */

typedef void edge_fn(FILE *f, enum xenbus_phase phase, enum xenbus_event ev, struct xenbus_step s);

static void each_edge(FILE *f, enum xenbus_role role, edge_fn *fn)
{
	for (unsigned p = 0; p < XENBUS_NPHASES; p++)
		for (unsigned e = 0; e < XENBUS_NEVENTS; e++)
			if (phases[p].role == role && table[p][e].set)
				fn(f, (enum xenbus_phase)p, (enum xenbus_event)e,
				   xenbus_fsm_next((enum xenbus_phase)p, (enum xenbus_event)e));
}

static const char *peer_prefix(enum xenbus_event ev) { return ev < XENBUS_NSTATES ? "peer " : ""; }

static void markdown_row(FILE *f, enum xenbus_phase phase, enum xenbus_event ev, struct xenbus_step s)
{
	fprintf(f, "| %s (%u) | %s%s | %s | %s (%u) |\n", phases[phase].name, (unsigned)phases[phase].state,
		peer_prefix(ev), xenbus_event_name(ev), s.action ? xenbus_action_name(s.action) : "",
		phases[s.next].name, (unsigned)phases[s.next].state);
}

void xenbus_fsm_markdown(FILE *f)
{
	for (int role = XENBUS_BACK; role <= XENBUS_FRONT; role++) {
		fprintf(f, "%s## %s\n\nNumbers are the states in the store; 0: nothing is written.\n\n", role ? "\n" : "",
			role == XENBUS_BACK ? "Backend" : "Frontend");
		fprintf(f, "| phase | event | action | next |\n|---|---|---|---|\n");
		each_edge(f, (enum xenbus_role)role, markdown_row);
	}
}

static void dot_edge(FILE *f, enum xenbus_phase phase, enum xenbus_event ev, struct xenbus_step s)
{
	fprintf(f, "\t\t%s -> %s [label=\"%s%s%s%s\"];\n", phases[phase].name, phases[s.next].name, peer_prefix(ev),
		xenbus_event_name(ev), s.action ? " / " : "", s.action ? xenbus_action_name(s.action) : "");
}

void xenbus_fsm_dot(FILE *f)
{
	fprintf(f, "digraph xenbus {\n\trankdir=LR;\n\tnode [shape=box];\n");
	for (int role = XENBUS_BACK; role <= XENBUS_FRONT; role++) {
		fprintf(f, "\tsubgraph cluster_%d {\n\t\tlabel=\"%s\";\n", role, role ? "frontend" : "backend");
		for (unsigned p = 0; p < XENBUS_NPHASES; p++)
			if (phases[p].role == (enum xenbus_role)role)
				fprintf(f, "\t\t%s [label=\"%s\\n%s\"];\n", phases[p].name, phases[p].name,
					xenbus_state_name(phases[p].state));
		each_edge(f, (enum xenbus_role)role, dot_edge);
		fprintf(f, "\t}\n");
	}
	fprintf(f, "}\n");
}
