#define XEN_NETIF_DEFINE_TOEPLITZ
#include "tests/sim/ncrash.h"

#include "ring/base/check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define CANARY 0xc5
#define BAD_GREF 99999u
#define mb() smp_mb()
#define wmb() smp_wmb()
#define rmb() smp_rmb()

static char *tx_page(const struct nc_world *w, struct nc_queue *q, uint32_t i) { return q->tx_pages + (i & (w->wl->nr - 1)) * BH_PAGE_SIZE; }
static char *rx_page(const struct nc_world *w, struct nc_queue *q, uint32_t i) { return q->rx_pages + (i & (w->wl->nr - 1)) * BH_PAGE_SIZE; }

static hv_gref_t grant(struct nc_world *w, void *page, bool ro)
{
	struct hv_grant g = {.page = page, .ro = ro};

	CHECK(hv_grant(w->guest, 0, &g, 1) == 0);
	return g.gref;
}

/* After an answer the page is the guest's again, for good. */
static void take_back(struct nc_world *w, hv_gref_t gref, void *page)
{
	int16_t status = 0;

	hv_ungrant(w->guest, &gref, 1, &status);
	if (status)
		nc_violation(w, "NO-LATE", "grant %u is still mapped after its answer (%d)", gref, status);
	memset(page, CANARY, BH_PAGE_SIZE);
}

static void still_mine(struct nc_world *w, const char *page)
{
	for (unsigned i = 0; i < BH_PAGE_SIZE; i += 8)
		if ((uint8_t)page[i] != CANARY) {
			nc_violation(w, "NO-LATE", "a page was written after its answer, at %u", i);
			return;
		}
}

/* ---- TX */

static unsigned extras_of(const struct nc_pkt *p) { return strchr("TWAD", p->kind) != NULL; }

static void put_extra(struct netif_extra_info *e, const struct nc_pkt *p)
{
	memset(e, 0, sizeof(*e));
	if (strchr("TW", p->kind)) {
		e->type = XEN_NETIF_EXTRA_TYPE_GSO;
		e->u.gso.size = 500;
		e->u.gso.type = p->kind == 'T' ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
		return;
	}
	e->type = p->kind == 'A' ? XEN_NETIF_EXTRA_TYPE_MCAST_ADD : XEN_NETIF_EXTRA_TYPE_MCAST_DEL;
	memcpy(e->u.mcast.addr, (const uint8_t[6]){1, 0, 0x5e, 0, 0, (uint8_t)p->arg}, 6);
}

static unsigned part_len(const struct nc_pkt *p, unsigned i)
{
	unsigned full = p->kind == 'E' ? (p->parts + 1) / 2 : p->parts, k = p->kind == 'E' ? i / 2 : i;

	if (p->kind == 'E' && i % 2)
		return 0;
	return p->len / full + (k < p->len % full);
}

static void put_part(struct nc_world *w, struct nc_queue *q, unsigned n, unsigned i, const uint8_t *data)
{
	struct nc_pkt *p = &q->txp[n];
	uint32_t at = q->tx_prod + (i ? i + extras_of(p) : 0);
	unsigned len = part_len(p, i), off = crash_below(&w->rng, (unsigned)BH_PAGE_SIZE - len + 1);
	struct nc_entry *e = &q->te[at & (w->wl->nr - 1)];
	struct netif_tx_request *r = &q->tx->ring[at & (w->wl->nr - 1)].req;
	char *page = tx_page(w, q, at);

	still_mine(w, page);
	memcpy(page + off, data, len);
	*e = (struct nc_entry){.used = true, .id = (uint16_t)(n * 31 + i * 7 + 1), .pkt = n, .gref = grant(w, page, true)};
	*r = (struct netif_tx_request){.gref = p->kind == 'B' && i == p->parts - 1 ? BAD_GREF : e->gref, .offset = (uint16_t)off,
				       .id = e->id, .size = (uint16_t)(i ? len : p->len)};
	if (p->kind == 'L' && i == 1) {
		r->offset = 0;
		r->size = BH_PAGE_SIZE;
	}
	if (p->kind == 'E' && !len)
		r->gref = BAD_GREF; /* nobody looks at it */
	r->flags = i + 1 < p->parts ? NETTXF_more_data : 0;
	if (i)
		return;
	r->flags |= (extras_of(p) ? NETTXF_extra_info : 0) | (strchr("CTW", p->kind) ? NETTXF_csum_blank : 0);
}

