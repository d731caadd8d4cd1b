/* bench_ring_rte.c - a pair of DPDK's rte_rings, one producer and one consumer each, whose elements are requests and responses. */
#include "tests/bench/bench_ring_rig.h"

#include <errno.h>
#include <stdio.h>

#ifdef HAVE_DPDK
#include "ring/base/check.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32u

struct request {
	uint64_t w[RING_REQUEST / 8];
};
struct response {
	uint64_t w[RING_RESPONSE / 8];
};

static struct rte_ring *there, *back_again;
static struct {
	struct request batch[BATCH];
	struct response got[BATCH];
	uint64_t next_id, answered, sum;
} front __attribute__((aligned(RING_LINE)));

/* Without the DPDK's own memory: a ring is a piece of memory like any other. */
static struct rte_ring *make(const char *name, unsigned element)
{
	ssize_t bytes = rte_ring_get_memsize_elem(element, 2 * RING_DEPTH_MAX);
	struct rte_ring *r = bytes > 0 ? aligned_alloc(RING_LINE, ((size_t)bytes + RING_LINE - 1) / RING_LINE * RING_LINE) : NULL;

	CHECK(r && rte_ring_init(r, name, 2 * RING_DEPTH_MAX, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
	return r;
}

static int rte_open(struct ring_rig *r, char *err, size_t size)
{
	(void)r, (void)err, (void)size;
	there = make("there", sizeof(struct request));
	back_again = make("back", sizeof(struct response));
	memset(&front, 0, sizeof(front));
	return 0;
}

static void rte_close(struct ring_rig *r)
{
	(void)r;
	CHECK(front.answered == front.next_id && front.sum == front.next_id * (front.next_id - 1) / 2);
	free(there);
	free(back_again);
}

static void rte_put(struct ring_rig *r, unsigned n)
{
	(void)r;
	while (n) {
		unsigned m = MIN(n, BATCH);

		for (unsigned i = 0; i < m; i++)
			front.batch[i].w[1] = front.next_id++;
		CHECK(rte_ring_sp_enqueue_bulk_elem(there, front.batch, sizeof(struct request), m, NULL) == m);
		n -= m;
	}
}

static unsigned rte_get(struct ring_rig *r)
{
	unsigned n = rte_ring_sc_dequeue_burst_elem(back_again, front.got, sizeof(struct response), BATCH, NULL);

	(void)r;
	for (unsigned i = 0; i < n; i++)
		front.sum += front.got[i].w[0];
	front.answered += n;
	return n;
}

static unsigned rte_turn(struct ring_rig *r)
{
	struct request req[BATCH];
	struct response rsp[BATCH];
	unsigned n = rte_ring_sc_dequeue_burst_elem(there, req, sizeof(struct request), BATCH, NULL);

	(void)r;
	for (unsigned i = 0; i < n; i++) {
		ring_consume(&req[i]);
		rsp[i] = (struct response){{req[i].w[1], 0}};
	}
	if (n)
		CHECK(rte_ring_sp_enqueue_bulk_elem(back_again, rsp, sizeof(struct response), n, NULL) == n);
	return n;
}

const struct ring_kind ring_rte = {rte_open, rte_close, rte_put, rte_get, NULL, rte_turn, NULL};

#else

static int rte_missing(struct ring_rig *r, char *err, size_t size)
{
	(void)r;
	snprintf(err, size, "built without DPDK (package dpdk-dev)");
	return -ENOSYS;
}

const struct ring_kind ring_rte = {.open = rte_missing};
#endif
