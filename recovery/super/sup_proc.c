/* Processes of stubs: started from a record, watched by pidfd, never trusted. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of each device an image or a steering map, a control ring's port, and of each queue two ports, one for poking, a netport's. */
#define PASS_MAX (STUB_DEVS_MAX * (1 + HV_PORT_FDS + CONN_QUEUES_MAX * (2 * HV_PORT_FDS + 2)))

struct sup_proc *sup_proc_new(struct sup *s, struct sup_group *g, unsigned ndevs)
{
	struct sup_proc *p = calloc(1, sizeof(*p) + ndevs * sizeof(p->dev[0]));

	CHECK(p);
	p->sup = s;
	p->group = g;
	p->ndevs = ndevs;
	p->pidfd = p->ctl = p->far = -1;
	p->started = p->since = clock_now();
	for (unsigned i = 0; i < ndevs; i++)
		for (unsigned q = 0; q < CONN_QUEUES_MAX; q++)
			p->dev[i].poke[q] = -1;
	LIST_INSERT_HEAD(&s->procs, p, link);
	return p;
}

static void close_pokes(struct proc_dev *pd)
{
	for (unsigned q = 0; q < CONN_QUEUES_MAX; q++) {
		if (pd->poke[q] >= 0)
			close(pd->poke[q]);
		pd->poke[q] = -1;
	}
}

void sup_proc_free(struct sup_proc *p)
{
	struct loop *l = p->sup->loop;

	loop_fd_stop(l, &p->on_death);
	loop_fd_stop(l, &p->on_msg);
	loop_timer_stop(l, &p->deadline);
	loop_timer_stop(l, &p->health);
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->ctl >= 0)
		close(p->ctl);
	if (p->far >= 0)
		close(p->far);
	for (unsigned i = 0; i < p->ndevs; i++)
		close_pokes(&p->dev[i]);
	LIST_REMOVE(p, link);
	free(p);
}

bool sup_dev_has_procs(const struct sup_dev *d)
{
	struct sup_proc *p;

	LIST_FOREACH(p, &d->sup->procs, link)
		for (unsigned i = 0; i < p->ndevs; i++)
			if (p->dev[i].dev == d)
				return true;
	return false;
}

void sup_proc_deposit(struct sup_proc *p)
{
	char name[KEEP_NAME_MAX];
	int fds[2] = {p->pidfd, p->ctl};

	sup_name_proc(name, p->serial);
	keep_put(&p->sup->keep, name, fds, 2);
	for (unsigned i = 0; i < p->ndevs; i++) {
		unsigned n = 0;

		while (n < CONN_QUEUES_MAX && p->dev[i].poke[n] >= 0)
			n++;
		sup_name_pokes(name, p->serial, i);
		if (n)
			keep_put(&p->sup->keep, name, p->dev[i].poke, n);
	}
}

static void withdraw(struct sup_proc *p)
{
	char name[KEEP_NAME_MAX];

	sup_name_proc(name, p->serial);
	keep_drop(&p->sup->keep, name);
	for (unsigned i = 0; i < p->ndevs; i++) {
		sup_name_pokes(name, p->serial, i);
		keep_drop(&p->sup->keep, name);
	}
}

/* ---- start */

struct start {
	struct stub_start *rec;
	int fd[PASS_MAX];
	struct sup_pass pass;
	int stub_end[STUB_DEVS_MAX][CONN_QUEUES_MAX]; /* of the poke pairs, closed after the start */
};

static struct stub_port fill_port(struct start *st, const struct sup_dev *d, uint32_t i)
{
	struct stub_port p = {.fd = {-1, -1}, .nfds = d->port_nfds, .local = d->port[i].local};

	for (uint32_t k = 0; k < p.nfds; k++)
		p.fd[k] = sup_pass(&st->pass, d->port[i].fd[k]);
	return p;
}

static int fill_queues(struct start *st, struct proc_dev *pd, struct stub_dev *sd, unsigned at)
{
	const struct sup_dev *d = pd->dev;
	uint32_t per = sup_conn_per_queue(&d->conn);

	if (d->conn.ctrl_evtchn)
		sd->ctrl = fill_port(st, d, d->nports - 1);
	for (uint32_t q = 0; q < d->conn.nqueues; q++) {
		struct stub_queue *sq = &sd->q[q];
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
			return -errno;
		pd->poke[q] = pair[0];
		st->stub_end[at][q] = pair[1];
		sq->poke_fd = sup_pass(&st->pass, pair[1]);
		sq->net_fd = -1;
		sq->port = fill_port(st, d, q * per);
		if (per == 2)
			sq->port_rx = fill_port(st, d, q * per + 1);
	}
	return 0;
}

static int fill_dev(struct start *st, struct sup_proc *p, unsigned at)
{
	struct sup_dev *d = p->dev[at].dev;
	struct stub_dev *sd = &st->rec->dev[at];
	int path = sup_journal_path(d, sd->journal), rc = fill_queues(st, &p->dev[at], sd, at);

	sd->kind = d->connected ? STUB_RESUME : STUB_FRESH;
	sd->own_fault = p->group->own_fault;
	sd->conn = d->conn;
	sd->image_fd = -1;
	sd->steer_fd = -1;
	sd->serial = d->serial;
	sd->poll_us = d->poll_us;
	if (path || rc)
		return path ? path : rc;
	return d->class->fill(d, sd, &st->pass);
}

