/* conn.h - the connection record: what makes one connection of one device, and nothing else.
 *
 * Made by the supervisor from xenstore when the frontend is ready, written into the journal's header by the first stub,
 * compared byte for byte by every later one (DESIGN.md sections 3 and 6). Fixed layout, no padding, unused parts zero.
 */
#ifndef BULKHEAD_RING_BASE_CONN_H
#define BULKHEAD_RING_BASE_CONN_H

#include <assert.h>
#include <stdint.h>

#define CONN_QUEUES_MAX 16u
#define CONN_RING_PAGES_MAX 16u

enum conn_type { CONN_VBD = 1, CONN_VIF = 2 };

/* The ABI of the ring: the layout of requests is the guest's (blkif.h, `protocol` in xenstore). A vif's is always native. */
enum conn_protocol { CONN_NATIVE = 1, CONN_X86_32 = 2, CONN_X86_64 = 3 };

/* Of a vbd. */
enum conn_feature {
	CONN_PERSISTENT = 1u << 0, /* feature-persistent of both ends: data grants may stay mapped */
	CONN_INDIRECT = 1u << 1,   /* offered by us */
	CONN_DISCARD = 1u << 2,	   /* offered */
	CONN_FLUSH = 1u << 3,	   /* offered */
	CONN_BARRIER = 1u << 4,	   /* offered */
	CONN_READ_ONLY = 1u << 5,  /* mode r */
};

/* Of a vif: offered by us and asked for by the guest. */
enum conn_net_feature {
	CONN_NET_SG = 1u << 0,	       /* to the guest: packets of several slots */
	CONN_NET_GSO4 = 1u << 1,       /* to the guest: feature-gso-tcpv4 */
	CONN_NET_GSO6 = 1u << 2,
	CONN_NET_CSUM4 = 1u << 3,      /* it takes blank checksums: no feature-no-csum-offload */
	CONN_NET_CSUM6 = 1u << 4,      /* feature-ipv6-csum-offload */
	CONN_NET_MCAST = 1u << 5,      /* request-multicast-control: it says which groups it wants */
	CONN_NET_RX_NOTIFY = 1u << 6,  /* it tells when it has posted buffers */
	CONN_NET_XDP = 1u << 7,	       /* xdp_headroom bytes before each packet to the guest */
};

/* A vif's rings are one page each: gref[0] is TX (from the guest), gref[1] RX. */
#define CONN_NET_TX 0
#define CONN_NET_RX 1

struct conn_queue {
	uint32_t evtchn;    /* the frontend's port; of a vif with two: TX's */
	uint32_t evtchn_rx; /* of a vif with two, else 0 */
	uint32_t gref[CONN_RING_PAGES_MAX];
};

struct conn_id {
	uint8_t vm_uuid[16];
	uint32_t domid;
	uint32_t devid;	     /* xenstore's device number: 51712 = xvda; a vif's handle */
	uint32_t type;	     /* enum conn_type */
	uint32_t protocol;   /* enum conn_protocol */
	uint32_t nqueues;    /* 1..CONN_QUEUES_MAX */
	uint32_t ring_pages; /* of each ring: 1, 2, 4, 8, 16; a vif's: 1 */
	uint32_t features;   /* enum conn_feature, enum conn_net_feature */
	uint32_t max_segments; /* of an indirect request, as offered; 0 without */
	uint64_t epoch;	     /* counts the connections of the device: two are never alike */
	uint32_t ctrl_gref, ctrl_evtchn; /* of a vif's control ring; evtchn 0: none */
	uint8_t mac[6];	     /* of a vif: the guest's */
	uint16_t xdp_headroom; /* at the start of the connection (CONN_NET_XDP) */
	struct conn_queue q[CONN_QUEUES_MAX];
};
static_assert(sizeof(struct conn_id) == 72 + 16 * 72, "conn_id has no padding");

#define CONN_KEPT_GRANTS 1056u /* pages that a queue keeps mapped for each page of its ring, as Linux's backend does for a ring of one */

/* The most pages of its guest that a stub of this connection has mapped: rings, and with persistent grants data. */
static inline uint64_t conn_grants_max(const struct conn_id *c)
{
	return (uint64_t)c->nqueues * c->ring_pages * (1 + (c->features & CONN_PERSISTENT ? CONN_KEPT_GRANTS : 0));
}

#endif
