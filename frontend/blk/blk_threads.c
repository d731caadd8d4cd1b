#include "frontend/blk/blk_threads.h"

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Longest look at the ring before sleeping. */
#define SPIN_MAX_NS (50 * NS_PER_US)
#define SPIN_MIN_NS (1 * NS_PER_US)

/* One caller's I/O; io first. */
struct waiter {
	struct blkfront_io io;
	struct waiter *next; /* in the inbox */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	int rc;
};

struct poller {
	struct blkfront_queue *q;
	pthread_t thread;
	bool started;
	int wakefd;
	uint64_t spin_ns;
	pthread_mutex_t lock; /* of what follows */
	struct waiter *inbox, **inbox_tail;
	bool asleep, stop;
};

struct blk_threads {
	unsigned n;
	struct poller *poller;
};

static void waiter_over(struct blkfront_io *io, int rc)
{
	struct waiter *w = CONTAINER_OF(io, struct waiter, io);

	pthread_mutex_lock(&w->lock);
	w->over = true;
	w->rc = rc;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock); /* w is gone after this */
}

/* Hands the inbox to the queue. False: asked to stop. */
static bool take_inbox(struct poller *p, bool sleep, bool *empty)
{
	struct waiter *w, *next;
	bool stop;

	pthread_mutex_lock(&p->lock);
	w = p->inbox;
	p->inbox = NULL;
	p->inbox_tail = &p->inbox;
	stop = p->stop;
	*empty = w == NULL;
	p->asleep = sleep && *empty && !stop;
	pthread_mutex_unlock(&p->lock);
	for (; w; w = next) {
		int rc;

		next = w->next;
		rc = blkfront_submit(p->q, &w->io);
		if (rc)
			waiter_over(&w->io, rc);
	}
	return !stop;
}

static void sleep_until_news(struct poller *p)
{
	struct pollfd fds[2] = { { .fd = blkfront_fd(p->q), .events = POLLIN }, { .fd = p->wakefd, .events = POLLIN } };
	uint64_t n;

	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		log_error("waiting for the ring: %s", err_str(-errno));
	if (fds[1].revents && read(p->wakefd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("waking up: %s", err_str(-errno));
	pthread_mutex_lock(&p->lock);
	p->asleep = false;
	pthread_mutex_unlock(&p->lock);
}

/* Nothing to do right now: looks on for as long as that has paid lately. True if something came. */
static bool look_on(struct poller *p)
{
	uint64_t until = clock_now() + p->spin_ns;

	if (blkfront_outstanding(p->q) == 0)
		return false;
	do {
		for (unsigned i = 0; i < 32; i++)
			cpu_relax();
		if (blkfront_poll(p->q) > 0) {
			p->spin_ns = MIN(p->spin_ns * 2, SPIN_MAX_NS);
			return true;
		}
	} while (clock_now() < until);
	p->spin_ns = MAX(p->spin_ns / 2, SPIN_MIN_NS);
	return false;
}

static void *poller_main(void *arg)
{
	struct poller *p = arg;
	bool empty;

	while (take_inbox(p, false, &empty)) {
		int n = blkfront_poll(p->q);

		if (n > 0 || !empty || look_on(p))
			continue;
		if (blkfront_arm(p->q))
			continue;
		if (!take_inbox(p, true, &empty))
			break;
		if (empty)
			sleep_until_news(p);
	}
	return NULL;
}

static int poller_start(struct poller *p, struct blkfront_queue *q)
{
	int rc;

	p->q = q;
	p->spin_ns = SPIN_MIN_NS;
	p->inbox_tail = &p->inbox;
	pthread_mutex_init(&p->lock, NULL);
	p->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wakefd < 0)
		return -errno;
	rc = -pthread_create(&p->thread, NULL, poller_main, p);
	p->started = rc == 0;
	return rc;
}

int blk_threads_start(struct blkfront *f, struct blk_threads **out)
{
	struct blk_threads *t = calloc(1, sizeof(*t));
	struct blkfront_info info;
	int rc = 0;

	*out = NULL;
	blkfront_get_info(f, &info);
	if (!t)
		return -ENOMEM;
	t->poller = calloc(info.queues, sizeof(*t->poller));
	if (!t->poller)
		rc = -ENOMEM;
	for (unsigned i = 0; !rc && i < info.queues; i++) {
		t->n++;
		rc = poller_start(&t->poller[i], blkfront_get_queue(f, i));
	}
	if (rc) {
		blk_threads_stop(t);
		return rc;
	}
	*out = t;
	return 0;
}

static void poller_wake(struct poller *p)
{
	uint64_t one = 1;

	if (write(p->wakefd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking a poller: %s", err_str(-errno));
}

void blk_threads_stop(struct blk_threads *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n; i++) {
		struct poller *p = &t->poller[i];

		pthread_mutex_lock(&p->lock);
		p->stop = true;
		pthread_mutex_unlock(&p->lock);
		if (p->started) {
			poller_wake(p);
			pthread_join(p->thread, NULL);
		}
		if (p->wakefd >= 0)
			close(p->wakefd);
		pthread_mutex_destroy(&p->lock);
	}
	free(t->poller);
	free(t);
}

int blk_threads_io(struct blk_threads *t, unsigned hint, enum blkfront_op op, unsigned flags, uint64_t off, uint64_t len,
		   void *buf)
{
	struct poller *p = &t->poller[hint % t->n];
	struct waiter w = { .io = { .op = op, .flags = flags, .off = off, .len = len, .buf = buf, .done = waiter_over },
			    .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	bool asleep;

	pthread_mutex_lock(&p->lock);
	*p->inbox_tail = &w;
	p->inbox_tail = &w.next;
	asleep = p->asleep;
	p->asleep = false; /* one wake-up is enough */
	pthread_mutex_unlock(&p->lock);
	if (asleep)
		poller_wake(p);
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.rc;
}
