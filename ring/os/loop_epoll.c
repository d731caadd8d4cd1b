#include "ring/os/loop.h"

#include "ring/base/check.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64
#define NEVER UINT64_MAX
#define SIGNALS 65

/* What an event names is a slot and the serial it had, never a pointer: the owner of a stopped watch may be gone when
 * an event that was already fetched comes up. */
struct slot {
	struct loop_fd *w; /* NULL: free */
	uint32_t serial;
};

struct on_signal {
	void (*fn)(int signo, void *arg);
	void *arg;
};

struct loop {
	int epoll, timer, signal;
	bool stop;
	struct slot *slots;
	uint32_t nslots;
	struct loop_timer **heap; /* binary heap by due */
	uint32_t nheap, heap_room;
	uint64_t armed; /* what the timerfd is set to; 0: fired, so not known */
	STAILQ_HEAD(, loop_work) work;
	sigset_t sigs;
	struct loop_fd sig_watch;
	struct on_signal on[SIGNALS];
};

#define TAG(slot, serial) ((uint64_t)(serial) << 32 | (slot))
#define TAG_TIMER UINT64_MAX /* no slot gets that far */

int loop_open(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TAG_TIMER};
	int rc;

	if (!l)
		return -ENOMEM;
	STAILQ_INIT(&l->work);
	sigemptyset(&l->sigs);
	l->signal = -1;
	l->armed = NEVER;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll >= 0 && l->timer >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) == 0) {
		*out = l;
		return 0;
	}
	rc = -errno;
	loop_close(l);
	return rc;
}

void loop_close(struct loop *l)
{
	if (!l)
		return;
	if (l->signal >= 0)
		close(l->signal);
	if (l->timer >= 0)
		close(l->timer);
	if (l->epoll >= 0)
		close(l->epoll);
	free(l->slots);
	free(l->heap);
	free(l);
}

/* ---- descriptors */

static int slot_take(struct loop *l, uint32_t *out)
{
	uint32_t i, n = l->nslots ? l->nslots * 2 : 16;
	struct slot *s;

	for (i = 0; i < l->nslots; i++)
		if (!l->slots[i].w)
			break;
	if (i == l->nslots) {
		s = realloc(l->slots, n * sizeof(*s));
		if (!s)
			return -ENOMEM;
		memset(s + l->nslots, 0, (n - l->nslots) * sizeof(*s));
		l->slots = s;
		l->nslots = n;
	}
	*out = i;
	return 0;
}

int loop_fd_start(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
		  void (*fn)(struct loop_fd *w, uint32_t events))
{
	struct epoll_event ev = {.events = events};
	uint32_t i;
	int rc;

	CHECK(!w->active);
	rc = slot_take(l, &i);
	if (rc)
		return rc;
	ev.data.u64 = TAG(i, l->slots[i].serial);
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	l->slots[i].w = w;
	*w = (struct loop_fd){.fd = fd, .active = true, .slot = i, .serial = l->slots[i].serial, .fn = fn};
	return 0;
}

int loop_fd_change(struct loop *l, struct loop_fd *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = TAG(w->slot, w->serial)};

	CHECK(w->active);
	return epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_fd_stop(struct loop *l, struct loop_fd *w)
{
	if (!w->active)
		return;
	w->active = false;
	l->slots[w->slot].w = NULL;
	l->slots[w->slot].serial++;
	/* Failing means that the fd was closed first: then a copy in a child could wake this loop for ever. */
	CHECK(epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL) == 0);
}

/* ---- timers */

static void heap_put(struct loop *l, uint32_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->heap_at = i;
}

static void heap_up(struct loop *l, uint32_t i, struct loop_timer *t)
{
	for (; i && l->heap[(i - 1) / 2]->due > t->due; i = (i - 1) / 2)
		heap_put(l, i, l->heap[(i - 1) / 2]);
	heap_put(l, i, t);
}

static void heap_down(struct loop *l, uint32_t i, struct loop_timer *t)
{
	for (uint32_t c = 2 * i + 1; c < l->nheap; c = 2 * i + 1) {
		if (c + 1 < l->nheap && l->heap[c + 1]->due < l->heap[c]->due)
			c++;
		if (l->heap[c]->due >= t->due)
			break;
		heap_put(l, i, l->heap[c]);
		i = c;
	}
	heap_put(l, i, t);
}

