/* blkif_back.h - the backend's end of a blkif ring: look, copy, answer, publish, arm (<xen/io/ring.h>).
 *
 * Indices here are 64-bit sequence numbers whose low halves are the ring's. Every word that the guest can write is read
 * once. What is stored goes through pm.h. Threads: one.
 */
#ifndef BULKHEAD_RING_PROTO_BLKIF_BACK_H
#define BULKHEAD_RING_PROTO_BLKIF_BACK_H

#include "ring/base/check.h"
#include "ring/proto/blkif_abi.h"
#include "ring/proto/ring_back.h"

#include <string.h>

#define BLKIF_SOON 8u /* entries ahead; no further than requests wait: beyond them the guest is still writing */

struct blkif_back {
	struct blkif_sring *sring;
	uint8_t *ents;
	uint32_t nr; /* entries, a power of two */
	struct blkif_abi abi;
};

/* nr: entries in use; normally blkif_ring_entries(). */
static inline void blkif_back_init(struct blkif_back *r, void *mem, uint32_t nr, const struct blkif_abi *abi)
{
	CHECK(IS_POW2(nr));
	*r = (struct blkif_back){.sring = mem, .ents = (uint8_t *)mem + RING_HDR, .nr = nr, .abi = *abi};
}

static inline uint8_t *blkif_back_entry(const struct blkif_back *r, uint64_t index)
{
	return r->ents + (size_t)(index & (r->nr - 1)) * r->abi.stride;
}

/* Asks for the entry's cache lines before it is needed, as the owner: its request is read, and then an answer is written over it
 * or over its neighbour. A processor that only reads would ask the other one twice. */
static inline void blkif_back_soon(const struct blkif_back *r, uint64_t index)
{
	const uint8_t *at = blkif_back_entry(r, index);

	__builtin_prefetch(at, 1);
	__builtin_prefetch(at + 64, 1);
}

/* The same for what comes first of a batch of n. */
static inline void blkif_back_soon_first(const struct blkif_back *r, uint64_t cons, uint32_t n)
{
	for (uint32_t i = 0; i < MIN(n, BLKIF_SOON); i++)
		blkif_back_soon(r, cons + i);
}

static inline struct ring_hdr *blkif_back_hdr(const struct blkif_back *r) { return (struct ring_hdr *)(void *)r->sring; }

/* As ring_back_pending(). */
static inline int blkif_back_pending(const struct blkif_back *r, uint64_t cons, uint64_t rsp_published)
{
	return ring_back_pending(blkif_back_hdr(r), r->nr, cons, rsp_published);
}

/* How many of those that wait to take, and to answer where that can be done at once, before the next look at the ring: half, so
 * that the guest has the first answers while the rest is in work; not so few that the indices change hands for nothing, nor so
 * many that what belongs to them leaves the first cache. */
static inline uint32_t blkif_back_batch(uint32_t pending)
{
	uint32_t half = (pending + 1) / 2;

	return MIN(pending, MAX(4u, MIN(half, 32u)));
}

/* Writes the response into its place; bytes that the protocol leaves open are zero (XSA-216). Not yet visible. */
static inline void blkif_back_answer(const struct blkif_back *r, uint64_t rsp_index, uint64_t id, uint8_t op, int16_t status)
{
	const uint64_t word[2] = {id, (uint64_t)op | (uint64_t)(uint16_t)status << 16};
	uint8_t *at = blkif_back_entry(r, rsp_index);

	if (LIKELY(r->abi.rsp_size == sizeof(word))) {
		pm_store64((uint64_t *)(void *)at, word[0]);
		pm_store64((uint64_t *)(void *)(at + 8), word[1]);
	} else {
		pm_copy(at, word, BLKIF_X86_32_RESPONSE); /* x86_32 aligns to 4 bytes only */
	}
}

/* Shows responses up to prod (exclusive). True: the frontend asked to be notified; old: the former prod. */
static inline bool blkif_back_publish(const struct blkif_back *r, uint64_t old, uint64_t prod)
{
	return ring_back_publish(blkif_back_hdr(r), old, prod);
}

/* Asks for an event at the next request after cons, then looks again: true when there is one already. */
static inline bool blkif_back_arm(const struct blkif_back *r, uint64_t cons)
{
	return ring_back_arm(blkif_back_hdr(r), cons + 1, cons);
}

#endif
