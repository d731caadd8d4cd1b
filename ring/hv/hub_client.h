/* hub_client.h - a connection to bulkhead-hub, for hv_local.c and for tools.
 *
 * Threads: a connection belongs to one at a time. Blocking: each call waits for the hub's answer.
 */
#ifndef BULKHEAD_RING_HV_HUB_CLIENT_H
#define BULKHEAD_RING_HV_HUB_CLIENT_H

#include "ring/hv/hub_wire.h"

/* Connects to RUNTIME/hub.sock and says HELLO. name: of a frontend's domain, else NULL; self, guest: as in struct
 * hv_open. A descriptor, or -ENOENT (no hub; no such domain), -ECONNREFUSED, -EACCES (not for this user), -ENAMETOOLONG.
 * *domid (may be NULL): own domid. */
int hub_client_open(const char *runtime_dir, enum hub_role role, const char *name, hv_domid_t self, hv_domid_t guest,
		    hv_domid_t *domid);
/* Sends q and waits for the answer, which replaces it. fds: room for *nfds descriptors, which then says how many came;
 * NULL, NULL: none. The answer's rc, or -ECONNRESET (the connection is of no more use). An answer with entries has as many
 * as the request had, but for HUB_DOM_LIST. */
int hub_client_call(int sock, union hub_buf *q, int *fds, size_t *nfds);

#endif