static unsigned post_tx(struct nc_world *w, struct nc_queue *q)
{
	static uint8_t frame[NC_FRAME];
	unsigned n = q->next_tx++, at = 0;
	struct nc_pkt *p = &q->txp[n];

	nc_frame(frame, 0, q->index, n, p);
	for (unsigned i = 0; i < p->parts; at += part_len(p, i), i++)
		put_part(w, q, n, i, frame + at);
	if (extras_of(p)) {
		uint32_t e = (q->tx_prod + 1) & (w->wl->nr - 1);

		put_extra((void *)&q->tx->ring[e], p);
		q->te[e] = (struct nc_entry){.used = true, .extra = true, .pkt = n};
	}
	p->posted = true;
	if (p->kind == 'A')
		w->mcast_posted[p->arg] = 1;
	if (p->kind == 'D')
		w->mcast_gone[p->arg] = 1;
	return p->parts + extras_of(p);
}

static void post_packets(struct nc_world *w, struct nc_queue *q)
{
	uint32_t old = q->tx_prod, req_event;

	for (unsigned k = crash_below(&w->rng, w->wl->batch + 1); k && q->next_tx < q->ntx; k--) {
		const struct nc_pkt *p = &q->txp[q->next_tx];

		if (q->tx_prod - q->tx_cons + p->parts + extras_of(p) > w->wl->nr)
			break;
		q->tx_prod += post_tx(w, q);
	}
	if (q->tx_prod == old)
		return;
	wmb();
	q->tx->req_prod = q->tx_prod;
	mb();
	req_event = q->tx->req_event;
	if (q->tx_prod - req_event < q->tx_prod - old)
		hv_port_notify(q->port);
}

static void tx_answered(struct nc_world *w, struct nc_queue *q, uint32_t i)
{
	const struct netif_tx_response *r = &q->tx->ring[i & (w->wl->nr - 1)].rsp;
	struct nc_entry *e = &q->te[i & (w->wl->nr - 1)];
	struct nc_pkt *p = &q->txp[e->pkt];
	bool killer = q->index == 0 && e->pkt + 1 == w->wl->tx_killer;
	int16_t status = e->extra ? NETIF_RSP_NULL : p->bad || killer ? NETIF_RSP_ERROR : NETIF_RSP_OKAY;

	if (!e->used || r->status != status || (!e->extra && r->id != e->id))
		nc_violation(w, "ANSWER", "queue %u: entry %u of packet %u (%c): id %u of %u, status %d of %d", q->index, i, e->pkt,
			     p->kind, r->id, e->id, r->status, status);
	if (!p->bad && !killer && !strchr("AD", p->kind) && !p->seen)
		nc_violation(w, "TX-LOST", "queue %u: packet %u is answered and was not sent", q->index, e->pkt);
	if (p->kind == 'A' && !e->extra)
		w->mcast_answered[p->arg] = 1;
	if (e->gref)
		take_back(w, e->gref, tx_page(w, q, i));
	e->used = false;
}

static void hear_tx(struct nc_world *w, struct nc_queue *q)
{
	uint32_t prod = READ_ONCE_U32(&q->tx->rsp_prod);

	if (prod - q->tx_cons > q->tx_prod - q->tx_cons) {
		nc_violation(w, "ANSWER", "queue %u: %u answers of %u", q->index, prod - q->tx_cons, q->tx_prod - q->tx_cons);
		return;
	}
	rmb();
	while (q->tx_cons != prod)
		tx_answered(w, q, q->tx_cons++);
	q->tx->rsp_event = q->tx_cons + 1;
	mb();
}

/* ---- RX */

static void post_buffers(struct nc_world *w, struct nc_queue *q)
{
	unsigned max = w->wl->posted ? w->wl->posted : w->wl->nr;
	uint32_t old = q->rx_prod;

	for (unsigned k = crash_below(&w->rng, max + 1); k && q->rx_prod - q->rx_cons < max; k--, q->rx_prod++) {
		struct nc_entry *e = &q->re[q->rx_prod & (w->wl->nr - 1)];
		char *page = rx_page(w, q, q->rx_prod);

		still_mine(w, page);
		*e = (struct nc_entry){.used = true, .id = (uint16_t)(q->rx_prod * 13 + 5), .gref = grant(w, page, false)};
		q->rx->ring[q->rx_prod & (w->wl->nr - 1)].req = (struct netif_rx_request){.id = e->id, .gref = e->gref};
	}
	if (q->rx_prod == old)
		return;
	wmb();
	q->rx->req_prod = q->rx_prod;
	mb();
	if (q->rx_prod - q->rx->req_event < q->rx_prod - old)
		hv_port_notify(q->port_rx);
}

