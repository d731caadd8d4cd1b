/* engine_util.c - what several engines need: sizes, opening anew, synchronous transfers and queues. */
#include "backend/engine/engine_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

int engine_size_arg(const struct spec *s, uint64_t *bytes, struct engine_error *err)
{
	int rc = spec_size(s->arg, bytes);

	if (rc || *bytes == 0 || *bytes % 512 || *bytes > INT64_MAX)
		return engine_fail(err, -EINVAL, "%s:%s: \"%s\" is no size: use a multiple of 512 such as 64M or 1G",
				   s->engine, s->arg, s->arg);
	return 0;
}

static int same_inode(const struct engine_open *o, int fd, struct engine_error *err, const char *name)
{
	struct stat st;

	if (o->want_dev == 0 && o->want_ino == 0)
		return 0;
	if (fstat(fd, &st))
		return engine_fail(err, -errno, "%s: %s", name, err_str(errno));
	if (st.st_dev == o->want_dev && st.st_ino == o->want_ino)
		return 0;
	return engine_fail(err, -ESTALE, "%s: is another file now than the one that was attached (inode %llu, not %llu)",
			   name, (unsigned long long)st.st_ino, (unsigned long long)o->want_ino);
}

int engine_reopen(const struct engine_open *o, int path_fd, int flags, struct engine_error *err, const char *name)
{
	char proc[32];
	int fd, rc;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path_fd);
	fd = open(proc, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		rc = -errno;
		if (rc == -ENOENT && access("/proc/self/fd", X_OK))
			return engine_fail(err, rc, "%s: cannot be opened without /proc mounted", name);
		return engine_fail(err, rc, "%s: cannot be opened%s: %s", name,
				   (flags & O_ACCMODE) == O_RDONLY ? "" : " for writing", err_str(rc));
	}
	rc = same_inode(o, fd, err, name);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

int engine_fd_set(int a, int b)
{
	int fds[] = {a, b}, ep = epoll_create1(EPOLL_CLOEXEC);

	for (size_t i = 0; i < ARRAY_LEN(fds) && ep >= 0; i++) {
		struct epoll_event ev = {.events = EPOLLIN};

		if (fds[i] >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev)) {
			int rc = -errno;

			close(ep);
			return rc;
		}
	}
	return ep < 0 ? -errno : ep;
}

void engine_advance(struct engine_req *r, size_t n)
{
	while (n) {
		size_t part = MIN(n, r->iov->iov_len);

		CHECK(r->iovcnt > 0);
		r->iov->iov_base = (char *)r->iov->iov_base + part;
		r->iov->iov_len -= part;
		n -= part;
		if (r->iov->iov_len == 0) {
			r->iov++;
			r->iovcnt--;
		}
	}
}

int engine_transfer(int fd, struct engine_req *r)
{
	uint64_t done = 0;

	while (done < r->len) {
		off_t at = (off_t)(r->off + done);
		ssize_t n = r->op == ENGINE_READ ? preadv(fd, r->iov, r->iovcnt, at) : pwritev(fd, r->iov, r->iovcnt, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the storage became shorter than it said */
		done += (uint64_t)n;
		engine_advance(r, (size_t)n);
	}
	return 0;
}

int sync_queue_open(struct engine *e UNUSED, unsigned index UNUSED, struct engine_queue **out)
{
	struct sync_queue *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	STAILQ_INIT(&s->done);
	*out = &s->q;
	return 0;
}

static struct sync_queue *to_sync(struct engine_queue *q) { return CONTAINER_OF(q, struct sync_queue, q); }

void sync_queue_close(struct engine_queue *q) { free(to_sync(q)); }

void sync_queue_done(struct engine_queue *q, struct engine_req *r, int result)
{
	r->result = result;
	STAILQ_INSERT_TAIL(&to_sync(q)->done, r, link);
}

void sync_queue_kick(struct engine_queue *q UNUSED) {}

unsigned sync_queue_reap(struct engine_queue *q, struct engine_reqs *done)
{
	struct sync_queue *s = to_sync(q);
	struct engine_req *r;
	unsigned n = 0;

	STAILQ_FOREACH(r, &s->done, link)
		n++;
	STAILQ_CONCAT(done, &s->done);
	return n;
}

int sync_queue_event_fd(struct engine_queue *q UNUSED) { return -1; }

int sync_queue_arm(struct engine_queue *q) { return !STAILQ_EMPTY(&to_sync(q)->done); }
