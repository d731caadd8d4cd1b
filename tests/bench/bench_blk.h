/* bench_blk.h - loads on a disk: through our own frontend in this process, and by fio as a child. Shared by the benches of
 * throughput (bench_blk.c) and latency (bench_latency.c). Threads: one, which waits for those of the load. */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_BLK_H
#define BULKHEAD_TESTS_BENCH_BENCH_BLK_H

#include "tests/bench/bench_world.h"

#define BENCH_IMAGE_BYTES (256ull << 20) /* of every disk here, so that all touch as much */

/* Requests of bs bytes at random places, depth of them outstanding on each queue. */
struct bench_load {
	bool write;
	uint32_t bs;
	unsigned depth, queues;
	double seconds;
	unsigned spin_us; /* our frontend looks at the ring for so long before it sleeps; 0: sleeps at once, as a guest's kernel does */
};

struct bench_loaded {
	double iops;
	double p50, p99, p999; /* microseconds, of one request. NAN: not measured (our own frontend, depth above 1) */
	double front_cpu;      /* seconds of processor, of the frontend's threads */
	double stub_cpu_us;    /* microseconds of processor of the stub for each request; our own frontend only */
	double seconds;	       /* of the measurement itself, after the warming up */
};

/* By our frontend library. -EIO and a line in err. */
int bench_load_front(struct bench_world *w, const char *vdev, const struct bench_load *l, struct bench_loaded *out, char *err, size_t size);
/* A stub that has served a load and now serves nobody, though connected: what it does in each second. */
struct bench_idle {
	double cpu_ms, wakeups;
};
int bench_idle_stub(struct bench_world *w, const char *vdev, double seconds, struct bench_idle *out, char *err, size_t size);
/* By fio: target is "--filename=PATH" (through io_uring, O_DIRECT) or "--uri=..." (by NBD). -ENOSYS: no fio here. */
int bench_load_fio(const char *target, const struct bench_load *l, struct bench_loaded *out, char *err, size_t size);

#endif
