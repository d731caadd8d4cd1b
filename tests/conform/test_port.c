/* One contract for every netport: null, pair, and, as root, tap; bare and behind a filter that is not armed. */
#include "tests/conform/port_rig.h"

#define COUNT 4000u

static const struct variant {
	const char *name;
	enum rig_kind kind;
	const char *opts;
} variants[] = {
	{"pair", RIG_PAIR, ":wire"},
	{"pair, filter", RIG_PAIR, ",loss=0"},
	{"pair, filter, 1 ms", RIG_PAIR, ",delay=1"},
	{"tap", RIG_TAP_KIND, ""},
	{"tap, filter", RIG_TAP_KIND, ",loss=0,seed=3"},
};
static const struct variant *variant;
static struct rig r;

static int setup(void **state)
{
	(void)state;
	rig_open(&r, variant->kind, variant->opts);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&r);
	return 0;
}

/* Mostly small, also the largest. */
static size_t length(void)
{
	size_t most = rand() % 8 ? 1500 : r.frame_max;

	return NETPORT_FRAME_MIN + 4 + (size_t)rand() % (most - NETPORT_FRAME_MIN - 3);
}

/* Packets of random lengths: all come, whole, in order, and none but these. */
static void test_out(void **state)
{
	static size_t frame[COUNT];
	unsigned sent = 0, got = 0;
	ssize_t n;

	(void)state;
	while (got < COUNT) {
		for (unsigned burst = 1 + (unsigned)rand() % 64; sent < COUNT && sent - got < 128 && burst; burst--) {
			size_t len = rig_fill(r.buf, sent, frame[sent] = length());
			int rc = netport_write(r.q, r.buf, len);

			if (rc == -EAGAIN)
				break;
			assert_int_equal(rc, 0);
			sent++;
		}
		netport_kick(r.q);
		while ((n = rig_take(&r, r.buf)) > 0) {
			rig_expect(r.buf, (size_t)n, got, frame[got]);
			got++;
		}
		assert_int_equal(n, -EAGAIN);
		rig_send_kick(&r);
		if (netport_due(r.q) != UINT64_MAX)
			rig_sleep(r.q, 0, 1);
	}
	assert_int_equal(rig_take(&r, r.buf), -EAGAIN);
}

static void test_in(void **state)
{
	static size_t frame[COUNT];
	unsigned sent = 0, got = 0;
	ssize_t n;

	(void)state;
	while (got < COUNT) {
		for (unsigned burst = 1 + (unsigned)rand() % 64; sent < COUNT && sent - got < 128 && burst; burst--) {
			size_t len = rig_fill(r.buf, sent, frame[sent] = length());

			if (rig_send(&r, r.buf, len))
				break;
			sent++;
		}
		rig_send_kick(&r);
		n = rig_wait(&r, r.buf, RIG_WAIT_MS);
		for (; n > 0; n = rig_read(&r, r.buf)) {
			rig_expect(r.buf, (size_t)n, got, frame[got]);
			got++;
		}
		assert_int_equal(n, -EAGAIN);
		netport_kick(r.q);
	}
	assert_int_equal(rig_wait(&r, r.buf, 5), -EAGAIN);
}

/* What cannot be a packet is refused, and the next one goes. */
static void test_lengths(void **state)
{
	size_t len;

	(void)state;
	assert_int_equal(netport_write(r.q, r.buf, 0), -EINVAL);
	assert_int_equal(netport_write(r.q, r.buf, NETPORT_PACKET_MIN - 1), -EINVAL);
	assert_int_equal(netport_write(r.q, r.buf, NETPORT_PACKET_MAX + 1), -EINVAL);
	len = rig_fill(r.buf, 5, 60);
	assert_int_equal(netport_write(r.q, r.buf, len), 0);
	netport_kick(r.q);
	if (netport_due(r.q) != UINT64_MAX) {
		rig_sleep(r.q, 0, 5);
		netport_kick(r.q);
	}
	rig_expect(r.buf, (size_t)rig_take_wait(&r, r.buf), 5, 60);
}

