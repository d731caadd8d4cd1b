/* hub_wire.h - messages between bulkhead-hub and its clients (hv_local.c, bulkhead(1)).
 *
 * SOCK_SEQPACKET at RUNTIME/hub.sock, mode 0600; each request gets exactly one reply, in order; the numbers are
 * host-endian, since both ends are on one host and of one version. A client's first request is HUB_HELLO, within 5 s. A
 * connection is what everything made through it hangs on: when it ends, its mappings, grants, regions and ports end (the
 * hub's proof that a dead stub maps nothing).
 * Who may connect: the hub's own uid and root, judged at the connect (SO_PEERCRED). A stub that runs under a uid of its
 * own therefore connects before it gives up its rights, and keeps the connection.
 * Trust: the hub checks every field; a malformed request (wrong length, unknown op, request before HELLO, a second
 * HELLO, text without its NUL) ends that connection only. A client that does not read its replies is dropped as well.
 */
#ifndef BULKHEAD_RING_HV_HUB_WIRE_H
#define BULKHEAD_RING_HV_HUB_WIRE_H

#include "ring/hv/hv.h"

#include <assert.h>

#define HUB_SOCK "hub.sock"
#define HUB_VERSION 2u
#define HUB_FDS_MAX 64 /* of one reply */

/* An op that the role is not allowed is answered with rc -EPERM. */
enum hub_op {
	HUB_HELLO = 1,	  /* role; frontend: name; stub: self, dom = guest; others: self. Reply: dom = own domid */
	HUB_REGION,	  /* frontend: arg = bytes, in pages. Reply: arg = region; fd: the memfd, read-write */
	HUB_REGION_FREE,  /* frontend: arg = region; -EBUSY while it has grants */
	HUB_GRANT,	  /* frontend: dom, ent[] {region, page, ro}. All or nothing. Reply: ent[] {gref} */
	HUB_UNGRANT,	  /* frontend: ent[] {gref}. Reply: ent[] {status} */
	HUB_MAP,	  /* stub: ent[] {gref, ro}. Reply: ent[] {status, region, page, npages}, and in the order of the
			   * entries the fd of each (region, ro) that this connection does not hold yet. At most HUB_FDS_MAX of
			   * them: an entry that would need one more has status -EAGAIN and is asked for again */
	HUB_UNMAP,	  /* stub: ent[] {gref}. Reply: ent[] {status} */
	HUB_COPY,	  /* stub: as HUB_MAP, but counts as no mapping: the answer holds at the moment it is given. (A
			   * frontend that ends a grant before the request is answered harms itself only.) Needed for regions that
			   * the stub has no fd of: the rest is in the table */
	HUB_FORGET,	  /* stub: ent[] {region, ro}: has let go these fds and their mappings */
	HUB_PORT_ALLOC,	  /* frontend: dom. Reply: arg = port; fds: wait, notify */
	HUB_PORT_BIND,	  /* supervisor: dom, arg = remote port. Reply: arg = local port; fds: wait, notify. The same eventfds
			   * at every bind, so what was notified between two bindings is kept */
	HUB_PORT_CLOSE,	  /* frontend: arg = port. supervisor: arg = local port, never used for another binding */
	HUB_STORE,	  /* frontend: a new xenstore connection. Reply: fd, a stream socket speaking xs_wire; -EAGAIN while the
			   * store is away. It ends (end of file) when the store goes or refuses it: ask again */
	HUB_DOM_CREATE,	  /* admin: name. Reply: dom. Introduces it to the store. -EEXIST, -EINVAL (name), -ENOSPC */
	HUB_DOM_DESTROY,  /* admin: dom. Everything of the domain ends, its frontends' connections too; released from the store */
	HUB_DOM_LIST,	  /* admin, supervisor: arg = first index. Reply: arg = domains in all; nent of struct hub_dom */
	HUB_DOM_STATE,	  /* supervisor, admin: dom. Reply: arg = 1 runs, 0 gone */
	HUB_DOM_WATCH,	  /* supervisor: from now on an unasked HUB_DOM_WATCH {dom, arg = 1 created, 0 destroyed} each time; some
			   * are left out while the client does not read. Use a connection of its own for it */
	HUB_TABLE,	  /* stub: its guest's table of grants. Reply: fd, HUB_TABLE_BYTES, read-only */
	HUB_OP_COUNT
};

