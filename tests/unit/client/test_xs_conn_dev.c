/* What the kernel's /dev/xen/xenbus needs of its writer: a request at a time, each in one write. A terminal stands in for the device. */
#include "ring/os/clock.h"
#include "xenstore-glue/client/xs_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>
#include <xen/io/xs_wire.h>

/* The other end, without the terminal's own ideas of text. */
static int terminal(char *path, size_t size)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), far;
	struct termios t;

	assert_true(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, path, size) == 0);
	far = open(path, O_RDWR | O_NOCTTY);
	assert_true(far >= 0 && tcgetattr(far, &t) == 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(far, TCSANOW, &t), 0);
	return fd; /* far stays open: a terminal that nobody has open hangs up */
}

static void answer(int fd, const struct xsd_sockmsg *to)
{
	struct {
		struct xsd_sockmsg h;
		char text[2];
	} reply = {{.type = to->type, .req_id = to->req_id, .len = 2}, "ok"};

	assert_int_equal(write(fd, &reply, sizeof(reply.h) + 2), (ssize_t)sizeof(reply.h) + 2);
}

static void one_request_at_a_time(void **state)
{
	static const char *const paths[] = {"domid", "a", "/local/domain/7/backend/vbd/8/51712/state"};
	struct xsc_wait w[3] = {{0}};
	char path[64], in[512];
	struct xsc_cfg cfg = {.path = path};
	struct xsc *xs;
	int fd = terminal(path, sizeof(path));

	(void)state;
	assert_int_equal(loop_open(&cfg.loop), 0);
	assert_int_equal(xsc_open(&cfg, &xs), 0);
	for (size_t i = 0; i < 3; i++)
		xsc_read(xs, 0, paths[i], xsc_wait_done, &w[i]);
	for (size_t i = 0; i < 3; i++) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct xsd_sockmsg h;

		while (poll(&p, 1, 0) == 0)
			assert_true(loop_once(cfg.loop, 10 * NS_PER_MS) >= 0);
		/* More than one would be here by now. */
		assert_int_equal(read(fd, in, sizeof(in)), sizeof(h) + strlen(paths[i]) + 1);
		memcpy(&h, in, sizeof(h));
		assert_string_equal(in + sizeof(h), paths[i]);
		answer(fd, &h);
		assert_int_equal(xsc_wait(xs, &w[i]), 0);
		assert_string_equal(w[i].data, "ok");
		xsc_wait_free(&w[i]);
	}
	xsc_close(xs);
	loop_close(cfg.loop);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_request_at_a_time)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
