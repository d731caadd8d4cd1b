/* Packets through one vif: our frontend, the whole of backend/net, and a netport, beside the same packets without them. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/net_flow.h"
#include "tests/bench/net_rig.h"

#include "recovery/net/tap.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/conn.h"
#include "ring/os/clock.h"
#include "ring/os/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <math.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 0.5
#define ROUNDS 3
#define PINGS 2000
#define POLL_US 20 /* the backend's longest look */
#define TAP "bhbench0"
#define TAP_PEER "bhbench1"
#define GSO_FRAME 65000u
#define VARIANTS_MAX 64

enum way { WAY_NULL, WAY_PAIR, WAY_TAP, WAY_BARE_TAP, WAY_VETH };
enum load { LOAD_SEND, LOAD_RECEIVE, LOAD_PING };

static const struct {
	const char *name;
	enum way way;
	const char *base;
} subjects[] = {
	{"to null", WAY_NULL, NULL},	 {"to a pair", WAY_PAIR, NULL}, {"to a tap", WAY_TAP, "bare tap"},
	{"bare tap", WAY_BARE_TAP, NULL}, {"veth", WAY_VETH, NULL},
};

struct cell {
	enum way way;
	enum load load;
	uint32_t frame;
	unsigned queues;
	char params[48];
};

/* One measurement's path. */
struct path {
	struct net_rig *rig;
	struct netport *far;  /* of a pair: its other end */
	int tap[CONN_QUEUES_MAX], sock;
	unsigned queues;
	bool veth;
};

/* ---- paths */

static int packet_socket(const char *ifname, char *err, size_t size)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(ifname)};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && !bind(fd, (const struct sockaddr *)&a, sizeof(a)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
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

static int open_tap(struct path *p, char *err, size_t size)
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
	if (link_flags(TAP, true) < 0 || wait_running(TAP)) {
		snprintf(err, size, "the tap does not go up");
		return -EIO;
	}
	p->sock = packet_socket(TAP, err, size);
	return MIN(p->sock, 0);
}

static int open_veth(struct path *p, char *err, size_t size)
{
	const char *const add[] = {"ip", "link", "add", TAP, "type", "veth", "peer", "name", TAP_PEER, NULL};
	char out[200];

	if (bench_run_program(add, out, sizeof(out))) {
		snprintf(err, size, "no veth here: %.*s", (int)strcspn(out, "\n"), out);
		return -ENOSYS;
	}
	p->veth = true;
	if (link_flags(TAP, true) < 0 || link_flags(TAP_PEER, true) < 0 || wait_running(TAP) || wait_running(TAP_PEER)) {
		snprintf(err, size, "the veth does not go up");
		return -EIO;
	}
	p->tap[0] = packet_socket(TAP, err, size);
	p->sock = p->tap[0] < 0 ? -1 : packet_socket(TAP_PEER, err, size);
	return p->sock < 0 ? -ENOSYS : 0;
}

static int open_pair(struct path *p, char *err, size_t size)
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

static int open_path(struct path *p, const struct cell *c, char *err, size_t size)
{
	char spec[32];
	int rc, fd[CONN_QUEUES_MAX];

	*p = (struct path){.sock = -1, .queues = c->queues};
	memset(p->tap, -1, sizeof(p->tap));
	switch (c->way) {
	case WAY_NULL:
		snprintf(spec, sizeof(spec), c->load == LOAD_RECEIVE ? "null:%u" : "null", c->frame);
		return net_rig_open(spec, NULL, p->queues, POLL_US, &p->rig, err, size);
	case WAY_PAIR:
		return open_pair(p, err, size);
	case WAY_VETH:
		return open_veth(p, err, size);
	default:
		rc = open_tap(p, err, size);
		if (rc || c->way == WAY_BARE_TAP)
			return rc;
		for (unsigned i = 0; i < p->queues; i++)
			fd[i] = p->tap[i];
		memset(p->tap, -1, sizeof(p->tap));
		return net_rig_open("tap", fd, p->queues, POLL_US, &p->rig, err, size);
	}
}

static void close_path(struct path *p)
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

/* The guest's side, and the world's. */
static struct flow_end near_end(const struct path *p, unsigned q)
{
	struct netfront_queue *guest = p->rig ? netfront_get_queue(net_rig_front(p->rig), q) : NULL;

	return (struct flow_end){.guest = guest, .fd = guest ? -1 : p->tap[q]};
}

static struct flow_end far_end(const struct path *p, unsigned q)
{
	return p->far ? (struct flow_end){.port = netport_queue(p->far, q), .fd = -1} : (struct flow_end){.fd = p->sock};
}

/* ---- loads */

static void wait_for(double seconds)
{
	struct timespec ts = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&ts, NULL);
}

