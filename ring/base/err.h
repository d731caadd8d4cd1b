/* err.h - the one error convention.
 *
 * Functions return 0, a count, or a negative errno. Two values are ours, above the range of the C library's:
 * they never leave a process as an exit status, only as text by err_str().
 * Exit statuses of all programs are below (DESIGN.md sections 7 and 8; the numbers are those of daemontools and s6).
 */
#ifndef BULKHEAD_RING_BASE_ERR_H
#define BULKHEAD_RING_BASE_ERR_H

#include "ring/base/base.h"

enum {
	EPEER = 4097,	  /* the other domain broke the protocol: the device goes to broken, nothing else suffers */
	EMISMATCH = 4098, /* journal and start record name different connections: touch nothing */
};

enum exit_status {
	EXIT_DONE = 0,
	EXIT_USAGE = 100,     /* the user's mistake; one clear line was printed */
	EXIT_BUG = 101,	      /* a CHECK failed; the supervisor restarts us */
	EXIT_TEMPORARY = 111, /* try again later */
	EXIT_PERMANENT = 125, /* do not restart me */
};

/* A text for a negative errno or one of ours. Static storage, any thread. */
const char *err_str(int rc);
/* Writes the one clear line about a failure into err (size bytes; cut to fit; 0: nowhere), and returns rc. */
int err_say(char *err, size_t size, int rc, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
