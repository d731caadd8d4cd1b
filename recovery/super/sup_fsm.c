#include "recovery/super/sup_fsm.h"

#include <stdbool.h>

static const struct {
	bool there;
	struct sup_edge edge;
} table[CTL_STATE_COUNT][SUP_EVENT_COUNT] = {
#define X(state, ev, next, action) [CTL_##state][SUP_EV_##ev] = {true, {CTL_##next, SUP_DO_##action}},
	SUP_EDGES(X)
#undef X
};

static const char *const names[] = {
#define X(sym, what) #sym,
	SUP_EVENTS(X)
#undef X
};

const struct sup_edge *sup_fsm(enum ctl_state state, enum sup_event ev)
{
	return table[state][ev].there ? &table[state][ev].edge : NULL;
}

const char *sup_event_name(enum sup_event ev) { return names[ev]; }
