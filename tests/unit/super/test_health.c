/* Detection of hangs, over given times. */
#include "recovery/super/sup_health.h"

#include "recovery/super/procs.h"

#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define T (50 * NS_PER_MS)

/* Runs a worker that turns or not, answers or not, for `ns`; the time of the first verdict against it, or 0. */
struct world {
	uint64_t now;
	struct health h;
	bool turns, sleeps, answers, work, standby;
	unsigned looks, asked; /* asked: what it had waited, of the kernel */
	uint64_t turn, wait_rate; /* of each ms it waits so many us for a CPU */
	uint64_t oldest, outstanding, waited;
	uint64_t run_rate, ran; /* of each ms it ran so many us */
	uint64_t steal_rate, stolen; /* of each ms so many us were stolen */
	bool fencing, poked, runnable;
	unsigned pokes;
};

static uint64_t run(struct world *w, uint64_t ns, enum health_verdict *v)
{
	uint64_t end = w->now + ns, at = w->now;

	while (w->now < end) {
		struct health_sample s = {.now = w->now, .fencing = w->fencing, .oldest_taken = w->oldest};

		if (w->turns)
			w->turn += 2;
		s.turn = w->sleeps ? w->turn & ~1ull : w->turn | 1;
		s.engine_outstanding = w->outstanding;
		s.waits = w->work;
		s.answered = w->poked && w->answers;
		w->poked = w->poked && !w->answers;
		s.cpu_wait_ns = w->waited;
		s.cpu_run_ns = w->ran;
		s.runnable = w->runnable;
		s.stolen_ns = w->stolen;
		w->asked += health_wants_wait(&w->h, &s, T);
		*v = health_step(&w->h, &s, T);
		if (*v == HEALTH_POKE) {
			w->poked = true;
			w->pokes++;
		} else if (*v != HEALTH_OK) {
			return w->now;
		}
		at = health_next(&w->h, w->now, w->standby, T);
		w->looks++;
		assert_true(at > w->now);
		w->waited += (at - w->now) / 1000 * w->wait_rate;
		w->ran += (at - w->now) / 1000 * w->run_rate;
		w->stolen += (at - w->now) / 1000 * w->steal_rate;
		w->now = at;
	}
	return 0;
}

/* A wait that goes on is not in the kernel's figures yet. */
static void one_that_waits_for_a_cpu_is_not_hung(void **state)
{
	struct world w = {.now = NS_PER_S, .runnable = true};
	enum health_verdict v;

	(void)state;
	assert_int_equal(run(&w, 2 * NS_PER_S, &v), 0);
	w.run_rate = 1000; /* it gets one, and does not answer: an endless loop */
	assert_true(run(&w, 2 * NS_PER_S, &v) > 0);
	assert_int_equal(v, HEALTH_HUNG);
}

static void a_busy_worker_is_left_alone(void **state)
{
	struct world w = {.now = NS_PER_S, .turns = true, .answers = true, .oldest = 7, .outstanding = 3};
	enum health_verdict v;

	(void)state;
	assert_int_equal(run(&w, 60 * NS_PER_S, &v), 0);
	assert_int_equal(w.pokes, 0);
}

static void a_sleeping_worker_is_poked_once_a_second(void **state)
{
	struct world w = {.now = NS_PER_S, .sleeps = true, .answers = true};
	enum health_verdict v;

	(void)state;
	assert_int_equal(run(&w, 60 * NS_PER_S, &v), 0);
	assert_in_range(w.pokes, 50, 60);
}

/* All day long nothing is asked of the kernel about it, and workers that began at different times are looked at together. */
static void a_sleeping_worker_costs_little(void **state)
{
	struct world w = {.now = NS_PER_S + 1234567, .sleeps = true, .answers = true};
	enum health_verdict v;

	(void)state;
	assert_int_equal(run(&w, 60 * NS_PER_S, &v), 0);
	assert_int_equal(w.asked, 0);
	assert_in_range(w.looks, 60 * NS_PER_S / T - 60, 60 * NS_PER_S / T + 60);
	assert_int_equal(w.now % (T / 4), 0);
	w.answers = false;
	assert_true(run(&w, 2 * NS_PER_S, &v) > 0);
	assert_in_range(w.asked, 1, 6);
}

static void awake_and_stuck_is_hung_within_the_bound(void **state)
{
	struct world w = {.now = NS_PER_S};
	enum health_verdict v;
	uint64_t at = run(&w, NS_PER_S, &v);

	(void)state;
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at - NS_PER_S, 2 * T, 2 * T + T / 2);
}

static void asleep_and_stuck_is_hung_after_a_second(void **state)
{
	struct world w = {.now = NS_PER_S, .sleeps = true};
	enum health_verdict v;
	uint64_t at = run(&w, 5 * NS_PER_S, &v);

	(void)state;
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at - NS_PER_S, HEALTH_IDLE_NS + T, HEALTH_IDLE_NS + 3 * T);
}

/* Poked as often, looked at seldom. */
static void a_standby_is_looked_at_seldom(void **state)
{
	struct world w = {.now = NS_PER_S, .sleeps = true, .answers = true, .standby = true};
	enum health_verdict v;
	uint64_t at;

	(void)state;
	assert_int_equal(run(&w, 60 * NS_PER_S, &v), 0);
	assert_in_range(w.pokes, 50, 60);
	assert_in_range(w.looks, 100, 200);
	w = (struct world){.now = NS_PER_S, .sleeps = true, .standby = true};
	at = run(&w, 5 * NS_PER_S, &v);
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at - NS_PER_S, HEALTH_IDLE_NS + T, HEALTH_IDLE_NS + 3 * T);
}

