/* filter.c - loses, doubles, reorders and delays packets, on their way in and out alike. What it holds it holds in the process: it
 * dies with it, as what is on a wire that is cut. */
#include "backend/port/port_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/net_spec.h"
#include "ring/os/clock.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define OVERTAKEN_NS (10 * NS_PER_MS) /* a packet that is to be overtaken waits no longer for the next */

struct held {
	STAILQ_ENTRY(held) link;
	uint64_t due;
	size_t len;
	char packet[];
};
STAILQ_HEAD(held_list, held);

/* One direction of one queue. */
struct way {
	struct held_list list; /* in the order they go on */
	struct held *aside;    /* to be overtaken by the next */
	unsigned count;
	unsigned number; /* among all ways of the netport */
	uint32_t seed;	 /* that its dice had */
	uint64_t dice;
};

struct filter_port;
struct filter_queue {
	struct netport_queue q;
	struct netport_queue *inner;
	const struct filter_port *f;
	struct way in, out;
	unsigned want;
	bool blocked; /* inner is full: what is due can't go out */
	alignas(uint64_t) char scratch[NETPORT_PACKET_MAX];
};

struct filter_port {
	struct netport p;
	struct netport *inner; /* owned */
	struct net_filter set; /* words that netport_filter() stores and queues read, each for itself */
	uint32_t on;	       /* any of them is */
	struct filter_queue q[];
};

static struct filter_queue *to_filter(struct netport_queue *q) { return CONTAINER_OF(q, struct filter_queue, q); }

static bool any(const struct net_filter *set)
{
	uint32_t on = set->delay_ms;

	for (unsigned i = 0; i < NET_CHANCES; i++)
		on |= set->chance[i];
	return on;
}

int netport_filter(struct netport *p, const char *options, char *err, size_t size)
{
	struct filter_port *f = CONTAINER_OF(p, struct filter_port, p);
	struct net_filter set;
	int rc = net_filter_parse(options, &set, err, size);

	CHECK(p->ops == &netport_filter_ops);
	if (rc < 0)
		return rc;
	store_relaxed(&f->set.seed, set.seed);
	for (unsigned i = 0; i < NET_CHANCES; i++)
		store_relaxed(&f->set.chance[i], set.chance[i]);
	store_relaxed(&f->set.delay_ms, set.delay_ms);
	store_relaxed(&f->on, any(&set));
	return 0;
}

/* ---- what happens to a packet */

static void throw_dice(struct way *w, uint32_t seed)
{
	w->seed = seed;
	w->dice = (64ull * seed + w->number + 1) * 0x9e3779b97f4a7c15u; /* never 0, and far apart */
}

/* xorshift64 */
static bool happens(struct way *w, const struct net_filter *set, unsigned what)
{
	uint32_t chance = load_relaxed(&set->chance[what]), seed = load_relaxed(&set->seed);

	if (seed != w->seed)
		throw_dice(w, seed);
	w->dice ^= w->dice << 13;
	w->dice ^= w->dice >> 7;
	w->dice ^= w->dice << 17;
	return w->dice % NET_MILLION < chance;
}

static bool idle(const struct filter_port *f, const struct way *w) { return LIKELY(!load_relaxed(&f->on) && !w->count); }

static struct held *hold(struct way *w, const void *packet, size_t len, uint64_t due)
{
	struct held *h = w->count < NETPORT_HELD ? malloc(sizeof(*h) + len) : NULL;

	if (!h)
		return NULL;
	h->due = due;
	h->len = len;
	memcpy(h->packet, packet, len);
	w->count++;
	return h;
}

static void let_go(struct way *w, struct held *h)
{
	w->count--;
	free(h);
}

static void append(struct way *w, struct held *h)
{
	if (h)
		STAILQ_INSERT_TAIL(&w->list, h, link);
}

static void admit(struct way *w, const struct net_filter *set, const void *packet, size_t len)
{
	uint64_t now = clock_now(), due = now + load_relaxed(&set->delay_ms) * NS_PER_MS;
	struct held *before = w->aside;

	if (happens(w, set, NET_LOSS))
		return;
	if (!before && happens(w, set, NET_REORDER)) {
		w->aside = hold(w, packet, len, due + OVERTAKEN_NS);
		return;
	}
	append(w, hold(w, packet, len, due));
	if (happens(w, set, NET_DUPLICATE))
		append(w, hold(w, packet, len, due));
	if (before)
		before->due = due;
	append(w, before);
	w->aside = NULL;
}

/* The next packet that may go on now, or NULL. It stays first. */
static struct held *next_due(struct way *w)
{
	uint64_t now = w->count ? clock_now() : 0;
	struct held *first;

	if (w->aside && w->aside->due <= now) {
		append(w, w->aside);
		w->aside = NULL;
	}
	first = STAILQ_FIRST(&w->list);
	return first && first->due <= now ? first : NULL;
}

