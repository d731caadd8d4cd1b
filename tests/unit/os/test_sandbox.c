/* Each stage in a child of its own: what is given up is gone, and cannot be had back. */
#include "ring/os/sandbox.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/grant_table.h> /* before the two of Linux, which use its types */
#include <xen/evtchn.h>
#include <xen/gntdev.h>

#include <cmocka.h>

#define SOME_ID 54321

/* In a child: the number of the line that failed, or 0. */
#define WANT(cond)                     \
	do {                           \
		if (!(cond))           \
			_exit(complain(__LINE__, #cond)); \
	} while (0)

static int complain(int line, const char *what)
{
	dprintf(STDERR_FILENO, "line %d: not true: %s\n", line, what);
	return 1;
}

static void in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool status_has(const char *line)
{
	char text[8192];
	int fd = open("/proc/thread-self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void only_named(void)
{
	const int keep[] = {5, 6, 70};
	struct sandbox s = {.keep = keep, .nkeep = ARRAY_LEN(keep)};

	for (int fd = 3; fd < 80; fd++)
		WANT(dup2(STDERR_FILENO, fd) == fd);
	WANT(sandbox_enter(SANDBOX_FDS, &s) == 0);
	for (int fd = 0; fd < 100; fd++)
		WANT(is_open(fd) == (fd <= 2 || fd == 5 || fd == 6 || fd == 70));
	s.nkeep = 0;
	WANT(sandbox_enter(SANDBOX_FDS, &s) == 0);
	WANT(is_open(2) && !is_open(5) && !is_open(70));
}

static void descriptors(void **state)
{
	(void)state;
	in_child(only_named);
}

static void no_rights_left(void)
{
	const struct sandbox s = {.uid = SOME_ID, .gid = SOME_ID + 1};
	gid_t groups[4];

	WANT(sandbox_enter(SANDBOX_PRIVILEGES, &s) == 0);
	WANT(getuid() == SOME_ID && geteuid() == SOME_ID && getgid() == SOME_ID + 1 && getegid() == SOME_ID + 1);
	WANT(getgroups(4, groups) == 0);
	WANT(setuid(0) < 0 && seteuid(0) < 0 && setgid(0) < 0);
	WANT(status_has("CapInh:\t0000000000000000") && status_has("CapPrm:\t0000000000000000"));
	WANT(status_has("CapEff:\t0000000000000000") && status_has("CapBnd:\t0000000000000000"));
	WANT(status_has("CapAmb:\t0000000000000000"));
	WANT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	WANT(open("/etc/shadow", O_RDONLY) < 0);
}

static void privileges_of_root(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can give up root's rights\n");
		skip();
	}
	in_child(no_rights_left);
}

/* The same stage without a uid to become: a root that stays, and an ordinary user. */
static void no_capability(void)
{
	const struct sandbox s = {0};
	uid_t uid = getuid();

	WANT(sandbox_enter(SANDBOX_PRIVILEGES, &s) == 0);
	WANT(getuid() == uid);
	WANT(status_has("CapPrm:\t0000000000000000") && status_has("CapEff:\t0000000000000000"));
	WANT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	WANT(chroot("/") < 0 && errno == EPERM);
}

static void privileges_of_anybody(void **state)
{
	(void)state;
	in_child(no_capability);
}

static void limited(void)
{
	const struct sandbox s = {.nofile = 20};
	struct rlimit l;

	WANT(sandbox_enter(SANDBOX_LIMITS, &s) == 0);
	WANT(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_cur == 0 && l.rlim_max == 0);
	WANT(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur == 20 && l.rlim_max == 20);
	WANT(dup2(STDERR_FILENO, 20) < 0 && dup2(STDERR_FILENO, 19) == 19);
}

static void limits(void **state)
{
	(void)state;
	in_child(limited);
}

static void hidden(void)
{
	const struct sandbox s = {0};

	WANT(sandbox_enter(SANDBOX_UNDUMPABLE, &s) == 0);
#ifndef BULKHEAD_SAN
	WANT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
}

static void undumpable(void **state)
{
	(void)state;
	in_child(hidden);
}

#ifndef BULKHEAD_SAN
static bool refused(long r) { return r < 0 && errno == EPERM; }

/* What any stub may do, and may not. */
static void common_calls(void)
{
	struct flock fl = {.l_type = F_WRLCK};
	char byte = 'x';
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600), pair[2];

	WANT(fd >= 0 && pipe(pair) == 0);
	WANT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	WANT(sandbox_enter(SANDBOX_CALLS, &(struct sandbox){.xen = true}) == 0);
	WANT(pwrite(fd, &byte, 1, 0) == 1 && pread(fd, &byte, 1, 0) == 1 && fdatasync(fd) == 0);
	WANT(fcntl(fd, F_OFD_SETLK, &fl) == 0);
	WANT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	WANT(refused(open("/dev/null", O_RDONLY)));
	WANT(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
	WANT(refused(fork()));
	WANT(refused(execl("/bin/true", "true", NULL)));
	WANT(refused(dup(fd)) && refused(fcntl(fd, F_DUPFD, 10)));
	WANT(refused((long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	WANT(refused(kill(getppid(), 0)) && refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
	WANT(refused(ioctl(pair[0], FIONREAD, &byte)));
}

/* Of the calls that an unsuitable descriptor answers with ENOTTY: which get that far? */
static void device_calls(bool xen)
{
	static const unsigned long both[] = {BLKDISCARD, BLKGETSIZE64};
	static const unsigned long with_xen[] = {IOCTL_GNTDEV_MAP_GRANT_REF, IOCTL_GNTDEV_UNMAP_GRANT_REF,
						 IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, IOCTL_GNTDEV_GRANT_COPY,
						 IOCTL_EVTCHN_NOTIFY};
	static const unsigned long never[] = {IOCTL_EVTCHN_BIND_INTERDOMAIN, IOCTL_EVTCHN_UNBIND, IOCTL_EVTCHN_RESET,
					      IOCTL_GNTDEV_SET_UNMAP_NOTIFY, TIOCSTI};
	char buf[256] = {0};
	int fd = open("/dev/null", O_RDWR);

	WANT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	WANT(sandbox_enter(SANDBOX_CALLS, &(struct sandbox){.xen = xen}) == 0);
	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		WANT(ioctl(fd, both[i], buf) < 0 && errno == ENOTTY);
	for (size_t i = 0; i < ARRAY_LEN(with_xen); i++)
		WANT(ioctl(fd, with_xen[i], buf) < 0 && errno == (xen ? ENOTTY : EPERM));
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		WANT(refused(ioctl(fd, never[i], buf)));
}

static void device_calls_of_local(void) { device_calls(false); }
static void device_calls_of_xen(void) { device_calls(true); }

/* Another thread, older than the filter, is bound by it. */
static sem_t begin, tried;
static int got;

static void *other(void *arg)
{
	sem_wait(&begin);
	got = open("/dev/null", O_RDONLY) < 0 ? errno : 0;
	sem_post(&tried);
	return arg;
}

static void all_threads(void)
{
	pthread_t t;

	sem_init(&begin, 0, 0);
	sem_init(&tried, 0, 0);
	WANT(pthread_create(&t, NULL, other, NULL) == 0);
	WANT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	WANT(sandbox_enter(SANDBOX_CALLS, &(struct sandbox){0}) == 0);
	sem_post(&begin);
	sem_wait(&tried);
	WANT(got == EPERM);
}

static void system_calls(void **state)
{
	(void)state;
	in_child(common_calls);
	in_child(device_calls_of_local);
	in_child(device_calls_of_xen);
	in_child(all_threads);
}
#endif

static void every_stage_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < SANDBOX_STAGES; i++)
		assert_true(strlen(sandbox_name((enum sandbox_stage)i)) > 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(descriptors),
		cmocka_unit_test(privileges_of_root),
		cmocka_unit_test(privileges_of_anybody),
		cmocka_unit_test(limits),
		cmocka_unit_test(undumpable),
#ifndef BULKHEAD_SAN
		cmocka_unit_test(system_calls),
#endif
		cmocka_unit_test(every_stage_has_a_name),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
