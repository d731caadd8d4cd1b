/* bench_second: what one death a second costs. Windows of one second, without and with a kill in their middle, in turn, so that the
 * drift of the machine falls on both alike; compared are the two sums of requests. Reads and writes apart. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_events.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/load.h"

#include "ring/base/err.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 32
#define SECONDS 10 /* of each variant, half of them with a kill; --seconds 300 is the long form */
#define WINDOW_NS NS_PER_S
#define IMAGE_BYTES (64ull << 20)
#define WINDOWS_MAX 4096

struct way {
	const char *name, *options;
	unsigned write_percent;
};

static const struct way ways[] = {
	{"uring, reads", "", 0},
	{"uring, writes", "", 100},
	{"threads, reads", ",aio=threads", 0},
	{"threads, writes", ",aio=threads", 100},
};

struct second {
	const struct way *way;
	struct bench_world *w;
	struct load l;
	unsigned windows;
	double rate[2][WINDOWS_MAX]; /* quiet, killed: requests a second */
};

/* One second of load. The kill's process is looked up before the window begins. */
static int window(struct second *s, pid_t victim, double *rate)
{
	uint64_t begin = clock_now(), now = begin, before = s->l.reads + s->l.writes;
	int rc = 0;

	while (rc >= 0 && now - begin < WINDOW_NS) {
		rc = load_poll(&s->l, now);
		now = clock_now();
		if (victim && now - begin >= WINDOW_NS / 2) {
			kill(victim, SIGKILL);
			victim = 0;
		}
	}
	*rate = (double)(s->l.reads + s->l.writes - before) * 1e9 / (double)(now - begin);
	return MIN(rc, 0);
}

static int run_windows(struct second *s)
{
	struct ctl_dev dev;
	int rc = 0;

	for (unsigned i = 0; !rc && i < s->windows; i++)
		for (unsigned k = 0; !rc && k < 2; k++) {
			bool dies = (i + k) % 2; /* every second pair begins with the kill */

			rc = bench_status(s->w->runtime, "xvda", &dev);
			if (!rc)
				rc = window(s, dies ? dev.pid : 0, &s->rate[dies][i]);
		}
	return rc ? rc : load_check(&s->l);
}

static int run_way(struct second *s, char *err, size_t size)
{
	char target[512], err2[200];
	int rc = bench_world_image(s->w, "image", IMAGE_BYTES, target, sizeof(target), err, size);

	if (!rc)
		rc = bench_world_attach(s->w, "xvda", target, s->way->options, err, size);
	if (rc)
		return rc;
	rc = load_open(&s->l, s->w->runtime, BENCH_DOMAIN, "xvda", DEPTH, s->way->write_percent, err, size);
	if (!rc)
		rc = run_windows(s);
	load_close(&s->l);
	if (rc && !err[0])
		snprintf(err, size, "%s", err_str(rc));
	bench_world_detach(s->w, "xvda", err2, sizeof(err2));
	return rc;
}

static void report(struct bench_report *r, struct second *s)
{
	static const char *const params[] = {"undisturbed", "one death a second"};
	double ratio[WINDOWS_MAX], sum[2] = {0};

	for (unsigned i = 0; i < s->windows; i++) {
		ratio[i] = s->rate[1][i] / s->rate[0][i];
		sum[0] += s->rate[0][i];
		sum[1] += s->rate[1][i];
	}
	for (unsigned k = 0; k < 2; k++) {
		struct bench_row row = {.variant = s->way->name, .params = params[k], .unit = "req/s", .p99 = NAN, .ratio = NAN,
					.rounds = s->windows};

		row.median = bench_median(s->rate[k], s->windows); /* sorts */
		row.low = s->rate[k][0];
		row.high = s->rate[k][s->windows - 1];
		if (k)
			row.ratio = bench_median(ratio, s->windows);
		bench_row(r, &row);
	}
	bench_note(r, "%s: all requests of the windows with a death to all of those without: %.4f", s->way->name, sum[1] / sum[0]);
}

int bench_second(int argc UNUSED, char **argv UNUSED, const struct bench_opts *o)
{
	static struct second s;
	struct bench_report *r;
	struct bench_world w;
	char err[256] = "";
	int rc = bench_world_start(&w, o, err, sizeof(err));

	if (rc) {
		fprintf(stderr, "bulkhead bench second: %s\n", err);
		return 1;
	}
	r = bench_begin("second", "a kill in the middle of every second window of one second; depth 32, 4 KiB", o);
	for (unsigned i = 0; !rc && i < ARRAY_LEN(ways); i++) {
		if (o->only && !strstr(ways[i].name, o->only))
			continue;
		s.way = &ways[i];
		s.w = &w;
		s.windows = MAX(1u, MIN((unsigned)((o->seconds > 0 ? o->seconds : SECONDS) / 2), WINDOWS_MAX));
		rc = run_way(&s, err, sizeof(err));
		if (rc)
			fprintf(stderr, "bulkhead bench second: %s failed: %s\n", s.way->name, err);
		else
			report(r, &s);
	}
	bench_world_stop(&w);
	return bench_end(r) || rc;
}
