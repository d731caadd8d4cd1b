/* The keeper: descriptors survive their giver, services come back. */
#include "recovery/super/keep.h"
#include "recovery/super/keep_client.h"
#include "recovery/super/keep_serv.h"
#include "ring/base/base.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64], path[128];
static pid_t keeper;

static void never(void *arg) { (void)arg; }
static void stop_loop(void *arg) { loop_stop((struct loop *)arg); }
static void lost(struct keep_client *k) { (void)k; }

/* The keeper runs in a process of its own, as it does in life. */
static int setup(void **state)
{
	struct keep *k;
	struct loop *l;
	int ready[2];
	char c;

	(void)state;
	strcpy(dir, "/tmp/bulkhead-keep-XXXXXX");
	if (!mkdtemp(dir) || pipe(ready))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", dir, KEEP_SOCK);
	keeper = fork();
	if (keeper == 0) {
		alarm(60);
		if (loop_open(&l) || keep_open(l, path, stop_loop, l, &k) || write(ready[1], "x", 1) != 1)
			_exit(1);
		loop_run(l);
		keep_close(k);
		loop_close(l);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		return -1;
	close(ready[0]);
	return 0;
}

static int teardown(void **state)
{
	int status;

	(void)state;
	kill(keeper, SIGKILL);
	waitpid(keeper, &status, 0);
	unlink(path);
	return rmdir(dir);
}

static void fds_outlive_their_giver(void **state)
{
	struct keep_client k;
	char name[KEEP_NAME_MAX];
	int fd = eventfd(5, 0), got[KEEP_FDS_MAX];
	size_t n = KEEP_FDS_MAX;
	struct loop *l;
	uint64_t v;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(keep_client_open(l, path, lost, &k), 0);
	assert_int_equal(keep_client_pid(&k), keeper);
	keep_put(&k, "a", &fd, 1);
	keep_client_close(&k);
	close(fd);
	assert_int_equal(keep_client_open(l, path, lost, &k), 0);
	assert_int_equal(keep_get(&k, "a", got, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(read(got[0], &v, sizeof(v)), sizeof(v));
	assert_int_equal(v, 5);
	close(got[0]);
	assert_int_equal(keep_list(&k, 0, name), 0);
	assert_string_equal(name, "a");
	assert_int_equal(keep_list(&k, 1, name), -ENOENT);
	/* A put replaces; after a drop there is nothing. */
	fd = eventfd(9, 0);
	keep_put(&k, "a", &fd, 1);
	n = KEEP_FDS_MAX;
	assert_int_equal(keep_get(&k, "a", got, &n), 0);
	assert_int_equal(read(got[0], &v, sizeof(v)), sizeof(v));
	assert_int_equal(v, 9);
	close(got[0]);
	keep_drop(&k, "a");
	n = KEEP_FDS_MAX;
	assert_int_equal(keep_get(&k, "a", got, &n), -ENOENT);
	close(fd);
	keep_client_close(&k);
	loop_close(l);
}

static void nonsense_ends_that_client_only(void **state)
{
	struct keep_msg m = {.op = 99};
	int s = fdmsg_connect(path);
	struct keep_client k;
	struct loop *l;
	char name[KEEP_NAME_MAX];

	(void)state;
	assert_true(s >= 0);
	assert_int_equal(fdmsg_send(s, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(fdmsg_recv(s, &m, sizeof(m), NULL, NULL), sizeof(m));
	assert_int_equal(m.rc, -EINVAL);
	m.op = KEEP_PUT; /* no descriptor */
	strcpy(m.name, "b");
	assert_int_equal(fdmsg_send(s, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(fdmsg_recv(s, &m, sizeof(m), NULL, NULL), sizeof(m));
	assert_int_equal(m.rc, -EINVAL);
	assert_int_equal(fdmsg_send(s, "x", 1, NULL, 0), 0);
	assert_int_equal(fdmsg_recv(s, &m, sizeof(m), NULL, NULL), 0);
	close(s);
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(keep_client_open(l, path, lost, &k), 0);
	assert_int_equal(keep_list(&k, 0, name), -ENOENT);
	keep_client_close(&k);
	loop_close(l);
}

static void two_keepers_can_not_be(void **state)
{
	struct keep *k;
	struct loop *l;

	(void)state;
	assert_int_equal(loop_open(&l), 0);
	assert_int_equal(keep_open(l, path, never, NULL, &k), -EADDRINUSE);
	loop_close(l);
}

static void done(struct servs *s) { loop_stop(s->loop); }

static void services_come_back_and_stop_in_order(void **state)
{
	static struct servs s;
	uint64_t until;
	pid_t first;

	(void)state;
	log_init("test", LOG_LVL_ERROR);
	assert_int_equal(loop_open(&s.loop), 0);
	s.done = done;
	s.n = 2;
	for (unsigned i = 0; i < s.n; i++) {
		s.serv[i].name = "sleep";
		s.serv[i].file = "/bin/sleep";
		s.serv[i].argv[0] = "sleep";
		s.serv[i].argv[1] = "60";
	}
	assert_int_equal(servs_start(&s), 0);
	first = s.serv[1].pid;
	assert_true(first > 0);
	kill(first, SIGKILL);
	until = clock_now() + 5 * NS_PER_S;
	while ((s.serv[1].pid == first || !s.serv[1].pid) && clock_now() < until)
		loop_once(s.loop, 10 * NS_PER_MS);
	assert_true(s.serv[1].pid > 0 && s.serv[1].pid != first);
	first = s.serv[1].pid;
	servs_stop(&s);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.serv[0].pid, 0);
	assert_int_equal(s.serv[1].pid, 0);
	assert_int_equal(kill(first, 0), -1);
	loop_close(s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_outlive_their_giver),
		cmocka_unit_test(nonsense_ends_that_client_only),
		cmocka_unit_test(two_keepers_can_not_be),
	};
	const struct CMUnitTest alone[] = {cmocka_unit_test(services_come_back_and_stop_in_order)};

	return cmocka_run_group_tests(tests, setup, teardown) + cmocka_run_group_tests(alone, NULL, NULL);
}
