/* What processes of the simulated host do to each other, and the few seams that are replaced whole: start of stubs, /proc,
 * clock, log, confinement, directories. */
#include "tests/sim/world_os.h"

#include "backend/blk/blk_class.h"
#include "backend/core/be_boot.h"
#include "backend/core/be_config.h"
#include "backend/net/net_class.h"
#include "recovery/super/procs.h"
#include "recovery/super/sup_priv.h"
#include "recovery/super/sup_dirs.h"
#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"
#include "ring/base/log.h"
#include "ring/base/pm.h"
#include "ring/os/clock.h"
#include "ring/os/sandbox.h"
#include "ring/os/stub_wire.h"
#include "tests/sim/world_net.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- signals and waiting */

int __wrap_kill(pid_t pid, int sig);
int __wrap_pidfd_send_signal(int fd, int sig, siginfo_t *si, unsigned flags);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *si, int options);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags UNUSED)
{
	struct os_proc *p = os_find(pid);
	struct os_file *f;

	os_point(56, OS_CALL_NS);
	if (!p) {
		errno = ESRCH;
		return -1;
	}
	f = os_file_new(OS_PIDFD);
	f->proc = p;
	return os_fd_new(os_self(), f);
}

pid_t __wrap_getpid(void);
pid_t __real_getpid(void);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
long __wrap_sysconf(int name);
long __real_sysconf(int name);

static int signal_to(struct os_proc *p, int sig)
{
	if (!p) {
		errno = ESRCH;
		return -1;
	}
	if (sig == SIGSTOP) {
		p->stopped = true;
		if (os_find(p->ppid))
			os_find(p->ppid)->signals |= 1u << SIGCHLD;
		os_wake();
	} else if (sig) {
		os_kill(p, CLD_KILLED, sig);
	}
	return 0;
}

int __wrap_kill(pid_t pid, int sig)
{
	os_point(50, OS_CALL_NS);
	return signal_to(os_find(pid), sig);
}

int __wrap_pidfd_send_signal(int fd, int sig, siginfo_t *si UNUSED, unsigned flags UNUSED)
{
	struct os_file *f = os_fd(fd);

	os_point(51, OS_CALL_NS);
	if (!f)
		return -1;
	return signal_to(f->proc->state == OS_ALIVE ? f->proc : NULL, sig);
}

static int wait_stopped(siginfo_t *si)
{
	for (unsigned i = 0; i < os.nprocs; i++) {
		struct os_proc *p = os.proc[i];

		if (p->ppid != os_self()->pid || !p->stopped || p->stop_told || p->state != OS_ALIVE)
			continue;
		p->stop_told = true;
		si->si_pid = p->pid;
		si->si_code = CLD_STOPPED;
		return 0;
	}
	si->si_pid = 0;
	return 0;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *si, int options UNUSED)
{
	struct os_file *f;

	os_point(52, OS_CALL_NS);
	if (type == P_ALL)
		return wait_stopped(si);
	f = os_fd((int)id);
	if (!f)
		return -1;
	if (f->proc->ppid != os_self()->pid || f->proc->state == OS_GONE) {
		errno = ECHILD;
		return -1;
	}
	si->si_pid = 0;
	if (f->proc->state != OS_ZOMBIE)
		return 0;
	f->proc->state = OS_GONE;
	si->si_pid = f->proc->pid;
	si->si_code = f->proc->code;
	si->si_status = f->proc->status;
	return 0;
}

pid_t __wrap_getpid(void) { return os.cur ? os_self()->pid : __real_getpid(); }

