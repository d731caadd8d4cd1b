#include "tests/sim/ncrash.h"

#include "ring/base/check.h"

#include <stdlib.h>

/* A script: packets apart by blanks, KIND LENGTH and for the guest's /PARTS:
 *   I P  IPv4 with UDP    V  IPv6 with UDP   R  ARP     X  something else
 *   C    UDP, checksum blank                 T  TCP in segments, IPv4      W  the same, IPv6
 *   M    IPv4 to multicast address LENGTH
 * the guest's only: A D  add, delete multicast address LENGTH;  S  too short;  L  parts longer than the whole;
 *   B  a page that was not granted;  N  too many parts;  E  with empty parts
 */
unsigned nc_parse(const char *s, struct nc_pkt *p)
{
	unsigned n = 0;
	char *end;

	while (s && *s) {
		struct nc_pkt k = {.kind = *s, .parts = 1};
		unsigned v = (unsigned)strtoul(s + 1, &end, 10);

		CHECK(n < NC_PKTS);
		if (*end == '/')
			k.parts = (unsigned)strtoul(end + 1, &end, 10);
		k.len = (uint16_t)v;
		if (strchr("MAD", k.kind)) {
			k.arg = v;
			k.len = 64;
		}
		if (k.kind == 'R')
			k.len = 42;
		if (k.kind == 'S')
			k.len = 12;
		if (k.kind == 'N')
			k.parts = 2 + NETIF_BEHIND_MAX;
		k.bad = strchr("SLBN", k.kind) != NULL;
		p[n++] = k;
		for (s = end; *s == ' '; s++)
			;
	}
	return n;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The checksum of a pseudo header, written down here once more. */
static uint32_t pseudo(const uint8_t *addrs, unsigned n, uint32_t proto, uint32_t len)
{
	uint32_t s = proto + len;

	for (unsigned i = 0; i < n; i += 2)
		s += (uint32_t)(addrs[i] << 8 | addrs[i + 1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static uint32_t l4_of(const struct nc_pkt *p) { return strchr("VW", p->kind) ? 54 : 34; }

uint32_t nc_frame(uint8_t *f, unsigned dir, unsigned queue, unsigned number, const struct nc_pkt *p)
{
	const uint8_t mac[6] = {2, (uint8_t)dir, (uint8_t)queue, 0x55, (uint8_t)(number >> 8), (uint8_t)number};
	bool v6 = strchr("VW", p->kind), tcp = strchr("TW", p->kind);
	uint32_t l4 = l4_of(p);

	for (uint32_t i = 0; i < p->len; i++)
		f[i] = (uint8_t)(i * 7 + number * 29 + queue * 101 + dir * 53 + (i >> 8));
	memset(f, 2, MIN(p->len, 6u));
	if (p->kind == 'M')
		memcpy(f, (const uint8_t[6]){1, 0, 0x5e, 0, 0, (uint8_t)p->arg}, 6);
	memcpy(f + 6, mac, MIN(p->len - 6u, 6u));
	if (p->len < 42)
		return p->len;
	put16(f + 12, p->kind == 'R' ? 0x0806 : p->kind == 'X' ? 0x88b5 : v6 ? 0x86dd : 0x0800);
	if (strchr("RX", p->kind))
		return p->len;
	if (v6) {
		memset(f + 14, 0, 6);
		f[14] = 0x60;
		put16(f + 18, p->len - 54u);
		f[20] = tcp ? 6 : 17;
	} else {
		memset(f + 14, 0, 12);
		f[14] = 0x45;
		put16(f + 16, p->len - 14u);
		f[23] = tcp ? 6 : 17;
	}
	if (tcp)
		f[l4 + 12] = 0x50;
	if (strchr("CTW", p->kind))
		put16(f + l4 + (tcp ? 16 : 6), v6 ? pseudo(f + 22, 32, 6, p->len - l4) : pseudo(f + 26, 8, tcp ? 6 : 17, p->len - l4));
	return p->len;
}

unsigned nc_number(const uint8_t *f, unsigned dir, unsigned queue, unsigned n)
{
	unsigned number = (unsigned)(f[10] << 8 | f[11]);

	return f[6] == 2 && f[7] == dir && f[8] == queue && f[9] == 0x55 && number < n ? number : NC_PKTS;
}

void nc_offload(const struct nc_pkt *p, const uint8_t *frame, uint32_t len, struct virtio_net_hdr *h)
{
	uint32_t l4 = l4_of(p);
	bool tcp = strchr("TW", p->kind);

	(void)frame;
	(void)len;
	memset(h, 0, sizeof(*h));
	if (!strchr("CTW", p->kind))
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)l4;
	h->csum_offset = tcp ? 16 : 6;
	if (!tcp)
		return;
	h->gso_type = p->kind == 'T' ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	h->gso_size = 500;
	h->hdr_len = (uint16_t)(l4 + 20);
}
