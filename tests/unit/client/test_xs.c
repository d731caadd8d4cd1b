/* The client against a store that is played here, message by message: late, torn, garbled, dying. */
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

static int dial(void *arg)
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

static void state_cb(bool up, void *arg)
{
	struct world *w = arg;

	if (up)
		w->ups++;
	else
		w->downs++;
}

static void open_world_refusing(struct world *w, uint64_t timeout_ns, int refuse)
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

static void open_world(struct world *w, uint64_t timeout_ns) { open_world_refusing(w, timeout_ns, 0); }

static void kill_store(struct world *w)
{
	close(w->srv);
	w->srv = -1;
}

static void close_world(struct world *w)
{
	xsc_close(w->xs);
	if (w->srv >= 0)
		kill_store(w);
	loop_close(w->loop);
}

static void reconnect(struct world *w)
{
	uint64_t end = clock_now() + PATIENCE;

	while (w->srv < 0 && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_true(w->srv >= 0);
}

/* The next message from the client; it stays in w->rd. */
static void expect(struct world *w, uint32_t type)
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
static void expect_silence(struct world *w)
{
	loop_once(w->loop, 5 * NS_PER_MS);
	loop_once(w->loop, 0);
	assert_int_equal(w->in_len, 0);
	assert_int_equal(recv(w->srv, w->in, 1, MSG_DONTWAIT | MSG_PEEK), -1);
}

static void send_all(struct world *w, const void *p, size_t len)
{
	assert_int_equal(send(w->srv, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void reply_to(struct world *w, uint32_t req_id, uint32_t type, const void *data, size_t len)
{
	char frame[XS_FRAME_MAX];

	send_all(w, frame, xs_frame(frame, type, req_id, 0, data, (uint32_t)len));
}

static void reply(struct world *w, uint32_t type, const void *data, size_t len)
{
	reply_to(w, w->rd.hdr.req_id, type, data, len);
}

static void reply_ok(struct world *w) { reply(w, w->rd.hdr.type, "OK", 3); }
static void reply_error(struct world *w, const char *name) { reply(w, XS_ERROR, name, strlen(name) + 1); }

/* ---- answers ---- */

struct got {
	unsigned calls;
	int rc;
	size_t len;
	char data[8192];
};

static void got_cb(void *arg, int rc, const char *data, size_t len)
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

static void wait_got(struct world *w, struct got *g)
{
	uint64_t end = clock_now() + PATIENCE;

	while (!g->calls && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_int_equal(g->calls, 1);
}

static void assert_got(struct world *w, struct got *g, int rc)
{
	wait_got(w, g);
	assert_int_equal(g->rc, rc);
}

/* ---- tests ---- */

static void requests_and_replies(void **state)
{
	struct xs_perm perms[2] = {{.domid = 1}, {.domid = 0, .may = XS_MAY_READ}};
	struct world w;
	struct got a = {0}, b = {0}, c = {0}, d = {0}, e = {0};

	(void)state;
	open_world(&w, 0);
	xsc_read(w.xs, 0, "/a/b", got_cb, &a);
	assert_int_equal(a.calls, 0);
	xsc_write(w.xs, 0, "rel/key", "va\0lue", 6, got_cb, &b);
	xsc_set_perms(w.xs, 0, "/a", perms, 2, got_cb, &c);
	xsc_is_introduced(w.xs, 7, got_cb, &d);
	expect(&w, XS_READ);
	assert_memory_equal(w.rd.data, "/a/b", 5);
	reply(&w, XS_READ, "value", 5);
	expect(&w, XS_WRITE);
	assert_int_equal(w.rd.hdr.len, 14);
	assert_memory_equal(w.rd.data, "rel/key\0va\0lue", 14);
	reply_error(&w, "EACCES");
	expect(&w, XS_SET_PERMS);
	assert_int_equal(w.rd.hdr.len, 9);
	assert_memory_equal(w.rd.data, "/a\0n1\0r0", 9);
	reply_ok(&w);
	expect(&w, XS_IS_DOMAIN_INTRODUCED);
	assert_memory_equal(w.rd.data, "7", 2);
	reply(&w, XS_IS_DOMAIN_INTRODUCED, "T", 2);
	assert_got(&w, &a, 0);
	assert_string_equal(a.data, "value");
	assert_got(&w, &b, -EACCES);
	assert_got(&w, &c, 0);
	assert_got(&w, &d, 0);
	assert_string_equal(d.data, "T");
	xsc_read(w.xs, 0, "bad//path", got_cb, &e);
	assert_int_equal(e.calls, 0);
	assert_got(&w, &e, -EINVAL);
	assert_int_equal(w.ups, 1);
	close_world(&w);
}

/* Half a reply now, the rest later; then two replies in one piece, in the other order. */
static void torn_replies(void **state)
{
	char frame[256];
	size_t n;
	struct world w;
	struct got a = {0}, b = {0}, c = {0};
	uint32_t id;

	(void)state;
	open_world(&w, 0);
	xsc_read(w.xs, 0, "/a", got_cb, &a);
	expect(&w, XS_READ);
	n = xs_frame(frame, XS_READ, w.rd.hdr.req_id, 0, "torn", 4);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(a.calls, 0);
		send_all(&w, frame + i, 1);
		loop_once(w.loop, NS_PER_MS);
	}
	assert_got(&w, &a, 0);
	assert_string_equal(a.data, "torn");
	xsc_read(w.xs, 0, "/b", got_cb, &b);
	xsc_read(w.xs, 0, "/c", got_cb, &c);
	expect(&w, XS_READ);
	id = w.rd.hdr.req_id;
	expect(&w, XS_READ);
	n = xs_frame(frame, XS_READ, w.rd.hdr.req_id, 0, "C", 1);
	n += xs_frame(frame + n, XS_READ, id, 0, "B", 1);
	send_all(&w, frame, n);
	assert_got(&w, &b, 0);
	assert_got(&w, &c, 0);
	assert_string_equal(b.data, "B");
	assert_string_equal(c.data, "C");
	close_world(&w);
}

static void deadlines(void **state)
{
	struct world w;
	struct got a = {0}, b = {0}, c = {0};
	uint64_t begin = clock_now();

	(void)state;
	open_world(&w, 30 * NS_PER_MS);
	xsc_read(w.xs, 0, "/never", got_cb, &a);
	expect(&w, XS_READ);
	assert_got(&w, &a, -ETIMEDOUT);
	assert_true(clock_now() - begin >= 30 * NS_PER_MS);
	/* The late answer belongs to nobody, and the connection goes on. */
	reply(&w, XS_READ, "late", 4);
	xsc_read(w.xs, 0, "/next", got_cb, &b);
	expect(&w, XS_READ);
	reply(&w, XS_READ, "next", 4);
	assert_got(&w, &b, 0);
	assert_string_equal(b.data, "next");
	/* No store at all: the same deadline. */
	w.refuse = 1000;
	kill_store(&w);
	xsc_read(w.xs, 0, "/no/store", got_cb, &c);
	assert_got(&w, &c, -ETIMEDOUT);
	close_world(&w);
}

static void late_transaction_is_ended(void **state)
{
	struct world w;
	struct got a = {0};
	xsc_tx tx = 1;

	(void)state;
	open_world(&w, 20 * NS_PER_MS);
	xsc_txn_start(w.xs, &tx, got_cb, &a);
	expect(&w, XS_TRANSACTION_START);
	assert_got(&w, &a, -ETIMEDOUT);
	reply(&w, XS_TRANSACTION_START, "9", 2);
	expect(&w, XS_TRANSACTION_END);
	assert_int_equal(w.rd.hdr.tx_id, 9);
	assert_memory_equal(w.rd.data, "F", 2);
	close_world(&w);
}

/* Dies in the middle of a reply: reads are asked again, writes are reported as unknown, what was never sent is sent. */
static void death_in_mid_reply(void **state)
{
	char frame[64];
	struct world w;
	struct got r = {0}, wr = {0}, later = {0}, tx_op = {0}, tx_start = {0};
	xsc_tx tx;

	(void)state;
	open_world(&w, 0);
	xsc_txn_start(w.xs, &tx, got_cb, &tx_start);
	expect(&w, XS_TRANSACTION_START);
	reply(&w, XS_TRANSACTION_START, "5", 2);
	assert_got(&w, &tx_start, 0);
	xsc_read(w.xs, 0, "/r", got_cb, &r);
	xsc_write(w.xs, 0, "/w", "1", 1, got_cb, &wr);
	xsc_read(w.xs, tx, "/t", got_cb, &tx_op);
	expect(&w, XS_READ);
	xs_frame(frame, XS_READ, w.rd.hdr.req_id, 0, "half", 4);
	send_all(&w, frame, sizeof(struct xsd_sockmsg) + 2);
	kill_store(&w);
	assert_got(&w, &wr, -ECONNRESET);
	assert_got(&w, &tx_op, -ECONNRESET);
	xsc_write(w.xs, 0, "/later", "2", 1, got_cb, &later);
	memset(&tx_op, 0, sizeof(tx_op));
	xsc_read(w.xs, tx, "/t", got_cb, &tx_op);
	assert_got(&w, &tx_op, -ECONNRESET);
	reconnect(&w);
	expect(&w, XS_READ);
	assert_string_equal(w.rd.data, "/r");
	reply(&w, XS_READ, "whole", 5);
	expect(&w, XS_WRITE);
	assert_string_equal(w.rd.data, "/later");
	reply_ok(&w);
	assert_got(&w, &r, 0);
	assert_string_equal(r.data, "whole");
	assert_got(&w, &later, 0);
	assert_int_equal(w.ups, 2);
	assert_int_equal(w.downs, 1);
	close_world(&w);
}

/* Each breach of the protocol ends the connection, and the next one works. */
static void garbage(void **state)
{
	struct xsd_sockmsg too_long = {.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1};
	struct world w;

	(void)state;
	open_world(&w, 0);
	for (int kind = 0; kind < 4; kind++) {
		struct got a = {0};

		xsc_read(w.xs, 0, "/a", got_cb, &a);
		expect(&w, XS_READ);
		too_long.len = kind == 0 ? XENSTORE_PAYLOAD_MAX + 1 : UINT32_MAX;
		if (kind < 2)
			send_all(&w, &too_long, sizeof(too_long));
		else if (kind == 2)
			reply(&w, XS_WRITE, "OK", 3); /* not what was asked */
		else
			reply_to(&w, 0, XS_WATCH_EVENT, "no second string", 17);
		while (w.downs <= (unsigned)kind)
			assert_int_equal(loop_once(w.loop, PATIENCE), 0);
		kill_store(&w);
		reconnect(&w);
		expect(&w, XS_READ);
		reply(&w, XS_READ, "fine", 4);
		assert_got(&w, &a, 0);
	}
	close_world(&w);
}

/* An error that the protocol has no word for is the peer's fault, not success. */
static void unknown_error(void **state)
{
	struct world w;
	struct got a = {0};

	(void)state;
	open_world(&w, 0);
	xsc_read(w.xs, 0, "/a", got_cb, &a);
	expect(&w, XS_READ);
	reply(&w, XS_ERROR, "EWHATEVER", 10);
	assert_got(&w, &a, -EPEER);
	close_world(&w);
}

static void store_that_refuses_at_first(void **state)
{
	struct world w;

	(void)state;
	open_world_refusing(&w, 0, 3);
	assert_int_equal(w.dials, 4);
	close_world(&w);
}

/* ---- watches ---- */

struct watcher {
	struct xsc_watch w;
	struct world *world;
	unsigned events;
	char last[128];
	bool stop;
};

static void watcher_cb(struct xsc_watch *xw, const char *path)
{
	struct watcher *me = CONTAINER_OF(xw, struct watcher, w);

	me->events++;
	snprintf(me->last, sizeof(me->last), "%s", path);
	if (me->stop)
		xsc_unwatch(me->world->xs, xw);
}

static void event(struct world *w, const char *path, const char *token)
{
	char body[256];
	size_t n = strlen(path) + 1, m = strlen(token) + 1;

	memcpy(body, path, n);
	memcpy(body + n, token, m);
	reply_to(w, 0, XS_WATCH_EVENT, body, n + m);
}

static const char *token_of(struct world *w) { return w->rd.data + strlen(w->rd.data) + 1; }

static void pump_until(struct world *w, unsigned *n, unsigned want)
{
	uint64_t end = clock_now() + PATIENCE;

	while (*n < want && clock_now() < end)
		loop_once(w->loop, 10 * NS_PER_MS);
	assert_int_equal(*n, want);
}

static void watches(void **state)
{
	struct world w;
	struct watcher a = {.world = &w}, b = {.world = &w};
	char ta[64], tb[64];

	(void)state;
	open_world(&w, 0);
	assert_int_equal(xsc_watch(w.xs, &a.w, "/a", watcher_cb), 0);
	assert_int_equal(xsc_watch(w.xs, &b.w, "@releaseDomain", watcher_cb), 0);
	expect(&w, XS_WATCH);
	assert_string_equal(w.rd.data, "/a");
	snprintf(ta, sizeof(ta), "%s", token_of(&w));
	reply_ok(&w);
	expect(&w, XS_WATCH);
	snprintf(tb, sizeof(tb), "%s", token_of(&w));
	reply_ok(&w);
	event(&w, "/a", ta);
	event(&w, "/a/x", ta);
	event(&w, "@releaseDomain", tb);
	event(&w, "/nobody", "77:1");
	event(&w, "/nobody", "rubbish");
	event(&w, "/nobody", "0:4294967296");
	pump_until(&w, &a.events, 2);
	pump_until(&w, &b.events, 1);
	assert_string_equal(a.last, "/a/x");
	/* Stopped in its own event: those on the way are dropped, and the slot's next user does not get them. */
	a.stop = true;
	event(&w, "/a", ta);
	event(&w, "/a", ta);
	expect(&w, XS_UNWATCH);
	assert_string_equal(token_of(&w), ta);
	reply_ok(&w);
	assert_int_equal(a.events, 3);
	a.stop = false;
	assert_int_equal(xsc_watch(w.xs, &a.w, "/other", watcher_cb), 0);
	expect(&w, XS_WATCH);
	assert_string_not_equal(token_of(&w), ta);
	reply_ok(&w);
	event(&w, "/a", ta);
	event(&w, "@releaseDomain", tb);
	pump_until(&w, &b.events, 2);
	assert_int_equal(a.events, 3);
	close_world(&w);
}

static void watches_come_back(void **state)
{
	struct world w;
	struct watcher a = {.world = &w};

	(void)state;
	open_world(&w, 0);
	assert_int_equal(xsc_watch(w.xs, &a.w, "/a", watcher_cb), 0);
	for (unsigned i = 1; i < 5; i++) {
		expect(&w, XS_WATCH);
		if (i % 2)
			reply_ok(&w);
		event(&w, "/a", token_of(&w)); /* a store's first event */
		pump_until(&w, &a.events, i);
		kill_store(&w);
		reconnect(&w);
	}
	expect(&w, XS_WATCH);
	xsc_unwatch(w.xs, &a.w);
	reply_ok(&w);
	expect(&w, XS_UNWATCH);
	kill_store(&w);
	reconnect(&w);
	expect_silence(&w);
	close_world(&w);
}

/* ---- transactions ---- */

static void serve_start(struct world *w, const char *id)
{
	expect(w, XS_TRANSACTION_START);
	reply(w, XS_TRANSACTION_START, id, strlen(id) + 1);
}

static struct xsc_batch *two_writes(void)
{
	struct xsc_batch *b = xsc_batch_new();

	xsc_batch_write(b, "/a", "%d", 1);
	xsc_batch_rm(b, "/b");
	return b;
}

static void serve_two_writes(struct world *w, const char *rm_error)
{
	expect(w, XS_WRITE);
	assert_true(w->rd.hdr.tx_id != 0);
	reply_ok(w);
	expect(w, XS_RM);
	if (rm_error)
		reply_error(w, rm_error);
	else
		reply_ok(w);
}

static void batches(void **state)
{
	struct world w;
	struct got a = {0}, b = {0}, c = {0};

	(void)state;
	open_world(&w, 0);
	xsc_batch_commit(w.xs, two_writes(), got_cb, &a);
	serve_start(&w, "3");
	serve_two_writes(&w, "ENOENT");
	expect(&w, XS_TRANSACTION_END);
	assert_memory_equal(w.rd.data, "T", 2);
	reply_ok(&w);
	assert_got(&w, &a, 0);
	/* One part fails: nothing of it is done. */
	xsc_batch_commit(w.xs, two_writes(), got_cb, &b);
	serve_start(&w, "4");
	serve_two_writes(&w, "EACCES");
	expect(&w, XS_TRANSACTION_END);
	assert_memory_equal(w.rd.data, "F", 2);
	reply_ok(&w);
	assert_got(&w, &b, -EACCES);
	/* The store dies before the commit: nothing was done, so it is done again. */
	xsc_batch_commit(w.xs, two_writes(), got_cb, &c);
	serve_start(&w, "5");
	expect(&w, XS_WRITE);
	kill_store(&w);
	reconnect(&w);
	serve_start(&w, "6");
	serve_two_writes(&w, NULL);
	expect(&w, XS_TRANSACTION_END);
	kill_store(&w); /* and now it is not known */
	assert_got(&w, &c, -ECONNRESET);
	close_world(&w);
}

static void conflicts(void **state)
{
	struct world w;
	struct got a = {0}, b = {0};
	unsigned tries;

	(void)state;
	open_world(&w, 0);
	xsc_batch_commit(w.xs, two_writes(), got_cb, &a);
	for (tries = 0; tries < 5; tries++) {
		serve_start(&w, "3");
		serve_two_writes(&w, NULL);
		expect(&w, XS_TRANSACTION_END);
		if (tries < 4)
			reply_error(&w, "EAGAIN");
	}
	reply_ok(&w);
	assert_got(&w, &a, 0);
	/* A storm that does not end: bounded. */
	xsc_batch_commit(w.xs, two_writes(), got_cb, &b);
	for (tries = 0; tries < XSC_TXN_TRIES; tries++) {
		serve_start(&w, "3");
		serve_two_writes(&w, NULL);
		expect(&w, XS_TRANSACTION_END);
		reply_error(&w, "EAGAIN");
	}
	assert_got(&w, &b, -EAGAIN);
	expect_silence(&w);
	close_world(&w);
}

struct increment {
	struct world *w;
	struct xsc_run *run;
	xsc_tx tx;
	unsigned bodies, done;
	int rc;
};

static void increment_written(void *arg, int rc, const char *data, size_t len)
{
	struct increment *i = arg;

	(void)data, (void)len;
	xsc_run_end(i->run, rc);
}

static void increment_read(void *arg, int rc, const char *data, size_t len)
{
	struct increment *i = arg;
	char text[16];
	int n;

	(void)len;
	if (rc) {
		xsc_run_end(i->run, rc);
		return;
	}
	n = snprintf(text, sizeof(text), "%d", atoi(data) + 1);
	xsc_write(i->w->xs, i->tx, "/n", text, (size_t)n, increment_written, i);
}

static void increment_body(struct xsc_run *run, xsc_tx tx, void *arg)
{
	struct increment *i = arg;

	i->bodies++;
	i->run = run;
	i->tx = tx;
	xsc_read(i->w->xs, tx, "/n", increment_read, i);
}

static void increment_done(void *arg, int rc, const char *data, size_t len)
{
	struct increment *i = arg;

	(void)data, (void)len;
	i->done++;
	i->rc = rc;
}

static void runs(void **state)
{
	struct world w;
	struct increment i = {.w = &w}, gone = {.w = &w};

	(void)state;
	open_world(&w, 0);
	xsc_run(w.xs, increment_body, increment_done, &i);
	for (int n = 0; n < 3; n++) {
		char value[8];

		serve_start(&w, "3");
		expect(&w, XS_READ);
		reply(&w, XS_READ, value, (size_t)snprintf(value, sizeof(value), "%d", 10 * n));
		expect(&w, XS_WRITE);
		assert_int_equal(atoi(w.rd.data + 3), 10 * n + 1);
		reply_ok(&w);
		expect(&w, XS_TRANSACTION_END);
		if (n < 2)
			reply_error(&w, "EAGAIN");
	}
	reply_ok(&w);
	pump_until(&w, &i.done, 1);
	assert_int_equal(i.rc, 0);
	assert_int_equal(i.bodies, 3);
	/* Cancelled in its body: the transaction is ended, nobody is told. */
	xsc_run(w.xs, increment_body, increment_done, &gone);
	serve_start(&w, "7");
	expect(&w, XS_READ);
	xsc_cancel(w.xs, &gone);
	reply(&w, XS_READ, "1", 1);
	expect(&w, XS_TRANSACTION_END);
	assert_memory_equal(w.rd.data, "F", 2);
	reply_ok(&w);
	expect_silence(&w);
	assert_int_equal(gone.done, 0);
	close_world(&w);
}

/* ---- directories ---- */

static void big_directory(void **state)
{
	struct world w;
	struct got a = {0};
	char part[64];

	(void)state;
	open_world(&w, 0);
	xsc_directory(w.xs, 0, "/d", got_cb, &a);
	expect(&w, XS_DIRECTORY);
	reply_error(&w, "E2BIG");
	expect(&w, XS_DIRECTORY_PART);
	assert_memory_equal(w.rd.data, "/d\0000", 5);
	reply(&w, XS_DIRECTORY_PART, "17\0one\0two\0", 11);
	expect(&w, XS_DIRECTORY_PART);
	assert_memory_equal(w.rd.data, "/d\0008", 5);
	/* It has changed: from the beginning. */
	reply(&w, XS_DIRECTORY_PART, "18\0three\0\0", 10);
	expect(&w, XS_DIRECTORY_PART);
	assert_memory_equal(w.rd.data, "/d\0000", 5);
	reply(&w, XS_DIRECTORY_PART, "18\0zero\0", 8);
	expect(&w, XS_DIRECTORY_PART);
	memcpy(part, "18\0three\0\0", 10);
	reply(&w, XS_DIRECTORY_PART, part, 10);
	assert_got(&w, &a, 0);
	assert_int_equal(a.len, 11);
	assert_memory_equal(a.data, "zero\0three\0", 11);
	/* Parts that bring nothing do not go on for ever. */
	memset(&a, 0, sizeof(a));
	xsc_directory(w.xs, 0, "/d", got_cb, &a);
	expect(&w, XS_DIRECTORY);
	reply_error(&w, "E2BIG");
	expect(&w, XS_DIRECTORY_PART);
	reply(&w, XS_DIRECTORY_PART, "17\0", 3);
	assert_got(&w, &a, -EPEER);
	close_world(&w);
}

struct all {
	unsigned n;
	char text[256];
};

static int each(void *ctx, const char *key, const char *value, size_t len)
{
	struct all *a = ctx;

	a->n++;
	snprintf(a->text + strlen(a->text), sizeof(a->text) - strlen(a->text), "%s=%.*s;", key, (int)len, value);
	return 0;
}

static bool is_q(const char *name) { return name[0] == 'q'; }

static void whole_directory(void **state)
{
	struct world w;
	struct got g = {0};
	struct all a = {0};

	(void)state;
	open_world(&w, 0);
	xsc_read_all(w.xs, 0, "/d", is_q, 10, each, &a, got_cb, &g);
	expect(&w, XS_DIRECTORY);
	reply(&w, XS_DIRECTORY, "a\0q0\0gone\0", 10);
	expect(&w, XS_READ);
	reply(&w, XS_READ, "1", 1);
	expect(&w, XS_READ);
	assert_string_equal(w.rd.data, "/d/q0");
	reply(&w, XS_READ, "", 0);
	expect(&w, XS_DIRECTORY);
	assert_string_equal(w.rd.data, "/d/q0");
	reply(&w, XS_DIRECTORY, "ref\0", 4);
	expect(&w, XS_READ);
	assert_string_equal(w.rd.data, "/d/gone");
	reply_error(&w, "ENOENT");
	expect(&w, XS_READ);
	assert_string_equal(w.rd.data, "/d/q0/ref");
	reply(&w, XS_READ, "8", 1);
	assert_got(&w, &g, 0);
	assert_string_equal(a.text, "a=1;q0=;q0/ref=8;");
	memset(&g, 0, sizeof(g));
	xsc_read_all(w.xs, 0, "/d", NULL, 1, each, &a, got_cb, &g);
	expect(&w, XS_DIRECTORY);
	reply(&w, XS_DIRECTORY, "a\0b\0", 4);
	expect(&w, XS_READ);
	reply(&w, XS_READ, "1", 1);
	assert_got(&w, &g, -E2BIG);
	close_world(&w);
}

/* ---- ends ---- */

static void closing_cb(void *arg, int rc, const char *data, size_t len)
{
	struct world *w = arg;

	(void)rc, (void)data, (void)len;
	xsc_close(w->xs);
	w->xs = NULL;
}

static void closed_in_a_callback(void **state)
{
	struct world w;
	struct got a = {0}, b = {0};
	char frame[128];
	size_t n;
	uint32_t id;

	(void)state;
	open_world(&w, 0);
	xsc_read(w.xs, 0, "/a", closing_cb, &w);
	xsc_read(w.xs, 0, "/b", got_cb, &a);
	xsc_directory(w.xs, 0, "/c", got_cb, &b);
	xsc_batch_commit(w.xs, two_writes(), got_cb, &b);
	expect(&w, XS_READ);
	id = w.rd.hdr.req_id;
	expect(&w, XS_READ);
	n = xs_frame(frame, XS_READ, id, 0, "1", 1);
	n += xs_frame(frame + n, XS_READ, w.rd.hdr.req_id, 0, "2", 1);
	send_all(&w, frame, n);
	while (w.xs)
		assert_int_equal(loop_once(w.loop, PATIENCE), 0);
	loop_once(w.loop, 2 * NS_PER_MS);
	assert_int_equal(a.calls + b.calls, 0);
	close_world(&w);
	/* The same when it is an error that calls back, and with everything unsent. */
	open_world(&w, 0);
	xsc_read(w.xs, 0, "//", closing_cb, &w);
	xsc_read(w.xs, 0, "//", got_cb, &a);
	while (w.xs)
		assert_int_equal(loop_once(w.loop, PATIENCE), 0);
	loop_once(w.loop, 2 * NS_PER_MS);
	assert_int_equal(a.calls, 0);
	close_world(&w);
}

static void cancelled(void **state)
{
	struct world w;
	struct got a = {0}, b = {0};
	xsc_tx tx;

	(void)state;
	open_world(&w, 0);
	xsc_read(w.xs, 0, "/a", got_cb, &a);
	xsc_directory(w.xs, 0, "/a", got_cb, &a);
	xsc_txn_start(w.xs, &tx, got_cb, &a);
	xsc_read(w.xs, 0, "//", got_cb, &a);
	xsc_read(w.xs, 0, "/b", got_cb, &b);
	xsc_cancel(w.xs, &a);
	expect(&w, XS_READ);
	reply(&w, XS_READ, "1", 1);
	expect(&w, XS_DIRECTORY);
	reply(&w, XS_DIRECTORY, "x\0", 2);
	serve_start(&w, "4");
	expect(&w, XS_READ);
	reply(&w, XS_READ, "2", 1);
	assert_got(&w, &b, 0);
	expect(&w, XS_TRANSACTION_END);
	assert_int_equal(w.rd.hdr.tx_id, 4);
	assert_int_equal(a.calls, 0);
	close_world(&w);
}

/* A store that reads nothing: requests wait, and are refused when there are too many; nothing blocks. */
static void a_store_that_does_not_read(void **state)
{
	static struct got g[XSC_REQS_MAX + 10];
	unsigned refused = 0, late = 0;
	uint64_t end;
	struct world w;

	(void)state;
	memset(g, 0, sizeof(g));
	open_world(&w, 300 * NS_PER_MS);
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		xsc_read(w.xs, 0, "/some/path/that/is/rather/long", got_cb, &g[i]);
	end = clock_now() + PATIENCE;
	while (refused + late < ARRAY_LEN(g) && clock_now() < end) {
		loop_once(w.loop, 50 * NS_PER_MS);
		refused = late = 0;
		for (size_t i = 0; i < ARRAY_LEN(g); i++) {
			refused += g[i].calls == 1 && g[i].rc == -ENOBUFS;
			late += g[i].calls == 1 && g[i].rc == -ETIMEDOUT;
		}
	}
	assert_int_equal(refused, 10);
	assert_int_equal(late, XSC_REQS_MAX);
	close_world(&w);
}

static void paths(void **state)
{
	char path[256], shorter[8];

	(void)state;
	setenv("XENSTORED_PATH", "/tmp/elsewhere", 1);
	assert_int_equal(xsc_path("/run/x", path, sizeof(path)), 0);
	assert_string_equal(path, "/tmp/elsewhere");
	unsetenv("XENSTORED_PATH");
	assert_int_equal(xsc_path("/run/x", path, sizeof(path)), 0);
	assert_string_equal(path, "/run/x/store.sock");
	assert_int_equal(xsc_path("/run/x", shorter, sizeof(shorter)), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_and_replies),
		cmocka_unit_test(torn_replies),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(late_transaction_is_ended),
		cmocka_unit_test(death_in_mid_reply),
		cmocka_unit_test(garbage),
		cmocka_unit_test(unknown_error),
		cmocka_unit_test(store_that_refuses_at_first),
		cmocka_unit_test(watches),
		cmocka_unit_test(watches_come_back),
		cmocka_unit_test(batches),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(runs),
		cmocka_unit_test(big_directory),
		cmocka_unit_test(whole_directory),
		cmocka_unit_test(closed_in_a_callback),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(a_store_that_does_not_read),
		cmocka_unit_test(paths),
	};

	log_init("test_xs", LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
