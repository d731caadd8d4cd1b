/* A worker's loop around a queue that does what it is told, and the control socket's sender. */
#include "backend/core/be_worker.h"

#include "ring/base/barrier.h"
#include "ring/hv/hv_ops.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_NS (10 * NS_PER_S)

/* ---- a port and a class that only count */

struct fake_port {
	struct hv_port port;
	struct hv hv;
	int fd;
	unsigned cleared;
};

static int fake_fd(const struct hv_port *p) { return CONTAINER_OF(p, struct fake_port, port)->fd; }

static int fake_clear(struct hv_port *p)
{
	struct fake_port *f = CONTAINER_OF(p, struct fake_port, port);
	uint64_t v;

	fetch_add_relaxed(&f->cleared, 1);
	return read(f->fd, &v, sizeof(v)) > 0;
}

static const struct hv_ops fake_ops = {.name = "fake", .port_fd = fake_fd, .port_clear = fake_clear};

struct be_queue {
	int work;	    /* turns that will find something */
	int keep_busy;	    /* finds something always */
	unsigned verdict;   /* beside BUSY */
	unsigned turns, sleeps;
	uint64_t deadline; /* 0: none */
	int is_awake, drained;
};

static unsigned turn(struct be_queue *q, unsigned budget)
{
	assert_true(budget > 0);
	fetch_add_relaxed(&q->turns, 1);
	if (load_relaxed(&q->keep_busy))
		return BE_BUSY;
	if (load_relaxed(&q->work) > 0) {
		fetch_add_relaxed(&q->work, -1);
		return BE_BUSY;
	}
	return load_relaxed(&q->verdict);
}

static int arm(struct be_queue *q) { return load_relaxed(&q->work) > 0; }
static int storage_fd(struct be_queue *q UNUSED, short *events UNUSED) { return -1; }
static uint64_t deadline(struct be_queue *q) { return load_relaxed(&q->deadline) ? load_relaxed(&q->deadline) : UINT64_MAX; }
static void awake(struct be_queue *q) { store_relaxed(&q->is_awake, 1); }
static int drained(struct be_queue *q) { return load_relaxed(&q->drained); }

static void asleep(struct be_queue *q)
{
	store_relaxed(&q->is_awake, 0);
	fetch_add_relaxed(&q->sleeps, 1);
}

static const struct be_class fake_class = {
	.turn = turn, .arm = arm, .storage_fd = storage_fd, .deadline = deadline, .awake = awake, .asleep = asleep, .drained = drained};

/* ---- a worker with all around it; threads have no end, so each stays until the program's */

struct bench {
	struct be_worker w;
	struct be_queue q;
	struct fake_port port, more[2];
	struct be_ctl ctl;
	struct be_config_slot config;
	int ctl_other, poke;
};

static void open_port(struct fake_port *p)
{
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->hv.ops = &fake_ops;
	p->port.hv = &p->hv;
}

static struct bench *setup(uint32_t poll_us)
{
	struct bench *b = calloc(1, sizeof(*b));
	int ctl[2], poke[2];

	assert_non_null(b);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, poke), 0);
	assert_int_equal(be_ctl_open(&b->ctl, ctl[0]), 0);
	assert_int_equal(be_config_publish(&b->config, &(struct be_config){.poll_us = poll_us}), 0);
	b->ctl_other = ctl[1];
	b->poke = poke[1];
	open_port(&b->port);
	open_port(&b->more[0]);
	open_port(&b->more[1]);
	b->w = (struct be_worker){.class = &fake_class, .queue = &b->q, .config = &b->config, .ctl = &b->ctl,
				  .port = {&b->port.port, &b->more[0].port, &b->more[1].port}, .poke_fd = poke[0]};
	assert_int_equal(be_worker_start(&b->w), 0);
	return b;
}

static void pause_briefly(void) { nanosleep(&(struct timespec){0, 100000}, NULL); }

