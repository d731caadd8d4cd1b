/* net_cmd_tap.c - bulkhead-netfront tap: carries a vif's packets to and from a tap. */
#include "frontend/net/net_cmd.h"
#include "frontend/net/net_pump.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 200000000 /* between looks at the link and at whether the device has ended */

static void tell_counters(struct netfront *f, const struct net_pump *b)
{
	struct netfront_stats s, sum = {0};
	uint64_t tap, vif;

	for (unsigned i = 0; netfront_get_queue(f, i); i++) {
		netfront_get_stats(netfront_get_queue(f, i), &s);
		fprintf(stderr, "queue %u: rx_packets: %llu\n", i, (unsigned long long)s.rx_packets);
		sum.tx_packets += s.tx_packets;
		sum.tx_bytes += s.tx_bytes;
		sum.tx_errors += s.tx_errors;
		sum.rx_packets += s.rx_packets;
		sum.rx_bytes += s.rx_bytes;
		sum.rx_errors += s.rx_errors;
		sum.rx_bad += s.rx_bad;
	}
	net_pump_drops(b, &tap, &vif);
	fprintf(stderr, "tx_packets: %llu\ntx_bytes: %llu\ntx_errors: %llu\ntx_drops: %llu\n", (unsigned long long)sum.tx_packets,
		(unsigned long long)sum.tx_bytes, (unsigned long long)sum.tx_errors, (unsigned long long)vif);
	fprintf(stderr, "rx_packets: %llu\nrx_bytes: %llu\nrx_errors: %llu\nrx_bad: %llu\nrx_drops: %llu\n",
		(unsigned long long)sum.rx_packets, (unsigned long long)sum.rx_bytes, (unsigned long long)sum.rx_errors,
		(unsigned long long)sum.rx_bad, (unsigned long long)tap);
}

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* Until a signal, or the device's end: -ESHUTDOWN, or another exit status. */
static int carry(struct netfront *f, const struct net_tap *t, const struct net_pump *b, const sigset_t *set, bool steer)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	unsigned queue = 0;
	bool link = true;
	int sig;

	if (steer)
		net_cmd_steer(f, queue);
	while (!net_pump_ended(b)) {
		if (netfront_carrier(f) != link) {
			link = !link;
			net_tap_carrier(t, link);
		}
		sig = sigtimedwait(set, NULL, &look);
		if (sig == SIGTERM || sig == SIGINT)
			return EXIT_DONE;
		if (sig == SIGUSR1)
			tell_counters(f, b);
		if (sig == SIGUSR2 && steer)
			net_cmd_steer(f, ++queue % t->queues);
	}
	return net_pump_ended(b) == -ESHUTDOWN ? -ESHUTDOWN : net_cmd_failed("the backend broke the protocol");
}

/* From the tap's beginning, or a new connection, to its end, as carry(). */
static int serve(struct netfront *f, const struct net_tap *t, const sigset_t *set, bool steer)
{
	struct net_pump *b = NULL;
	int rc = net_pump_start(f, t, &b);

	if (rc)
		return net_cmd_failed(err_str(rc));
	rc = carry(f, t, b, set, steer);
	net_pump_stop(b);
	return rc;
}

/* The vif is closed: waits until it can be connected again. 0 with *f, or, after a signal, without; or an exit status. */
static int connect_again(const struct netfront_open *open, struct netfront **f, const struct net_tap *t, const sigset_t *set)
{
	const struct timespec look = {.tv_sec = 1};
	struct netfront_info info;
	char err[300];
	int sig;

	net_tap_carrier(t, false);
	netfront_close(*f);
	*f = NULL;
	log_warn("the backend has closed the vif: it is connected again when there is one");
	log_init("bulkhead-netfront", LOG_LVL_ERROR); /* that there is none yet is no news */
	do {
		sig = sigtimedwait(set, NULL, &look);
		if (sig == SIGTERM || sig == SIGINT)
			return EXIT_DONE;
	} while (netfront_open(open, f, err, sizeof(err)));
	log_init("bulkhead-netfront", LOG_LVL_WARN);
	netfront_get_info(*f, &info);
	if (net_tap_set(t, &info, err, sizeof(err)))
		return net_cmd_failed(err);
	net_tap_carrier(t, true);
	return 0;
}

static int write_pid(const char *name)
{
	FILE *file = name ? fopen(name, "w") : NULL;

	if (!name)
		return 0;
	if (!file)
		return -errno;
	fprintf(file, "%d\n", (int)getpid());
	return fclose(file) ? -errno : 0;
}

/* The parent waits for the child's word, and ends. Returns in the child, with the descriptor to say it on. */
static int go_behind(void)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? EXIT_DONE : NET_EXIT_FAILED);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

/* The tap is there: says so, and lets go who waits for that, on stdout too. */
static void say_ready(const struct net_tap *t, int ready)
{
	printf("%s\n", t->name);
	fflush(stdout);
	if (ready < 0)
		return;
	if (!freopen("/dev/null", "w", stdout) || write(ready, "", 1) != 1)
		log_warn("who waits for tap %s can not be told", t->name);
	close(ready);
}

static int run(const struct netfront_open *open, const struct net_tap_opts *o, struct netfront **f, int ready, const sigset_t *set)
{
	struct netfront_info info;
	struct net_tap t;
	char err[300];
	int rc;

	netfront_get_info(*f, &info);
	if (o->netns && net_tap_enter(o->netns, err, sizeof(err)))
		return net_cmd_failed(err);
	if (net_tap_open(&t, o->name, &info, err, sizeof(err)))
		return net_cmd_failed(err);
	rc = write_pid(o->pid_file);
	if (rc) {
		rc = net_cmd_failed(err_str(rc));
	} else {
		say_ready(&t, ready);
		rc = serve(*f, &t, set, o->steer);
	}
	while (rc == -ESHUTDOWN && o->reconnect) {
		rc = connect_again(open, f, &t, set);
		if (!rc && *f)
			rc = serve(*f, &t, set, o->steer);
	}
	if (rc == -ESHUTDOWN)
		rc = net_cmd_failed("the backend has closed the vif");
	net_tap_close(&t);
	if (o->pid_file)
		unlink(o->pid_file);
	return rc;
}

int net_cmd_tap(const struct netfront_open *open, const struct net_tap_opts *o)
{
	int rc, ready = o->background ? go_behind() : -1;
	struct netfront *f;
	sigset_t set;
	char err[300];

	if (o->background && ready < 0)
		return net_cmd_failed(err_str(ready));
	block_signals(&set);
	if (netfront_open(open, &f, err, sizeof(err)))
		return net_cmd_failed(err);
	rc = run(open, o, &f, ready, &set);
	netfront_close(f);
	return rc;
}