/* Who has read all can sleep, and is woken; who wants nothing is never woken. */
static void test_sleep(void **state)
{
	size_t len = rig_fill(r.buf, 1, 100);

	(void)state;
	while (rig_wait(&r, r.buf, 50) > 0)
		;
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(rig_sleep(r.q, NETPORT_IN, 0), 0);
		len = rig_fill(r.buf, i, 100);
		assert_int_equal(rig_send(&r, r.buf, len), 0);
		rig_send_kick(&r);
		assert_int_equal(rig_sleep(r.q, NETPORT_IN, RIG_WAIT_MS), 1);
		assert_int_equal(rig_sleep(r.q, 0, 0), 0);
		rig_expect(r.buf, (size_t)rig_wait(&r, r.buf, RIG_WAIT_MS), i, 100);
		netport_kick(r.q);
	}
}

/* What waits in the device is the next owner's; what was read or written is not seen again. */
static void test_successor(void **state)
{
	char spec[100];

	(void)state;
	if (strstr(variant->opts, "delay"))
		return; /* what the filter holds ends with it */
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(rig_send(&r, r.buf, rig_fill(r.buf, i, 200 + i)), 0);
		assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 100 + i, 300)), 0);
	}
	rig_send_kick(&r); /* and no kick for what was written */
	for (unsigned i = 0; i < 7; i++)
		rig_expect(r.buf, (size_t)rig_wait(&r, r.buf, RIG_WAIT_MS), i, 200 + i);
	netport_close(r.port);
	snprintf(spec, sizeof(spec), "%s%s", r.kind == RIG_PAIR ? "pair" : "tap", variant->opts);
	rig_open_port(spec, r.fd, 0, &r.port, &r.q);
	for (unsigned i = 7; i < 20; i++)
		rig_expect(r.buf, (size_t)rig_wait(&r, r.buf, RIG_WAIT_MS), i, 200 + i);
	for (unsigned i = 0; i < 20; i++)
		rig_expect(r.buf, (size_t)rig_take_wait(&r, r.buf), 100 + i, 300);
	assert_int_equal(rig_wait(&r, r.buf, 5), -EAGAIN);
	assert_int_equal(rig_take(&r, r.buf), -EAGAIN);
}

static int run_variant(const struct variant *v)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_successor, setup, teardown),
	};

	variant = v;
	return cmocka_run_group_tests_name(v->name, tests, NULL, NULL);
}

static void test_null(void **state)
{
	struct netport *p;
	struct netport_queue *q;

	(void)state;
	rig_open_port("null", -1, 0, &p, &q);
	assert_int_equal(netport_write(q, r.buf, rig_fill(r.buf, 1, 1514)), 0);
	assert_int_equal(netport_write(q, r.buf, 3), -EINVAL);
	assert_int_equal(netport_read(q, r.buf), -EAGAIN);
	assert_int_equal(netport_arm(q, NETPORT_IN), 0);
	assert_int_equal(netport_arm(q, NETPORT_OUT), 1);
	netport_close(p);
	rig_open_port("null:60", -1, 0, &p, &q);
	for (uint64_t i = 1; i < 100; i++) {
		assert_int_equal(netport_arm(q, NETPORT_IN), 1);
		assert_int_equal(netport_read(q, r.buf), NETPORT_HDR + 60);
		assert_true(rig_ours(r.buf));
		assert_memory_equal(r.buf + NETPORT_PACKET_MIN + 2, &i, sizeof(i));
	}
	netport_close(p);
}

static void test_specs(void **state)
{
	static const struct {
		const char *spec, *says;
	} bad[] = {
		{NULL, "names no netport"},
		{"", "names no netport"},
		{"/etc/passwd", "there is no netport \"file\""},
		{"veth:x", "there is no netport \"veth\""},
		{"null:13", "no length of a frame"},
		{"null:65554", "no length of a frame"},
		{"null:60,colour=red", "\"colour\" is no option"},
		{"pair", "no end of a wire"},
		{"tap", "no queue of a tap"},
		{"null,loss=x", "of a hundred packets is meant"},
		{"null,loss=101", "of a hundred packets is meant"},
		{"null,reorder=-1", "of a hundred packets is meant"},
		{"null,duplicate=nan", "of a hundred packets is meant"},
		{"null,delay=60001", "delay=60001: a number up to 60000 is meant"},
		{"null,delay=-1", "a number up to 60000 is meant"},
	};
	char err[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC), rc;
		struct netport_open o = {.spec = bad[i].spec, .fd = &fd, .queues = 1};
		struct netport *p = (void *)1;

		rc = netport_open(&o, &p, err, sizeof(err));
		if (rc >= 0 || p || !strstr(err, bad[i].says))
			fail_msg("%s: %d: %s", bad[i].spec, rc, err);
		assert_int_equal(close(fd), -1); /* it was closed */
	}
}

