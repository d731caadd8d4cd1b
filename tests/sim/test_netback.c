/* A vif's turns, on the simulated provider over a netport that the test commands: what a hostile guest can do, each with its outcome (an
 * error for that packet, or the device ends; never more), control messages, guests without buffers, the rate. Advisories of Xen by number. */
#include "backend/net/netback_priv.h"
#include "tests/sim/crash_hv.h"
#include "tests/sim/sim_alone.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>

#include <cmocka.h>

#define NDATA 20u

enum njrnl_mutant njrnl_mutant;

static struct {
	struct hv *fe, *be;
	struct netif_tx_sring *tx;
	struct netif_rx_sring *rx;
	struct xen_netif_ctrl_sring *ctrl;
	char *data;
	hv_gref_t gref[NDATA], ro;
	struct hv_port *port[2];
	struct conn_id conn;
	void *journal;
	struct netback *b;
	struct netback_queue *q;
	unsigned events[8], carrier;
	/* the netport */
	struct netport np;
	struct netport_queue npq;
	alignas(8) uint8_t out[NETPORT_PACKET_MAX], in[NETPORT_PACKET_MAX];
	size_t out_len, in_len;
	unsigned nout, nin; /* packets sent; left to be read, all of them alike */
	int write_rc;
} r;

static int np_start(struct netport_queue *q UNUSED) { return 0; }
static struct netport_queue *np_queue(struct netport *p UNUSED, unsigned i UNUSED) { return &r.npq; }
static int np_write(struct netport_queue *q UNUSED, const void *packet, size_t len)
{
	memcpy(r.out, packet, len);
	r.out_len = len;
	r.nout += r.write_rc == 0;
	return r.write_rc;
}
static ssize_t np_read(struct netport_queue *q UNUSED, void *packet)
{
	if (!r.nin)
		return -EAGAIN;
	r.nin--;
	memcpy(packet, r.in, r.in_len);
	return (ssize_t)r.in_len;
}
static void np_kick(struct netport_queue *q UNUSED) {}
static int np_arm(struct netport_queue *q UNUSED, unsigned want) { return (want & NETPORT_IN) && r.nin; }
static int np_fd(const struct netport_queue *q UNUSED) { return -1; }
static uint64_t np_due(const struct netport_queue *q UNUSED) { return UINT64_MAX; }
static const struct netport_ops np_ops = {.name = "told", .queue = np_queue, .start = np_start, .write = np_write, .read = np_read,
					  .kick = np_kick, .arm = np_arm, .fd = np_fd, .due = np_due};

static void no_point(void) {}

static void on_event(void *arg UNUSED, enum be_event e, uint64_t value, const char *text UNUSED)
{
	r.events[e]++;
	if (e == BE_CARRIER)
		r.carrier = (unsigned)value;
}

static hv_gref_t grant(void *page, bool ro)
{
	struct hv_grant g = {.page = page, .ro = ro};

	assert_int_equal(hv_grant(r.fe, 0, &g, 1), 0);
	return g.gref;
}

static void *ring(hv_gref_t *gref, void **mapped)
{
	void *mem;

	assert_int_equal(hv_alloc(r.fe, 1, &mem), 0);
	memset(mem, 0, BH_PAGE_SIZE);
	((struct ring_hdr *)mem)->req_event = ((struct ring_hdr *)mem)->rsp_event = 1;
	*gref = grant(mem, false);
	assert_int_equal(hv_map_ring(r.be, CRASH_HV_DOMAIN, gref, 1, mapped), 0);
	return mem;
}

static struct hv_port *port(unsigned i)
{
	struct hv_port *bound, *p;
	int fds[HV_PORT_FDS];

	assert_int_equal(hv_port_alloc(r.fe, 0, &r.port[i]), 0);
	assert_int_equal(hv_port_bind(crash_hv_supervisor(), CRASH_HV_DOMAIN, hv_port_number(r.port[i]), &bound), 0);
	assert_int_equal(hv_port_adopt(r.be, fds, hv_port_fds(bound, fds), hv_port_number(bound), &p), 0);
	return p;
}

