/* port_pair.c - one end of a wire in shared memory. No call but kick and arm enters the kernel, and kick only when the other end
 * sleeps.
 *
 * A position that I write is my own word in shared memory, so that a successor finds it: prod after a packet is whole; taken
 * before it is copied out; freed when its memory may be used again. What dies between taken and the end of the copy is lost,
 * and nothing comes twice. Words of the other end, and lengths, are read once and judged.
 */
#include "backend/port/port_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/os/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_HEAD 8u

struct pair_queue {
	struct netport_queue q;
	struct wire wire;
	int end; /* the socket, kept as it came */
	struct wire_way *tx, *rx;
	char *tx_data, *rx_data;
	uint64_t mask;
	/* Of tx: prod is my word; freed is the other's as I saw it last; told: prod at the last kick. */
	uint64_t prod, peer_freed, prod_told;
	/* Of rx: taken and freed are my words, peer_prod is as I saw it last. */
	uint64_t taken, freed, freed_told, peer_prod;
	unsigned want;
	bool broken;
};

struct pair_port {
	struct netport p;
	struct pair_queue q[];
};

static struct pair_queue *to_pair(struct netport_queue *q) { return CONTAINER_OF(q, struct pair_queue, q); }
static uint64_t record_bytes(size_t len) { return (RECORD_HEAD + len + WIRE_ALIGN - 1) & ~(uint64_t)(WIRE_ALIGN - 1); }
/* An event position lies in (before, now]. */
static bool passed(uint64_t event, uint64_t before, uint64_t now) { return now - event < now - before; }

static void pair_close(struct netport *p)
{
	struct pair_port *pp = CONTAINER_OF(p, struct pair_port, p);

	for (unsigned i = 0; i < p->queues; i++) {
		if (!pp->q[i].wire.mem)
			continue;
		wire_close(&pp->q[i].wire);
		close(pp->q[i].end);
	}
	free(pp);
}

static int open_queue(struct pair_queue *q, int end)
{
	struct wire *w = &q->wire;
	int rc = wire_open(end, w);

	if (rc)
		return rc;
	q->q.ops = &netport_pair_ops;
	q->end = end;
	q->tx = &w->mem->way[w->side];
	q->rx = &w->mem->way[1 - w->side];
	q->tx_data = wire_data(w, w->side);
	q->rx_data = wire_data(w, 1 - w->side);
	q->mask = w->bytes - 1;
	return 0;
}

static int pair_open(const struct netport_open *o, const struct spec *s UNUSED, int *fd, struct netport **out, char *err,
		     size_t size)
{
	struct pair_port *p = aligned_alloc(64, (sizeof(*p) + o->queues * sizeof(p->q[0]) + 63) & ~(size_t)63);
	int rc = 0;

	if (!p)
		return err_say(err, size, -ENOMEM, "out of memory");
	memset(p, 0, sizeof(*p) + o->queues * sizeof(p->q[0]));
	p->p = (struct netport){.ops = &netport_pair_ops, .queues = o->queues};
	for (unsigned i = 0; i < o->queues && !rc; i++) {
		rc = open_queue(&p->q[i], fd[i]);
		if (!rc)
			fd[i] = -1;
	}
	if (rc) {
		pair_close(&p->p);
		return err_say(err, size, rc, "pair: its descriptor is no end of a wire: %s", err_str(rc));
	}
	*out = &p->p;
	return 0;
}

static struct netport_queue *pair_queue(struct netport *p, unsigned index)
{
	CHECK(index < p->queues);
	return &CONTAINER_OF(p, struct pair_port, p)->q[index].q;
}

/* What a former owner told or did not tell the other end is unknown: both bells are rung. */
static int pair_start(struct netport_queue *nq)
{
	struct pair_queue *q = to_pair(nq);

	q->prod = q->prod_told = READ_ONCE_U64(&q->tx->out.prod);
	q->peer_freed = READ_ONCE_U64(&q->tx->in.freed);
	q->taken = READ_ONCE_U64(&q->rx->in.taken);
	q->freed = q->freed_told = READ_ONCE_U64(&q->rx->in.freed);
	q->peer_prod = q->taken;
	if (q->prod - q->peer_freed > q->wire.bytes || q->taken - q->freed > q->wire.bytes ||
	    (q->prod | q->taken | q->freed) % WIRE_ALIGN) {
		q->broken = true;
		return -EPEER;
	}
	wire_ring(q->wire.peers_bell);
	wire_ring(q->wire.bell);
	return 0;
}

/* Room for total bytes, by what the other end says now. */
static int look_for_room(struct pair_queue *q, uint64_t total)
{
	/* Acquire: pairs with give_back(): its copies are over. */
	uint64_t freed = smp_load_acquire(&q->tx->in.freed);

	if (q->prod - freed > q->wire.bytes) {
		q->broken = true;
		return -EPEER;
	}
	q->peer_freed = freed;
	return q->wire.bytes - (q->prod - freed) >= total ? 0 : -EAGAIN;
}

