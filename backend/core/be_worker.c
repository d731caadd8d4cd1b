#include "backend/core/be_worker.h"

#include "backend/core/be_poll.h"
#include "ring/base/barrier.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define POKE_TURNS 16u		       /* busy, it looks at the clock every so many turns, and at its poke socket when */
#define POKE_NS (5 * NS_PER_MS)	       /* it did not for so long */
#define STACK_BYTES ((size_t)256 << 10)
#define WARM_STACK 8192u
#define SPIN_NS (50 * NS_PER_US)       /* called, it waits awake for its release so long */
#define FENCE_NS (100 * NS_PER_US)     /* between looks at the fence, for the first FENCE_SOON_NS; FENCE_LATE_NS after that */
#define FENCE_LATE_NS NS_PER_MS
#define FENCE_SOON_NS (10 * NS_PER_MS)
#define STORM_FREE 32u		       /* events in a row for nothing, after which the next ones are looked at late only: */
#define STORM_MIN_NS (16 * NS_PER_US)  /* so late at first, each time twice as late, */
#define STORM_MAX_NS NS_PER_MS	       /* up to this (XSA-332: a guest's kicks cost us next to nothing) */

enum { POLL_WAKE, POLL_POKE, POLL_STORAGE, POLL_PORT, POLL_FDS = POLL_PORT + BE_WORKER_PORTS, POLL_OURS = POLL_STORAGE };

static void wake(struct be_worker *w)
{
	const uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it is awake 2^64 times over */
}

