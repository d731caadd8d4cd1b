#include "tests/bench/report.h"

#include "ring/base/check.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROWS_MAX 256

struct bench_report {
	const char *bench;
	const struct bench_opts *o;
	unsigned n;
	struct bench_row row[ROWS_MAX]; /* texts are the bench's, and outlive it */
};

/* ---- numbers */

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(double *samples, size_t n, double p)
{
	size_t rank;

	if (!n)
		return NAN;
	qsort(samples, n, sizeof(*samples), by_size);
	rank = (size_t)ceil(p / 100 * (double)n);
	return samples[rank ? rank - 1 : 0];
}

double bench_median(double *samples, size_t n)
{
	double high = bench_percentile(samples, n, 50);

	return n && n % 2 == 0 ? (samples[n / 2 - 1] + samples[n / 2]) / 2 : high;
}

/* ---- rows */

struct bench_report *bench_begin(const char *bench, const char *title, const struct bench_opts *o)
{
	struct bench_report *r = calloc(1, sizeof(*r));

	CHECK(r);
	r->bench = bench;
	r->o = o;
	if (!o->json) {
		printf("%s: %s\n", bench, title);
		printf("  %-34s %-30s %12s %-9s %21s %10s %7s\n", "variant", "params", "median", "unit", "low .. high", "p99", "ratio");
	}
	return r;
}

static void print_number(int width, double d)
{
	if (isnan(d))
		printf(" %*s", width, "-");
	else
		printf(" %*.*f", width, d < 10 ? 3 : d < 1000 ? 2 : 0, d);
}

static void set_real(json_t *j, const char *key, double d)
{
	json_object_set_new(j, key, isnan(d) ? json_null() : json_real(d));
}

static void print_json(const struct bench_report *r, const struct bench_row *row)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s?}", "bench", r->bench, "variant", row->variant, "params", row->params,
			      "unit", row->unit, "rounds", (int)row->rounds, "baseline", row->baseline);

	CHECK(j);
	set_real(j, "median", row->median);
	set_real(j, "low", row->low);
	set_real(j, "high", row->high);
	set_real(j, "p99", row->p99);
	set_real(j, "ratio", row->ratio);
	json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(j);
}

void bench_row(struct bench_report *r, const struct bench_row *row)
{
	CHECK(r->n < ROWS_MAX);
	r->row[r->n++] = *row;
	if (r->o->json) {
		print_json(r, row);
	} else {
		printf("  %-34s %-30s", row->variant, row->params);
		print_number(12, row->median);
		printf(" %-9s", row->unit);
		print_number(9, row->low);
		printf(" ..");
		print_number(8, row->high);
		print_number(10, row->p99);
		print_number(7, row->ratio);
		putchar('\n');
	}
	fflush(stdout);
}

