/* bench_ring_rig.c - the two threads, how they wait, and the clock. */
#include "tests/bench/bench_ring_rig.h"

#include "backend/core/be_poll.h"
#include "recovery/journal/jrnl_fmt.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define POLL_MAX_US 50u
#define LOOPS_PER_LOOK 64u /* at the clock */

/* ---- waiting */

void ring_wake_other(struct ring_end *e)
{
	const uint64_t one = 1;

	CHECK(write(e->wake_fd, &one, sizeof(one)) == sizeof(one));
}

static void sleep_end(struct ring_end *e)
{
	uint64_t n;

	CHECK(read(e->sleep_fd, &n, sizeof(n)) == sizeof(n));
}

static void end_busy(struct ring_end *e)
{
	if (e->mode == RING_ADAPTIVE && e->idle_since)
		e->window_us = be_poll_next(e->window_us, POLL_MAX_US, (clock_now() - e->idle_since) / NS_PER_US);
	e->idle_since = 0;
}

static void end_idle(struct ring_rig *r, struct ring_end *e, bool (*arm)(struct ring_rig *))
{
	if (e->mode == RING_POLLED) {
		cpu_relax();
		return;
	}
	if (e->mode == RING_ADAPTIVE) {
		uint64_t now = clock_now();

		if (!e->idle_since)
			e->idle_since = now;
		if (now - e->idle_since < e->window_us * NS_PER_US) {
			cpu_relax();
			return;
		}
	}
	if (!arm(r))
		sleep_end(e);
}

/* ---- the two ends */

static int pin(unsigned which)
{
	cpu_set_t allowed, one;
	unsigned seen = 0;

	if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) < 0)
		return -errno;
	for (int c = 0; c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, &allowed) || seen++ != which)
			continue;
		CPU_ZERO(&one);
		CPU_SET(c, &one);
		return -pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	}
	return -ENODEV;
}

struct run {
	struct ring_rig rig;
	const struct ring_kind *kind;
	uint32_t ready;
	double seconds, per_second;
	int rc;
};

static void *back(void *arg)
{
	struct run *run = arg;
	struct ring_rig *r = &run->rig;

	run->rc = pin(1);
	smp_store_release(&run->ready, 1); /* pairs with the wait in front() */
	while (!load_relaxed(&r->stop)) {
		if (run->kind->turn(r))
			end_busy(&r->back);
		else
			end_idle(r, &r->back, run->kind->back_arm);
	}
	return NULL;
}

static uint64_t drive(struct ring_rig *r, const struct ring_kind *k, uint64_t until)
{
	unsigned out = 0, loops = 0;
	uint64_t answered = 0;
	bool over = false;

	while (!over || out) {
		unsigned n;

		if (out < r->depth && !over) {
			k->put(r, r->depth - out);
			out = r->depth;
		}
		n = k->get(r);
		answered += n;
		out -= n;
		if (n)
			end_busy(&r->front);
		else
			end_idle(r, &r->front, k->front_arm);
		if (++loops % LOOPS_PER_LOOK == 0)
			over = clock_now() >= until;
	}
	return answered;
}

/* A thread of its own as well, so that the caller's own processors stay as they are. */
static void *front(void *arg)
{
	struct run *run = arg;
	struct ring_rig *r = &run->rig;
	pthread_t other;
	uint64_t start, n;
	int rc = pin(0);

	if (pthread_create(&other, NULL, back, run)) {
		run->rc = -EAGAIN;
		return NULL;
	}
	while (!smp_load_acquire(&run->ready)) /* pairs with back() */
		sched_yield();
	rc = rc ? rc : run->rc;
	if (!rc) {
		start = clock_now();
		n = drive(r, run->kind, start + (uint64_t)(run->seconds * (double)NS_PER_S));
		run->per_second = (double)n * (double)NS_PER_S / (double)(clock_now() - start);
	}
	store_relaxed(&r->stop, 1);
	ring_wake_other(&r->front);
	pthread_join(other, NULL);
	run->rc = rc;
	return NULL;
}

/* ---- what they share */

/* Small pages of a shared file, as in production. */
static void *shared_memory(size_t len)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static int open_rig(struct ring_rig *r)
{
	int a = eventfd(0, EFD_CLOEXEC), b = eventfd(0, EFD_CLOEXEC);

	r->front.sleep_fd = r->back.wake_fd = a;
	r->back.sleep_fd = r->front.wake_fd = b;
	r->ring = shared_memory(r->pages * BH_PAGE_SIZE);
	r->journal = shared_memory(jrnl_file_bytes(RING_DEPTH_MAX, 1));
	return a < 0 || b < 0 || !r->ring || !r->journal ? -ENOMEM : 0;
}

static void close_rig(struct ring_rig *r)
{
	if (r->ring)
		munmap(r->ring, r->pages * BH_PAGE_SIZE);
	if (r->journal)
		munmap(r->journal, jrnl_file_bytes(RING_DEPTH_MAX, 1));
	close(r->front.sleep_fd);
	close(r->back.sleep_fd);
}

int ring_measure(const struct ring_kind *k, enum ring_mode mode, unsigned depth, double seconds, double *per_second, char *err,
		 size_t size)
{
	struct run run = {.kind = k, .seconds = seconds};
	pthread_t thread;
	int rc;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		snprintf(err, size, "it needs two processors");
		return -ENOSYS;
	}
	run.rig.front.mode = run.rig.back.mode = mode;
	run.rig.depth = depth;
	run.rig.pages = depth > 32 ? 16 : 1;
	run.rig.entries = depth > 32 ? RING_DEPTH_MAX : 32;
	rc = open_rig(&run.rig);
	rc = rc ? rc : k->open(&run.rig, err, size);
	if (!rc) {
		rc = -pthread_create(&thread, NULL, front, &run);
		if (!rc)
			pthread_join(thread, NULL);
		rc = rc ? rc : run.rc;
		k->close(&run.rig);
	}
	close_rig(&run.rig);
	*per_second = run.per_second;
	return rc;
}
