/* Packets through one vif: our frontend, the whole of backend/net, and a netport, beside the same packets without them. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/net_dpdk.h"
#include "tests/bench/net_path.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 0.5
#define ROUNDS 5
#define PINGS 2000
#define GSO_FRAME 65000u
#define STREAMS 8u /* of a sender to several queues, so that the kernel spreads them */
#define VARIANTS_MAX 64

enum load { LOAD_SEND, LOAD_RECEIVE, LOAD_PING };

static const struct {
	const char *name;
	enum net_way way;
	const char *base;
} subjects[] = {
	{"to null", WAY_NULL, NULL},	 {"to a pair", WAY_PAIR, NULL}, {"to a tap", WAY_TAP, "bare tap"},
	{"bare tap", WAY_BARE_TAP, NULL}, {"veth", WAY_VETH, NULL},	{"DPDK virtio-user, vhost-user", WAY_DPDK, NULL},
};

struct cell {
	enum net_way way;
	enum load load;
	uint32_t frame;
	unsigned queues;
	char params[48];
};

/* ---- loads */

static void wait_for(double seconds)
{
	struct timespec ts = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&ts, NULL);
}

/* Who runs where: what needs the guest's and the world's hands on one processor, beside it the backend, or what stands in its place; the
 * second queue's again on the first. */
struct cast {
	struct flow from[CONN_QUEUES_MAX], to[CONN_QUEUES_MAX];
	struct flow_crew hands, instead[CONN_QUEUES_MAX];
	bool sources, sinks;
};

static void join(struct cast *k, const struct net_path *p, struct flow *f, unsigned q)
{
	bool near = p->tap[q] >= 0 && f->end.fd == p->tap[q];

	flow_join(near ? &k->instead[q] : &k->hands, f);
}

static void set_up(struct cast *k, const struct net_path *p, const struct cell *c, const uint8_t *packet, size_t len)
{
	bool out = c->load == LOAD_SEND;

	*k = (struct cast){.sources = out || c->way != WAY_NULL, .sinks = !out || c->way == WAY_PAIR || c->way == WAY_VETH};
	k->hands.cpu = flow_cpu(0);
	for (unsigned i = 0; i < p->queues; i++) {
		struct flow_end near = net_path_near(p, i), far = net_path_far(p, i);

		k->from[i] = (struct flow){.job = FLOW_SEND, .end = out ? near : far, .packet = packet, .len = len, .packets = STREAMS};
		k->to[i] = (struct flow){.job = FLOW_RECEIVE, .end = out ? far : near};
		k->instead[i].cpu = flow_cpu(i + 1);
		if (k->sources && (out || p->far || i == 0)) /* one socket is the world's whole end */
			join(k, p, &k->from[i], i);
		if (k->sinks && (!out || p->far || i == 0))
			join(k, p, &k->to[i], i);
		if (p->rig)
			flow_pin(net_rig_thread(p->rig, i), flow_cpu(i + 1));
	}
}

static uint64_t count(const struct cast *k, unsigned queues)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < queues; i++)
		n += load_relaxed(k->sinks ? &k->to[i].count : &k->from[i].count);
	return n;
}

/* Packets a second; where nobody receives (null, and a kernel that drops what is for nobody), of those sent. */
static int measure_rate(struct net_path *p, const struct cell *c, double seconds, double *rate, char *err, size_t size)
{
	static uint8_t packet[STREAMS * FLOW_STRIDE] __attribute__((aligned(64)));
	static struct cast k;
	size_t len = 0;
	uint64_t before;
	int rc = 0;

	for (unsigned i = 0; i < STREAMS; i++)
		len = flow_packet(packet + i * FLOW_STRIDE, c->frame, c->frame == GSO_FRAME, i);
	set_up(&k, p, c, packet, len);
	flow_start(&k.hands);
	for (unsigned i = 0; i < p->queues; i++)
		flow_start(&k.instead[i]);
	wait_for(seconds / 5);
	before = count(&k, p->queues);
	wait_for(seconds);
	*rate = (double)(count(&k, p->queues) - before) / seconds;
	flow_stop(&k.hands);
	for (unsigned i = 0; i < p->queues; i++) {
		flow_stop(&k.instead[i]);
		rc = rc ? rc : k.from[i].rc ? k.from[i].rc : k.to[i].rc;
	}
	if (rc)
		snprintf(err, size, "%s: %s", c->load == LOAD_SEND ? "sending" : "receiving", strerror(-rc));
	return rc;
}

static int measure_ping(struct net_path *p, struct bench_value *out, char *err, size_t size)
{
	static uint8_t packet[NETPORT_PACKET_MAX] __attribute__((aligned(8)));
	static double us[PINGS];
	size_t len = flow_packet(packet, 64, false, 0);
	const struct flow_end near = net_path_near(p, 0);
	struct flow echo = {.job = FLOW_ECHO, .end = net_path_far(p, 0)};
	struct flow_crew crew = {.cpu = -1};
	int rc;

	flow_join(&crew, &echo);
	flow_start(&crew);
	rc = flow_ping(&near, packet, len, us, ARRAY_LEN(us));
	flow_stop(&crew);
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
	struct net_path p;
	double rate = 0;

	r->rc = net_path_open(&p, c->way, c->queues, c->load == LOAD_RECEIVE ? c->frame : 0, c->load == LOAD_PING, r->err, sizeof(r->err));
	if (!r->rc && c->load == LOAD_PING) {
		r->rc = measure_ping(&p, &r->value, r->err, sizeof(r->err));
	} else if (!r->rc) {
		r->rc = measure_rate(&p, c, seconds, &rate, r->err, sizeof(r->err));
		r->value = (struct bench_value){c->frame == GSO_FRAME ? rate * c->frame * 8 / 1e9 : rate / 1e6, NAN};
	}
	net_path_close(&p);
}

/* In a process of its own, for a backend has no other end. */
static int run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	struct result r = {.rc = -EIO, .err = "the measuring process has died"};
	const struct cell *c = v->arg;
	int fds[2];
	pid_t pid;

	if (c->way == WAY_DPDK) {
		*out = (struct bench_value){NAN, NAN};
		r.rc = net_dpdk_rate(c->frame, &out->value, err, size);
		out->value /= 1e6;
		return r.rc;
	}
	if (pipe(fds))
		return -errno;
	pid = fork();
	if (pid == 0) {
		r = (struct result){0};
		measure(c, o->seconds > 0 ? o->seconds : SECONDS, &r);
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
static bool possible(enum net_way way, const struct cell *c)
{
	if (way == WAY_DPDK)
		return c->load == LOAD_SEND && c->queues == 1 && c->frame != GSO_FRAME;
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
