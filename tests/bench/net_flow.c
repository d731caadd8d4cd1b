#include "tests/bench/net_flow.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 32u
#define SPIN_NS (10 * NS_PER_US)
#define SLEEP_MS 50
#define PING_NS (200 * NS_PER_MS)
#define PINGS_LOST 10u
#define PING_PAUSE_US 50
#define HDR NETPORT_HDR
#define GSO_SIZE 1448u

/* ---- what is sent */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Sum of the bytes as words, folded. */
static uint32_t sum(const uint8_t *p, uint32_t n, uint32_t s)
{
	for (uint32_t i = 0; i < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

size_t flow_packet(uint8_t *buf, uint32_t len, bool gso, unsigned stream)
{
	static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2};
	uint8_t *f = buf + HDR, *l4 = f + 34;
	struct virtio_net_hdr h = {0};

	memset(f, 0x5a, len);
	memcpy(f, "\x02\x00\x00\x00\x00\x99\x02\x00\x00\x00\x00\x01\x08\x00", 14);
	memcpy(f + 14, ip, sizeof(ip));
	put16(f + 16, len - 14);
	f[23] = gso ? 6 : 17;
	put16(f + 24, ~sum(f + 14, 20, 0));
	put16(l4, 7000 + stream);
	put16(l4 + 2, 6999);
	if (gso) {
		h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 54,
					    .gso_size = GSO_SIZE, .csum_start = 34, .csum_offset = 16};
		l4[12] = 0x50;
		l4[13] = 0x10;
		put16(l4 + 16, sum(f + 26, 8, 6 + len - 34)); /* of the pseudo header */
	} else {
		put16(l4 + 4, len - 34);
		put16(l4 + 6, 0);
	}
	memcpy(buf, &h, HDR);
	return HDR + len;
}

/* ---- ends */

int flow_give(const struct flow_end *e, const uint8_t *packet, size_t len)
{
	ssize_t n;

	if (e->guest) /* which changes nothing of a packet like these */
		return netfront_send(e->guest, (const struct virtio_net_hdr *)(const void *)packet, (void *)(uintptr_t)(packet + HDR),
				     len - HDR);
	if (e->port)
		return netport_write(e->port, packet, len);
	n = write(e->fd, packet, len);
	return n >= 0 ? 0 : errno == ENOBUFS ? -EAGAIN : -errno;
}

int flow_take(const struct flow_end *e, uint8_t *packet)
{
	ssize_t n;

	if (e->guest) {
		n = netfront_recv(e->guest, (struct virtio_net_hdr *)(void *)packet, packet + HDR);
		return n > 0 ? (int)(n + (ssize_t)HDR) : (int)n;
	}
	n = e->port ? netport_read(e->port, packet) : read(e->fd, packet, NETPORT_PACKET_MAX);
	if (n < 0 && !e->port)
		n = -errno;
	return n == -EAGAIN || n == -ENETDOWN ? 0 : (int)n;
}

static int end_flush(const struct flow_end *e)
{
	if (e->guest)
		return netfront_poll(e->guest);
	if (e->port)
		netport_kick(e->port);
	return 0;
}

static void end_sleep(const struct flow_end *e, bool tx)
{
	struct pollfd p = {.fd = e->fd, .events = tx ? POLLOUT : POLLIN};

	if (e->guest) {
		if (netfront_arm(e->guest, tx))
			return;
		p = (struct pollfd){.fd = netfront_fd(e->guest), .events = POLLIN};
	} else if (e->port) {
		if (netport_arm(e->port, tx ? NETPORT_OUT : NETPORT_IN))
			return;
		p = (struct pollfd){.fd = netport_fd(e->port), .events = POLLIN};
	}
	poll(&p, 1, SLEEP_MS);
}

/* ---- jobs */

/* All of a batch in one call. */
static int send_many(struct flow *f)
{
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){(void *)(uintptr_t)(f->packet + (size_t)(i % f->packets) * FLOW_STRIDE), f->len};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
	n = sendmmsg(f->end.fd, m, BATCH, MSG_DONTWAIT);
	return n >= 0 ? n : errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 0 : -errno;
}