/* A segment of TCP that the kernel has to cut up, sent into the tap's interface: whole for who takes such, else in parts. */
static ssize_t send_large(struct rig *g)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 54,
				   .gso_size = 1000, .csum_start = 34, .csum_offset = 16};
	static const unsigned char headers[54] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, /* Ethernet */
						  0x45, 0, (40 + 6000) >> 8, (40 + 6000) & 0xff, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0,
						  1, 10, 0, 0, 2, /* IPv4 */
						  0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0};
	char p[NETPORT_HDR + 54 + 6000] = {0};

	memcpy(p, &h, sizeof(h));
	memcpy(p + NETPORT_HDR, headers, sizeof(headers));
	return send(g->packets, p, sizeof(p), 0);
}

/* Packets of TCP in IPv4 that come, the longest, and whether sums were left to us. */
static unsigned count_tcp(struct rig *g, size_t *longest, bool *partial)
{
	struct virtio_net_hdr h;
	unsigned count = 0;
	ssize_t n;

	*longest = 0;
	*partial = false;
	while ((n = netport_read(g->q, g->buf)) > 0) {
		if (memcmp(g->buf + NETPORT_HDR + 12, "\x08\0\x45", 3) != 0)
			continue;
		memcpy(&h, g->buf, sizeof(h));
		*longest = MAX(*longest, (size_t)n);
		*partial |= h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
		count++;
	}
	return count;
}

static void test_offloads(void **state)
{
	static const struct {
		unsigned offloads, packets;
		bool partial;
	} cases[] = {
		{0, 6, false},
		{NETPORT_CSUM, 6, true},
		{NETPORT_CSUM | NETPORT_TSO6, 6, true},
		{NETPORT_TSO4, 6, false}, /* without sums it can't be had */
		{NETPORT_CSUM | NETPORT_TSO4, 1, true},
	};
	size_t longest;
	bool partial;

	(void)state;
	rig_open(&r, RIG_TAP_KIND, "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		netport_close(r.port);
		rig_open_port("tap", r.fd, cases[i].offloads, &r.port, &r.q);
		assert_true(send_large(&r) > 0);
		assert_int_equal(count_tcp(&r, &longest, &partial), cases[i].packets);
		assert_int_equal(partial, cases[i].partial);
		assert_int_equal(longest, NETPORT_HDR + 54 + (cases[i].packets == 1 ? 6000 : 1000));
	}
	rig_close(&r);
}

/* An interface that goes away: an error, no descriptor that is readable for ever. */
static void test_tap_gone(void **state)
{
	int fd[2];
	const struct tap_conf c = {.name = RIG_TAP, .queues = 1};
	struct netport_open o = {.spec = "tap", .fd = &fd[1], .queues = 1};
	char err[200];

	(void)state;
	assert_int_equal(tap_make(&c, fd, err, sizeof(err)), 0);
	fd[1] = dup(fd[0]);
	assert_int_equal(netport_open(&o, &r.port, err, sizeof(err)), 0);
	r.q = netport_queue(r.port, 0);
	assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 1, 60)), -EIO); /* it is down */
	assert_int_equal(netport_arm(r.q, NETPORT_IN), 0);
	assert_true(netport_fd(r.q) >= 0);
	assert_int_equal(system("ip link del " RIG_TAP), 0);
	assert_int_equal(netport_read(r.q, r.buf), -EBADFD);
	assert_int_equal(netport_write(r.q, r.buf, NETPORT_PACKET_MIN), -EBADFD);
	assert_int_equal(netport_arm(r.q, NETPORT_IN), 0);
	assert_int_equal(netport_fd(r.q), -1);
	netport_close(r.port);
	close(fd[0]);
}

int main(void)
{
	static const struct CMUnitTest alone[] = {cmocka_unit_test(test_null), cmocka_unit_test(test_specs)};
	static const struct CMUnitTest taps[] = {cmocka_unit_test(test_offloads), cmocka_unit_test(test_tap_gone)};
	const char *no_taps = rig_no_taps();
	int failed;

	rig_seed();
	if (no_taps)
		print_message("skipped, taps: %s\n", no_taps);
	failed = cmocka_run_group_tests_name("null, specs", alone, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		if (variants[i].kind != RIG_TAP_KIND || !no_taps)
			failed += run_variant(&variants[i]);
	if (!no_taps)
		failed += cmocka_run_group_tests_name("tap alone", taps, NULL, NULL);
	return failed ? 1 : 0;
}
