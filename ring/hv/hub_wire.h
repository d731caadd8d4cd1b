/* hub_wire.h - messages between bulkhead-hub and its clients (hv_local.c, bulkhead(1)).
 *
 * SOCK_SEQPACKET at RUNTIME/hub.sock; each request gets exactly one reply, in order; the numbers are host-endian, since
 * both ends are on one host and of one version. A client's first request is HUB_HELLO. A connection is what everything
 * made through it hangs on: when it ends, its mappings, grants, regions and ports end (HUB's proof that a dead stub maps
 * nothing). Trust: the hub checks every field; a malformed request ends that connection only.
 */
#ifndef BULKHEAD_RING_HV_HUB_WIRE_H
#define BULKHEAD_RING_HV_HUB_WIRE_H

#include "ring/hv/hv.h"

#include <assert.h>

#define HUB_SOCK "hub.sock"
#define HUB_VERSION 1u

enum hub_op {
	HUB_HELLO = 1,	  /* role, name or (self, guest). Reply: domid */
	HUB_REGION,	  /* frontend: arg = bytes. Reply: region number; fd: the memfd, read-write */
	HUB_REGION_FREE,  /* frontend: arg = region */
	HUB_GRANT,	  /* frontend: dom, ent[] {region, page, ro}. Reply: ent[] {gref} */
	HUB_UNGRANT,	  /* frontend: ent[] {gref}. Reply: ent[] {status} */
	HUB_MAP,	  /* stub: ent[] {gref, ro}. Reply: ent[] {status, region, page}; fds of regions not sent before */
	HUB_UNMAP,	  /* stub: ent[] {gref, ro} */
	HUB_PORT_ALLOC,	  /* frontend: dom. Reply: arg = port; fds: wait, notify */
	HUB_PORT_BIND,	  /* supervisor: dom, arg = remote port. Reply: arg = local port; fds: wait, notify */
	HUB_PORT_CLOSE,	  /* arg = port */
	HUB_STORE,	  /* frontend: a new xenstore connection. Reply: fd, a stream socket speaking xs_wire */
	HUB_DOM_CREATE,	  /* admin: name. Reply: domid. Introduces it to the store */
	HUB_DOM_DESTROY,  /* admin: dom. Everything of the domain ends; released from the store */
	HUB_DOM_LIST,	  /* admin: arg = first index. Reply: ent count, domains in the text area, see struct hub_dom */
	HUB_DOM_STATE,	  /* supervisor, admin: dom. Reply: arg = 1 runs, 0 gone */
	HUB_DOM_WATCH,	  /* supervisor: from now on an unasked HUB_DOM_WATCH message at every creation and destruction */
	HUB_OP_COUNT
};

enum hub_role { HUB_FRONTEND = 1, HUB_STUB, HUB_SUPERVISOR, HUB_ADMIN };

struct hub_ent {
	uint32_t gref;
	uint32_t region;
	uint32_t page;	 /* inside the region */
	uint16_t ro;	 /* 0 or 1 */
	int16_t status;	 /* 0 or negative errno */
};
static_assert(sizeof(struct hub_ent) == 16, "hub_ent");

/* Requests and replies alike: this header, then nent entries. */
struct hub_msg {
	uint32_t op;
	int32_t rc; /* reply: 0 or a negative errno for the whole */
	uint16_t role, dom, self, nent;
	uint32_t version; /* HUB_HELLO */
	uint64_t arg;
	char name[HV_NAME_MAX];
	struct hub_ent ent[]; /* at most HV_BATCH_MAX */
};
#define HUB_MSG_MAX (sizeof(struct hub_msg) + HV_BATCH_MAX * sizeof(struct hub_ent))

/* HUB_DOM_LIST: nent of these in place of entries. */
struct hub_dom {
	uint16_t domid, pad;
	uint32_t ngrants, nregions, nports;
	uint64_t bytes; /* of guest memory */
	char name[HV_NAME_MAX];
};

/* To the store, over RUNTIME/store-hub.sock (SOCK_SEQPACKET, the store listens): the hub tells of domains and passes each
 * guest's connection on. One reply (rc) for each. After the store's restart the hub connects again and repeats
 * HUB_STORE_INTRODUCE for every living domain. */
#define HUB_STORE_SOCK "store-hub.sock"
enum hub_store_op {
	HUB_STORE_INTRODUCE = 1, /* domid lives from now on */
	HUB_STORE_CONNECT,	 /* with one fd: a connection of that domain */
	HUB_STORE_RELEASE,	 /* domid is gone: close its connections, fire @releaseDomain */
	HUB_STORE_SYNCED,	 /* every living domain was told: release those that were introduced by a hub and not repeated */
};
struct hub_store_msg {
	uint32_t op;
	int32_t rc;
	uint16_t domid, pad[3];
};

#endif
