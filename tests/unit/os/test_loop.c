/* The event loop: order, stopping and freeing from callbacks, precision of timers, signals, deferred work. */
#include "ring/os/loop.h"

#include "ring/base/base.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

struct watch {
	struct loop_fd w;
	struct loop *l;
	struct watch *other; /* stopped and freed when this one is called */
	int calls;
};

static struct watch *survivor;

static void on_fd(struct loop_fd *w, uint32_t events)
{
	struct watch *x = CONTAINER_OF(w, struct watch, w);
	uint64_t v;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(w->fd, &v, sizeof(v)), sizeof(v));
	x->calls++;
	if (x->other) {
		loop_fd_stop(x->l, &x->other->w);
		memset(x->other, 0x5a, sizeof(*x->other));
		free(x->other);
		x->other = NULL;
		assert_null(survivor);
		survivor = x;
	}
}

static void kick(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void calls_what_is_ready(void **state)
{
	struct loop *l;
	struct watch x = {0};
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(loop_fd_start(l, &x.w, fd, EPOLLIN, on_fd), 0);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x.calls, 0);
	kick(fd);
	assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_int_equal(x.calls, 1);
	loop_fd_stop(l, &x.w);
	loop_fd_stop(l, &x.w);
	kick(fd);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x.calls, 1);
	assert_int_equal(loop_fd_start(l, &x.w, fd, EPOLLIN, on_fd), 0);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(x.calls, 2); /* level-triggered: it was still readable */
	loop_fd_stop(l, &x.w);
	close(fd);
	loop_close(l);
}

/* Two are ready in one round, and whichever is called first frees the other: it must not be called. */
static void freed_in_the_same_round(void **state)
{
	struct loop *l;
	struct watch *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	int fa = eventfd(0, EFD_CLOEXEC), fb = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	*a = (struct watch){.l = l, .other = b};
	*b = (struct watch){.l = l, .other = a};
	assert_int_equal(loop_fd_start(l, &a->w, fa, EPOLLIN, on_fd), 0);
	assert_int_equal(loop_fd_start(l, &b->w, fb, EPOLLIN, on_fd), 0);
	kick(fa);
	kick(fb);
	survivor = NULL;
	assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_int_equal(loop_once(l, 0), 0);
	assert_non_null(survivor);
	assert_int_equal(survivor->calls, 1);
	loop_fd_stop(l, &survivor->w);
	free(survivor);
	loop_close(l);
	close(fa);
	close(fb);
}

struct tick {
	struct loop_timer t;
	struct loop *l;
	uint64_t at;
	int *order, nth;
};

static void on_tick(struct loop_timer *t)
{
	struct tick *x = CONTAINER_OF(t, struct tick, t);

	x->at = clock_now();
	x->nth = (*x->order)++;
}

static void timers_fire_in_order_and_never_early(void **state)
{
	enum { N = 200 };
	struct loop *l;
	struct tick x[N] = {0};
	uint64_t base = clock_now() + 2 * NS_PER_MS, best = UINT64_MAX;
	int order = 0;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	for (int i = 0; i < N; i++) {
		x[i].order = &order;
		x[i].nth = -1;
		loop_timer_start(l, &x[i].t, base + (uint64_t)((i * 37) % N) * 50 * NS_PER_US, on_tick);
	}
	for (int i = 0; i < N; i += 3) /* a third is stopped, from all over the heap */
		loop_timer_stop(l, &x[i].t);
	loop_timer_start(l, &x[1].t, base, on_tick); /* moved */
	while (order < N - (N + 2) / 3)
		assert_int_equal(loop_once(l, 5 * NS_PER_S), 0);
	for (int i = 0; i < N; i++) {
		if (i % 3 == 0) {
			assert_int_equal(x[i].nth, -1);
			continue;
		}
		assert_true(x[i].at >= x[i].t.due);
		best = MIN(best, x[i].at - x[i].t.due);
		for (int j = 0; j < N; j++)
			if (j % 3 && x[j].t.due < x[i].t.due)
				assert_true(x[j].nth < x[i].nth);
	}
	assert_true(best < NS_PER_MS / 2); /* milliseconds of rounding would show */
	loop_close(l);
}

