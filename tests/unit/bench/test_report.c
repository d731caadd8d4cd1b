/* tests/bench/report.h: what stands in a line. */
#include "tests/bench/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void nearest_rank(void **state)
{
	double one[] = {7}, five[] = {50, 15, 40, 20, 35}, hundred[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		hundred[i] = 100 - i;
	assert_true(bench_percentile(one, 1, 0) == 7 && bench_percentile(one, 1, 99.9) == 7 && bench_percentile(one, 1, 100) == 7);
	assert_true(bench_percentile(five, 5, 5) == 15);
	assert_true(bench_percentile(five, 5, 30) == 20);
	assert_true(bench_percentile(five, 5, 40) == 20);
	assert_true(bench_percentile(five, 5, 50) == 35);
	assert_true(bench_percentile(five, 5, 100) == 50);
	assert_true(bench_percentile(hundred, 100, 99) == 99);
	assert_true(bench_percentile(hundred, 100, 99.9) == 100);
	assert_true(isnan(bench_percentile(NULL, 0, 50)));
}

static void medians(void **state)
{
	double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2}, one[] = {2.5};

	(void)state;
	assert_true(bench_median(odd, 3) == 5);
	assert_true(bench_median(even, 4) == 2.5);
	assert_true(even[0] == 1 && even[3] == 4);
	assert_true(bench_median(one, 1) == 2.5);
	assert_true(isnan(bench_median(NULL, 0)));
}

/* The base of each round is one of these; its rival is half of it at first and then less: what is divided must be of one round. */
static const double speed[] = {100, 10, 1000}, share[] = {0.5, 0.4, 0.3};
static unsigned calls[2];

static int base_run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	unsigned rival = v->arg != NULL, round = calls[rival]++;

	(void)o, (void)err, (void)size;
	out->value = speed[round] * (rival ? share[round] : 1);
	if (rival)
		out->p99 = 1 + round;
	return 0;
}

static int not_here(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	(void)v, (void)o, (void)out;
	snprintf(err, size, "for a test");
	return -ENOSYS;
}

static int broken(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	(void)v, (void)o, (void)out, (void)err, (void)size;
	return -EIO;
}

/* Runs a bench of n variants and takes what it prints: an array of its lines. */
static json_t *lines_of(const struct bench_variant *v, size_t n, const char *only, int *status)
{
	const struct bench_opts o = {.json = true, .only = only};
	char name[] = "/tmp/bh-report-XXXXXX", line[1024];
	int fd = mkstemp(name), out = dup(1);
	json_t *lines = json_array();
	FILE *f;

	calls[0] = calls[1] = 0;
	assert_true(fd >= 0 && out >= 0);
	fflush(stdout);
	dup2(fd, 1);
	*status = bench_run("test", "a test", v, n, 3, &o);
	fflush(stdout);
	dup2(out, 1);
	close(out);
	unlink(name);
	lseek(fd, 0, SEEK_SET);
	f = fdopen(fd, "r");
	while (fgets(line, sizeof(line), f))
		assert_int_equal(json_array_append_new(lines, json_loads(line, 0, NULL)), 0);
	fclose(f);
	return lines;
}

static double real(const json_t *lines, size_t i, const char *key)
{
	const json_t *v = json_object_get(json_array_get(lines, i), key);

	assert_non_null(v);
	return json_is_null(v) ? NAN : json_real_value(v);
}

static const struct bench_variant two[] = {{"base", "p", "us", base_run, NULL, NULL}, {"rival", "p", "us", base_run, "", "base"},
					   {"absent", "p", "us", not_here, NULL, "base"}};

static void ratios_within_rounds(void **state)
{
	int status;
	json_t *l = lines_of(two, 3, NULL, &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_int_equal(json_array_size(l), 2); /* what is not possible here has no line */
	assert_string_equal(json_string_value(json_object_get(json_array_get(l, 1), "baseline")), "base");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(l, 1), "rounds")), 3);
	assert_true(real(l, 0, "median") == 100 && real(l, 0, "low") == 10 && real(l, 0, "high") == 1000);
	assert_true(isnan(real(l, 0, "p99")) && isnan(real(l, 0, "ratio")));
	assert_true(real(l, 1, "median") == 50 && real(l, 1, "p99") == 2);
	assert_true(fabs(real(l, 1, "ratio") - 0.4) < 1e-9);
	json_decref(l);
}

static void a_row_for_each_base(void **state)
{
	const struct bench_variant v[] = {two[0], {"same", "p", "us", base_run, "", "base|same"}};
	int status;
	json_t *l = lines_of(v, 2, NULL, &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_int_equal(json_array_size(l), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(l, 1), "baseline")), "base");
	assert_string_equal(json_string_value(json_object_get(json_array_get(l, 2), "baseline")), "same");
	assert_true(real(l, 1, "median") == 50 && real(l, 2, "median") == 50);
	assert_true(fabs(real(l, 1, "ratio") - 0.4) < 1e-9 && real(l, 2, "ratio") == 1);
	json_decref(l);
}

static void no_ratio_without_its_base(void **state)
{
	int status;
	json_t *l = lines_of(two, 2, "rival", &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_int_equal(json_array_size(l), 1);
	assert_true(isnan(real(l, 0, "ratio")));
	json_decref(l);
}

static void a_failure_ends_it(void **state)
{
	const struct bench_variant v[] = {two[0], {"broken", "p", "us", broken, NULL, NULL}};
	int status;
	json_t *l = lines_of(v, 2, NULL, &status);

	(void)state;
	assert_int_equal(status, 1);
	assert_int_equal(json_array_size(l), 0);
	json_decref(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_rank),
		cmocka_unit_test(medians),
		cmocka_unit_test(ratios_within_rounds),
		cmocka_unit_test(a_row_for_each_base),
		cmocka_unit_test(no_ratio_without_its_base),
		cmocka_unit_test(a_failure_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
