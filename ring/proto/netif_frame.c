#include "ring/proto/netif_frame.h"

#include "ring/proto/netif_abi.h"

#include <errno.h>
#include <string.h>

#define ETH_TYPE 12u
#define VLAN_TAGS_MAX 2u
#define IPV6_HDR 40u
#define IPV6_EXTENSIONS_MAX 8u
#define GSO_SIZE_MIN 8u

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static void put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- where the headers are */

static void look_l4(const uint8_t *frame, uint32_t len, struct netif_frame *f)
{
	if (f->l4_proto == NETIF_UDP && f->l4 + 8 <= len)
		f->l4_hdr = 8;
	if (f->l4_proto == NETIF_TCP && f->l4 + 20 <= len) {
		uint32_t n = (uint32_t)(frame[f->l4 + 12] >> 4) * 4;

		f->l4_hdr = n >= 20 && f->l4 + n <= len ? n : 0;
	}
}

static void look_ipv4(const uint8_t *frame, uint32_t len, struct netif_frame *f)
{
	const uint8_t *ip = frame + f->l3;
	uint32_t hdr, total;

	if (f->l3 + 20 > len || ip[0] >> 4 != 4)
		return;
	hdr = (ip[0] & 15u) * 4;
	total = be16(ip + 2);
	if (hdr < 20 || total < hdr)
		return;
	f->len = f->l3 + total;
	f->fragment = (be16(ip + 6) & 0x3fff) != 0;
	f->l4 = f->l3 + hdr;
	if (!(be16(ip + 6) & 0x1fff) && f->l4 <= len)
		f->l4_proto = ip[9];
}

/* Hop-by-hop, routing and destination options are passed over; of a fragment only the first has what follows. */
static void look_ipv6(const uint8_t *frame, uint32_t len, struct netif_frame *f)
{
	const uint8_t *ip = frame + f->l3;
	uint32_t at = f->l3 + IPV6_HDR;
	uint8_t next;

	if (at > len || ip[0] >> 4 != 6)
		return;
	f->len = be16(ip + 4) ? at + be16(ip + 4) : 0; /* 0 says that somebody else knows */
	next = ip[6];
	for (unsigned i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		bool options = next == 0 || next == 43 || next == 60, fragment = next == 44;

		if (!options && !fragment) {
			f->l4 = at;
			f->l4_proto = next;
			return;
		}
		if (at + 8 > len)
			return;
		if (fragment) {
			f->fragment = true;
			if (be16(frame + at + 2) & 0xfff8)
				return;
		}
		next = frame[at];
		at += fragment ? 8 : 8 + 8u * frame[at + 1];
	}
}

void netif_frame_look(const uint8_t *frame, uint32_t len, struct netif_frame *f)
{
	uint32_t at = ETH_TYPE;

	memset(f, 0, sizeof(*f));
	for (unsigned tags = 0; at + 2 <= len; tags++, at += 4) {
		f->proto = be16(frame + at);
		if ((f->proto != 0x8100 && f->proto != 0x88a8) || tags == VLAN_TAGS_MAX)
			break;
		f->proto = 0;
	}
	f->l3 = at + 2;
	if (f->proto == NETIF_IPV4)
		look_ipv4(frame, len, f);
	else if (f->proto == NETIF_IPV6)
		look_ipv6(frame, len, f);
	else if (f->proto == NETIF_ARP)
		f->len = f->l3 + 28;
	if (f->l4_proto)
		look_l4(frame, len, f);
}

/* ---- checksums */

/* Ones' complement sum of len bytes, folded; words are big-endian. */
static uint32_t sum(const uint8_t *p, uint32_t len, uint64_t s)
{
	uint32_t i = 0;

	for (; i + 2 <= len; i += 2)
		s += be16(p + i);
	if (i < len)
		s += (uint64_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint32_t)s;
}

/* Of the pseudo header: what a blank checksum is. */
static uint32_t pseudo(const uint8_t *frame, const struct netif_frame *f, uint32_t len)
{
	uint64_t s = (uint64_t)f->l4_proto + (len - f->l4);

	return f->proto == NETIF_IPV4 ? sum(frame + f->l3 + 12, 8, s) : sum(frame + f->l3 + 8, 32, s);
}

/* A whole TCP or UDP header is there, and where its checksum stands. 0: not so. */
static uint32_t sum_at(const struct netif_frame *f, uint32_t len)
{
	if ((f->proto != NETIF_IPV4 && f->proto != NETIF_IPV6) || f->fragment || !f->l4_hdr || f->l4 + f->l4_hdr > len)
		return 0;
	return f->l4 + (f->l4_proto == NETIF_TCP ? 16 : 6);
}

static void put_sum(uint8_t *at, uint32_t s)
{
	s = ~s & 0xffff;
	put_be16(at, s ? s : 0xffff); /* 0 says of UDP that there is none */
}

