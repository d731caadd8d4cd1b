#include "recovery/super/keep_serv.h"

#include "ring/base/base.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "recovery/super/procs.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MS 10
#define BACKOFF_MAX_MS 5000

extern char **environ;

static void start(struct serv *v);
static void stop_next(struct servs *s);

static uint64_t backoff_ns(unsigned fails)
{
	uint64_t ms = fails < 2 ? 0 : BACKOFF_MS << MIN(fails - 2, 16u);

	return MIN(ms, (uint64_t)BACKOFF_MAX_MS) * NS_PER_MS;
}

static void start_due(struct loop_timer *t) { start(CONTAINER_OF(t, struct serv, timer)); }

static void start_later(struct serv *v)
{
	uint64_t now = clock_now();

	if (now - v->started > SERV_SETTLED_MS * NS_PER_MS)
		v->fails = 0;
	v->fails++;
	loop_timer_start(v->all->loop, &v->timer, now + backoff_ns(v->fails), start_due);
}

/* The child gets an empty signal mask and default dispositions: signals blocked for a signalfd would stay blocked. */
static void start(struct serv *v)
{
	posix_spawnattr_t attr;
	sigset_t none, all;
	pid_t pid;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = posix_spawn(&pid, v->file, NULL, &attr, (char *const *)(uintptr_t)v->argv, environ);
	posix_spawnattr_destroy(&attr);
	v->started = clock_now();
	if (rc) {
		log_error("can not start %s (%s): %s", v->name, v->file, strerror(rc));
		start_later(v);
		return;
	}
	v->pid = pid;
	log_info("%s started, pid %d", v->name, (int)pid);
}

static void ended(struct serv *v, const siginfo_t *si)
{
	struct servs *s = v->all;
	bool exited = si->si_code == CLD_EXITED;

	loop_timer_stop(s->loop, &v->timer);
	v->pid = 0;
	if (s->stopping) {
		stop_next(s);
		return;
	}
	log_msg(v->vital ? LOG_LVL_ERROR : LOG_LVL_WARN, "%s (pid %d) %s %d%s", v->name, (int)si->si_pid,
		exited ? "exited with status" : "was killed by signal", si->si_status,
		v->vital ? ": every guest of this world has lost its memory; starting it again" : "; starting it again");
	if (exited && (si->si_status == EXIT_PERMANENT || si->si_status == EXIT_USAGE)) {
		log_error("%s says that it can not run: stopping everything", v->name);
		s->status = si->si_status;
		servs_stop(s);
		return;
	}
	start_later(v);
}

/* Reaps services and whatever was orphaned to us: stubs whose supervisor died. */
static void on_child(int signo, void *arg)
{
	struct servs *s = (struct servs *)arg;
	siginfo_t si;

	(void)signo;
	for (;;) {
		unsigned i;

		memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
			return;
		for (i = 0; i < s->n; i++)
			if (s->serv[i].pid == si.si_pid)
				break;
		if (i < s->n)
			ended(&s->serv[i], &si);
		else
			log_debug("orphan %d ended (%d)", (int)si.si_pid, si.si_status);
	}
}

int servs_start(struct servs *s)
{
	int rc = loop_signal(s->loop, SIGCHLD, on_child, s);

	for (unsigned i = 0; i < s->n && !rc; i++) {
		s->serv[i].all = s;
		start(&s->serv[i]);
	}
	return rc;
}

static void kill_due(struct loop_timer *t)
{
	struct serv *v = CONTAINER_OF(t, struct serv, timer);

	log_warn("%s does not stop: killing it", v->name);
	kill(v->pid, SIGKILL);
}

/* After the supervisor: no stub may be left when hub and store go. */
static void kill_orphan(pid_t pid, void *arg)
{
	struct servs *s = (struct servs *)arg;

	for (unsigned i = 0; i < s->n; i++)
		if (s->serv[i].pid == pid)
			return;
	kill(pid, SIGKILL);
}

static void stop_next(struct servs *s)
{
	unsigned i = s->n;

	while (i > 0 && !s->serv[i - 1].pid)
		loop_timer_stop(s->loop, &s->serv[--i].timer);
	if (i < s->n)
		procs_children(getpid(), kill_orphan, s);
	if (i == 0) {
		s->done(s);
		return;
	}
	if (s->serv[i - 1].killed)
		return;
	s->serv[i - 1].killed = true;
	kill(s->serv[i - 1].pid, SIGTERM);
	loop_timer_start(s->loop, &s->serv[i - 1].timer, clock_now() + SERV_STOP_MS * NS_PER_MS, kill_due);
}

void servs_stop(struct servs *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	stop_next(s);
}