static int pair_write(struct netport_queue *nq, const void *packet, size_t len)
{
	struct pair_queue *q = to_pair(nq);
	uint64_t need = record_bytes(len), at = q->prod & q->mask, rest = q->wire.bytes - at;
	uint64_t total = need <= rest ? need : rest + need;

	if (UNLIKELY(q->broken))
		return -EPEER;
	if (UNLIKELY(q->wire.bytes - (q->prod - q->peer_freed) < total)) {
		int rc = look_for_room(q, total);

		if (rc)
			return rc;
	}
	if (UNLIKELY(need > rest)) {
		pm_store32((uint32_t *)(void *)(q->tx_data + at), WIRE_REST);
		at = 0;
	}
	pm_store32((uint32_t *)(void *)(q->tx_data + at), (uint32_t)len);
	pm_copy(q->tx_data + at + RECORD_HEAD, packet, len);
	q->prod += total;
	smp_wmb(); /* pairs with look_for_data() */
	pm_store64(&q->tx->out.prod, q->prod);
	return 0;
}

/* 1: there is some. */
static int look_for_data(struct pair_queue *q)
{
	uint64_t prod = smp_load_acquire(&q->rx->out.prod); /* pairs with pair_write(): its record is whole */

	if (prod - q->taken > q->wire.bytes || prod % WIRE_ALIGN) {
		q->broken = true;
		return -EPEER;
	}
	q->peer_prod = prod;
	return prod != q->taken;
}

static void give_back(struct pair_queue *q)
{
	if (q->freed == q->taken)
		return;
	q->freed = q->taken;
	smp_mb(); /* the copies, which only read, are over; pairs with look_for_room() */
	pm_store64(&q->rx->in.freed, q->freed);
}

/* The next record: its length, with *at where it is and *total what it takes up; or an error. */
static int64_t next_record(struct pair_queue *q, uint64_t *at, uint64_t *total)
{
	uint32_t len = READ_ONCE_U32(q->rx_data + *at);

	*total = 0;
	if (UNLIKELY(len == WIRE_REST)) {
		*total = q->wire.bytes - *at;
		*at = 0;
		len = READ_ONCE_U32(q->rx_data);
	}
	if (len >= NETPORT_PACKET_MIN && len <= NETPORT_PACKET_MAX) {
		*total += record_bytes(len);
		if (*at + record_bytes(len) <= q->wire.bytes && *total <= q->peer_prod - q->taken)
			return len;
	}
	q->broken = true;
	return -EPEER;
}

static ssize_t pair_read(struct netport_queue *nq, void *packet)
{
	struct pair_queue *q = to_pair(nq);
	uint64_t at = q->taken & q->mask, total;
	int64_t len;

	if (UNLIKELY(q->broken))
		return -EPEER;
	if (q->taken == q->peer_prod) {
		int there = look_for_data(q);

		if (there <= 0)
			return there ? there : -EAGAIN;
	}
	len = next_record(q, &at, &total);
	if (UNLIKELY(len < 0))
		return len;
	q->taken += total;
	pm_store64(&q->rx->in.taken, q->taken);
	netport_deliver(packet, q->rx_data + at + RECORD_HEAD, (size_t)len);
	if (q->taken - q->freed > q->wire.bytes / 4)
		give_back(q);
	return len;
}

static void pair_kick(struct netport_queue *nq)
{
	struct pair_queue *q = to_pair(nq);
	bool ring;

	if (q->broken)
		return;
	give_back(q);
	smp_mb(); /* what was stored, before their events are read; pairs with pair_arm() */
	ring = passed(READ_ONCE_U64(&q->rx->out.room_event), q->freed_told, q->freed);
	ring |= passed(READ_ONCE_U64(&q->tx->in.data_event), q->prod_told, q->prod);
	q->freed_told = q->freed;
	q->prod_told = q->prod;
	if (ring)
		wire_ring(q->wire.peers_bell);
}

static int pair_arm(struct netport_queue *nq, unsigned want)
{
	struct pair_queue *q = to_pair(nq);
	uint64_t half = q->wire.bytes / 2, seen;

	q->want = want;
	pair_kick(nq);
	if (q->broken)
		return want != 0;
	if (read(q->wire.bell, &seen, sizeof(seen)) < 0)
		seen = 0; /* it had not been rung */
	if (want & NETPORT_IN)
		pm_store64(&q->rx->in.data_event, q->taken + 1);
	if (want & NETPORT_OUT)
		pm_store64(&q->tx->out.room_event, q->prod - half); /* half of it is room for whatever comes */
	smp_mb(); /* my events, before their words are read; pairs with pair_kick() */
	if (want & NETPORT_IN && look_for_data(q))
		return 1;
	return want & NETPORT_OUT && look_for_room(q, half) != -EAGAIN;
}

static int pair_fd(const struct netport_queue *nq)
{
	const struct pair_queue *q = CONTAINER_OF(nq, const struct pair_queue, q);

	return q->want ? q->wire.bell : -1;
}

const struct netport_ops netport_pair_ops = {
	.name = "pair",
	.open = pair_open,
	.close = pair_close,
	.queue = pair_queue,
	.start = pair_start,
	.write = pair_write,
	.read = pair_read,
	.kick = pair_kick,
	.arm = pair_arm,
	.fd = pair_fd,
	.due = netport_never_due,
};
