/* The control socket: requests, long answers, events for slow readers. */
#include "recovery/ctl/ctl_client.h"
#include "recovery/ctl/ctl_server.h"
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define DEVS 2000
#define STORM 1000u

static char dir[64];
static pid_t server;
static struct ctl_server *srv;

static int status(void *arg, const struct ctl_req *req, struct ctl_dev **out, char *text, size_t size)
{
	(void)arg;
	if (req->domid == 5) {
		snprintf(text, size, "there is no domain 5");
		return -ENOENT;
	}
	*out = calloc(DEVS, sizeof(**out));
	for (uint32_t i = 0; *out && i < DEVS; i++)
		(*out)[i].devid = i;
	return DEVS;
}

/* KILL makes a storm of events. */
static int act(void *arg, const struct ctl_req *req, char *text, size_t size)
{
	(void)arg;
	for (uint32_t i = 0; req->op == CTL_KILL && i < STORM; i++) {
		struct ctl_event e = {.kind = CTL_EV_NOTE, .devid = i};

		ctl_server_event(srv, &e);
	}
	if (req->op == CTL_RESET)
		snprintf(text, size, "no");
	return req->op == CTL_RESET ? -EINVAL : 0;
}

static int setup(void **state)
{
	static const struct ctl_ops ops = {.version = "test 1", .status = status, .act = act};
	char path[128], c;
	struct loop *l;
	int ready[2];

	(void)state;
	strcpy(dir, "/tmp/bulkhead-ctl-XXXXXX");
	if (!mkdtemp(dir) || pipe(ready))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", dir, CTL_SOCK);
	server = fork();
	if (server == 0) {
		alarm(60);
		if (loop_open(&l) || ctl_server_open(l, path, &ops, NULL, &srv) || write(ready[1], "x", 1) != 1)
			_exit(1);
		loop_run(l);
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
	char path[128];

	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(path, sizeof(path), "%s/%s", dir, CTL_SOCK);
	unlink(path);
	return rmdir(dir);
}

static void hello_and_errors(void **state)
{
	struct ctl_req q = {.op = CTL_HELLO};
	struct ctl_reply r;
	int fd = ctl_client_open(dir);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	assert_string_equal(r.text, "test 1");
	assert_int_equal(r.arg, server);
	q.op = CTL_RESET;
	assert_int_equal(ctl_client_ask(fd, &q, &r), -EINVAL);
	assert_string_equal(r.text, "no");
	q.op = 77;
	assert_int_equal(ctl_client_ask(fd, &q, &r), -EINVAL);
	q = (struct ctl_req){.version = CTL_VERSION + 1, .op = CTL_HELLO};
	assert_int_equal(fdmsg_send(fd, &q, sizeof(q), NULL, 0), 0);
	assert_int_equal(fdmsg_recv(fd, &r, sizeof(r), NULL, NULL), sizeof(r));
	assert_int_equal(r.rc, -EPROTO);
	/* Half a request ends the connection. */
	assert_int_equal(fdmsg_send(fd, &q, 3, NULL, 0), 0);
	assert_int_equal(fdmsg_recv(fd, &r, sizeof(r), NULL, NULL), 0);
	close(fd);
	assert_int_equal(ctl_client_open("/nowhere"), -ENOENT);
}

static void a_long_status_comes_whole(void **state)
{
	struct ctl_reply r;
	struct ctl_dev *d;
	int fd = ctl_client_open(dir);

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ctl_client_status(fd, 0, CTL_ALL, CTL_ALL, &d, &r), DEVS);
		for (uint32_t i = 0; i < DEVS; i++)
			assert_int_equal(d[i].devid, i);
		free(d);
	}
	assert_int_equal(ctl_client_status(fd, 0, 5, CTL_ALL, &d, &r), -ENOENT);
	assert_string_equal(r.text, "there is no domain 5");
	assert_null(d);
	close(fd);
}

static void a_slow_reader_is_told_what_it_missed(void **state)
{
	struct ctl_req q = {.op = CTL_KILL};
	struct ctl_reply r;
	struct ctl_event e;
	int slow = ctl_client_open(dir), fd = ctl_client_open(dir);
	uint64_t seen = 0;

	(void)state;
	assert_int_equal(ctl_client_events(slow, 0, &r), 0);
	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	while (seen < STORM) {
		assert_int_equal(ctl_client_event(slow, &e), 1);
		seen += 1 + e.missed;
		assert_int_equal(e.devid + 1, seen);
		assert_true(e.wall_ns && e.mono_ns);
	}
	assert_int_equal(seen, STORM);
	close(slow);
	/* Past ones on request. */
	slow = ctl_client_open(dir);
	assert_int_equal(ctl_client_events(slow, 3, &r), 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(ctl_client_event(slow, &e), 1);
		assert_int_equal(e.devid, STORM - 3 + i);
	}
	close(slow);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_and_errors),
		cmocka_unit_test(a_long_status_comes_whole),
		cmocka_unit_test(a_slow_reader_is_told_what_it_missed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