struct got {
	uint8_t frame[NC_FRAME + 8192];
	uint32_t len;
	uint16_t flags;
	unsigned types; /* of extra info */
	struct netif_extra_info extra[8];
};

static bool expected_hash(const struct nc_world *w, const struct nc_pkt *p, const uint8_t *frame, uint8_t *type, uint32_t *hash)
{
	uint8_t buf[36];
	bool v6 = strchr("VW", p->kind), tcp = strchr("TW", p->kind);
	unsigned n = v6 ? 32 : 8;

	if (strchr("RX", p->kind) || w->net.hash_alg == 0)
		return false;
	*type = v6 ? (tcp ? 3 : 2) : tcp ? 1 : 0;
	if (!(w->net.hash_flags >> *type & 1) && tcp)
		*type = v6 ? 2 : 0;
	if (!(w->net.hash_flags >> *type & 1))
		return false;
	memcpy(buf, frame + (v6 ? 22 : 26), n);
	memcpy(buf + n, frame + (v6 ? 54 : 34), 4);
	*hash = xen_netif_toeplitz_hash(w->net.key, w->net.key_len, buf, *type & 1 ? n + 4 : n);
	return true;
}

static void check_extra(struct nc_world *w, struct nc_queue *q, unsigned n, const struct got *g)
{
	const struct nc_pkt *p = &q->rxp[n];
	const struct netif_extra_info *gso = &g->extra[XEN_NETIF_EXTRA_TYPE_GSO], *hash = &g->extra[XEN_NETIF_EXTRA_TYPE_HASH];
	bool segs = strchr("TW", p->kind), hashed = g->types >> XEN_NETIF_EXTRA_TYPE_HASH & 1;
	uint32_t h = 0, is;
	uint8_t type = 0;

	if (segs != (g->types >> XEN_NETIF_EXTRA_TYPE_GSO & 1) ||
	    (segs && (gso->u.gso.size != 500 || gso->u.gso.type != (p->kind == 'T' ? 1 : 2))))
		nc_violation(w, "RX-DATA", "queue %u: packet %u: segments", q->index, n);
	if ((w->wl->headroom != 0) != (g->types >> XEN_NETIF_EXTRA_TYPE_XDP & 1))
		nc_violation(w, "RX-DATA", "queue %u: packet %u: headroom", q->index, n);
	if (p->said != w->said) /* what holds for it is open */
		return;
	memcpy(&is, hash->u.hash.value, sizeof(is));
	if (expected_hash(w, p, g->frame, &type, &h) != hashed || (hashed && (is != h || hash->u.hash.type != type)))
		nc_violation(w, "CTRL", "queue %u: packet %u: hash %08x type %u, expected %08x", q->index, n, is, hash->u.hash.type, h);
}

static void check_packet(struct nc_world *w, struct nc_queue *q, struct got *g)
{
	static uint8_t frame[NC_FRAME];
	unsigned n = nc_number(g->frame, 1, q->index, q->nrx);
	struct nc_pkt *p = &q->rxp[n];
	bool blank = n < NC_PKTS && strchr("CTW", p->kind), takes = w->wl->features & CONN_NET_CSUM4;

	if (n == NC_PKTS || !p->given) {
		nc_violation(w, "RX-DATA", "queue %u: no packet of the netport's, %u bytes", q->index, g->len);
		return;
	}
	if (p->seen++)
		nc_violation(w, "RX-TWICE", "queue %u: packet %u", q->index, n);
	else if (n < q->delivered)
		nc_violation(w, "RX-ORDER", "queue %u: packet %u after %u", q->index, n, q->delivered);
	q->delivered = n + 1;
	if (p->kind == 'M' && (w->conn.features & CONN_NET_MCAST) && !w->mcast_posted[p->arg])
		nc_violation(w, "RX-FILTER", "queue %u: packet %u", q->index, n);
	nc_frame(frame, 1, q->index, n, p);
	if (blank && !takes) { /* it came summed */
		netif_frame_sum_anew(frame, p->len);
		blank = false;
	}
	if (g->len != p->len || memcmp(g->frame, frame, p->len) != 0)
		nc_violation(w, "RX-DATA", "queue %u: packet %u (%c), %u bytes of %u", q->index, n, p->kind, g->len, p->len);
	if (blank != !!(g->flags & NETRXF_csum_blank))
		nc_violation(w, "RX-DATA", "queue %u: packet %u (%c): flags %x", q->index, n, p->kind, g->flags);
	check_extra(w, q, n, g);
}

