#include "tests/bench/core_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATTERN "/proc/sys/kernel/core_pattern"
#define HANDLER "|/bin/dd of=/dev/null bs=64K status=none"

static int guard = -1; /* closed: the guard puts the pattern back */
static pid_t guard_pid;

static int set_pattern(const char *text)
{
	int fd = open(PATTERN, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Waits for the end of whoever has the other end of the pipe. */
static void be_guard(int fd, const char *old)
{
	sigset_t all;
	char c;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
	_exit(set_pattern(old) ? 1 : 0);
}

static int start_guard(const char *old)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	guard_pid = fork();
	if (guard_pid == 0) {
		close(p[1]);
		be_guard(p[0], old);
	}
	close(p[0]);
	guard = p[1];
	return guard_pid < 0 ? -errno : 0;
}

int core_pipe_begin(enum core_pipe how, char *err, size_t size)
{
	char old[256] = "";
	int fd = open(PATTERN, O_RDONLY | O_CLOEXEC), rc;
	ssize_t n = fd < 0 ? -1 : read(fd, old, sizeof(old) - 1);

	if (fd >= 0)
		close(fd);
	if (how == CORE_AS_IS)
		return 0;
	snprintf(err, size, "%s can not be changed here", PATTERN);
	if (n < 0 || geteuid() != 0)
		return -ENOSYS;
	rc = start_guard(old);
	if (!rc && set_pattern(HANDLER))
		rc = -ENOSYS;
	if (rc)
		core_pipe_end();
	else
		err[0] = '\0';
	return rc;
}

void core_pipe_end(void)
{
	if (guard < 0)
		return;
	close(guard);
	guard = -1;
	waitpid(guard_pid, NULL, 0);
}

/* In the process itself, as if it had called prctl(): its next instruction is behind the system call that it sleeps in. */
static int inject(pid_t pid)
{
#ifdef __x86_64__
	struct user_regs_struct regs, call;
	int status;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		return -errno;
	call = regs;
	call.rip -= 2;
	call.rax = SYS_prctl;
	call.orig_rax = (unsigned long long)-1; /* none to be begun again meanwhile */
	call.rdi = PR_SET_DUMPABLE;
	call.rsi = 1;
	call.rdx = call.r10 = call.r8 = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &call) || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) ||
	    waitpid(pid, &status, __WALL) < 0 || ptrace(PTRACE_GETREGS, pid, NULL, &call))
		return -errno;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs))
		return -errno;
	return call.rax == 0 ? 0 : -EPERM;
#else
	(void)pid;
	return -ENOSYS;
#endif
}

int core_make_dumpable(pid_t pid)
{
	int status, rc;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		return -errno;
	rc = waitpid(pid, &status, __WALL) < 0 ? -errno : inject(pid);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return rc;
}
