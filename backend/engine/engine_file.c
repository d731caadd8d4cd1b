/* engine_file.c - "file:PATH": images and block devices. Opening, life and fence; the I/O itself is in file_uring.c and
 * file_threads.c. */
#include "backend/engine/file_priv.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum direct { DIRECT_IF_POSSIBLE, DIRECT_ON, DIRECT_OFF };

struct options {
	enum direct direct;
	bool uring, sqpoll;
};

/* The value of key is one of two words: *first says whether it is the first. Absent: *first stays. */
static int two_words(const struct spec *s, const char *key, const char *yes, const char *no, bool *first,
		     struct engine_error *err)
{
	char value[16];

	if (!spec_opt(s, key, value, sizeof(value)))
		return 0;
	*first = strcmp(value, yes) == 0;
	if (*first || strcmp(value, no) == 0)
		return 0;
	return engine_fail(err, -EINVAL, "file:%s: %s is \"%s\", but must be %s or %s", s->arg, key, value, yes, no);
}

static int parse_options(const struct spec *s, struct options *opt, struct engine_error *err)
{
	bool direct = true;
	char value[16];
	int rc;

	*opt = (struct options){.uring = true, .sqpoll = true};
	if (s->arg[0] != '/')
		return engine_fail(err, -EINVAL, "file:%s: the path must begin with /", s->arg);
	rc = two_words(s, "aio", "uring", "threads", &opt->uring, err);
	if (!rc)
		rc = two_words(s, "sqpoll", "on", "off", &opt->sqpoll, err);
	if (!rc)
		rc = two_words(s, "direct", "on", "off", &direct, err);
	if (!rc && spec_opt(s, "direct", value, sizeof(value)))
		opt->direct = direct ? DIRECT_ON : DIRECT_OFF;
	return rc;
}

static int check_type(struct file *f, int fd, struct engine_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return engine_fail(err, -errno, "%s: %s", f->name, err_str(errno));
	f->block = S_ISBLK(st.st_mode);
	if (f->block || S_ISREG(st.st_mode))
		return 0;
	return engine_fail(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
			   "%s: is a %s: a disk needs a regular file or a block device", f->name,
			   S_ISDIR(st.st_mode)	? "directory"
			   : S_ISFIFO(st.st_mode) ? "FIFO"
			   : S_ISSOCK(st.st_mode) ? "socket"
						  : "character device");
}

/* The type is looked at before the file is opened for I/O: opening a FIFO would wait, a device may act on it. */
static int open_image(struct file *f, const struct engine_open *o, enum direct direct, struct engine_error *err)
{
	int flags = o->read_only ? O_RDONLY : O_RDWR, path = o->fd, rc;

	if (path < 0) {
		path = open(f->name, O_PATH | O_CLOEXEC);
		if (path < 0)
			return engine_fail(err, -errno, "%s: %s", f->name, err_str(errno));
	}
	rc = check_type(f, path, err);
	if (!rc) {
		f->direct = direct != DIRECT_OFF;
		f->fd = engine_reopen(o, path, flags | (f->direct ? O_DIRECT : 0), err, f->name);
		if (f->fd == -EINVAL && direct == DIRECT_IF_POSSIBLE) {
			file_not_direct(f);
			f->fd = engine_reopen(o, path, flags, err, f->name);
		}
		rc = MIN(f->fd, 0);
	}
	if (o->fd < 0)
		close(path);
	return rc;
}

/* Chooses the method: f->e.ops. Not before the first queue is opened: an io_uring's kernel thread keeps the rights of its
 * maker for ever, and the stub has given up its own between engine_open() and this. */
static int first_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct file *f = to_file(e);
	int rc = f->uring ? file_uring_setup(f, f->sqpoll) : -ENOSYS;

	if (rc && f->uring)
		log_warn("%s: io_uring is refused here (%s); using threads", f->name, err_str(rc));
	e->ops = rc ? &file_threads_ops : &file_uring_ops;
	return e->ops->queue_open(e, index, out);
}

static int file_open(const struct engine_open *o, const struct spec *s, struct engine **out, struct engine_error *err)
{
	struct options opt;
	struct file *f;
	int rc = parse_options(s, &opt, err);

	if (rc)
		return rc;
	f = calloc(1, sizeof(*f));
	if (!f)
		return engine_fail(err, -ENOMEM, "%s: out of memory", s->arg);
	f->queues = o->queues;
	f->name = strdup(s->arg);
	rc = f->name ? open_image(f, o, opt.direct, err) : engine_fail(err, -ENOMEM, "%s: out of memory", s->arg);
	if (rc) {
		free(f->name);
		free(f);
		return rc;
	}
	f->e.depth = o->depth;
	f->fence = (struct ofd_fence){.fd = f->fd, .base = o->fence_base};
	f->e.info.read_only = o->read_only;
	f->e.info.fence = o->read_only ? ENGINE_FENCE_NONE : ENGINE_FENCE_LOCK;
	rc = file_geometry(f, opt.direct == DIRECT_ON, err);
	if (rc) {
		close(f->fd);
		free(f->name);
		free(f);
		return rc;
	}
	f->uring = opt.uring;
	f->sqpoll = opt.sqpoll;
	f->e.ops = &engine_file_ops;
	*out = &f->e;
	return 0;
}

void file_close(struct engine *e)
{
	struct file *f = to_file(e);

	file_uring_teardown(f);
	close(f->fd);
	free(f->name);
	free(f);
}

int file_own(struct engine *e, uint64_t g, bool fresh)
{
	return e->info.fence == ENGINE_FENCE_NONE ? 0 : ofd_fence_take(&to_file(e)->fence, g, fresh);
}

int file_fence_poll(struct engine *e)
{
	return e->info.fence == ENGINE_FENCE_NONE ? 1 : ofd_fence_poll(&to_file(e)->fence);
}

int file_resize(struct engine *e, uint64_t *sectors)
{
	uint64_t bytes;
	int rc = file_size(to_file(e), &bytes);

	if (rc)
		return rc;
	if (bytes < e->info.sector_size)
		return -EINVAL;
	*sectors = bytes / e->info.sector_size * (e->info.sector_size / 512);
	return 0;
}

static int discard(const struct file *f, const struct engine_req *r)
{
	uint64_t range[2] = {r->off, r->len};

	if (f->block)
		return ioctl(f->fd, r->flags & ENGINE_SECURE ? BLKSECDISCARD : BLKDISCARD, range) ? -errno : 0;
	return fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->off, (off_t)r->len) ? -errno : 0;
}

int file_execute(const struct file *f, struct engine_req *r)
{
	switch (r->op) {
	case ENGINE_FLUSH:
		return fdatasync(f->fd) ? -errno : 0;
	case ENGINE_DISCARD:
		return discard(f, r);
	default:
		return engine_transfer(f->fd, r);
	}
}

static const char *const file_options[] = {"aio", "direct", "sqpoll", NULL};

/* Found by its name; from the first queue on, an engine's ops are those of its method. */
const struct engine_ops engine_file_ops = {
	.name = "file",
	.options = file_options,
	.open = file_open,
	.close = file_close,
	.own = file_own,
	.fence_poll = file_fence_poll,
	.resize = file_resize,
	.queue_open = first_queue_open,
};
