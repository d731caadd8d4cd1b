/* ctl_server.h - the control socket's server (ctl_wire.h): requests to the supervisor, its events to whoever listens.
 *
 * Owns: the socket, its clients, the last CTL_EVENTS_PAST events. Threads: one loop. Fork/exec: close-on-exec.
 * Lifetime: ops are called from the loop; ctl_server_event() may be called from anywhere in that thread.
 * Trust: clients are of the supervisor's own user (the socket's mode); a malformed request gets -EINVAL.
 * A client that reads slowly delays nobody: its events wait in the common ring, and those that were overwritten before it
 * came to them are counted in `missed` of the next it gets.
 */
#ifndef BULKHEAD_RECOVERY_CTL_CTL_SERVER_H
#define BULKHEAD_RECOVERY_CTL_CTL_SERVER_H

#include "recovery/ctl/ctl_wire.h"
#include "ring/os/loop.h"

#define CTL_CLIENTS_MAX 32

struct ctl_server;

struct ctl_ops {
	const char *version;
	/* Fills a malloc()ed array, which the server frees. How many, or a negative errno with a line in text. */
	int (*status)(void *arg, const struct ctl_req *req, struct ctl_dev **out, char *text, size_t size);
	/* KILL and what follows it. 0 or a negative errno with a line in text. */
	int (*act)(void *arg, const struct ctl_req *req, char *text, size_t size);
};

/* ops stays the caller's. 0 or a negative errno (-EADDRINUSE). */
int ctl_server_open(struct loop *l, const char *path, const struct ctl_ops *ops, void *arg, struct ctl_server **out);
void ctl_server_close(struct ctl_server *s); /* NULL is allowed */
/* Adds an event (its times are filled in here) and sends it to whoever listens. Never blocks. */
void ctl_server_event(struct ctl_server *s, struct ctl_event *e);

#endif
