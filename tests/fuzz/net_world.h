/* net_world.h - for fuzzers: the network backend on the provider of the crash tests, a guest that is the input, and a netport that judges
 * what it is given: nothing may come to it, or be copied out of or into the guest's pages, that no entry of a ring describes. What the
 * backend took stands in its journal; entries are decoded here once more. Include once. */
#ifndef BULKHEAD_TESTS_FUZZ_NET_WORLD_H
#define BULKHEAD_TESTS_FUZZ_NET_WORLD_H

#include "backend/net/netback_priv.h"
#include "recovery/journal/jrnl.h"
#include "ring/os/wire.h"
#include "tests/fuzz/input.h"
#include "tests/sim/crash_hv.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#define NQ 2u
#define NR 32u
#define NRO 4u  /* the guest's pages that it granted for reading only: their contents never change */
#define NRW 12u /* and for writing */
#define NBUF 4u /* of them for control messages too */

struct net_q {
	struct ring_hdr *tx, *rx;
	hv_gref_t tx_gref, rx_gref;
	struct hv_port *port; /* the supervisor's */
	struct netport_queue np;
	unsigned avail; /* packets that the netport has */
	uint16_t len;
	uint8_t type, gso;
	uint64_t next;	   /* no packet that begins below it may be sent again */
	unsigned repeated;
	uint64_t written[NR]; /* first entry of the packet that was sent last from this place, and one */
};

static struct {
	struct hv *fe, *be;
	struct ring_hdr *ctrl;
	hv_gref_t ctrl_gref, gref[NRO + NRW];
	struct hv_port *ctrl_port;
	char *data;
	struct conn_id conn;
	struct net_q q[NQ];
	struct netport np;
	struct netport *inner; /* a real one behind it: null or pair; else NULL */
	struct netport *peer;  /* the other end of the pair */
	int wire[NQ][2];
	unsigned kind; /* of netport: 0 none, 1 null, 2 pair */
	int write_rc;
	void *journal;
	struct netback *b;
	bool begun, dying;
	unsigned left, deaths; /* points until it dies; 0: it does not */
	jmp_buf die;
	unsigned events[8];
} w;

enum jrnl_mutant jrnl_mutant;
enum njrnl_mutant njrnl_mutant;

static uint64_t now;
uint64_t clock_now(void) { return now += NS_PER_US; }
uint64_t clock_lately(struct clock_lately *c) { return c->now = clock_now(); }

void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK(%s) failed\n", file, line, what);
	abort();
}

static void point(void)
{
	if (w.dying && w.left && --w.left == 0)
		longjmp(w.die, 1);
}

void pm_hook(const void *where UNUSED, size_t len UNUSED) { point(); }

static bool broken(void) { return w.events[BE_BROKEN_RING] != 0; }

/* ---- what an entry may cause: written by <xen/io/netif.h> alone */

struct claim {
	uint64_t first;
	uint32_t nslots, nfrags, len;
	struct netif_frag frag[64];
	bool sent, gso, blank; /* sent: may come to the netport */
};

static struct netif_tx_request tx_of(const struct njrnl_q *j, uint64_t at)
{
	struct netif_tx_request r;

	memcpy(&r, &j->tx[at % NR].raw, 8);
	memcpy((char *)&r + 8, &j->tx[at % NR].raw2, 4);
	return r;
}

/* False: no whole packet begins there. */
static bool claim_of(const struct njrnl_q *j, uint64_t at, uint64_t end, struct claim *c)
{
	struct netif_tx_request r = tx_of(j, at);
	bool more = r.flags & NETTXF_more_data;
	uint32_t rest = 0;

	*c = (struct claim){.first = at, .nslots = 1, .nfrags = 1, .len = r.size, .sent = true, .blank = r.flags & NETTXF_csum_blank};
	c->frag[0] = (struct netif_frag){r.gref, r.offset, 0};
	for (bool extra = r.flags & NETTXF_extra_info; extra; c->nslots++) {
		struct netif_extra_info x;

		if (at + c->nslots >= end)
			return false;
		memcpy(&x, &j->tx[(at + c->nslots) % NR].raw, sizeof(x));
		extra = x.flags & XEN_NETIF_EXTRA_FLAG_MORE;
		c->gso |= x.type == XEN_NETIF_EXTRA_TYPE_GSO;
		c->sent &= x.type != XEN_NETIF_EXTRA_TYPE_MCAST_ADD && x.type != XEN_NETIF_EXTRA_TYPE_MCAST_DEL;
	}
	for (; more; c->nslots++, c->nfrags++) {
		if (at + c->nslots >= end)
			return false;
		r = tx_of(j, at + c->nslots);
		CHECK(r.offset + r.size <= (int)BH_PAGE_SIZE);
		c->frag[c->nfrags] = (struct netif_frag){r.gref, r.offset, r.size};
		rest += r.size;
		more = r.flags & NETTXF_more_data;
	}
	c->sent &= rest <= c->len && c->nfrags <= NETIF_FRAGS_MAX;
	c->frag[0].len = rest <= c->len ? (uint16_t)(c->len - rest) : 0;
	return true;
}

