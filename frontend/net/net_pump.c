#include "frontend/net/net_pump.h"

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define BUDGET 64u /* packets of one direction before the other gets its turn */
#define HDR sizeof(struct virtio_net_hdr)

struct lane {
	struct net_pump *b;
	struct netfront_queue *q;
	int fd;
	pthread_t thread;
	bool started;
	size_t held; /* bytes of `out`, which found no room on the ring; 0: none */
	uint64_t tap_drops, vif_drops;
	uint8_t in[HDR + NETFRONT_FRAME_MAX + 1] __attribute__((aligned(2))); /* packets as a tap has them */
	uint8_t out[HDR + NETFRONT_FRAME_MAX + 1] __attribute__((aligned(2)));
};

struct net_pump {
	struct netfront *f;
	int ended;
	unsigned n;
	struct lane **lane;
};

static struct virtio_net_hdr *hdr(uint8_t *packet) { return (struct virtio_net_hdr *)(void *)packet; }

static void bump(uint64_t *counter) { store_relaxed(counter, *counter + 1); }

/* From the vif to the tap. How many, or why the device has ended. */
static int inward(struct lane *l)
{
	unsigned n = 0;
	int len;

	for (; n < BUDGET; n++) {
		len = netfront_recv(l->q, hdr(l->in), l->in + HDR);
		if (len <= 0)
			return len ? len : (int)n;
		/* A tap that is down, or a header that the kernel finds odd: a packet less. */
		if (write(l->fd, l->in, HDR + (size_t)len) < 0)
			bump(&l->tap_drops);
	}
	return (int)n;
}

/* True: there is one to send. */
static bool next_out(struct lane *l)
{
	ssize_t n;

	if (l->held)
		return true;
	n = read(l->fd, l->out, sizeof(l->out));
	if (n <= (ssize_t)HDR)
		return false;
	l->held = (size_t)n;
	return true;
}

/* From the tap to the vif. */
static int outward(struct lane *l)
{
	unsigned n = 0;
	int rc;

	for (; n < BUDGET && next_out(l); n++) {
		rc = netfront_send(l->q, hdr(l->out), l->out + HDR, l->held - HDR);
		if (rc == -EAGAIN)
			break;
		if (rc == -EMSGSIZE || rc == -EINVAL)
			bump(&l->vif_drops);
		else if (rc)
			return rc;
		l->held = 0;
	}
	return (int)n;
}

static void sleep_until_news(struct lane *l)
{
	struct pollfd fds[2] = {{.fd = netfront_fd(l->q), .events = POLLIN}, {.fd = l->held ? -1 : l->fd, .events = POLLIN}};

	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		log_error("waiting for packets: %s", err_str(-errno));
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	int in = 0, out = 0, rc = 0;

	while (in >= 0 && out >= 0 && rc >= 0) {
		in = inward(l);
		out = outward(l);
		rc = netfront_poll(l->q);
		if (in == 0 && out == 0 && rc == 0 && !netfront_arm(l->q, l->held != 0))
			sleep_until_news(l);
	}
	store_relaxed(&l->b->ended, rc < 0 ? rc : in < 0 ? in : out);
	return NULL;
}

static int lane_start(struct net_pump *b, unsigned i, int fd)
{
	struct lane *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	b->lane[b->n++] = l;
	l->b = b;
	l->q = netfront_get_queue(b->f, i);
	l->fd = fd;
	rc = -pthread_create(&l->thread, NULL, lane_main, l);
	l->started = rc == 0;
	return rc;
}

int net_pump_start(struct netfront *f, const struct net_tap *t, struct net_pump **out)
{
	struct net_pump *b = calloc(1, sizeof(*b));
	int rc = 0;

	*out = b;
	if (!b)
		return -ENOMEM;
	b->f = f;
	b->lane = calloc(t->queues, sizeof(struct lane *));
	if (!b->lane)
		rc = -ENOMEM;
	for (unsigned i = 0; !rc && i < t->queues; i++)
		rc = lane_start(b, i, t->fd[i]);
	if (rc) {
		net_pump_stop(b);
		*out = NULL;
	}
	return rc;
}

int net_pump_ended(const struct net_pump *b) { return load_relaxed(&b->ended); }

void net_pump_drops(const struct net_pump *b, uint64_t *tap, uint64_t *vif)
{
	*tap = *vif = 0;
	for (unsigned i = 0; i < b->n; i++) {
		*tap += load_relaxed(&b->lane[i]->tap_drops);
		*vif += load_relaxed(&b->lane[i]->vif_drops);
	}
}

void net_pump_stop(struct net_pump *b)
{
	if (!b)
		return;
	netfront_cancel(b->f);
	for (unsigned i = 0; i < b->n; i++) {
		if (b->lane[i]->started)
			pthread_join(b->lane[i]->thread, NULL);
		free(b->lane[i]);
	}
	free(b->lane);
	free(b);
}
