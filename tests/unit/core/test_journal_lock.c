/* The lock on a journal, between real processes: nobody gets it while its owner can still store, and the next one does as soon as
 * the owner is dead, by SIGKILL too. What the crash tests take from it (tests/sim/crash_world.c, MUTANT NO_JOURNAL_LOCK). */
#include "backend/core/be_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES 8192u

static char path[] = "/tmp/test_journal_lock.XXXXXX";

static void open_it(struct be_journal *j)
{
	char err[200] = "";

	assert_int_equal(be_journal_open(j, path, BYTES, getuid(), err, sizeof(err)), 0);
}

/* A process that owns the journal, says so, and waits for its end. */
static pid_t owner(void)
{
	int said[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(said), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct be_journal j;
		char err[200];

		if (be_journal_open(&j, path, BYTES, getuid(), err, sizeof(err)) || be_journal_lock(&j) || write(said[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(said[1]);
	assert_int_equal(read(said[0], &c, 1), 1);
	close(said[0]);
	return pid;
}

static void end(pid_t pid, int sig)
{
	assert_int_equal(kill(pid, sig), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_one_owner(void **state)
{
	struct be_journal j;
	pid_t pid = owner();

	(void)state;
	open_it(&j);
	assert_int_equal(be_journal_lock(&j), -EAGAIN);
	assert_int_equal(kill(pid, SIGSTOP), 0); /* taken for dead: it may store again when it goes on */
	assert_int_equal(be_journal_lock(&j), -EAGAIN);
	end(pid, SIGKILL);
	assert_int_equal(be_journal_lock(&j), 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_one_owner),
	};
	int fd = mkstemp(path), rc;

	if (fd < 0 || ftruncate(fd, BYTES) || fchmod(fd, 0600))
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(t, NULL, NULL);
	unlink(path);
	return rc;
}