static bool next_answer(struct nc_world *w, struct nc_queue *q, uint32_t prod, union netif_rx_sring_entry *r, struct nc_entry **e)
{
	if (q->rx_cons == prod) {
		nc_violation(w, "ANSWER", "queue %u: a packet is published in part", q->index);
		return false;
	}
	*r = q->rx->ring[q->rx_cons & (w->wl->nr - 1)];
	*e = &q->re[q->rx_cons & (w->wl->nr - 1)];
	if (!(*e)->used)
		nc_violation(w, "ANSWER", "queue %u: RX entry %u was answered before", q->index, q->rx_cons);
	return true;
}

static void over(struct nc_world *w, struct nc_queue *q, struct nc_entry *e)
{
	take_back(w, e->gref, rx_page(w, q, q->rx_cons));
	e->used = false;
	q->rx_cons++;
}

/* One packet; false: it is not whole. */
static bool receive(struct nc_world *w, struct nc_queue *q, uint32_t prod)
{
	static struct got g;
	union netif_rx_sring_entry r;
	struct nc_entry *e;
	bool first = true, more, extra, failed = false;

	g.len = 0;
	g.types = 0;
	do {
		if (!next_answer(w, q, prod, &r, &e))
			return false;
		if (r.rsp.id != e->id || r.rsp.status > (int)BH_PAGE_SIZE || r.rsp.offset != (first ? w->wl->headroom : 0))
			nc_violation(w, "ANSWER", "queue %u: RX entry %u: id %u of %u, status %d, offset %u", q->index, q->rx_cons,
				     r.rsp.id, e->id, r.rsp.status, r.rsp.offset);
		failed |= r.rsp.status < 0;
		if (r.rsp.status > 0 && g.len < NC_FRAME) {
			memcpy(g.frame + g.len, rx_page(w, q, q->rx_cons) + r.rsp.offset, (size_t)r.rsp.status);
			g.len += (uint32_t)r.rsp.status;
		}
		if (first)
			g.flags = r.rsp.flags;
		more = r.rsp.flags & NETRXF_more_data;
		extra = first && r.rsp.flags & NETRXF_extra_info;
		over(w, q, e);
		while (extra) {
			struct netif_extra_info x;

			if (!next_answer(w, q, prod, &r, &e))
				return false;
			memcpy(&x, &r, sizeof(x));
			g.types |= 1u << (x.type & 7);
			g.extra[x.type & 7] = x;
			extra = x.flags & XEN_NETIF_EXTRA_FLAG_MORE;
			over(w, q, e);
		}
		first = false;
	} while (more);
	if (!failed)
		check_packet(w, q, &g);
	else if (!w->wl->rx_killer)
		nc_violation(w, "RX-LOST", "queue %u: a packet was answered with an error", q->index);
	return true;
}

static void hear_rx(struct nc_world *w, struct nc_queue *q)
{
	uint32_t prod = READ_ONCE_U32(&q->rx->rsp_prod);

	if (prod - q->rx_cons > q->rx_prod - q->rx_cons) {
		nc_violation(w, "ANSWER", "queue %u: %u RX answers of %u", q->index, prod - q->rx_cons, q->rx_prod - q->rx_cons);
		return;
	}
	rmb();
	while (q->rx_cons != prod && receive(w, q, prod))
		;
	q->rx->rsp_event = q->rx_cons + 1;
	mb();
}

/* ---- control: one message at a time. a ALGORITHM, f FLAGS, k LENGTH of key, m SIZE of mapping, t ENTRIES of it from 1 on,
 * ? flags, z TYPE, o an offset that wraps */