#define UNTIL(cond)                                                      \
	do {                                                             \
		uint64_t until_ = clock_now() + DEADLINE_NS;             \
		while (!(cond)) {                                        \
			if (clock_now() > until_)                        \
				fail_msg("never came true: %s", #cond);  \
			pause_briefly();                                 \
		}                                                        \
	} while (0)

static void poke_is_answered(struct bench *b)
{
	struct pollfd p = {.fd = b->poke, .events = POLLIN};
	char c = 'x';

	assert_int_equal(send(b->poke, "p", 1, 0), 1);
	assert_int_equal(poll(&p, 1, DEADLINE_NS / NS_PER_MS), 1);
	assert_int_equal(recv(b->poke, &c, 1, 0), 1);
	assert_int_equal(c, 'p');
	assert_int_equal(recv(b->poke, &c, 1, MSG_DONTWAIT), -1); /* one for one */
}

static void notify(struct bench *b)
{
	const uint64_t one = 1;

	assert_int_equal(write(b->port.fd, &one, sizeof(one)), sizeof(one));
}

static void parked_until_released(void **state)
{
	struct bench *b = setup(0);

	(void)state;
	notify(b);
	poke_is_answered(b);
	assert_int_equal(load_relaxed(&b->q.turns), 0);
	assert_true(be_worker_ended(&b->w));
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.turns) > 0);
	assert_false(be_worker_ended(&b->w));
	poke_is_answered(b);
}

/* While another thread turns the queue, the worker must not vouch for it. */
static void silent_while_its_queue_is_lent(void **state)
{
	struct bench *b = setup(0);
	struct pollfd p = {.fd = b->poke, .events = POLLIN};
	char c;

	(void)state;
	store_relaxed(&b->q.keep_busy, 1);
	assert_int_equal(be_worker_turn(&b->w, 1), BE_BUSY);
	assert_int_equal(load_relaxed(&b->q.is_awake), 1);
	be_worker_call(&b->w);
	UNTIL(be_worker_arrived(&b->w));
	assert_int_equal(send(b->poke, "p", 1, 0), 1);
	assert_int_equal(poll(&p, 1, 20), 0);
	assert_int_equal(be_worker_turn(&b->w, 1), BE_BUSY);
	assert_int_equal(load_relaxed(&b->q.turns), 2);
	assert_false(be_worker_released(&b->w));
	be_worker_release(&b->w);
	assert_int_equal(poll(&p, 1, DEADLINE_NS / NS_PER_MS), 1);
	assert_int_equal(recv(b->poke, &c, 1, 0), 1);
	UNTIL(load_relaxed(&b->q.turns) > 100);
	store_relaxed(&b->q.keep_busy, 0);
	UNTIL(!load_relaxed(&b->q.is_awake));
}

static void wakes_for_the_guest_and_sleeps_again(void **state)
{
	struct bench *b = setup(0);

	(void)state;
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.sleeps) > 0);
	for (int i = 1; i <= 50; i++) {
		store_relaxed(&b->q.work, 3);
		notify(b);
		UNTIL(load_relaxed(&b->q.work) == 0 && !load_relaxed(&b->q.is_awake));
	}
	/* Work that it saw before it slept comes with an event that is read later, perhaps together with the next one. */
	assert_in_range(load_relaxed(&b->port.cleared), 25, 50);
}

static void pokes_are_answered_asleep_and_busy(void **state)
{
	struct bench *b = setup(20);

	(void)state;
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.sleeps) > 0);
	for (int i = 0; i < 20; i++)
		poke_is_answered(b);
	store_relaxed(&b->q.keep_busy, 1);
	notify(b);
	UNTIL(load_relaxed(&b->q.turns) > 1000);
	for (int i = 0; i < 20; i++)
		poke_is_answered(b);
	assert_int_equal(send(b->poke, "abcdefghijklmnopqrstuvwxyz", 26, 0), 26);
	for (int got = 0; got < 26;) {
		char c[32];
		ssize_t n = recv(b->poke, c, sizeof(c), 0);

		assert_true(n > 0);
		got += (int)n;
	}
	close(b->poke); /* nobody asks any more: goes on */
	b->poke = -1;
	store_relaxed(&b->q.turns, 0);
	UNTIL(load_relaxed(&b->q.turns) > 1000);
	store_relaxed(&b->q.keep_busy, 0);
	UNTIL(!load_relaxed(&b->q.is_awake));
}