static unsigned page_of(hv_gref_t gref)
{
	unsigned i = 0;

	while (i < NRO + NRW && w.gref[i] != gref)
		i++;
	return i;
}

/* ---- copies out of and into the guest's pages */

static bool is_claimed(const struct hv_copy *c, unsigned i)
{
	const struct njrnl_q *j = &w.b->jrnl.q[i];
	struct claim k;

	for (uint64_t at = jrnl_seq_of(j->hdr->sent), end = jrnl_seq_of(j->hdr->common.req_cons); at < end; at += k.nslots) {
		CHECK(claim_of(j, at, end, &k));
		for (uint32_t f = 0; k.sent && f < k.nfrags; f++)
			if (c->gref == k.frag[f].gref && c->off == k.frag[f].off && c->len == k.frag[f].len)
				return true;
	}
	return false;
}

/* By the message that was taken and is not answered. */
static bool is_said(const struct hv_copy *c)
{
	const struct njrnl_dev *d = w.b->jrnl.dev;
	struct netif_ctrl m = netif_ctrl_of(d->ctrl_raw);
	uint32_t len = m.type == XEN_NETIF_CTRL_TYPE_SET_HASH_KEY ? m.data[1] : m.data[1] * 4;

	if (d->ctrl_cons == d->ctrl_prod || (m.type != XEN_NETIF_CTRL_TYPE_SET_HASH_KEY && m.type != XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING))
		return false;
	return c->gref == m.data[0] && c->off == 0 && c->len == len && len <= sizeof(w.b->net.mapping);
}

/* By a request that the RX ring's journal has for a packet that is not yet published. */
static bool is_offered(const struct hv_copy *c)
{
	for (unsigned i = 0; i < NQ; i++) {
		const struct njrnl_q *j = &w.b->jrnl.q[i];
		uint64_t prod = jrnl_seq_of(j->hdr->rx_prod);
		size_t at = (size_t)((const uint8_t *)c->local - j->data);
		const struct njrnl_buf *b = &j->buf[at / NJRNL_DATA];

		if ((const uint8_t *)c->local < j->data || at >= NJRNL_BUFS * NJRNL_DATA)
			continue;
		if (b->state != NJRNL_PLACED || b->first < prod || b->first + b->nreqs > prod + NR || b->nreqs > NJRNL_REQS)
			return false;
		if (at % NJRNL_DATA < NETPORT_HDR || at % NJRNL_DATA + c->len > b->len || c->off + c->len > (int)BH_PAGE_SIZE)
			return false;
		for (uint32_t k = 0; k < b->nreqs; k++)
			if (netif_rx_gref(b->req[k]) == c->gref)
				return true;
	}
	return false;
}

static void copying(const struct hv_copy *c)
{
	bool ok = c->to_guest ? is_offered(c) : is_said(c);

	for (unsigned i = 0; !ok && !c->to_guest && i < NQ; i++)
		ok = is_claimed(c, i);
	CHECK(ok);
	point();
}

/* ---- the netport */

static struct net_q *of(const struct netport_queue *q) { return CONTAINER_OF(q, struct net_q, np); }
static unsigned index_of(const struct net_q *q) { return (unsigned)(q - w.q); }
static struct netport_queue *inner(const struct netport_queue *q) { return netport_queue(w.inner, index_of(of(q))); }

static void check_header(const struct virtio_net_hdr *h, uint32_t len)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		CHECK(h->csum_start + h->csum_offset + 2u <= len);
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		CHECK(h->gso_size && (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h->hdr_len <= len);
}

/* Its bytes, where they come from pages that do not change; a checksum may have been blanked. */
static void check_bytes(const struct claim *k, const uint8_t *frame)
{
	for (uint32_t f = 0; f < k->nfrags; frame += k->frag[f++].len) {
		unsigned page = page_of(k->frag[f].gref);
		unsigned differ = 0;

		CHECK(page < NRO + NRW || k->frag[f].len == 0);
		for (uint32_t i = 0; page < NRO && i < k->frag[f].len; i++)
			differ += frame[i] != (uint8_t)w.data[page * BH_PAGE_SIZE + k->frag[f].off + i];
		CHECK(differ <= (k->gso ? 2 : 0));
	}
}

