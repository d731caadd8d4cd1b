/* Messages with descriptors: whole or not at all, nothing leaks. */
#include "ring/os/fdmsg.h"

#include "ring/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void pair(int s[2]) { assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0); }

static void whole_messages_with_fds(void **state)
{
	int s[2], in[4], got[4], before = open_fds();
	size_t n = 4;
	char buf[16];

	(void)state;
	pair(s);
	for (int i = 0; i < 4; i++)
		in[i] = eventfd((unsigned)i + 1, 0);
	assert_int_equal(fdmsg_send(s[0], "hello", 5, in, 4), 0);
	assert_int_equal(fdmsg_send(s[0], "more", 4, NULL, 0), 0);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), got, &n), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(n, 4);
	for (int i = 0; i < 4; i++) {
		uint64_t v;

		assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(read(got[i], &v, sizeof(v)), sizeof(v));
		assert_int_equal(v, i + 1);
		close(got[i]);
		close(in[i]);
	}
	n = 4;
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), got, &n), 4);
	assert_int_equal(n, 0);
	close(s[0]);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), NULL, NULL), 0);
	assert_int_equal(fdmsg_send(s[1], "x", 1, NULL, 0), -EPIPE);
	close(s[1]);
	assert_int_equal(open_fds(), before);
}

static void what_is_too_much_is_closed(void **state)
{
	int s[2], in[FDMSG_MAX_FDS + 1], got[2], before;
	size_t n = 2;
	char buf[4];

	(void)state;
	pair(s);
	in[0] = eventfd(0, 0);
	for (size_t i = 1; i < ARRAY_LEN(in); i++)
		in[i] = in[0];
	before = open_fds();
	assert_int_equal(fdmsg_send(s[0], "abc", 3, in, 8), 0);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), got, &n), 3);
	assert_int_equal(n, 2);
	close(got[0]);
	close(got[1]);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fdmsg_send(s[0], "abc", 3, in, 8), 0);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), NULL, NULL), 3);
	assert_int_equal(open_fds(), before);
	n = 2; /* longer than the buffer */
	assert_int_equal(fdmsg_send(s[0], "abcdefgh", 8, in, 2), 0);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), got, &n), -EMSGSIZE);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
	n = 2; /* an empty message reads as the end of file, behind which nobody looks for descriptors */
	assert_int_equal(fdmsg_send(s[0], "", 0, in, 2), 0);
	assert_int_equal(fdmsg_recv(s[1], buf, sizeof(buf), got, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fdmsg_send(s[0], "abc", 3, in, ARRAY_LEN(in)), -EMSGSIZE);
	close(in[0]);
	close(s[0]);
	close(s[1]);
}

static void never_blocks_when_told_so(void **state)
{
	char buf[4096] = {0};
	int s[2], rc;

	(void)state;
	pair(s);
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(fdmsg_recv(s[0], buf, sizeof(buf), NULL, NULL), -EAGAIN);
	for (int i = 0; (rc = fdmsg_send(s[0], buf, sizeof(buf), NULL, 0)) == 0; i++)
		assert_true(i < 100000);
	assert_int_equal(rc, -EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void try_path(const char *path)
{
	struct stat st;
	int s, c;

	assert_int_equal(fdmsg_connect(path), -ENOENT);
	s = fdmsg_listen(path, 0600);
	assert_true(s >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	c = fdmsg_connect(path);
	assert_true(c >= 0);
	close(c);
	assert_int_equal(fdmsg_listen(path, 0600), -EADDRINUSE); /* alive */
	close(s);
	assert_int_equal(fdmsg_connect(path), -ECONNREFUSED);
	s = fdmsg_listen(path, 0666); /* stale: replaced */
	assert_true(s >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	close(s);
	unlink(path);
}

static void listens_at_short_and_long_paths(void **state)
{
	char dir[] = "/tmp/fdmsgXXXXXX", path[512], deep[512];
	int before = open_fds(), f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	try_path(path);
	f = open(path, O_CREAT | O_WRONLY, 0600); /* a file that is no socket stays */
	close(f);
	assert_int_equal(fdmsg_listen(path, 0600), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	snprintf(deep, sizeof(deep), "%s/%0150d", dir, 1);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(path, sizeof(path), "%s/%0150d/s", dir, 1);
	try_path(path);
	f = fdmsg_listen_stream(path, 0600);
	assert_true(f >= 0);
	close(f);
	unlink(path);
	rmdir(deep);
	rmdir(dir);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(whole_messages_with_fds),
		cmocka_unit_test(what_is_too_much_is_closed),
		cmocka_unit_test(never_blocks_when_told_so),
		cmocka_unit_test(listens_at_short_and_long_paths),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
