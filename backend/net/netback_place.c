/* netback_place.c - from the journal's buffers to the guest: a packet gets its requests, which are copied into the journal; its bytes are
 * copied into their pages; its answers stand in their places; it is published, and only then forgotten. */
#include "backend/net/netback_priv.h"

/* ---- without requests: dropped after a time, and the carrier lost after a longer one, until the guest takes packets again */

static void set_carrier(struct netback_queue *q, bool on)
{
	struct netback *b = q->dev;
	bool changed;

	if (q->rx_stalled == !on)
		return;
	q->rx_stalled = !on;
	net_lock(b);
	changed = on ? --b->stalled == 0 : b->stalled++ == 0;
	net_unlock(b);
	NET_COUNT(q, net.stalls, !on);
	if (changed)
		b->event(b->event_arg, BE_CARRIER, on, on ? "the guest takes packets again" : "the guest takes no packets");
}

static void has_room(struct netback_queue *q)
{
	q->rx_need = 0;
	q->rx_wait_since = 0;
	set_carrier(q, true);
}

/* The first packet waits for so many requests. True: for too long, drop it. */
static bool waits(struct netback_queue *q, uint32_t need)
{
	q->rx_need = need;
	if (!q->rx_wait_since)
		q->rx_wait_since = q->now;
	if (q->now - q->rx_wait_since >= q->dev->stall_ns)
		set_carrier(q, false);
	return q->now - q->rx_wait_since >= q->dev->drain_ns;
}

/* The first packet goes, without an answer. */
static void forget(struct netback_queue *q, uint64_t *why)
{
	pm_stat64(why, *why + 1);
	njrnl_rx_free(q->j, q->rx_head);
	q->rx_head++;
	q->rx_placed = q->rx_head;
}

/* ---- placing */

static void take_requests(struct netback_queue *q, uint64_t seq, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		njrnl_rx_req(q->j, seq, i, netif_back_rx(&q->rx, q->rx_cons + i));
	njrnl_rx_placed(q->j, seq, q->rx_cons, n);
	q->rx_cons += n;
}

/* Data is in the first slot and behind the extra info. */
static uint32_t slot_of(const struct net_in *in, uint32_t page) { return page ? page + in->nextras : 0; }

/* The copies of one placed packet. */
static uint32_t copies_of(const struct netback_queue *q, uint64_t seq, const struct net_in *in, struct hv_copy *c)
{
	const struct njrnl_buf *buf = njrnl_buf_of(q->j, seq);
	uint8_t *from = njrnl_data_of(q->j, seq) + NETPORT_HDR;
	uint32_t left = in->len, off = q->dev->conn.xdp_headroom, n = 0;

	for (; left; n++, off = 0) {
		uint32_t len = MIN(left, (uint32_t)BH_PAGE_SIZE - off);

		c[n] = (struct hv_copy){.gref = netif_rx_gref(buf->req[slot_of(in, n)]), .off = (uint16_t)off, .len = (uint16_t)len,
					.to_guest = true, .local = from};
		from += len;
		left -= len;
	}
	return n;
}

static uint32_t extra_info(struct netback_queue *q, const struct net_in *in, uint64_t out[3])
{
	uint32_t n = 0;

	if (q->dev->conn.xdp_headroom) {
		n++;
		out[in->nextras - n] = netif_extra(XEN_NETIF_EXTRA_TYPE_XDP, n > 1, q->dev->conn.xdp_headroom);
	}
	if (in->hashed) {
		n++;
		out[in->nextras - n] =
			netif_extra(XEN_NETIF_EXTRA_TYPE_HASH, n > 1,
				    in->hash_type | (uint64_t)XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ << 8 | (uint64_t)in->hash << 16);
	}
	if (in->o.gso_type != XEN_NETIF_GSO_TYPE_NONE) {
		n++;
		out[in->nextras - n] =
			netif_extra(XEN_NETIF_EXTRA_TYPE_GSO, n > 1, in->o.gso_size | (uint64_t)in->o.gso_type << 16);
	}
	return n;
}

/* The answers of one packet in their places; c: its n copies. False: some of them failed, which its answers say. */
static bool answer(struct netback_queue *q, uint64_t seq, const struct net_in *in, const struct hv_copy *c, uint32_t n)
{
	const struct njrnl_buf *buf = njrnl_buf_of(q->j, seq);
	uint16_t flags = (uint16_t)((in->o.blank ? NETRXF_csum_blank : 0) | (in->o.valid ? NETRXF_data_validated : 0) |
				    (in->nextras ? NETRXF_extra_info : 0));
	uint64_t extra[3];
	bool ok = true;

	for (uint32_t i = 0; i < n; i++)
		ok = ok && c[i].status == 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = slot_of(in, i);
		uint16_t more = i + 1 < n ? NETRXF_more_data : 0;

		netif_back_rx_answer(&q->rx, buf->first + slot,
				     netif_rx_response(netif_rx_id(buf->req[slot]), c[i].off, (uint16_t)((i ? 0 : flags) | more),
						       ok ? (int16_t)c[i].len : NETIF_RSP_ERROR));
	}
	for (uint32_t k = extra_info(q, in, extra); k-- > 0;)
		netif_back_rx_answer(&q->rx, buf->first + 1 + k, extra[k]);
	return ok;
}

