/* Sending: packets into granted pages, page after page, and the answers to them. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/log.h"
#include "ring/proto/netif_frame.h"

#include <string.h>

#define ID_SLOT(id) ((id) & (NETIF_RING - 1))
#define ID_SERIAL(id) ((uint8_t)((id) >> 8))
static_assert(NETIF_RING == 256, "an id has eight bits for the page and eight for its use");

void netfront_tx_init(struct netfront_queue *q)
{
	for (unsigned i = 0; i < NETIF_RING; i++)
		q->slot[i].next_free = (uint16_t)(i + 1);
	q->free_head = 0;
}

/* A page and an id for one request: the page freed last, which is the warmest. */
static uint16_t slot_take(struct netfront_queue *q, bool head)
{
	uint16_t i = q->free_head;
	struct netfront_tx_slot *s;

	CHECK(i < NETIF_RING);
	s = &q->slot[i];
	q->free_head = s->next_free;
	s->live = true;
	s->head = head;
	s->serial++;
	return (uint16_t)(i | s->serial << 8);
}

/* Of whatever protocol: from csum_start to the end, where the header says. 0 or -EINVAL: not inside the frame. */
static int complete(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h)
{
	uint32_t at = (uint32_t)h->csum_start + h->csum_offset, i = h->csum_start;
	uint64_t sum = 0;

	if (i < NETIF_ETH_HLEN || i >= len || at + 2 > len)
		return -EINVAL;
	for (; i + 2 <= len; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	if (i < len)
		sum += (uint32_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = sum == 0xffff ? sum : ~sum & 0xffff; /* 0 says of UDP that there is none */
	frame[at] = (uint8_t)(sum >> 8);
	frame[at + 1] = (uint8_t)sum;
	return 0;
}

/* What the backend does not take blank is completed here. 0 or -EINVAL. */
static int offload(const struct netfront *f, const struct virtio_net_hdr *h, uint8_t *frame, uint32_t len, struct netif_offload *o)
{
	struct virtio_net_hdr derived;
	struct netif_frame look;
	bool fixed;

	if (netif_from_vnet(h, o))
		return -EINVAL;
	if ((o->gso_type == XEN_NETIF_GSO_TYPE_TCPV4 && !f->info.gso4) || (o->gso_type == XEN_NETIF_GSO_TYPE_TCPV6 && !f->info.gso6))
		return -EINVAL;
	if (!o->blank || o->gso_type != XEN_NETIF_GSO_TYPE_NONE)
		return 0;
	netif_frame_look(frame, len, &look);
	/* The other end finds the place by the frame's own headers, so they must lead to the one that is meant. */
	if ((look.proto == NETIF_IPV4 || (look.proto == NETIF_IPV6 && f->info.csum6)) && !netif_to_vnet(frame, len, o, &derived, &fixed) &&
	    derived.csum_start == h->csum_start && derived.csum_offset == h->csum_offset)
		return 0;
	*o = (struct netif_offload){.valid = true};
	return complete(frame, len, h);
}

static uint16_t first_flags(const struct netif_offload *o)
{
	uint16_t flags = 0;

	if (o->blank)
		flags |= NETTXF_csum_blank;
	if (o->valid)
		flags |= NETTXF_data_validated;
	if (o->gso_type != XEN_NETIF_GSO_TYPE_NONE)
		flags |= NETTXF_extra_info;
	return flags;
}

/* One request and the part of the frame that it names. */
static void put_part(struct netfront_queue *q, const uint8_t *from, uint32_t n, uint16_t flags, uint32_t size, bool head)
{
	uint16_t id = slot_take(q, head);

	memcpy(netfront_page(&q->tx_pages, ID_SLOT(id)), from, n);
	netif_front_tx_put(&q->tx, q->tx_pages.gref[ID_SLOT(id)], 0, flags, id, (uint16_t)size);
}

static void put_frame(struct netfront_queue *q, const uint8_t *frame, uint32_t len, const struct netif_offload *o)
{
	uint32_t n = MIN(len, (uint32_t)BH_PAGE_SIZE), at = n;
	uint64_t gso = o->gso_size | (uint64_t)o->gso_type << 16;
	uint16_t more = NETTXF_more_data;

	put_part(q, frame, n, (uint16_t)(first_flags(o) | (at < len ? more : 0)), len, true);
	if (o->gso_type != XEN_NETIF_GSO_TYPE_NONE) {
		netif_front_tx_extra(&q->tx, XEN_NETIF_EXTRA_TYPE_GSO, false, gso);
		q->extras++;
	}
	for (; at < len; at += n) {
		n = MIN(len - at, (uint32_t)BH_PAGE_SIZE);
		put_part(q, frame + at, n, at + n < len ? more : 0, n, false);
	}
}

/* Room for n entries, after a look at the answers if need be. */
static int make_room(struct netfront_queue *q, uint32_t n)
{
	int rc;

	if (netif_front_room(&q->tx) >= n)
		return 0;
	rc = netfront_tx_take(q);
	if (rc < 0) {
		netfront_end(q->f, rc);
		return rc;
	}
	return netif_front_room(&q->tx) >= n ? 0 : -EAGAIN;
}

static int may_send(const struct netfront_queue *q)
{
	int ended = load_relaxed(&q->f->ended);

	return ended ? ended : load_relaxed(&q->f->closing) ? -ESHUTDOWN : 0;
}

int netfront_send(struct netfront_queue *q, const struct virtio_net_hdr *h, void *frame, size_t len)
{
	struct netif_offload o;
	int rc = may_send(q);

	if (rc)
		return rc;
	if (len > q->f->info.frame_max || len < NETIF_ETH_HLEN)
		return -EMSGSIZE;
	rc = make_room(q, (uint32_t)((len + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE) + 1);
	if (rc)
		return rc;
	rc = offload(q->f, h, frame, (uint32_t)len, &o);
	if (rc)
		return rc;
	put_frame(q, frame, (uint32_t)len, &o);
	store_relaxed(&q->stats.tx_packets, q->stats.tx_packets + 1);
	store_relaxed(&q->stats.tx_bytes, q->stats.tx_bytes + len);
	return 0;
}

int netfront_mcast(struct netfront_queue *q, const uint8_t mac[6], bool add)
{
	uint64_t body = 0;
	uint16_t id;
	int rc = may_send(q);

	if (rc)
		return rc;
	rc = make_room(q, 2);
	if (rc)
		return rc;
	memcpy(&body, mac, 6);
	id = slot_take(q, true);
	netif_front_tx_put(&q->tx, q->tx_pages.gref[ID_SLOT(id)], 0, NETTXF_extra_info, id, 0);
	netif_front_tx_extra(&q->tx, add ? XEN_NETIF_EXTRA_TYPE_MCAST_ADD : XEN_NETIF_EXTRA_TYPE_MCAST_DEL, false, body);
	q->extras++;
	return 0;
}

/* ---- answers */

static int take_one(struct netfront_queue *q, struct netif_tx_response rsp)
{
	struct netfront_tx_slot *s = &q->slot[ID_SLOT(rsp.id)];

	if (rsp.status == NETIF_RSP_NULL) {
		if (q->extras > 0) {
			q->extras--;
			return 0;
		}
		log_peer("queue %u: the backend answered extra info that was not sent", q->index);
		return -EPEER;
	}
	if (!s->live || s->serial != ID_SERIAL(rsp.id)) {
		log_peer("queue %u: the backend answered id %#x, which is not outstanding", q->index, rsp.id);
		return -EPEER;
	}
	if (rsp.status != NETIF_RSP_OKAY && s->head)
		store_relaxed(&q->stats.tx_errors, q->stats.tx_errors + 1);
	s->live = false;
	s->next_free = q->free_head;
	q->free_head = ID_SLOT(rsp.id);
	return 0;
}

int netfront_tx_take(struct netfront_queue *q)
{
	int n = netif_front_pending(&q->tx);

	if (n < 0)
		log_peer("queue %u: the backend's response index of TX is out of range", q->index);
	for (int i = 0; i < n; i++) {
		if (take_one(q, netif_front_tx_answer(&q->tx, q->tx.taken)))
			return -EPEER;
		q->tx.taken++;
		q->got = true;
	}
	store_relaxed(&q->busy, q->tx.published - q->tx.taken);
	return n;
}
