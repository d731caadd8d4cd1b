/* Transactions: isolation, conflicts, quotas, events at the commit, and failures in between. */
#include "tests/unit/store/store_rig.h"

static struct xs_txn *start(struct rig *r, struct xs_txns *t, uint16_t domid)
{
	struct xs_txn *x;

	assert_int_equal(xs_txn_start(t, r->st, domid, &x), 0);
	return x;
}

static void nothing_is_seen_before_the_commit(void **state)
{
	struct rig *r = *state;
	struct xs_watches w;
	struct xs_watch *wx;
	struct xs_txns t;
	struct xs_txn *x;

	xs_txns_init(&t);
	xs_watches_init(&w, r->st, 0);
	assert_int_equal(xs_watch_add(&w, "/a", "T", &wx), 0);
	r->w = &w;
	x = start(r, &t, 0);
	assert_int_equal(rig_in(r, x, RIG_WRITE, "/a/b", "1"), 0);
	assert_int_equal(rig_in(r, x, RIG_WRITE, "/a/c", "2"), 0);
	assert_int_equal(rig_in(r, x, RIG_WRITE, "/a/b", "3"), 0);
	assert_int_equal(rig_in(r, x, RIG_READ, "/a/b", NULL), 0);
	assert_string_equal(r->value, "3");
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b", NULL), -ENOENT);
	assert_int_equal(rig_end(r, &t, x, true), 0);
	assert_string_equal(r->events, "/a/b=T;/a/c=T;");
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b", NULL), 0);
	assert_string_equal(r->value, "3");
	x = start(r, &t, 0);
	assert_int_equal(rig_in(r, x, RIG_RM, "/a", NULL), 0);
	assert_int_equal(rig_in(r, x, RIG_READ, "/a/b", NULL), -ENOENT);
	assert_int_equal(rig_end(r, &t, x, false), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b", NULL), 0);
	xs_watches_drop(&w);
	r->w = NULL;
}

static void conflicts_are_found(void **state)
{
	/* Inside; outside; does the commit succeed? */
	static const struct {
		enum rig_op in;
		const char *in_path, *in_arg;
		enum rig_op out;
		const char *out_path, *out_arg;
		int want;
	} cases[] = {
		{RIG_READ, "/d/x", NULL, RIG_WRITE, "/d/x", "2", -EAGAIN},
		{RIG_READ, "/d/x", NULL, RIG_RM, "/d/x", NULL, -EAGAIN},
		{RIG_READ, "/d/x", NULL, RIG_PERMS, "/d/x", "r0", -EAGAIN},
		{RIG_READ, "/d/x", NULL, RIG_WRITE, "/d/y", "2", 0},
		{RIG_READ, "/d/none", NULL, RIG_WRITE, "/d/none", "2", -EAGAIN},
		{RIG_WRITE, "/d/x", "3", RIG_WRITE, "/d/x", "2", -EAGAIN},
		{RIG_WRITE, "/d/new", "3", RIG_WRITE, "/d/other", "2", -EAGAIN}, /* both change the list of /d */
		{RIG_RM, "/d", NULL, RIG_WRITE, "/d/x", "2", -EAGAIN},
		{RIG_RM, "/d", NULL, RIG_WRITE, "/e/x", "2", 0},
		{RIG_WRITE, "/d/x", "3", RIG_READ, "/d/x", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig *r = *state;
		struct xs_txns t;
		struct xs_txn *x;

		rig_do(r, 0, RIG_WRITE, "/d/x", "1");
		rig_do(r, 0, RIG_WRITE, "/d/y", "1");
		rig_do(r, 0, RIG_RM, "/d/none", NULL);
		rig_do(r, 0, RIG_WRITE, "/e/x", "1");
		xs_txns_init(&t);
		x = start(r, &t, 0);
		rig_in(r, x, cases[i].in, cases[i].in_path, cases[i].in_arg);
		assert_int_equal(rig_in(r, x, RIG_WRITE, "/result", "done"), 0);
		assert_int_equal(rig_do(r, 0, cases[i].out, cases[i].out_path, cases[i].out_arg), 0);
		if (rig_end(r, &t, x, true) != cases[i].want)
			fail_msg("case %zu", i);
		rig_check(r);
	}
}

static void the_first_of_two_wins(void **state)
{
	struct rig *r = *state;
	struct xs_txn *a, *b;
	struct xs_txns t;

	rig_do(r, 0, RIG_WRITE, "/n", "1");
	xs_txns_init(&t);
	a = start(r, &t, 0);
	b = start(r, &t, 0);
	assert_int_not_equal(a->id, b->id);
	rig_in(r, a, RIG_READ, "/n", NULL);
	rig_in(r, b, RIG_READ, "/n", NULL);
	rig_in(r, a, RIG_WRITE, "/n", "a");
	rig_in(r, b, RIG_WRITE, "/n", "b");
	assert_int_equal(rig_end(r, &t, b, true), 0);
	assert_int_equal(rig_end(r, &t, a, true), -EAGAIN);
	rig_do(r, 0, RIG_READ, "/n", NULL);
	assert_string_equal(r->value, "b");
}

static void removed_and_made_again_inside(void **state)
{
	struct rig *r = *state;
	struct xs_txns t;
	struct xs_txn *x;

	rig_do(r, 0, RIG_WRITE, "/a/b/c", "1");
	xs_txns_init(&t);
	x = start(r, &t, 0);
	assert_int_equal(rig_in(r, x, RIG_RM, "/a", NULL), 0);
	assert_int_equal(rig_in(r, x, RIG_WRITE, "/a/b", "2"), 0);
	assert_int_equal(rig_in(r, x, RIG_WRITE, "/new/gone", "2"), 0);
	assert_int_equal(rig_in(r, x, RIG_RM, "/new", NULL), 0);
	assert_int_equal(rig_end(r, &t, x, true), 0);
	rig_check(r);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b/c", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/new", NULL), -ENOENT);
	rig_do(r, 0, RIG_READ, "/a/b", NULL);
	assert_string_equal(r->value, "2");
}

