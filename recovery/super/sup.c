/* The supervisor as a whole: its lock, its sources of events, its end. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEEPER_AGAIN_NS NS_PER_S
#define HUB_WAIT_NS (3 * NS_PER_S)

uint32_t sup_stub_uid(const struct sup *s, uint32_t domid)
{
	if (geteuid() != 0 || !s->o.uid_base)
		return 0;
	/* One that serves all domains is nobody's. */
	return s->o.uid_base + (s->o.placement == SUP_MONOLITHIC ? 0 : domid);
}

static int join(char *path, const struct sup *s, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", s->dirs.run, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int take_lock(struct sup *s, char *err, size_t size)
{
	char path[PATH_MAX], pid[32];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid()), rc = join(path, s, "bulkheadd.pid");

	if (rc)
		return rc;
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (s->lock < 0) {
		rc = -errno;
		snprintf(err, size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0) {
		snprintf(err, size, "another supervisor runs in %s", s->dirs.run);
		return -EBUSY;
	}
	if (ftruncate(s->lock, 0) < 0 || write(s->lock, pid, (size_t)n) != n)
		log_warn("%s can not be written", path);
	return 0;
}

/* ---- the keeper */

static void keeper_lost(struct keep_client *k);

static void keeper_again(struct loop_timer *t)
{
	struct sup *s = CONTAINER_OF(t, struct sup, keep_again);
	struct sup_group *g;
	struct sup_proc *p;
	struct sup_dev *d;
	char path[PATH_MAX];

	if (join(path, s, KEEP_SOCK) || keep_client_open(s->loop, path, keeper_lost, &s->keep) || keep_client_watch(&s->keep)) {
		loop_timer_start(s->loop, &s->keep_again, clock_now() + KEEPER_AGAIN_NS, keeper_again);
		return;
	}
	log_info("a keeper is there: everything is put into it");
	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			sup_conn_deposit(d);
	LIST_FOREACH(p, &s->procs, link)
		sup_proc_deposit(p);
	sup_held_deposit(s);
}

static void keeper_lost(struct keep_client *k)
{
	struct sup *s = CONTAINER_OF(k, struct sup, keep);

	log_error("the keeper is gone: until there is one again, a successor of this supervisor could adopt nothing");
	loop_timer_start(s->loop, &s->keep_again, clock_now() + KEEPER_AGAIN_NS, keeper_again);
}

/* ---- children: a stopped stub is a hung one; deaths are told by pidfds */

static void on_child(int signo, void *arg)
{
	struct sup *s = (struct sup *)arg;
	struct sup_proc *p;
	siginfo_t si;

	(void)signo;
	for (;;) {
		memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WSTOPPED | WNOHANG) < 0 || si.si_pid == 0)
			return;
		if (sup_blank_is(s, si.si_pid))
			kill(si.si_pid, SIGKILL);
		LIST_FOREACH(p, &s->procs, link)
			if (p->pid == si.si_pid && (p->asked || policy_may_kill_hung(&p->group->policy, clock_now()))) {
				p->hung = true;
				sup_proc_kill(p);
			}
	}
}

/* ---- all of it */

/* The hub may be starting, as we are: waited for, at the start only. */
static int open_provider(struct sup *s, char *err, size_t size)
{
	struct hv_open h = {.role = HV_SUPERVISOR, .runtime_dir = s->dirs.run};
	uint64_t until = clock_now() + HUB_WAIT_NS;
	int rc = strcmp(s->o.provider, "xen") == 0 ? xen_host_check("", err, size) : 0;

	if (rc)
		return rc;
	while ((rc = hv_open(s->o.provider, &h, &s->hv)) && (rc == -ENOENT || rc == -ECONNREFUSED) && clock_now() < until)
		nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
	if (rc) {
		snprintf(err, size, "provider %s: %s%s", s->o.provider, err_str(rc),
			 strcmp(s->o.provider, "local") == 0 ? " (does bulkhead-hub run in this runtime directory?)" : "");
		return rc;
	}
	return sup_domains_open(s);
}

