/* One queue: its rings, pages and ports, its polling and its sleep. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/log.h"

#include <stdlib.h>

/* ---- pages */

int netfront_pages_open(struct netfront *f, struct netfront_pages *p, uint32_t n, bool ro)
{
	struct hv_grant g[HV_BATCH_MAX];
	int rc;

	CHECK(n <= HV_BATCH_MAX);
	*p = (struct netfront_pages){.n = n, .gref = calloc(n, sizeof(*p->gref))};
	if (!p->gref)
		return -ENOMEM;
	pthread_mutex_lock(&f->hv_lock);
	rc = hv_alloc(f->hv, n, &p->mem);
	if (rc)
		p->mem = NULL;
	for (uint32_t i = 0; !rc && i < n; i++)
		g[i] = (struct hv_grant){.page = netfront_page(p, i), .ro = ro};
	if (!rc)
		rc = hv_grant(f->hv, f->back_domid, g, n);
	pthread_mutex_unlock(&f->hv_lock);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		p->gref[i] = g[i].gref;
	p->granted = n;
	return 0;
}

void netfront_pages_close(struct netfront *f, struct netfront_pages *p)
{
	int16_t status[HV_BATCH_MAX];

	pthread_mutex_lock(&f->hv_lock);
	if (p->granted)
		hv_ungrant(f->hv, p->gref, p->granted, status);
	if (p->mem)
		hv_free(f->hv, p->mem, p->n); /* -EBUSY while mapped: hv_close() ends it */
	pthread_mutex_unlock(&f->hv_lock);
	free(p->gref);
	*p = (struct netfront_pages){0};
}

/* ---- the queue */

static int open_ports(struct netfront_queue *q)
{
	struct netfront *f = q->f;
	unsigned n = f->info.split ? 2 : 1;
	int rc = 0;

	pthread_mutex_lock(&f->hv_lock);
	for (unsigned i = 0; !rc && i < n; i++)
		rc = hv_port_alloc(f->hv, f->back_domid, &q->port[i]);
	pthread_mutex_unlock(&f->hv_lock);
	return rc ? rc : fe_sleep_open(&q->sleep, q->port, n);
}

int netfront_queue_open(struct netfront *f, unsigned index)
{
	struct netfront_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	f->queue[index] = q;
	q->f = f;
	q->index = index;
	netfront_tx_init(q);
	rc = netfront_pages_open(f, &q->rings, 2, false);
	if (!rc)
		rc = netfront_pages_open(f, &q->tx_pages, NETIF_RING, true);
	if (!rc)
		rc = netfront_pages_open(f, &q->rx_pages, f->info.rx_buffers, false);
	if (!rc)
		rc = open_ports(q);
	if (rc)
		return rc;
	netif_front_init(&q->tx, netfront_page(&q->rings, 0), NETIF_RING, NETIF_TX_ENTRY);
	netif_front_init(&q->rx, netfront_page(&q->rings, 1), NETIF_RING, NETIF_RX_ENTRY);
	netfront_rx_post(q);
	netif_front_publish(&q->rx); /* nobody is there to be notified */
	return 0;
}

void netfront_queue_close(struct netfront_queue *q)
{
	if (!q)
		return;
	fe_sleep_close(&q->sleep);
	for (unsigned i = 0; i < ARRAY_LEN(q->port); i++) {
		if (!q->port[i])
			continue;
		pthread_mutex_lock(&q->f->hv_lock);
		hv_port_close(q->port[i]);
		pthread_mutex_unlock(&q->f->hv_lock);
	}
	netfront_pages_close(q->f, &q->rx_pages);
	netfront_pages_close(q->f, &q->tx_pages);
	netfront_pages_close(q->f, &q->rings);
	free(q);
}

void netfront_end(struct netfront *f, int reason)
{
	if (load_relaxed(&f->ended))
		return;
	store_relaxed(&f->ended, reason);
	for (unsigned i = 0; i < f->nqueues; i++)
		fe_sleep_kick(&f->queue[i]->sleep);
}

/* ---- polling ---- */

static void publish(struct netfront_queue *q)
{
	/* Not short-circuited: both rings are shown. A lost notification is not ours to mend: the other end is gone with its domain. */
	bool tx = netif_front_publish(&q->tx), rx;

	netfront_rx_post(q);
	rx = netif_front_publish(&q->rx);
	store_relaxed(&q->busy, q->tx.published - q->tx.taken);
	if (tx || (rx && !q->port[1]))
		hv_port_notify(q->port[0]);
	if (rx && q->port[1])
		hv_port_notify(q->port[1]);
}

int netfront_poll(struct netfront_queue *q)
{
	struct netfront *f = q->f;
	int event = fe_sleep_wake(&q->sleep), taken, waiting;

	if (event < 0)
		netfront_end(f, -EPEER);
	if (load_relaxed(&f->ended))
		return load_relaxed(&f->ended);
	taken = netfront_tx_take(q);
	waiting = netif_front_pending(&q->rx);
	if (taken < 0 || waiting < 0) {
		netfront_end(f, -EPEER);
		return -EPEER;
	}
	publish(q);
	fe_sleep_looked(&q->sleep, event, waiting || q->got);
	q->got = false;
	return taken || waiting;
}

int netfront_fd(const struct netfront_queue *q) { return fe_sleep_fd(&q->sleep); }

int netfront_arm(struct netfront_queue *q, bool tx)
{
	bool there;

	if (fe_sleep_arm(&q->sleep))
		return 1;
	if (load_relaxed(&q->f->ended))
		return 0;
	there = netif_front_arm(&q->rx, 1);
	if (tx) /* a quarter of what is outstanding: room for more than one packet a wake-up */
		there |= netif_front_arm(&q->tx, MAX((q->tx.published - q->tx.taken) / 4, 1u));
	return there;
}

unsigned netfront_outstanding(const struct netfront_queue *q) { return q->tx.put - q->tx.taken; }

struct netfront_queue *netfront_get_queue(struct netfront *f, unsigned index)
{
	return index < f->nqueues ? f->queue[index] : NULL;
}

void netfront_get_stats(const struct netfront_queue *q, struct netfront_stats *s)
{
	const uint64_t *from = &q->stats.tx_packets;
	uint64_t *to = &s->tx_packets;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*to); i++)
		to[i] = load_relaxed(from + i);
}