enum hub_role { HUB_FRONTEND = 1, HUB_STUB, HUB_SUPERVISOR, HUB_ADMIN };

struct hub_ent {
	uint32_t gref;
	uint32_t region; /* number, never used again */
	uint32_t page;	 /* inside the region */
	uint32_t npages; /* of the region */
	uint16_t ro;	 /* 0 or 1 */
	int16_t status;	 /* 0 or negative errno */
};
static_assert(sizeof(struct hub_ent) == 20, "hub_ent");

/* Requests and replies alike: this header, then nent entries. */
struct hub_msg {
	uint32_t op;
	int32_t rc; /* reply: 0 or a negative errno for the whole */
	uint16_t role, dom, self, nent;
	uint32_t version, pad; /* version: of HUB_HELLO */
	uint64_t arg;
	char name[HV_NAME_MAX];
	struct hub_ent ent[]; /* at most HV_BATCH_MAX */
};
static_assert(sizeof(struct hub_msg) == 96, "hub_msg");
#define HUB_MSG_MAX (sizeof(struct hub_msg) + HV_BATCH_MAX * sizeof(struct hub_ent))

/* Room for the longest message. */
union hub_buf {
	struct hub_msg m;
	char room[HUB_MSG_MAX];
};

/* The table of a domain's grants, which the hub writes and stubs read, as a hypervisor reads a guest's: a word for each gref, that of
 * HUB_GREF_FIRST first; 0: not granted. */
#define HUB_DOM_GRANTS (1u << 18)
#define HUB_GREF_FIRST 8u /* as in Xen, the first few are never handed out */
#define HUB_TABLE_BYTES (HUB_DOM_GRANTS * sizeof(uint64_t))
#define HUB_WORD_LIVE 1ull
#define HUB_WORD_RO 2ull
static_assert(HV_REGION_MAX >> BH_PAGE_SHIFT <= 1u << 14, "a page's number has 14 bits");

static inline uint64_t hub_word(uint32_t region, uint32_t page, hv_domid_t dom, bool ro)
{
	return HUB_WORD_LIVE | (ro ? HUB_WORD_RO : 0) | (uint64_t)dom << 2 | (uint64_t)page << 18 | (uint64_t)region << 32;
}
static inline hv_domid_t hub_word_dom(uint64_t w) { return (hv_domid_t)(w >> 2); }
static inline uint32_t hub_word_page(uint64_t w) { return (uint32_t)(w >> 18) & 0x3fff; }
static inline uint32_t hub_word_region(uint64_t w) { return (uint32_t)(w >> 32); }

/* HUB_DOM_LIST: nent of these in place of entries. */
struct hub_dom {
	uint16_t domid, pad;
	uint32_t ngrants, nregions, nports;
	uint64_t bytes; /* of guest memory */
	char name[HV_NAME_MAX];
};
#define HUB_DOMS_PER_MSG ((HUB_MSG_MAX - sizeof(struct hub_msg)) / sizeof(struct hub_dom))

/* To the store, over RUNTIME/store-hub.sock (SOCK_SEQPACKET, the store listens): the hub tells of domains and passes each
 * guest's connection on. One reply (rc) for each. After the store's restart the hub connects again, repeats
 * HUB_STORE_INTRODUCE for every living domain, and then says HUB_STORE_SYNCED. */
#define HUB_STORE_SOCK "store-hub.sock"
enum hub_store_op {
	HUB_STORE_INTRODUCE = 1, /* domid lives from now on */
	HUB_STORE_CONNECT,	 /* with one fd: a connection of that domain */
	HUB_STORE_RELEASE,	 /* domid is gone: close its connections, fire @releaseDomain */
	HUB_STORE_SYNCED,	 /* every living domain has been named; those of a former connection that were not are gone */
};
struct hub_store_msg {
	uint32_t op;
	int32_t rc;
	uint16_t domid, pad[3];
};

#endif