/* What was placed when somebody died and is no packet now (a guest's state has changed, or it kills): errors in all its slots. */
static void answer_unfit(struct netback_queue *q, uint64_t seq)
{
	const struct njrnl_buf *buf = njrnl_buf_of(q->j, seq);

	for (uint32_t i = 0; i < buf->nreqs; i++)
		netif_back_rx_answer(&q->rx, buf->first + i,
				     netif_rx_response(netif_rx_id(buf->req[i]), 0, i + 1 < buf->nreqs ? NETRXF_more_data : 0, NETIF_RSP_ERROR));
}

/* The packets before 'end', whose answers are there. */
static void publish(struct netback_queue *q, uint64_t end)
{
	const struct njrnl_buf *last = njrnl_buf_of(q->j, end - 1);
	uint64_t old = q->rx_shown, prod = last->first + last->nreqs;
	bool wanted;

	if (NMUTANT(RX_PUBLISH_FIRST))
		netif_back_publish(&q->rx, old, prod);
	njrnl_rx_publish(q->j, prod);
	wanted = netif_back_publish(&q->rx, old, prod);
	q->rx_shown = prod;
	for (; q->rx_head < end; q->rx_head++)
		njrnl_rx_free(q->j, q->rx_head);
	if (!wanted)
		return;
	NET_COUNT(q, common.stats.events_out, 1);
	hv_port_notify(q->port_rx);
}

static void count(struct netback_queue *q, const struct net_sums *s)
{
	NET_COUNT(q, common.stats.requests, s->done);
	NET_COUNT(q, common.stats.reads, s->done);
	NET_COUNT(q, net.rx_packets, s->packets);
	NET_COUNT(q, net.rx_bytes, s->bytes);
	if (UNLIKELY(s->errors)) {
		NET_COUNT(q, common.stats.errors, s->errors);
		NET_COUNT(q, net.rx_copy, s->errors);
	}
}

static struct net_in *in_of(struct netback_queue *q, uint64_t seq) { return &q->in[seq % NJRNL_BUFS]; }

/* Is the packet, which is placed, still one? Of those that were placed in a former life nothing else is known. */
static bool still_fit(struct netback_queue *q, uint64_t seq)
{
	if (UNLIKELY(seq < q->rx_described) && net_rx_describe(q, seq, in_of(q, seq)))
		return false;
	return seq != q->rx_convict && in_of(q, seq)->nslots == njrnl_buf_of(q->j, seq)->nreqs;
}

/* All that is placed, from rx_head on; or one, if one may be a killer. */
static void deliver(struct netback_queue *q)
{
	uint32_t n[NJRNL_BUFS], copies = 0, at = 0, k = 0;
	uint64_t end = q->rx_head < q->rx_careful ? q->rx_head + 1 : q->rx_placed;
	struct net_sums sums = {0};

	for (uint64_t seq = q->rx_head; seq < end; seq++, k++) {
		n[k] = still_fit(q, seq) ? copies_of(q, seq, in_of(q, seq), q->copy + copies) : 0;
		copies += n[k];
	}
	if (NMUTANT(FREE_FIRST))
		for (uint64_t seq = q->rx_head; seq < end; seq++)
			njrnl_rx_free(q->j, seq);
	net_copy(q->dev, q->copy, copies);
	k = 0;
	for (uint64_t seq = q->rx_head; seq < end; seq++, at += n[k++]) {
		bool ok = n[k] && answer(q, seq, in_of(q, seq), q->copy + at, n[k]);

		if (!n[k]) {
			answer_unfit(q, seq);
			continue;
		}
		sums.done++;
		sums.errors += !ok;
		sums.packets += ok;
		sums.bytes += ok ? in_of(q, seq)->len : 0;
	}
	count(q, &sums);
	publish(q, end);
}

/* The packets from rx_placed on get their requests, as many as there are. False: the guest broke the protocol. */
static bool place(struct netback_queue *q)
{
	int pending = netif_back_pending(&q->rx, q->rx_cons, q->rx_shown);
	uint32_t room = HV_BATCH_MAX, left = (uint32_t)pending;

	if (pending < 0) {
		net_break(q->dev, BE_BROKEN_RING, "the guest's index of RX requests is out of range");
		return false;
	}
	while (q->rx_placed < q->rx_next && room >= NJRNL_REQS) {
		bool first = q->rx_placed == q->rx_head;
		struct net_in *in = in_of(q, q->rx_placed);

		if (q->rx_placed < q->rx_careful && !first)
			break;
		if (q->rx_placed == q->rx_convict || net_rx_describe(q, q->rx_placed, in)) {
			if (!first)
				break; /* in its turn */
			forget(q, &NET_STAT(q, net.rx_unfit));
			continue;
		}
		if (in->nslots > left) {
			if (first && waits(q, in->nslots)) {
				forget(q, &NET_STAT(q, net.rx_no_room));
				continue;
			}
			break;
		}
		has_room(q);
		take_requests(q, q->rx_placed, in->nslots);
		q->rx_placed++;
		left -= in->nslots;
		room -= in->nslots;
	}
	return true;
}

bool net_rx_place(struct netback_queue *q)
{
	uint64_t head = q->rx_head;

	if (q->rx_placed == q->rx_head && (q->rx_head == q->rx_next || !place(q)))
		return false;
	if (q->rx_placed > q->rx_head)
		deliver(q);
	return q->rx_head != head;
}
