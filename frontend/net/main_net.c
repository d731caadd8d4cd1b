/* bulkhead-netfront: a guest's network interface: a tap in a namespace, for whatever programs run there. */
#include "frontend/net/net_cmd.h"
#include "ring/base/barrier.h"
#include "ring/base/conn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	struct netfront_open open;
	struct net_tap_opts tap;
	struct net_verify_opts verify;
	const char *peer; /* of verify: the domain at the other end */
	unsigned peer_handle;
} opt;

static const char usage_text[] =
	"usage: bulkhead-netfront --domain VM [--handle N] [OPTION...] [tap | info | verify]\n"
	"  tap       carries the vif's packets to and from a tap until SIGTERM (the default); SIGUSR1: counters\n"
	"  info      what both ends have agreed on\n"
	"  verify    sends numbered packets to the vif of --peer and back, checks each; SIGTERM or SIGINT ends it early\n"
	"Options: --runtime-dir DIR --provider NAME --queues N --rx-buffers N --xdp-headroom BYTES --timeout SECONDS\n"
	"  --no-sg --no-gso --no-csum --no-split --no-ctrl\n"
	"of tap: --netns NAME --tap NAME --background --pid-file FILE --reconnect --steer\n"
	"of verify: --peer VM --peer-handle N (0) --seconds N (10) --rate PACKETS/S of a queue (0: all it can) --size BYTES (0: mixed)\n"
	"  --seed N --one-way --outage-us N (1000)\n";

static int usage(const char *what)
{
	fprintf(stderr, "bulkhead-netfront: %s (see --help)\n", what);
	return EXIT_USAGE;
}

static int cmd_info(struct netfront *f)
{
	static const char *const yes[] = {"no", "yes"};
	struct netfront_info i;

	netfront_get_info(f, &i);
	printf("mac: %02x:%02x:%02x:%02x:%02x:%02x\nmtu: %u\nqueues: %u\nrx_buffers: %u\n", i.mac[0], i.mac[1], i.mac[2], i.mac[3],
	       i.mac[4], i.mac[5], i.mtu, i.queues, i.rx_buffers);
	printf("sg: %s\ngso4: %s\ngso6: %s\ncsum4: %s\ncsum6: %s\nsplit: %s\ncontrol_ring: %s\ncarrier: %s\n", yes[i.sg], yes[i.gso4],
	       yes[i.gso6], yes[i.csum4], yes[i.csum6], yes[i.split], yes[i.ctrl], yes[netfront_carrier(f)]);
	return EXIT_DONE;
}

static uint32_t stop_asked;
static void on_term(int sig UNUSED) { store_relaxed(&stop_asked, 1); }

/* The sending ends then; what has been counted is told. */
static void end_on_signal(void)
{
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	opt.verify.stop = &stop_asked;
}

static int cmd_verify(struct netfront *f)
{
	struct netfront_open o = opt.open;
	struct netfront *peer;
	char err[300];
	int rc;

	o.domain = opt.peer;
	o.handle = opt.peer_handle;
	if (netfront_open(&o, &peer, err, sizeof(err)))
		return net_cmd_failed(err);
	end_on_signal();
	rc = net_cmd_verify(f, peer, &opt.verify);
	netfront_close(peer);
	return rc;
}

static int command(const char *name)
{
	bool verify = strcmp(name, "verify") == 0;
	struct netfront *f;
	char err[300];
	int rc;

	if (strcmp(name, "tap") == 0)
		return net_cmd_tap(&opt.open, &opt.tap);
	if (!verify && strcmp(name, "info") != 0)
		return usage("unknown command");
	if (verify && !opt.peer)
		return usage("verify needs --peer");
	if (netfront_open(&opt.open, &f, err, sizeof(err)))
		return net_cmd_failed(err);
	rc = verify ? cmd_verify(f) : cmd_info(f);
	netfront_close(f);
	return rc;
}

/* ---- options */

enum { O_DOMAIN = 256, O_HANDLE, O_DIR, O_PROVIDER, O_QUEUES, O_BUFFERS, O_XDP, O_TIMEOUT, O_NO_SG, O_NO_GSO, O_NO_CSUM, O_NO_SPLIT,
       O_NO_CTRL, O_NETNS, O_TAP, O_BACKGROUND, O_RECONNECT, O_STEER, O_PID_FILE, O_PEER, O_PEER_HANDLE, O_SECONDS, O_RATE, O_SIZE, O_SEED, O_ONE_WAY,
       O_OUTAGE, O_HELP };

