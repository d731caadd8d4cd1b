#include "tests/bench/net_path.h"

#include "recovery/net/tap.h"
#include "ring/os/clock.h"
#include "ring/os/wire.h"
#include "tests/bench/bench_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_US 20 /* the backend's longest look */
#define SOCKET_ROOM (2 << 20) /* what it may have under way: a batch of large packets */
#define TAP "bhbench0"
#define TAP_PEER "bhbench1"

int net_path_socket(const char *ifname, bool receives, char *err, size_t size)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(receives ? ETH_P_IP : 0), .sll_ifindex = (int)if_nametoindex(ifname)};
	int one = 1, room = SOCKET_ROOM, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && !bind(fd, (const struct sockaddr *)&a, sizeof(a)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		return fd;
	snprintf(err, size, "no packet socket here: %s", strerror(errno));
	return -ENOSYS;
}

static int link_flags(const char *ifname, bool up)
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	rc = ioctl(s, SIOCGIFFLAGS, &r);
	if (!rc && up) {
		r.ifr_flags |= IFF_UP;
		rc = ioctl(s, SIOCSIFFLAGS, &r);
	}
	close(s);
	return rc ? -EIO : (uint16_t)r.ifr_flags;
}

/* Before the kernel says so it drops what is sent. */
static int wait_running(const char *ifname)
{
	uint64_t end = clock_now() + 5 * NS_PER_S;

	while (clock_now() < end) {
		int flags = link_flags(ifname, false);

		if (flags < 0 || flags & IFF_RUNNING)
			return MIN(flags, 0);
		usleep(1000);
	}
	return -ETIMEDOUT;
}

int net_path_up(const char *ifname)
{
	int rc = link_flags(ifname, true);

	return rc < 0 ? rc : wait_running(ifname);
}

static int open_tap(struct net_path *p, char *err, size_t size)
{
	struct tap_conf c = {.name = TAP, .queues = p->queues};
	const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int rc = tap_make(&c, p->tap, err, size);

	if (rc)
		return rc == -EPERM || rc == -ENOENT || rc == -EACCES ? -ENOSYS : rc;
	for (unsigned i = 0; i < p->queues; i++) {
		ioctl(p->tap[i], TUNSETPERSIST, 0);
		ioctl(p->tap[i], TUNSETOFFLOAD, offloads);
	}
	if (net_path_up(TAP)) {
		snprintf(err, size, "the tap does not go up");
		return -EIO;
	}
	p->sock = net_path_socket(TAP, p->world_takes, err, size);
	return MIN(p->sock, 0);
}

static int open_veth(struct net_path *p, char *err, size_t size)
{
	const char *const add[] = {"ip", "link", "add", TAP, "type", "veth", "peer", "name", TAP_PEER, NULL};
	char out[200];

	if (bench_run_program(add, out, sizeof(out))) {
		snprintf(err, size, "no veth here: %.*s", (int)strcspn(out, "\n"), out);
		return -ENOSYS;
	}
	p->veth = true;
	if (link_flags(TAP, true) < 0 || net_path_up(TAP_PEER) || wait_running(TAP)) {
		snprintf(err, size, "the veth does not go up");
		return -EIO;
	}
	p->tap[0] = net_path_socket(TAP, p->world_takes, err, size);
	p->sock = p->tap[0] < 0 ? -1 : net_path_socket(TAP_PEER, true, err, size);
	return p->sock < 0 ? -ENOSYS : 0;
}

static int open_pair(struct net_path *p, char *err, size_t size)
{
	int near[CONN_QUEUES_MAX], far[CONN_QUEUES_MAX], end[2], rc;
	struct netport_open o = {.spec = "pair", .fd = far, .queues = p->queues};

	for (unsigned i = 0; i < p->queues; i++) {
		rc = wire_make(WIRE_BYTES_MIN, end);
		if (rc)
			return rc;
		near[i] = end[0];
		far[i] = end[1];
	}
	rc = netport_open(&o, &p->far, err, size);
	for (unsigned i = 0; !rc && i < p->queues; i++)
		rc = netport_start(netport_queue(p->far, i));
	return rc ? rc : net_rig_open("pair", near, p->queues, POLL_US, &p->rig, err, size);
}

int net_path_open(struct net_path *p, enum net_way way, unsigned queues, uint32_t frame, bool world_takes, char *err, size_t size)
{
	char spec[32];
	int rc, fd[CONN_QUEUES_MAX];

	*p = (struct net_path){.sock = -1, .queues = queues, .world_takes = world_takes};
	memset(p->tap, -1, sizeof(p->tap));
	switch (way) {
	case WAY_NULL:
		snprintf(spec, sizeof(spec), frame ? "null:%u" : "null", frame);
		return net_rig_open(spec, NULL, queues, POLL_US, &p->rig, err, size);
	case WAY_PAIR:
		return open_pair(p, err, size);
	case WAY_VETH:
		return open_veth(p, err, size);
	default:
		rc = open_tap(p, err, size);
		if (rc || way == WAY_BARE_TAP)
			return rc;
		for (unsigned i = 0; i < queues; i++)
			fd[i] = p->tap[i];
		memset(p->tap, -1, sizeof(p->tap));
		return net_rig_open("tap", fd, queues, POLL_US, &p->rig, err, size);
	}
}

void net_path_close(struct net_path *p)
{
	const char *const del[] = {"ip", "link", "del", TAP, NULL};

	if (p->rig)
		net_rig_close(p->rig);
	netport_close(p->far);
	for (unsigned i = 0; i < p->queues; i++)
		if (p->tap[i] >= 0)
			close(p->tap[i]);
	if (p->sock >= 0)
		close(p->sock);
	if (p->veth)
		bench_run_program(del, NULL, 0);
}

struct flow_end net_path_near(const struct net_path *p, unsigned q)
{
	struct netfront_queue *guest = p->rig ? netfront_get_queue(net_rig_front(p->rig), q) : NULL;

	return (struct flow_end){.guest = guest, .fd = guest ? -1 : p->tap[q], .socket = p->veth};
}

struct flow_end net_path_far(const struct net_path *p, unsigned q)
{
	return p->far ? (struct flow_end){.port = netport_queue(p->far, q), .fd = -1} : (struct flow_end){.fd = p->sock, .socket = true};
}