/* Packets a second; where nobody receives (null, and a kernel that drops what is for nobody), of those sent. */
static int measure_rate(struct path *p, const struct cell *c, double seconds, double *rate, char *err, size_t size)
{
	static uint8_t packet[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
	size_t len = flow_packet(packet, c->frame, c->frame == GSO_FRAME);
	bool out = c->load == LOAD_SEND, sources = out || c->way != WAY_NULL, sinks = !out || c->way == WAY_PAIR;
	struct flow from[CONN_QUEUES_MAX], to[CONN_QUEUES_MAX];
	uint64_t before = 0, after = 0;
	int rc = 0;

	for (unsigned i = 0; i < p->queues; i++) {
		from[i] = (struct flow){.job = FLOW_SEND, .end = out ? near_end(p, i) : far_end(p, i), .packet = packet, .len = len};
		to[i] = (struct flow){.job = FLOW_RECEIVE, .end = out ? far_end(p, i) : near_end(p, i)};
		if (sinks)
			flow_start(&to[i]);
		if (sources)
			flow_start(&from[i]);
	}
	wait_for(seconds / 5);
	for (unsigned i = 0; i < p->queues; i++)
		before += load_relaxed(sinks ? &to[i].count : &from[i].count);
	wait_for(seconds);
	for (unsigned i = 0; i < p->queues; i++)
		after += load_relaxed(sinks ? &to[i].count : &from[i].count);
	for (unsigned i = 0; i < p->queues; i++) {
		if (sources)
			flow_stop(&from[i]);
		if (sinks)
			flow_stop(&to[i]);
		rc = rc ? rc : sources && from[i].rc ? from[i].rc : sinks ? to[i].rc : 0;
	}
	if (rc)
		snprintf(err, size, "%s: %s", out ? "sending" : "receiving", strerror(-rc));
	*rate = (double)(after - before) / seconds;
	return rc;
}

static int measure_ping(struct path *p, struct bench_value *out, char *err, size_t size)
{
	static uint8_t packet[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
	static double us[PINGS];
	size_t len = flow_packet(packet, 64, false);
	const struct flow_end near = near_end(p, 0);
	struct flow echo = {.job = FLOW_ECHO, .end = far_end(p, 0)};
	int rc;

	flow_start(&echo);
	rc = flow_ping(&near, packet, len, us, ARRAY_LEN(us));
	flow_stop(&echo);
	if (rc)
		snprintf(err, size, "a packet does not come back: %s", strerror(-rc));
	*out = (struct bench_value){bench_median(us, ARRAY_LEN(us)), bench_percentile(us, ARRAY_LEN(us), 99)};
	return rc;
}

struct result {
	int rc;
	struct bench_value value;
	char err[200];
};

static void measure(const struct cell *c, double seconds, struct result *r)
{
	struct path p;
	double rate = 0;

	r->rc = open_path(&p, c, r->err, sizeof(r->err));
	if (!r->rc && c->load == LOAD_PING) {
		r->rc = measure_ping(&p, &r->value, r->err, sizeof(r->err));
	} else if (!r->rc) {
		r->rc = measure_rate(&p, c, seconds, &rate, r->err, sizeof(r->err));
		r->value = (struct bench_value){c->frame == GSO_FRAME ? rate * c->frame * 8 / 1e9 : rate / 1e6, NAN};
	}
	close_path(&p);
}

/* In a process of its own, for a backend has no other end. */
static int run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	struct result r = {.rc = -EIO, .err = "the measuring process has died"};
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (pid == 0) {
		r = (struct result){0};
		measure(v->arg, o->seconds > 0 ? o->seconds : SECONDS, &r);
		_exit(write(fds[1], &r, sizeof(r)) != sizeof(r));
	}
	close(fds[1]);
	if (pid > 0 && read(fds[0], &r, sizeof(r)) != sizeof(r))
		r.rc = -EIO;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	*out = r.value;
	snprintf(err, size, "%s", r.err);
	return r.rc;
}

/* ---- which */

/* A null gives no large segments and no echo; a bare tap and a veth are there to be compared with what passes a tap. */
static bool possible(enum way way, const struct cell *c)
{
	if (way == WAY_NULL)
		return c->load == LOAD_SEND || (c->load == LOAD_RECEIVE && c->frame != GSO_FRAME);
	if (way == WAY_VETH)
		return c->queues == 1 && c->load != LOAD_RECEIVE;
	return true;
}

static size_t add(struct bench_variant *v, struct cell *cells, size_t n, struct cell c)
{
	static const char *const names[] = {"send", "receive"};

	for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
		if (!possible(subjects[i].way, &c))
			continue;
		CHECK(n < VARIANTS_MAX);
		cells[n] = c;
		cells[n].way = subjects[i].way;
		if (c.load == LOAD_PING)
			snprintf(cells[n].params, sizeof(cells[n].params), "there and back, 64 B");
		else
			snprintf(cells[n].params, sizeof(cells[n].params), "%s %s, %u queue%s", names[c.load],
				 c.frame == GSO_FRAME ? "64 KB GSO" : c.frame == 64 ? "64 B" : "1500 B", c.queues, c.queues > 1 ? "s" : "");
		v[n] = (struct bench_variant){.name = subjects[i].name, .params = cells[n].params,
					      .unit = c.load == LOAD_PING ? "us" : c.frame == GSO_FRAME ? "Gbit/s" : "M packets/s",
					      .run = run, .arg = &cells[n], .baseline = subjects[i].base};
		n++;
	}
	return n;
}

int bench_net(int argc, char **argv, const struct bench_opts *o)
{
	static const uint32_t frames[] = {64, 1514, GSO_FRAME};
	static struct bench_variant v[VARIANTS_MAX];
	static struct cell cells[VARIANTS_MAX];
	size_t n = 0;

	if (argc > 1) {
		fprintf(stderr, "bulkhead bench net: \"%s\" is not understood\n", argv[1]);
		return 100;
	}
	for (unsigned q = 1; q <= 2; q++)
		for (size_t i = 0; i < ARRAY_LEN(frames); i++)
			for (enum load l = LOAD_SEND; l <= LOAD_RECEIVE; l++)
				n = add(v, cells, n, (struct cell){.load = l, .frame = frames[i], .queues = q});
	n = add(v, cells, n, (struct cell){.load = LOAD_PING, .frame = 64, .queues = 1});
	return bench_run("net", "packets from and to a guest through its vif, each end a thread; there and back: median, p99", v, n,
			 o->rounds ? o->rounds : ROUNDS, o);
}
