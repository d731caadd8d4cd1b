/* engine_mem.c - "mem:SIZE": a tmpfs file of the supervisor's side, read and written by pread and pwrite.
 *
 * Never mapped: pages of a mapping would lengthen the stub's death, and a stub may shrink the file under a mapping.
 * All I/O is synchronous, so it ends before the process; the fence is kept all the same, for one rule for all.
 * Without a descriptor the content lives in a memfd of the engine's own and ends with it: for tests.
 */
#include "backend/engine/engine_priv.h"
#include "backend/engine/ofd_fence.h"
#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mem {
	struct engine e;
	struct ofd_fence fence;
	int fd;
};

static struct mem *to_mem(struct engine *e) { return CONTAINER_OF(e, struct mem, e); }

/* An empty file is given the length that the argument says; one that is not may have been resized since it was made. */
static int set_length(const struct mem *m, uint64_t *bytes, bool read_only, struct engine_error *err)
{
	struct stat st;

	if (fstat(m->fd, &st))
		return engine_fail(err, -errno, "mem: %s", err_str(errno));
	if (!S_ISREG(st.st_mode))
		return engine_fail(err, -EINVAL, "mem: its store is not a regular file: pass a file on tmpfs");
	if (st.st_size == 0 && !read_only)
		return ftruncate(m->fd, (off_t)*bytes) ? engine_fail(err, -errno, "mem: %llu bytes: %s", (unsigned long long)*bytes,
								     err_str(errno))
						       : 0;
	*bytes = (uint64_t)st.st_size;
	if (*bytes < 512)
		return engine_fail(err, -EINVAL, "mem: its store has %llu bytes, less than a sector", (unsigned long long)*bytes);
	return 0;
}

static int open_store(struct mem *m, const struct engine_open *o, uint64_t *bytes, struct engine_error *err)
{
	int rc;

	if (o->fd >= 0) {
		m->fd = engine_reopen(o, o->fd, o->read_only ? O_RDONLY : O_RDWR, err, "mem");
		if (m->fd < 0)
			return m->fd;
		rc = set_length(m, bytes, o->read_only, err);
	} else if (o->want_dev || o->want_ino) {
		return engine_fail(err, -ESTALE, "mem: its store is gone, and what was in it");
	} else {
		m->fd = memfd_create("bulkhead-mem", MFD_CLOEXEC);
		if (m->fd < 0)
			return engine_fail(err, -errno, "mem: %s", err_str(errno));
		rc = set_length(m, bytes, false, err);
	}
	if (rc)
		close(m->fd);
	return rc;
}

static int mem_open(const struct engine_open *o, const struct spec *s, struct engine **out, struct engine_error *err)
{
	struct mem *m;
	uint64_t bytes;
	int rc = engine_size_arg(s, &bytes, err);

	if (rc)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return engine_fail(err, -ENOMEM, "mem:%s: out of memory", s->arg);
	rc = open_store(m, o, &bytes, err);
	if (rc) {
		free(m);
		return rc;
	}
	m->e.ops = &engine_mem_ops;
	m->e.depth = o->depth;
	m->fence = (struct ofd_fence){.fd = m->fd, .base = o->fence_base};
	m->e.info = (struct engine_info){
		.sectors = bytes / 512,
		.sector_size = 512,
		.physical_size = 512,
		.write_unit = 512, /* memory: a write changes its own bytes; a hole that it zero-fills is locked by the kernel */
		.buffer_align = 1,
		.discard_granularity = 4096,
		.fence = o->read_only ? ENGINE_FENCE_NONE : ENGINE_FENCE_LOCK,
		.flush = true,
		.discard = !o->read_only,
		.read_only = o->read_only,
	};
	*out = &m->e;
	return 0;
}

static void mem_close(struct engine *e)
{
	struct mem *m = to_mem(e);

	close(m->fd);
	free(m);
}

static int mem_own(struct engine *e, uint64_t g, bool fresh)
{
	return e->info.fence == ENGINE_FENCE_NONE ? 0 : ofd_fence_take(&to_mem(e)->fence, g, fresh);
}

static int mem_fence_poll(struct engine *e)
{
	return e->info.fence == ENGINE_FENCE_NONE ? 1 : ofd_fence_poll(&to_mem(e)->fence);
}

static int mem_resize(struct engine *e, uint64_t *sectors)
{
	struct stat st;

	if (fstat(to_mem(e)->fd, &st))
		return -errno;
	if (st.st_size < 512)
		return -EINVAL;
	*sectors = (uint64_t)st.st_size / 512;
	return 0;
}

static void mem_submit(struct engine_queue *q, struct engine_req *r)
{
	int fd = to_mem(q->engine)->fd, rc = 0;

	if (r->op == ENGINE_READ || r->op == ENGINE_WRITE)
		rc = engine_transfer(fd, r);
	else if (r->op == ENGINE_DISCARD &&
		 fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->off, (off_t)r->len))
		rc = -errno;
	sync_queue_done(q, r, rc);
}

static const char *const mem_options[] = {NULL};

const struct engine_ops engine_mem_ops = {
	.name = "mem",
	.options = mem_options,
	.open = mem_open,
	.close = mem_close,
	.own = mem_own,
	.fence_poll = mem_fence_poll,
	.resize = mem_resize,
	.queue_open = sync_queue_open,
	.queue_close = sync_queue_close,
	.submit = mem_submit,
	.kick = sync_queue_kick,
	.reap = sync_queue_reap,
	.event_fd = sync_queue_event_fd,
	.arm = sync_queue_arm,
};
