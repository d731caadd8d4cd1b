/* One contract for every engine and method, on tmpfs, on the disk of the build folder and, as root, on loop devices. */
#include "tests/conform/engine_rig.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <time.h>

#define REGION KIB(64)
#define OPS 3000
#define MAX_SPLITS 16

static const struct rig_variant variants[] = {
	{"null", RIG_NULL, false, 0, ""},
	{"mem", RIG_MEM, true, 0, ""},
	{"mem, delay", RIG_MEM, true, 0, ",delay=1"},
	{"file, uring, disk", RIG_FILE, false, 0, ",aio=uring"},
	{"file, uring, tmpfs", RIG_FILE, true, 0, ",aio=uring"},
	{"file, uring without SQPOLL, disk", RIG_FILE, false, 0, ",sqpoll=off"},
	{"file, uring, buffered, disk", RIG_FILE, false, 0, ",direct=off"},
	{"file, uring, delay, disk", RIG_FILE, false, 0, ",delay=2,fault-error=9999999"},
	{"file, threads, disk", RIG_FILE, false, 0, ",aio=threads"},
	{"file, threads, tmpfs", RIG_FILE, true, 0, ",aio=threads"},
	{"file, threads, buffered, disk", RIG_FILE, false, 0, ",aio=threads,direct=off"},
	{"loop 512, uring", RIG_LOOP, false, 512, ""},
	{"loop 4096, uring", RIG_LOOP, false, 4096, ""},
	{"loop 4096, threads", RIG_LOOP, false, 4096, ",aio=threads"},
	{"loop 4096, uring, buffered", RIG_LOOP, false, 4096, ",direct=off"},
};
static const struct rig_variant *variant;
static unsigned seed;

static char loop_path[32];

