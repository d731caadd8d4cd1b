/* played_store.h - for tests: a client, and the store at the other end of its connection, played message by message. */
#ifndef BULKHEAD_TESTS_UNIT_CLIENT_PLAYED_STORE_H
#define BULKHEAD_TESTS_UNIT_CLIENT_PLAYED_STORE_H

#include "xenstore-glue/client/xs.h"
#include "xenstore-glue/client/xs_sync.h"

#include "ring/base/base.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE (5 * NS_PER_S)

/* ---- the world: a client, and our end of its connection ---- */

struct world {
	struct loop *loop;
	struct xsc *xs;
	int srv; /* -1: no connection */
	unsigned dials;
	int refuse; /* dial() fails so often first */
	unsigned ups, downs;
	struct xs_reader rd;
	char in[65536];
	size_t in_len;
};

static inline int dial(void *arg)
{
	struct world *w = arg;
	int s[2];

	w->dials++;
	if (w->refuse > 0) {
		w->refuse--;
		return -ECONNREFUSED;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(w->srv, -1);
	w->srv = s[1];
	w->in_len = 0;
	xs_reader_init(&w->rd);
	return s[0];
}

static inline void state_cb(bool up, void *arg)
{
	struct world *w = arg;

	if (up)
		w->ups++;
	else
		w->downs++;
}

static inline void open_world_refusing(struct world *w, uint64_t timeout_ns, int refuse)
{
	struct xsc_cfg cfg = {.dial = dial, .state = state_cb, .arg = w, .timeout_ns = timeout_ns};

	memset(w, 0, sizeof(*w));
	w->srv = -1;
	w->refuse = refuse;
	assert_int_equal(loop_open(&w->loop), 0);
	cfg.loop = w->loop;
	assert_int_equal(xsc_open(&cfg, &w->xs), 0);
	while (w->srv < 0)
		assert_int_equal(loop_once(w->loop, PATIENCE), 0);
}

static inline void open_world(struct world *w, uint64_t timeout_ns) { open_world_refusing(w, timeout_ns, 0); }

static inline void kill_store(struct world *w)
{
	close(w->srv);
	w->srv = -1;
}

static inline void close_world(struct world *w)
{
	xsc_close(w->xs);
	if (w->srv >= 0)
		kill_store(w);
	loop_close(w->loop);
}

static inline void reconnect(struct world *w)
{
	uint64_t end = clock_now() + PATIENCE;

	while (w->srv < 0 && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_true(w->srv >= 0);
}

/* The next message from the client; it stays in w->rd. */
static inline void expect(struct world *w, uint32_t type)
{
	uint64_t end = clock_now() + PATIENCE;

	for (;;) {
		size_t used;
		int rc = xs_reader_feed(&w->rd, w->in, w->in_len, &used);
		ssize_t n;

		assert_true(rc >= 0);
		memmove(w->in, w->in + used, w->in_len - used);
		w->in_len -= used;
		if (rc == 1)
			break;
		assert_true(clock_now() < end);
		loop_once(w->loop, NS_PER_MS);
		n = recv(w->srv, w->in + w->in_len, sizeof(w->in) - w->in_len, MSG_DONTWAIT);
		if (n > 0)
			w->in_len += (size_t)n;
	}
	assert_string_equal(xs_type_name(w->rd.hdr.type), xs_type_name(type));
}

/* Nothing comes for a while. */
static inline void expect_silence(struct world *w)
{
	loop_once(w->loop, 5 * NS_PER_MS);
	loop_once(w->loop, 0);
	assert_int_equal(w->in_len, 0);
	assert_int_equal(recv(w->srv, w->in, 1, MSG_DONTWAIT | MSG_PEEK), -1);
}

static inline void send_all(struct world *w, const void *p, size_t len)
{
	assert_int_equal(send(w->srv, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void reply_to(struct world *w, uint32_t req_id, uint32_t type, const void *data, size_t len)
{
	char frame[XS_FRAME_MAX];

	send_all(w, frame, xs_frame(frame, type, req_id, 0, data, (uint32_t)len));
}

static inline void reply(struct world *w, uint32_t type, const void *data, size_t len)
{
	reply_to(w, w->rd.hdr.req_id, type, data, len);
}

static inline void reply_ok(struct world *w) { reply(w, w->rd.hdr.type, "OK", 3); }
static inline void reply_error(struct world *w, const char *name) { reply(w, XS_ERROR, name, strlen(name) + 1); }

/* ---- answers ---- */

struct got {
	unsigned calls;
	int rc;
	size_t len;
	char data[8192];
};

static inline void got_cb(void *arg, int rc, const char *data, size_t len)
{
	struct got *g = arg;

	g->calls++;
	g->rc = rc;
	g->len = len;
	assert_true(rc == 0 || (!data && !len));
	if (len <= sizeof(g->data) && data)
		memcpy(g->data, data, len);
	if (len < sizeof(g->data))
		g->data[len] = '\0';
}

static inline void wait_got(struct world *w, struct got *g)
{
	uint64_t end = clock_now() + PATIENCE;

	while (!g->calls && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_int_equal(g->calls, 1);
}

static inline void assert_got(struct world *w, struct got *g, int rc)
{
	wait_got(w, g);
	assert_int_equal(g->rc, rc);
}

static inline void pump_until(struct world *w, unsigned *n, unsigned want)
{
	uint64_t end = clock_now() + PATIENCE;

	while (*n < want && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_int_equal(*n, want);
}

static inline void serve_start(struct world *w, const char *id)
{
	expect(w, XS_TRANSACTION_START);
	reply(w, XS_TRANSACTION_START, id, strlen(id) + 1);
}

static inline struct xsc_batch *two_writes(void)
{
	struct xsc_batch *b = xsc_batch_new();

	xsc_batch_write(b, "/a", "%d", 1);
	xsc_batch_rm(b, "/b");
	return b;
}

#endif
