/* engine_rig.h - what the engines' tests share: images in temporary folders, one request at a time, variants. */
#ifndef BULKHEAD_TESTS_CONFORM_ENGINE_RIG_H
#define BULKHEAD_TESTS_CONFORM_ENGINE_RIG_H

#include "backend/engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RIG_DEPTH 128
#define RIG_WAIT_MS 20000
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

enum rig_kind { RIG_NULL, RIG_MEM, RIG_FILE, RIG_LOOP };

struct rig_variant {
	const char *name;
	enum rig_kind kind;
	bool shm;	   /* below /dev/shm, else beside this program */
	unsigned sector;   /* RIG_LOOP */
	const char *opts;  /* ",key=value" or "" */
};

struct rig {
	char dir[256], image[300], err[512];
	int fd; /* RIG_MEM: the store, as the supervisor keeps it */
	struct engine *e;
	struct engine_queue *q;
};

static inline void rig_dir(char *dir, size_t size, bool shm)
{
	char exe[200] = "";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_true(n > 0);
	*strrchr(exe, '/') = '\0';
	snprintf(dir, size, "%s/engine-XXXXXX", shm ? "/dev/shm" : exe);
	assert_non_null(mkdtemp(dir));
}

static inline void rig_make_image(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static inline struct engine_open rig_request(const char *spec)
{
	return (struct engine_open){
		.spec = spec, .fd = -1, .fence_base = ENGINE_FENCE_BASE, .queues = 2, .depth = RIG_DEPTH};
}

/* The first finished request, waiting as a stub does. */
static inline struct engine_req *rig_wait(struct engine_queue *q)
{
	struct engine_reqs done = STAILQ_HEAD_INITIALIZER(done);
	struct pollfd p = {.fd = engine_event_fd(q), .events = POLLIN};

	while (!engine_reap(q, &done)) {
		if (engine_arm(q))
			continue;
		assert_true(p.fd >= 0);
		assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
	}
	assert_null(STAILQ_NEXT(STAILQ_FIRST(&done), link));
	return STAILQ_FIRST(&done);
}

static inline int rig_do_flags(struct engine_queue *q, enum engine_op op, unsigned flags, uint64_t off, void *buf,
			       uint64_t len)
{
	struct iovec iov = {buf, len};
	struct engine_req r = {.op = op, .flags = flags, .off = off, .len = len, .iov = &iov, .iovcnt = 1, .result = 77};

	engine_submit(q, &r);
	engine_kick(q);
	assert_ptr_equal(rig_wait(q), &r);
	assert_int_equal(q->outstanding, 0);
	return r.result;
}

static inline int rig_do(struct engine_queue *q, enum engine_op op, uint64_t off, void *buf, uint64_t len)
{
	return rig_do_flags(q, op, 0, off, buf, len);
}

static inline void *rig_buffer(size_t len)
{
	void *b = aligned_alloc(4096, (len + 4095) & ~(size_t)4095);

	assert_non_null(b);
	return b;
}

static inline bool rig_all(const void *buf, size_t len, unsigned char c)
{
	const unsigned char *b = buf;

	for (size_t i = 0; i < len; i++)
		if (b[i] != c)
			return false;
	return true;
}

static inline void rig_open_engine(struct engine_open *o, struct engine **e, struct engine_queue **q)
{
	char err[512];
	int rc = engine_open(o, e, err, sizeof(err));

	if (rc)
		fail_msg("%s: %d: %s", o->spec, rc, err);
	/* A former io_uring on the image lets it go a moment after its close. */
	for (int ms = 0; (rc = engine_own(*e, 1, true)) == -EAGAIN && ms < RIG_WAIT_MS; ms++)
		usleep(1000);
	assert_int_equal(rc, 0);
	assert_int_equal(engine_fence_poll(*e), 1);
	assert_int_equal(engine_queue_open(*e, 0, q), 0);
}

#endif
