/* bench.h - the benches, each a file of its own: bench_NAME.c. argv: what main did not understand, argv[0] the bench's name.
 * They return an exit status: 0, 1 failed, 100 wrong usage. */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_H
#define BULKHEAD_TESTS_BENCH_BENCH_H

#include "tests/bench/report.h"

struct bench {
	const char *name, *what;
	int (*run)(int argc, char **argv, const struct bench_opts *o);
};

int bench_ring(int argc, char **argv, const struct bench_opts *o);
int bench_blk(int argc, char **argv, const struct bench_opts *o);
int bench_latency(int argc, char **argv, const struct bench_opts *o);
int bench_outage(int argc, char **argv, const struct bench_opts *o);
int bench_second(int argc, char **argv, const struct bench_opts *o);
int bench_net(int argc, char **argv, const struct bench_opts *o);
int bench_many(int argc, char **argv, const struct bench_opts *o);

#endif