static int np_write(struct netport_queue *nq, const void *packet, size_t len)
{
	struct net_q *q = of(nq);
	unsigned i = index_of(q);
	const struct netback_queue *bq = &w.b->q[i];
	struct virtio_net_hdr h;
	struct claim k;
	int rc = w.write_rc;

	point();
	CHECK(!broken() || bq->sent < bq->req_cons);
	CHECK(claim_of(bq->j, bq->sent, bq->req_cons, &k) && k.sent && len == NETPORT_HDR + k.len && k.len >= NETIF_ETH_HLEN);
	memcpy(&h, packet, sizeof(h));
	check_header(&h, k.len);
	check_bytes(&k, (const uint8_t *)packet + NETPORT_HDR);
	if (!rc && w.inner)
		rc = netport_write(inner(nq), packet, len);
	if (rc)
		return rc;
	q->repeated += bq->sent + k.nslots == q->next;
	CHECK(bq->sent + k.nslots >= q->next && q->repeated <= w.deaths);
	q->next = bq->sent + k.nslots;
	q->written[bq->sent % NR] = bq->sent + 1;
	point();
	return 0;
}

static ssize_t np_read(struct netport_queue *nq, void *packet)
{
	struct net_q *q = of(nq);
	struct virtio_net_hdr h = {.gso_type = q->gso % 6, .gso_size = q->gso, .flags = q->gso >> 6};
	uint8_t *p = packet;

	point();
	if (w.inner)
		return netport_read(inner(nq), packet);
	if (!q->avail)
		return -EAGAIN;
	q->avail--;
	memset(p, q->type, MAX(q->len, NETPORT_PACKET_MIN));
	memcpy(p, &h, sizeof(h));
	p[NETPORT_HDR + 12] = q->type & 1 ? 8 : 0x86;
	p[NETPORT_HDR + 13] = q->type & 1 ? 0 : 0xdd;
	p[NETPORT_HDR + 14] = q->type & 1 ? 0x45 : 0x60;
	point();
	return (ssize_t)MAX(q->len, NETPORT_PACKET_MIN);
}

static int np_start(struct netport_queue *q) { return w.inner ? netport_start(inner(q)) : 0; }
static void np_kick(struct netport_queue *q)
{
	if (w.inner)
		netport_kick(inner(q));
}
static int np_arm(struct netport_queue *q, unsigned want)
{
	if (w.inner)
		return netport_arm(inner(q), want);
	return (want & NETPORT_IN) && of(q)->avail;
}
static int np_fd(const struct netport_queue *q UNUSED) { return -1; }
static uint64_t np_due(const struct netport_queue *q UNUSED) { return UINT64_MAX; }
static struct netport_queue *np_queue(struct netport *p UNUSED, unsigned i) { return &w.q[i].np; }
static const struct netport_ops np_ops = {.name = "fuzz", .queue = np_queue, .start = np_start, .write = np_write, .read = np_read,
					  .kick = np_kick, .arm = np_arm, .fd = np_fd, .due = np_due};

static void open_inner(struct netport **out, unsigned side)
{
	struct netport_open o = {.spec = w.kind == 1 ? "null:70" : "pair", .queues = NQ};
	int fd[NQ];
	char err[128];

	for (unsigned i = 0; w.kind == 2 && i < NQ; i++)
		fd[i] = dup(w.wire[i][side]);
	o.fd = w.kind == 2 ? fd : NULL;
	CHECK(netport_open(&o, out, err, sizeof(err)) == 0);
}

/* ---- the world */

static hv_gref_t grant(void *page, bool ro)
{
	struct hv_grant g = {.page = page, .ro = ro};

	CHECK(hv_grant(w.fe, 0, &g, 1) == 0);
	return g.gref;
}

static struct ring_hdr *ring(hv_gref_t *gref)
{
	struct ring_hdr *h;
	void *mem;

	CHECK(hv_alloc(w.fe, 1, &mem) == 0);
	memset(mem, 0, BH_PAGE_SIZE);
	h = mem;
	h->req_event = h->rsp_event = 1;
	*gref = grant(mem, false);
	return h;
}

static struct hv_port *guest_port(void)
{
	struct hv_port *p, *bound;

	CHECK(hv_port_alloc(w.fe, 0, &p) == 0);
	CHECK(hv_port_bind(crash_hv_supervisor(), CRASH_HV_DOMAIN, hv_port_number(p), &bound) == 0);
	return bound;
}

