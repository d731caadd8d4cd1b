/* xs_server.h - the store's daemon: connections, requests, events, the hub's orders.
 *
 * RUNTIME/store.sock speaks the xenstore protocol to domain 0; guests' connections come from the hub over
 * RUNTIME/store-hub.sock. Never blocks: replies and events are queued within bounds, and who does not read is not read.
 * Owns: its sockets and connections; not the loop, the store or the log.
 * Threads: the loop's. Trust: nothing from any connection is believed; the hub is trusted to name domains.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_SERVER_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_SERVER_H

#include "ring/os/loop.h"
#include "xenstore-glue/store/xs_log.h"
#include "xenstore-glue/store/xs_store.h"

#include <sys/types.h>

#define XS_SOCK "store.sock"

struct xs_server;

/* mode: of store.sock. log may be NULL (nothing is recorded). 0 or a negative errno. */
int xs_server_open(struct xs_server **out, struct loop *loop, struct xs_store *st, struct xs_log *log, const char *dir,
		   mode_t mode);
void xs_server_close(struct xs_server *s); /* NULL is allowed */

#endif
