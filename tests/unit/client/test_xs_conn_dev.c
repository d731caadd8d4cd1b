/* What the kernel's /dev/xen/xenbus needs of its writer: a write is one message. A packet socket shows what was written at once. */
#include "xenstore-glue/client/xs_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/io/xs_wire.h>

static size_t message(char *at, uint32_t id, const char *text)
{
	struct xsd_sockmsg h = {.type = XS_READ, .req_id = id, .len = (uint32_t)strlen(text) + 1};

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), text, h.len);
	return sizeof(h) + h.len;
}

static void one_message_a_write(void **state)
{
	static const char *const texts[] = {"domid", "", "/local/domain/7/backend/vbd/8/51712/state"};
	char out[512], in[512];
	size_t n = 0, at = 0;
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, s), 0);
	for (uint32_t i = 0; i < 3; i++)
		n += message(out + n, i, texts[i]);
	for (uint32_t i = 0; i < 3; i++) {
		ssize_t sent = xs_conn_dev.send(s[0], out + at, n - at);
		struct xsd_sockmsg h;

		assert_int_equal(sent, sizeof(h) + strlen(texts[i]) + 1);
		at += (size_t)sent;
		assert_int_equal(xs_conn_dev.recv(s[1], in, sizeof(in)), sent);
		memcpy(&h, in, sizeof(h));
		assert_int_equal(h.req_id, i);
		assert_string_equal(in + sizeof(h), texts[i]);
	}
	assert_int_equal(at, n);
	assert_int_equal(xs_conn_dev.recv(s[1], in, sizeof(in)), -EAGAIN);
	close(s[0]);
	close(s[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_message_a_write)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
