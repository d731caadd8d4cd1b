#include "backend/net/netback_priv.h"

#include "backend/core/be_guest.h"

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_NS (10 * NS_PER_S)
#define STALL_NS (60 * NS_PER_S)
#define BURST_MIN 131072u /* bytes that a rate lets through at once, whatever it is: more than the largest packet */

void net_lock(struct netback *b)
{
	/* Acquire: pairs with net_unlock(). Held for a few instructions, or a copy of njrnl_net. */
	while (exchange_acq_rel(&b->lock, 1))
		cpu_relax();
}

void net_unlock(struct netback *b) { smp_store_release(&b->lock, 0); } /* pairs with net_lock() */

void net_break(struct netback *b, enum be_event e, const char *text)
{
	if (!exchange_acq_rel(&b->broken, 1))
		b->event(b->event_arg, e, 0, text);
}

void net_poison(struct netback_queue *q, const char *what, uint64_t which)
{
	char text[128];

	snprintf(text, sizeof(text), "%s (%llu) of queue %u killed %u stubs: dropped", what, (unsigned long long)which, q->index,
		 NET_CONVICT);
	q->dev->event(q->dev->event_arg, BE_POISON, which, text);
}

void net_copy(struct netback *b, struct hv_copy *c, uint32_t n)
{
	if (n)
		be_only_guests_fault(hv_copy(b->hv, (hv_domid_t)b->conn.domid, c, n));
}

/* ---- the rate: every rate_us another rate_bytes, never more than a burst; of all queues together */

void netback_rate(struct netback *b, uint64_t bytes, uint64_t us)
{
	net_lock(b);
	b->rate_bytes = bytes;
	b->credit = MAX(bytes, BURST_MIN);
	b->credit_at = 0;
	store_relaxed(&b->rate_us, bytes ? us : 0);
	net_unlock(b);
}

bool net_pay(struct netback_queue *q, uint32_t bytes)
{
	struct netback *b = q->dev;
	uint64_t windows, max, window;
	bool ok;

	if (LIKELY(!load_relaxed(&b->rate_us)))
		return true;
	net_lock(b);
	max = MAX(b->rate_bytes, BURST_MIN);
	window = MAX(b->rate_us, 1u) * NS_PER_US;
	windows = q->now > b->credit_at ? (q->now - b->credit_at) / window : 0;
	if (windows && b->rate_bytes) {
		b->credit = windows > max / b->rate_bytes ? max : MIN(b->credit + windows * b->rate_bytes, max);
		b->credit_at += windows * window;
	}
	ok = !b->rate_us || b->credit >= bytes;
	if (ok && b->rate_us)
		b->credit -= bytes;
	net_unlock(b);
	return ok;
}

/* ---- set-up */

static int open_queue(struct netback *b, unsigned i, const struct be_prepare *p)
{
	struct netback_queue *q = &b->q[i];

	q->dev = b;
	q->index = i;
	q->port_tx = p->port[i];
	q->port_rx = p->port_rx[i] ? p->port_rx[i] : p->port[i];
	q->np = netport_queue(b->netport, i);
	netif_back_init(&q->tx, p->ring[i], b->entries, NETIF_TX_ENTRY);
	netif_back_init(&q->rx, p->ring_rx[i], b->entries, NETIF_RX_ENTRY);
	if (b->conn.features & CONN_NET_SG) /* who takes one page gets no longer packets */
		memset(q->rx_dirty, NJRNL_DATA / JRNL_PAGE - 1, sizeof(q->rx_dirty));
	q->out = calloc(NET_BATCH, sizeof(*q->out));
	q->copy = calloc(HV_BATCH_MAX, sizeof(*q->copy));
	q->arena = aligned_alloc(64, NET_ARENA);
	return q->out && q->copy && q->arena ? 0 : -ENOMEM;
}

int netback_prepare(const struct be_prepare *p, const struct netback_options *o, struct netback **out)
{
	struct netback *b = calloc(1, sizeof(*b));
	int rc = 0;

	if (!b)
		return -ENOMEM;
	if (p->conn->nqueues == 0 || p->conn->nqueues > CONN_QUEUES_MAX || o->netport->queues < p->conn->nqueues ||
	    p->conn->xdp_headroom >= BH_PAGE_SIZE / 2) {
		free(b);
		return -EINVAL;
	}
	b->conn = *p->conn;
	b->hv = p->hv;
	b->netport = o->netport;
	b->journal = p->journal;
	b->journal_bytes = p->journal_bytes;
	b->steer = o->steer;
	b->event = p->event;
	b->event_arg = p->event_arg;
	b->entries = o->entries ? o->entries : NETIF_RING;
	b->drain_ns = o->drain_ms ? o->drain_ms * NS_PER_MS : DRAIN_NS;
	b->stall_ns = o->stall_ms ? o->stall_ms * NS_PER_MS : STALL_NS;
	netback_rate(b, o->rate_bytes, o->rate_us);
	if (p->ctrl_ring && p->ctrl_port) {
		netif_back_init(&b->ctrl, p->ctrl_ring, MIN(b->entries, NETIF_CTRL_RING), NETIF_CTRL_ENTRY);
		b->ctrl_port = p->ctrl_port;
	}
	for (unsigned i = 0; !rc && i < b->conn.nqueues; i++)
		rc = open_queue(b, i, p);
	if (rc)
		return rc; /* the stub ends now: nothing is given back */
	*out = b;
	return 0;
}

