/* netif_front.h - the frontend's ends of a vif's rings: TX, RX and control (<xen/io/netif.h>, <xen/io/ring.h>).
 *
 * Indices are free-running and compared by difference. Every word that the backend can write is read once, into a word of the
 * caller's. What is stored goes through pm.h. Threads: one a ring.
 */
#ifndef BULKHEAD_RING_PROTO_NETIF_FRONT_H
#define BULKHEAD_RING_PROTO_NETIF_FRONT_H

#include "ring/base/check.h"
#include "ring/proto/netif_abi.h"
#include "ring/proto/ring_front.h"

struct netif_front {
	struct ring_hdr *hdr;
	uint8_t *ents;
	uint32_t nr, stride; /* entries, a power of two; bytes of each */
	uint32_t put;	     /* next to be written, not yet published */
	uint32_t published;
	uint32_t taken; /* of the answers */
};

/* Makes an empty ring of a zeroed page. stride: NETIF_TX_ENTRY, NETIF_RX_ENTRY or NETIF_CTRL_ENTRY. */
static inline void netif_front_init(struct netif_front *r, void *page, uint32_t nr, uint32_t stride)
{
	CHECK(IS_POW2(nr));
	*r = (struct netif_front){.hdr = page, .ents = (uint8_t *)page + RING_HDR, .nr = nr, .stride = stride};
	pm_store32(&r->hdr->req_event, 1);
	pm_store32(&r->hdr->rsp_event, 1);
}

static inline void *netif_front_entry(const struct netif_front *r, uint32_t index)
{
	return r->ents + (size_t)(index & (r->nr - 1)) * r->stride;
}

/* Entries that may still be put. */
static inline uint32_t netif_front_room(const struct netif_front *r) { return r->nr - (r->put - r->taken); }

/* Shows the backend what was put. True: it wants to be notified. */
static inline bool netif_front_publish(struct netif_front *r)
{
	uint32_t old = r->published;

	r->published = r->put;
	return ring_front_publish(r->hdr, old, r->put);
}

/* How many answers wait. -EPEER: more than there are requests. */
static inline int netif_front_pending(const struct netif_front *r) { return ring_front_pending(r->hdr, r->taken, r->published); }

/* Asks to be notified when `more` further answers are there (1: of the next). True: they are already. */
static inline bool netif_front_arm(struct netif_front *r, uint32_t more) { return ring_front_arm(r->hdr, r->taken, more); }

/* ---- TX: 12 bytes of request or extra info; 4 of the answer count */

static inline void netif_front_tx_put(struct netif_front *r, uint32_t gref, uint16_t off, uint16_t flags, uint16_t id, uint16_t size)
{
	uint32_t *at = netif_front_entry(r, r->put++);

	pm_store32(at, gref);
	pm_store32(at + 1, off | (uint32_t)flags << 16);
	pm_store32(at + 2, id | (uint32_t)size << 16);
}

/* body: the six bytes behind type and flags. */
static inline void netif_front_tx_extra(struct netif_front *r, uint8_t type, bool more, uint64_t body)
{
	uint32_t *at = netif_front_entry(r, r->put++);

	pm_store32(at, type | (more ? XEN_NETIF_EXTRA_FLAG_MORE : 0) << 8 | (uint32_t)body << 16);
	pm_store32(at + 1, (uint32_t)(body >> 16));
	pm_store32(at + 2, 0);
}

static inline struct netif_tx_response netif_front_tx_answer(const struct netif_front *r, uint32_t index)
{
	uint32_t w = READ_ONCE_U32((const uint32_t *)netif_front_entry(r, index));

	return (struct netif_tx_response){.id = (uint16_t)w, .status = (int16_t)(w >> 16)};
}

/* ---- RX: 8 bytes both ways */

static inline void netif_front_rx_put(struct netif_front *r, uint16_t id, uint32_t gref)
{
	pm_store64(netif_front_entry(r, r->put++), id | (uint64_t)gref << 32);
}

/* A response or extra info; which of them only the one before it says. */
union netif_front_rx {
	uint64_t raw;
	struct netif_rx_response rsp;
	struct netif_extra_info extra;
};

static inline union netif_front_rx netif_front_rx_answer(const struct netif_front *r, uint32_t index)
{
	return (union netif_front_rx){.raw = READ_ONCE_U64((const uint64_t *)netif_front_entry(r, index))};
}

/* ---- control */

static inline void netif_front_ctrl_put(struct netif_front *r, uint16_t id, uint16_t type, const uint32_t data[3])
{
	uint64_t *at = netif_front_entry(r, r->put++);

	pm_store64(at, id | (uint64_t)type << 16 | (uint64_t)data[0] << 32);
	pm_store64(at + 1, data[1] | (uint64_t)data[2] << 32);
}

static inline struct xen_netif_ctrl_response netif_front_ctrl_answer(const struct netif_front *r, uint32_t index)
{
	const uint64_t *at = netif_front_entry(r, index);
	uint64_t w = READ_ONCE_U64(at);

	return (struct xen_netif_ctrl_response){.id = (uint16_t)w, .type = (uint16_t)(w >> 16), .status = (uint32_t)(w >> 32),
						.data = (uint32_t)READ_ONCE_U64(at + 1)};
}

#endif