/* Of the guest's pages for reading: TCP over IPv4, TCP over IPv6, UDP, and something else. */
static void fill_pages(void)
{
	static const uint8_t l4[NRO] = {NETIF_TCP, NETIF_TCP, NETIF_UDP, 0};

	for (unsigned i = 0; i < NRO; i++) {
		uint8_t *p = (uint8_t *)w.data + i * BH_PAGE_SIZE;

		for (size_t k = 0; k < BH_PAGE_SIZE; k++)
			p[k] = (uint8_t)(k * 7 + i * 31 + (k >> 8));
		memcpy(p + 12, i == 1 ? "\x86\xdd\x60" : "\x08\x00\x45", 3);
		if (i == 3)
			p[12] = 0x88;
		p[i == 1 ? 20 : 23] = l4[i];
		memset(p + (i == 1 ? 54 + 12 : 34 + 12), 0x50, 1);
		p[20] = i == 1 ? p[20] : 0; /* no fragment */
		p[21] = i == 1 ? p[21] : 0;
	}
	memset(w.data + NRO * BH_PAGE_SIZE, 0, NRW * BH_PAGE_SIZE);
}

/* What is looked at without having been written. */
static void clear_journal(void)
{
	if (!w.journal)
		w.journal = aligned_alloc(JRNL_PAGE, njrnl_file_bytes(NQ));
	CHECK(w.journal);
	memset(w.journal, 0, 2 * JRNL_PAGE);
	for (unsigned i = 0; i < NQ; i++) {
		char *at = (char *)w.journal + njrnl_queue_offset(i);

		memset(at, 0, NJRNL_DATA_OFFSET);
		for (size_t k = NJRNL_DATA_OFFSET; k < NJRNL_QUEUE_BYTES; k += JRNL_PAGE)
			memset(at + k, 0, 128);
	}
}

static void open_guest(void)
{
	crash_hv_reset(point);
	crash_hv_copying = copying;
	w.fe = crash_hv_guest();
	for (unsigned i = 0; i < NQ; i++) {
		w.q[i].tx = ring(&w.q[i].tx_gref);
		w.q[i].rx = ring(&w.q[i].rx_gref);
		w.q[i].port = guest_port();
		w.q[i].np.ops = &np_ops;
	}
	w.ctrl = ring(&w.ctrl_gref);
	w.ctrl_port = guest_port();
	CHECK(hv_alloc(w.fe, NRO + NRW, (void **)&w.data) == 0);
	fill_pages();
	for (unsigned i = 0; i < NRO + NRW; i++)
		w.gref[i] = grant(w.data + i * BH_PAGE_SIZE, i < NRO);
}

/* how: features and netport. The backend is not begun. */
static void world_up(unsigned how)
{
	void *journal = w.journal;

	memset(&w, 0, sizeof(w));
	w.journal = journal;
	now = 0;
	clear_journal();
	open_guest();
	w.conn = (struct conn_id){.domid = CRASH_HV_DOMAIN, .type = CONN_VIF, .protocol = CONN_NATIVE, .nqueues = NQ, .ring_pages = 1,
				  .epoch = 1, .features = how & 0x3f, .xdp_headroom = how & 0x40 ? 256 : 0};
	w.kind = how >> 8 & 3;
	w.np = (struct netport){.ops = &np_ops, .queues = NQ};
	for (unsigned i = 0; w.kind == 2 && i < NQ; i++)
		CHECK(wire_make(WIRE_BYTES_MIN, w.wire[i]) == 0);
	if (w.kind == 2)
		open_inner(&w.peer, 1);
}

static void end_backend(void)
{
	if (w.b)
		netback_abandon(w.b);
	if (w.be)
		crash_hv_kill(w.be);
	netport_close(w.inner);
	w.b = NULL;
	w.be = NULL;
	w.inner = NULL;
}

static void world_down(void)
{
	end_backend();
	netport_close(w.peer);
	for (unsigned i = 0; w.kind == 2 && i < NQ; i++) {
		close(w.wire[i][0]);
		close(w.wire[i][1]);
	}
}

static void on_event(void *arg UNUSED, enum be_event e, uint64_t value UNUSED, const char *text UNUSED) { w.events[e]++; }

static struct hv_port *adopt(struct hv_port *bound)
{
	int fds[HV_PORT_FDS];
	size_t n = hv_port_fds(bound, fds);
	struct hv_port *p;

	CHECK(hv_port_adopt(w.be, fds, n, hv_port_number(bound), &p) == 0);
	return p;
}

