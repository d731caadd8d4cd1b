/* netback_rx.c - packets for the guest: from the netport into the journal's buffers, where they outlive us. At most NJRNL_BUFS wait
 * there; what comes then waits in the netport, or is lost there. */
#include "backend/net/netback_priv.h"

#define FIRST_PAGE (BH_PAGE_SIZE - NETPORT_HDR) /* bytes of a frame that it holds */

static uint8_t *frame_of(const struct netback_queue *q, uint64_t seq) { return njrnl_data_of(q->j, seq) + NETPORT_HDR; }

static uint32_t slots_for(const struct netback_queue *q, uint32_t len)
{
	return (q->dev->conn.xdp_headroom + len + (uint32_t)BH_PAGE_SIZE - 1) / (uint32_t)BH_PAGE_SIZE;
}

static bool takes_segments(const struct netback_queue *q, uint8_t type)
{
	uint32_t f = q->dev->conn.features;

	return type == XEN_NETIF_GSO_TYPE_NONE || (f & (type == XEN_NETIF_GSO_TYPE_TCPV4 ? CONN_NET_GSO4 : CONN_NET_GSO6));
}

int net_rx_describe(const struct netback_queue *q, uint64_t seq, struct net_in *in)
{
	const struct netback *b = q->dev;
	const struct njrnl_buf *buf = njrnl_buf_of(q->j, seq);
	struct virtio_net_hdr h;
	uint32_t pages;

	memcpy(&h, njrnl_data_of(q->j, seq), sizeof(h));
	*in = (struct net_in){.len = buf->len - (uint32_t)NETPORT_HDR};
	if (netif_from_vnet(&h, &in->o) || !takes_segments(q, in->o.gso_type))
		return -EINVAL;
	pages = slots_for(q, in->len);
	if (pages > 1 && !(b->conn.features & CONN_NET_SG))
		return -EINVAL;
	in->nextras = (in->o.gso_type != XEN_NETIF_GSO_TYPE_NONE) + (b->conn.xdp_headroom != 0);
	/* What was placed, perhaps in a former life, keeps its slots, whether or not the guest has changed its mind on hashes. */
	if (buf->state == NJRNL_PLACED ? buf->nreqs > pages + in->nextras : load_relaxed(&b->net_word) & NET_HASH)
		net_hash(q->dev, frame_of(q, seq), in->len, buf->state == NJRNL_PLACED, in);
	in->nextras += in->hashed;
	in->nslots = pages + in->nextras;
	return in->nslots <= NJRNL_REQS ? 0 : -EINVAL;
}

/* Does the guest take a blank checksum in such a frame? */
static bool takes_blank(const struct netback_queue *q, const uint8_t *frame, uint32_t len)
{
	uint32_t f = q->dev->conn.features;
	struct netif_frame look;

	if ((f & CONN_NET_CSUM4) && (f & CONN_NET_CSUM6))
		return true;
	netif_frame_look(frame, len, &look);
	return f & (look.proto == NETIF_IPV6 ? CONN_NET_CSUM6 : CONN_NET_CSUM4);
}

/* The packet that is in the buffer, len bytes with its header: what the guest does not take blank is summed, before it counts as
 * filled, and in a way that may be done again. False: the guest does not want it. */
static bool accept(struct netback_queue *q, uint64_t seq, uint32_t len)
{
	static const uint8_t valid = VIRTIO_NET_HDR_F_DATA_VALID;
	struct virtio_net_hdr *h = (void *)njrnl_data_of(q->j, seq);
	uint8_t *frame = frame_of(q, seq);

	if ((load_relaxed(&q->dev->net_word) & NET_MCAST) && !net_mcast_wanted(q->dev, frame)) {
		NET_COUNT(q, net.rx_multicast, 1);
		return false;
	}
	if (LIKELY(!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) || h->gso_type != VIRTIO_NET_HDR_GSO_NONE ||
	    takes_blank(q, frame, len - (uint32_t)NETPORT_HDR))
		return true;
	if (netif_frame_sum_anew(frame, len - (uint32_t)NETPORT_HDR)) {
		NET_COUNT(q, net.rx_unfit, 1);
		return false;
	}
	pm_copy(&h->flags, &valid, sizeof(valid)); /* after the sum */
	return true;
}

static void filled(struct netback_queue *q, uint32_t len)
{
	njrnl_rx_filled(q->j, q->rx_next, len);
	q->rx_dirty[q->rx_next % NJRNL_BUFS] = (uint8_t)((len - 1) / JRNL_PAGE);
	q->rx_next++;
}

bool net_rx_read(struct netback_queue *q, unsigned budget)
{
	uint32_t lens[NJRNL_BUFS], n = 0; /* of the mutant */
	bool did = false;

	if (q->rx_dry) { /* a look may cost a system call; arm looks again, whatever this turn does not see */
		q->rx_dry = false;
		return false;
	}
	while (budget-- && q->rx_next + n - q->rx_head < NJRNL_BUFS && !load_relaxed(&q->dev->draining)) {
		uint64_t seq = q->rx_next + n;
		ssize_t len;

		if (!q->rx_reading)
			njrnl_rx_reading(q->j, seq, q->rx_dirty[seq % NJRNL_BUFS]);
		q->rx_reading = true;
		len = netport_read(q->np, njrnl_data_of(q->j, seq));
		if (len < (ssize_t)NETPORT_PACKET_MIN) {
			q->rx_dry = true;
			break;
		}
		did = q->moved = true;
		q->rx_reading = false;
		q->rx_dirty[seq % NJRNL_BUFS] = (uint8_t)((size_t)(len - 1) / JRNL_PAGE);
		if (!accept(q, seq, (uint32_t)len))
			continue;
		if (NMUTANT(FILLED_LATE))
			lens[n++] = (uint32_t)len;
		else
			filled(q, (uint32_t)len);
	}
	for (uint32_t i = 0; i < n; i++)
		filled(q, lens[i]);
	return did;
}

/* ---- what a death left in the buffer that was being read into: the netport gives a packet whole, but its length only in a register.
 * What is there ends where the frame's own headers say. */

static bool all_there(const uint8_t *data, uint32_t len)
{
	const uint64_t stamp = NJRNL_STAMP;

	for (uint32_t at = JRNL_PAGE; at < len; at += JRNL_PAGE)
		if (memcmp(data + at, &stamp, MIN(len - at, sizeof(stamp))) == 0)
			return NMUTANT(NO_STAMPS);
	return true;
}

void net_rx_salvage(struct netback_queue *q)
{
	const uint8_t *data = njrnl_data_of(q->j, q->rx_next);
	struct netif_frame f;
	uint16_t type;
	uint32_t len;

	memcpy(&type, data + NJRNL_TYPE_AT, sizeof(type));
	if (!type && !NMUTANT(TYPE_KEPT))
		return; /* nothing was read; it is ready to be read into, but not known to be marked */
	netif_frame_look(frame_of(q, q->rx_next), FIRST_PAGE, &f);
	len = f.len ? MAX(f.len, NETPORT_FRAME_MIN) + (uint32_t)NETPORT_HDR : 0;
	if (!len || len > NETPORT_PACKET_MAX || !all_there(data, len) || q->rx_next == q->rx_convict) {
		NET_COUNT(q, net.rx_lost, 1);
		return;
	}
	if (!accept(q, q->rx_next, len))
		return;
	filled(q, len);
	NET_COUNT(q, net.rx_derived, 1);
}