static uint64_t thread_cpu_ns(pthread_t t)
{
	struct timespec ts;
	clockid_t c;

	assert_int_equal(pthread_getcpuclockid(t, &c), 0);
	assert_int_equal(clock_gettime(c, &ts), 0);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void idle_it_uses_no_processor(void **state)
{
	struct bench *b = setup(1000);
	uint64_t cpu;
	unsigned turns;

	(void)state;
	be_worker_release(&b->w);
	for (int i = 0; i < 200; i++) { /* teaches it to poll */
		fetch_add_relaxed(&b->q.work, 1);
		notify(b);
		UNTIL(load_relaxed(&b->q.work) == 0);
	}
	UNTIL(!load_relaxed(&b->q.is_awake));
	cpu = thread_cpu_ns(b->w.thread);
	turns = load_relaxed(&b->q.turns);
	nanosleep(&(struct timespec){0, 200000000}, NULL); /* the span that is measured */
	assert_in_range(load_relaxed(&b->q.turns) - turns, 0, 1); /* the last notification may have come after the last look */
	assert_true(thread_cpu_ns(b->w.thread) - cpu < NS_PER_MS);
}

/* A guest that kicks as fast as it can, with nothing on its ring; then with something. */
static void events_for_nothing_are_looked_at_seldom(void **state)
{
	struct bench *b = setup(0);
	unsigned turns, sent = 0;
	uint64_t from;

	(void)state;
	be_worker_release(&b->w);
	UNTIL(!load_relaxed(&b->q.is_awake));
	turns = load_relaxed(&b->q.turns);
	for (from = clock_now(); clock_now() - from < 300 * NS_PER_MS; sent++)
		notify(b);
	assert_true(sent > 5000);
	/* A sender that is kept from its processor for a while ends a storm, and the next one is heard at first. */
	print_message("%u events, %u turns\n", sent, load_relaxed(&b->q.turns) - turns);
	assert_true((load_relaxed(&b->q.turns) - turns) * 4 < sent);
	for (int i = 0; i < 100; i++) {
		store_relaxed(&b->q.work, 1);
		notify(b);
		UNTIL(load_relaxed(&b->q.work) == 0);
	}
	UNTIL(!load_relaxed(&b->q.is_awake));
}

static void every_port_wakes_it(void **state)
{
	struct bench *b = setup(0);
	const uint64_t one = 1;

	(void)state;
	be_worker_release(&b->w);
	for (int i = 0; i < 2; i++) {
		UNTIL(!load_relaxed(&b->q.is_awake));
		store_relaxed(&b->q.work, 1);
		assert_int_equal(write(b->more[i].fd, &one, sizeof(one)), sizeof(one));
		UNTIL(load_relaxed(&b->q.work) == 0);
		/* The work may be seen in the last look before the sleep, which the event then ends. */
		UNTIL(load_relaxed(&b->more[i].cleared) > 0);
	}
}

static void turns_at_its_deadline_without_an_event(void **state)
{
	struct bench *b = setup(0);
	uint64_t from = clock_now();

	(void)state;
	store_relaxed(&b->q.deadline, from + 20 * NS_PER_MS);
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.sleeps) > 0);
	store_relaxed(&b->q.deadline, 0);
	store_relaxed(&b->q.work, 1);
	UNTIL(load_relaxed(&b->q.work) == 0);
	assert_true(clock_now() - from >= 20 * NS_PER_MS);
	UNTIL(!load_relaxed(&b->q.is_awake));
	be_worker_wake(&b->w);
	store_relaxed(&b->q.work, 1);
	be_worker_wake(&b->w);
	UNTIL(load_relaxed(&b->q.work) == 0);
}

static void waits_for_a_fence_without_an_event(void **state)
{
	struct bench *b = setup(0);
	uint64_t cpu, from;

	(void)state;
	store_relaxed(&b->q.verdict, BE_POLL_FENCE);
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.turns) > 200);
	from = clock_now();
	cpu = thread_cpu_ns(b->w.thread);
	UNTIL(clock_now() - from > 100 * NS_PER_MS);
	assert_true(thread_cpu_ns(b->w.thread) - cpu < 50 * NS_PER_MS);
	store_relaxed(&b->q.verdict, 0);
	UNTIL(!load_relaxed(&b->q.is_awake));
}

