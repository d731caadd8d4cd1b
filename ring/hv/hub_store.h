/* hub_store.h - the hub's link to the store (hub_wire.h: HUB_STORE_SOCK): tells it of domains, passes connections on.
 *
 * The store may be away or restart at any time: the link is tried again by timer, and each new one starts with all living
 * domains. Nothing here blocks. Private to bulkhead-hub. Threads: the loop's.
 */
#ifndef BULKHEAD_RING_HV_HUB_STORE_H
#define BULKHEAD_RING_HV_HUB_STORE_H

#include "ring/hv/hub.h"
#include "ring/os/loop.h"

struct hub_note;

struct hub_store {
	struct loop *loop;
	struct hub *hub;
	const char *path;
	int sock; /* -1: away */
	struct loop_fd watch;
	struct loop_timer retry;
	STAILQ_HEAD(, hub_note) queue; /* what the socket did not take yet */
};

/* path is kept. */
void hub_store_start(struct hub_store *s, struct loop *l, struct hub *h, const char *path);
void hub_store_stop(struct hub_store *s);
void hub_store_domain(struct hub_store *s, hv_domid_t dom, bool born);
/* A new connection of dom: *fd is the guest's end. -EAGAIN: the store is away or busy; -EMFILE. */
int hub_store_connect(struct hub_store *s, hv_domid_t dom, int *fd);

#endif
