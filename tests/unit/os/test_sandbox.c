/* Each stage in a child of its own: what is given up is gone, and cannot be had back. */
#include "ring/os/sandbox.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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
		cmocka_unit_test(every_stage_has_a_name),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
