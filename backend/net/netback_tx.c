/* netback_tx.c - guest's packets: from the ring into the journal, whole packets at a time; their bytes from its pages; to the netport,
 * one by one, each called sent as soon as the netport has it; answered in order. */
#include "backend/net/netback_priv.h"

#define ALIGN 64u
#define FRAME_AT 16u /* in the arena: struct virtio_net_hdr ends where the frame begins, so that that is aligned */

/* The packet that begins at entry 'at': its entries come from the ring into the journal's slots, or are there already. 0; -EPEER: no
 * guest may say that, or it ends beyond 'end'. */
static int walk(const struct netback_queue *q, uint64_t at, uint64_t end, bool from_ring, struct netif_pkt *p)
{
	enum netif_fed fed = NETIF_MORE;

	netif_pkt_begin(p);
	for (uint64_t i = at; fed == NETIF_MORE; i++) {
		const struct njrnl_tx *s = njrnl_tx_slot(q->j, i);
		uint64_t raw = s->raw;
		uint32_t raw2 = s->raw2;

		if (i == end) {
			p->why = "a packet that goes on beyond what was sent";
			return -EPEER;
		}
		if (from_ring || NMUTANT(REREAD_RING))
			netif_back_tx(&q->tx, i, &raw, &raw2);
		if (from_ring)
			njrnl_tx_take(q->j, i, raw, raw2);
		fed = netif_pkt_feed(p, raw, raw2);
	}
	return fed == NETIF_END ? 0 : -EPEER;
}

int net_tx_check(const struct netback_queue *q, const struct njrnl_scan *s)
{
	struct netif_pkt p;
	int n = 0;

	for (uint64_t at = s->sent; at < s->req_cons; at += p.nslots, n++)
		if (walk(q, at, s->req_cons, false, &p))
			return -EBADMSG;
	return n;
}

/* Room for the packet in the arena and among the copies, which it enters. False: there is none. */
static bool make_room(struct netback_queue *q, struct net_out *o, size_t *used)
{
	size_t bytes = (FRAME_AT + o->pkt.len + ALIGN - 1) / ALIGN * ALIGN;
	uint8_t *to;

	o->copies = q->ncopies;
	o->ncopies = 0;
	if (o->pkt.verdict != NETIF_SEND)
		return true;
	if (*used + bytes > NET_ARENA || q->ncopies + o->pkt.nfrags > HV_BATCH_MAX)
		return false;
	o->mem = q->arena + *used + FRAME_AT - NETPORT_HDR;
	*used += bytes;
	to = o->mem + NETPORT_HDR;
	for (uint32_t i = 0; i < o->pkt.nfrags; i++) {
		const struct netif_frag *f = &o->pkt.frag[i];

		if (f->len) /* without data not even the grant is looked at (XSA-448) */
			q->copy[q->ncopies++] = (struct hv_copy){.gref = f->gref, .off = f->off, .len = f->len, .local = to};
		to += f->len;
	}
	o->ncopies = q->ncopies - o->copies;
	return true;
}

static void convict(struct netback_queue *q, struct net_out *o)
{
	if (LIKELY(o->first != q->tx_convict))
		return;
	q->tx_convict = UINT64_MAX;
	o->pkt.verdict = NETIF_DROP;
	net_poison(q, "the packet that begins at entry", o->first);
}

/* Packets [from, end) into the batch, until something is full. Where it ended; *rc: why, if the next one is none. */
static uint64_t fill(struct netback_queue *q, uint64_t from, uint64_t end, unsigned budget, bool from_ring, int *rc)
{
	unsigned max = from < q->tx_careful ? 1 : MIN(budget, NET_BATCH);
	uint64_t at = from;
	size_t used = 0;

	q->nout = q->out_at = q->ncopies = 0;
	while (at < end && q->nout < max) {
		struct net_out *o = &q->out[q->nout];

		o->first = at;
		*rc = walk(q, at, end, from_ring, &o->pkt);
		if (*rc)
			break;
		convict(q, o);
		if (!make_room(q, o, &used))
			break;
		if (from_ring && !net_pay(q, o->pkt.len)) {
			q->ncopies = o->copies;
			q->rated = true;
			NET_COUNT(q, net.rated, 1);
			break;
		}
		at += o->pkt.nslots;
		q->nout++;
		if (NMUTANT(HALF_PACKETS) && from_ring)
			for (uint64_t i = o->first + 1; i <= at; i++)
				njrnl_tx_taken(q->j, i);
	}
	return at;
}

/* From the ring. False: the guest broke the protocol. */
static bool take(struct netback_queue *q, unsigned budget)
{
	int pending = netif_back_pending(&q->tx, q->req_cons, q->shown), rc = 0;
	uint64_t at;

	q->rated = false;
	if (UNLIKELY(pending < 0))
		net_break(q->dev, BE_BROKEN_RING, "the guest's index of TX requests is out of range");
	if (pending <= 0)
		return pending == 0;
	if (NMUTANT(CONS_FIRST))
		njrnl_tx_taken(q->j, q->req_cons + (unsigned)pending);
	at = fill(q, q->req_cons, q->req_cons + (unsigned)pending, budget, true, &rc);
	if (rc && q->nout == 0) {
		net_break(q->dev, BE_BROKEN_RING, q->out[0].pkt.why);
		return false;
	}
	if (at == q->req_cons)
		return true;
	njrnl_tx_taken(q->j, at);
	q->req_cons = at;
	q->taken_at = q->now;
	return true;
}

