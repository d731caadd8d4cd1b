/* What the client makes of several requests: watches over reconnects, transactions, directories. */
#include "tests/unit/client/played_store.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watches),
		cmocka_unit_test(watches_come_back),
		cmocka_unit_test(batches),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(runs),
		cmocka_unit_test(big_directory),
		cmocka_unit_test(whole_directory),
	};

	log_init("test_xs_jobs", LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
