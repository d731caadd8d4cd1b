/* A guest that is the input, on the running network backend: packets nearly sound or of any bytes, buffers, control messages, indices of any
 * value, grants that end, a netport that is full, fails, or is a pair whose other end lies, deaths at any store with and without blame.
 * What goes out was described by a sound packet, in order, once but for one a death; nothing is copied but what a ring offers; the journal
 * stays one that a successor takes; all that was taken is answered; or the device says that it is broken, and does no more. */
#include "tests/fuzz/net_world.h"

static void check_journal(void)
{
	for (unsigned i = 0; i < NQ; i++) {
		const struct njrnl_queue *h = w.b->jrnl.q[i].hdr;
		uint64_t prod = jrnl_seq_of(h->common.rsp_prod), sent = jrnl_seq_of(h->sent), cons = jrnl_seq_of(h->common.req_cons);

		CHECK(prod <= sent && sent <= cons && cons - prod <= NR);
	}
	CHECK(!w.events[BE_BROKEN_JOURNAL]);
}

/* A new process takes over, or begins, and may die in it. */
static void begin(bool own_fault)
{
	struct be_started s;
	volatile bool own = own_fault;
	int rc;

	if (setjmp(w.die)) {
		w.deaths++;
		w.left = 0;
	}
	w.dying = false;
	prepare();
	w.dying = true;
	rc = netback_start(w.b, !w.begun, own, &s);
	w.dying = false;
	CHECK(rc == 0 || (rc == -EPEER && w.kind == 2));
	w.begun = true;
	if (rc)
		end_backend();
}

/* What was called sent and well in this turn was sent. */
static void check_sent(unsigned i, uint64_t from)
{
	const struct netback_queue *q = &w.b->q[i];
	struct claim k;

	for (uint64_t at = from; at < q->sent; at += k.nslots) {
		uint32_t a = *(uint32_t *)(void *)((char *)w.q[i].tx + RING_HDR + at % NR * NETIF_TX_ENTRY);
		int16_t status = (int16_t)(a >> 16);

		CHECK(claim_of(q->j, at, q->sent, &k));
		CHECK((uint16_t)a == tx_of(q->j, at).id);
		CHECK(status == NETIF_RSP_OKAY || status == NETIF_RSP_ERROR || status == NETIF_RSP_DROPPED);
		CHECK(status != NETIF_RSP_OKAY || !k.sent || w.q[i].written[at % NR] == at + 1);
	}
}

static bool within(uint32_t prod, uint64_t before, uint64_t after) { return after - before <= prod - (uint32_t)before; }

static void turn(unsigned i, unsigned budget, bool own_fault)
{
	struct netback_queue *q = netback_get_queue(w.b, i);
	uint64_t sent = q->sent, cons = q->req_cons, rx = q->rx_cons, said = w.b->ctrl_cons;
	volatile bool own = own_fault;
	unsigned was = broken();

	if (setjmp(w.die)) {
		w.deaths++;
		w.left = 0;
		end_backend();
		if (!broken()) /* then it is not begun again */
			begin(own);
		return;
	}
	w.dying = true;
	if (netback_turn(q, budget) & BE_HALTED)
		CHECK(broken());
	CHECK(!was || (q->sent == sent && q->rx_cons == rx && w.b->ctrl_cons == said));
	netback_arm(q);
	w.dying = false;
	CHECK(within(w.q[i].tx->req_prod, cons, q->req_cons) && within(w.q[i].rx->req_prod, rx, q->rx_cons));
	CHECK(within(w.ctrl->req_prod, said, w.b->ctrl_cons));
	check_sent(i, sent);
}

