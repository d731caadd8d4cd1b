/* crash_guest.h - a guest's block driver, written against <xen/io/blkif.h> alone: nothing of frontend/ or ring/proto.
 *
 * It does only what a legal guest may do, interleaved by seed: posts a script's requests in batches, sleeps until its port
 * says otherwise (or, as a poller, looks when it likes), fills its pages with a canary after each answer.
 *
 * A script: requests apart by blanks, OP FIRST+N in sectors: R0+2 W4+1 B0+2 D8+4 F, J and I (indirect read and write),
 * X1 .. X7 (must be rejected: see invalid() in crash_guest.c).
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_GUEST_H
#define BULKHEAD_TESTS_SIM_CRASH_GUEST_H

#include "ring/hv/hv.h"
#include "tests/sim/crash_check.h"
#include "tests/sim/crash_rng.h"

#define GUEST_RING_MAX 8
#define GUEST_DATA_PAGES 3 /* of a request */
#define GUEST_PAGES (GUEST_DATA_PAGES + 1)
#define GUEST_QUEUES_MAX 2

struct crash_tag {
	int req; /* index of its record; -1: free */
	hv_gref_t gref[GUEST_PAGES];
	unsigned nsegs, first[GUEST_DATA_PAGES], len[GUEST_DATA_PAGES];
};

struct crash_guest_queue {
	void *ring;
	hv_gref_t ring_gref;
	struct hv_port *port;
	char *pages;
	const char *script;
	uint32_t req_prod, rsp_cons;
	uint64_t next; /* index of the next request, of which req_prod is the low half */
	unsigned outstanding;
	bool woken;
	struct crash_tag tag[GUEST_RING_MAX];
};

struct crash_guest {
	struct hv *hv;
	struct crash_rng *rng;
	struct crash_check *check;
	unsigned nqueues, nr, batch;
	bool exact, persistent, poller; /* exact: batches are as large as they may be */
	struct crash_guest_queue q[GUEST_QUEUES_MAX];
};

/* hv: of the guest's domain. base: the indices at which the rings begin. */
void crash_guest_open(struct crash_guest *g, struct hv *hv, uint64_t base, const char *const *script);
/* One thing that the guest might do now on queue i, or nothing. */
void crash_guest_step(struct crash_guest *g, unsigned i);
/* All is posted and answered. */
bool crash_guest_done(const struct crash_guest *g);
/* The list of the request at index, if it is an indirect one that waits for its answer, becomes nonsense. */
void crash_guest_spoil_list(struct crash_guest *g, unsigned queue, uint64_t index);
void crash_guest_check_pages(struct crash_guest *g);

#endif