static struct netback_options options;

static int setup(void **state UNUSED)
{
	struct be_prepare p = {.conn = &r.conn, .event = on_event};
	struct be_started s;
	hv_gref_t g;

	memset(&r, 0, sizeof(r));
	crash_hv_reset(no_point);
	r.fe = crash_hv_guest();
	r.be = p.hv = crash_hv_stub();
	r.tx = ring(&g, &p.ring[0]);
	r.rx = ring(&g, &p.ring_rx[0]);
	r.ctrl = ring(&g, &p.ctrl_ring);
	p.port[0] = port(0);
	p.ctrl_port = port(1);
	assert_int_equal(hv_alloc(r.fe, NDATA, (void **)&r.data), 0);
	for (unsigned i = 0; i < NDATA; i++)
		r.gref[i] = grant(r.data + i * BH_PAGE_SIZE, false);
	r.ro = grant(r.data, true);
	r.conn = (struct conn_id){.domid = CRASH_HV_DOMAIN, .type = CONN_VIF, .protocol = CONN_NATIVE, .nqueues = 1, .ring_pages = 1,
				  .epoch = 1, .features = CONN_NET_SG | CONN_NET_CSUM4 | CONN_NET_MCAST};
	p.journal_bytes = njrnl_file_bytes(1);
	p.journal = r.journal = aligned_alloc(JRNL_PAGE, p.journal_bytes);
	memset(r.journal, 0, p.journal_bytes);
	r.np = (struct netport){.ops = &np_ops, .queues = 1};
	r.npq.ops = &np_ops;
	options.netport = &r.np;
	assert_int_equal(netback_prepare(&p, &options, &r.b), 0);
	assert_int_equal(netback_start(r.b, true, false, &s), 0);
	r.q = netback_get_queue(r.b, 0);
	return 0;
}

static int teardown(void **state UNUSED)
{
	netback_abandon(r.b);
	crash_hv_kill(r.be);
	free(r.journal);
	options = (struct netback_options){0};
	return 0;
}

/* ---- TX */

static void post(hv_gref_t gref, uint16_t off, uint16_t flags, uint16_t size)
{
	r.tx->ring[r.tx->req_prod % NETIF_RING].req =
		(struct netif_tx_request){.gref = gref, .offset = off, .flags = flags, .id = (uint16_t)(r.tx->req_prod + 100), .size = size};
	r.tx->req_prod++;
}

static void post_extra(uint8_t type, uint8_t flags, const uint8_t body[6])
{
	struct netif_extra_info e = {.type = type, .flags = flags};

	memcpy(&e.u, body, 6);
	memcpy(&r.tx->ring[r.tx->req_prod++ % NETIF_RING], &e, sizeof(e));
}

static void expect(uint32_t index, int16_t status)
{
	const struct netif_tx_response *a = &r.tx->ring[index % NETIF_RING].rsp;

	assert_true(r.tx->rsp_prod > index);
	assert_int_equal(a->status, status);
	if (status != NETIF_RSP_NULL)
		assert_int_equal(a->id, index + 100);
}

static void turns(unsigned n)
{
	while (n--)
		assert_false(netback_turn(r.q, 64) & BE_HALTED);
}

static void broken(void)
{
	uint32_t shown = r.tx->rsp_prod;

	for (unsigned i = 0; i < 3; i++)
		netback_turn(r.q, 64);
	assert_true(netback_turn(r.q, 64) & BE_HALTED);
	assert_int_equal(r.events[BE_BROKEN_RING], 1); /* said once */
	assert_int_equal(r.tx->rsp_prod, shown);
}

static void test_indices(void **state UNUSED)
{
	r.tx->req_prod = NETIF_RING + 1;
	broken();
}

