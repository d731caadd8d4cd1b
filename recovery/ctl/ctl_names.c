#include "ring/base/base.h"
#include "recovery/ctl/ctl_wire.h"

static const char *const states[] = {
#define X(sym, name, what) [CTL_##sym] = name,
	CTL_STATES(X)
#undef X
};

static const char *const events[] = {
#define X(sym, name) [CTL_EV_##sym] = name,
	CTL_EVENTS_LIST(X)
#undef X
};

static const char *const steps[] = {
#define X(sym, name, what) [CTL_AT_##sym] = name,
	CTL_STEPS_LIST(X)
#undef X
};

static const char *const drops[] = {
#define X(sym, name, what) [CTL_DROP_##sym] = name,
	CTL_DROPS_LIST(X)
#undef X
};

static const char *const steers[] = {[CTL_STEER_PORT] = "port", [CTL_STEER_GUEST] = "guest", [CTL_STEER_REFUSED] = "refused"};

const char *ctl_state_name(enum ctl_state s) { return (unsigned)s < ARRAY_LEN(states) ? states[s] : "?"; }
const char *ctl_event_name(enum ctl_event_kind k) { return (unsigned)k < ARRAY_LEN(events) ? events[k] : "?"; }
const char *ctl_step_name(enum ctl_step s) { return (unsigned)s < ARRAY_LEN(steps) ? steps[s] : "?"; }
const char *ctl_drop_name(enum ctl_drop d) { return (unsigned)d < ARRAY_LEN(drops) ? drops[d] : "?"; }
const char *ctl_steer_name(enum ctl_steer s) { return (unsigned)s < ARRAY_LEN(steers) ? steers[s] : "?"; }
