/* be_ctl.h - a stub's end of its control socket: messages to the supervisor, sent by any thread without ever blocking.
 *
 * What the socket cannot take now (the supervisor may be restarting, the keeper holds its end) is kept in order, up to
 * BE_CTL_KEPT messages, and sent when there is room; beyond that the newest is dropped, counted and logged.
 * Threads: send and wake from any; the rest on the control thread.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_CTL_H
#define BULKHEAD_BACKEND_CORE_BE_CTL_H

#include "ring/os/stub_wire.h"

#include <pthread.h>
#include <stdbool.h>

#define BE_CTL_KEPT 64u

struct be_ctl {
	int sock;
	int wake_fd; /* eventfd: the control thread has something to look at */
	bool closed; /* nobody holds the other end */
	pthread_mutex_t lock;
	unsigned first, kept; /* messages that wait, in order */
	struct stub_msg msg[BE_CTL_KEPT];
};

int be_ctl_open(struct be_ctl *c, int sock);
void be_ctl_send(struct be_ctl *c, const struct stub_msg *m);
void be_ctl_wake(struct be_ctl *c);
/* Sleeps until a message, room for what waits, a wake-up, or timeout_ns (UINT64_MAX: for ever). */
void be_ctl_sleep(struct be_ctl *c, uint64_t timeout_ns);
/* The next message. 1; 0: none now; -EPIPE: nobody holds the other end any more. */
int be_ctl_recv(struct be_ctl *c, struct stub_msg *m);

#endif
