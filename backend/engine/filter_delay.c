/* filter_delay.c - a request is handed out so much later than the storage had it done: the data is there, the answer is
 * not. What dies in between must be done again. */
#include "backend/engine/filter_priv.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_DELAY_MS 3600000ul

struct delay {
	struct filter f;
	uint64_t ns;
};

struct delay_queue {
	struct filter_queue f;
	struct engine_reqs waiting; /* done; engine_time says when it may be known. In that order */
	int timer, event;
};

static const struct engine_ops delay_ops;

static struct delay_queue *to_delay(struct engine_queue *q) { return CONTAINER_OF(q, struct delay_queue, f.q); }

int filter_delay_stack(struct spec *s, struct engine **e, struct engine_error *err)
{
	char value[32], *end;
	unsigned long ms;
	struct delay *d;

	if (!spec_take(s, "delay", value, sizeof(value)))
		return 0;
	ms = strtoul(value, &end, 10);
	if (end == value || *end || value[0] == '-' || ms > MAX_DELAY_MS)
		return engine_fail(err, -EINVAL, "delay is \"%s\", but must be a number of milliseconds up to %lu", value,
				   MAX_DELAY_MS);
	d = calloc(1, sizeof(*d));
	if (!d)
		return engine_fail(err, -ENOMEM, "out of memory");
	d->ns = ms * NS_PER_MS;
	filter_init(&d->f, &delay_ops, *e);
	*e = &d->f.e;
	return 0;
}

static int open_events(struct delay_queue *d)
{
	d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->timer < 0)
		return -errno;
	d->event = engine_fd_set(d->timer, engine_event_fd(d->f.inner));
	if (d->event >= 0)
		return 0;
	close(d->timer);
	return d->event;
}

static int delay_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct delay_queue *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -ENOMEM;
	STAILQ_INIT(&d->waiting);
	rc = filter_queue_init(&d->f, e, index);
	if (!rc) {
		rc = open_events(d);
		if (rc)
			engine_queue_close(d->f.inner);
	}
	if (rc) {
		free(d);
		return rc;
	}
	*out = &d->f.q;
	return 0;
}

static void delay_queue_close(struct engine_queue *q)
{
	struct delay_queue *d = to_delay(q);

	close(d->event);
	close(d->timer);
	filter_queue_close(q);
}

static unsigned delay_reap(struct engine_queue *q, struct engine_reqs *done)
{
	struct delay_queue *d = to_delay(q);
	struct engine_reqs fresh = STAILQ_HEAD_INITIALIZER(fresh);
	uint64_t now = clock_now();
	struct engine_req *r;
	unsigned n = 0;

	filter_reap(q, &fresh);
	STAILQ_FOREACH(r, &fresh, link)
		r->engine_time = now + CONTAINER_OF(to_filter(q->engine), struct delay, f)->ns;
	STAILQ_CONCAT(&d->waiting, &fresh);
	while ((r = STAILQ_FIRST(&d->waiting)) && r->engine_time <= now) {
		STAILQ_REMOVE_HEAD(&d->waiting, link);
		STAILQ_INSERT_TAIL(done, r, link);
		n++;
	}
	return n;
}

static int delay_event_fd(struct engine_queue *q) { return to_delay(q)->event; }

static int delay_arm(struct engine_queue *q)
{
	struct delay_queue *d = to_delay(q);
	const struct engine_req *first = STAILQ_FIRST(&d->waiting);
	uint64_t due = first ? first->engine_time : 0; /* 0 stops the timer */
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)(due / NS_PER_S), .tv_nsec = (long)(due % NS_PER_S)}};

	if (filter_arm(q) || (first && due <= clock_now()))
		return 1;
	/* Setting it also takes back that it has fired. */
	return timerfd_settime(d->timer, TFD_TIMER_ABSTIME, &t, NULL) != 0;
}

static const struct engine_ops delay_ops = {
	.name = "delay",
	.close = filter_close,
	.own = filter_own,
	.fence_poll = filter_fence_poll,
	.resize = filter_resize,
	.queue_open = delay_queue_open,
	.queue_close = delay_queue_close,
	.submit = filter_submit,
	.kick = filter_kick,
	.reap = delay_reap,
	.event_fd = delay_event_fd,
	.arm = delay_arm,
};