static int fill(struct start *st, struct sup_proc *p)
{
	const struct sup_options *o = &p->sup->o;
	struct stub_start *r = st->rec;
	int rc = 0;

	r->magic = STUB_MAGIC;
	r->version = STUB_VERSION;
	r->standby = p->standby;
	r->ndevs = p->ndevs;
	r->uid = r->gid = sup_stub_uid(p->sup, p->dev[0].dev->domid);
	r->provider_local = strcmp(o->provider, "local") == 0;
	if (strlen(p->sup->dirs.run) >= sizeof(r->runtime_dir))
		return -ENAMETOOLONG;
	strcpy(r->runtime_dir, p->sup->dirs.run);
	for (unsigned i = 0; i < p->ndevs && !rc; i++)
		rc = fill_dev(st, p, i);
	return rc;
}

static int spawn(struct sup_proc *p, struct start *st)
{
	const struct sup_class *class = p->group->class;
	const char *const argv[] = {class->program, NULL};
	char file[PATH_MAX];
	struct spawned out;
	struct spawn_plan plan = {
		.file = file,
		.argv = argv,
		.record = st->rec,
		.record_bytes = stub_start_bytes(p->ndevs),
		.pass = st->fd,
	};
	int rc;

	st->pass.fd = st->fd;
	snprintf(file, sizeof(file), "%s/%s", p->sup->o.libexec, class->program);
	for (unsigned i = 0; i < p->ndevs; i++)
		for (unsigned q = 0; q < CONN_QUEUES_MAX; q++)
			st->stub_end[i][q] = -1;
	rc = fill(st, p);
	plan.npass = st->pass.n;
	if (!p->standby)
		p->group->went = clock_now();
	if (!rc)
		rc = p->standby ? -EAGAIN : sup_blank_take(p->sup, class, &plan, &out); /* nobody waits for a standby */
	if (rc == -EAGAIN)
		rc = sup_spawn(&plan, &out);
	for (unsigned i = 0; i < p->ndevs; i++)
		for (unsigned q = 0; q < CONN_QUEUES_MAX; q++)
			if (st->stub_end[i][q] >= 0)
				close(st->stub_end[i][q]);
	if (rc)
		return rc;
	p->pid = out.pid;
	p->pidfd = out.pidfd;
	p->ctl = out.ctl;
	p->far = out.far;
	return 0;
}

int sup_proc_start(struct sup_group *g, bool standby)
{
	struct start *st = calloc(1, sizeof(*st));
	struct sup_proc *p;
	struct sup_dev *d;
	unsigned n = 0;
	int rc;

	CHECK(st);
	LIST_FOREACH(d, &g->devs, link)
		n += sup_dev_runs(d);
	CHECK(n > 0 && n <= STUB_DEVS_MAX);
	st->rec = calloc(1, stub_start_bytes(n));
	CHECK(st->rec);
	p = sup_proc_new(g->sup, g, n);
	p->standby = standby;
	p->serial = ++g->sup->serial;
	n = 0;
	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d))
			p->dev[n++].dev = d;
	rc = spawn(p, st);
	free(st->rec);
	free(st);
	if (!rc)
		rc = sup_proc_watch(p);
	if (rc) {
		log_error("can not start a stub: %s", err_str(rc));
		if (p->pid)
			kill(p->pid, SIGKILL);
		sup_proc_free(p);
		return rc;
	}
	*(standby ? &g->standby : &g->active) = p;
	for (unsigned i = 0; i < p->ndevs; i++) {
		p->dev[i].requests = sup_journal_requests(p->dev[i].dev);
		p->dev[i].dev->resumed = standby && p->dev[i].dev->resumed;
		sup_dev_save(p->dev[i].dev);
	}
	sup_proc_deposit(p);
	sup_proc_deadline(p, SUP_START_NS);
	sup_blank_want(p->sup, g->class);
	return 0;
}

/* ---- end */

/* Why it died, as far as we may know: a process that was adopted is the keeper's child, so its status is not ours to
 * see, and the benefit of the doubt is the stub's requests'. */
