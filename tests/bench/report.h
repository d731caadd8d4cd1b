/* report.h - what every bench prints: a table for people; with --json one object a line for programs, nothing else; with
 * --plot DIR also DIR/BENCH.png, by gnuplot.
 *
 * A bench is a function that measures its variants in rounds, interleaved, since the machine's speed drifts: a ratio is the
 * median of the ratios within each round, never of figures from different minutes.
 * Threads: one.
 */
#ifndef BULKHEAD_TESTS_BENCH_REPORT_H
#define BULKHEAD_TESTS_BENCH_REPORT_H

#include "ring/base/base.h"

#include <stdbool.h>
#include <stddef.h>

#define BENCH_ROUNDS_MAX 64

struct bench_opts {
	bool json;
	bool full;	    /* every combination, for a bench that chooses some by itself */
	const char *plot;   /* directory; NULL: no picture */
	unsigned rounds;    /* 0: the bench's own default */
	double seconds;	    /* of one measurement; 0: the bench's own default */
	unsigned kills;	    /* of each variant that kills; 0: the bench's own default */
	const char *only;   /* variants whose name contains this; NULL: all */
	const char *runtime_dir; /* of a world that the bench may use; NULL: it makes its own */
};

/* One measurement: a rate, or a latency with its tail. */
struct bench_value {
	double value; /* of a latency: the median */
	double p99;   /* latencies only, else NAN */
};

/* A thing that is measured, in one setting. */
struct bench_variant {
	const char *name, *params; /* params: "depth=32 bs=4k", the same text for all that are compared */
	const char *unit;	   /* "M req/s", "us" */
	/* 0; -ENOSYS: not possible here, why in err: reported once, as skipped; another negative errno: the bench fails. */
	int (*run)(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size);
	const void *arg;	   /* run's own */
	const char *baseline;	   /* name of the variant with the same params that it is compared with; NULL: none. Of several,
				      with '|' between, each has a row of its own */
};

/* One line of the table. */
struct bench_row {
	const char *variant, *params, *unit, *baseline;
	double median, low, high; /* of the rounds */
	double p99;		  /* median of the rounds' p99; NAN: no latency */
	double ratio;		  /* to baseline; NAN: none */
	unsigned rounds;
};

struct bench_report;

/* title: one line for people. */
struct bench_report *bench_begin(const char *bench, const char *title, const struct bench_opts *o);
void bench_row(struct bench_report *r, const struct bench_row *row);
/* A line for people only (dropped with --json): how a figure is to be read. */
void bench_note(struct bench_report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Draws the picture if asked for; frees r. 0, or the exit status of what failed. */
int bench_end(struct bench_report *r);

/* All of it for the common case: rounds of all variants, interleaved, each round beginning with another one; then the rows
 * in the order of the variants. 0, or 1 when something failed (said on stderr). */
int bench_run(const char *bench, const char *title, const struct bench_variant *v, size_t n, unsigned rounds,
	      const struct bench_opts *o);

/* Of n samples, which are sorted in place. p in 0 .. 100; nearest rank. NAN when n is 0. */
double bench_percentile(double *samples, size_t n, double p);
double bench_median(double *samples, size_t n);

#endif
