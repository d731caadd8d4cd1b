/* Requests, replies, deadlines and ends of the client; the store is late, torn, garbled, dying. */
#include "tests/unit/client/played_store.h"

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
		cmocka_unit_test(closed_in_a_callback),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(a_store_that_does_not_read),
		cmocka_unit_test(paths),
	};

	log_init("test_xs", LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
