/* bench_outage: how long a guest that keeps its disk or its network interface busy gets no answer, or no packet, when its stub is
 * killed, and what that time is made of.
 *
 * The guest is this process: it polls its ring, kills the stub itself at a random moment, and takes the time between the last
 * answer (or packet) of the dead generation and the first of the next. The steps between come with the supervisor's RESUMED event.
 */
#include "tests/bench/bench.h"
#include "tests/bench/bench_events.h"
#include "tests/bench/bench_world.h"
#include "tests/bench/core_pipe.h"
#include "tests/bench/load.h"
#include "tests/bench/net_load.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/hv/hv.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 32
#define WRITES 50 /* percent */
#define KILLS 300
#define IMAGE_BYTES (64ull << 20)
#define EVENT_POLLS 64	/* looks at the ring for one at the supervisor's events */
#define ANSWERS_MAX (1u << 20) /* between a kill and its RESUMED */
#define WAIT_NS (10 * NS_PER_S)
#define KILL_MIN_NS (300 * NS_PER_US)
#define KILL_MAX_NS (2500 * NS_PER_US)
#define CALM_NS (8 * NS_PER_MS) /* without a standby: until the host has a blank stub again */
#define REGION_PAGES 4096u

struct setup {
	const char *name;
	const char *options; /* of the file engine; NULL: mem */
	bool standby, at_once; /* at_once: the next kill does not wait until things are as before */
	unsigned guest_mib;  /* of memory that the domain has beside its rings, which have the rest of the 1 GiB that it may have */
	int signal;	     /* 0: SIGKILL */
	enum core_pipe core;
	const char *vif;     /* keys of a vif, instead of a disk */
	bool from_guest;     /* its packets go that way */
};
#define VIF_TAP "bhbench0"
#define VIF_ON_TAP "vifname=" VIF_TAP

static const struct setup setups[] = {
	{.name = "mem, standby", .standby = true},
	{.name = "mem, plain restart"},
	{.name = "mem, plain, one after the other", .at_once = true},
	{.name = "uring, standby", .options = "", .standby = true},
	{.name = "uring, plain restart", .options = ""},
	{.name = "threads, standby", .options = ",aio=threads", .standby = true},
	{.name = "threads, plain restart", .options = ",aio=threads"},
	{.name = "uring without SQPOLL, standby", .options = ",sqpoll=off", .standby = true},
	{.name = "uring without SQPOLL, plain", .options = ",sqpoll=off"},
	{.name = "mem, guest of 1 GiB, standby", .guest_mib = 992, .standby = true},
	{.name = "mem, guest of 1 GiB, plain", .guest_mib = 992},
	{.name = "mem, standby, SIGSEGV, core pipe", .standby = true, .signal = SIGSEGV, .core = CORE_PIPE},
	{.name = "the same, dumpable", .standby = true, .signal = SIGSEGV, .core = CORE_PIPE_DUMPABLE},
	{.name = "vif on null, standby", .vif = "params=null:64", .standby = true},
	{.name = "vif on null, plain restart", .vif = "params=null:64"},
	{.name = "vif on a tap, to the guest, standby", .vif = VIF_ON_TAP, .standby = true},
	{.name = "vif on a tap, to the guest, plain", .vif = VIF_ON_TAP},
	{.name = "vif on a tap, from it, standby", .vif = VIF_ON_TAP, .from_guest = true, .standby = true},
	{.name = "vif on a tap, from it, plain", .vif = VIF_ON_TAP, .from_guest = true},
};

/* The rows of a setup; each but the first and the last is a step, and they add up to the first's time from the kill on. */
enum { OUTAGE, NOTICE, GO, BEGUN, READY, LOCKED, UP, FIRST, FENCE, ROWS };
static const char *const row_names[ROWS] = {
	[OUTAGE] = "outage",	     [NOTICE] = "1 kill to notice", [GO] = "2 to GO or start",
	[BEGUN] = "3 wake or exec",  [READY] = "4 open, map",	    [LOCKED] = "5 fence by the kernel",
	[UP] = "6 replay",	     [FIRST] = "7 first answer",    [FENCE] = "fence by the storage",
};

struct kills {
	const struct setup *s;
	struct bench_world *w;
	int events;
	struct load l;
	struct net_load n;     /* of a vif */
	unsigned wanted, done;
	double *us[ROWS]; /* done of each, in us */
	uint64_t rng;
	pid_t pid;	       /* of the stub that serves */
	uint64_t kill_at;      /* 0: not yet */
	uint64_t killed;       /* 0: all is well */
	uint64_t *answer;      /* times of answers since the kill; [0]: the last one before */
	unsigned nanswers;
	bool resumed, spare; /* spare: the next standby is ready already */
	struct ctl_event e;    /* RESUMED */
};