static void drained_when_all_is_answered(void **state)
{
	struct bench *b = setup(0);
	unsigned turns;

	(void)state;
	be_worker_release(&b->w);
	UNTIL(load_relaxed(&b->q.sleeps) > 0);
	be_worker_drain(&b->w);
	UNTIL(load_relaxed(&b->q.turns) > 1);
	assert_false(be_worker_ended(&b->w));
	store_relaxed(&b->q.drained, 1);
	notify(b);
	be_ctl_sleep(&b->ctl, DEADLINE_NS); /* is woken by it */
	UNTIL(be_worker_ended(&b->w));
	assert_false(be_worker_halted(&b->w));
	turns = load_relaxed(&b->q.turns);
	notify(b);
	poke_is_answered(b);
	assert_int_equal(load_relaxed(&b->q.turns), turns);
}

static void halted_for_ever(void **state)
{
	struct bench *b = setup(0);
	unsigned turns;

	(void)state;
	store_relaxed(&b->q.verdict, BE_HALTED);
	be_worker_release(&b->w);
	UNTIL(be_worker_halted(&b->w));
	assert_true(be_worker_ended(&b->w));
	turns = load_relaxed(&b->q.turns);
	notify(b);
	poke_is_answered(b);
	poke_is_answered(b);
	assert_int_equal(load_relaxed(&b->q.turns), turns);
	assert_false(load_relaxed(&b->q.is_awake));
}

static void a_new_configuration_is_taken_up(void **state)
{
	struct bench *b = setup(0);

	(void)state;
	store_relaxed(&b->q.keep_busy, 1);
	be_worker_release(&b->w);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(be_config_publish(&b->config, &(struct be_config){.poll_us = i}), 0);
	store_relaxed(&b->q.turns, 0);
	UNTIL(load_relaxed(&b->q.turns) > 100);
	store_relaxed(&b->q.keep_busy, 0);
	UNTIL(!load_relaxed(&b->q.is_awake));
}

/* ---- the control socket */

static void messages_wait_for_room_in_order(void **state)
{
	struct be_ctl c;
	struct stub_msg m = {.type = STUB_FENCING}, got;
	int s[2], size = 1, sent = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(be_ctl_open(&c, s[0]), 0);
	while (c.kept < BE_CTL_KEPT) {
		m.serial = (uint64_t)sent++;
		be_ctl_send(&c, &m);
	}
	assert_true(sent > (int)BE_CTL_KEPT);
	be_ctl_sleep(&c, 0); /* eats the wake-up */
	for (int i = 0; i < sent; i++) {
		struct pollfd p = {.fd = s[1], .events = POLLIN};

		be_ctl_sleep(&c, 0);
		assert_int_equal(poll(&p, 1, 0), 1);
		assert_int_equal(recv(s[1], &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got.serial, i);
	}
	assert_int_equal(be_ctl_recv(&c, &got), 0);
	assert_int_equal(send(s[1], "short", 5, 0), 5);
	assert_int_equal(be_ctl_recv(&c, &got), 0);
	assert_int_equal(fdmsg_send(s[1], &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(be_ctl_recv(&c, &got), 1);
	close(s[1]);
	assert_int_equal(be_ctl_recv(&c, &got), -EPIPE);
	be_ctl_send(&c, &m); /* to nobody: no signal, nothing kept */
	assert_int_equal(c.kept, 0);
	be_ctl_sleep(&c, 0);
	assert_int_equal(be_ctl_recv(&c, &got), -EPIPE);
	close(c.wake_fd);
	close(s[0]);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(parked_until_released),
		cmocka_unit_test(silent_while_its_queue_is_lent),
		cmocka_unit_test(wakes_for_the_guest_and_sleeps_again),
		cmocka_unit_test(pokes_are_answered_asleep_and_busy),
		cmocka_unit_test(idle_it_uses_no_processor),
		cmocka_unit_test(events_for_nothing_are_looked_at_seldom),
		cmocka_unit_test(every_port_wakes_it),
		cmocka_unit_test(turns_at_its_deadline_without_an_event),
		cmocka_unit_test(waits_for_a_fence_without_an_event),
		cmocka_unit_test(drained_when_all_is_answered),
		cmocka_unit_test(halted_for_ever),
		cmocka_unit_test(a_new_configuration_is_taken_up),
		cmocka_unit_test(messages_wait_for_room_in_order),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