int __wrap_nanosleep(const struct timespec *t, struct timespec *left UNUSED)
{
	os_wait(NULL, NULL, os.now + (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec);
	return 0;
}

long __wrap_sysconf(int name) { return name == _SC_NPROCESSORS_ONLN ? 4 : __real_sysconf(name); }

/* ---- /proc */

int procs_children(pid_t parent, void (*fn)(pid_t pid, void *arg), void *arg)
{
	for (unsigned i = 0; i < os.nprocs; i++)
		if (os.proc[i]->ppid == parent && os.proc[i]->state == OS_ALIVE)
			fn(os.proc[i]->pid, arg);
	return 0;
}

void procs_name(pid_t pid, char *name, size_t size)
{
	struct os_proc *p = os_find(pid);

	bool net = p && p->dev >= 0 && world->dev[p->dev].vif;

	snprintf(name, size, "%s", !p || p->state != OS_ALIVE ? "" : p->kind == OS_HELPER ? SUP_VIF_PROGRAM
		 : p->kind != OS_STUB && p->kind != OS_PROBE ? "x" : net ? "bulkhead-net" : "bulkhead-blk");
}

uint64_t procs_uss(pid_t pid UNUSED) { return 0; }

/* Nobody waits for a processor here. */
unsigned procs_stolen(uint64_t *ns UNUSED, unsigned n UNUSED) { return 0; }
int procs_sched(pid_t pid UNUSED, struct procs_sched *out)
{
	*out = (struct procs_sched){0};
	return 0;
}

/* ---- stubs */

int sup_spawn_init(void) { return 0; }
int sup_spawn_record(const struct spawn_plan *p UNUSED) { return -ENOSYS; } /* for blank stubs only */

static int stub_main(void *arg)
{
	static const struct be_class *const disks[] = {&blk_class, NULL}, *const vifs[] = {&net_class, NULL};

	if (arg)
		return be_boot_probe("bulkhead-blk", &blk_class);
	if (world->dev[os_self()->dev].vif)
		return be_boot_serve("bulkhead-net", false, vifs);
	return be_boot_serve("bulkhead-blk", false, disks);
}

/* Our end of its control socket, and its pidfd. */
static void hold(struct os_proc *p, struct spawned *out)
{
	struct os_file *ours, *theirs, *pidfd;

	os_pair(OS_SEQ, &ours, &theirs);
	p->fd[STUB_FD_CTL] = theirs;
	ours->nonblock = true;
	pidfd = os_file_new(OS_PIDFD);
	pidfd->proc = p;
	out->pid = p->pid;
	out->pidfd = os_fd_new(os_self(), pidfd);
	out->ctl = os_fd_new(os_self(), ours);
	out->far = -1;
}

/* bulkhead-vif. */
static int spawn_helper(const struct spawn_plan *plan, struct spawned *out)
{
	char **argv = os_alloc(32 * sizeof(*argv));
	struct os_proc *p;

	for (unsigned i = 0; plan->argv[i]; i++) {
		argv[i] = os_alloc(strlen(plan->argv[i]) + 1);
		strcpy(argv[i], plan->argv[i]);
	}
	p = os_spawn(OS_HELPER, os_self()->pid, -1, world_helper_main, argv);
	hold(p, out);
	world_born(p);
	return 0;
}

int sup_spawn(const struct spawn_plan *plan, struct spawned *out)
{
	bool probe = plan->argv[1] && strcmp(plan->argv[1], STUB_BLANK_ARG) != 0;
	const struct stub_start *start = plan->record;
	struct os_inode *i;
	struct os_proc *p;
	char name[32];

	os_point(53, 60000);
	if (!start)
		return spawn_helper(plan, out);
	if (plan->argv[1] && !probe)
		return -ENOENT; /* no blank stubs here */
	p = os_spawn(probe ? OS_PROBE : OS_STUB, os_self()->pid, world_dev_of(start->dev[0].conn.domid, start->dev[0].conn.devid),
		     stub_main, probe ? (void *)(uintptr_t)1 : NULL);
	snprintf(name, sizeof(name), "memfd:%d", p->pid);
	i = os_inode_new(name);
	i->sealed = true;
	p->fd[STUB_FD_RECORD] = os_file_open(i);
	i->data = os_alloc(plan->record_bytes);
	memcpy(i->data, plan->record, plan->record_bytes);
	i->size = i->room = plan->record_bytes;
	p->start = (const struct stub_start *)(void *)i->data;
	for (size_t k = 0; k < plan->npass; k++)
		if (plan->pass[k] < OS_FOREIGN) {
			p->fd[plan->pass[k]] = os_fd(plan->pass[k]);
			p->fd[plan->pass[k]]->refs++;
		}
	p->standby = start->standby;
	hold(p, out);
	world_born(p);
	return 0;
}

/* ---- what a process does to itself */

int sandbox_enter(enum sandbox_stage stage UNUSED, const struct sandbox *s UNUSED) { return 0; }
const char *sandbox_name(enum sandbox_stage stage UNUSED) { return "simulated"; }

int __wrap_prctl(int op, ...);
int __wrap_prctl(int op UNUSED, ...) { return 0; }

int sup_dirs_open(const char *run, struct sup_dirs *d, char *err UNUSED, size_t size UNUSED)
{
	snprintf(d->run, sizeof(d->run), "%s", run);
	snprintf(d->memory, sizeof(d->memory), "%s", run);
	snprintf(d->devs, sizeof(d->devs), "%s/devs", run);
	snprintf(d->journals, sizeof(d->journals), "%s/journals", run);
	return 0;
}

void sup_dirs_remove(const struct sup_dirs *d UNUSED) {}

/* liburcu knows threads of the kernel only. */
struct be_config_box {
	struct be_config config;
};

int be_config_publish(struct be_config_slot *s, const struct be_config *c)
{
	s->now = calloc(1, sizeof(*s->now));
	CHECK(s->now);
	s->now->config = *c;
	return 0;
}

const struct be_config *be_config_get(const struct be_config_slot *s) { return &s->now->config; }
void be_config_quiescent(void) {}
void be_config_offline(void) {}
void be_config_online(void) {}
void be_config_thread_start(void) {}

/* A vif's queues wait for each other awake: who waits here gives way. */
void __wrap_net_lock(struct netback *b);
void __wrap_net_lock(struct netback *b)
{
	while (exchange_acq_rel(&b->lock, 1)) {
		os.now += OS_STORE_NS;
		os_yield();
	}
}

/* ---- time, stores, failures, lines */

uint64_t clock_now(void)
{
	os_point(54, 50);
	return os.now;
}

uint64_t clock_lately(struct clock_lately *c UNUSED) { return os.now; }

uint64_t clock_wall(void) { return clock_now() + 1700000000 * NS_PER_S; }

void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
	os_point(55, OS_STORE_NS);
}

