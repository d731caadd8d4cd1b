/* port_rig.h - a netport, and somebody at its other end: the other end of the pair, or a packet socket on the tap, in a network
 * namespace of the test's own. */
#ifndef BULKHEAD_TESTS_CONFORM_PORT_RIG_H
#define BULKHEAD_TESTS_CONFORM_PORT_RIG_H

#include "backend/port/port.h"
#include "recovery/net/tap.h"
#include "ring/os/clock.h"
#include "ring/os/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RIG_WAIT_MS 20000
#define RIG_TYPE 0x88b5 /* for local experiments: other frames on the tap are the kernel's, and passed over */
#define RIG_TAP "vif7.0"
#define RIG_MTU 9000u

enum rig_kind { RIG_NULL, RIG_PAIR, RIG_TAP_KIND };

struct rig {
	enum rig_kind kind;
	size_t frame_max;
	int fd, other_fd; /* what the netport and, of a pair, its other end are opened with; kept to open them again */
	struct netport *port, *other;
	struct netport_queue *q, *other_q;
	int packets; /* tap: packet socket on its interface, with virtio headers */
	char buf[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
};

static inline unsigned rig_seed(void)
{
	const char *s = getenv("SEED");
	unsigned seed = s ? (unsigned)strtoul(s, NULL, 10) : (unsigned)time(NULL);

	print_message("SEED=%u\n", seed);
	srand(seed);
	return seed;
}

/* The reason why there can't be taps here, or NULL. From then on the process is in a namespace of its own. */
static inline const char *rig_no_taps(void)
{
	static char why[100];
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (geteuid() != 0)
		return "not root";
	if (fd < 0)
		return "/dev/net/tun is not there";
	close(fd);
	if (unshare(CLONE_NEWNET) == 0)
		return NULL;
	snprintf(why, sizeof(why), "no network namespace: %s", strerror(errno));
	return why;
}

static inline void rig_open_port(const char *spec, int fd, unsigned offloads, struct netport **p, struct netport_queue **q)
{
	int mine = fd < 0 ? -1 : dup(fd);
	const struct netport_open o = {.spec = spec, .fd = &mine, .queues = 1, .offloads = offloads};
	char err[300];
	int rc = netport_open(&o, p, err, sizeof(err));

	if (rc)
		fail_msg("%s: %d: %s", spec, rc, err);
	*q = netport_queue(*p, 0);
	assert_int_equal(netport_start(*q), 0);
}

static inline void rig_up(int s)
{
	struct ifreq r = {.ifr_name = RIG_TAP};

	assert_int_equal(ioctl(s, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &r), 0);
}

static inline void rig_open_tap(struct rig *r)
{
	const struct tap_conf c = {.name = RIG_TAP, .queues = 1, .txqueuelen = 1024, .mtu = RIG_MTU};
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, room = 8 << 20;
	char err[300];

	if (tap_make(&c, &r->fd, err, sizeof(err)))
		fail_msg("%s", err);
	r->packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(r->packets >= 0);
	rig_up(r->packets);
	a.sll_ifindex = (int)if_nametoindex(RIG_TAP);
	assert_int_equal(setsockopt(r->packets, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(r->packets, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
	setsockopt(r->packets, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	assert_int_equal(bind(r->packets, (struct sockaddr *)&a, sizeof(a)), 0);
	r->frame_max = RIG_MTU + NETPORT_FRAME_MIN;
}

static inline void rig_open(struct rig *r, enum rig_kind kind, const char *opts)
{
	static const char *const names[] = {"null", "pair", "tap"};
	char spec[200];
	int end[2];

	*r = (struct rig){.kind = kind, .fd = -1, .other_fd = -1, .packets = -1, .frame_max = NETPORT_FRAME_MAX};
	if (kind == RIG_PAIR) {
		assert_int_equal(wire_make(WIRE_BYTES_MIN, end), 0);
		r->fd = end[0];
		r->other_fd = end[1];
		rig_open_port("pair:other", r->other_fd, 0, &r->other, &r->other_q);
	} else if (kind == RIG_TAP_KIND) {
		rig_open_tap(r);
	}
	snprintf(spec, sizeof(spec), "%s%s", names[kind], opts);
	rig_open_port(spec, r->fd, 0, &r->port, &r->q);
}

static inline void rig_close(struct rig *r)
{
	netport_close(r->port);
	netport_close(r->other);
	if (r->kind == RIG_TAP_KIND) {
		assert_int_equal(ioctl(r->fd, TUNSETPERSIST, 0ul), 0);
		close(r->packets);
	}
	if (r->fd >= 0)
		close(r->fd);
	if (r->other_fd >= 0)
		close(r->other_fd);
}

/* A packet that tells by its number what is in it. Returns its length with the virtio header. */
static inline size_t rig_fill(char *packet, uint32_t number, size_t frame)
{
	memset(packet, 0, NETPORT_HDR);
	memset(packet + NETPORT_HDR, (int)(number * 31 + 7), frame);
	memcpy(packet + NETPORT_HDR, "\x02\0\0\0\0\1\x02\0\0\0\0\2\x88\xb5", NETPORT_FRAME_MIN);
	if (frame >= NETPORT_FRAME_MIN + sizeof(number))
		memcpy(packet + NETPORT_PACKET_MIN, &number, sizeof(number));
	return NETPORT_HDR + frame;
}

static inline bool rig_ours(const char *packet) { return memcmp(packet + NETPORT_HDR + 12, "\x88\xb5", 2) == 0; }

static inline uint32_t rig_number(const char *packet)
{
	uint32_t number;

	memcpy(&number, packet + NETPORT_PACKET_MIN, sizeof(number));
	return number;
}

/* It is number, whole. */
static inline void rig_expect(const char *packet, size_t len, uint32_t number, size_t frame)
{
	static char want[NETPORT_PACKET_MAX];

	assert_int_equal(len, rig_fill(want, number, frame));
	assert_memory_equal(packet + NETPORT_HDR, want + NETPORT_HDR, frame);
}

/* The other end sends; -EAGAIN when it can't at the moment. */
static inline int rig_send(struct rig *r, const char *packet, size_t len)
{
	if (r->kind == RIG_TAP_KIND)
		return send(r->packets, packet, len, MSG_DONTWAIT) < 0 ? -errno : 0;
	return netport_write(r->other_q, packet, len);
}

static inline void rig_send_kick(struct rig *r)
{
	if (r->other_q)
		netport_kick(r->other_q);
}

/* The other end takes one of ours, or -EAGAIN. */
static inline ssize_t rig_take(struct rig *r, char *packet)
{
	ssize_t n;

	do
		n = r->kind == RIG_TAP_KIND ? recv(r->packets, packet, NETPORT_PACKET_MAX, MSG_DONTWAIT)
					    : netport_read(r->other_q, packet);
	while (n > 0 && !rig_ours(packet));
	return n < 0 && r->kind == RIG_TAP_KIND ? -errno : n;
}

/* The netport reads one of ours, or -EAGAIN. */
static inline ssize_t rig_read(struct rig *r, char *packet)
{
	ssize_t n;

	do
		n = netport_read(r->q, packet);
	while (n > 0 && !rig_ours(packet));
	return n;
}

/* Sleeps as a worker does until want is possible, or milliseconds are over: 1, 0. */
static inline int rig_sleep(struct netport_queue *q, unsigned want, int ms)
{
	struct pollfd p = {.events = POLLIN};
	uint64_t end = clock_now() + (uint64_t)ms * NS_PER_MS, now;

	while (!netport_arm(q, want)) {
		now = clock_now();
		if (now >= end)
			return 0;
		p.fd = netport_fd(q);
		if (poll(&p, 1, (int)((MAX(MIN(end, netport_due(q)), now) - now + NS_PER_MS - 1) / NS_PER_MS)) == 1)
			return 1;
	}
	return 1;
}

/* The same, and reads; -EAGAIN when nothing of ours came in time. */
static inline ssize_t rig_wait(struct rig *r, char *packet, int ms)
{
	uint64_t end = clock_now() + (uint64_t)ms * NS_PER_MS;
	ssize_t n;

	while ((n = rig_read(r, packet)) == -EAGAIN && clock_now() < end)
		rig_sleep(r->q, NETPORT_IN, ms);
	return n;
}

/* The other end waits for one. */
static inline ssize_t rig_take_wait(struct rig *r, char *packet)
{
	uint64_t end = clock_now() + RIG_WAIT_MS * NS_PER_MS;
	struct pollfd p = {.fd = r->packets, .events = POLLIN};
	ssize_t n;

	while ((n = rig_take(r, packet)) == -EAGAIN && clock_now() < end) {
		if (r->other_q)
			rig_sleep(r->other_q, NETPORT_IN, RIG_WAIT_MS);
		else
			poll(&p, 1, RIG_WAIT_MS);
	}
	return n;
}

#endif