static int send_batch(struct flow *f)
{
	unsigned n = 0;
	int rc = 0;

	if (f->end.socket)
		rc = send_many(f);
	for (; !f->end.socket && n < BATCH && !rc; n += rc == 0)
		rc = flow_give(&f->end, f->packet, f->len);
	n += f->end.socket && rc > 0 ? (unsigned)rc : 0;
	store_relaxed(&f->count, f->count + n);
	return rc < 0 && rc != -EAGAIN ? rc : (int)n;
}

static int receive_batch(struct flow *f, uint8_t *packet)
{
	unsigned n = 0;
	int len = 1;

	while (n < BATCH && (len = flow_take(&f->end, packet)) > 0) {
		n++;
		if (f->job == FLOW_ECHO)
			flow_give(&f->end, packet, (size_t)len); /* one that is lost shows as a ping that times out */
	}
	store_relaxed(&f->count, f->count + n);
	return len < 0 ? len : (int)n;
}

/* One turn: what was done, or why its end has ended. */
static int turn(struct flow *f, uint8_t *packet)
{
	int n = f->job == FLOW_SEND ? send_batch(f) : receive_batch(f, packet), rc = end_flush(&f->end);

	f->rc = n < 0 ? n : MIN(rc, 0);
	return f->rc ? f->rc : n;
}

static void *crew_main(void *arg)
{
	static __thread uint8_t packet[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
	struct flow_crew *c = arg;
	uint64_t idle_since = 0;

	while (!load_relaxed(&c->stop)) {
		int did = 0;

		for (unsigned i = 0; i < c->n; i++) {
			int n = turn(c->flow[i], packet);

			if (n < 0)
				return NULL;
			did |= n;
		}
		if (did) {
			idle_since = 0;
		} else if (c->n > 1 || (c->flow[0]->end.socket && c->flow[0]->job == FLOW_SEND)) {
			sched_yield();
		} else if (!idle_since) {
			idle_since = clock_now();
		} else if (clock_now() - idle_since >= SPIN_NS) {
			end_sleep(&c->flow[0]->end, c->flow[0]->job == FLOW_SEND);
			idle_since = 0;
		}
	}
	return NULL;
}

int flow_cpu(unsigned i)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (int)(i % (unsigned long)n) : 0;
}

void flow_pin(pthread_t t, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	pthread_setaffinity_np(t, sizeof(set), &set); /* a processor that is not ours: it runs where it may */
}

void flow_start(struct flow_crew *c)
{
	c->stop = 0;
	if (!c->n)
		return;
	CHECK(pthread_create(&c->thread, NULL, crew_main, c) == 0);
	if (c->cpu >= 0)
		flow_pin(c->thread, c->cpu);
}

void flow_stop(struct flow_crew *c)
{
	store_relaxed(&c->stop, 1);
	if (c->n)
		pthread_join(c->thread, NULL);
}

/* Waits for the packet that has come back with this number. 1; 0: not within the patience; or why the end has ended. */
static int await(const struct flow_end *e, uint64_t number, uint64_t begun)
{
	static uint8_t back[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
	uint64_t waited = 0;
	int rc;

	while (waited < PING_NS) {
		rc = flow_take(e, back);
		if (rc >= (int)(FLOW_NUMBER_AT + sizeof(number)) && memcmp(back + FLOW_NUMBER_AT, &number, sizeof(number)) == 0)
			return 1;
		if (rc < 0)
			return rc;
		rc = rc > 0 ? 0 : end_flush(e);
		if (rc < 0)
			return rc;
		waited = clock_now() - begun;
		if (rc == 0 && waited > SPIN_NS)
			end_sleep(e, false);
	}
	return 0;
}

int flow_ping(const struct flow_end *e, uint8_t *packet, size_t len, double *us, size_t n)
{
	unsigned lost = 0;
	int rc;

	for (uint64_t i = 0; i < n; lost += rc == 0, i += rc == 1) {
		uint64_t begun = clock_now();

		memcpy(packet + FLOW_NUMBER_AT, &begun, sizeof(begun));
		rc = flow_give(e, packet, len);
		if (!rc)
			rc = end_flush(e);
		if (rc >= 0)
			rc = await(e, begun, begun);
		if (rc < 0 || lost > PINGS_LOST)
			return rc < 0 ? rc : -ETIMEDOUT;
		us[i] = (double)(clock_now() - begun) / 1e3;
		end_flush(e);
		usleep(PING_PAUSE_US); /* a low rate: what is measured is a wake-up */
	}
	return 0;
}