static const struct option longs[] = {
	{"domain", 1, NULL, O_DOMAIN}, {"handle", 1, NULL, O_HANDLE}, {"runtime-dir", 1, NULL, O_DIR},
	{"provider", 1, NULL, O_PROVIDER}, {"queues", 1, NULL, O_QUEUES}, {"rx-buffers", 1, NULL, O_BUFFERS},
	{"xdp-headroom", 1, NULL, O_XDP}, {"timeout", 1, NULL, O_TIMEOUT}, {"no-sg", 0, NULL, O_NO_SG},
	{"no-gso", 0, NULL, O_NO_GSO}, {"no-csum", 0, NULL, O_NO_CSUM}, {"no-split", 0, NULL, O_NO_SPLIT},
	{"no-ctrl", 0, NULL, O_NO_CTRL}, {"netns", 1, NULL, O_NETNS}, {"tap", 1, NULL, O_TAP},
	{"background", 0, NULL, O_BACKGROUND}, {"reconnect", 0, NULL, O_RECONNECT}, {"steer", 0, NULL, O_STEER},
	{"pid-file", 1, NULL, O_PID_FILE}, {"peer", 1, NULL, O_PEER},
	{"peer-handle", 1, NULL, O_PEER_HANDLE}, {"seconds", 1, NULL, O_SECONDS}, {"rate", 1, NULL, O_RATE},
	{"size", 1, NULL, O_SIZE}, {"seed", 1, NULL, O_SEED}, {"one-way", 0, NULL, O_ONE_WAY},
	{"outage-us", 1, NULL, O_OUTAGE}, {"help", 0, NULL, O_HELP}, {NULL, 0, NULL, 0},
};

static bool number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *out <= max;
}

/* Texts and switches. False: it is a number. */
static bool set_text(int o, const char *arg)
{
	static const struct {
		int o;
		const char **text;
		bool *yes;
	} plain[] = {
		{O_DOMAIN, &opt.open.domain, NULL}, {O_DIR, &opt.open.runtime_dir, NULL}, {O_PROVIDER, &opt.open.provider, NULL},
		{O_NETNS, &opt.tap.netns, NULL}, {O_TAP, &opt.tap.name, NULL}, {O_PID_FILE, &opt.tap.pid_file, NULL}, {O_PEER, &opt.peer, NULL},
		{O_BACKGROUND, NULL, &opt.tap.background}, {O_RECONNECT, NULL, &opt.tap.reconnect},
		{O_STEER, NULL, &opt.tap.steer}, {O_NO_SG, NULL, &opt.open.no_sg}, {O_NO_GSO, NULL, &opt.open.no_gso},
		{O_NO_CSUM, NULL, &opt.open.no_csum}, {O_NO_SPLIT, NULL, &opt.open.no_split}, {O_NO_CTRL, NULL, &opt.open.no_ctrl},
		{O_ONE_WAY, NULL, &opt.verify.one_way},
	};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (plain[i].o != o)
			continue;
		if (plain[i].text)
			*plain[i].text = arg;
		else
			*plain[i].yes = true;
		return true;
	}
	return false;
}

static bool set_number(int o, uint64_t n)
{
	switch (o) {
	case O_HANDLE:
		opt.open.handle = (unsigned)n;
		return n <= UINT16_MAX;
	case O_PEER_HANDLE:
		opt.peer_handle = (unsigned)n;
		return n <= UINT16_MAX;
	case O_QUEUES:
		opt.open.queues = (unsigned)n;
		return n <= CONN_QUEUES_MAX;
	case O_BUFFERS:
		opt.open.rx_buffers = (unsigned)n;
		return n <= 256;
	case O_XDP:
		opt.open.xdp_headroom = (unsigned)n;
		return n <= 0x7fff;
	case O_TIMEOUT:
		opt.open.timeout_ns = n * 1000000000ull;
		return n > 0 && n < 100000;
	case O_SECONDS:
		opt.verify.seconds = (unsigned)n;
		return n <= 1000000;
	case O_RATE:
		opt.verify.rate = n;
		return n <= 100000000;
	case O_SIZE:
		opt.verify.size = (unsigned)n;
		return n == 0 || (n >= NET_VERIFY_SIZE_MIN && n <= NETFRONT_FRAME_MAX);
	case O_OUTAGE:
		opt.verify.outage_ns = n * 1000;
		return n > 0 && n <= 100000000;
	default: /* O_SEED */
		opt.verify.seed = n;
		return true;
	}
}

int main(int argc, char **argv)
{
	uint64_t n;
	int o, at;

	log_init("bulkhead-netfront", LOG_LVL_WARN);
	opt.verify = (struct net_verify_opts){.seconds = 10, .outage_ns = 1000000, .seed = (uint64_t)time(NULL)};
	while ((o = getopt_long(argc, argv, "h", longs, &at)) != -1) {
		if (o == O_HELP || o == 'h') {
			fputs(usage_text, stdout);
			return EXIT_DONE;
		}
		if (o == '?')
			return EXIT_USAGE; /* getopt has said which */
		if (!set_text(o, optarg) && !(optarg && number(optarg, UINT64_MAX, &n) && set_number(o, n))) {
			fprintf(stderr, "bulkhead-netfront: --%s %s: not possible (see --help)\n", longs[at].name, optarg ? optarg : "");
			return EXIT_USAGE;
		}
	}
	if (!opt.open.domain)
		return usage("--domain is needed");
	if (argc - optind > 1)
		return usage("one command only");
	return command(argc > optind ? argv[optind] : "tap");
}
