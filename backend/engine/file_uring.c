/* file_uring.c - aio=uring: an io_uring for each queue, served by one kernel thread for the whole device (SQPOLL).
 *
 * No registered files, no registered buffers, no DEFER_TASKRUN: each makes the kernel keep the dead process's description,
 * and so the fence, for tens of milliseconds after the last request (DESIGN.md section 7). The kernel thread is why a
 * kill is fenced as fast as with threads; sqpoll=off is for measuring and for tests.
 * What a compromised stub could do through the ring is limited to a disk's operations.
 * What io_uring cannot do (discard on a block device) goes to a thread.
 */
#include "backend/engine/file_priv.h"
#include "ring/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#define SQ_IDLE_MS 2 /* of spinning after the last request before the kernel thread sleeps */
#define REAP_BATCH 16 /* the guest sees the first of many while the next are copied */

struct uring_queue {
	struct engine_queue q;
	struct io_uring ring;
	struct pool *helper; /* block devices that discard; else NULL */
	int event;	     /* the ring's, or a set of ring's and helper's */
	bool open;
};

static struct uring_queue *to_uring(struct engine_queue *q) { return CONTAINER_OF(q, struct uring_queue, q); }

/* By the general call: Debian 12's shared liburing leaves out the two functions for this. */
static int restrict_ring(const struct io_uring *ring)
{
	static const uint8_t ops[] = {IORING_OP_READ,	IORING_OP_WRITE, IORING_OP_READV,
				      IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring_restriction r[ARRAY_LEN(ops)] = {0};
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = ops[i];
	}
	rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r, ARRAY_LEN(r));
	return rc ? rc : io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* The kernel thread gives entries back a batch at a time, after completions of that batch can be seen: so a whole depth of
 * requests may be over, and the next submitted, while the entries of the first are still held. */
static unsigned ring_entries(unsigned depth) { return 2 * depth; }

/* anchor: a ring whose kernel thread is shared, or NULL. */
static int open_ring(struct io_uring *ring, unsigned depth, bool sqpoll, const struct io_uring *anchor)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP};
	int rc;

	if (sqpoll) {
		p.flags |= IORING_SETUP_SQPOLL;
		p.sq_thread_idle = SQ_IDLE_MS;
	}
	if (sqpoll && anchor) {
		p.flags |= IORING_SETUP_ATTACH_WQ;
		p.wq_fd = (uint32_t)anchor->ring_fd;
	}
	rc = io_uring_queue_init_params(ring_entries(depth), ring, &p);
	if (rc)
		return rc;
	if (sqpoll && !(p.features & IORING_FEAT_SQPOLL_NONFIXED))
		rc = -EOPNOTSUPP; /* before Linux 5.11 it would need registered files */
	else
		rc = restrict_ring(ring);
	if (!rc && p.sq_entries < ring_entries(depth))
		rc = -E2BIG; /* clamped */
	if (rc)
		io_uring_queue_exit(ring);
	return rc;
}

static int open_queue(struct file *f, struct uring_queue *u, bool sqpoll, const struct io_uring *anchor)
{
	int rc = open_ring(&u->ring, f->e.depth, sqpoll, anchor);

	if (rc)
		return rc;
	u->event = u->ring.ring_fd;
	if (!f->block || !(f->e.info.discard || f->e.info.secure_discard))
		return 0;
	rc = pool_open(f, 1, &u->helper);
	if (!rc)
		rc = u->event = engine_fd_set(u->ring.ring_fd, pool_event_fd(u->helper));
	if (rc < 0) {
		pool_close(u->helper);
		io_uring_queue_exit(&u->ring);
		return rc;
	}
	return 0;
}

static void close_queue(struct uring_queue *u)
{
	CHECK(!u->open);
	if (u->helper)
		close(u->event);
	pool_close(u->helper);
	io_uring_queue_exit(&u->ring);
}

int file_uring_setup(struct file *f, bool sqpoll)
{
	int rc = 0;
	unsigned n;

	if (f->queues == 0)
		return 0;
	f->rings = calloc(f->queues, sizeof(*f->rings));
	if (!f->rings)
		return -ENOMEM;
	for (n = 0; n < f->queues && !rc; n++)
		rc = open_queue(f, &f->rings[n], sqpoll, n ? &f->rings[0].ring : NULL);
	if (!rc)
		return 0;
	for (n--; n > 0; n--)
		close_queue(&f->rings[n - 1]);
	free(f->rings);
	f->rings = NULL;
	return rc;
}

void file_uring_teardown(struct file *f)
{
	if (!f->rings)
		return;
	for (unsigned n = f->queues; n > 0; n--)
		close_queue(&f->rings[n - 1]);
	free(f->rings);
}