/* Each byte is answered with one. What the other side does not read is its own loss: never blocks. */
static void answer_pokes(struct be_worker *w)
{
	char bytes[16];
	ssize_t n = w->poke_fd < 0 ? 0 : recv(w->poke_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		n = send(w->poke_fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (n == 0)
		w->poke_fd = -1; /* closed: must not be polled, it would be readable for ever */
}

/* On the first n of its descriptors. */
static void sleep_on(struct be_worker *w, struct pollfd *p, nfds_t n, uint64_t timeout_ns)
{
	const struct timespec t = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
	uint64_t seen;

	p[POLL_WAKE] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	p[POLL_POKE] = (struct pollfd){.fd = load_relaxed(&w->lent) ? -1 : w->poke_fd, .events = POLLIN};
	be_config_offline();
	if (ppoll(p, n, timeout_ns == UINT64_MAX ? NULL : &t, NULL) < 0)
		for (nfds_t i = 0; i < n; i++)
			p[i].revents = 0;
	be_config_online();
	if (p[POLL_WAKE].revents && read(w->wake_fd, &seen, sizeof(seen)) < 0)
		p[POLL_WAKE].revents = 0;
	if (p[POLL_POKE].revents && !load_relaxed(&w->lent))
		answer_pokes(w);
}

static void park(struct be_worker *w)
{
	struct pollfd p[POLL_OURS];

	/* Acquire: pairs with be_worker_release(). */
	while (!smp_load_acquire(&w->released)) {
		uint64_t until;

		sleep_on(w, p, POLL_OURS, UINT64_MAX);
		if (!load_relaxed(&w->lent))
			continue;
		store_relaxed(&w->arrived, 1);
		until = clock_now() + SPIN_NS;
		while (!smp_load_acquire(&w->released) && clock_now() < until)
			cpu_relax();
	}
}

/* For ever: nothing more may be done on this queue. */
static void NORETURN end(struct be_worker *w, uint32_t how)
{
	struct pollfd p[POLL_OURS];

	smp_store_release(&w->ended, how); /* pairs with be_worker_ended() */
	be_ctl_wake(w->ctl);
	w->class->asleep(w->queue);
	for (;;)
		sleep_on(w, p, POLL_OURS, UINT64_MAX);
}

/* No longer than until then, nor than the class allows. */
static uint64_t no_longer(struct be_worker *w, uint64_t timeout_ns)
{
	uint64_t at = w->class->deadline ? w->class->deadline(w->queue) : UINT64_MAX, now;

	if (at == UINT64_MAX)
		return timeout_ns;
	now = clock_now();
	return MIN(timeout_ns, at > now ? at - now : 0);
}

/* deaf: without listening to the ports. True: the guest had sent an event. */
static bool sleep_for_work(struct be_worker *w, uint64_t timeout_ns, bool deaf)
{
	struct pollfd p[POLL_FDS];
	bool called = false;

	for (unsigned i = 0; i < BE_WORKER_PORTS; i++)
		p[POLL_PORT + i] = (struct pollfd){.fd = deaf || !w->port[i] ? -1 : hv_port_fd(w->port[i]), .events = POLLIN};
	p[POLL_STORAGE] = (struct pollfd){.events = POLLIN};
	p[POLL_STORAGE].fd = w->class->storage_fd(w->queue, &p[POLL_STORAGE].events);
	w->class->asleep(w->queue);
	sleep_on(w, p, POLL_FDS, no_longer(w, timeout_ns));
	w->class->awake(w->queue);
	for (unsigned i = 0; i < BE_WORKER_PORTS; i++)
		called |= w->port[i] && (deaf || p[POLL_PORT + i].revents) && hv_port_clear(w->port[i]) == 1;
	return called;
}

/* Where the worker stands between its turns. */
struct pace {
	uint32_t window_us;	/* of polling */
	uint64_t idle_since;	/* 0: busy */
	uint64_t fencing_since; /* 0: no fence is waited for */
	unsigned turns;
	bool called;		/* by an event, since when nothing was done */
	unsigned for_nothing;	/* events in a row that brought no work */
	uint64_t poke_at; /* when to look at the poke socket again */
	struct clock_lately clock;
};

static void when_busy(struct be_worker *w, struct pace *p, uint32_t max_us)
{
	if (p->idle_since)
		p->window_us = be_poll_next(p->window_us, max_us, (clock_lately(&p->clock) - p->idle_since) / NS_PER_US);
	p->idle_since = 0;
	p->called = false;
	p->for_nothing = 0;
	if (++p->turns % POKE_TURNS == 0 && clock_lately(&p->clock) >= p->poke_at) {
		answer_pokes(w);
		p->poke_at = clock_lately(&p->clock) + POKE_NS;
	}
}

/* How long not to listen to the port: 0 unless its events bring nothing, again and again. */
static uint64_t deaf_for(const struct pace *p)
{
	if (p->for_nothing <= STORM_FREE)
		return 0;
	return MIN(STORM_MIN_NS << MIN(p->for_nothing - STORM_FREE, 16u), STORM_MAX_NS);
}

static void when_idle(struct be_worker *w, struct pace *p, bool fencing, uint32_t max_us)
{
	uint64_t now = clock_lately(&p->clock), timeout = UINT64_MAX, deaf;

	if (!p->idle_since)
		p->idle_since = now;
	if (p->called)
		p->for_nothing++;
	p->called = false;
	if (now - p->idle_since < MIN(p->window_us, max_us) * NS_PER_US) {
		cpu_relax();
		return;
	}
	if (w->class->arm(w->queue))
		return;
	if (fencing) {
		p->fencing_since = p->fencing_since ? p->fencing_since : now;
		timeout = now - p->fencing_since < FENCE_SOON_NS ? FENCE_NS : FENCE_LATE_NS;
	} else {
		p->fencing_since = 0;
	}
	deaf = deaf_for(p);
	p->called = sleep_for_work(w, deaf ? MIN(deaf, timeout) : timeout, deaf != 0);
	if (!p->called)
		p->for_nothing = 0;
	p->poke_at = clock_lately(&p->clock) + POKE_NS; /* who slept has looked */
}

static void *run(void *arg)
{
	struct be_worker *w = arg;
	struct pace p = {0};

	be_config_thread_start();
	park(w);
	w->class->awake(w->queue);
	for (;;) {
		unsigned did = w->class->turn(w->queue, BE_WORKER_BUDGET);
		uint32_t max_us = be_config_get(w->config)->poll_us;

		if (did & BE_HALTED)
			end(w, BE_HALTED);
		if (load_relaxed(&w->draining) && w->class->drained(w->queue))
			end(w, BE_WORKER_DRAINED);
		if (did & BE_BUSY)
			when_busy(w, &p, max_us);
		else
			when_idle(w, &p, did & BE_POLL_FENCE, max_us);
		be_config_quiescent();
	}
	return NULL;
}

static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	sigset_t all, before;
	pthread_attr_t a;
	int rc;

	pthread_attr_init(&a);
#ifndef BULKHEAD_SAN
	pthread_attr_setstacksize(&a, STACK_BYTES); /* sanitizers make frames several times as large */
#endif
	/* What is sent to the process is for the control thread; faults come through whatever is blocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(t, &a, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&a);
	return -rc;
}

int be_worker_start(struct be_worker *w)
{
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	return start_thread(&w->thread, run, w);
}

static void *touch_stack(void *arg)
{
	char frame[WARM_STACK];

	explicit_bzero(frame, sizeof(frame));
	return arg;
}

void be_worker_warm_up(void)
{
	pthread_t t;

	if (start_thread(&t, touch_stack, NULL) == 0)
		pthread_join(t, NULL);
}

unsigned be_worker_turn(struct be_worker *w, unsigned budget)
{
	store_relaxed(&w->lent, 1);
	w->class->awake(w->queue);
	return w->class->turn(w->queue, budget);
}

void be_worker_call(struct be_worker *w)
{
	store_relaxed(&w->lent, 1);
	wake(w);
}

bool be_worker_arrived(const struct be_worker *w) { return load_relaxed(&w->arrived); }

void be_worker_release(struct be_worker *w)
{
	store_relaxed(&w->lent, 0);
	smp_store_release(&w->released, 1); /* pairs with park(): what was done to the queue until now is seen */
	wake(w);
}

bool be_worker_released(const struct be_worker *w) { return load_relaxed(&w->released); }

void be_worker_wake(struct be_worker *w) { wake(w); }

void be_worker_drain(struct be_worker *w)
{
	store_relaxed(&w->draining, 1);
	wake(w);
}

/* Acquire: pairs with end(). */
bool be_worker_ended(const struct be_worker *w)
{
	return !load_relaxed(&w->released) || smp_load_acquire(&w->ended);
}

bool be_worker_halted(const struct be_worker *w) { return smp_load_acquire(&w->ended) == BE_HALTED; }