static void test_rx_indices(void **state UNUSED)
{
	r.rx->req_prod = NETIF_RING + 1;
	r.nin = 1;
	r.in_len = NETPORT_PACKET_MIN;
	broken();
}

static void test_control_indices(void **state UNUSED)
{
	r.ctrl->req_prod = NETIF_CTRL_RING + 1;
	broken();
}

static void test_a_packet_that_goes_on(void **state UNUSED)
{
	post(r.gref[0], 0, 0, 60); /* what is in front of it goes out */
	post(r.gref[0], 0, NETTXF_more_data, 60);
	turns(1);
	expect(0, NETIF_RSP_OKAY);
	broken();
	assert_int_equal(r.nout, 1);
}

static void test_extra_info_that_goes_on(void **state UNUSED)
{
	static const uint8_t body[6];

	post(r.gref[0], 0, NETTXF_extra_info, 60);
	for (unsigned i = 1; i < NETIF_RING; i++) /* a chain around the whole ring */
		post_extra(XEN_NETIF_EXTRA_TYPE_HASH, XEN_NETIF_EXTRA_FLAG_MORE, body);
	broken();
}

static void test_bad_pages(void **state UNUSED)
{
	post(99999, 0, 0, 60);
	post(r.gref[0], 0, NETTXF_more_data, 5000);
	post(99999, 0, 0, 4096);
	post(r.gref[1], 0, 0, 60);
	turns(2);
	expect(0, NETIF_RSP_ERROR);
	expect(1, NETIF_RSP_ERROR);
	expect(2, NETIF_RSP_ERROR);
	expect(3, NETIF_RSP_OKAY);
	assert_int_equal(r.nout, 1);
}

/* XSA-448: parts without data are not even looked at. */
static void test_xsa_448(void **state UNUSED)
{
	post(99999, 0, NETTXF_more_data, 60);
	post(r.gref[0], 0, NETTXF_more_data, 60);
	post(99999, 0, 0, 0);
	turns(2);
	expect(0, NETIF_RSP_OKAY);
	expect(2, NETIF_RSP_OKAY);
	assert_int_equal(r.nout, 1);
}

/* XSA-423: headers that are spread over many parts arrive in one piece. */
static void test_xsa_423(void **state UNUSED)
{
	for (unsigned i = 0; i < 64; i++)
		r.data[i] = (char)(i + 1);
	post(r.gref[0], 0, NETTXF_more_data, 64);
	for (unsigned i = 1; i <= 16; i++)
		post(r.gref[0], (uint16_t)(i * 3), i < 16 ? NETTXF_more_data : 0, 3);
	turns(2);
	assert_int_equal(r.nout, 1);
	assert_int_equal(r.out_len, NETPORT_HDR + 64);
	assert_memory_equal(r.out + NETPORT_HDR, r.data, 16);
	for (unsigned i = 1; i <= 16; i++)
		assert_memory_equal(r.out + NETPORT_HDR + 16 + 3 * (i - 1), r.data + 3 * i, 3);
}

/* XSA-216: of a ring's page nothing changes but responses. */
static void test_xsa_216(void **state UNUSED)
{
	uint8_t before[BH_PAGE_SIZE];

	memset(r.tx->ring, 0xa5, BH_PAGE_SIZE - RING_HDR);
	post(r.gref[0], 0, 0, 60);
	post(r.gref[0], 0, NETTXF_more_data, 60);
	post(99999, 0, 0, 10);
	memcpy(before, r.tx, sizeof(before));
	turns(2);
	for (size_t i = RING_HDR; i < BH_PAGE_SIZE; i++)
		if (i >= RING_HDR + 3 * NETIF_TX_ENTRY || (i - RING_HDR) % NETIF_TX_ENTRY >= 4)
			assert_int_equal(((uint8_t *)r.tx)[i], before[i]);
}

