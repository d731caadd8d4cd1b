/* How soon one request at a time is answered, with and without polling, and what that costs; and that an idle disk costs nothing. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_blk.h"

#include "ring/base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS 1.0
#define IDLE_SECONDS 3.0
#define ROUNDS 3

enum figure { ANSWER, TAIL, STUB_CPU, FRONT_CPU, IDLE_CPU, IDLE_WAKEUPS, FIGURES };

static const struct {
	const char *params, *unit;
} figures[FIGURES] = {
	[ANSWER] = {"read 4k, depth 1: median", "us"},	[TAIL] = {"read 4k, depth 1: 99.9 %", "us"},
	[STUB_CPU] = {"stub's processor, a request", "us"}, [FRONT_CPU] = {"frontend's processor, a request", "us"},
	[IDLE_CPU] = {"idle stub's processor", "ms/s"},	[IDLE_WAKEUPS] = {"idle stub's wake-ups", "1/s"},
};

static struct subject {
	const char *name, *vdev, *target, *options, *base;
	double value[FIGURES], p99;
	bool fresh[FIGURES]; /* measured, not yet reported */
} subjects[] = {
	{.name = "null, sleeps", .vdev = "xvda", .target = "null:256M", .options = "poll-us=0"},
	{.name = "null, polls", .vdev = "xvdb", .target = "null:256M", .options = "", .base = "null, sleeps"},
	{.name = "mem, sleeps", .vdev = "xvdc", .target = "mem:256M", .options = "poll-us=0"},
	{.name = "mem, polls", .vdev = "xvdd", .target = "mem:256M", .options = "", .base = "mem, sleeps"},
	{.name = "file, sleeps", .vdev = "xvde", .options = "poll-us=0"},
	{.name = "file, polls", .vdev = "xvdf", .options = "", .base = "file, sleeps"},
};

struct cell {
	struct subject *subject;
	enum figure figure;
};

static struct bench_world world;

/* One load gives several figures; one idle time the others. */
static int measure_load(struct subject *s, double seconds, char *err, size_t size)
{
	const struct bench_load l = {.bs = 4096, .depth = 1, .queues = 1, .seconds = seconds};
	struct bench_loaded got;
	int rc = bench_load_front(&world, s->vdev, &l, &got, err, size);

	if (rc)
		return rc;
	s->value[ANSWER] = got.p50;
	s->p99 = got.p99;
	s->value[TAIL] = got.p999;
	s->value[STUB_CPU] = got.stub_cpu_us;
	s->value[FRONT_CPU] = got.front_cpu * 1e6 / (got.iops * got.seconds);
	for (enum figure f = ANSWER; f <= FRONT_CPU; f++)
		s->fresh[f] = true;
	return 0;
}

static int measure_idle(struct subject *s, char *err, size_t size)
{
	struct bench_idle got;
	int rc = bench_idle_stub(&world, s->vdev, IDLE_SECONDS, &got, err, size);

	if (rc)
		return rc;
	s->value[IDLE_CPU] = got.cpu_ms;
	s->value[IDLE_WAKEUPS] = got.wakeups;
	s->fresh[IDLE_CPU] = s->fresh[IDLE_WAKEUPS] = true;
	return 0;
}

static int run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	const struct cell *c = v->arg;
	struct subject *s = c->subject;
	int rc = 0;

	if (!s->fresh[c->figure])
		rc = c->figure < IDLE_CPU ? measure_load(s, o->seconds > 0 ? o->seconds : SECONDS, err, size) : measure_idle(s, err, size);
	s->fresh[c->figure] = false;
	*out = (struct bench_value){s->value[c->figure], c->figure == ANSWER ? s->p99 : NAN};
	return rc;
}

static int prepare(char *err, size_t size)
{
	char image[300], name[32];
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(subjects); i++) {
		const struct subject *s = &subjects[i];

		snprintf(name, sizeof(name), "%s.img", s->vdev);
		if (!s->target)
			rc = bench_world_image(&world, name, BENCH_IMAGE_BYTES, image, sizeof(image), err, size);
		if (!rc)
			rc = bench_world_attach(&world, s->vdev, s->target ? s->target : image, s->options, err, size);
	}
	return rc;
}

int bench_latency(int argc, char **argv, const struct bench_opts *o)
{
	struct bench_variant v[ARRAY_LEN(subjects) * FIGURES];
	struct cell cell[ARRAY_LEN(v)];
	char err[300] = "";
	int rc;

	if (argc > 1) {
		fprintf(stderr, "bulkhead bench latency: \"%s\" is not understood\n", argv[1]);
		return 100;
	}
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		enum figure f = (enum figure)(i % FIGURES);
		struct subject *s = &subjects[i / FIGURES];

		cell[i] = (struct cell){s, f};
		v[i] = (struct bench_variant){.name = s->name, .params = figures[f].params, .unit = figures[f].unit, .run = run, .arg = &cell[i],
					      .baseline = f < IDLE_CPU ? s->base : NULL};
	}
	rc = bench_world_start(&world, o, err, sizeof(err));
	if (!rc) {
		rc = prepare(err, sizeof(err));
		if (!rc)
			rc = bench_run("latency", "one request at a time, the worker sleeps at once or polls (the default)", v, ARRAY_LEN(v),
				       o->rounds ? o->rounds : ROUNDS, o);
		bench_world_stop(&world);
	}
	if (err[0])
		fprintf(stderr, "bulkhead bench latency: %s\n", err);
	return rc ? 1 : 0;
}
