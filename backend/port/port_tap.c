/* port_tap.c - the queues of a tap that somebody else made and attached (recovery/net/tap.h): one system call a packet, none of
 * which blocks. */
#include "backend/port/port_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NEEDED (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

struct tap_queue {
	struct netport_queue q;
	int fd;
	unsigned want;
	bool gone; /* the interface: its descriptor would be readable for ever */
};

struct tap_port {
	struct netport p;
	struct tap_queue q[];
};

static struct tap_queue *to_tap(struct netport_queue *q) { return CONTAINER_OF(q, struct tap_queue, q); }

static unsigned long kernels_offloads(unsigned offloads)
{
	unsigned long o = 0;

	if (!(offloads & NETPORT_CSUM))
		return 0; /* the kernel segments only what it also sums */
	o |= TUN_F_CSUM;
	o |= offloads & NETPORT_TSO4 ? TUN_F_TSO4 : 0;
	o |= offloads & NETPORT_TSO6 ? TUN_F_TSO6 : 0;
	return o;
}

static int open_queue(int fd, unsigned offloads, char *err, size_t size)
{
	struct ifreq r = {0};
	int hdr = NETPORT_HDR, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || ioctl(fd, TUNGETIFF, &r))
		return err_say(err, size, -EINVAL, "tap: its descriptor is no queue of a tap: %s", err_str(errno));
	if ((r.ifr_flags & NEEDED) != NEEDED)
		return err_say(err, size, -EINVAL, "tap %s: must be made with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", r.ifr_name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) || ioctl(fd, TUNSETOFFLOAD, kernels_offloads(offloads)) ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return err_say(err, size, -errno, "tap %s: can't be set up: %s", r.ifr_name, err_str(errno));
	return 0;
}

static void tap_close(struct netport *p)
{
	struct tap_port *t = CONTAINER_OF(p, struct tap_port, p);

	for (unsigned i = 0; i < p->queues; i++)
		if (t->q[i].fd >= 0)
			close(t->q[i].fd);
	free(t);
}

static int tap_open(const struct netport_open *o, const struct spec *s UNUSED, int *fd, struct netport **out, char *err,
		    size_t size)
{
	struct tap_port *t = calloc(1, sizeof(*t) + o->queues * sizeof(t->q[0]));
	int rc = 0;

	if (!t)
		return err_say(err, size, -ENOMEM, "out of memory");
	t->p = (struct netport){.ops = &netport_tap_ops, .queues = o->queues};
	for (unsigned i = 0; i < o->queues; i++) {
		t->q[i] = (struct tap_queue){.q.ops = &netport_tap_ops, .fd = fd[i]};
		fd[i] = -1;
	}
	for (unsigned i = 0; i < o->queues && !rc; i++)
		rc = open_queue(t->q[i].fd, o->offloads, err, size);
	if (rc) {
		tap_close(&t->p);
		return rc;
	}
	*out = &t->p;
	return 0;
}

static struct netport_queue *tap_queue(struct netport *p, unsigned index)
{
	CHECK(index < p->queues);
	return &CONTAINER_OF(p, struct tap_port, p)->q[index].q;
}

static int tap_start(struct netport_queue *q UNUSED) { return 0; }

static int tap_write(struct netport_queue *q, const void *packet, size_t len)
{
	ssize_t n;

	do
		n = write(to_tap(q)->fd, packet, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t tap_read(struct netport_queue *q, void *packet)
{
	struct tap_queue *t = to_tap(q);
	ssize_t n;

	do
		n = read(t->fd, packet, NETPORT_PACKET_MAX);
	while (n < 0 && errno == EINTR);
	if (UNLIKELY(n < 0 && errno != EAGAIN))
		t->gone = true;
	return n < 0 ? -errno : n;
}

/* Readiness is level-triggered, so nothing need be looked at again. */
static int tap_arm(struct netport_queue *q, unsigned want)
{
	to_tap(q)->want = want;
	return (want & NETPORT_OUT) != 0;
}

static int tap_fd(const struct netport_queue *q)
{
	const struct tap_queue *t = CONTAINER_OF(q, const struct tap_queue, q);

	return t->want & NETPORT_IN && !t->gone ? t->fd : -1;
}

const struct netport_ops netport_tap_ops = {
	.name = "tap",
	.open = tap_open,
	.close = tap_close,
	.queue = tap_queue,
	.start = tap_start,
	.write = tap_write,
	.read = tap_read,
	.kick = netport_no_kick,
	.arm = tap_arm,
	.fd = tap_fd,
	.due = netport_never_due,
};
