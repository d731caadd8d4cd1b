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

/* The ABI of the ring: the layout of requests is the guest's (blkif.h, `protocol` in xenstore). */
enum conn_protocol { CONN_NATIVE = 1, CONN_X86_32 = 2, CONN_X86_64 = 3 };

enum conn_feature {
	CONN_PERSISTENT = 1u << 0, /* feature-persistent of both ends: data grants may stay mapped */
	CONN_INDIRECT = 1u << 1,   /* offered by us */
	CONN_DISCARD = 1u << 2,	   /* offered */
	CONN_FLUSH = 1u << 3,	   /* offered */
	CONN_BARRIER = 1u << 4,	   /* offered */
	CONN_READ_ONLY = 1u << 5,  /* mode r */
};

struct conn_queue {
	uint32_t evtchn; /* the frontend's port */
	uint32_t gref[CONN_RING_PAGES_MAX];
};

struct conn_id {
	uint8_t vm_uuid[16];
	uint32_t domid;
	uint32_t devid;	     /* xenstore's device number: 51712 = xvda */
	uint32_t type;	     /* enum conn_type */
	uint32_t protocol;   /* enum conn_protocol */
	uint32_t nqueues;    /* 1..CONN_QUEUES_MAX */
	uint32_t ring_pages; /* of each queue: 1, 2, 4, 8, 16 */
	uint32_t features;   /* enum conn_feature */
	uint32_t max_segments; /* of an indirect request, as offered; 0 without */
	uint64_t epoch;	     /* counts the connections of the device: two are never alike */
	struct conn_queue q[CONN_QUEUES_MAX];
};
static_assert(sizeof(struct conn_id) == 56 + 16 * 68, "conn_id has no padding");

#define CONN_KEPT_GRANTS 1056u /* pages that a queue keeps mapped for each page of its ring, as Linux's backend does for a ring of one */

/* The most pages of its guest that a stub of this connection has mapped: rings, and with persistent grants data. */
static inline uint64_t conn_grants_max(const struct conn_id *c)
{
	return (uint64_t)c->nqueues * c->ring_pages * (1 + (c->features & CONN_PERSISTENT ? CONN_KEPT_GRANTS : 0));
}

#endif
