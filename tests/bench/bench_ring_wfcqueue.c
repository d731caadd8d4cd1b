/* bench_ring_wfcqueue.c - a pair of liburcu's wait-free queues: a node carries a request there and its answer back. */
#include "tests/bench/bench_ring_rig.h"

#include "ring/base/check.h"

#include <stdlib.h>
#include <string.h>
#include <urcu/wfcqueue.h>

struct node {
	struct cds_wfcq_node link;
	union {
		uint64_t request[RING_REQUEST / 8];
		uint64_t response[RING_RESPONSE / 8];
	};
} __attribute__((aligned(64)));

struct queue {
	struct __cds_wfcq_head head __attribute__((aligned(RING_LINE)));
	struct cds_wfcq_tail tail __attribute__((aligned(RING_LINE)));
};

static struct queue there, back_again;
static struct node nodes[RING_DEPTH_MAX];
static struct {
	struct node *free[RING_DEPTH_MAX];
	unsigned nfree;
	uint64_t like[RING_REQUEST / 8], next_id, answered, sum;
} front __attribute__((aligned(RING_LINE)));

static int wfcqueue_open(struct ring_rig *r, char *err, size_t size)
{
	(void)err, (void)size;
	__cds_wfcq_init(&there.head, &there.tail);
	__cds_wfcq_init(&back_again.head, &back_again.tail);
	front.nfree = r->depth;
	front.next_id = front.answered = front.sum = 0;
	for (unsigned i = 0; i < r->depth; i++)
		front.free[i] = &nodes[i];
	return 0;
}

static void wfcqueue_close(struct ring_rig *r)
{
	(void)r;
	CHECK(front.answered == front.next_id && front.sum == front.next_id * (front.next_id - 1) / 2);
}

static void wfcqueue_put(struct ring_rig *r, unsigned n)
{
	(void)r;
	while (n--) {
		struct node *x = front.free[--front.nfree];

		memcpy(x->request, front.like, sizeof(x->request));
		x->request[1] = front.next_id++;
		cds_wfcq_node_init(&x->link);
		cds_wfcq_enqueue(&there.head, &there.tail, &x->link);
	}
}

static unsigned wfcqueue_get(struct ring_rig *r)
{
	struct cds_wfcq_node *x;
	unsigned n = 0;

	(void)r;
	while ((x = __cds_wfcq_dequeue_nonblocking(&back_again.head, &back_again.tail)) && x != CDS_WFCQ_WOULDBLOCK) {
		struct node *d = CONTAINER_OF(x, struct node, link);

		front.sum += d->response[0];
		front.free[front.nfree++] = d;
		n++;
	}
	front.answered += n;
	return n;
}

static unsigned wfcqueue_turn(struct ring_rig *r)
{
	struct cds_wfcq_node *x;
	unsigned n = 0;

	(void)r;
	while ((x = __cds_wfcq_dequeue_nonblocking(&there.head, &there.tail)) && x != CDS_WFCQ_WOULDBLOCK) {
		struct node *d = CONTAINER_OF(x, struct node, link);
		uint64_t id = d->request[1];

		ring_consume(d->request);
		d->response[0] = id;
		d->response[1] = 0;
		cds_wfcq_node_init(&d->link);
		cds_wfcq_enqueue(&back_again.head, &back_again.tail, &d->link);
		n++;
	}
	return n;
}

const struct ring_kind ring_wfcqueue = {wfcqueue_open, wfcqueue_close, wfcqueue_put, wfcqueue_get, NULL, wfcqueue_turn, NULL};
