/* ring_front.h - the frontend's end of any ring of <xen/io/ring.h>: what is the same for all kinds of entries.
 *
 * Indices are free-running and compared by difference. Every word that the backend can write is read once. What is stored goes
 * through pm.h. Threads: one.
 */
#ifndef BULKHEAD_RING_PROTO_RING_FRONT_H
#define BULKHEAD_RING_PROTO_RING_FRONT_H

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/pm.h"
#include "ring/proto/ring_hdr.h"

#include <errno.h>
#include <stdbool.h>

/* Shows the backend requests up to put (exclusive). True: it wants to be notified; old: what it was shown before. */
static inline bool ring_front_publish(struct ring_hdr *h, uint32_t old, uint32_t put)
{
	if (old == put)
		return false;
	smp_wmb(); /* the requests before the index that shows them */
	pm_store32(&h->req_prod, put);
	smp_mb(); /* the index before the look at what the backend waits for; pairs with its arm, re-check */
	return put - READ_ONCE_U32(&h->req_event) < put - old;
}

/* How many answers wait. -EPEER: more than there are requests. */
static inline int ring_front_pending(const struct ring_hdr *h, uint32_t taken, uint32_t published)
{
	/* Pairs with the backend's barrier between a response and rsp_prod. */
	uint32_t prod = smp_load_acquire(&h->rsp_prod);

	return UNLIKELY(prod - taken > published - taken) ? -EPEER : (int)(prod - taken);
}

/* Asks to be notified when `more` further answers are there (1: of the next). True: they are already. */
static inline bool ring_front_arm(struct ring_hdr *h, uint32_t taken, uint32_t more)
{
	pm_store32(&h->rsp_event, taken + more);
	smp_mb(); /* ask before looking; pairs with the backend's publish, then look at rsp_event */
	return READ_ONCE_U32(&h->rsp_prod) - taken >= more;
}

#endif