static void test_a_full_netport_holds_back(void **state UNUSED)
{
	r.write_rc = -EAGAIN;
	post(r.gref[0], 0, 0, 60);
	turns(5);
	assert_int_equal(r.tx->rsp_prod, 0);
	r.write_rc = -EIO; /* it can not be sent: dropped, as a cable does */
	turns(1);
	expect(0, NETIF_RSP_DROPPED);
}

static void test_multicast(void **state UNUSED)
{
	uint8_t mac[6] = {1, 0, 0x5e, 0, 0, 0};

	for (unsigned i = 0; i <= NJRNL_MCAST; i++) {
		mac[5] = (uint8_t)i;
		post(r.gref[0], 0, NETTXF_extra_info, 0);
		post_extra(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 0, mac);
		turns(2);
		expect(2 * i, i < NJRNL_MCAST ? NETIF_RSP_OKAY : NETIF_RSP_ERROR);
		expect(2 * i + 1, NETIF_RSP_NULL);
	}
	assert_int_equal(r.nout, 0);
	memset(r.in, 0, 100);
	r.in_len = NETPORT_HDR + 60;
	memcpy(r.in + NETPORT_HDR, mac, 6); /* the one too many */
	r.in[NETPORT_HDR + 12] = 8;
	r.nin = 1;
	turns(2);
	assert_int_equal(r.q->rx_head, r.q->rx_next);
	assert_int_equal(r.q->j->hdr->net.rx_multicast, 1);
	r.in[NETPORT_HDR + 5] = 3;
	r.nin = 1;
	turns(2);
	assert_int_equal(r.q->rx_next - r.q->rx_head, 1);
}

/* The guest may say at any time whether its list counts. */
static void test_dynamic_multicast(void **state UNUSED)
{
	memset(r.in, 0, 100);
	r.in_len = NETPORT_HDR + 60;
	memcpy(r.in + NETPORT_HDR, (const uint8_t[6]){1, 0, 0x5e, 1, 2, 3}, 6);
	r.in[NETPORT_HDR + 12] = 8;
	for (unsigned listed = 2; listed-- > 0;) {
		netback_multicast(r.b, listed);
		netback_multicast(r.b, listed); /* said again, it is not stored again */
		turns(1);
		assert_int_equal(r.b->net.mcast_on, listed);
		assert_int_equal(jrnl_seq_of(r.b->jrnl.dev->now), listed ? 1 : 2);
		r.nin = 1;
		turns(2);
		assert_int_equal(r.q->j->hdr->net.rx_multicast, 1);
	}
	assert_int_equal(r.q->rx_next - r.q->rx_head, 1);
}

static void test_rate(void **state UNUSED)
{
	netback_rate(r.b, 1000, 100); /* at first a burst of 131072 bytes; the clock goes on by a microsecond a turn */
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned k = 0; k < 15; k++)
			post(r.gref[k], 0, k < 14 ? NETTXF_more_data : 0, k ? 4096 : 15 * 4096);
		turns(3);
	}
	assert_true(r.nout >= 2 && r.nout < 5);
	assert_true(r.q->rated && netback_deadline(r.q) != UINT64_MAX);
	turns(30000);
	assert_int_equal(r.nout >= 5 && r.nout < 12, 1); /* 10 bytes a microsecond: about five more */
}

/* ---- RX */

static void buffer(hv_gref_t gref)
{
	r.rx->ring[r.rx->req_prod % NETIF_RING].req = (struct netif_rx_request){.id = (uint16_t)(r.rx->req_prod + 50), .gref = gref};
	r.rx->req_prod++;
}

static void offer(unsigned n, size_t len)
{
	memset(r.in, 0, sizeof(r.in));
	memset(r.in + NETPORT_HDR, 2, 12);
	r.in[NETPORT_HDR + 12] = 8;
	for (size_t i = NETPORT_HDR + 34; i < NETPORT_HDR + len; i++)
		r.in[i] = (uint8_t)i;
	r.in_len = NETPORT_HDR + len;
	r.nin = n;
}