/* The answer of every entry of a packet, each in its own place; its extra info's say nothing. */
static void answer(struct netback_queue *q, const struct net_out *o, int16_t status)
{
	for (uint32_t k = 0; k < o->pkt.nslots; k++) {
		uint64_t i = o->first + k;
		bool extra = k > 0 && k <= o->pkt.nextras;
		uint16_t id = (uint16_t)njrnl_tx_slot(q->j, i)->raw2;
		uint32_t rsp = extra ? netif_tx_response(0, NETIF_RSP_NULL) : netif_tx_response(id, status);

		netif_back_tx_answer(&q->tx, i, rsp);
	}
}

static bool copied(const struct netback_queue *q, const struct net_out *o)
{
	for (uint32_t i = 0; i < o->ncopies; i++)
		if (q->copy[o->copies + i].status)
			return false;
	return true;
}

static int16_t bad(struct netback_queue *q, uint64_t *why)
{
	pm_stat64(why, *why + 1);
	NET_COUNT(q, common.stats.peer_faults, 1);
	return NETIF_RSP_ERROR;
}

/* To the netport. False: it has no room. *status: of the answer. */
static bool give(struct netback_queue *q, struct net_out *o, int16_t *status, struct net_sums *sums)
{
	const struct netif_pkt *p = &o->pkt;
	const struct netif_offload off = {.blank = p->flags & NETTXF_csum_blank,
					  .valid = p->flags & (NETTXF_csum_blank | NETTXF_data_validated),
					  .gso_type = p->gso ? p->gso_type : XEN_NETIF_GSO_TYPE_NONE,
					  .gso_size = p->gso_size};
	struct virtio_net_hdr h;
	bool fixed;
	int rc;

	if (!o->copied) {
		*status = bad(q, &NET_STAT(q, net.tx_copy));
		return true;
	}
	if (netif_to_vnet(o->mem + NETPORT_HDR, p->len, &off, &h, &fixed)) {
		*status = bad(q, &NET_STAT(q, net.tx_bad));
		return true;
	}
	memcpy(o->mem, &h, sizeof(h));
	rc = netport_write(q->np, o->mem, NETPORT_HDR + p->len);
	if (rc == -EAGAIN)
		return false;
	q->moved = true;
	*status = rc ? NETIF_RSP_DROPPED : NETIF_RSP_OKAY;
	if (UNLIKELY(rc))
		NET_COUNT(q, net.tx_refused, 1);
	if (UNLIKELY(fixed))
		NET_COUNT(q, net.gso_fixed, 1);
	sums->packets += rc == 0;
	sums->bytes += rc == 0 ? p->len : 0;
	return true;
}

static bool send_one(struct netback_queue *q, struct net_out *o, struct net_sums *sums)
{
	int16_t status = NETIF_RSP_OKAY;

	if (NMUTANT(SENT_FIRST))
		njrnl_tx_sent(q->j, o->first + o->pkt.nslots);
	if (o->pkt.verdict == NETIF_DROP)
		status = bad(q, &NET_STAT(q, net.tx_bad));
	else if (o->pkt.verdict == NETIF_MCAST)
		status = net_mcast(q->dev, o->pkt.mcast_add, o->pkt.mcast) ? NETIF_RSP_ERROR : NETIF_RSP_OKAY;
	else if (!give(q, o, &status, sums))
		return false;
	q->sent = o->first + o->pkt.nslots;
	if (NMUTANT(ANSWER_LATE))
		njrnl_tx_sent(q->j, q->sent);
	answer(q, o, status);
	if (!NMUTANT(SENT_LATE) || q->out_at + 1 == q->nout)
		njrnl_tx_sent(q->j, q->sent);
	sums->done++;
	sums->errors += status != NETIF_RSP_OKAY;
	return true;
}

static void count(struct netback_queue *q, const struct net_sums *s)
{
	NET_COUNT(q, common.stats.requests, s->done);
	NET_COUNT(q, common.stats.writes, s->done);
	NET_COUNT(q, net.tx_packets, s->packets);
	NET_COUNT(q, net.tx_bytes, s->bytes);
	if (UNLIKELY(s->errors))
		NET_COUNT(q, common.stats.errors, s->errors);
}

void net_tx_publish(struct netback_queue *q, bool always_notify)
{
	uint64_t old = q->shown;
	bool wanted;

	if (NMUTANT(PUBLISH_FIRST))
		netif_back_publish(&q->tx, old, q->sent);
	njrnl_tx_publish(q->j, q->sent);
	wanted = netif_back_publish(&q->tx, old, q->sent);
	q->shown = q->sent;
	if (!wanted && !always_notify)
		return;
	NET_COUNT(q, common.stats.events_out, 1);
	hv_port_notify(q->port_tx);
}

bool net_tx_turn(struct netback_queue *q, unsigned budget)
{
	bool had = q->out_at < q->nout;
	struct net_sums sums = {0};
	int rc = 0;

	if (!had) {
		q->nout = q->out_at = q->ncopies = 0; /* the copies that were made last may have been RX's */
		if (q->sent < q->req_cons)
			fill(q, q->sent, q->req_cons, budget, false, &rc); /* of a former life: looked at by net_tx_check() */
		else if (!load_relaxed(&q->dev->draining) && !take(q, budget))
			return false;
		net_copy(q->dev, q->copy, q->ncopies);
		for (unsigned i = 0; i < q->nout; i++) /* before RX makes its own */
			q->out[i].copied = copied(q, &q->out[i]);
	}
	q->full = false;
	while (q->out_at < q->nout && !q->full) {
		if (send_one(q, &q->out[q->out_at], &sums))
			q->out_at++;
		else
			q->full = true;
	}
	if (q->shown == q->sent)
		return false;
	count(q, &sums);
	net_tx_publish(q, false);
	return true;
}