/* Work that waits hastens the question, and is no verdict: a guest can make it. */
static void asleep_with_work_is_asked_soon(void **state)
{
	struct world w = {.now = NS_PER_S, .sleeps = true, .work = true, .answers = true};
	enum health_verdict v;
	uint64_t at;

	(void)state;
	assert_int_equal(run(&w, 60 * NS_PER_S, &v), 0);
	assert_in_range(w.pokes, 300, 1200);
	w = (struct world){.now = NS_PER_S, .sleeps = true, .work = true};
	at = run(&w, 5 * NS_PER_S, &v);
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at - NS_PER_S, 2 * T, 3 * T);
}

static void a_worker_that_gets_no_cpu_is_not_hung(void **state)
{
	struct world w = {.now = NS_PER_S, .wait_rate = 1000};
	enum health_verdict v;
	uint64_t at = run(&w, 30 * NS_PER_S, &v);

	(void)state;
	/* Only when it starved for longer than anybody believes. */
	assert_int_equal(v, HEALTH_HUNG);
	assert_true(at - NS_PER_S >= HEALTH_STARVED_NS);
	w = (struct world){.now = NS_PER_S, .wait_rate = 500}; /* half of the time: twice as long until judged */
	at = run(&w, 30 * NS_PER_S, &v);
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at - NS_PER_S, 3 * T, 4 * T);
}

/* Its CPU is not run by the hypervisor, which its own figures do not show: neither that it waits nor that it does not run. */
static void a_stolen_cpu_is_no_hang(void **state)
{
	struct world w = {.now = NS_PER_S, .steal_rate = 900, .runnable = true, .run_rate = 1000};
	enum health_verdict v;
	uint64_t at;

	(void)state;
	assert_int_equal(run(&w, 8 * T, &v), 0);
	assert_int_equal(w.pokes, 1);
	w.steal_rate = 0;
	at = w.now;
	assert_true(run(&w, 10 * T, &v) > 0);
	assert_int_equal(v, HEALTH_HUNG);
	assert_true(w.now - at <= 2 * T);
	/* Nor does a host that steals for ever hide a hang for ever. */
	w = (struct world){.now = NS_PER_S, .steal_rate = 1000};
	at = run(&w, 10 * NS_PER_S, &v);
	assert_int_equal(v, HEALTH_HUNG);
	assert_in_range(at, NS_PER_S + HEALTH_STARVED_NS, NS_PER_S + HEALTH_STARVED_NS + 4 * T);
}

static void the_worst_cpu_counts(void **state)
{
	struct health_steal s = {0};

	(void)state;
	health_stolen(&s, (const uint64_t[]){5000, 7000}, 2);
	assert_int_equal(s.total, 0); /* before anybody looked */
	health_stolen(&s, (const uint64_t[]){5010, 7300}, 2);
	assert_int_equal(s.total, 300);
	health_stolen(&s, (const uint64_t[]){5030, 7300, 90000}, 3); /* a CPU that has just come */
	assert_int_equal(s.total, 320);
	health_stolen(&s, (const uint64_t[]){0, 7301, 90000}, 3); /* one that has gone */
	assert_int_equal(s.total, 321);
	health_stolen(&s, NULL, 0);
	assert_int_equal(s.total, 321);
}

static void the_kernel_tells_of_every_cpu(void **state)
{
	uint64_t ns[HEALTH_CPUS], later[HEALTH_CPUS];
	unsigned n = procs_stolen(ns, HEALTH_CPUS);

	(void)state;
	assert_in_range(n, sysconf(_SC_NPROCESSORS_ONLN), HEALTH_CPUS);
	assert_int_equal(procs_stolen(later, HEALTH_CPUS), n);
	for (unsigned i = 0; i < n; i++)
		assert_true(later[i] >= ns[i]);
	assert_int_equal(procs_stolen(ns, 1), 1);
}

static void slow_storage_is_no_fault(void **state)
{
	struct world w = {.now = NS_PER_S, .sleeps = true, .answers = true, .oldest = 7, .outstanding = 1};
	enum health_verdict v;

	(void)state;
	assert_int_equal(run(&w, 300 * NS_PER_S, &v), 0);
}

static void turning_without_progress_is_livelock(void **state)
{
	struct world w = {.now = NS_PER_S, .turns = true, .answers = true, .oldest = 7};
	enum health_verdict v;
	uint64_t at = run(&w, 30 * NS_PER_S, &v);

	(void)state;
	assert_int_equal(v, HEALTH_LIVELOCK);
	assert_in_range(at - NS_PER_S, HEALTH_LIVELOCK_NS, HEALTH_LIVELOCK_NS + 2 * T);
	w = (struct world){.now = NS_PER_S, .turns = true, .answers = true, .oldest = 7, .fencing = true};
	assert_int_equal(run(&w, 30 * NS_PER_S, &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_worker_is_left_alone), cmocka_unit_test(one_that_waits_for_a_cpu_is_not_hung),
		cmocka_unit_test(a_sleeping_worker_is_poked_once_a_second),
		cmocka_unit_test(a_sleeping_worker_costs_little), cmocka_unit_test(awake_and_stuck_is_hung_within_the_bound),
		cmocka_unit_test(asleep_and_stuck_is_hung_after_a_second),
		cmocka_unit_test(asleep_with_work_is_asked_soon),
		cmocka_unit_test(a_standby_is_looked_at_seldom),
		cmocka_unit_test(a_worker_that_gets_no_cpu_is_not_hung),
		cmocka_unit_test(a_stolen_cpu_is_no_hang), cmocka_unit_test(the_worst_cpu_counts),
		cmocka_unit_test(the_kernel_tells_of_every_cpu),
		cmocka_unit_test(slow_storage_is_no_fault),
		cmocka_unit_test(turning_without_progress_is_livelock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
