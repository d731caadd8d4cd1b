/* netif_decode.h - from private copies of a vif's ring entries to values that may be trusted. Pure, fuzzed. Threads: any. */
#ifndef BULKHEAD_RING_PROTO_NETIF_DECODE_H
#define BULKHEAD_RING_PROTO_NETIF_DECODE_H

#include "ring/proto/netif_abi.h"

#include <stdbool.h>
#include <string.h>

#define NETIF_FRAGS_MAX (1u + NETIF_BEHIND_MAX)

enum netif_fed {
	NETIF_MORE, /* the packet goes on in the next entry */
	NETIF_END,  /* it is whole */
	NETIF_FATAL,/* no guest may do that: the device ends */
};

enum netif_verdict {
	NETIF_SEND,
	NETIF_DROP, /* answered with an error */
	NETIF_MCAST,/* no packet: the list of multicast addresses is to be changed */
};

struct netif_frag {
	uint32_t gref;
	uint16_t off, len;
};

/* A packet of the guest's, entry by entry. Extra info stands behind the first request, in slots 1 .. nextras. */
struct netif_pkt {
	uint32_t nslots;  /* entries fed, extra info included */
	uint32_t nextras;
	uint32_t nfrags;
	uint32_t len;	  /* of the frame: at most 65535 */
	uint16_t flags;	  /* NETTXF_* of the first request */
	enum netif_verdict verdict;
	const char *why;  /* of DROP and FATAL; static */
	bool gso, mcast_add;
	uint8_t gso_type; /* XEN_NETIF_GSO_TYPE_* */
	uint16_t gso_size;
	uint8_t mcast[6];
	/* Of the walk. */
	enum { NETIF_AT_FIRST, NETIF_AT_EXTRA, NETIF_AT_FRAG } at;
	uint32_t types;	  /* of extra info seen, a bit each: the last of a type counts */
	uint32_t left;	  /* of the frame's length, for the first fragment */
	/* nfrags of them are set, unless the packet is dropped. */
	struct netif_frag frag[NETIF_FRAGS_MAX];
};

static inline void netif_pkt_begin(struct netif_pkt *p)
{
	memset(p, 0, offsetof(struct netif_pkt, frag)); /* which begins with NETIF_SEND, at its first entry */
}

/* The next entry, its 12 bytes in two words. Behind END or FATAL nothing may be fed. Reads nothing else. */
enum netif_fed netif_pkt_feed(struct netif_pkt *p, uint64_t raw, uint32_t raw2);

/* ---- the control ring */

struct netif_ctrl {
	uint16_t id, type;
	uint32_t data[3];
};
static inline struct netif_ctrl netif_ctrl_of(const uint64_t raw[2])
{
	return (struct netif_ctrl){(uint16_t)raw[0],
				   (uint16_t)(raw[0] >> 16),
				   {(uint32_t)(raw[0] >> 32), (uint32_t)raw[1], (uint32_t)(raw[1] >> 32)}};
}

#define NETIF_HASH_FLAGS                                                                                   \
	(XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | XEN_NETIF_CTRL_HASH_TYPE_IPV6 | \
	 XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)

#endif