/* Words and bytes of the guest's pages, or of the pair's other end. */
static void scribble(unsigned queue, struct input *in)
{
	unsigned where = (unsigned)take(in, 1);
	struct ring_hdr *rings[] = {w.q[queue].tx, w.q[queue].rx, w.ctrl}, *h = rings[where / 8 % 3];
	uint32_t v = (uint32_t)take(in, 1);

	switch (where % 8) {
	case 0:
		h->req_event = v;
		h->rsp_event = v & 0x80 ? (uint32_t)take(in, 4) : h->rsp_prod + v;
		break;
	case 1:
		h->rsp_prod = (uint32_t)take(in, 4);
		break;
	case 2:
		h->req_prod = v & 0x80 ? (uint32_t)take(in, 4) : h->req_prod + v % 4;
		break;
	case 3:
	case 4:
		take_bytes(in, (char *)h + RING_HDR + v * 12 % (BH_PAGE_SIZE - RING_HDR - 16), 1 + v % 16);
		break;
	case 5:
		take_bytes(in, w.data + (NRO + v % NRW) * BH_PAGE_SIZE, 16);
		break;
	default:
		if (w.kind == 2) {
			struct wire wire;

			CHECK(wire_open(w.wire[queue][1], &wire) == 0);
			take_bytes(in, (char *)wire.mem->way + v % (2 * sizeof(wire.mem->way[0]) - 8), 1 + v % 8);
			wire_close(&wire);
		}
	}
}

static void end_grant(struct input *in)
{
	unsigned page = (unsigned)take(in, 1) % (NRO + NRW);
	int16_t status;

	hv_ungrant(w.fe, &w.gref[page], 1, &status);
}

/* The network: packets for the guest, or none; room, or none. */
static void network(unsigned what, struct net_q *q, struct input *in)
{
	static const int results[] = {0, 0, -EAGAIN, -EIO};
	static uint8_t frame[NETPORT_PACKET_MAX];

	q->avail = what / 8 % 8;
	q->gso = (uint8_t)take(in, 1);
	q->type = (uint8_t)take(in, 1);
	q->len = (uint16_t)(what & 0x40 ? take(in, 2) : take(in, 1));
	w.write_rc = results[q->type % ARRAY_LEN(results)];
	if (!w.peer)
		return;
	while (netport_read(netport_queue(w.peer, index_of(q)), frame) > 0)
		;
	netport_write(netport_queue(w.peer, index_of(q)), memset(frame, q->type, sizeof(frame)), MAX(q->len, NETPORT_PACKET_MIN));
}

static void step(struct input *in)
{
	unsigned what = (unsigned)take(in, 1), queue = what >> 7;

	switch (what % 8) {
	case 0:
		post_packet(queue, in);
		break;
	case 1:
		scribble(queue, in);
		break;
	case 2:
		post_buffers(queue, 1 + what / 8 % 8, (unsigned)take(in, 1));
		break;
	case 3:
		post_message(in);
		break;
	case 4:
		network(what, &w.q[queue], in);
		break;
	case 5:
		if (what & 0x40)
			end_grant(in);
		else if (what & 0x20)
			netback_multicast(w.b, what & 8);
		else
			netback_rate(w.b, take(in, 1), 1 + what / 8 % 8);
		break;
	case 6:
		w.left = what & 0x40 ? 1 + (unsigned)take(in, 1) : 1 + what / 8 % 8;
		turn(queue, 1 + what / 8 % 8, what & 0x20);
		w.left = 0;
		break;
	default:
		turn(queue, 1 + what / 8 % 8, false);
	}
	if (w.b)
		check_journal();
}

/* All that it has is answered, unless the ring is broken. */
static void finish_all(void)
{
	w.write_rc = 0;
	netback_rate(w.b, 0, 0);
	for (unsigned i = 0; i < NQ; i++)
		w.q[i].avail = 0;
	for (unsigned k = 0; k < 60 && w.b && !broken(); k++)
		for (unsigned i = 0; i < NQ; i++)
			turn(i, NR, false);
	for (unsigned i = 0; i < NQ && w.b && !broken() && w.kind != 2; i++) {
		const struct netback_queue *q = &w.b->q[i];

		CHECK(q->sent == q->req_cons && q->shown == q->sent && (uint32_t)q->req_cons == w.q[i].tx->req_prod);
		CHECK(w.b->ctrl_shown == w.b->ctrl_cons);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};

	world_up((unsigned)take(&in, 2));
	begin(false);
	while (in.left && w.b)
		step(&in);
	if (w.b)
		finish_all();
	if (w.b && !broken())
		begin(true);
	world_down();
	return 0;
}
