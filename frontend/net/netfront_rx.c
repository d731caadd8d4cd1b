/* Receiving: buffers that are always posted, and packets out of them. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/log.h"
#include "ring/proto/netif_frame.h"

#include <string.h>

/* Entries of one packet: its pages, each with few bytes at worst, and an extra info of each type. */
#define ENTRIES_MAX (NETIF_BEHIND_MAX + 1 + NETIF_EXTRA_TYPES)

/* A packet as its entries tell it. */
struct packet {
	uint32_t entries, nparts, len;
	uint16_t flags;	 /* of the first */
	bool error, bad; /* the backend dropped it; it can't be */
	struct netif_offload offload;
	struct {
		uint32_t index;
		uint16_t off, len;
	} part[ENTRIES_MAX];
};

static uint16_t id_of(uint32_t index) { return (uint16_t)index; }
static uint32_t page_of(const struct netfront_queue *q, uint32_t index) { return index & (q->rx_pages.n - 1); }

void netfront_rx_post(struct netfront_queue *q)
{
	while (q->rx.put - q->rx.taken < q->rx_pages.n)
		netif_front_rx_put(&q->rx, id_of(q->rx.put), q->rx_pages.gref[page_of(q, q->rx.put)]);
}

static int distrust(const struct netfront_queue *q, const char *what)
{
	log_peer("queue %u: %s", q->index, what);
	return -EPEER;
}

static void take_extra(struct packet *p, const struct netif_extra_info *e)
{
	if (e->type == XEN_NETIF_EXTRA_TYPE_GSO) {
		p->offload.gso_type = e->u.gso.type;
		p->offload.gso_size = e->u.gso.size;
		p->bad |= e->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 && e->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6;
	} else if (e->type != XEN_NETIF_EXTRA_TYPE_HASH && e->type != XEN_NETIF_EXTRA_TYPE_XDP) {
		p->bad = true;
	}
}

static void take_part(struct packet *p, uint32_t index, const struct netif_rx_response *rsp)
{
	uint32_t off = rsp->offset;

	if (rsp->status < 0) {
		p->error = true;
		return;
	}
	if (off + (uint32_t)rsp->status > BH_PAGE_SIZE) {
		p->bad = true;
		return;
	}
	p->part[p->nparts].index = index;
	p->part[p->nparts].off = rsp->offset;
	p->part[p->nparts++].len = (uint16_t)rsp->status;
	p->len += (uint32_t)rsp->status;
}

/* Reads the entries of the next packet, of n that wait. 0 or -EPEER. */
static int read_packet(const struct netfront_queue *q, uint32_t n, struct packet *p)
{
	bool extra = false, more = true;
	union netif_front_rx e;
	uint32_t index;

	memset(p, 0, offsetof(struct packet, part));
	while (more || extra) {
		if (p->entries == n)
			return distrust(q, "the backend published a part of a packet");
		if (p->entries == ENTRIES_MAX)
			return distrust(q, "the backend published a packet of too many parts");
		index = q->rx.taken + p->entries++;
		e = netif_front_rx_answer(&q->rx, index);
		if (extra) {
			take_extra(p, &e.extra);
			extra = e.extra.flags & XEN_NETIF_EXTRA_FLAG_MORE;
			continue;
		}
		if (e.rsp.id != id_of(index))
			return distrust(q, "the backend answered a buffer that is not at this place of the ring");
		if (p->entries == 1) {
			p->flags = e.rsp.flags;
			extra = e.rsp.flags & NETRXF_extra_info;
		}
		more = e.rsp.flags & NETRXF_more_data;
		take_part(p, index, &e.rsp);
	}
	return 0;
}

/* Copies it out. Its length, or 0: it is to be dropped. */
static uint32_t copy_packet(struct netfront_queue *q, struct packet *p, struct virtio_net_hdr *h, uint8_t *frame)
{
	uint32_t at = 0;
	bool fixed;

	p->bad |= !p->error && (p->len < NETIF_ETH_HLEN || p->len > NETFRONT_FRAME_MAX);
	if (p->error || p->bad)
		return 0;
	for (uint32_t i = 0; i < p->nparts; at += p->part[i++].len)
		memcpy(frame + at, (char *)netfront_page(&q->rx_pages, page_of(q, p->part[i].index)) + p->part[i].off, p->part[i].len);
	p->offload.blank = p->flags & NETRXF_csum_blank;
	p->offload.valid = p->flags & NETRXF_data_validated;
	if (netif_to_vnet(frame, p->len, &p->offload, h, &fixed)) {
		p->bad = true;
		return 0;
	}
	return p->len;
}

static void count(struct netfront_queue *q, const struct packet *p)
{
	struct netfront_stats *s = &q->stats;

	if (p->error) {
		store_relaxed(&s->rx_errors, s->rx_errors + 1);
	} else if (p->bad) {
		store_relaxed(&s->rx_bad, s->rx_bad + 1);
	} else {
		store_relaxed(&s->rx_packets, s->rx_packets + 1);
		store_relaxed(&s->rx_bytes, s->rx_bytes + p->len);
	}
}

int netfront_recv(struct netfront_queue *q, struct virtio_net_hdr *h, void *frame)
{
	struct packet p;
	int n = load_relaxed(&q->f->ended), rc;
	uint32_t len = 0;

	while (!n && !len) {
		n = netif_front_pending(&q->rx);
		if (n == 0)
			return 0;
		rc = n < 0 ? distrust(q, "the backend's response index of RX is out of range") : read_packet(q, (uint32_t)n, &p);
		if (rc) {
			netfront_end(q->f, rc);
			return rc;
		}
		len = copy_packet(q, &p, h, frame);
		count(q, &p);
		q->rx.taken += p.entries;
		q->got = true;
		n = 0;
	}
	return n ? n : (int)len;
}