static uint64_t rnd(struct kills *k, uint64_t below)
{
	k->rng = k->rng * 6364136223846793005u + 1442695040888963407u;
	return (k->rng >> 33) % below;
}

static void plan_kill(struct kills *k, uint64_t now)
{
	if (k->s->core == CORE_PIPE_DUMPABLE)
		core_make_dumpable(k->pid); /* shows in "1 kill to notice", so a failure would too */
	k->kill_at = now + (k->s->standby || k->s->at_once ? 0 : CALM_NS) + KILL_MIN_NS + rnd(k, KILL_MAX_NS - KILL_MIN_NS);
}

static int do_kill(struct kills *k)
{
	k->answer[0] = k->answer[k->nanswers - 1];
	k->nanswers = 1;
	k->kill_at = 0;
	k->resumed = false;
	k->us[FENCE][k->done] = 0;
	k->killed = clock_now();
	return kill(k->pid, k->s->signal ? k->s->signal : SIGKILL) ? -errno : 0;
}

static double us_between(uint64_t from, uint64_t to) { return ((double)to - (double)from) / 1e3; }

/* RESUMED and the first answer after it are both there: this death is over. */
static void note(struct kills *k, unsigned first)
{
	const uint64_t *at = k->e.at;

	k->us[OUTAGE][k->done] = us_between(k->answer[first - 1], k->answer[first]);
	k->us[NOTICE][k->done] = us_between(k->killed, at[CTL_AT_NOTICED]);
	k->us[GO][k->done] = us_between(at[CTL_AT_NOTICED], at[CTL_AT_GO]);
	k->us[BEGUN][k->done] = us_between(at[CTL_AT_GO], at[CTL_AT_BEGUN]);
	k->us[READY][k->done] = us_between(at[CTL_AT_BEGUN], at[CTL_AT_READY]);
	k->us[LOCKED][k->done] = us_between(at[CTL_AT_READY], at[CTL_AT_LOCKED]);
	k->us[UP][k->done] = us_between(at[CTL_AT_LOCKED], at[CTL_AT_UP]);
	k->us[FIRST][k->done] = us_between(at[CTL_AT_UP], k->answer[first]);
	k->done++;
	k->answer[0] = k->answer[k->nanswers - 1];
	k->nanswers = 1;
	k->killed = 0;
	k->pid = k->e.pid;
	if (!k->s->standby || k->spare)
		plan_kill(k, k->answer[0]);
	k->spare = false;
}

static void look_for_first(struct kills *k)
{
	/* The former generation can not answer once the journal is the next one's. */
	for (unsigned i = 1; i < k->nanswers; i++)
		if (k->answer[i] >= k->e.at[CTL_AT_LOCKED]) {
			note(k, i);
			return;
		}
}

static int take_event(struct kills *k, const struct ctl_event *e, char *err, size_t size)
{
	switch (e->kind) {
	case CTL_EV_RESUMED:
		k->e = *e;
		k->resumed = true;
		return 0;
	case CTL_EV_FENCED:
		k->us[FENCE][k->killed || !k->done ? k->done : k->done - 1] = (double)e->outage_ns / 1e3;
		return 0;
	case CTL_EV_STANDBY:
		k->spare = k->killed != 0;
		if (k->s->standby && !k->killed && !k->kill_at)
			plan_kill(k, clock_now());
		return 0;
	case CTL_EV_BROKEN:
	case CTL_EV_FAILED:
		snprintf(err, size, "%.160s", e->text);
		return -EIO;
	default:
		return 0;
	}
}

/* ---- the guest */

static const char *device(const struct kills *k) { return k->s->vif ? "vif0" : "xvda"; }
static bool on_tap(const struct kills *k) { return k->s->vif && strcmp(k->s->vif, VIF_ON_TAP) == 0; }

static int guest_open(struct kills *k, char *err, size_t size)
{
	if (k->s->vif)
		return net_load_open(&k->n, k->w->runtime, BENCH_DOMAIN, on_tap(k) ? VIF_TAP : NULL, k->s->from_guest, err, size);
	return load_open(&k->l, k->w->runtime, BENCH_DOMAIN, "xvda", DEPTH, WRITES, err, size);
}

static int guest_poll(struct kills *k, uint64_t now) { return k->s->vif ? net_load_poll(&k->n, now) : load_poll(&k->l, now); }
static int guest_check(struct kills *k) { return k->s->vif ? net_load_check(&k->n, k->done) : load_check(&k->l); }

