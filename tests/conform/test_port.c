/* First words on netports: what is written at one end of a pair comes out at the other, in order and whole. */
#include "tests/conform/port_rig.h"

#include "ring/os/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_pair(void **state)
{
	static char a[NETPORT_PACKET_MAX], b[NETPORT_PACKET_MAX];
	struct netport *port[2];
	struct netport_queue *q[2];
	int end[2];
	unsigned sent = 0, got = 0;

	(void)state;
	srand(1);
	assert_int_equal(wire_make(WIRE_BYTES_MIN, end), 0);
	for (int i = 0; i < 2; i++) {
		struct netport_open o = {.spec = "pair", .fd = &end[i], .queues = 1};
		char err[200];

		assert_int_equal(netport_open(&o, &port[i], err, sizeof(err)), 0);
		q[i] = netport_queue(port[i], 0);
		assert_int_equal(netport_start(q[i]), 0);
	}
	for (; got < 20000;) {
		size_t len = NETPORT_PACKET_MIN + (got * 7919u) % (NETPORT_FRAME_MAX - NETPORT_FRAME_MIN + 1);
		ssize_t n;

		while (sent < 20000) {
			size_t l = NETPORT_PACKET_MIN + (sent * 7919u) % (NETPORT_FRAME_MAX - NETPORT_FRAME_MIN + 1);

			memset(a, (int)sent, l);
			if (netport_write(q[0], a, l))
				break;
			sent++;
		}
		netport_kick(q[0]);
		n = netport_read(q[1], b);
		assert_int_equal(n, len);
		memset(a, (int)got, len);
		assert_memory_equal(a, b, len);
		netport_kick(q[1]);
		got++;
	}
	assert_int_equal(netport_read(q[1], b), -EAGAIN);
	assert_int_equal(netport_arm(q[1], NETPORT_IN), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = netport_fd(q[1]), .events = POLLIN}, 1, 0), 0);
	assert_int_equal(netport_write(q[0], a, 64), 0);
	netport_kick(q[0]);
	assert_int_equal(poll(&(struct pollfd){.fd = netport_fd(q[1]), .events = POLLIN}, 1, 0), 1);
	netport_close(port[0]);
	netport_close(port[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_pair)};

	return cmocka_run_group_tests_name("port", tests, NULL, NULL);
}
