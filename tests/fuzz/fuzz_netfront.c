/* What a hostile backend may write on a vif's rings, at any time: the frontend drops packets or ends the device, and never hands
 * out a packet that is not one. The input is a script of what the guest does and the backend writes. */
#include "tests/fuzz/input.h"
#include "tests/unit/frontend/fake_net.h"

static uint8_t frame[NETFRONT_FRAME_MAX + 1], got[NETFRONT_FRAME_MAX + 1];

static void guest_sends(struct fake_net *w, struct input *in)
{
	struct virtio_net_hdr h = {.flags = (uint8_t)take(in, 1) & 3, .gso_type = (uint8_t)(take(in, 1) % 6),
				   .gso_size = (uint16_t)take(in, 2), .csum_start = (uint16_t)(take(in, 2) % 80),
				   .csum_offset = (uint16_t)(take(in, 1) % 20)};
	uint32_t len = (uint32_t)take(in, 2);
	int rc;

	fake_frame(frame, 100, len & 1, len & 2 ? 6 : 17, len); /* what is behind it is not looked at */
	rc = netfront_send(w->q, &h, frame, len);
	CHECK(rc <= 0 && (rc != 0 || len >= 14));
}

/* Entries of the ring as they come, and as many more answers. */
static void backend_receives(struct fake_net *w, struct input *in)
{
	unsigned n = (unsigned)take(in, 1) % 32;
	uint64_t word;

	for (unsigned i = 0; i < n; i++, w->rx_cons++) {
		word = take(in, 8);
		if (take(in, 1) & 7) /* mostly what belongs there */
			word = (word & ~0xffffull) | (uint16_t)w->rx_cons;
		memcpy(fake_rx_entry(w, w->rx_cons), &word, 8);
	}
	*fake_rsp_prod(fake_rx_ring(w)) = w->rx_cons;
}

static void backend_answers(struct fake_net *w, struct input *in)
{
	unsigned n = (unsigned)take(in, 1) % 32;
	uint16_t id, status;

	for (unsigned i = 0; i < n; i++) {
		id = FAKE_GET(uint16_t, fake_tx_entry(w, w->tx_prod) + 8);
		if (take(in, 1) % 16 == 0)
			id = (uint16_t)take(in, 2);
		status = (uint16_t)(take(in, 2) % 4);
		fake_tx_answer(w, id, (int16_t)(status - 2));
	}
}

static void step(struct fake_net *w, struct input *in)
{
	struct virtio_net_hdr h;
	int rc;

	switch (take(in, 1) % 8) {
	case 0:
	case 1:
		guest_sends(w, in);
		break;
	case 2:
	case 3:
		backend_receives(w, in);
		break;
	case 4:
		backend_answers(w, in);
		break;
	case 5:
		rc = netfront_recv(w->q, &h, got);
		CHECK(rc <= 0 || (rc >= 14 && rc <= (int)NETFRONT_FRAME_MAX));
		CHECK(rc <= 0 || !(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h.csum_start + h.csum_offset + 2 <= rc);
		CHECK(rc <= 0 || h.gso_type == VIRTIO_NET_HDR_GSO_NONE || h.gso_size > 0);
		break;
	case 6:
		netfront_poll(w->q);
		CHECK(netfront_outstanding(w->q) <= NETIF_RING);
		break;
	default:
		if (take(in, 1) == 0)
			*fake_rsp_prod(take(in, 1) & 1 ? fake_tx_ring(w) : fake_rx_ring(w)) = (uint32_t)take(in, 4);
		netfront_arm(w->q, true);
	}
}

/* As just opened; to open it for every input would take most of the time. */
static struct fake_net *fresh(void)
{
	static struct fake_net w;

	if (!w.q)
		fake_net_up(&w, &(struct netfront_open){.rx_buffers = 64, .no_ctrl = true}, &fake_all);
	memset(w.q->slot, 0, sizeof(w.q->slot));
	netfront_tx_init(w.q);
	w.q->extras = 0;
	w.f->ended = 0;
	memset(w.q->rx_pages.mem, 0, w.q->rx_pages.n * BH_PAGE_SIZE);
	memset(w.q->rings.mem, 0, 2 * BH_PAGE_SIZE);
	fake_net_at(&w, 0);
	return &w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct fake_net *w = fresh();

	while (in.left)
		step(w, &in);
	return 0;
}
