/* bench_many: a hundred disks on one host, on threads (SQPOLL costs a kernel thread each, which is told apart): memory and idle
 * CPU of their stubs, what the others notice when one is killed, how fast stubs start, and all of them killed at once.
 */
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
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DISKS 100u
#define DOMAIN_DISKS 25u /* of one guest: the store lets a domain have so many watches only */
#define IDLE_S 5
#define LIGHT_NS (20 * NS_PER_MS) /* one request each so often: 5,000 a second in all */
#define WATCH_NS (2 * NS_PER_S)	  /* of latencies, before and after the kill */
#define SETTLE_NS (200 * NS_PER_MS)
#define SAMPLES 100000u
#define WAIT_NS (30 * NS_PER_S)
#define IMAGE_BYTES (4ull << 20)

struct many {
	struct bench_world w;
	struct bench_report *r;
	const char *params;
	struct load l[DISKS];
	char vdev[DISKS][8];
	unsigned n;
	double *latency;
};

static void row(struct many *m, const char *what, const char *unit, double median, double p99, double ratio)
{
	struct bench_row b = {.variant = what, .params = m->params, .unit = unit, .median = median, .low = median, .high = median,
			      .p99 = p99, .ratio = ratio, .rounds = 1};

	bench_row(m->r, &b);
}

static int poll_all(struct many *m, uint64_t now)
{
	for (unsigned i = 0; i < m->n; i++) {
		int rc = load_poll(&m->l[i], now);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* xvda ... xvdz, xvdaa ... */
static void name(unsigned i, char vdev[8])
{
	if (i < 26)
		snprintf(vdev, 8, "xvd%c", 'a' + (int)i);
	else
		snprintf(vdev, 8, "xvd%c%c", 'a' + (int)(i / 26 - 1), 'a' + (int)(i % 26));
}

static int command(struct many *m, const char *const *args, char *err, size_t size)
{
	const char *argv[12] = {m->w.bulkhead, "--runtime-dir", m->w.runtime};
	char out[256] = "";
	unsigned n = 3;

	while (*args && n + 1 < ARRAY_LEN(argv))
		argv[n++] = *args++;
	if (bench_run_program(argv, out, sizeof(out)) == 0)
		return 0;
	snprintf(err, size, "%s %s: %.160s", argv[3], argv[4], out);
	return -EIO;
}

static void domain(unsigned i, char d[16]) { snprintf(d, 16, "bench%u", i / DOMAIN_DISKS); }

static int attach(struct many *m, unsigned i, const char *options, char *err, size_t size)
{
	char target[512], file[32], d[16], disk[640];
	int rc;

	domain(i, d);
	snprintf(file, sizeof(file), "image%u", i);
	rc = bench_world_image(&m->w, file, IMAGE_BYTES, target, sizeof(target), err, size);
	if (!rc && i % DOMAIN_DISKS == 0)
		rc = command(m, (const char *const[]){"create", d, NULL}, err, size);
	snprintf(disk, sizeof(disk), "vdev=%s,target=%s%s", m->vdev[i], target, options);
	return rc ? rc : command(m, (const char *const[]){"attach", d, disk, NULL}, err, size);
}

static int connect_all(struct many *m, unsigned n, const char *options, char *err, size_t size)
{
	char d[16];
	int rc = 0;

	m->n = 0;
	for (unsigned i = 0; !rc && i < n; i++) {
		name(i, m->vdev[i]);
		domain(i, d);
		rc = attach(m, i, options, err, size);
		if (!rc) {
			m->n++;
			rc = load_open(&m->l[i], m->w.runtime, d, m->vdev[i], 1, 50, err, size);
			m->l[i].pause_ns = LIGHT_NS;
		}
	}
	return rc;
}

static void leave_all(struct many *m)
{
	char err[256], d[16];

	for (unsigned i = 0; i < m->n; i++)
		load_close(&m->l[i]);
	for (unsigned i = 0; i < m->n; i += DOMAIN_DISKS) {
		domain(i, d);
		command(m, (const char *const[]){"destroy", d, NULL}, err, sizeof(err));
	}
	m->n = 0;
}

/* ---- memory, idle CPU */

static double super_seconds(const struct many *m)
{
	char path[512];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/bulkheadd.pid", m->w.runtime);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid ? bench_cpu_seconds(pid) : NAN;
}

static int memory_and_cpu(struct many *m)
{
	double uss[DISKS], before = 0, after = 0, super;
	const struct timespec idle = {.tv_sec = IDLE_S};
	struct ctl_dev dev;
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->n; i++) {
		rc = bench_status(m->w.runtime, m->vdev[i], &dev);
		uss[i] = (double)dev.uss_bytes / 1024;
		before += bench_cpu_seconds(dev.pid);
	}
	super = super_seconds(m);
	nanosleep(&idle, NULL);
	super = super_seconds(m) - super;
	for (unsigned i = 0; !rc && i < m->n; i++) {
		rc = bench_status(m->w.runtime, m->vdev[i], &dev);
		after += bench_cpu_seconds(dev.pid);
	}
	if (rc)
		return rc;
	row(m, "private memory of a stub", "KiB", bench_median(uss, m->n), bench_percentile(uss, m->n, 99), NAN);
	row(m, "idle CPU of all stubs", "% of one", (after - before) * 100 / IDLE_S, NAN, NAN);
	row(m, "idle CPU of the supervisor", "% of one", super * 100 / IDLE_S, NAN, NAN);
	return 0;
}

/* ---- one is killed, 99 work on */

static int poll_for(struct many *m, uint64_t ns)
{
	uint64_t begin = clock_now(), now = begin;
	int rc = 0;

	while (!rc && now - begin < ns) {
		rc = poll_all(m, now);
		now = clock_now();
	}
	return rc;
}

static int watch(struct many *m, unsigned but, double *p50, double *p99)
{
	size_t n = 0;
	int rc;

	for (unsigned i = 0; i < m->n; i++) {
		m->l[i].latency = i == but ? NULL : m->latency + (size_t)i * (SAMPLES / DISKS);
		m->l[i].max_latency = SAMPLES / DISKS;
		m->l[i].nlatency = 0;
	}
	rc = poll_for(m, WATCH_NS);
	for (unsigned i = 0; i < m->n; i++)
		for (size_t k = 0; m->l[i].latency && k < m->l[i].nlatency; k++)
			m->latency[n++] = m->l[i].latency[k];
	*p99 = bench_percentile(m->latency, n, 99);
	*p50 = bench_median(m->latency, n);
	return rc;
}

static int one_dies(struct many *m)
{
	double p50[2], p99[2];
	struct ctl_dev dev;
	int rc = poll_for(m, SETTLE_NS); /* what was answered long ago, when nobody looked */

	if (!rc)
		rc = watch(m, 0, &p50[0], &p99[0]);
	if (!rc)
		rc = bench_status(m->w.runtime, m->vdev[0], &dev);
	if (!rc && kill(dev.pid, SIGKILL))
		rc = -errno;
	if (!rc)
		rc = watch(m, 0, &p50[1], &p99[1]);
	if (rc)
		return rc;
	row(m, "the others' latency, before", "us", p50[0], p99[0], NAN);
	row(m, "the others' latency, one killed", "us", p50[1], p99[1], p50[1] / p50[0]);
	return 0;
}

/* ---- all die */

/* Until each disk has answered a request that was begun after the kill. */
static int all_answer(struct many *m, uint64_t killed, double *answered, double *seconds)
{
	uint64_t now = clock_now(), had[DISKS];
	unsigned left = m->n;
	int rc = 0;

	for (unsigned i = 0; i < m->n; i++) {
		had[i] = m->l[i].reads + m->l[i].writes;
		answered[i] = 0;
	}
	while (!rc && left && now - killed < WAIT_NS) {
		rc = poll_all(m, now);
		now = clock_now();
		for (unsigned i = 0; i < m->n; i++)
			if (answered[i] == 0 && m->l[i].reads + m->l[i].writes != had[i]) {
				answered[i] = (double)(now - killed) / 1e6;
				m->l[i].pause_ns = LIGHT_NS; /* it must not take the CPU from those that are still being started */
				left--;
			}
	}
	*seconds = (double)(now - killed) / 1e9;
	return rc ? rc : left ? -ETIMEDOUT : 0;
}

static int all_die(struct many *m, bool standby)
{
	double answered[DISKS], seconds = NAN;
	struct ctl_dev dev[DISKS];
	uint64_t killed;
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->n; i++)
		rc = bench_status(m->w.runtime, m->vdev[i], &dev[i]);
	killed = clock_now();
	for (unsigned i = 0; !rc && i < m->n; i++) {
		m->l[i].pause_ns = 0; /* a request is always under way: who does not answer is not idle */
		if (kill(dev[i].pid, SIGKILL))
			rc = -errno;
	}
	if (!rc)
		rc = all_answer(m, killed, answered, &seconds);
	for (unsigned i = 0; i < m->n; i++)
		m->l[i].pause_ns = LIGHT_NS;
	if (rc)
		return rc;
	row(m, "all killed at once: until it answers", "ms", bench_median(answered, m->n), bench_percentile(answered, m->n, 99), NAN);
	row(m, "all killed at once: until all answer", "ms", seconds * 1e3, NAN, NAN);
	if (!standby)
		row(m, "starts of stubs", "1/s", m->n / seconds, NAN, NAN);
	return 0;
}