static void expect(struct nc_world *w, struct nc_msg *m, uint32_t v)
{
	struct njrnl_net *n = &w->net;

	m->status = XEN_NETIF_CTRL_STATUS_SUCCESS;
	m->data = 0;
	if (w->said + 1 == w->wl->ctrl_killer) {
		m->status = XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
		return;
	}
	switch (m->req.type) {
	case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
		n->hash_alg = v;
		break;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
		n->hash_flags = v;
		break;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
		for (uint32_t i = 0; i < NJRNL_KEY; i++)
			n->key[i] = w->ctrl_page[i] = i < v ? (uint8_t)(i * 11 + v + w->said) : 0;
		n->key_len = v;
		break;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
		n->mapping_size = v;
		memset(n->mapping, 0, sizeof(n->mapping));
		break;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
		if (m->req.data[2] != 1) {
			m->status = XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
			break;
		}
		for (uint32_t i = 0; i < v; i++)
			n->mapping[1 + i] = ((uint32_t *)(void *)w->ctrl_page)[i] = i % w->nqueues;
		break;
	case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
		m->data = 15;
		break;
	default:
		m->status = XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	}
}

static const char *say(struct nc_world *w, const char *s)
{
	static const char names[] = "afkmt?zo";
	static const uint16_t types[] = {7, 2, 3, 5, 6, 1, 9, 6};
	char *end;
	uint32_t v = (uint32_t)strtoul(s + 1, &end, 10);
	struct nc_msg *m = &w->msg[w->said];
	uint16_t type = types[strchr(names, *s) - names];

	m->req = (struct netif_ctrl){.id = (uint16_t)(w->said * 17 + 3), .type = type, .data = {v}};
	if (type == 3 || type == 6)
		memcpy(m->req.data, (const uint32_t[3]){w->page_gref, v, type == 6}, sizeof(m->req.data));
	if (*s == 'o')
		memcpy(m->req.data, (const uint32_t[3]){w->page_gref, 0x20, 0xfffffff0}, sizeof(m->req.data));
	if (*s == 'z')
		m->req.type = (uint16_t)v;
	expect(w, m, v);
	w->ctrl->ring[w->said % w->wl->nr].req =
		(struct xen_netif_ctrl_request){.id = m->req.id, .type = m->req.type, .data = {m->req.data[0], m->req.data[1], m->req.data[2]}};
	w->said++;
	wmb();
	w->ctrl->req_prod = w->said;
	mb();
	if (w->said - w->ctrl->req_event < 1)
		hv_port_notify(w->ctrl_port);
	while (*end == ' ')
		end++;
	return end;
}

static void hear_ctrl(struct nc_world *w)
{
	uint32_t prod = READ_ONCE_U32(&w->ctrl->rsp_prod);

	if (prod > w->said) {
		nc_violation(w, "CTRL", "%u answers of %u", prod, w->said);
		return;
	}
	for (; w->heard < prod; w->heard++) {
		const struct xen_netif_ctrl_response *r = &w->ctrl->ring[w->heard % w->wl->nr].rsp;
		struct nc_msg *m = &w->msg[w->heard];

		if (r->id != m->req.id || r->type != m->req.type || r->status != m->status || r->data != m->data)
			nc_violation(w, "CTRL", "message %u, type %u: id %u, type %u, status %u of %u, data %u", w->heard, m->req.type,
				     r->id, r->type, r->status, m->status, r->data);
	}
	w->ctrl->rsp_event = w->heard + 1;
	mb();
}

/* ---- the whole */

static void *ring(struct nc_world *w, hv_gref_t *gref, uint32_t base)
{
	struct netif_tx_sring *s;
	void *mem;

	CHECK(hv_alloc(w->guest, 1, &mem) == 0);
	memset(mem, 0, BH_PAGE_SIZE);
	s = mem;
	s->req_prod = s->rsp_prod = base;
	s->req_event = s->rsp_event = base + 1;
	*gref = grant(w, mem, false);
	return mem;
}

