/* Whole disks: a real stub in a real local world, by our frontend and over NBD, beside other ways to the same storage. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_blk.h"

#include "ring/base/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 0.5
#define ROUNDS 3
#define SPIN_US 50 /* our frontend, where there is no storage to wait for: both ends poll */
#define VARIANTS_MAX 400
#define NBD_THREADS "128" /* at most so many requests at once: the deepest load */

enum way { WAY_FRONT, WAY_FIO, WAY_NBD };

/* A thing that is measured. */
struct subject {
	const char *name;
	enum way way;
	const char *arg;  /* FRONT: the vdev. NBD: the server, see start_server() */
	bool file;	  /* its storage is the image */
	const char *base;
	bool deep;	  /* also measured beyond the four common settings, without --full */
};

static const struct subject subjects[] = {
	{"null", WAY_FRONT, "xvda", false, "null, nbdkit", true},
	{"mem", WAY_FRONT, "xvdb", false, "null, nbdkit", true},
	{"null, nbdkit", WAY_NBD, "nbdkit-null", false, NULL, true},
	{"file", WAY_FRONT, "xvdc", true, "fio io_uring", true},
	{"fio io_uring", WAY_FIO, NULL, true, NULL, true},
	{"file over NBD", WAY_NBD, "bulkhead", true, "fio io_uring", false},
	{"nbdkit file", WAY_NBD, "nbdkit-file", true, "fio io_uring", false},
	{"qemu-storage-daemon", WAY_NBD, "qemu", true, "fio io_uring", false},
};

struct setting {
	bool write;
	uint32_t bs;
	unsigned depth, queues;
};

/* The first four with every subject. */
static const struct setting common[] = {
	{false, 4096, 1, 1},  {true, 4096, 1, 1},   {false, 4096, 32, 1},  {true, 4096, 32, 1},
	{false, 512, 32, 1}, {false, 4096, 128, 1}, {true, 131072, 32, 1}, {false, 4096, 32, 2},
};
#define FOR_ALL 4

struct cell {
	const struct subject *subject;
	struct bench_load load;
	char params[48];
};

static struct bench_world world;
static char image[300];

/* ---- servers of NBD */

static int start_server(const char *which, const char *sock, pid_t *pid)
{
	char node[400], export[400], dir[340];
	const char *const qemu[] = {"qemu-storage-daemon", "--blockdev", node, "--nbd-server", dir, "--export", export, NULL};
	const char *const null[] = {"nbdkit", "-f", "-U", sock, "-t", NBD_THREADS, "null", "size=256M", NULL};
	const char *const file[] = {"nbdkit", "-f", "-U", sock, "-t", NBD_THREADS, "file", image, NULL};
	const char *const ours[] = {"nbdkit", "-f", "-U", sock, "-t", NBD_THREADS, world.plugin, "vm=" BENCH_DOMAIN, "vdev=xvdc", dir, NULL};

	if (strcmp(which, "qemu") == 0) {
		/* Beside our reservation of the image. */
		snprintf(node, sizeof(node), "driver=file,node-name=f,filename=%s,locking=off,cache.direct=on,aio=io_uring", image);
		snprintf(dir, sizeof(dir), "addr.type=unix,addr.path=%s", sock);
		snprintf(export, sizeof(export), "type=nbd,id=e,node-name=f,name=,writable=on");
		return bench_start_program(qemu, pid);
	}
	snprintf(dir, sizeof(dir), "runtime-dir=%s", world.runtime);
	return bench_start_program(strcmp(which, "bulkhead") == 0 ? ours : strcmp(which, "nbdkit-null") == 0 ? null : file, pid);
}

static int over_nbd(const char *server, const struct bench_load *l, struct bench_loaded *out, char *err, size_t size)
{
	char sock[300], uri[340];
	pid_t pid;
	int rc;

	snprintf(sock, sizeof(sock), "%s/nbd.sock", world.folder);
	snprintf(uri, sizeof(uri), "--uri=nbd+unix:///?socket=%s", sock);
	rc = start_server(server, sock, &pid);
	if (rc)
		return rc;
	rc = bench_wait_socket(sock, pid);
	if (rc == -ECHILD) {
		snprintf(err, size, "no server of NBD here (nbdkit; qemu-system-common)");
		return -ENOSYS;
	}
	if (!rc)
		rc = bench_load_fio(uri, l, out, err, size);
	bench_stop_program(pid);
	unlink(sock);
	return rc;
}