static int open_sockets(struct sup *s, char *err, size_t size)
{
	char path[PATH_MAX];
	int rc = join(path, s, KEEP_SOCK);

	if (!rc && keep_client_open(s->loop, path, keeper_lost, &s->keep)) {
		log_warn("no keeper in %s: a successor of this supervisor could adopt nothing", s->dirs.run);
		loop_timer_start(s->loop, &s->keep_again, clock_now() + KEEPER_AGAIN_NS, keeper_again);
	}
	if (!rc)
		rc = join(path, s, CTL_SOCK);
	if (!rc)
		rc = ctl_server_open(s->loop, path, &sup_ctl_ops, s, &s->ctl);
	if (rc)
		snprintf(err, size, "%s: %s", path, err_str(rc));
	return rc;
}

int sup_open(struct loop *l, const struct sup_options *o, struct sup **out, char *err, size_t size)
{
	struct sup *s = calloc(1, sizeof(*s));
	struct ctl_event e = {.kind = CTL_EV_STARTED, .pid = getpid()};
	int rc;

	CHECK(s);
	*out = s;
	s->loop = l;
	s->o = *o;
	s->lock = s->keep.fd = -1;
	s->serial = clock_now(); /* above all that a predecessor gave */
	LIST_INIT(&s->groups);
	LIST_INIT(&s->procs);
	LIST_INIT(&s->held);
	rc = sup_dirs_open(o->dir, &s->dirs, err, size);
	if (!rc)
		rc = take_lock(s, err, size);
	if (!rc)
		rc = open_provider(s, err, size);
	if (!rc)
		rc = open_sockets(s, err, size);
	if (!rc)
		rc = loop_signal(l, SIGCHLD, on_child, s);
	if (rc)
		return rc;
	s->poll_us = sup_vbd_poll_us();
	sup_note_event(s, &e, SUP_QUIET);
	sup_adopt(s);
	sup_vif_leave_adopt(s);
	rc = keep_client_watch(&s->keep);
	if (!rc)
		rc = sup_bus_open(s, err, size);
	if (!rc)
		sup_domains_check(s);
	return rc;
}

static void stopped(struct loop_timer *t)
{
	struct sup *s = CONTAINER_OF(t, struct sup, stop_poll);
	struct sup_group *g;
	struct sup_dev *d, *next;

	LIST_FOREACH(g, &s->groups, link)
		for (d = LIST_FIRST(&g->devs); d; d = next) {
			next = LIST_NEXT(d, link);
			if (!sup_dev_has_procs(d))
				sup_dev_free(d);
		}
	if (LIST_EMPTY(&s->procs) && LIST_EMPTY(&s->held))
		loop_stop(s->loop);
	else
		loop_timer_start(s->loop, &s->stop_poll, clock_now() + 2 * NS_PER_MS, stopped);
}

void sup_stop(struct sup *s)
{
	struct sup_group *g;
	struct sup_dev *d;

	if (s->stopping)
		return;
	s->stopping = true;
	sup_blank_end(s);
	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link) {
			sup_bus_forget(d); /* the store goes as well; what it says of us is put right at the next start */
			sup_dev_event(d, SUP_EV_CLOSE);
		}
	loop_timer_start(s->loop, &s->stop_poll, clock_now() + NS_PER_MS, stopped);
}

void sup_close(struct sup *s)
{
	struct sup_group *g;
	struct sup_proc *p;
	struct sup_dev *d;

	if (!s)
		return;
	sup_blank_end(s);
	while ((p = LIST_FIRST(&s->procs)))
		sup_proc_free(p);
	while ((g = LIST_FIRST(&s->groups))) {
		while ((d = LIST_FIRST(&g->devs)))
			sup_dev_abandon(d);
		sup_group_free(g);
	}
	sup_held_close(s);
	sup_vif_leave_close(s);
	sup_bus_close(s);
	ctl_server_close(s->ctl);
	keep_client_close(&s->keep);
	sup_domains_close(s);
	hv_close(s->hv);
	if (s->stopping)
		sup_dirs_remove(&s->dirs);
	if (s->lock >= 0)
		close(s->lock);
	free(s);
}
