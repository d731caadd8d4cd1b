#include "recovery/ctl/ctl_wire.h"

#include <stddef.h>

const char *ctl_state_name(enum ctl_state s)
{
	static const char *const names[] = {
#define X(sym, name, what) name,
		CTL_STATES(X)
#undef X
	};

	return (size_t)s < CTL_STATE_COUNT ? names[s] : "unknown";
}

const char *ctl_event_name(enum ctl_event_kind k)
{
	static const char *const names[] = {
#define X(sym, name) name,
		CTL_EVENTS_LIST(X)
#undef X
	};

	return (size_t)k < CTL_EV_COUNT ? names[k] : "unknown";
}