static void test_bad_buffers(void **state UNUSED)
{
	buffer(99999);
	buffer(r.ro); /* XSA-403 and its kind: only what was granted for writing */
	buffer(r.gref[1]);
	offer(3, 60);
	memset(r.data, 0x77, BH_PAGE_SIZE);
	turns(3);
	assert_int_equal(r.rx->rsp_prod, 3);
	assert_int_equal(r.rx->ring[0].rsp.status, NETIF_RSP_ERROR);
	assert_int_equal(r.rx->ring[1].rsp.status, NETIF_RSP_ERROR);
	assert_int_equal(r.rx->ring[2].rsp.status, 60);
	assert_int_equal(r.rx->ring[2].rsp.id, 52);
	assert_memory_equal(r.data + BH_PAGE_SIZE, r.in + NETPORT_HDR, 60);
	assert_int_equal(r.data[BH_PAGE_SIZE + 60], 0); /* no byte behind the packet */
	assert_int_equal(r.data[0], 0x77);
	assert_int_equal(r.events[BE_BROKEN_RING], 0);
}

/* XSA-392: who posts nothing, or too little, holds up nobody and pins no memory. */
static void test_xsa_392(void **state UNUSED)
{
	offer(100000, 5000); /* two pages each */
	buffer(r.gref[0]);   /* one */
	turns(900);
	assert_int_equal(r.q->rx_next - r.q->rx_head, NJRNL_BUFS); /* the rest waits in the netport */
	assert_int_equal(r.q->j->hdr->net.rx_no_room, 0);
	turns(300); /* longer than drain_ms */
	assert_true(r.q->j->hdr->net.rx_no_room > 100);
	assert_int_equal(r.carrier, 0);
	assert_int_equal(r.events[BE_CARRIER], 0);
	turns(2000); /* longer than stall_ms */
	assert_int_equal(r.events[BE_CARRIER], 1);
	assert_int_equal(r.rx->rsp_prod, 0);
	buffer(r.gref[1]);
	buffer(r.gref[2]);
	buffer(r.gref[3]);
	turns(2);
	assert_int_equal(r.rx->rsp_prod, 4);
	assert_int_equal(r.events[BE_CARRIER], 2);
	assert_int_equal(r.carrier, 1);
}

/* XSA-391 is the guest's; ours is to notify once for what was published together. */
static void test_xsa_391(void **state UNUSED)
{
	for (unsigned i = 0; i < 8; i++)
		buffer(r.gref[i]);
	offer(8, 60);
	hv_port_clear(r.port[0]);
	turns(1);
	assert_int_equal(r.rx->rsp_prod, 8);
	assert_int_equal(hv_port_clear(r.port[0]), 1);
	turns(20);
	assert_int_equal(hv_port_clear(r.port[0]), 0);
}

/* XSA-424: every way of dropping a packet leaves nothing in hand. */
static void test_xsa_424(void **state UNUSED)
{
	offer(3, 60);
	((struct virtio_net_hdr *)(void *)r.in)->gso_type = VIRTIO_NET_HDR_GSO_UDP; /* a kind that no guest takes */
	turns(4);
	assert_int_equal(r.q->j->hdr->net.rx_unfit, 3);
	offer(3, 60);
	((struct virtio_net_hdr *)(void *)r.in)->gso_type = VIRTIO_NET_HDR_GSO_TCPV4; /* it was not asked for */
	((struct virtio_net_hdr *)(void *)r.in)->gso_size = 500;
	turns(4);
	assert_int_equal(r.q->j->hdr->net.rx_unfit, 6);
	assert_int_equal(r.q->rx_head, r.q->rx_next);
	assert_int_equal(hv_usage(r.be).mapped, 3);
}

/* ---- control */