static int uring_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct file *f = to_file(e);

	CHECK(index < f->queues && !f->rings[index].open);
	f->rings[index].open = true;
	*out = &f->rings[index].q;
	return 0;
}

static void uring_queue_close(struct engine_queue *q) { to_uring(q)->open = false; }

static void prepare_transfer(struct io_uring_sqe *sqe, int fd, const struct engine_req *r, uint64_t done)
{
	const struct iovec *v = r->iov;
	uint64_t at = r->off + done;

	if (r->op == ENGINE_READ && r->iovcnt == 1)
		io_uring_prep_read(sqe, fd, v->iov_base, (unsigned)v->iov_len, at);
	else if (r->op == ENGINE_READ)
		io_uring_prep_readv(sqe, fd, v, (unsigned)r->iovcnt, at);
	else if (r->iovcnt == 1)
		io_uring_prep_write(sqe, fd, v->iov_base, (unsigned)v->iov_len, at);
	else
		io_uring_prep_writev(sqe, fd, v, (unsigned)r->iovcnt, at);
}

/* engine_time counts the bytes that are done. */
static void prepare(struct uring_queue *u, struct engine_req *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	int fd = to_file(u->q.engine)->fd;

	CHECK(sqe); /* see ring_entries() */
	if (r->op == ENGINE_FLUSH)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else if (r->op == ENGINE_DISCARD)
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->off, (off_t)r->len);
	else
		prepare_transfer(sqe, fd, r, r->engine_time);
	io_uring_sqe_set_data(sqe, r);
}

static void uring_submit(struct engine_queue *q, struct engine_req *r)
{
	struct uring_queue *u = to_uring(q);

	if (r->op == ENGINE_DISCARD && u->helper) {
		pool_submit(u->helper, r);
		return;
	}
	r->engine_time = 0;
	prepare(u, r);
}

static void uring_kick(struct engine_queue *q)
{
	struct uring_queue *u = to_uring(q);
	int rc = io_uring_submit(&u->ring);

	/* EAGAIN, EBUSY, EINTR: the kernel is short of something; the entries stay and the next kick or arm tries again. */
	CHECK(rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
	if (u->helper)
		pool_kick(u->helper);
}

/* True if r is over; false if the rest of it was put on the ring. */
static bool complete(struct uring_queue *u, struct engine_req *r, int res)
{
	r->result = MIN(res, 0);
	if (res < 0 || r->op == ENGINE_FLUSH || r->op == ENGINE_DISCARD)
		return true;
	r->engine_time += (uint64_t)res;
	if (r->engine_time == r->len)
		return true;
	if (res == 0) {
		r->result = -EIO; /* the storage became shorter than it said */
		return true;
	}
	engine_advance(r, (size_t)res);
	prepare(u, r);
	return false;
}

static unsigned reap_ring(struct uring_queue *u, struct engine_reqs *done, bool *again)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned got = io_uring_peek_batch_cqe(&u->ring, cqes, REAP_BATCH), n = 0;

	for (unsigned i = 0; i < got; i++) {
		struct engine_req *r = io_uring_cqe_get_data(cqes[i]);

		if (complete(u, r, cqes[i]->res)) {
			STAILQ_INSERT_TAIL(done, r, link);
			n++;
		} else {
			*again = true;
		}
	}
	io_uring_cq_advance(&u->ring, got);
	return n;
}

static unsigned uring_reap(struct engine_queue *q, struct engine_reqs *done)
{
	struct uring_queue *u = to_uring(q);
	bool again = false;
	unsigned n = reap_ring(u, done, &again);

	if (u->helper)
		n += pool_reap(u->helper, done);
	if (again)
		uring_kick(q);
	return n;
}

static int uring_event_fd(struct engine_queue *q) { return to_uring(q)->event; }

static int uring_arm(struct engine_queue *q)
{
	struct uring_queue *u = to_uring(q);

	if (io_uring_sq_ready(&u->ring))
		uring_kick(q);
	if (!(u->ring.flags & IORING_SETUP_SQPOLL) && io_uring_sq_ready(&u->ring))
		return 1; /* the kernel did not take all: nothing would wake us to try again */
	return (u->helper && pool_arm(u->helper)) || io_uring_cq_ready(&u->ring) > 0;
}

const struct engine_ops file_uring_ops = {
	.name = "file",
	.close = file_close,
	.own = file_own,
	.fence_poll = file_fence_poll,
	.resize = file_resize,
	.queue_open = uring_queue_open,
	.queue_close = uring_queue_close,
	.submit = uring_submit,
	.kick = uring_kick,
	.reap = uring_reap,
	.event_fd = uring_event_fd,
	.arm = uring_arm,
};