static void open_queue(struct nc_world *w, struct nc_queue *q)
{
	uint32_t base = (uint32_t)w->wl->base;

	q->tx = ring(w, &q->tx_gref, base);
	q->rx = ring(w, &q->rx_gref, base);
	q->tx_prod = q->tx_cons = q->rx_prod = q->rx_cons = base;
	CHECK(hv_alloc(w->guest, w->wl->nr, (void **)&q->tx_pages) == 0 && hv_alloc(w->guest, w->wl->nr, (void **)&q->rx_pages) == 0);
	memset(q->tx_pages, CANARY, w->wl->nr * BH_PAGE_SIZE);
	memset(q->rx_pages, CANARY, w->wl->nr * BH_PAGE_SIZE);
	CHECK(hv_port_alloc(w->guest, 0, &q->port) == 0);
	q->port_rx = q->port;
	if (w->wl->split)
		CHECK(hv_port_alloc(w->guest, 0, &q->port_rx) == 0);
}

void nc_guest_open(struct nc_world *w)
{
	for (unsigned i = 0; i < w->nqueues; i++) {
		w->q[i].ntx = nc_parse(w->wl->tx[i], w->q[i].txp);
		open_queue(w, &w->q[i]);
	}
	if (!w->wl->ctrl)
		return;
	w->ctrl = ring(w, &w->ctrl_gref, 0);
	CHECK(hv_alloc(w->guest, 1, (void **)&w->ctrl_page) == 0 && hv_port_alloc(w->guest, 0, &w->ctrl_port) == 0);
	w->page_gref = grant(w, w->ctrl_page, true);
}

/* It looks when it is woken, or, as a poller, when it likes. */
static bool looks(struct nc_world *w, struct hv_port *p)
{
	if (crash_hv_pending(p)) {
		hv_port_clear(p);
		return true;
	}
	return w->plan->poller && crash_below(&w->rng, 3) == 0;
}

void nc_guest_step(struct nc_world *w)
{
	static const char *script;

	for (unsigned i = 0; i < w->nqueues; i++) {
		struct nc_queue *q = &w->q[i];
		bool tx = looks(w, q->port), rx = q->port_rx == q->port ? tx : looks(w, q->port_rx);

		if (tx)
			hear_tx(w, q);
		if (rx)
			hear_rx(w, q);
		if (crash_below(&w->rng, 2))
			post_packets(w, q);
		if (crash_below(&w->rng, 2))
			post_buffers(w, q);
	}
	if (!w->ctrl)
		return;
	if (looks(w, w->ctrl_port))
		hear_ctrl(w);
	if (!w->said)
		script = w->wl->ctrl;
	if (w->said == w->heard && *script && crash_below(&w->rng, 3) == 0)
		script = say(w, script);
	w->nmsgs = w->said + (*script != 0);
}

bool nc_guest_done(const struct nc_world *w)
{
	for (unsigned i = 0; i < w->nqueues; i++) {
		const struct nc_queue *q = &w->q[i];

		if (q->next_tx < q->ntx || q->tx_cons != q->tx_prod || q->next_rx < q->nrx || q->rx_cons != q->rx->rsp_prod)
			return false;
	}
	return w->heard == w->nmsgs;
}

/* Where the kernel would read it. */
static void check_steering(struct nc_world *w)
{
	const struct steer_state *s = &nc_steer.state[nc_steer.now % STEER_STATES];
	uint32_t types = w->net.hash_alg ? w->net.hash_flags : 0;
	bool same = s->types == types && (!types || s->size == w->net.mapping_size);

	for (uint32_t i = 0; types && same && i < s->size; i++)
		same = s->mapping[i] == w->net.mapping[i];
	if (!same)
		nc_violation(w, "STEER", "the queue of a packet is not chosen by what was said");
}

void nc_guest_end(struct nc_world *w)
{
	const struct njrnl_net *n = &w->cur.back->net;

	for (unsigned i = 0; i < w->nqueues; i++)
		for (uint32_t k = 0; k < w->wl->nr; k++) {
			if (!w->q[i].te[k].used)
				still_mine(w, tx_page(w, &w->q[i], k));
			if (!w->q[i].re[k].used)
				still_mine(w, rx_page(w, &w->q[i], k));
		}
	if (n->hash_alg != w->net.hash_alg || n->hash_flags != w->net.hash_flags || n->key_len != w->net.key_len ||
	    n->mapping_size != w->net.mapping_size || memcmp(n->key, w->net.key, sizeof(n->key)) != 0 ||
	    memcmp(n->mapping, w->net.mapping, sizeof(n->mapping)) != 0)
		nc_violation(w, "CTRL", "what was said does not hold");
	check_steering(w);
}
