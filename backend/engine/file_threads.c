/* file_threads.c - aio=threads: a pool of threads for each queue, doing preadv, pwritev, fdatasync and discards.
 *
 * Every transfer is synchronous, so the death of the process waits for what runs; what is only queued dies with it.
 * One lock guards both lists of a pool. The eventfd is written only when the queue's thread said that it goes to sleep.
 */
#include "backend/engine/file_priv.h"
#include "ring/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES (128u << 10)

struct pool {
	const struct file *file;
	struct engine_reqs batch; /* submitted, not kicked; the queue's thread only */
	unsigned batched;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;
	struct engine_reqs todo, done;
	unsigned finished;
	bool armed, stop;
	int event;
	unsigned threads;
	pthread_t thread[];
};

struct threads_queue {
	struct engine_queue q;
	struct pool *pool;
};

static void finish(struct pool *p, struct engine_req *r, int result)
{
	bool wake;

	pthread_mutex_lock(&p->lock);
	r->result = result;
	STAILQ_INSERT_TAIL(&p->done, r, link);
	p->finished++;
	wake = p->armed;
	p->armed = false;
	pthread_mutex_unlock(&p->lock);
	if (wake)
		CHECK(eventfd_write(p->event, 1) == 0);
}

static struct engine_req *next(struct pool *p)
{
	struct engine_req *r;

	pthread_mutex_lock(&p->lock);
	while (STAILQ_EMPTY(&p->todo) && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	r = STAILQ_FIRST(&p->todo);
	if (r)
		STAILQ_REMOVE_HEAD(&p->todo, link);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct engine_req *r;

	while ((r = next(p)))
		finish(p, r, file_execute(p->file, r));
	return NULL;
}

static int start_threads(struct pool *p, unsigned threads)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all); /* signals are for the control thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!rc && p->threads < threads) {
		rc = pthread_create(&p->thread[p->threads], &attr, worker, p);
		p->threads += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

int pool_open(const struct file *f, unsigned threads, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->thread[0]));
	int rc;

	if (!p)
		return -ENOMEM;
	p->file = f;
	STAILQ_INIT(&p->batch);
	STAILQ_INIT(&p->todo);
	STAILQ_INIT(&p->done);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = p->event < 0 ? -errno : start_threads(p, threads);
	if (rc) {
		pool_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	if (p->event >= 0)
		close(p->event);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pool_submit(struct pool *p, struct engine_req *r)
{
	STAILQ_INSERT_TAIL(&p->batch, r, link);
	p->batched++;
}

void pool_kick(struct pool *p)
{
	if (!p->batched)
		return;
	pthread_mutex_lock(&p->lock);
	STAILQ_CONCAT(&p->todo, &p->batch);
	for (unsigned i = 0; i < MIN(p->batched, p->threads); i++)
		pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	p->batched = 0;
}

unsigned pool_reap(struct pool *p, struct engine_reqs *done)
{
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = p->finished;
	p->finished = 0;
	STAILQ_CONCAT(done, &p->done);
	pthread_mutex_unlock(&p->lock);
	return n;
}

int pool_event_fd(struct pool *p) { return p->event; }

int pool_arm(struct pool *p)
{
	eventfd_t old;
	bool ready;

	/* Emptied before the list is looked at: what ends after that look writes anew. */
	if (eventfd_read(p->event, &old) && errno != EAGAIN)
		return 1;
	pthread_mutex_lock(&p->lock);
	ready = p->finished > 0;
	p->armed = !ready;
	pthread_mutex_unlock(&p->lock);
	return ready;
}

static struct pool *to_pool(struct engine_queue *q) { return CONTAINER_OF(q, struct threads_queue, q)->pool; }

static int threads_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct threads_queue *t;
	int rc;

	CHECK(index < to_file(e)->queues);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	rc = pool_open(to_file(e), MIN(FILE_POOL_THREADS, e->depth), &t->pool);
	if (rc) {
		free(t);
		return rc;
	}
	*out = &t->q;
	return 0;
}

static void threads_queue_close(struct engine_queue *q)
{
	struct threads_queue *t = CONTAINER_OF(q, struct threads_queue, q);

	pool_close(t->pool);
	free(t);
}

static void threads_submit(struct engine_queue *q, struct engine_req *r) { pool_submit(to_pool(q), r); }
static void threads_kick(struct engine_queue *q) { pool_kick(to_pool(q)); }
static unsigned threads_reap(struct engine_queue *q, struct engine_reqs *d) { return pool_reap(to_pool(q), d); }
static int threads_event_fd(struct engine_queue *q) { return pool_event_fd(to_pool(q)); }
static int threads_arm(struct engine_queue *q) { return pool_arm(to_pool(q)); }

const struct engine_ops file_threads_ops = {
	.name = "file",
	.close = file_close,
	.own = file_own,
	.fence_poll = file_fence_poll,
	.resize = file_resize,
	.queue_open = threads_queue_open,
	.queue_close = threads_queue_close,
	.submit = threads_submit,
	.kick = threads_kick,
	.reap = threads_reap,
	.event_fd = threads_event_fd,
	.arm = threads_arm,
};
