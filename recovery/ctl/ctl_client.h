/* ctl_client.h - asking the supervisor, for tools: blocking, each wait bounded by CTL_CLIENT_MS (events: without bound).
 *
 * Threads: one at a time. Errors: negative errno; with -ENOENT or -ECONNREFUSED no supervisor runs there.
 */
#ifndef BULKHEAD_RECOVERY_CTL_CTL_CLIENT_H
#define BULKHEAD_RECOVERY_CTL_CTL_CLIENT_H

#include "recovery/ctl/ctl_wire.h"

#define CTL_CLIENT_MS 5000

/* Connects to RUNTIME/ctl.sock of dir. A descriptor (pollable, for events) or a negative errno. Close it with close(). */
int ctl_client_open(const char *dir);
/* One request but CTL_STATUS and CTL_EVENTS. Returns r->rc, or a negative errno of the connection (r->text is then empty). */
int ctl_client_ask(int fd, const struct ctl_req *req, struct ctl_reply *r);
/* CTL_STATUS, of devices of a type (0: any): *out is malloc()ed, the caller's. How many, or as above. */
int ctl_client_status(int fd, uint32_t type, uint32_t domid, uint32_t devid, struct ctl_dev **out, struct ctl_reply *r);
/* CTL_EVENTS with so many past ones; then ctl_client_event() waits for each: 1, 0 at the end, negative errno. */
int ctl_client_events(int fd, uint64_t past, struct ctl_reply *r);
int ctl_client_event(int fd, struct ctl_event *e);

#endif