/* A loop device over image, or skips. It takes itself away when its last user has closed it. */
static void open_loop(const char *image, unsigned sector, int *keep)
{
	for (int tries = 0; tries < 20; tries++) {
		struct loop_config c = {.block_size = sector, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
		int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
		int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
		int backing = open(image, O_RDWR | O_CLOEXEC);

		if (control >= 0)
			close(control);
		snprintf(loop_path, sizeof(loop_path), "/dev/loop%d", n);
		*keep = n < 0 ? -1 : open(loop_path, O_RDWR | O_CLOEXEC);
		if (*keep < 0) {
			close(backing);
			print_message("skipped: no loop device can be made here: %s\n", strerror(errno));
			skip();
		}
		c.fd = (unsigned)backing;
		n = ioctl(*keep, LOOP_CONFIGURE, &c);
		close(backing);
		if (n == 0)
			return;
		close(*keep); /* another was faster */
	}
	fail_msg("no loop device: %s", strerror(errno));
}

/* Storage of size bytes, and how to ask for it. */
static void make_storage(struct rig *r, uint64_t size, char *spec, size_t spec_size)
{
	r->fd = -1;
	rig_dir(r->dir, sizeof(r->dir), variant->shm);
	snprintf(r->image, sizeof(r->image), "%s/image", r->dir);
	if (variant->kind != RIG_NULL)
		rig_make_image(r->image, size);
	if (variant->kind == RIG_NULL || variant->kind == RIG_MEM) {
		snprintf(spec, spec_size, "%s:%llu%s", variant->kind == RIG_NULL ? "null" : "mem",
			 (unsigned long long)size, variant->opts);
	} else if (variant->kind == RIG_FILE) {
		snprintf(spec, spec_size, "%s%s", r->image, variant->opts);
	} else {
		open_loop(r->image, variant->sector, &r->fd);
		snprintf(spec, spec_size, "file:%s%s", loop_path, variant->opts);
	}
	if (variant->kind == RIG_MEM)
		r->fd = open(r->image, O_RDWR | O_CLOEXEC);
}

static void drop_storage(struct rig *r)
{
	if (r->fd >= 0)
		close(r->fd);
	unlink(r->image);
	assert_int_equal(rmdir(r->dir), 0);
}

static void open_rig(struct rig *r, uint64_t size, bool read_only)
{
	char spec[512];
	struct engine_open o;

	make_storage(r, size, spec, sizeof(spec));
	o = rig_request(spec);
	o.read_only = read_only;
	if (variant->kind == RIG_MEM)
		o.fd = dup(r->fd);
	rig_open_engine(&o, &r->e, &r->q);
	assert_int_equal(r->e->info.sectors, size / 512);
}

static void close_rig(struct rig *r)
{
	engine_queue_close(r->q);
	engine_close(r->e);
	drop_storage(r);
}

/* ---- random work of depth 128: each slot has a region of the disk of its own and a shadow of it */

struct slot {
	struct engine_req r;
	struct iovec iov[MAX_SPLITS], kept[MAX_SPLITS];
	unsigned char *shadow, *buf;
	uint64_t base;
	unsigned iovcnt, index;
};

static void split(struct slot *s, uint64_t len, unsigned sector)
{
	uint64_t at = 0;

	s->iovcnt = 0;
	while (at < len) {
		uint64_t left = (len - at) / sector, n = s->iovcnt == MAX_SPLITS - 1 ? left : 1 + (uint64_t)rand() % left;

		s->iov[s->iovcnt++] = (struct iovec){s->buf + at, n * sector};
		at += n * sector;
	}
	memcpy(s->kept, s->iov, sizeof(s->iov));
}

static void start(struct rig *g, struct slot *s)
{
	unsigned sector = g->e->info.sector_size, sectors = (unsigned)(REGION / sector);
	unsigned first = (unsigned)rand() % sectors, count = 1 + (unsigned)rand() % (sectors - first), dice = rand() % 100;
	enum engine_op op = dice < 45 ? ENGINE_WRITE : dice < 90 ? ENGINE_READ : dice < 95 ? ENGINE_FLUSH : ENGINE_DISCARD;

	if (op == ENGINE_DISCARD && !g->e->info.discard)
		op = ENGINE_READ;
	s->r = (struct engine_req){.op = op, .result = 77, .cookie = s->index};
	if (op != ENGINE_FLUSH) {
		s->r.off = s->base + first * sector;
		s->r.len = (uint64_t)count * sector;
	}
	if (op == ENGINE_READ || op == ENGINE_WRITE) {
		split(s, s->r.len, sector);
		s->r.iov = s->iov;
		s->r.iovcnt = (int)s->iovcnt;
		for (uint64_t i = 0; i < s->r.len; i++)
			s->buf[i] = op == ENGINE_READ ? 0xee : (unsigned char)rand();
	}
	engine_submit(g->q, &s->r);
}

static void finish(struct slot *s)
{
	unsigned char *shadow = s->shadow + (s->r.off - s->base);

	assert_int_equal(s->r.result, 0);
	assert_int_equal(s->r.cookie, s->index);
	if (s->r.op == ENGINE_WRITE && variant->kind != RIG_NULL)
		memcpy(shadow, s->buf, s->r.len);
	else if (s->r.op == ENGINE_DISCARD)
		memset(shadow, 0, s->r.len); /* promised by a punched hole, and by a loop device */
	else if (s->r.op == ENGINE_READ)
		assert_memory_equal(s->buf, shadow, s->r.len);
}

static void test_random_depth_128(void **state)
{
	static struct slot slots[RIG_DEPTH];
	unsigned started = 0, finished = 0;
	struct rig g;

	(void)state;
	open_rig(&g, RIG_DEPTH * REGION, false);
	srand(seed);
	for (; started < RIG_DEPTH; started++) {
		struct slot *s = &slots[started];

		*s = (struct slot){.base = started * REGION, .index = started};
		s->shadow = calloc(1, REGION);
		s->buf = rig_buffer(REGION);
		start(&g, s);
	}
	engine_kick(g.q);
	while (finished < OPS) {
		struct engine_reqs done = STAILQ_HEAD_INITIALIZER(done);
		struct pollfd p = {.fd = engine_event_fd(g.q), .events = POLLIN};
		struct engine_req *r;

		if (!engine_reap(g.q, &done)) {
			if (!engine_arm(g.q))
				assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
			continue;
		}
		while ((r = STAILQ_FIRST(&done))) {
			struct slot *s = &slots[r->cookie];

			STAILQ_REMOVE_HEAD(&done, link);
			finish(s);
			finished++;
			if (started < OPS) {
				start(&g, s);
				started++;
			}
		}
		engine_kick(g.q);
	}
	assert_int_equal(g.q->outstanding, 0);
	for (unsigned i = 0; i < RIG_DEPTH; i++) {
		free(slots[i].shadow);
		free(slots[i].buf);
	}
	close_rig(&g);
}

static void test_bounds(void **state)
{
	struct rig g;
	char *buf = rig_buffer(8192);
	uint64_t end = MIB(1), sector;

	(void)state;
	open_rig(&g, end, false);
	sector = g.e->info.sector_size;
	memset(buf, 1, 8192);
	assert_int_equal(rig_do(g.q, ENGINE_WRITE, end - sector, buf, sector), 0);
	assert_int_equal(rig_do(g.q, ENGINE_WRITE, end, buf, sector), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_READ, end - sector, buf, 2 * sector), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_READ, (uint64_t)0 - sector, buf, sector), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_READ, (uint64_t)1 << 63, buf, sector), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_READ, 0, buf, 0), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_READ, 256, buf, sector), -EINVAL);
	assert_int_equal(rig_do(g.q, ENGINE_WRITE, 0, buf, sector / 2), -EINVAL);
	if (g.e->info.buffer_align > 1)
		assert_int_equal(rig_do(g.q, ENGINE_WRITE, 0, buf + 1, sector), -EINVAL);
	if (g.e->info.discard)
		assert_int_equal(rig_do(g.q, ENGINE_DISCARD, end - sector, NULL, 2 * sector), -EINVAL);
	if (!g.e->info.secure_discard)
		assert_int_equal(rig_do_flags(g.q, ENGINE_DISCARD, ENGINE_SECURE, 0, NULL, sector), -EOPNOTSUPP);
	close_rig(&g);
	free(buf);
}

