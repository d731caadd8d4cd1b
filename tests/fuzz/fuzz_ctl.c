/* The control socket, both ways: packets of clients to the server, any bytes of any length, from several that read or do
 * not, come and go; and a supervisor's replies to the client, which it reads within bounds. */
#include "recovery/ctl/ctl_client.h"
#include "recovery/ctl/ctl_server.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "tests/fuzz/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define NCLIENTS 4u

static struct loop *loop;
static struct ctl_server *server;
static char path[] = "/dev/shm/bulkhead-fuzz-ctl-XXXXXX";
static unsigned acts;

/* A hostile count is not a reason to end. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static int status(void *arg, const struct ctl_req *req, struct ctl_dev **out, char *text, size_t size)
{
	unsigned n = req->domid % 40;

	(void)arg;
	if (req->domid == 3) {
		snprintf(text, size, "no such domain");
		return -ENOENT;
	}
	*out = calloc(n ? n : 1, sizeof(**out));
	return (int)n;
}

static int act(void *arg, const struct ctl_req *req, char *text, size_t size)
{
	(void)arg;
	CHECK(req->op >= CTL_KILL && req->op <= CTL_FILTER && memchr(req->text, '\0', sizeof(req->text)));
	acts++;
	snprintf(text, size, "%s", req->arg ? "done" : "no");
	return req->arg ? 0 : -EINVAL;
}

static const struct ctl_ops ops = {.version = "fuzz", .status = status, .act = act};

static void leave(void)
{
	ctl_server_close(server);
	loop_close(loop);
	unlink(path);
}

static void enter(void)
{
	int fd;

	if (server)
		return;
	fd = mkstemp(path);
	CHECK(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
	CHECK(loop_open(&loop) == 0 && ctl_server_open(loop, path, &ops, NULL, &server) == 0 && atexit(leave) == 0);
}

static void run(void) { CHECK(loop_once(loop, 0) == 0 && loop_once(loop, 0) == 0); }

/* ---- clients */

/* Every reply has its form; a request that is none ends the connection, or says so. */
static void read_all(int fd)
{
	char buf[sizeof(struct ctl_dev) + 1];
	const struct ctl_reply *r = (const void *)buf;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		CHECK(n == sizeof(struct ctl_reply) || n == sizeof(struct ctl_dev) || n == sizeof(struct ctl_event));
		if (n == sizeof(struct ctl_reply))
			CHECK(r->rc <= 0 && memchr(r->text, '\0', sizeof(r->text)) && (r->rc == 0 || r->text[0]));
	}
}

static void packet(int fd, struct input *in, unsigned how)
{
	struct ctl_req q = {.version = CTL_VERSION, .op = how / 8 % 9, .domid = (uint32_t)take(in, 1), .arg = take(in, 1)};
	char buf[sizeof(q) + 8];
	size_t n = sizeof(q);

	memcpy(buf, &q, sizeof(q));
	if (how & 0x40)
		take_bytes(in, buf, sizeof(q));
	if (how & 0x80)
		n = take(in, 1) % (sizeof(buf) + 1);
	CHECK(send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= -1);
}

static void serve_clients(struct input *in)
{
	int fd[NCLIENTS] = {-1, -1, -1, -1};

	while (in->left) {
		unsigned what = (unsigned)take(in, 1), i = what % NCLIENTS;
		struct ctl_event e = {.kind = what % CTL_EV_COUNT};

		if ((what & 0x1c) == 0x1c)
			ctl_server_event(server, &e);
		if (fd[i] < 0)
			fd[i] = fdmsg_connect(path);
		CHECK(fd[i] >= 0);
		packet(fd[i], in, (unsigned)take(in, 1));
		run();
		if (what & 0x40)
			read_all(fd[i]);
		if (what & 0x80) {
			close(fd[i]);
			fd[i] = -1;
		}
	}
	for (unsigned i = 0; i < NCLIENTS; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	for (unsigned i = 0; i < 4; i++)
		run();
}

/* ---- a supervisor */

static void answer_client(struct input *in)
{
	unsigned how = (unsigned)take(in, 1);
	struct ctl_dev *devs = NULL;
	struct ctl_event e;
	struct ctl_reply r;
	char buf[sizeof(struct ctl_dev) + 8];
	int s[2], n;

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == 0);
	while (in->left) {
		static const size_t sizes[] = {sizeof(struct ctl_reply), sizeof(struct ctl_dev), sizeof(struct ctl_event)};
		unsigned what = (unsigned)take(in, 1);
		size_t len = what & 0x10 ? take(in, 2) % sizeof(buf) : sizes[what % 3];

		memset(buf, what & 0x20 ? 'x' : 0, sizeof(buf));
		take_bytes(in, buf, what / 64 * 8);
		if (send(s[1], buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	}
	shutdown(s[1], SHUT_WR);
	if (how & 1) {
		n = ctl_client_status(s[0], 0, 1, 2, &devs, &r);
		CHECK((n >= 0) == (devs != NULL));
	} else {
		n = ctl_client_events(s[0], 5, &r);
		while (n == 0 && ctl_client_event(s[0], &e) == 1)
			;
	}
	CHECK(memchr(r.text, '\0', sizeof(r.text)));
	free(devs);
	close(s[0]);
	close(s[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};

	enter();
	if (take(&in, 1) & 1)
		answer_client(&in);
	else
		serve_clients(&in);
	return 0;
}