static void quotas_hold_inside(void **state)
{
	struct rig *r = *state;
	struct xs_txn *x, *more;
	struct xs_txns t;
	char path[32];

	rig_guest(r, 5);
	xs_txns_init(&t);
	for (int i = 0; i < 10; i++)
		start(r, &t, 5);
	assert_int_equal(xs_txn_start(&t, r->st, 5, &more), -ENOSPC);
	xs_txns_drop(&t);
	assert_int_equal(xs_store_dom(r->st, 5)->txns, 0);
	r->st->quota.nodes = 50;
	x = start(r, &t, 5);
	for (int i = 0; i < 49; i++)
		assert_int_equal(rig_in(r, x, RIG_MKDIR, (snprintf(path, sizeof(path), "n%d", i), path), NULL), 0);
	assert_int_equal(rig_in(r, x, RIG_MKDIR, "n-more", NULL), -ENOSPC);
	/* Others may take the room meanwhile: judged again at the commit. */
	assert_int_equal(rig_do(r, 0, RIG_MKDIR, "/elsewhere", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/elsewhere", "n5"), 0);
	assert_int_equal(rig_end(r, &t, x, true), -ENOSPC);
	assert_int_equal(xs_store_dom(r->st, 5)->nodes, 2);
	assert_int_equal(xs_store_dom(r->st, 5)->held, 0);
}

static void nodes_of_a_transaction_are_bounded(void **state)
{
	struct rig *r = *state;
	struct xs_txns t;
	struct xs_txn *x;
	char path[32];
	int rc = 0, n = 0;

	rig_guest(r, 5);
	xs_txns_init(&t);
	x = start(r, &t, 5);
	for (; rc == 0 || rc == -ENOENT; n++)
		rc = rig_in(r, x, RIG_READ, (snprintf(path, sizeof(path), "n%d", n), path), NULL);
	assert_int_equal(rc, -ENOSPC);
	assert_in_range(n, 1000, 1024);
	assert_int_equal(rig_end(r, &t, x, true), -ENOSPC);
}

/* XSA-326: what transactions keep is the guest's memory. */
static void memory_of_transactions_is_charged(void **state)
{
	struct rig *r = *state;
	struct xs_txns t;
	struct xs_txn *x;
	char path[32], big[1900];
	int rc = 0;

	rig_guest(r, 5);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	r->st->quota.memory = 200000;
	xs_txns_init(&t);
	x = start(r, &t, 5);
	for (int i = 0; rc == 0 && i < 1000; i++)
		rc = rig_in(r, x, RIG_WRITE, (snprintf(path, sizeof(path), "n%d", i), path), big);
	assert_int_equal(rc, -ENOMEM);
	assert_true(xs_store_dom(r->st, 5)->held <= 200000);
	assert_int_equal(rig_end(r, &t, x, true), -ENOMEM);
	assert_int_equal(xs_store_dom(r->st, 5)->held, 0);
}

static void rights_of_the_dead_do_not_come_back(void **state)
{
	struct rig *r = *state;
	struct xs_txns t;
	struct xs_txn *x;

	rig_guest(r, 5);
	rig_do(r, 0, RIG_WRITE, "/n", "1");
	xs_txns_init(&t);
	x = start(r, &t, 0);
	assert_int_equal(rig_in(r, x, RIG_PERMS, "/n", "n0 r5"), 0);
	assert_int_equal(rig_in(r, x, RIG_MKDIR, "/m", NULL), 0);
	assert_int_equal(rig_in(r, x, RIG_PERMS, "/m", "n5"), 0);
	assert_int_equal(rig_release(r, 5), 0);
	rig_introduce(r, 5);
	assert_int_equal(rig_end(r, &t, x, true), -EAGAIN);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/n", NULL), -EACCES);
}

/* ---- the recorder refuses: nothing has happened ---- */

static int refuse(struct xs_recorder *rec, const void *p, size_t len)
{
	(void)rec, (void)p, (void)len;
	return -ENOSPC;
}

static void what_is_not_recorded_has_not_happened(void **state)
{
	struct rig *r = *state;
	struct xs_recorder rec = {refuse};
	struct xs_txns t;
	struct xs_txn *x;

	rig_guest(r, 5);
	rig_do(r, 0, RIG_WRITE, "/n", "1");
	xs_txns_init(&t);
	x = start(r, &t, 0);
	rig_in(r, x, RIG_WRITE, "/n", "2");
	r->st->recorder = &rec;
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/n", "2"), -ENOSPC);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/m/k", "2"), -ENOSPC);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/n", NULL), -ENOSPC);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/n", "r0"), -ENOSPC);
	assert_int_equal(rig_release(r, 5), -ENOSPC);
	assert_int_equal(rig_end(r, &t, x, true), -ENOSPC);
	r->st->recorder = NULL;
	assert_int_equal(rig_do(r, 0, RIG_READ, "/n", NULL), 0);
	assert_string_equal(r->value, "1");
	assert_int_equal(rig_do(r, 0, RIG_READ, "/m", NULL), -ENOENT);
	assert_non_null(xs_store_dom(r->st, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(nothing_is_seen_before_the_commit),
		RIG_TEST(conflicts_are_found),
		RIG_TEST(the_first_of_two_wins),
		RIG_TEST(removed_and_made_again_inside),
		RIG_TEST(quotas_hold_inside),
		RIG_TEST(nodes_of_a_transaction_are_bounded),
		RIG_TEST(memory_of_transactions_is_charged),
		RIG_TEST(rights_of_the_dead_do_not_come_back),
		RIG_TEST(what_is_not_recorded_has_not_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