/* A process is made; it may begin. */
static void prepare(void)
{
	const struct netback_options o = {.netport = &w.np, .entries = NR, .drain_ms = 1, .stall_ms = 2};
	struct be_prepare p = {.conn = &w.conn, .event = on_event, .journal = w.journal, .journal_bytes = njrnl_file_bytes(NQ)};

	end_backend();
	if (w.kind == 1 || w.kind == 2)
		open_inner(&w.inner, 0);
	p.hv = w.be = crash_hv_stub();
	for (unsigned i = 0; i < NQ; i++) {
		CHECK(hv_map_ring(w.be, CRASH_HV_DOMAIN, &w.q[i].tx_gref, 1, &p.ring[i]) == 0);
		CHECK(hv_map_ring(w.be, CRASH_HV_DOMAIN, &w.q[i].rx_gref, 1, &p.ring_rx[i]) == 0);
		p.port[i] = adopt(w.q[i].port);
	}
	CHECK(hv_map_ring(w.be, CRASH_HV_DOMAIN, &w.ctrl_gref, 1, &p.ctrl_ring) == 0);
	p.ctrl_port = adopt(w.ctrl_port);
	CHECK(netback_prepare(&p, &o, &w.b) == 0);
}

/* ---- the guest */

static void post_entry(unsigned queue, const void *entry)
{
	struct ring_hdr *h = w.q[queue].tx;

	memcpy((char *)h + RING_HDR + h->req_prod % NR * NETIF_TX_ENTRY, entry, NETIF_TX_ENTRY);
	h->req_prod++;
}

/* A packet that is nearly sound. */
static void post_packet(unsigned queue, struct input *in)
{
	unsigned how = (unsigned)take(in, 1), parts = 1 + (how >> 4), n;
	bool extra = how & 4;
	struct netif_tx_request t = {.gref = w.gref[take(in, 1) % (NRO + NRW)], .offset = 0, .id = (uint16_t)take(in, 1),
				     .size = (uint16_t)take(in, 2)};
	struct netif_extra_info x = {.type = (uint8_t)(1 + take(in, 1) % 5)};

	if (how & 8)
		t.offset = (uint16_t)take(in, 2) % BH_PAGE_SIZE;
	t.size = (uint16_t)(14 + t.size % (parts * BH_PAGE_SIZE));
	t.flags = (uint16_t)((how & 3) | (extra ? NETTXF_extra_info : 0) | (parts > 1 ? NETTXF_more_data : 0));
	post_entry(queue, &t);
	if (extra) {
		uint8_t entry[NETIF_TX_ENTRY] = {0};

		take_bytes(in, &x.u, 6);
		if (x.type == XEN_NETIF_EXTRA_TYPE_GSO)
			x.u.gso.type = 1 + x.u.gso.type % 3;
		memcpy(entry, &x, sizeof(x));
		post_entry(queue, entry);
	}
	for (n = t.size > BH_PAGE_SIZE ? t.size - (uint32_t)BH_PAGE_SIZE : 0; --parts; n = n > BH_PAGE_SIZE ? n - (uint32_t)BH_PAGE_SIZE : 0) {
		t = (struct netif_tx_request){.gref = w.gref[take(in, 1) % (NRO + NRW)], .id = (uint16_t)parts,
					      .size = (uint16_t)MIN(n, BH_PAGE_SIZE), .flags = parts > 1 ? NETTXF_more_data : 0};
		if (how & 8)
			t.offset = (uint16_t)(take(in, 1) << 4);
		post_entry(queue, &t);
	}
}

static void post_buffers(unsigned queue, unsigned n, unsigned page)
{
	struct ring_hdr *h = w.q[queue].rx;

	for (; n; n--, page++) {
		struct netif_rx_request r = {.id = (uint16_t)page, .gref = w.gref[page % (NRO + NRW)]};

		memcpy((char *)h + RING_HDR + h->req_prod % NR * NETIF_RX_ENTRY, &r, sizeof(r));
		h->req_prod++;
	}
}

static void post_message(struct input *in)
{
	struct xen_netif_ctrl_request r = {.id = (uint16_t)take(in, 1), .type = (uint16_t)take(in, 1) % 9};

	for (unsigned i = 0; i < 3; i++)
		r.data[i] = (uint32_t)take(in, 1);
	if (r.type == XEN_NETIF_CTRL_TYPE_SET_HASH_KEY || r.type == XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING)
		r.data[0] = w.gref[r.data[0] % (NRO + NBUF)];
	if (r.id & 1)
		r.data[r.id / 2 % 3] = (uint32_t)take(in, 4);
	memcpy((char *)w.ctrl + RING_HDR + w.ctrl->req_prod % NR * NETIF_CTRL_ENTRY, &r, sizeof(r));
	w.ctrl->req_prod++;
}

#endif
