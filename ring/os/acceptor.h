/* acceptor.h - a listening socket on a loop. Each connection is handed to a callback; when descriptors or memory are out, the rest
 * stay in the backlog and are tried again after a while: a socket that stays readable must not keep a daemon awake.
 *
 * Owns: the listening socket. A connection is the callback's.
 * Threads: the loop's.
 */
#ifndef BULKHEAD_RING_OS_ACCEPTOR_H
#define BULKHEAD_RING_OS_ACCEPTOR_H

#include "ring/os/loop.h"

/* Embedded in its owner. */
struct acceptor {
	struct loop *loop;
	int sock; /* -1: not listening */
	struct loop_fd watch;
	struct loop_timer again;
	void (*fn)(struct acceptor *a, int fd); /* fd: non-blocking, close-on-exec */
};

/* Takes sock over (also on failure): non-blocking, listening, or the negative errno of the call that should have made it,
 * which is then returned. 0, -ENOMEM. */
int acceptor_start(struct acceptor *a, struct loop *l, int sock, void (*fn)(struct acceptor *a, int fd));
void acceptor_stop(struct acceptor *a); /* idempotent; a zeroed one that was never started is allowed */

#endif
