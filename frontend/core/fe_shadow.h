/* fe_shadow.h - the ids of a ring's outstanding requests.
 *
 * A fixed table, one slot for each request that the ring can hold. An id is the slot's number and how often the slot was
 * used, so that a second answer, or one to a request of the past, is known for what it is (XSA-405), also when its slot
 * serves another request by then.
 * Owns: its table. Threads: the queue's. Trust: ids given to fe_shadow_put() are the backend's.
 */
#ifndef BULKHEAD_FRONTEND_CORE_FE_SHADOW_H
#define BULKHEAD_FRONTEND_CORE_FE_SHADOW_H

#include "ring/base/base.h"
#include "ring/base/check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

struct fe_slot {
	uint32_t serial, next_free;
	bool live;
};

struct fe_shadow {
	uint32_t n, live, free_head; /* free_head: n when none is free */
	struct fe_slot *slot;
};

/* 0 or -ENOMEM. */
static inline int fe_shadow_open(struct fe_shadow *s, uint32_t n)
{
	s->slot = calloc(n, sizeof(*s->slot));
	if (!s->slot)
		return -ENOMEM;
	s->n = n;
	s->live = 0;
	s->free_head = 0;
	for (uint32_t i = 0; i < n; i++)
		s->slot[i].next_free = i + 1;
	return 0;
}

static inline void fe_shadow_close(struct fe_shadow *s)
{
	free(s->slot);
	s->slot = NULL;
}

static inline bool fe_shadow_full(const struct fe_shadow *s) { return s->free_head == s->n; }

/* Takes the slot that was freed last. Not when full (CHECKed). */
static inline uint64_t fe_shadow_take(struct fe_shadow *s, uint32_t *index)
{
	uint32_t i = s->free_head;
	struct fe_slot *slot;

	CHECK(i < s->n);
	slot = &s->slot[i];
	s->free_head = slot->next_free;
	slot->live = true;
	slot->serial++;
	s->live++;
	*index = i;
	return (uint64_t)slot->serial << 32 | i;
}

/* Which request a peer's id means, without freeing it. 0 or -EPEER: none that is outstanding. */
static inline int fe_shadow_find(const struct fe_shadow *s, uint64_t id, uint32_t *index)
{
	uint32_t i = (uint32_t)id;

	if (i >= s->n || !s->slot[i].live || s->slot[i].serial != (uint32_t)(id >> 32))
		return -EPEER;
	*index = i;
	return 0;
}

static inline void fe_shadow_free(struct fe_shadow *s, uint32_t index)
{
	CHECK(index < s->n && s->slot[index].live);
	s->slot[index].live = false;
	s->slot[index].next_free = s->free_head;
	s->free_head = index;
	s->live--;
}

#endif
