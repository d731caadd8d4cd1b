/* hv_local.h - the local provider's process side: the conversation with the hub, and the mapped regions of a stub.
 * Private to ring/hv: hv_local.c (open, frontend, ports, domains) and hv_local_map.c (stub). */
#ifndef BULKHEAD_RING_HV_HV_LOCAL_H
#define BULKHEAD_RING_HV_HV_LOCAL_H

#include "ring/hv/hub_wire.h"
#include "ring/hv/hv_ops.h"

/* Pages of one region (or one page of it) mapped in one piece; a piece and its slots live in a mapping of their own, so
 * that a stub needs no allocator after its start. */
struct piece_slot {
	hv_gref_t gref;
	uint32_t times; /* returned by map and not unmapped yet; 0: free */
};

struct piece {
	LIST_ENTRY(piece) link;
	char *mem;
	size_t npages, self_bytes;
	uint32_t region, first; /* first page inside the region */
	bool whole, ro;
	uint32_t used; /* slots that are not free, and copies at work: stays while it is not 0 */
	struct piece_slot slot[];
};

struct ring_map {
	LIST_ENTRY(ring_map) link;
	char *mem;
	size_t npages;
	hv_gref_t gref[HV_RING_PAGES_MAX];
};

struct own_region { /* a frontend's */
	LIST_ENTRY(own_region) link;
	char *mem;
	size_t npages;
	uint32_t number;
};

struct local {
	struct hv hv;
	int sock;
	int watch; /* supervisor: a connection of its own for HUB_DOM_WATCH; -1 */
	bool lost; /* the conversation broke off: everything is -ECONNRESET */
	pthread_mutex_t lock; /* the conversation and all below */
	const uint64_t *table; /* a stub's: its guest's grants (hub_wire.h) */
	LIST_HEAD(, piece) pieces;
	LIST_HEAD(, ring_map) rings;
	LIST_HEAD(, own_region) regions;
};

/* Sends q and waits for the answer, which replaces it. With lock held. The answer's rc, or -ECONNRESET. *nfds: in room,
 * out count (NULL: none). An answer with entries has as many as q had. */
int local_ask(struct local *l, union hub_buf *q, int *fds, size_t *nfds);
static inline struct local *local_of(struct hv *hv) { return CONTAINER_OF(hv, struct local, hv); }

int local_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n);
size_t local_unmap(struct hv *hv, void *const *addr, size_t n);
int local_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out);
int local_unmap_ring(struct hv *hv, void *ring, size_t npages);
int local_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n);
/* Lets all mappings go; for close. */
void local_unmap_all(struct local *l);

#endif
