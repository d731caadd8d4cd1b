/* A load through the frontend library: one thread for each queue. */
#include "tests/bench/bench_blk.h"

#include "frontend/blk/blkfront.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WARM_NS (100 * NS_PER_MS)
#define SAMPLES_MAX (1u << 20)

struct lane;

struct slot {
	struct blkfront_io io; /* first */
	struct lane *lane;
	uint64_t since;
	struct slot *next;
};

/* One queue's load. */
struct lane {
	const struct bench_load *load;
	struct blkfront_queue *q;
	pthread_t thread;
	struct slot *slot, *idle;
	char *buf;
	uint64_t rng, ended, measured_from, measured_to, ended_before;
	double *sample; /* microseconds; NULL: none are taken */
	size_t nsamples;
	double cpu;
	int rc;
};

static uint64_t next_random(struct lane *l)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return l->rng;
}

static void over(struct blkfront_io *io, int rc)
{
	struct slot *s = CONTAINER_OF(io, struct slot, io);
	struct lane *l = s->lane;

	l->ended++;
	if (rc)
		l->rc = rc;
	if (l->sample && l->measured_from && l->nsamples < SAMPLES_MAX)
		l->sample[l->nsamples++] = (double)(clock_now() - s->since) / 1e3;
	s->next = l->idle;
	l->idle = s;
}

static void submit_idle(struct lane *l)
{
	const struct bench_load *o = l->load;

	while (l->idle && !l->rc) {
		struct slot *s = l->idle;

		l->idle = s->next;
		s->io.off = next_random(l) % (BENCH_IMAGE_BYTES / o->bs) * o->bs;
		s->since = l->sample ? clock_now() : 0;
		l->rc = blkfront_submit(l->q, &s->io);
	}
}

static double thread_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void sleep_on(struct lane *l)
{
	struct pollfd p = {.fd = blkfront_fd(l->q), .events = POLLIN};

	if (!blkfront_arm(l->q))
		poll(&p, 1, 1000);
}

/* Looks for answers, for a while by itself, then asleep. */
static void wait_some(struct lane *l)
{
	uint64_t until = l->load->spin_us ? clock_now() + l->load->spin_us * NS_PER_US : 0;
	int n;

	while ((n = blkfront_poll(l->q)) == 0) {
		if (until && clock_now() < until)
			cpu_relax();
		else
			sleep_on(l);
	}
	if (n < 0)
		l->rc = n;
}

static void measure(struct lane *l, uint64_t now)
{
	l->measured_from = now;
	l->measured_to = now + (uint64_t)(l->load->seconds * 1e9);
	l->ended_before = l->ended;
	l->cpu = thread_cpu();
}

static void *run_lane(void *arg)
{
	struct lane *l = arg;
	uint64_t now = clock_now(), warm = now + WARM_NS;

	while (!l->rc && (!l->measured_from || now < l->measured_to)) {
		submit_idle(l);
		wait_some(l);
		now = clock_now();
		if (!l->measured_from && now >= warm)
			measure(l, now);
	}
	l->measured_to = now;
	l->ended_before = l->ended - l->ended_before;
	l->cpu = thread_cpu() - l->cpu;
	while (!l->rc && blkfront_outstanding(l->q))
		wait_some(l);
	return NULL;
}

static void open_lane(struct lane *l, const struct bench_load *o, struct blkfront_queue *q, unsigned seed)
{
	void *mem = NULL;

	*l = (struct lane){.load = o, .q = q, .rng = 0x9e3779b97f4a7c15u * (seed + 1)};
	l->slot = calloc(o->depth, sizeof(*l->slot));
	l->sample = o->depth == 1 ? malloc(SAMPLES_MAX * sizeof(double)) : NULL;
	CHECK(l->slot && (l->sample || o->depth > 1) && posix_memalign(&mem, 4096, (size_t)o->depth * o->bs) == 0);
	l->buf = mem;
	for (size_t i = 0; i < (size_t)o->depth * o->bs; i++)
		l->buf[i] = (char)i;
	for (unsigned i = 0; i < o->depth; i++) {
		struct slot *s = &l->slot[i];

		*s = (struct slot){.lane = l, .next = l->idle};
		s->io.op = o->write ? BLKFRONT_WRITE : BLKFRONT_READ;
		s->io.len = o->bs;
		s->io.buf = l->buf + (size_t)i * o->bs;
		s->io.done = over;
		l->idle = s;
	}
}

