/* A load by fio: started as a child, its report read as JSON. */
#include "tests/bench/bench_blk.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX (256u << 10)

/* Of the times from submitting to the answer, microseconds. */
static double percentile(const json_t *way, const char *p)
{
	const json_t *table = json_object_get(json_object_get(way, "lat_ns"), "percentile");
	const json_t *v = json_object_get(table, p);

	return v ? json_number_value(v) / 1e3 : NAN;
}

static int read_report(const char *text, bool write, struct bench_loaded *out)
{
	const char *begin = strchr(text, '{'); /* warnings stand before it */
	json_t *j = begin ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	const json_t *job = json_array_get(json_object_get(j, "jobs"), 0), *way = json_object_get(job, write ? "write" : "read");
	int rc = way ? 0 : -EIO;

	if (way) {
		out->iops = json_number_value(json_object_get(way, "iops"));
		out->p50 = percentile(way, "50.000000");
		out->p99 = percentile(way, "99.000000");
		out->p999 = percentile(way, "99.900000");
		out->seconds = json_number_value(json_object_get(way, "runtime")) / 1e3;
		out->front_cpu = out->seconds * (json_number_value(json_object_get(job, "usr_cpu")) +
						 json_number_value(json_object_get(job, "sys_cpu"))) / 100;
	}
	json_decref(j);
	return rc;
}

int bench_load_fio(const char *target, const struct bench_load *l, struct bench_loaded *out, char *err, size_t size)
{
	bool nbd = strncmp(target, "--uri=", 6) == 0;
	char depth[32], bs[32], jobs[32], runtime[40], space[40];
	const char *argv[] = {"fio", "--name=bench", nbd ? "--ioengine=nbd" : "--ioengine=io_uring", target, "--direct=1", depth, bs, jobs,
			      runtime, space, l->write ? "--rw=randwrite" : "--rw=randread", "--time_based", "--ramp_time=100ms",
			      "--thread", "--lat_percentiles=1", "--clat_percentiles=0", "--group_reporting", "--norandommap", "--output-format=json", NULL};
	char *text = malloc(REPORT_MAX);
	int rc;

	if (!text)
		return -ENOMEM;
	*out = (struct bench_loaded){0};
	snprintf(depth, sizeof(depth), "--iodepth=%u", l->depth);
	snprintf(bs, sizeof(bs), "--bs=%u", l->bs);
	snprintf(jobs, sizeof(jobs), "--numjobs=%u", l->queues);
	snprintf(runtime, sizeof(runtime), "--runtime=%.0fms", l->seconds * 1e3);
	snprintf(space, sizeof(space), "--size=%llu", BENCH_IMAGE_BYTES);
	rc = bench_run_program(argv, text, REPORT_MAX);
	if (rc == 0)
		rc = read_report(text, l->write, out);
	else if (rc == 127 || strstr(text, "engine nbd not loadable"))
		rc = -ENOSYS;
	else
		rc = -EIO;
	if (rc == -ENOSYS)
		snprintf(err, size, "fio, or its engine for NBD, is not installed");
	else if (rc)
		snprintf(err, size, "fio: %.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return rc;
}