static void restart_at_once(struct loop_timer *t)
{
	struct tick *x = CONTAINER_OF(t, struct tick, t);

	(*x->order)++;
	loop_timer_start(x->l, t, 0, restart_at_once);
}

static void a_timer_in_the_past_does_not_starve_descriptors(void **state)
{
	struct loop *l;
	int order = 0, fd = eventfd(1, EFD_CLOEXEC);
	struct tick x = {.order = &order};
	struct watch w = {0};

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	x.l = l;
	loop_timer_start(l, &x.t, 0, restart_at_once);
	assert_int_equal(loop_fd_start(l, &w.w, fd, EPOLLIN, on_fd), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_true(order >= 2);
	assert_int_equal(w.calls, 1);
	loop_timer_stop(l, &x.t);
	loop_fd_stop(l, &w.w);
	close(fd);
	loop_close(l);
}

static void a_timeout_ends_the_round(void **state)
{
	struct loop *l;
	uint64_t t0 = clock_now();

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(loop_once(l, 3 * NS_PER_MS), 0);
	assert_true(clock_now() - t0 >= 3 * NS_PER_MS);
	assert_int_equal(loop_once(l, 0), 0);
	loop_close(l);
}

struct again {
	struct loop_work w;
	struct loop *l;
	int runs, want;
};

static void on_work(struct loop_work *w)
{
	struct again *x = CONTAINER_OF(w, struct again, w);

	if (++x->runs < x->want)
		loop_defer(x->l, w, on_work);
	else
		loop_stop(x->l);
}

static void deferred_work_runs_before_sleeping(void **state)
{
	struct again x = {.want = 5};

	(void)state;
	assert_int_equal(loop_open(&x.l), 0);
	loop_defer(x.l, &x.w, on_work);
	loop_defer(x.l, &x.w, on_work); /* queued already: runs once */
	assert_int_equal(loop_run(x.l), 0);
	assert_int_equal(x.runs, 5);
	loop_close(x.l);
}

static void on_signal(int signo, void *arg) { *(int *)arg += signo; }

static void signals_arrive_from_the_loop(void **state)
{
	struct loop *l;
	int sum = 0;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(loop_signal(l, SIGUSR1, on_signal, &sum), 0);
	assert_int_equal(loop_signal(l, SIGUSR2, on_signal, &sum), 0);
	assert_int_equal(loop_signal(l, 0, on_signal, &sum), -EINVAL);
	raise(SIGUSR1);
	raise(SIGUSR2);
	assert_int_equal(sum, 0);
	assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_int_equal(sum, SIGUSR1 + SIGUSR2);
	loop_close(l);
}

struct answer {
	struct loop *l;
	struct loop_fd w;
	struct loop_timer deadline;
	int calls;
};

static void answered(struct loop_fd *w, uint32_t events)
{
	struct answer *a = CONTAINER_OF(w, struct answer, w);

	(void)events;
	a->calls++;
	loop_timer_stop(a->l, &a->deadline);
	loop_fd_stop(a->l, w);
}

static void too_late(struct loop_timer *t)
{
	(void)t;
	fail_msg("the deadline was looked at before the answer");
}

static void an_answer_that_is_there_comes_before_its_deadline(void **state)
{
	struct answer a = {0};
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(loop_open(&a.l), 0);
	assert_int_equal(loop_fd_start(a.l, &a.w, fd, EPOLLIN, answered), 0);
	loop_timer_start(a.l, &a.deadline, clock_now(), too_late);
	kick(fd);
	assert_int_equal(loop_once(a.l, UINT64_MAX), 0);
	assert_int_equal(a.calls, 1);
	close(fd);
	loop_close(a.l);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(calls_what_is_ready),
		cmocka_unit_test(freed_in_the_same_round),
		cmocka_unit_test(timers_fire_in_order_and_never_early),
		cmocka_unit_test(a_timer_in_the_past_does_not_starve_descriptors),
		cmocka_unit_test(a_timeout_ends_the_round),
		cmocka_unit_test(deferred_work_runs_before_sleeping),
		cmocka_unit_test(an_answer_that_is_there_comes_before_its_deadline),
		cmocka_unit_test(signals_arrive_from_the_loop),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
