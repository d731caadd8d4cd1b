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

static void program(const struct sup_blank *b, char file[PATH_MAX])
{
	snprintf(file, PATH_MAX, "%s/%s", b->sup->o.libexec, b->class->program);
}

/* The one of that kind. */
static struct sup_blank *of(struct sup *s, const struct sup_class *class)
{
	struct sup_blank *b = s->blank;

	while (sup_classes[b - s->blank] != class)
		b++;
	b->sup = s;
	b->class = class;
	return b;
}

static void let_go(struct sup_blank *b)
{
	loop_fd_stop(b->sup->loop, &b->on_death);
	loop_fd_stop(b->sup->loop, &b->on_msg);
	b->pid = 0;
	b->ready = false;
}

/* It has ended. */
static void drop(struct sup_blank *b)
{
	let_go(b);
	close(b->pidfd);
	close(b->ctl);
	if (b->far >= 0)
		close(b->far);
}

static void again(struct loop_timer *t);

static void gone(struct loop_fd *w, uint32_t events)
{
	struct sup_blank *b = CONTAINER_OF(w, struct sup_blank, on_death);

	(void)events;
	waitid(P_PIDFD, (id_t)b->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	drop(b);
	loop_timer_start(b->sup->loop, &b->again, clock_now() + LATE_NS, again);
}

/* Whatever else it says means nothing. */
static void said(struct loop_fd *w, uint32_t events)
{
	struct sup_blank *b = CONTAINER_OF(w, struct sup_blank, on_msg);
	struct stub_msg m;
	ssize_t n = fdmsg_recv(b->ctl, &m, sizeof(m), NULL, NULL);

	if (n == (ssize_t)sizeof(m) && m.type == STUB_BLANK)
		b->ready = true;
	else if (events & EPOLLHUP)
		loop_fd_stop(b->sup->loop, &b->on_msg);
}

static void end(struct sup_blank *b)
{
	kill(b->pid, SIGKILL);
	waitid(P_PIDFD, (id_t)b->pidfd, &(siginfo_t){0}, WEXITED);
	drop(b);
}

static void again(struct loop_timer *t)
{
	struct sup_blank *b = CONTAINER_OF(t, struct sup_blank, again);
	const char *const argv[] = {b->class->program, STUB_BLANK_ARG, NULL};
	struct sup *s = b->sup;
	char file[PATH_MAX];
	const struct spawn_plan plan = {.file = file, .argv = argv};
	struct spawned out;
	int rc;

	if (b->pid || s->stopping)
		return;
	program(b, file);
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
		end(b);
}

void sup_blank_want(struct sup *s, const struct sup_class *class)
{
	struct sup_blank *b = of(s, class);

	if (!b->pid && !b->again.active)
		loop_timer_start(s->loop, &b->again, clock_now() + SOON_NS, again);
}

/* After an upgrade the blank one is of the former program. */
static bool outdated(const struct sup_blank *b)
{
	const struct stat *was = &b->program;
	char file[PATH_MAX];
	struct stat now;

	program(b, file);
	return stat(file, &now) || now.st_ino != was->st_ino || now.st_dev != was->st_dev || now.st_size != was->st_size ||
	       now.st_mtim.tv_sec != was->st_mtim.tv_sec || now.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

int sup_blank_take(struct sup *s, const struct sup_class *class, const struct spawn_plan *p, struct spawned *out)
{
	struct stub_adopt m = {.nfds = (uint32_t)p->npass + 1};
	struct sup_blank *b = of(s, class);
	int fds[STUB_ADOPT_FDS], rc;

	if (!b->ready || p->npass >= STUB_ADOPT_FDS)
		return -EAGAIN;
	if (outdated(b)) {
		kill(b->pid, SIGKILL); /* not reaped yet: the number is its own */
		return -EAGAIN;
	}
	fds[0] = sup_spawn_record(p);
	if (fds[0] < 0)
		return fds[0];
	for (size_t i = 0; i < p->npass; i++)
		m.number[i + 1] = fds[i + 1] = p->pass[i];
	rc = fdmsg_send(b->ctl, &m, sizeof(m), fds, m.nfds);
	close(fds[0]);
	if (rc)
		return rc;
	*out = (struct spawned){.pid = b->pid, .pidfd = b->pidfd, .ctl = b->ctl, .far = b->far};
	let_go(b);
	return 0;
}

void sup_blank_end(struct sup *s)
{
	for (unsigned i = 0; i < SUP_CLASSES; i++) {
		loop_timer_stop(s->loop, &s->blank[i].again);
		if (s->blank[i].pid)
			end(&s->blank[i]);
	}
}

bool sup_blank_is(const struct sup *s, pid_t pid)
{
	for (unsigned i = 0; i < SUP_CLASSES; i++)
		if (s->blank[i].pid == pid)
			return true;
	return false;
}