static void drop_first(struct way *w)
{
	struct held *h = STAILQ_FIRST(&w->list);

	STAILQ_REMOVE_HEAD(&w->list, link);
	let_go(w, h);
}

static uint64_t way_due(const struct way *w)
{
	const struct held *first = STAILQ_FIRST(&w->list);
	uint64_t due = first ? first->due : UINT64_MAX;

	return w->aside ? MIN(due, w->aside->due) : due;
}

/* What a device refuses for good is lost. */
static void pump_out(struct filter_queue *q)
{
	struct held *h;

	q->blocked = false;
	while ((h = next_due(&q->out))) {
		q->blocked = netport_write(q->inner, h->packet, h->len) == -EAGAIN;
		if (q->blocked)
			return;
		drop_first(&q->out);
	}
}

/* ---- the netport's operations */

static int filter_write(struct netport_queue *nq, const void *packet, size_t len)
{
	struct filter_queue *q = to_filter(nq);

	if (idle(q->f, &q->out))
		return netport_write(q->inner, packet, len);
	admit(&q->out, &q->f->set, packet, len);
	pump_out(q);
	return 0;
}

static ssize_t filter_read(struct netport_queue *nq, void *packet)
{
	struct filter_queue *q = to_filter(nq);
	struct held *h;
	ssize_t n;

	pump_out(q);
	if (idle(q->f, &q->in))
		return netport_read(q->inner, packet);
	while (!(h = next_due(&q->in)) && (n = netport_read(q->inner, q->scratch)) > 0)
		admit(&q->in, &q->f->set, q->scratch, (size_t)n);
	if (!h)
		return n;
	n = (ssize_t)h->len;
	netport_deliver(packet, h->packet, h->len);
	drop_first(&q->in);
	return n;
}

static void filter_kick(struct netport_queue *nq)
{
	struct filter_queue *q = to_filter(nq);

	pump_out(q);
	netport_kick(q->inner);
}

static int filter_arm(struct netport_queue *nq, unsigned want)
{
	struct filter_queue *q = to_filter(nq);

	pump_out(q);
	q->want = want | (q->blocked ? NETPORT_OUT : 0);
	return netport_arm(q->inner, q->want) || (want & NETPORT_IN && next_due(&q->in));
}

static int filter_fd(const struct netport_queue *q)
{
	return netport_fd(CONTAINER_OF(q, const struct filter_queue, q)->inner);
}

static uint64_t filter_due(const struct netport_queue *nq)
{
	const struct filter_queue *q = CONTAINER_OF(nq, const struct filter_queue, q);
	uint64_t out = q->blocked ? UINT64_MAX : way_due(&q->out);
	uint64_t in = q->want & NETPORT_IN ? way_due(&q->in) : UINT64_MAX;

	return MIN(MIN(in, out), netport_due(q->inner));
}

static void drop_way(struct way *w)
{
	append(w, w->aside);
	while (!STAILQ_EMPTY(&w->list))
		drop_first(w);
}

static void filter_close(struct netport *p)
{
	struct filter_port *f = CONTAINER_OF(p, struct filter_port, p);

	for (unsigned i = 0; i < p->queues; i++) {
		drop_way(&f->q[i].in);
		drop_way(&f->q[i].out);
	}
	netport_close(f->inner);
	free(f);
}

static struct netport_queue *filter_queue(struct netport *p, unsigned index)
{
	CHECK(index < p->queues);
	return &CONTAINER_OF(p, struct filter_port, p)->q[index].q;
}

static int filter_start(struct netport_queue *q) { return netport_start(to_filter(q)->inner); }

const struct netport_ops netport_filter_ops = {
	.name = "filter",
	.close = filter_close,
	.queue = filter_queue,
	.start = filter_start,
	.write = filter_write,
	.read = filter_read,
	.kick = filter_kick,
	.arm = filter_arm,
	.fd = filter_fd,
	.due = filter_due,
};

static void init_way(struct way *w, unsigned number, uint32_t seed)
{
	STAILQ_INIT(&w->list);
	w->number = number;
	throw_dice(w, seed);
}

int netport_filter_stack(struct spec *s, struct netport **p, char *err, size_t size)
{
	struct net_filter set;
	struct filter_port *f;
	int rc = net_filter_take(s, &set, err, size);

	if (rc < 0)
		return rc;
	f = calloc(1, sizeof(*f) + (*p)->queues * sizeof(f->q[0]));
	if (!f)
		return err_say(err, size, -ENOMEM, "out of memory");
	f->p = (struct netport){.ops = &netport_filter_ops, .queues = (*p)->queues};
	f->inner = *p;
	f->set = set;
	f->on = any(&set);
	for (unsigned i = 0; i < f->p.queues; i++) {
		struct filter_queue *q = &f->q[i];

		q->q.ops = &netport_filter_ops;
		q->inner = netport_queue(*p, i);
		q->f = f;
		init_way(&q->in, 2 * i, set.seed);
		init_way(&q->out, 2 * i + 1, set.seed);
	}
	*p = &f->p;
	return 0;
}