/* Adds the lane's figures; frees it. */
static void close_lane(struct lane *l, struct bench_loaded *out)
{
	double s = (double)(l->measured_to - l->measured_from) / 1e9;

	out->iops += (double)l->ended_before / s;
	out->front_cpu += l->cpu;
	out->seconds = s;
	if (l->sample) {
		out->p50 = bench_percentile(l->sample, l->nsamples, 50);
		out->p99 = bench_percentile(l->sample, l->nsamples, 99);
		out->p999 = bench_percentile(l->sample, l->nsamples, 99.9);
	}
	free(l->sample);
	free(l->slot);
	free(l->buf);
}

static int run_lanes(struct blkfront *f, const struct bench_load *l, pid_t stub, struct bench_loaded *out)
{
	struct lane lane[16];
	double cpu = bench_cpu_seconds(stub);
	uint64_t requests = 0;
	int rc = 0;

	for (unsigned i = 0; i < l->queues; i++) {
		open_lane(&lane[i], l, blkfront_get_queue(f, i), i);
		CHECK(pthread_create(&lane[i].thread, NULL, run_lane, &lane[i]) == 0);
	}
	for (unsigned i = 0; i < l->queues; i++) {
		pthread_join(lane[i].thread, NULL);
		rc = lane[i].rc ? lane[i].rc : rc;
		requests += lane[i].ended;
		close_lane(&lane[i], out);
	}
	out->stub_cpu_us = (bench_cpu_seconds(stub) - cpu) * 1e6 / (double)requests;
	return rc;
}

static int open_front(struct bench_world *w, const char *vdev, unsigned queues, struct blkfront **f, pid_t *stub, char *err, size_t size)
{
	struct blkfront_open o = {.provider = "local", .runtime_dir = w->runtime, .domain = BENCH_DOMAIN, .vdev = vdev, .queues = queues};
	int rc = blkfront_open(&o, f, err, size);

	if (rc)
		return rc;
	*stub = bench_world_stub(w, vdev);
	if (*stub > 0)
		return 0;
	snprintf(err, size, "the stub of %s is not to be found", vdev);
	blkfront_close(*f);
	return -ESRCH;
}

int bench_load_front(struct bench_world *w, const char *vdev, const struct bench_load *l, struct bench_loaded *out, char *err, size_t size)
{
	struct blkfront_info info;
	struct blkfront *f;
	pid_t stub;
	int rc = open_front(w, vdev, l->queues, &f, &stub, err, size);

	if (rc)
		return rc;
	*out = (struct bench_loaded){.p50 = NAN, .p99 = NAN, .p999 = NAN};
	blkfront_get_info(f, &info);
	CHECK(l->queues <= 16);
	rc = info.queues < l->queues ? -ENODEV : run_lanes(f, l, stub, out);
	if (rc)
		snprintf(err, size, "%s", rc == -ENODEV ? "too few queues are offered" : err_str(rc));
	blkfront_close(f);
	return rc;
}

/* ---- nothing to do */

/* Of all threads: how often they have given the processor up to wait. */
static double wakeups(pid_t pid)
{
	char path[320], line[200];
	double sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		unsigned long n;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, e->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
				sum += (double)n;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

int bench_idle_stub(struct bench_world *w, const char *vdev, double seconds, struct bench_idle *out, char *err, size_t size)
{
	const struct bench_load before = {.bs = 4096, .depth = 4, .queues = 1, .seconds = 0.1};
	struct bench_loaded ignored = {0};
	struct blkfront *f;
	pid_t stub;
	double cpu, woken;
	int rc = open_front(w, vdev, 1, &f, &stub, err, size);

	if (rc)
		return rc;
	rc = run_lanes(f, &before, stub, &ignored);
	usleep(200000); /* what still ends of the load */
	cpu = bench_cpu_seconds(stub);
	woken = wakeups(stub);
	usleep((useconds_t)(seconds * 1e6));
	out->cpu_ms = (bench_cpu_seconds(stub) - cpu) * 1e3 / seconds;
	out->wakeups = (wakeups(stub) - woken) / seconds;
	if (rc)
		snprintf(err, size, "%s", err_str(rc));
	blkfront_close(f);
	return rc;
}
