#include "ring/proto/netif_decode.h"

static enum netif_fed fatal(struct netif_pkt *p, const char *why)
{
	p->verdict = NETIF_DROP;
	p->why = why;
	return NETIF_FATAL;
}

static void drop(struct netif_pkt *p, const char *why)
{
	p->why = p->verdict == NETIF_DROP ? p->why : why;
	p->verdict = NETIF_DROP;
}

static void keep(struct netif_pkt *p, uint64_t raw, uint16_t size)
{
	if (p->nfrags < NETIF_FRAGS_MAX)
		p->frag[p->nfrags] = (struct netif_frag){(uint32_t)raw, (uint16_t)(raw >> 32), size};
	p->nfrags++;
}

static bool has(const struct netif_pkt *p, unsigned type) { return p->types >> type & 1; }

/* All entries are here. */
static enum netif_fed end(struct netif_pkt *p)
{
	if (has(p, XEN_NETIF_EXTRA_TYPE_MCAST_ADD) || has(p, XEN_NETIF_EXTRA_TYPE_MCAST_DEL)) {
		p->verdict = NETIF_MCAST;
		return NETIF_END;
	}
	if (p->verdict == NETIF_DROP)
		return NETIF_END;
	if (p->frag[0].off + p->left > BH_PAGE_SIZE)
		return fatal(p, "a packet's first part goes beyond its page");
	p->frag[0].len = (uint16_t)p->left;
	if (p->gso && p->gso_size == 0)
		return fatal(p, "segments of no length");
	if (p->gso && p->gso_type != XEN_NETIF_GSO_TYPE_TCPV4 && p->gso_type != XEN_NETIF_GSO_TYPE_TCPV6)
		return fatal(p, "unknown kind of segments");
	if (p->len < NETIF_ETH_HLEN)
		drop(p, "shorter than an Ethernet header");
	return NETIF_END;
}

static enum netif_fed after_extras(struct netif_pkt *p)
{
	p->at = NETIF_AT_FRAG;
	return p->flags & NETTXF_more_data ? NETIF_MORE : end(p);
}

static enum netif_fed feed_first(struct netif_pkt *p, uint64_t raw, uint32_t raw2)
{
	p->flags = (uint16_t)(raw >> 48);
	p->len = p->left = raw2 >> 16;
	keep(p, raw, 0); /* its own length is what the others leave */
	if (p->flags & NETTXF_extra_info) {
		p->at = NETIF_AT_EXTRA;
		return NETIF_MORE;
	}
	return after_extras(p);
}

static enum netif_fed feed_extra(struct netif_pkt *p, uint64_t raw)
{
	unsigned type = raw & 0xff;

	if (type == XEN_NETIF_EXTRA_TYPE_NONE || type >= NETIF_EXTRA_TYPES)
		return fatal(p, "extra info of an unknown type");
	p->nextras++;
	p->types |= 1u << type;
	if (type == XEN_NETIF_EXTRA_TYPE_GSO) {
		p->gso = true;
		p->gso_size = (uint16_t)(raw >> 16);
		p->gso_type = (uint8_t)(raw >> 32);
	} else if (type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD || type == XEN_NETIF_EXTRA_TYPE_MCAST_DEL) {
		p->mcast_add = type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD;
		for (unsigned i = 0; i < sizeof(p->mcast); i++)
			p->mcast[i] = (uint8_t)(raw >> (16 + 8 * i));
	}
	return raw >> 8 & XEN_NETIF_EXTRA_FLAG_MORE ? NETIF_MORE : after_extras(p);
}

static enum netif_fed feed_frag(struct netif_pkt *p, uint64_t raw, uint32_t raw2)
{
	uint32_t off = (uint32_t)(raw >> 32) & 0xffff, size = raw2 >> 16;

	if (p->nfrags - 1 >= NETIF_BEHIND_FATAL)
		return fatal(p, "a packet of too many parts");
	if (off + size > BH_PAGE_SIZE)
		return fatal(p, "a packet's part goes beyond its page");
	keep(p, raw, (uint16_t)size);
	if (p->nfrags > NETIF_FRAGS_MAX)
		drop(p, "too many parts");
	if (size > p->left)
		drop(p, "parts longer than the whole"); /* seen of frontends that count in 16 bits */
	else
		p->left -= size;
	return (raw >> 48) & NETTXF_more_data ? NETIF_MORE : end(p);
}

enum netif_fed netif_pkt_feed(struct netif_pkt *p, uint64_t raw, uint32_t raw2)
{
	p->nslots++;
	if (p->at == NETIF_AT_FIRST)
		return feed_first(p, raw, raw2);
	return p->at == NETIF_AT_EXTRA ? feed_extra(p, raw) : feed_frag(p, raw, raw2);
}