void bench_note(struct bench_report *r, const char *fmt, ...)
{
	va_list ap;

	if (r->o->json)
		return;
	va_start(ap, fmt);
	printf("  ");
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

/* ---- the picture: a panel for each unit, in it a group of bars for each params, a bar for each variant */

enum label { VARIANT, PARAMS, UNIT };

static const char *label(const struct bench_row *row, enum label l)
{
	return l == VARIANT ? row->variant : l == PARAMS ? row->params : row->unit;
}

/* What is 0 has no bar on a logarithmic scale. */
static bool has_unit(const struct bench_row *row, const char *unit)
{
	return row->median > 0 && (!unit || strcmp(row->unit, unit) == 0);
}

/* Row i is the first of its unit (NULL: of all) with this label. */
static bool is_first(const struct bench_report *r, unsigned i, enum label l, const char *unit)
{
	if (!has_unit(&r->row[i], unit))
		return false;
	for (unsigned k = 0; k < i; k++)
		if (has_unit(&r->row[k], unit) && strcmp(label(&r->row[k], l), label(&r->row[i], l)) == 0)
			return false;
	return true;
}

static double median_of(const struct bench_report *r, const char *variant, const char *params, const char *unit)
{
	for (unsigned i = 0; i < r->n; i++)
		if (has_unit(&r->row[i], unit) && strcmp(r->row[i].variant, variant) == 0 && strcmp(r->row[i].params, params) == 0)
			return r->row[i].median;
	return NAN;
}

static void write_data(const struct bench_report *r, const char *unit, FILE *f)
{
	fprintf(f, "$d << EOD\nparams");
	for (unsigned i = 0; i < r->n; i++)
		if (is_first(r, i, VARIANT, unit))
			fprintf(f, "\t\"%s\"", r->row[i].variant);
	for (unsigned i = 0; i < r->n; i++) {
		if (!is_first(r, i, PARAMS, unit))
			continue;
		fprintf(f, "\n\"%s\"", r->row[i].params);
		for (unsigned k = 0; k < r->n; k++)
			if (is_first(r, k, VARIANT, unit)) {
				double d = median_of(r, r->row[k].variant, r->row[i].params, unit);

				isnan(d) ? fprintf(f, "\t?") : fprintf(f, "\t%.6g", d);
			}
	}
	fprintf(f, "\nEOD\n");
}

static void write_plot(const struct bench_report *r, const char *path, FILE *f)
{
	unsigned panels = 0;

	for (unsigned i = 0; i < r->n; i++)
		panels += is_first(r, i, UNIT, NULL);
	fprintf(f,
		"set terminal pngcairo size 1200,%u\nset output '%s'\nset multiplot layout %u,1 title '%s' noenhanced\n"
		"set style data histogram\nset style histogram clustered gap 1\nset style fill solid 0.8\n"
		"set key outside right noenhanced\nset grid y\nset xtics rotate by -25 noenhanced\nset logscale y\n"
		"set datafile missing '?'\n",
		60 + 480 * panels, path, panels, r->bench);
	for (unsigned i = 0; i < r->n; i++) {
		if (!is_first(r, i, UNIT, NULL))
			continue;
		write_data(r, r->row[i].unit, f);
		fprintf(f, "set ylabel '%s' noenhanced\nplot for [i=2:*] $d using i:xtic(1) title columnheader(i)\n", r->row[i].unit);
	}
}

static int plot(const struct bench_report *r)
{
	char path[4096];
	FILE *f;

	if (mkdir(r->o->plot, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, "bulkhead bench: can not make %s: %s\n", r->o->plot, strerror(errno));
		return 1;
	}
	snprintf(path, sizeof(path), "%s/%s.png", r->o->plot, r->bench);
	f = popen("gnuplot", "w");
	if (!f)
		return 1;
	write_plot(r, path, f);
	if (pclose(f)) {
		fprintf(stderr, "bulkhead bench: gnuplot failed (package gnuplot-nox): no picture\n");
		return 1;
	}
	return 0;
}

int bench_end(struct bench_report *r)
{
	int status = r->o->plot && r->n ? plot(r) : 0;

	free(r);
	return status;
}

/* ---- rounds */

struct rounds {
	double value[BENCH_ROUNDS_MAX], p99[BENCH_ROUNDS_MAX];
	bool skipped;
	char *baselines; /* cut into names, for the rows */
};

static bool wanted(const struct bench_variant *v, const struct bench_opts *o)
{
	return !o->only || strstr(v->name, o->only);
}

static int measure(const char *bench, const struct bench_variant *v, const struct bench_opts *o, struct rounds *m, unsigned round)
{
	char err[256] = "";
	struct bench_value out = {NAN, NAN};
	int rc;

	if (m->skipped)
		return 0;
	rc = v->run(v, o, &out, err, sizeof(err));
	m->value[round] = out.value;
	m->p99[round] = out.p99;
	if (rc == -ENOSYS) {
		m->skipped = true;
		fprintf(stderr, "bulkhead bench %s: %s is skipped: %s\n", bench, v->name, err);
		return 0;
	}
	if (rc)
		fprintf(stderr, "bulkhead bench %s: %s (%s) failed: %s\n", bench, v->name, v->params, err[0] ? err : strerror(-rc));
	return rc;
}

static const struct rounds *rounds_of(const struct bench_variant *v, size_t n, const struct rounds *m, const char *name,
				      const char *params)
{
	for (size_t k = 0; k < n; k++)
		if (strcmp(v[k].name, name) == 0 && strcmp(v[k].params, params) == 0)
			return &m[k];
	return NULL;
}

static void summarize(struct bench_report *r, const struct bench_variant *v, const struct rounds *m, const char *baseline,
		      const struct rounds *base, unsigned rounds)
{
	double ratio[BENCH_ROUNDS_MAX], value[BENCH_ROUNDS_MAX], p99[BENCH_ROUNDS_MAX];
	struct bench_row row = {.variant = v->name, .params = v->params, .unit = v->unit, .baseline = baseline, .rounds = rounds,
				.ratio = NAN};

	memcpy(value, m->value, sizeof(value));
	memcpy(p99, m->p99, sizeof(p99));
	for (unsigned i = 0; base && !base->skipped && i < rounds; i++)
		ratio[i] = m->value[i] / base->value[i];
	if (base && !base->skipped)
		row.ratio = bench_median(ratio, rounds);
	row.median = bench_median(value, rounds);
	row.low = value[0];
	row.high = value[rounds - 1];
	row.p99 = isnan(p99[0]) ? NAN : bench_median(p99, rounds);
	bench_row(r, &row);
}

/* A row for each of its baselines, or one. */
static void summarize_all(struct bench_report *r, const struct bench_variant *v, size_t n, size_t i, struct rounds *m, unsigned rounds)
{
	char *rest, *name;

	if (m[i].skipped)
		return;
	if (!v[i].baseline) {
		summarize(r, &v[i], &m[i], NULL, NULL, rounds);
		return;
	}
	m[i].baselines = rest = strdup(v[i].baseline);
	CHECK(rest);
	while ((name = strsep(&rest, "|")))
		summarize(r, &v[i], &m[i], name, rounds_of(v, n, m, name, v[i].params), rounds);
}

int bench_run(const char *bench, const char *title, const struct bench_variant *v, size_t n, unsigned rounds,
	      const struct bench_opts *o)
{
	struct rounds *m = calloc(n, sizeof(*m));
	struct bench_report *r = bench_begin(bench, title, o);
	int rc = 0;

	CHECK(m && rounds && rounds <= BENCH_ROUNDS_MAX);
	for (size_t i = 0; i < n; i++)
		m[i].skipped = !wanted(&v[i], o);
	for (unsigned round = 0; !rc && round < rounds; round++)
		for (size_t i = 0; !rc && i < n; i++) {
			size_t at = (i + round) % n;

			rc = measure(bench, &v[at], o, &m[at], round);
		}
	for (size_t i = 0; !rc && i < n; i++)
		summarize_all(r, v, n, i, m, rounds);
	if (bench_end(r))
		rc = 1;
	for (size_t i = 0; i < n; i++)
		free(m[i].baselines);
	free(m);
	return rc ? 1 : 0;
}