static void test_read_only(void **state)
{
	struct rig g;
	char *buf = rig_buffer(4096);

	(void)state;
	open_rig(&g, MIB(1), true);
	assert_true(g.e->info.read_only);
	assert_int_equal(g.e->info.fence, ENGINE_FENCE_NONE);
	assert_int_equal(rig_do(g.q, ENGINE_READ, 0, buf, 4096), 0);
	assert_true(rig_all(buf, 4096, 0));
	assert_int_equal(rig_do(g.q, ENGINE_WRITE, 0, buf, 4096), -EROFS);
	assert_int_equal(rig_do(g.q, ENGINE_DISCARD, 0, NULL, 4096), -EROFS);
	assert_int_equal(rig_do(g.q, ENGINE_FLUSH, 0, NULL, 0), 0);
	close_rig(&g);
	free(buf);
}

static void test_beyond_4_gib(void **state)
{
	static const uint64_t at[] = {MIB(8), GIB(4) + MIB(8), GIB(5) + MIB(8), GIB(6) - 4096};
	struct rig g;
	unsigned char *buf = rig_buffer(4096);

	(void)state;
	open_rig(&g, GIB(6), false);
	for (unsigned i = 0; i < 4; i++) {
		memset(buf, 0x40 + (int)i, 4096);
		assert_int_equal(rig_do(g.q, ENGINE_WRITE, at[i], buf, 4096), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		memset(buf, 0xee, 4096);
		assert_int_equal(rig_do(g.q, ENGINE_READ, at[i], buf, 4096), 0);
		assert_true(rig_all(buf, 4096, variant->kind == RIG_NULL ? 0 : (unsigned char)(0x40 + i)));
	}
	close_rig(&g);
	free(buf);
}

/* Two queues of one device see each other's writes; both may be busy at once. */
static void test_two_queues(void **state)
{
	struct rig g;
	struct engine_queue *second;
	unsigned char *buf = rig_buffer(8192);

	(void)state;
	open_rig(&g, MIB(1), false);
	assert_int_equal(engine_queue_open(g.e, 1, &second), 0);
	memset(buf, 0x5a, 4096);
	assert_int_equal(rig_do(g.q, ENGINE_WRITE, 8192, buf, 4096), 0);
	assert_int_equal(rig_do(second, ENGINE_READ, 8192, buf + 4096, 4096), 0);
	assert_true(rig_all(buf + 4096, 4096, variant->kind == RIG_NULL ? 0 : 0x5a));
	engine_queue_close(second);
	assert_int_equal(engine_queue_open(g.e, 1, &second), 0); /* and again */
	assert_int_equal(rig_do(second, ENGINE_READ, 8192, buf, 4096), 0);
	engine_queue_close(second);
	close_rig(&g);
	free(buf);
}

/* Closing waits for what is outstanding: after it nobody writes into the buffers, and the writes are there. */
static void test_close_waits(void **state)
{
	enum { N = 32 };
	static struct engine_req r[N];
	static struct iovec iov[N];
	struct rig g;
	unsigned char *buf = rig_buffer(N * 4096);

	(void)state;
	open_rig(&g, MIB(1), false);
	memset(buf, 0x77, N * 4096);
	for (unsigned i = 0; i < N; i++) {
		iov[i] = (struct iovec){buf + i * 4096, 4096};
		r[i] = (struct engine_req){
			.op = ENGINE_WRITE, .off = i * 4096, .len = 4096, .iov = &iov[i], .iovcnt = 1};
		engine_submit(g.q, &r[i]);
	}
	engine_queue_close(g.q);
	assert_int_equal(engine_queue_open(g.e, 0, &g.q), 0);
	memset(buf, 0, N * 4096);
	assert_int_equal(rig_do(g.q, ENGINE_READ, 0, buf, N * 4096), 0);
	assert_true(rig_all(buf, N * 4096, variant->kind == RIG_NULL ? 0 : 0x77));
	close_rig(&g);
	free(buf);
}

static void test_resize(void **state)
{
	struct rig g;
	char *buf = rig_buffer(4096);

	(void)state;
	open_rig(&g, MIB(1), false);
	assert_int_equal(engine_resize(g.e), 0);
	if (variant->kind == RIG_FILE || variant->kind == RIG_MEM) {
		assert_int_equal(truncate(g.image, (off_t)MIB(2)), 0);
		assert_int_equal(rig_do(g.q, ENGINE_READ, MIB(1), buf, 4096), -EINVAL);
		assert_int_equal(engine_resize(g.e), 1);
		assert_int_equal(g.e->info.sectors, MIB(2) / 512);
		assert_int_equal(rig_do(g.q, ENGINE_READ, MIB(1), buf, 4096), 0);
		/* Shorter than it says: an error, never success with a part. */
		assert_int_equal(truncate(g.image, (off_t)MIB(1) + 4096), 0);
		assert_int_equal(rig_do(g.q, ENGINE_READ, MIB(1) + 4096, buf, 4096), -EIO);
		free(buf);
		buf = rig_buffer(8192);
		assert_int_equal(rig_do(g.q, ENGINE_READ, MIB(1), buf, 8192), -EIO);
	}
	close_rig(&g);
	free(buf);
}

/* What was reaped is not announced any more: who is armed, with nothing outstanding, can sleep. */
static void test_idle_is_quiet(void **state)
{
	char *buf = rig_buffer(4096);
	struct iovec iov = {buf, 4096};
	struct engine_req r = {.op = ENGINE_READ, .len = 4096, .iov = &iov, .iovcnt = 1};
	struct pollfd p;
	struct rig g;

	(void)state;
	open_rig(&g, MIB(1), false);
	p = (struct pollfd){.fd = engine_event_fd(g.q), .events = POLLIN};
	engine_submit(g.q, &r);
	engine_kick(g.q);
	if (!engine_arm(g.q) && p.fd >= 0)
		assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
	assert_ptr_equal(rig_wait(g.q), &r);
	assert_int_equal(engine_arm(g.q), 0);
	if (p.fd >= 0)
		assert_int_equal(poll(&p, 1, 0), 0);
	close_rig(&g);
	free(buf);
}

static int run_variant(const struct rig_variant *v)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_depth_128), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_read_only),	 cmocka_unit_test(test_beyond_4_gib),
		cmocka_unit_test(test_two_queues),	 cmocka_unit_test(test_close_waits),
		cmocka_unit_test(test_resize),		 cmocka_unit_test(test_idle_is_quiet),
	};

	variant = v;
	return cmocka_run_group_tests_name(v->name, tests, NULL, NULL);
}

int main(void)
{
	const char *s = getenv("SEED");
	int failed = 0;

	seed = s ? (unsigned)strtoul(s, NULL, 10) : (unsigned)time(NULL);
	print_message("SEED=%u\n", seed);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		failed += run_variant(&variants[i]);
	return failed ? 1 : 0;
}