static void guest_close(struct kills *k)
{
	if (k->s->vif)
		net_load_close(&k->n);
	else
		load_close(&k->l);
}

/* ---- kills */

static int look(struct kills *k, unsigned round, char *err, size_t size)
{
	struct ctl_event e;
	uint64_t now = clock_now();
	int rc = guest_poll(k, now);

	if (rc > 0) {
		if (!k->killed)
			k->nanswers = 0;
		else if (k->nanswers == ANSWERS_MAX)
			return -EOVERFLOW;
		k->answer[k->nanswers++] = clock_now();
	}
	if (rc >= 0 && round % (k->killed && !k->resumed ? 16 * EVENT_POLLS : EVENT_POLLS) == 0) {
		rc = bench_event(k->events, 0, &e);
		if (rc > 0)
			rc = take_event(k, &e, err, size);
	}
	if (rc >= 0 && k->killed && k->resumed)
		look_for_first(k);
	if (rc >= 0 && !k->killed && k->kill_at && now >= k->kill_at)
		rc = do_kill(k);
	return rc;
}

static int kill_them(struct kills *k, char *err, size_t size)
{
	uint64_t last = clock_now();
	unsigned before = 0;
	int rc = 0;

	k->answer[0] = last;
	k->nanswers = 1;
	if (!k->s->standby)
		plan_kill(k, last);
	for (unsigned round = 0; rc >= 0 && k->done < k->wanted; round++) {
		rc = look(k, round, err, size);
		if (k->done != before)
			last = clock_now();
		else if (round % EVENT_POLLS == 0 && clock_now() - last > WAIT_NS)
			rc = -ETIMEDOUT;
		before = k->done;
	}
	if (rc >= 0)
		rc = guest_check(k);
	if (rc < 0 && !err[0])
		snprintf(err, size, "after %u kills: %s", k->done, err_str(rc));
	return MIN(rc, 0);
}

/* ---- a setup */

static int attach(struct kills *k, char *err, size_t size)
{
	char target[512] = "mem:64M", options[64];
	int rc = 0;

	if (k->s->vif)
		return bench_world_attach_vif(k->w, k->s->vif, k->s->standby ? "standby=yes" : "standby=no", err, size);
	if (k->s->options)
		rc = bench_world_image(k->w, "image", IMAGE_BYTES, target, sizeof(target), err, size);
	snprintf(options, sizeof(options), "%s,standby=%s", k->s->options ? k->s->options : "", k->s->standby ? "yes" : "no");
	return rc ? rc : bench_world_attach(k->w, "xvda", target, options, err, size);
}

/* Memory that belongs to the domain, touched, in regions as large as they can be. */
static int grow_guest(struct kills *k, struct hv **hv, char *err, size_t size)
{
	const struct hv_open o = {.role = HV_FRONTEND, .runtime_dir = k->w->runtime, .domain = BENCH_DOMAIN};
	int rc = hv_open("local", &o, hv);

	for (unsigned i = 0; !rc && i < k->s->guest_mib / (REGION_PAGES >> 8); i++) {
		void *mem;

		rc = hv_alloc(*hv, REGION_PAGES, &mem);
		if (!rc)
			memset(mem, 1, REGION_PAGES * BH_PAGE_SIZE);
	}
	if (rc)
		snprintf(err, size, "%u MiB of guest memory: %s", k->s->guest_mib, err_str(rc));
	return rc;
}

static int run_connected(struct kills *k, char *err, size_t size)
{
	struct ctl_dev dev;
	int rc = guest_open(k, err, size);

	if (!rc)
		rc = bench_status(k->w->runtime, device(k), &dev);
	if (!rc) {
		k->pid = dev.pid;
		if (k->s->standby && dev.standby_pid)
			plan_kill(k, clock_now());
		rc = kill_them(k, err, size);
	}
	guest_close(k);
	return rc;
}

static int run_setup(struct kills *k, char *err, size_t size)
{
	struct hv *hv = NULL;
	int rc = k->s->guest_mib ? grow_guest(k, &hv, err, size) : 0, rc2;
	char err2[256];

	if (!rc)
		rc = attach(k, err, size);
	if (!rc) {
		rc = run_connected(k, err, size);
		rc2 = bench_world_detach(k->w, device(k), err2, sizeof(err2));
		if (!rc && rc2) {
			snprintf(err, size, "%.200s", err2);
			rc = rc2;
		}
	}
	if (hv)
		hv_close(hv);
	return rc;
}

static int with_core(struct kills *k, char *err, size_t size)
{
	int rc = core_pipe_begin(k->s->core, err, size);

	if (rc)
		return rc;
	rc = run_setup(k, err, size);
	core_pipe_end();
	return rc;
}