void check_failed(const char *file, int line, const char *what)
{
	if (!os.cur) {
		fprintf(stderr, "%s:%d: %s\n", file, line, what);
		abort();
	}
	if (!os.failed) {
		os.failed = "CHECK";
		snprintf(os.why, sizeof(os.why), "%s %d: %s:%d: %s", os_kind_name[os_self()->kind], os_self()->pid, file, line, what);
	}
	os_kill(os_self(), CLD_DUMPED, SIGABRT);
	abort();
}

static bool loud(void)
{
	static int is = -1;

	if (is < 0)
		is = getenv("VERBOSE") != NULL;
	return is;
}

static void say(const char *fmt, va_list ap)
{
	const struct os_proc *p = os_self();

	fprintf(stderr, "%12.6f %s[%d]: ", (double)(os.now % (1000 * NS_PER_S)) / 1e9, p ? os_kind_name[p->kind] : "world", p ? p->pid : 0);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void log_init(const char *name UNUSED, enum log_level max UNUSED) {}
void log_set_sink(log_sink_fn *sink UNUSED) {}

void log_msg(enum log_level lvl UNUSED, const char *fmt, ...)
{
	va_list ap;

	if (!loud())
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *l UNUSED, enum log_level lvl UNUSED, const char *fmt, ...)
{
	va_list ap;

	if (!loud())
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}
