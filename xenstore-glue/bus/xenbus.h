/* xenbus.h - the xenbus states and their names (numbers are those of <xen/io/xenbus.h>). */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_H

#include <xen/io/xenbus.h>

#define XENBUS_STATES(X)                                                                                               \
	X(Unknown) X(Initialising) X(InitWait) X(Initialised) X(Connected) X(Closing) X(Closed) X(Reconfiguring)       \
	X(Reconfigured)
#define XENBUS_NSTATES 9

/* "Connected"; "?" for a number that is none. */
const char *xenbus_state_name(unsigned state);
/* The number in a state node; Unknown for whatever is none, as Linux does. value may be NULL (no such node). */
enum xenbus_state xenbus_state_parse(const char *value);

#endif