static bool reap(struct sup_proc *p, int *code, int *status)
{
	siginfo_t si = {0};

	*code = *status = 0;
	if (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
		return p->hung && !p->asked;
	*code = si.si_code;
	*status = si.si_status;
	if (p->asked)
		return false;
	if (p->draining && si.si_code == CLD_EXITED && si.si_status == STUB_EXIT_DRAINED)
		return false;
	return p->hung || policy_own_fault(si.si_code, si.si_status);
}

void sup_note_death(const struct sup_proc *p, struct ctl_event *e)
{
	sup_note_event(p->sup, e, p->draining ? SUP_QUIET : SUP_SAY);
}

static struct ctl_event describe_death(const struct sup_proc *p, int code, int status)
{
	struct ctl_event e = {.kind = CTL_EV_DIED, .pid = p->pid, .domid = p->group->domid, .devid = p->group->devid};
	const struct sup_dev *d = p->ndevs ? p->dev[0].dev : NULL;

	if (p->draining || (d && d->state == CTL_DRAINING))
		e.kind = CTL_EV_DRAINED; /* its end was wanted */
	if (d) {
		e.domid = d->domid;
		e.devid = d->devid;
		e.generation = d->generation;
		snprintf(e.vdev, sizeof(e.vdev), "%s", d->vdev);
	}
	e.signal = code == CLD_KILLED || code == CLD_DUMPED ? status : 0;
	if (e.signal)
		snprintf(e.text, sizeof(e.text), "%s: killed by signal %d (%s)%s", p->standby ? "standby" : "stub", status,
			 strsignal(status), p->hung ? ", by us: it hung" : p->asked ? ", asked for" : "");
	else if (code == CLD_EXITED)
		snprintf(e.text, sizeof(e.text), "%s: exited with status %d%s%.100s", p->standby ? "standby" : "stub",
			 status, p->why[0] ? ": " : "", p->why);
	else
		snprintf(e.text, sizeof(e.text), "%s: ended; it was adopted, its status is not known",
			 p->standby ? "standby" : "stub");
	return e;
}

static void leave(struct sup_proc *p)
{
	for (unsigned i = 0; i < p->ndevs; i++) {
		struct sup_dev *d = p->dev[i].dev;

		p->dev[i].dev = NULL;
		if (d && d->state == CTL_DRAINING && !sup_dev_has_procs(d))
			sup_dev_event(d, SUP_EV_ENDED);
	}
}

static void died(struct loop_fd *w, uint32_t events)
{
	struct sup_proc *p = CONTAINER_OF(w, struct sup_proc, on_death);
	struct sup_group *g = p->group;
	uint64_t now = clock_now();
	struct ctl_event e;
	bool own_fault;
	int code, status;

	(void)events;
	own_fault = reap(p, &code, &status);
	sup_group_go(g, p, own_fault);
	loop_fd_stop(p->sup->loop, &p->on_death);
	sup_msg_drain(p); /* its last words: BROKEN, FAILED */
	loop_fd_stop(p->sup->loop, &p->on_msg);
	loop_timer_stop(p->sup->loop, &p->deadline);
	loop_timer_stop(p->sup->loop, &p->health);
	e = describe_death(p, code, status);
	sup_group_died(g, p, own_fault, now, &e);
	withdraw(p);
	leave(p);
	sup_proc_free(p);
	sup_group_kick(g);
}

int sup_proc_watch(struct sup_proc *p)
{
	int rc = loop_fd_start(p->sup->loop, &p->on_death, p->pidfd, EPOLLIN, died);

	return rc ? rc : loop_fd_start(p->sup->loop, &p->on_msg, p->ctl, EPOLLIN, sup_msg_ready);
}

void sup_proc_kill(struct sup_proc *p) { pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0); }

static void tell(const struct sup_proc *p, const struct sup_dev *d, struct stub_msg *m)
{
	for (unsigned i = 0; p && i < p->ndevs; i++)
		if (p->dev[i].dev == d) {
			m->dev = i;
			if (fdmsg_send(p->ctl, m, sizeof(*m), NULL, 0))
				log_warn("stub %d does not take a message", (int)p->pid);
		}
}

void sup_proc_tell(const struct sup_dev *d, struct stub_msg *m)
{
	m->serial = d->serial;
	tell(d->group->active, d, m);
	tell(d->group->standby, d, m);
}

static void too_late(struct loop_timer *t)
{
	struct sup_proc *p = CONTAINER_OF(t, struct sup_proc, deadline);
	struct sup_dev *d;

	for (unsigned i = 0; i < p->ndevs && !p->draining && !p->standby; i++) {
		d = p->dev[i].dev;
		if (d && !p->dev[i].said && sup_journal_generation(d) > d->generation)
			sup_dev_assume_resumed(p, i);
	}
	if (p->ready && !p->draining)
		return;
	if (!p->draining) {
		p->hung = true;
		log_warn("stub %d does not get ready: killing it", (int)p->pid);
	}
	sup_proc_kill(p);
}

void sup_proc_deadline(struct sup_proc *p, uint64_t ns)
{
	if (ns)
		loop_timer_start(p->sup->loop, &p->deadline, clock_now() + ns, too_late);
	else
		loop_timer_stop(p->sup->loop, &p->deadline);
}

void sup_proc_drain(struct sup_proc *p, uint64_t ns)
{
	struct stub_msg m = {.type = STUB_DRAIN, .arg = {ns}};

	if (p->draining)
		return;
	p->draining = true;
	if (!p->ready || fdmsg_send(p->ctl, &m, sizeof(m), NULL, 0))
		sup_proc_kill(p); /* nothing was taken yet, or it does not listen: killing is always safe */
	else
		sup_proc_deadline(p, ns + SUP_KILL_NS);
}