/* ---- */

static int run(struct many *m, unsigned n, const char *options, bool standby, char *err, size_t size)
{
	int rc = connect_all(m, n, options, err, size);

	if (!rc)
		rc = memory_and_cpu(m);
	if (!rc)
		rc = one_dies(m);
	if (!rc)
		rc = all_die(m, standby);
	for (unsigned i = 0; !rc && i < m->n; i++)
		rc = load_check(&m->l[i]);
	leave_all(m);
	if (rc && !err[0])
		snprintf(err, size, "%s", err_str(rc));
	return rc;
}

static const struct {
	const char *params, *options;
	unsigned disks;
	bool standby;
} sets[] = {
	{"100 disks, threads", ",aio=threads,standby=no", DISKS, false},
	{"100 disks, threads, standby", ",aio=threads,standby=yes", DISKS, true},
	{"100 disks, SQPOLL", ",standby=no", DISKS, false},
};

int bench_many(int argc UNUSED, char **argv UNUSED, const struct bench_opts *o)
{
	static struct many m;
	struct rlimit files;
	char err[256] = "";
	int rc = bench_world_start(&m.w, o, err, sizeof(err));

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	if (rc) {
		fprintf(stderr, "bulkhead bench many: %s\n", err);
		return 1;
	}
	m.latency = malloc(SAMPLES * sizeof(double));
	m.r = bench_begin("many", "a hundred disks: memory, idle CPU, and what deaths do", o);
	for (unsigned i = 0; !rc && m.latency && i < ARRAY_LEN(sets); i++) {
		if (o->only && !strstr(sets[i].params, o->only))
			continue;
		m.params = sets[i].params;
		rc = run(&m, sets[i].disks, sets[i].options, sets[i].standby, err, sizeof(err));
		if (rc)
			fprintf(stderr, "bulkhead bench many: %s failed: %s\n", m.params, err);
	}
	bench_world_stop(&m.w);
	free(m.latency);
	return bench_end(m.r) || rc;
}