int netif_frame_sum(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h)
{
	uint32_t at = (uint32_t)h->csum_start + h->csum_offset;

	if (h->csum_start < NETIF_ETH_HLEN || h->csum_start >= len || at + 2 > len)
		return -EINVAL;
	put_sum(frame + at, sum(frame + h->csum_start, len - h->csum_start, 0));
	return 0;
}

int netif_frame_sum_anew(uint8_t *frame, uint32_t len)
{
	struct netif_frame f;
	uint32_t at;

	netif_frame_look(frame, len, &f);
	at = sum_at(&f, len);
	if (!at)
		return -EINVAL;
	/* Minus what stands there: plus its complement. */
	put_sum(frame + at, sum(frame + f.l4, len - f.l4, (uint64_t)pseudo(frame, &f, len) + (be16(frame + at) ^ 0xffffu)));
	return 0;
}

/* ---- offloads */

static int set_segments(const struct netif_frame *f, uint32_t len, const struct netif_offload *o, struct virtio_net_hdr *h)
{
	bool v6 = o->gso_type == XEN_NETIF_GSO_TYPE_TCPV6;
	uint32_t headers = f->l4 + f->l4_hdr;

	if (f->l4_proto != NETIF_TCP || !f->l4_hdr || f->proto != (v6 ? NETIF_IPV6 : NETIF_IPV4))
		return -EINVAL;
	if (o->gso_size < GSO_SIZE_MIN || o->gso_size > len)
		return -EINVAL;
	if (len - headers <= o->gso_size)
		return 0; /* it is one segment already */
	h->gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	h->gso_size = o->gso_size;
	h->hdr_len = (uint16_t)headers;
	return 0;
}

int netif_to_vnet(uint8_t *frame, uint32_t len, const struct netif_offload *o, struct virtio_net_hdr *h, bool *fixed)
{
	struct netif_frame f;
	uint32_t at;

	*h = (struct virtio_net_hdr){.flags = o->valid && !o->blank ? VIRTIO_NET_HDR_F_DATA_VALID : 0};
	*fixed = false;
	if (!o->blank && o->gso_type == XEN_NETIF_GSO_TYPE_NONE)
		return 0;
	netif_frame_look(frame, len, &f);
	at = sum_at(&f, len);
	if (!at)
		return -EINVAL;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)f.l4;
	h->csum_offset = (uint16_t)(at - f.l4);
	if (!o->blank) {
		put_be16(frame + at, pseudo(frame, &f, len));
		*fixed = true;
	}
	return o->gso_type == XEN_NETIF_GSO_TYPE_NONE ? 0 : set_segments(&f, len, o, h);
}

int netif_from_vnet(const struct virtio_net_hdr *h, struct netif_offload *o)
{
	*o = (struct netif_offload){.blank = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .valid = h->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID),
				    .gso_size = h->gso_size};
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		o->gso_type = XEN_NETIF_GSO_TYPE_TCPV4;
		return h->gso_size ? 0 : -EINVAL;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		o->gso_type = XEN_NETIF_GSO_TYPE_TCPV6;
		return h->gso_size ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* ---- hash */

uint32_t netif_toeplitz(const uint8_t *key, uint32_t key_len, const uint8_t *data, uint32_t len)
{
	uint64_t window = 0; /* the next bits of the key, left-most first */
	uint32_t hash = 0;

	for (uint32_t i = 0; i < 4; i++)
		window = window << 8 | (i < key_len ? key[i] : 0);
	for (uint32_t i = 0; i < len; i++) {
		window = window << 8 | (i + 4 < key_len ? key[i + 4] : 0);
		for (unsigned bit = 0; bit < 8; bit++)
			if (data[i] & (0x80 >> bit))
				hash ^= (uint32_t)(window >> (8 - bit));
	}
	return hash;
}

bool netif_frame_hash(const uint8_t *frame, uint32_t len, uint32_t flags, const uint8_t *key, uint32_t key_len, uint32_t *hash,
		      uint8_t *type)
{
	uint8_t buf[36];
	struct netif_frame f;
	uint32_t n, addrs;
	bool v6, tcp;

	netif_frame_look(frame, len, &f);
	v6 = f.proto == NETIF_IPV6;
	if (!f.len || (!v6 && f.proto != NETIF_IPV4))
		return false;
	addrs = v6 ? 32 : 8;
	memcpy(buf, frame + f.l3 + (v6 ? 8 : 12), addrs);
	*type = v6 ? _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP : _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP;
	tcp = f.l4_proto == NETIF_TCP && f.l4_hdr && !f.fragment && flags >> *type & 1;
	n = addrs;
	if (tcp) {
		memcpy(buf + addrs, frame + f.l4, 4);
		n += 4;
	} else {
		*type = v6 ? _XEN_NETIF_CTRL_HASH_TYPE_IPV6 : _XEN_NETIF_CTRL_HASH_TYPE_IPV4;
	}
	if (!(flags >> *type & 1))
		return false;
	*hash = netif_toeplitz(key, key_len, buf, n);
	return true;
}