/* ---- what is told */

static void report(struct bench_report *r, struct kills *k)
{
	for (unsigned i = 0; i < ROWS; i++) {
		double *v = k->us[i];
		struct bench_row row = {.variant = k->s->name, .params = row_names[i], .unit = "us", .ratio = NAN, .rounds = k->done};

		if (i == FENCE && !k->s->options)
			continue; /* its I/O is synchronous: it ends before the process */
		row.p99 = bench_percentile(v, k->done, 99); /* sorts */
		row.median = bench_median(v, k->done);
		row.low = v[0];
		row.high = v[k->done - 1];
		bench_row(r, &row);
	}
	if (k->s->vif && k->n.sent)
		bench_note(r, "%s: of %llu packets %llu were lost, %llu came twice", k->s->name, (unsigned long long)k->n.sent,
			   (unsigned long long)k->n.lost, (unsigned long long)k->n.twice);
}

static void write_curve(FILE *f, const double *sorted, unsigned n)
{
	fprintf(f, "$d%p << EOD\n", (const void *)sorted);
	for (unsigned i = 0; i < n; i += MAX(1u, n / 1000))
		fprintf(f, "%g %g\n", sorted[i], 100.0 * (i + 1) / n);
	fprintf(f, "%g 100\nEOD\n", sorted[n - 1]);
}

/* How many of the outages are shorter than a time. */
static int plot_distribution(const struct bench_opts *o, const struct kills *all, unsigned n)
{
	FILE *f = popen("gnuplot", "w");
	const char *sep = "plot ";

	if (!f)
		return 1;
	for (unsigned i = 0; i < n; i++)
		if (all[i].done)
			write_curve(f, all[i].us[OUTAGE], all[i].done);
	fprintf(f,
		"set terminal pngcairo size 1200,600\nset output '%s/outage-distribution.png'\nset logscale x\nset grid x y\n"
		"set key outside right noenhanced\nset xlabel 'outage, us'\nset ylabel '%% of the kills'\nset yrange [0:100]\n",
		o->plot);
	for (unsigned i = 0; i < n; i++)
		if (all[i].done) {
			fprintf(f, "%s$d%p using 1:2 with lines title '%s'", sep, (const void *)all[i].us[OUTAGE], all[i].s->name);
			sep = ", ";
		}
	fputc('\n', f);
	return pclose(f) != 0;
}

static int measure(struct bench_report *r, struct kills *k, const struct bench_opts *o)
{
	char err[256] = "";
	int rc;

	if (o->only && !strstr(k->s->name, o->only))
		return 0;
	k->wanted = o->kills ? o->kills : KILLS;
	k->rng = clock_now();
	k->answer = malloc(ANSWERS_MAX * sizeof(*k->answer));
	CHECK(k->answer);
	for (unsigned i = 0; i < ROWS; i++) {
		k->us[i] = calloc(k->wanted, sizeof(double));
		CHECK(k->us[i]);
	}
	rc = with_core(k, err, sizeof(err));
	free(k->answer);
	if (rc == -ENOSYS) {
		fprintf(stderr, "bulkhead bench outage: %s is skipped: %s\n", k->s->name, err);
		return 0;
	}
	if (rc) {
		fprintf(stderr, "bulkhead bench outage: %s failed: %s\n", k->s->name, err[0] ? err : err_str(rc));
		return 1;
	}
	report(r, k);
	return 0;
}

int bench_outage(int argc UNUSED, char **argv UNUSED, const struct bench_opts *o)
{
	static struct kills all[ARRAY_LEN(setups)];
	struct bench_report *r;
	struct bench_world w;
	char err[256] = "";
	int status = 0, events;

	if (bench_world_start(&w, o, err, sizeof(err))) {
		fprintf(stderr, "bulkhead bench outage: %s\n", err);
		return 1;
	}
	events = bench_events_open(w.runtime, err, sizeof(err));
	if (events < 0) {
		fprintf(stderr, "bulkhead bench outage: %s\n", err);
		bench_world_stop(&w);
		return 1;
	}
	r = bench_begin("outage", "from the last answer before a kill to the first after it; depth 32, 4 KiB, half writes; of a vif, from packet to packet", o);
	for (unsigned i = 0; !status && i < ARRAY_LEN(setups); i++) {
		all[i].s = &setups[i];
		all[i].w = &w;
		all[i].events = events;
		status = measure(r, &all[i], o);
	}
	close(events);
	bench_world_stop(&w);
	if (bench_end(r))
		status = 1;
	if (!status && o->plot)
		status = plot_distribution(o, all, ARRAY_LEN(setups));
	return status;
}
