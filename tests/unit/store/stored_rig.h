/* stored_rig.h - bulkhead-store as a process: its start and end, clients, and the hub's side of its socket. */
#ifndef BULKHEAD_TESTS_UNIT_STORE_STORED_RIG_H
#define BULKHEAD_TESTS_UNIT_STORE_STORED_RIG_H

#include "ring/base/base.h"
#include "ring/hv/hub_wire.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static char binary[PATH_MAX], dir[64], sock_path[128], hub_path[128];
static pid_t store;
static rlim_t file_limit = RLIM_INFINITY;

/* ---- the process ---- */

static inline void store_up(void)
{
	uint64_t end = clock_now() + DEADLINE_MS * NS_PER_MS;
	int fd;

	store = fork();
	assert_true(store >= 0);
	if (store == 0) {
		struct rlimit lim = {file_limit, file_limit};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_FSIZE, &lim);
		execl(binary, binary, "--runtime-dir", dir, "--log-level", "error", (char *)NULL);
		_exit(127);
	}
	while ((fd = fdmsg_connect_stream(sock_path)) < 0) {
		assert_true(clock_now() < end);
		assert_int_equal(waitpid(store, NULL, WNOHANG), 0);
		poll(NULL, 0, 2);
	}
	close(fd);
}

static inline int store_down(int sig)
{
	int status = 0;

	kill(store, sig);
	assert_int_equal(waitpid(store, &status, 0), store);
	store = 0;
	return status;
}

static inline int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/stored-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock_path, sizeof(sock_path), "%s/store.sock", dir);
	snprintf(hub_path, sizeof(hub_path), "%s/" HUB_STORE_SOCK, dir);
	file_limit = RLIM_INFINITY;
	store_up();
	return 0;
}

static inline int teardown(void **state)
{
	static const char *const files[] = {"store.sock", HUB_STORE_SOCK, "store.log", "store.log.new", "store.lock"};
	char path[128];

	(void)state;
	if (store)
		store_down(SIGKILL);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

/* ---- a client ---- */

struct client {
	int fd;
	struct xs_reader r;
	uint32_t req_id;
};

static inline void client_on(struct client *c, int fd)
{
	c->fd = fd;
	c->req_id = 0;
	xs_reader_init(&c->r);
	assert_true(fd >= 0);
}

static inline void client_open(struct client *c) { client_on(c, fdmsg_connect_stream(sock_path)); }

static inline void send_msg(struct client *c, uint32_t type, uint32_t tx, const void *data, size_t len)
{
	char wire[XS_FRAME_MAX];
	size_t n = xs_frame(wire, type, ++c->req_id, tx, data, (uint32_t)len);

	assert_int_equal(send(c->fd, wire, n, MSG_NOSIGNAL), n);
}

/* 1: a message is in c->r. 0: end of file. */
static inline int next_msg(struct client *c)
{
	const size_t head = sizeof(c->r.hdr);
	char buf[XS_FRAME_MAX];
	bool begun = false;
	size_t used;

	for (;;) {
		struct pollfd p = {c->fd, POLLIN, 0};
		size_t want = !begun ? head : c->r.got < head ? head - c->r.got : head + c->r.hdr.len - c->r.got;
		ssize_t n;

		if (poll(&p, 1, DEADLINE_MS) != 1)
			fail_msg("no answer");
		n = recv(c->fd, buf, want, 0);
		if (n <= 0)
			return 0;
		begun = true;
		if (xs_reader_feed(&c->r, buf, (size_t)n, &used) == 1)
			return 1;
	}
}

/* Sends and takes the reply: a negative errno or 0, the payload in c->r.data. Events before it are counted. */
static inline int ask_tx(struct client *c, uint32_t type, uint32_t tx, const void *data, size_t len, unsigned *events)
{
	send_msg(c, type, tx, data, len);
	for (;;) {
		assert_int_equal(next_msg(c), 1);
		if (c->r.hdr.type == XS_WATCH_EVENT) {
			if (events)
				(*events)++;
			continue;
		}
		assert_int_equal(c->r.hdr.req_id, c->req_id);
		assert_int_equal(c->r.hdr.tx_id, tx);
		if (c->r.hdr.type == XS_ERROR)
			return xs_error_parse(c->r.data, c->r.hdr.len);
		assert_int_equal(c->r.hdr.type, type);
		return 0;
	}
}

static inline int ask(struct client *c, uint32_t type, const void *data, size_t len)
{
	return ask_tx(c, type, 0, data, len, NULL);
}

#define ASK(c, type, text) ask(c, type, text, sizeof(text))

static inline int do_write(struct client *c, const char *path, const char *value)
{
	char buf[4096];

	return ask(c, XS_WRITE, buf, (size_t)sprintf(buf, "%s%c%s", path, 0, value));
}

static inline void expect_event(struct client *c, const char *path, const char *token)
{
	const char *p, *t;

	assert_int_equal(next_msg(c), 1);
	assert_int_equal(c->r.hdr.type, XS_WATCH_EVENT);
	assert_int_equal(c->r.hdr.req_id, 0);
	assert_int_equal(xs_event_split(c->r.data, c->r.hdr.len, &p, &t), 0);
	assert_string_equal(p, path);
	assert_string_equal(t, token);
}

/* ---- the hub ---- */

static inline int hub_tell(int hub, enum hub_store_op op, uint16_t domid, int fd)
{
	struct hub_store_msg m = {.op = op, .domid = domid};
	struct pollfd p = {hub, POLLIN, 0};
	size_t nfds = 0;

	assert_int_equal(fdmsg_send(hub, &m, sizeof(m), &fd, fd >= 0), 0);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(fdmsg_recv(hub, &m, sizeof(m), NULL, &nfds), sizeof(m));
	return m.rc;
}

static inline int hub_open(void)
{
	int hub = fdmsg_connect(hub_path);

	assert_true(hub >= 0);
	return hub;
}

static inline void guest_open(struct client *c, int hub, uint16_t domid)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(hub_tell(hub, HUB_STORE_CONNECT, domid, sv[1]), 0);
	close(sv[1]);
	client_on(c, sv[0]);
}

/* Introduced, with a home of its own. */
static inline void guest_home(struct client *dom0, int hub, uint16_t domid)
{
	char buf[64];

	assert_int_equal(hub_tell(hub, HUB_STORE_INTRODUCE, domid, -1), 0);
	assert_int_equal(ask(dom0, XS_MKDIR, buf, (size_t)sprintf(buf, "/local/domain/%u", domid) + 1), 0);
	assert_int_equal(ask(dom0, XS_SET_PERMS, buf, (size_t)sprintf(buf, "/local/domain/%u%cn%u", domid, 0, domid) + 1), 0);
}

#endif
