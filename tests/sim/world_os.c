#include "tests/sim/world_os.h"

#include "ring/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_BYTES (192u << 10)
#define ARENA_BYTES (256u << 20)

struct os_thread {
	struct os_proc *p;
	ucontext_t ctx;
	char *stack;
	void *(*fn)(void *arg);
	void *arg;
	enum { T_READY, T_BLOCKED, T_ENDED } state;
	bool timed_out, is_main;
	uint64_t wake, seen;
	bool (*cond)(void *arg);
	void *cond_arg;
};

const char *const os_kind_name[OS_KINDS] = {"hub", "store", "keeper", "supervisor", "stub", "probe", "guest", "toolstack", "bulkhead-vif"};

struct os os;
static struct os_thread threads[OS_THREADS];
static unsigned nthreads; /* of them in use */
static ucontext_t scheduler;
static char *arena, *stacks;
static size_t arena_used, arena_high;

/* ---- memory */

static void *map_big(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

void *os_alloc(size_t bytes)
{
	void *p = arena + arena_used;

	arena_used += (bytes + 63) & ~(size_t)63;
	CHECK(arena_used <= ARENA_BYTES);
	if (p < (void *)(arena + arena_high))
		memset(p, 0, MIN(bytes, (size_t)(arena + arena_high - (char *)p)));
	arena_high = MAX(arena_high, arena_used);
	return p;
}

void os_reset(uint64_t seed)
{
	if (!arena) {
		arena = map_big(ARENA_BYTES);
		stacks = map_big((size_t)OS_THREADS * STACK_BYTES);
	}
	arena_used = 0;
	nthreads = 0;
	os = (struct os){.rng.state = seed, .now = 1000 * NS_PER_S, .hash = 0xcbf29ce484222325ull, .preempt = 16};
	os_fd_reset();
	os_file_reset();
	os_sock_reset();
	os_tap_reset();
}

/* ---- switching */

struct os_proc *os_self(void) { return os.as ? os.as : os.cur ? os.cur->p : NULL; }

static void to_scheduler(void)
{
	struct os_thread *t = os.cur;

	swapcontext(&t->ctx, &scheduler);
}

static void exit_status(struct os_proc *p, int status)
{
	os_kill(p, CLD_EXITED, status & 0xff);
}

static void entry(void)
{
	struct os_thread *t = os.cur;

	if (t->is_main)
		exit_status(t->p, t->p->main(t->p->arg));
	else
		t->fn(t->arg);
	t->state = T_ENDED;
	os_wake();
	to_scheduler();
}

static void prepare(struct os_thread *t)
{
	getcontext(&t->ctx);
	t->ctx.uc_stack.ss_sp = t->stack;
	t->ctx.uc_stack.ss_size = STACK_BYTES;
	makecontext(&t->ctx, entry, 0);
}

static struct os_thread *thread_new(struct os_proc *p)
{
	struct os_thread *t = NULL;

	for (unsigned i = 0; i < nthreads && !t; i++)
		if (threads[i].state == T_ENDED && threads[i].p->state != OS_ALIVE && &threads[i] != os.cur)
			t = &threads[i];
	if (!t) {
		CHECK(nthreads < OS_THREADS);
		t = &threads[nthreads++];
	}
	*t = (struct os_thread){.p = p, .stack = stacks + (size_t)(t - threads) * STACK_BYTES};
	prepare(t);
	os_wake();
	return t;
}

static bool ended(void *arg) { return ((struct os_thread *)arg)->state == T_ENDED; }

/* ---- processes */

struct os_proc *os_spawn(enum os_kind kind, int ppid, int dev, int (*fn)(void *arg), void *arg)
{
	struct os_proc *p = os_alloc(sizeof(*p));

	CHECK(os.nprocs < OS_PROCS);
	p->pid = 100 + (int)os.nprocs;
	p->ppid = ppid;
	p->kind = kind;
	p->dev = dev;
	p->main = fn;
	p->arg = arg;
	os.proc[os.nprocs++] = p;
	thread_new(p)->is_main = true;
	return p;
}

struct os_proc *os_find(int pid)
{
	unsigned i = (unsigned)(pid - 100);

	return pid >= 100 && i < os.nprocs && os.proc[i]->state != OS_GONE ? os.proc[i] : NULL;
}

void os_kill(struct os_proc *p, int code, int status)
{
	struct os_thread *self = os.cur;

	if (p->state != OS_ALIVE)
		return;
	os.hash = (os.hash ^ (uint64_t)p->pid << 32 ^ (uint64_t)status) * 0x100000001b3ull;
	p->state = OS_DYING;
	p->code = code;
	p->status = status;
	p->release_at = os.now + crash_below(&os.rng, 4) * crash_below(&os.rng, 100000);
	for (unsigned i = 0; i < nthreads; i++)
		if (threads[i].p == p)
			threads[i].state = T_ENDED;
	os_wake();
	if (os.killed)
		os.killed(p);
	if (self && self->p == p)
		to_scheduler();
}

static void release(struct os_proc *p)
{
	struct os_proc *parent = os_find(p->ppid);

	p->state = OS_ZOMBIE;
	for (int fd = 0; fd < OS_FDS; fd++)
		if (p->fd[fd])
			os_file_put(p->fd[fd]);
	memset(p->fd, 0, sizeof(p->fd));
	for (unsigned i = 0; i < os.nprocs && os.init; i++)
		if (os.proc[i]->ppid == p->pid)
			os.proc[i]->ppid = os.init->pid;
	if (parent)
		parent->signals |= 1u << SIGCHLD;
	if (!parent || parent == os.init)
		p->state = OS_GONE; /* the keeper reaps all */
	os_wake();
	if (os.released)
		os.released(p);
}

/* ---- the scheduler */

static bool ready(struct os_thread *t)
{
	if (t->state == T_ENDED || t->p->stopped || t->p->frozen)
		return false;
	if (t->state == T_READY)
		return true;
	if (t->seen != os.gen) {
		t->seen = os.gen;
		if (t->cond && t->cond(t->cond_arg)) {
			t->state = T_READY;
			t->timed_out = false;
			return true;
		}
	}
	if (t->wake > os.now)
		return false;
	t->state = T_READY;
	t->timed_out = true;
	return true;
}

static uint64_t housekeeping(void)
{
	uint64_t next = os.tick ? os.tick() : UINT64_MAX;

	for (unsigned i = 0; i < os.nprocs; i++) {
		struct os_proc *p = os.proc[i];

		if (p->state != OS_DYING)
			continue;
		if (p->release_at <= os.now)
			release(p);
		else
			next = MIN(next, p->release_at);
	}
	return MIN(next, os_timers_next());
}

bool os_step(void)
{
	uint64_t next = housekeeping();
	struct os_thread *can[OS_THREADS];
	unsigned n = 0;

	for (unsigned i = 0; i < nthreads; i++)
		if (ready(&threads[i]))
			can[n++] = &threads[i];
	if (n == 0) {
		for (unsigned i = 0; i < nthreads; i++)
			if (threads[i].state == T_BLOCKED && !threads[i].p->stopped && !threads[i].p->frozen)
				next = MIN(next, threads[i].wake);
		if (next == UINT64_MAX)
			return false;
		os.now = MAX(os.now, next);
		os_wake();
		return true;
	}
	os.cur = can[n > 1 ? crash_below(&os.rng, n) : 0];
	os.switches++;
	swapcontext(&scheduler, &os.cur->ctx);
	os.cur = NULL;
	return true;
}

void os_yield(void)
{
	if (os.cur && !os.atomic)
		to_scheduler();
}

void os_point(unsigned what, unsigned cost_ns)
{
	struct os_proc *p = os_self();

	if (!p || os.atomic)
		return;
	os.steps++;
	os.now += cost_ns;
	os.hash = (os.hash ^ os.now ^ (uint64_t)p->pid << 40 ^ (uint64_t)what << 56) * 0x100000001b3ull;
	p->points++;
	if (p->kill_at && p->points >= p->kill_at) {
		p->injected = true;
		os_kill(p, CLD_KILLED, p->own_fault ? SIGSEGV : SIGKILL);
	}
	if (os.preempt && crash_below(&os.rng, os.preempt) == 0)
		to_scheduler();
}

bool os_wait(bool (*cond)(void *arg), void *arg, uint64_t until)
{
	struct os_thread *t = os.cur;

	CHECK(t);
	if (cond && cond(arg))
		return true;
	if (until <= os.now)
		return false;
	t->state = T_BLOCKED;
	t->cond = cond;
	t->cond_arg = arg;
	t->wake = until;
	t->seen = os.gen;
	to_scheduler();
	t->cond = NULL;
	return !t->timed_out;
}

/* ---- threads of one process */

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *a UNUSED, void *(*fn)(void *), void *arg)
{
	struct os_thread *t = thread_new(os.cur->p);

	t->fn = fn;
	t->arg = arg;
	*out = (pthread_t)(t - threads);
	os_point(1, OS_CALL_NS);
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret UNUSED)
{
	os_wait(ended, &threads[thread], UINT64_MAX);
	return 0;
}

/* Whoever holds it is another coroutine. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	while (pthread_mutex_trylock(m)) {
		CHECK(os.cur);
		os.now += OS_STORE_NS;
		to_scheduler();
	}
	return 0;
}

int __wrap_pthread_sigmask(int how UNUSED, const sigset_t *set UNUSED, sigset_t *old)
{
	if (old)
		sigemptyset(old);
	return 0;
}