void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t due, void (*fn)(struct loop_timer *t))
{
	loop_timer_stop(l, t);
	if (l->nheap == l->heap_room) {
		l->heap_room = l->heap_room ? l->heap_room * 2 : 16;
		l->heap = realloc(l->heap, l->heap_room * sizeof(struct loop_timer *));
		CHECK(l->heap);
	}
	*t = (struct loop_timer){.due = due, .active = true, .fn = fn};
	heap_up(l, l->nheap++, t);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	struct loop_timer *last;
	uint32_t i = t->heap_at;

	if (!t->active)
		return;
	t->active = false;
	last = l->heap[--l->nheap];
	if (last == t)
		return;
	if (last->due < t->due)
		heap_up(l, i, last);
	else
		heap_down(l, i, last);
}

/* An absolute timerfd: epoll's own timeout is in milliseconds, and that of epoll_pwait2 has 50 us of slack. */
static void arm(struct loop *l, uint64_t due)
{
	struct itimerspec t = {0};

	if (due == l->armed)
		return;
	if (due != NEVER) {
		due = MAX(due, 1); /* 0 would disarm it */
		t.it_value.tv_sec = (time_t)MIN(due / NS_PER_S, (uint64_t)INT32_MAX);
		t.it_value.tv_nsec = (long)(due % NS_PER_S);
	}
	CHECK(timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL) == 0);
	l->armed = due;
}

/* ---- deferred work */

void loop_defer(struct loop *l, struct loop_work *w, void (*fn)(struct loop_work *w))
{
	w->fn = fn;
	if (w->queued)
		return;
	w->queued = true;
	STAILQ_INSERT_TAIL(&l->work, w, link);
}

/* What is deferred meanwhile waits for the next call, so that nothing can keep the descriptors waiting for ever. */
static void run_work(struct loop *l)
{
	STAILQ_HEAD(, loop_work) now = STAILQ_HEAD_INITIALIZER(now);
	struct loop_work *w;

	STAILQ_CONCAT(&now, &l->work);
	while ((w = STAILQ_FIRST(&now))) {
		STAILQ_REMOVE_HEAD(&now, link);
		w->queued = false;
		w->fn(w);
	}
}

static void run_timers(struct loop *l)
{
	uint64_t now = l->nheap ? clock_now() : 0;

	/* Bounded, since a timer may start itself again in the past. */
	for (uint32_t n = l->nheap; n && l->nheap && l->heap[0]->due <= now; n--) {
		struct loop_timer *t = l->heap[0];

		loop_timer_stop(l, t);
		t->fn(t);
		run_work(l);
	}
}

/* ---- signals */

static void signal_ready(struct loop_fd *w, uint32_t events)
{
	struct loop *l = CONTAINER_OF(w, struct loop, sig_watch);
	struct signalfd_siginfo si;

	(void)events;
	while (read(l->signal, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		int signo = (int)si.ssi_signo;

		if (signo < SIGNALS && l->on[signo].fn)
			l->on[signo].fn(signo, l->on[signo].arg);
	}
}

int loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg)
{
	sigset_t one;
	int fd, rc;

	if (signo <= 0 || signo >= SIGNALS)
		return -EINVAL;
	sigemptyset(&one);
	sigaddset(&one, signo);
	rc = pthread_sigmask(SIG_BLOCK, &one, NULL);
	if (rc)
		return -rc;
	sigaddset(&l->sigs, signo);
	fd = signalfd(l->signal, &l->sigs, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	l->signal = fd;
	l->on[signo] = (struct on_signal){.fn = fn, .arg = arg};
	return l->sig_watch.active ? 0 : loop_fd_start(l, &l->sig_watch, fd, EPOLLIN, signal_ready);
}

/* ---- rounds */

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
	uint32_t i = (uint32_t)ev->data.u64;
	struct slot *s;

	if (ev->data.u64 == TAG_TIMER) {
		l->armed = 0;
		return;
	}
	s = &l->slots[i];
	if (!s->w || s->serial != (uint32_t)(ev->data.u64 >> 32))
		return;
	s->w->fn(s->w, ev->events);
	run_work(l);
}

int loop_once(struct loop *l, uint64_t timeout_ns)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	uint64_t due;
	int n, wait = timeout_ns && STAILQ_EMPTY(&l->work) ? -1 : 0;

	due = l->nheap ? l->heap[0]->due : NEVER;
	if (wait && timeout_ns != UINT64_MAX)
		due = MIN(due, clock_now() + timeout_ns);
	if (wait)
		arm(l, due);
	n = epoll_wait(l->epoll, ev, EVENTS_PER_ROUND, wait);
	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++)
		dispatch(l, &ev[i]);
	/* After what is ready: when the machine stood still, the answer is there as well as its deadline. */
	run_timers(l);
	run_work(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int rc = 0;

	for (l->stop = false; !l->stop && !rc;)
		rc = loop_once(l, UINT64_MAX);
	return rc;
}

void loop_stop(struct loop *l) { l->stop = true; }
