/* The system calls of a stub that is set up: what moves data, locks, waits and maps memory. No file can be opened, no process or
 * thread made, no memory made executable. libseccomp makes the filter; anything else fails with EPERM, and other architectures'
 * calls kill. It binds every thread; an io_uring's kernel thread is bound by the ring's own restrictions (file_uring.c). */
#include "ring/os/sandbox_calls.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xen/grant_table.h> /* before the two of Linux, which use its types */
#include <xen/evtchn.h>
#include <xen/gntdev.h>

#define PROGRAM_MAX 256

static const int calls[] = {
	/* data */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv),
	SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fallocate),
	SCMP_SYS(io_uring_enter), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(lseek),
	/* messages on sockets that are there */
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
	/* waiting */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(futex), SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_gettime), SCMP_SYS(timerfd_settime), SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall), SCMP_SYS(membarrier),
	/* memory */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	/* a thread's own beginning and end, and abort() */
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* What is told by its second argument. */
static const struct {
	int call;
	uint64_t arg1;
} told_by_arg1[] = {
	{SCMP_SYS(fcntl), F_OFD_SETLK},	 {SCMP_SYS(fcntl), F_GETFD},	   {SCMP_SYS(fcntl), F_GETFL},
	{SCMP_SYS(ioctl), BLKDISCARD}, {SCMP_SYS(ioctl), BLKSECDISCARD}, {SCMP_SYS(ioctl), BLKGETSIZE64},
};

/* gntdev: to map, unmap and copy. evtchn: to notify; it is read to see events, and written to unmask. A port can neither be bound
 * nor closed, no grant be given, no notice be left for an unmap. */
static const uint64_t xen_ioctls[] = {
	IOCTL_GNTDEV_MAP_GRANT_REF, IOCTL_GNTDEV_UNMAP_GRANT_REF, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, IOCTL_GNTDEV_GRANT_COPY,
	IOCTL_EVTCHN_NOTIFY,
};

/* The kernel looks at 32 bits of an ioctl's number. */
static int allow_arg1(scmp_filter_ctx f, int call, uint64_t arg1)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, arg1));
}

static int add_rules(scmp_filter_ctx f, bool xen)
{
	static const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(calls) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(maps) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, maps[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; i < ARRAY_LEN(told_by_arg1) && !rc; i++)
		rc = allow_arg1(f, told_by_arg1[i].call, told_by_arg1[i].arg1);
	for (size_t i = 0; i < ARRAY_LEN(xen_ioctls) && xen && !rc; i++)
		rc = allow_arg1(f, SCMP_SYS(ioctl), xen_ioctls[i]);
	return rc;
}

/* The filter as the kernel takes it, for one of the two. */
static struct program {
	bool there, xen;
	unsigned short n;
	struct sock_filter code[PROGRAM_MAX];
} program;

static int export(scmp_filter_ctx f, struct program *p)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	int rc = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
	ssize_t n = rc ? 0 : pread(fd, p->code, sizeof(p->code), 0);

	if (fd >= 0)
		close(fd);
	if (rc)
		return rc;
	if (n <= 0 || (size_t)n == sizeof(p->code))
		return -E2BIG;
	p->n = (unsigned short)((size_t)n / sizeof(p->code[0]));
	return 0;
}

int sandbox_calls_prepare(bool xen)
{
	scmp_filter_ctx f;
	int rc;

	if (program.there && program.xen == xen)
		return 0;
	f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	rc = f ? seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) : -ENOMEM;
	if (!rc)
		rc = add_rules(f, xen);
	if (!rc)
		rc = export(f, &program);
	seccomp_release(f);
	program.there = rc == 0;
	program.xen = xen;
	return rc;
}

int sandbox_calls(bool xen)
{
	int rc = sandbox_calls_prepare(xen);
	struct sock_fprog p = {.len = program.n, .filter = program.code};
	long r = rc ? 0 : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p);

	if (rc)
		return rc;
	return r == 0 ? 0 : r < 0 ? -errno : -EPERM; /* a thread that can not be bound */
}