static uint32_t say(uint16_t type, uint32_t a, uint32_t b, uint32_t c, uint32_t *data)
{
	uint32_t at = r.ctrl->req_prod;
	const struct xen_netif_ctrl_response *a_ = &r.ctrl->ring[at % NETIF_CTRL_RING].rsp;

	r.ctrl->ring[at % NETIF_CTRL_RING].req = (struct xen_netif_ctrl_request){.id = (uint16_t)(at + 9), .type = type, .data = {a, b, c}};
	r.ctrl->req_prod++;
	turns(2);
	assert_int_equal(r.ctrl->rsp_prod, at + 1);
	assert_true(a_->id == (uint16_t)(at + 9) && a_->type == type);
	if (data)
		*data = a_->data;
	return a_->status;
}

static void test_control(void **state UNUSED)
{
	uint32_t *page = (void *)r.data, data;

	assert_int_equal(say(0, 0, 0, 0, NULL), 1);
	for (uint16_t type = 8; type < 30; type++)
		assert_int_equal(say(type, 1, 2, 3, NULL), 1);
	assert_int_equal(say(1, 0, 0, 0, NULL), 1);	 /* flags before an algorithm */
	assert_int_equal(say(2, 1, 0, 0, NULL), 2);
	assert_int_equal(say(7, 2, 0, 0, NULL), 2);	 /* no such algorithm */
	assert_int_equal(say(7, 1, 0, 0, NULL), 0);
	assert_int_equal(say(1, 0, 0, 0, &data), 0);
	assert_int_equal(data, 15);
	assert_int_equal(say(2, 16, 0, 0, NULL), 2);
	assert_int_equal(say(2, 15, 0, 0, NULL), 0);
	assert_int_equal(say(3, r.ro, 41, 0, NULL), 3);	 /* the key is too long */
	assert_int_equal(say(3, 99999, 40, 0, NULL), 2); /* no such page */
	assert_int_equal(r.b->net.key_len, 0);		 /* nothing in part */
	assert_int_equal(say(3, r.ro, 40, 0, NULL), 0);
	assert_int_equal(say(4, 0, 0, 0, &data), 0);
	assert_int_equal(data, 128);
	assert_int_equal(say(5, 129, 0, 0, NULL), 2);
	assert_int_equal(say(5, 64, 0, 0, NULL), 0);
	page[0] = 0;
	page[1] = 1; /* there is one queue */
	assert_int_equal(say(6, r.ro, 2, 0, NULL), 2);
	assert_int_equal(say(6, r.ro, 1, 63, NULL), 0);
}

static void test_xsa_270(void **state UNUSED)
{
	assert_int_equal(say(5, 64, 0, 0, NULL), 0);
	assert_int_equal(say(6, r.ro, 0x20, 0xfffffff0, NULL), 2);
	assert_int_equal(say(6, r.ro, 1, 64, NULL), 2);
	assert_int_equal(say(6, r.ro, 0xffffffff, 1, NULL), 2);
	assert_int_equal(say(6, r.ro, 0x40000001, 0, NULL), 2);
	assert_int_equal(say(5, 0, 0, 0, NULL), 0);
	assert_int_equal(say(6, r.ro, 1, 0, NULL), 2);
}

static int setup_slow(void **state)
{
	options.drain_ms = 1; /* a thousand turns */
	options.stall_ms = 3;
	return setup(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest t[] = {
		T(test_indices), T(test_rx_indices), T(test_control_indices), T(test_a_packet_that_goes_on),
		T(test_extra_info_that_goes_on), T(test_bad_pages), T(test_xsa_448), T(test_xsa_423), T(test_xsa_216),
		T(test_a_full_netport_holds_back), T(test_multicast), T(test_dynamic_multicast), T(test_rate), T(test_bad_buffers),
		cmocka_unit_test_setup_teardown(test_xsa_392, setup_slow, teardown), T(test_xsa_391), T(test_xsa_424), T(test_control),
		T(test_xsa_270),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
