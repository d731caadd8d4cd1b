/* tapwire VIF NETNS IF - plays the backend and the guest behind a vif's tap: what goes into either end comes out at the other. VIF is
 * the tap in this network namespace, which is there; IF is made in the namespace whose file is NETNS. Says "ready". Root. */
#include "backend/port/port.h"
#include "recovery/net/tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char packet[NETPORT_PACKET_MAX] __attribute__((aligned(8)));

static struct netport_queue *open_end(const char *name)
{
	struct tap_conf c = {.queues = 1};
	char err[300];
	int fd;
	struct netport_open o = {.spec = "tap", .fd = &fd, .queues = 1};
	struct netport *p;

	snprintf(c.name, sizeof(c.name), "%s", name);
	if (tap_make(&c, &fd, err, sizeof(err)) || netport_open(&o, &p, err, sizeof(err))) {
		fprintf(stderr, "tapwire: %s\n", err);
		return NULL;
	}
	return netport_queue(p, 0);
}

static void pass(struct netport_queue *from, struct netport_queue *to)
{
	ssize_t n;

	for (unsigned i = 0; i < 64 && (n = netport_read(from, packet)) > 0; i++)
		netport_write(to, packet, (size_t)n);
	netport_arm(from, NETPORT_IN);
}

int main(int argc, char **argv)
{
	struct netport_queue *end[2];
	int ns = argc == 4 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;

	if (ns < 0) {
		fputs("usage: tapwire VIF NETNS IF\n", stderr);
		return 100;
	}
	end[0] = open_end(argv[1]);
	if (!end[0] || setns(ns, CLONE_NEWNET))
		return 111;
	end[1] = open_end(argv[3]);
	if (!end[1])
		return 111;
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd p[2];

		pass(end[0], end[1]);
		pass(end[1], end[0]);
		for (unsigned i = 0; i < 2; i++)
			p[i] = (struct pollfd){.fd = netport_fd(end[i]), .events = POLLIN};
		poll(p, 2, -1);
	}
}
