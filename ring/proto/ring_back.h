/* ring_back.h - the backend's end of any ring of <xen/io/ring.h>: what is the same for all kinds of entries.
 *
 * Indices here are 64-bit sequence numbers whose low halves are the ring's. Every word that the guest can write is read
 * once. What is stored goes through pm.h. Threads: one.
 */
#ifndef BULKHEAD_RING_PROTO_RING_BACK_H
#define BULKHEAD_RING_PROTO_RING_BACK_H

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/pm.h"
#include "ring/proto/ring_hdr.h"

#include <errno.h>
#include <stdbool.h>

/* How many requests wait from cons on, in a ring of nr entries. -EPEER: more than the ring can hold beside what is not answered yet
 * (judged against the published response index), which also catches an index that went back. */
static inline int ring_back_pending(const struct ring_hdr *h, uint32_t nr, uint64_t cons, uint64_t rsp_published)
{
	uint32_t prod = READ_ONCE_U32(&h->req_prod);

	if (UNLIKELY(prod - (uint32_t)rsp_published > nr || prod - (uint32_t)cons > nr))
		return -EPEER;
	smp_rmb(); /* pairs with the frontend's barrier before it stores req_prod: the requests are there */
	return (int)(prod - (uint32_t)cons);
}

/* Shows responses up to prod (exclusive). True: the frontend asked to be notified; old: the former prod. */
static inline bool ring_back_publish(struct ring_hdr *h, uint64_t old, uint64_t prod)
{
	uint32_t event;

	smp_wmb(); /* responses before the index; pairs with the frontend's barrier after it read rsp_prod */
	pm_store32(&h->rsp_prod, (uint32_t)prod);
	smp_mb(); /* the index before the look at rsp_event; pairs with the frontend's between rsp_event and rsp_prod */
	event = READ_ONCE_U32(&h->rsp_event);
	return (uint32_t)prod - event < (uint32_t)prod - (uint32_t)old;
}

/* Asks for an event when the requests reach 'index' (exclusive), of which 'seen' were seen, then looks again: true when there are more
 * than those. */
static inline bool ring_back_arm(struct ring_hdr *h, uint64_t index, uint64_t seen)
{
	pm_store32(&h->req_event, (uint32_t)index);
	smp_mb(); /* req_event before the look at req_prod; pairs with the frontend's between req_prod and req_event */
	return READ_ONCE_U32(&h->req_prod) != (uint32_t)seen;
}

#endif