/* ---- one measurement */

static int run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	const struct cell *c = v->arg;
	const struct subject *s = c->subject;
	struct bench_load l = c->load;
	struct bench_loaded got;
	char target[400];
	int rc;

	l.spin_us = s->file ? 0 : SPIN_US;
	l.seconds = o->seconds > 0 ? o->seconds : SECONDS;
	snprintf(target, sizeof(target), "--filename=%s", image);
	if (s->way == WAY_FRONT)
		rc = bench_load_front(&world, s->arg, &l, &got, err, size);
	else if (s->way == WAY_FIO)
		rc = bench_load_fio(target, &l, &got, err, size);
	else
		rc = over_nbd(s->arg, &l, &got, err, size);
	if (rc)
		return rc;
	*out = l.depth == 1 ? (struct bench_value){got.p50, got.p99} : (struct bench_value){got.iops / 1e3, NAN};
	return 0;
}

/* ---- which */

static void size_text(char *text, size_t n, uint32_t bytes)
{
	snprintf(text, n, bytes % 1024 ? "%uB" : "%uk", bytes % 1024 ? bytes : bytes / 1024);
}

static size_t add(struct bench_variant *v, size_t n, const struct subject *s, const struct setting *t)
{
	struct cell *c = calloc(1, sizeof(*c));
	char bs[16];

	CHECK(c && n < VARIANTS_MAX);
	size_text(bs, sizeof(bs), t->bs);
	c->subject = s;
	c->load = (struct bench_load){.write = t->write, .bs = t->bs, .depth = t->depth, .queues = t->queues};
	snprintf(c->params, sizeof(c->params), "%s bs=%s depth=%u queues=%u", t->write ? "write" : "read", bs, t->depth, t->queues);
	v[n] = (struct bench_variant){.name = s->name, .params = c->params, .unit = t->depth == 1 ? "us" : "k IOPS", .run = run, .arg = c,
				      .baseline = s->base};
	return n + 1;
}

static size_t choose(struct bench_variant *v, bool full)
{
	static const uint32_t sizes[] = {512, 4096, 131072};
	static const unsigned depths[] = {1, 32, 128};
	size_t n = 0;

	for (size_t i = 0; !full && i < ARRAY_LEN(common); i++)
		for (size_t k = 0; k < ARRAY_LEN(subjects); k++)
			if (i < FOR_ALL || subjects[k].deep)
				n = add(v, n, &subjects[k], &common[i]);
	for (unsigned i = 0; full && i < 2u * 3 * 3 * 2; i++)
		for (size_t k = 0; k < ARRAY_LEN(subjects); k++) {
			struct setting t = {i % 2 != 0, sizes[i / 2 % 3], depths[i / 6 % 3], i / 18 + 1};

			n = add(v, n, &subjects[k], &t);
		}
	return n;
}

static int prepare(char *err, size_t size)
{
	int rc = bench_world_image(&world, "disk.img", BENCH_IMAGE_BYTES, image, sizeof(image), err, size);

	if (!rc)
		rc = bench_world_attach(&world, "xvda", "null:256M", "", err, size);
	if (!rc)
		rc = bench_world_attach(&world, "xvdb", "mem:256M", "", err, size);
	if (!rc)
		rc = bench_world_attach(&world, "xvdc", image, "", err, size);
	return rc;
}

int bench_blk(int argc, char **argv, const struct bench_opts *o)
{
	struct bench_variant *v = calloc(VARIANTS_MAX, sizeof(*v));
	char err[300] = "";
	size_t n;
	int rc;

	CHECK(v);
	if (argc > 1) {
		fprintf(stderr, "bulkhead bench blk: \"%s\" is not understood\n", argv[1]);
		return 100;
	}
	n = choose(v, o->full);
	rc = bench_world_start(&world, o, err, sizeof(err));
	if (rc) {
		fprintf(stderr, "bulkhead bench blk: %s\n", err);
		return 1;
	}
	rc = prepare(err, sizeof(err));
	if (rc)
		fprintf(stderr, "bulkhead bench blk: %s\n", err);
	else
		rc = bench_run("blk", "a disk of 256 MiB, random; depth 1: answer time (median, p99), else requests a second", v, n,
			       o->rounds ? o->rounds : ROUNDS, o);
	bench_world_stop(&world);
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)v[i].arg);
	free(v);
	return rc ? 1 : 0;
}
