/* Entries of a vif's rings and the bytes of a frame: what the decoder lets through must be what a backend may do without another look, and
 * what is said of a frame must lie inside it. */
#include "ring/proto/netif_decode.h"
#include "ring/proto/netif_frame.h"
#include "tests/fuzz/input.h"

static void check_packet(const struct netif_pkt *p)
{
	uint32_t sum = 0;

	CHECK(p->nslots == (p->nfrags ? p->nfrags : 1) + p->nextras);
	if (p->verdict != NETIF_SEND)
		return;
	CHECK(p->nfrags >= 1 && p->nfrags <= NETIF_FRAGS_MAX && p->len >= NETIF_ETH_HLEN && p->len <= 65535);
	for (uint32_t i = 0; i < p->nfrags; i++) {
		CHECK(p->frag[i].off + p->frag[i].len <= BH_PAGE_SIZE);
		sum += p->frag[i].len;
	}
	CHECK(sum == p->len);
	CHECK(!p->gso || (p->gso_size && (p->gso_type == XEN_NETIF_GSO_TYPE_TCPV4 || p->gso_type == XEN_NETIF_GSO_TYPE_TCPV6)));
}

static void entries(struct input *in)
{
	struct netif_pkt p;
	enum netif_fed fed = NETIF_MORE;

	netif_pkt_begin(&p);
	while (fed == NETIF_MORE && in->left) {
		uint64_t raw = take(in, 8);

		fed = netif_pkt_feed(&p, raw, (uint32_t)take(in, 4));
	}
	if (fed == NETIF_END)
		check_packet(&p);
}

static void frame(struct input *in)
{
	struct netif_offload o = {.blank = take(in, 1) & 1, .valid = true, .gso_type = (uint8_t)(take(in, 1) % 3), .gso_size = (uint16_t)take(in, 2)};
	uint32_t len = (uint32_t)MAX(in->left, (size_t)NETIF_ETH_HLEN), hash;
	uint8_t *f = exact(len), key[40], type;
	struct virtio_net_hdr h;
	struct netif_frame look;
	bool fixed;

	memcpy(key, in->at, MIN(in->left, sizeof(key)));
	take_bytes(in, f, len);
	netif_frame_look(f, len, &look);
	CHECK(!look.l4_hdr || look.l4 + look.l4_hdr <= len);
	if (netif_to_vnet(f, len, &o, &h, &fixed) == 0 && h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		CHECK(h.csum_start + h.csum_offset + 2u <= len && h.hdr_len <= len);
		CHECK(netif_frame_sum(f, len, &h) == 0);
	}
	netif_frame_sum_anew(f, len);
	if (netif_frame_hash(f, len, 15, key, sizeof(key), &hash, &type))
		CHECK(type < 4);
	free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	if (take(&in, 1) & 1)
		entries(&in);
	else
		frame(&in);
	return 0;
}
