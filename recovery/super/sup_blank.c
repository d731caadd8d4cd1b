/* The blank stub: one process of the stub's program that runs already, for whichever device loses its stub without a standby first.
 * Exec and the C library's start cost more than half of a plain restart; nothing of a device is in it before it is taken. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_NS (5 * NS_PER_MS) /* after a start: what was started goes first */
#define LATE_NS NS_PER_S	/* after a death */

static void program(const struct sup *s, char file[PATH_MAX]) { snprintf(file, PATH_MAX, "%s/bulkhead-blk", s->o.libexec); }

static void let_go(struct sup *s)
{
	struct sup_blank *b = &s->blank;

	loop_fd_stop(s->loop, &b->on_death);
	loop_fd_stop(s->loop, &b->on_msg);
	b->pid = 0;
	b->ready = false;
}

/* It has ended. */
static void drop(struct sup *s)
{
	let_go(s);
	close(s->blank.pidfd);
	close(s->blank.ctl);
	if (s->blank.far >= 0)
		close(s->blank.far);
}

static void again(struct loop_timer *t);

static void gone(struct loop_fd *w, uint32_t events)
{
	struct sup *s = CONTAINER_OF(w, struct sup, blank.on_death);

	(void)events;
	waitid(P_PIDFD, (id_t)s->blank.pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	drop(s);
	loop_timer_start(s->loop, &s->blank.again, clock_now() + LATE_NS, again);
}

/* Whatever else it says means nothing. */
static void said(struct loop_fd *w, uint32_t events)
{
	struct sup *s = CONTAINER_OF(w, struct sup, blank.on_msg);
	struct stub_msg m;
	ssize_t n = fdmsg_recv(s->blank.ctl, &m, sizeof(m), NULL, NULL);

	if (n == (ssize_t)sizeof(m) && m.type == STUB_BLANK)
		s->blank.ready = true;
	else if (events & EPOLLHUP)
		loop_fd_stop(s->loop, &s->blank.on_msg);
}

static void again(struct loop_timer *t)
{
	static const char *const argv[] = {"bulkhead-blk", STUB_BLANK_ARG, NULL};
	struct sup *s = CONTAINER_OF(t, struct sup, blank.again);
	struct sup_blank *b = &s->blank;
	char file[PATH_MAX];
	const struct spawn_plan plan = {.file = file, .argv = argv};
	struct spawned out;
	int rc;

	if (b->pid || s->stopping)
		return;
	program(s, file);
	rc = stat(file, &b->program) ? -errno : sup_spawn(&plan, &out);
	if (rc) {
		log_warn("no blank stub can be started: %s", err_str(rc));
		loop_timer_start(s->loop, &b->again, clock_now() + LATE_NS, again);
		return;
	}
	b->pid = out.pid;
	b->pidfd = out.pidfd;
	b->ctl = out.ctl;
	b->far = out.far;
	if (loop_fd_start(s->loop, &b->on_death, b->pidfd, EPOLLIN, gone) || loop_fd_start(s->loop, &b->on_msg, b->ctl, EPOLLIN, said))
		sup_blank_end(s);
}

void sup_blank_want(struct sup *s)
{
	if (!s->blank.pid && !s->blank.again.active)
		loop_timer_start(s->loop, &s->blank.again, clock_now() + SOON_NS, again);
}

/* After an upgrade the blank one is of the former program. */
static bool outdated(const struct sup *s)
{
	const struct stat *was = &s->blank.program;
	char file[PATH_MAX];
	struct stat now;

	program(s, file);
	return stat(file, &now) || now.st_ino != was->st_ino || now.st_dev != was->st_dev || now.st_size != was->st_size ||
	       now.st_mtim.tv_sec != was->st_mtim.tv_sec || now.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

int sup_blank_take(struct sup *s, const struct spawn_plan *p, struct spawned *out)
{
	struct stub_adopt m = {.nfds = (uint32_t)p->npass + 1};
	int fds[STUB_ADOPT_FDS], rc;

	if (!s->blank.ready || p->npass >= STUB_ADOPT_FDS)
		return -EAGAIN;
	if (outdated(s)) {
		kill(s->blank.pid, SIGKILL); /* not reaped yet: the number is its own */
		return -EAGAIN;
	}
	fds[0] = sup_spawn_record(p);
	if (fds[0] < 0)
		return fds[0];
	for (size_t i = 0; i < p->npass; i++)
		m.number[i + 1] = fds[i + 1] = p->pass[i];
	rc = fdmsg_send(s->blank.ctl, &m, sizeof(m), fds, m.nfds);
	close(fds[0]);
	if (rc)
		return rc;
	*out = (struct spawned){.pid = s->blank.pid, .pidfd = s->blank.pidfd, .ctl = s->blank.ctl, .far = s->blank.far};
	let_go(s);
	return 0;
}

void sup_blank_end(struct sup *s)
{
	loop_timer_stop(s->loop, &s->blank.again);
	if (!s->blank.pid)
		return;
	kill(s->blank.pid, SIGKILL);
	waitid(P_PIDFD, (id_t)s->blank.pidfd, &(siginfo_t){0}, WEXITED);
	drop(s);
}