struct netback_queue *netback_get_queue(struct netback *b, unsigned index) { return &b->q[index]; }

/* ---- turns */

static void show_state(struct netback_queue *q)
{
	bool behind = q->sent != q->req_cons;

	pm_stat64(&NET_STAT(q, common.stats.oldest_taken), behind ? q->taken_at : 0);
	pm_stat64(&NET_STAT(q, common.stats.engine_outstanding), q->full);
}

unsigned netback_turn(struct netback_queue *q, unsigned budget)
{
	struct netback *b = q->dev;
	bool busy = false;

	if (UNLIKELY(load_relaxed(&b->broken)))
		return BE_HALTED;
	NET_COUNT(q, common.stats.turn, 2);
	if (q->index == 0 && UNLIKELY(load_relaxed(&b->mcast_wish)))
		net_mcast_obey(b);
	if (q->index == 0 && b->ctrl_port)
		busy = net_ctrl_turn(b);
	njrnl_work(q->j, NJRNL_TX);
	busy |= net_tx_turn(q, budget);
	if (UNLIKELY(load_relaxed(&b->broken)))
		return BE_HALTED;
	njrnl_work(q->j, NJRNL_RX);
	busy |= net_rx_read(q, budget);
	busy |= net_rx_place(q);
	njrnl_work(q->j, NJRNL_IDLE);
	if (q->moved) {
		netport_kick(q->np);
		q->moved = false;
	}
	if (busy || q->full)
		show_state(q);
	q->now = clock_lately(&q->clock);
	return load_relaxed(&b->broken) ? BE_HALTED : busy ? BE_BUSY : BE_IDLE;
}

static unsigned wants(const struct netback_queue *q)
{
	bool room = q->rx_next - q->rx_head < NJRNL_BUFS && !load_relaxed(&q->dev->draining);

	return (room ? NETPORT_IN : 0u) | (q->full ? NETPORT_OUT : 0u);
}

int netback_arm(struct netback_queue *q)
{
	struct netback *b = q->dev;

	if (load_relaxed(&b->broken))
		return 0;
	if (!load_relaxed(&b->draining)) {
		if (q->out_at == q->nout && !q->rated && ring_back_arm(q->tx.hdr, q->req_cons + 1, q->req_cons))
			return 1;
		if (q->index == 0 && b->ctrl_port && ring_back_arm(b->ctrl.hdr, b->ctrl_cons + 1, b->ctrl_cons))
			return 1;
	}
	if (q->rx_need) {
		ring_back_arm(q->rx.hdr, q->rx_cons + q->rx_need, q->rx_cons);
		if (READ_ONCE_U32(&q->rx.hdr->req_prod) - (uint32_t)q->rx_cons >= q->rx_need)
			return 1;
	}
	return netport_arm(q->np, wants(q));
}

int netback_netport_fd(struct netback_queue *q) { return netport_fd(q->np); }

uint64_t netback_deadline(struct netback_queue *q)
{
	struct netback *b = q->dev;
	uint64_t at = netport_due(q->np), wait = q->rx_wait_since;

	if (q->rated) {
		net_lock(b);
		at = MIN(at, b->credit_at + b->rate_us * NS_PER_US);
		net_unlock(b);
	}
	if (wait && q->rx_head != q->rx_next)
		at = MIN(at, wait + MIN(b->drain_ns, b->stall_ns));
	return at;
}

void netback_awake(struct netback_queue *q)
{
	pm_stat64(&NET_STAT(q, common.stats.turn), NET_STAT(q, common.stats.turn) | 1);
	q->rx_dry = false;
	q->now = clock_lately(&q->clock);
}

void netback_asleep(struct netback_queue *q)
{
	pm_stat64(&NET_STAT(q, common.stats.turn), (NET_STAT(q, common.stats.turn) | 1) + 1);
}

void netback_drain(struct netback *b) { store_relaxed(&b->draining, 1); }

int netback_drained(struct netback_queue *q)
{
	return load_relaxed(&q->dev->draining) && q->sent == q->req_cons && q->shown == q->sent;
}

#ifdef PM_HOOK
void netback_abandon(struct netback *b)
{
	for (unsigned i = 0; i < b->conn.nqueues; i++) {
		free(b->q[i].out);
		free(b->q[i].copy);
		free(b->q[i].arena);
	}
	free(b);
}
#endif
