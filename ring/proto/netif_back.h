/* netif_back.h - the backend's ends of a vif's rings: TX, RX and control (<xen/io/netif.h>); the rest is ring_back.h's.
 *
 * Every entry that the guest can write is read once, into words of the caller's. Threads: one.
 */
#ifndef BULKHEAD_RING_PROTO_NETIF_BACK_H
#define BULKHEAD_RING_PROTO_NETIF_BACK_H

#include "ring/base/check.h"
#include "ring/proto/netif_abi.h"
#include "ring/proto/ring_back.h"

#include <string.h>

struct netif_back {
	struct ring_hdr *hdr;
	uint8_t *ents;
	uint32_t nr, stride; /* entries, a power of two; bytes of each */
};

/* stride: NETIF_TX_ENTRY, NETIF_RX_ENTRY or NETIF_CTRL_ENTRY; nr: entries in use, normally all that a page holds. */
static inline void netif_back_init(struct netif_back *r, void *mem, uint32_t nr, uint32_t stride)
{
	CHECK(IS_POW2(nr));
	*r = (struct netif_back){.hdr = mem, .ents = (uint8_t *)mem + RING_HDR, .nr = nr, .stride = stride};
}

static inline void *netif_back_entry(const struct netif_back *r, uint64_t index, uint32_t stride)
{
	return r->ents + (size_t)(index & (r->nr - 1)) * stride;
}

static inline int netif_back_pending(const struct netif_back *r, uint64_t cons, uint64_t rsp_published)
{
	return ring_back_pending(r->hdr, r->nr, cons, rsp_published);
}

/* The 12 bytes of a TX entry, request or extra info. */
static inline void netif_back_tx(const struct netif_back *r, uint64_t index, uint64_t *raw, uint32_t *raw2)
{
	const uint32_t *at = netif_back_entry(r, index, NETIF_TX_ENTRY);

	*raw = READ_ONCE_U32(at) | (uint64_t)READ_ONCE_U32(at + 1) << 32;
	*raw2 = READ_ONCE_U32(at + 2);
}

/* A TX response; the rest of the entry stays what the guest wrote. */
static inline void netif_back_tx_answer(const struct netif_back *r, uint64_t index, uint32_t response)
{
	pm_store32(netif_back_entry(r, index, NETIF_TX_ENTRY), response);
}

static inline uint32_t netif_tx_response(uint16_t id, int16_t status) { return id | (uint32_t)(uint16_t)status << 16; }

/* A request of the RX ring. */
static inline uint64_t netif_back_rx(const struct netif_back *r, uint64_t index)
{
	return READ_ONCE_U64((const uint64_t *)netif_back_entry(r, index, NETIF_RX_ENTRY));
}

static inline uint16_t netif_rx_id(uint64_t raw) { return (uint16_t)raw; }
static inline uint32_t netif_rx_gref(uint64_t raw) { return (uint32_t)(raw >> 32); }

/* A response of the RX ring, or extra info: whole. */
static inline void netif_back_rx_answer(const struct netif_back *r, uint64_t index, uint64_t response)
{
	pm_store64(netif_back_entry(r, index, NETIF_RX_ENTRY), response);
}

static inline uint64_t netif_rx_response(uint16_t id, uint16_t offset, uint16_t flags, int16_t status)
{
	return id | (uint64_t)offset << 16 | (uint64_t)flags << 32 | (uint64_t)(uint16_t)status << 48;
}

/* Extra info: type, flags, and six bytes. */
static inline uint64_t netif_extra(uint8_t type, bool more, uint64_t body)
{
	return type | (uint64_t)(more ? XEN_NETIF_EXTRA_FLAG_MORE : 0) << 8 | body << 16;
}

/* A control request. */
static inline void netif_back_ctrl(const struct netif_back *r, uint64_t index, uint64_t raw[2])
{
	const uint64_t *at = netif_back_entry(r, index, NETIF_CTRL_ENTRY);

	raw[0] = READ_ONCE_U64(at);
	raw[1] = READ_ONCE_U64(at + 1);
}

/* Its response: id and type are those of the request, whose first word is raw. Bytes that the protocol leaves open are zero (XSA-216). */
static inline void netif_back_ctrl_answer(const struct netif_back *r, uint64_t index, uint64_t raw, uint32_t status, uint32_t data)
{
	uint64_t *at = netif_back_entry(r, index, NETIF_CTRL_ENTRY);

	pm_store64(at, (raw & 0xffffffff) | (uint64_t)status << 32);
	pm_store64(at + 1, data);
}

/* As ring_back_publish(). */
static inline bool netif_back_publish(const struct netif_back *r, uint64_t old, uint64_t prod)
{
	return ring_back_publish(r->hdr, old, prod);
}

#endif
