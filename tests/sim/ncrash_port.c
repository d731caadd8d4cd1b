/* ncrash_port.c - the netport of the crash test: it outlives the backend as a tap does, judges what it is given, and gives packets, whose
 * loss or repetition the guest notices. */
#include "tests/sim/ncrash.h"

#include <limits.h>

static struct nc_world *the;

static struct nc_queue *of(const struct netport_queue *q) { return CONTAINER_OF(q, struct nc_queue, np); }

static int op_start(struct netport_queue *q)
{
	(void)q;
	return 0;
}

static void judge(struct nc_world *w, struct nc_queue *q, const uint8_t *packet, size_t len)
{
	static uint8_t frame[NC_FRAME];
	const uint8_t *f = packet + NETPORT_HDR;
	unsigned n = nc_number(f, 0, q->index, q->ntx);
	struct virtio_net_hdr h, is;
	struct nc_pkt *p = &q->txp[n];

	if (n == NC_PKTS || !p->posted || p->bad || strchr("AD", p->kind)) {
		nc_violation(w, "TX-BAD", "queue %u: packet %u was sent", q->index, n);
		return;
	}
	if (p->seen && n + 1 != q->sent) {
		nc_violation(w, "TX-ORDER", "queue %u: packet %u again, after %u", q->index, n, q->sent);
		return;
	}
	for (unsigned i = p->seen ? n : q->sent; i < n; i++)
		if (!q->txp[i].bad && !strchr("AD", q->txp[i].kind) && !q->txp[i].seen && i + 1 != w->wl->tx_killer)
			nc_violation(w, "TX-ORDER", "queue %u: packet %u before %u", q->index, n, i);
	q->repeated += p->seen > 0;
	if (q->repeated > w->number)
		nc_violation(w, "TX-TWICE", "queue %u: packet %u, %u repeated in %u deaths", q->index, n, q->repeated, w->number);
	p->seen++;
	q->sent = n + 1;
	nc_frame(frame, 0, q->index, n, p);
	nc_offload(p, frame, p->len, &h);
	memcpy(&is, packet, sizeof(is));
	if (len != NETPORT_HDR + p->len || memcmp(f, frame, p->len) != 0 || memcmp(&is, &h, sizeof(h)) != 0)
		nc_violation(w, "TX-DATA", "queue %u: packet %u, %zu bytes", q->index, n, len);
}

static int op_write(struct netport_queue *nq, const void *packet, size_t len)
{
	struct nc_world *w = the;
	struct nc_queue *q = of(nq);

	nc_point();
	if (q->no_room)
		return -EAGAIN;
	if (w->wl->tx_killer && q->index == 0 && nc_number((const uint8_t *)packet + NETPORT_HDR, 0, 0, q->ntx) + 1 == w->wl->tx_killer) {
		w->own = true;
		longjmp(w->die, 1);
	}
	judge(w, q, packet, len);
	nc_point();
	return 0;
}

static bool wanted(const struct nc_world *w, const struct nc_pkt *p)
{
	if (p->kind != 'M' || !(w->conn.features & CONN_NET_MCAST))
		return true;
	return w->mcast_answered[p->arg] && !w->mcast_gone[p->arg];
}

/* As the kernel copies: from the front; cut short, if at all, before a page. */
static ssize_t op_read(struct netport_queue *nq, void *packet)
{
	static uint8_t frame[NETPORT_HDR + NC_FRAME];
	struct nc_world *w = the;
	struct nc_queue *q = of(nq);
	struct nc_pkt *p = &q->rxp[q->next_rx];
	struct virtio_net_hdr h;
	uint32_t len;

	nc_point();
	if (!q->avail || q->next_rx == q->nrx)
		return -EAGAIN;
	q->avail--;
	len = (uint32_t)NETPORT_HDR + nc_frame(frame + NETPORT_HDR, 1, q->index, q->next_rx, p);
	nc_offload(p, frame + NETPORT_HDR, p->len, &h);
	memcpy(frame, &h, sizeof(h));
	q->next_rx++;
	p->given = true;
	p->must = wanted(w, p);
	p->said = w->said == w->heard ? w->said : UINT_MAX;
	for (uint32_t at = 0; at < len; at += JRNL_PAGE) {
		memcpy((uint8_t *)packet + at, frame + at, MIN(len - at, JRNL_PAGE));
		if (w->wl->cut)
			nc_point();
	}
	nc_point();
	return (ssize_t)len;
}

static void op_kick(struct netport_queue *q) { (void)q; }

bool nc_port_event(const struct nc_queue *q)
{
	return ((q->want & NETPORT_IN) && q->avail && q->next_rx < q->nrx) || ((q->want & NETPORT_OUT) && !q->no_room);
}

static int op_arm(struct netport_queue *nq, unsigned want)
{
	of(nq)->want = want;
	return nc_port_event(of(nq));
}

static int op_fd(const struct netport_queue *q)
{
	(void)q;
	return -1;
}

static uint64_t op_due(const struct netport_queue *q)
{
	(void)q;
	return UINT64_MAX;
}

static struct netport_queue *op_queue(struct netport *p, unsigned i)
{
	return &CONTAINER_OF(p, struct nc_world, netport)->q[i].np;
}

static const struct netport_ops ops = {.name = "crash", .queue = op_queue, .start = op_start, .write = op_write, .read = op_read,
				       .kick = op_kick, .arm = op_arm, .fd = op_fd, .due = op_due};

void nc_port_open(struct nc_world *w)
{
	the = w;
	w->netport = (struct netport){.ops = &ops, .queues = w->nqueues};
	for (unsigned i = 0; i < w->nqueues; i++) {
		w->q[i].np.ops = &ops;
		w->q[i].index = i;
		w->q[i].nrx = nc_parse(w->wl->rx[i], w->q[i].rxp);
	}
}

void nc_port_step(struct nc_world *w)
{
	for (unsigned i = 0; i < w->nqueues; i++) {
		w->q[i].avail += crash_below(&w->rng, 3) == 0;
		w->q[i].no_room = w->wl->full && crash_below(&w->rng, 3) == 0;
	}
}
