/* What a pair alone does: it fills up and empties, wakes whoever waits for room, and survives an end that stores nonsense. */
#include "tests/conform/port_rig.h"

#include "ring/base/err.h"

static struct rig r;
static struct wire map; /* what both ends see */

static int setup(void **state)
{
	(void)state;
	rig_open(&r, RIG_PAIR, "");
	assert_int_equal(wire_open(r.fd, &map), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wire_close(&map);
	rig_close(&r);
	return 0;
}

static unsigned fill(size_t frame)
{
	unsigned n = 0;

	while (netport_write(r.q, r.buf, rig_fill(r.buf, n, frame)) == 0)
		n++;
	assert_int_equal(netport_write(r.q, r.buf, NETPORT_HDR + frame), -EAGAIN);
	netport_kick(r.q);
	return n;
}

static void test_full(void **state)
{
	static const size_t frames[] = {60, 1514, NETPORT_FRAME_MAX, 61, 40000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		unsigned n = fill(frames[i]), woken_at = 0;

		assert_in_range(n, (WIRE_BYTES_MIN - NETPORT_PACKET_MAX) / (frames[i] + 32), WIRE_BYTES_MIN / frames[i]);
		assert_int_equal(rig_sleep(r.q, NETPORT_OUT, 0), 0);
		for (unsigned got = 0; got < n; got++) {
			rig_expect(r.buf, (size_t)rig_take(&r, r.buf), got, frames[i]);
			netport_kick(r.other_q);
			if (!woken_at && poll(&(struct pollfd){.fd = netport_fd(r.q), .events = POLLIN}, 1, 0) == 1)
				woken_at = got + 1;
		}
		/* Not for each packet: when there is room for many, or for one of any size. */
		assert_in_range(woken_at, n / 2 - 1, n / 2 + 2);
		assert_int_equal(netport_arm(r.q, NETPORT_OUT), 1);
		assert_int_equal(rig_take(&r, r.buf), -EAGAIN);
	}
}

/* A batch wakes once, and nobody who is awake is woken. */
static void test_few_bells(void **state)
{
	struct pollfd p;
	uint64_t rung;

	(void)state;
	assert_int_equal(rig_sleep(r.other_q, NETPORT_IN, 0), 0);
	p = (struct pollfd){.fd = netport_fd(r.other_q), .events = POLLIN};
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, i, 100)), 0);
		netport_kick(r.q);
	}
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(read(p.fd, &rung, sizeof(rung)), sizeof(rung));
	assert_int_equal(rung, 1);
	for (unsigned i = 0; i < 10; i++)
		rig_expect(r.buf, (size_t)rig_take(&r, r.buf), i, 100);
	assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 10, 100)), 0);
	netport_kick(r.q);
	assert_int_equal(poll(&p, 1, 0), 0);
	rig_expect(r.buf, (size_t)rig_take(&r, r.buf), 10, 100);
}

static void write_two(void)
{
	assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 0, 100)), 0);
	assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 1, 100)), 0);
}

/* The other end reads what the first one corrupts: the pair is over, nothing else happens. */
static void expect_broken_reader(void)
{
	ssize_t n;

	while ((n = netport_read(r.other_q, r.buf)) > 0)
		;
	assert_int_equal(n, -EPEER);
	assert_int_equal(netport_read(r.other_q, r.buf), -EPEER);
	assert_int_equal(netport_write(r.other_q, r.buf, NETPORT_PACKET_MIN), -EPEER);
	netport_kick(r.other_q);
	assert_int_equal(netport_arm(r.other_q, NETPORT_IN), 1); /* to hear of it */
	assert_int_equal(netport_arm(r.other_q, 0), 0);
}

static void test_bad_length(void **state)
{
	static const uint32_t bad[] = {0, NETPORT_PACKET_MIN - 1, NETPORT_PACKET_MAX + 1, 60000, INT32_MAX, UINT32_MAX - 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_two();
		*(uint32_t *)(void *)wire_data(&map, 0) = bad[i];
		expect_broken_reader();
		teardown(NULL);
		setup(NULL);
	}
}

static void test_bad_prod(void **state)
{
	static const uint64_t bad[] = {8, 112, WIRE_BYTES_MIN + 16, 1ull << 40, UINT64_MAX - 15, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_two();
		map.mem->way[0].out.prod = bad[i]; /* 112: in the middle of the first one */
		expect_broken_reader();
		teardown(NULL);
		setup(NULL);
	}
}

static void test_bad_freed(void **state)
{
	static const uint64_t bad[] = {WIRE_BYTES_MIN * 2, 1ull << 63, UINT64_MAX - 15};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		map.mem->way[0].in.freed = bad[i];
		for (unsigned n = 0; n < WIRE_BYTES_MIN / 100; n++) /* looked at when the memory seems full */
			if (netport_write(r.q, r.buf, rig_fill(r.buf, 0, 1000)))
				break;
		assert_int_equal(netport_write(r.q, r.buf, NETPORT_PACKET_MIN), -EPEER);
		assert_int_equal(netport_arm(r.q, NETPORT_OUT), 1);
		teardown(NULL);
		setup(NULL);
	}
}

/* A successor finds its own words changed. */
static void test_bad_start(void **state)
{
	uint64_t *const words[] = {&map.mem->way[0].out.prod, &map.mem->way[0].in.freed, &map.mem->way[1].in.taken,
				   &map.mem->way[1].in.freed};
	static const uint64_t bad[] = {7, WIRE_BYTES_MIN + 16, 1ull << 63};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
			if (i == 1 && bad[b] == 7)
				continue; /* the other end's, and harmless */
			*words[i] = bad[b];
			assert_int_equal(netport_start(r.q), -EPEER);
			assert_int_equal(netport_read(r.q, r.buf), -EPEER);
			*words[i] = 0;
		}
}

static void test_no_wire(void **state)
{
	struct wire w;
	int end[2], fd = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(wire_make(WIRE_BYTES_MIN / 2, end), -EINVAL);
	assert_int_equal(wire_make(WIRE_BYTES_MIN + 4096, end), -EINVAL);
	assert_int_equal(wire_make(WIRE_BYTES_MAX * 2, end), -EINVAL);
	assert_int_equal(wire_open(fd, &w), -ENOTSOCK);
	close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end), 0);
	assert_int_equal(wire_open(end[0], &w), -EINVAL); /* nothing is in it */
	assert_int_equal(send(end[1], "hello", 5, 0), 5);
	assert_int_equal(wire_open(end[0], &w), -EINVAL);
	close(end[0]);
	close(end[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_bells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_prod, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_start, setup, teardown),
		cmocka_unit_test(test_no_wire),
	};

	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
