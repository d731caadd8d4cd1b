/* The tree: operations, permissions, quotas, events, the end of domains. Advisories by number (docs of Xen). */
#include "tests/unit/store/store_rig.h"

#include <inttypes.h>

static void write_makes_parents_and_read_gives_back(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/a/b/c", "v"), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b/c", NULL), 0);
	assert_string_equal(r->value, "v");
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b", NULL), 0);
	assert_string_equal(r->value, "");
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/x", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a//b", NULL), -EINVAL);
	assert_int_equal(rig_do(r, 0, RIG_MKDIR, "/a/b", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b/c", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "rel/x", "1"), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/local/domain/0/rel/x", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/", "root"), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/", NULL), 0);
	assert_string_equal(r->value, "root");
}

static void rm_needs_only_the_parent(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/a/b/c", "v"), 0);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/a/nothing", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/a/no/thing", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/a", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a/b/c", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/a", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/", NULL), -EINVAL);
}

static void children_keep_their_order(void **state)
{
	struct rig *r = *state;
	struct xs_node *n;

	rig_do(r, 0, RIG_MKDIR, "/d/z", NULL);
	rig_do(r, 0, RIG_MKDIR, "/d/a", NULL);
	rig_do(r, 0, RIG_MKDIR, "/d/m", NULL);
	rig_do(r, 0, RIG_RM, "/d/a", NULL);
	n = xs_store_get(r->st, "/d", 2);
	assert_int_equal(n->childlen, 4);
	assert_memory_equal(n->children, "z\0m", 4);
}

/* XSA-418: depth costs no stack. */
static void a_thousand_levels(void **state)
{
	struct rig *r = *state;
	char path[2 * 1000 + 3] = "";

	for (int i = 0; i < 1000; i++)
		memcpy(path + 2 * i, "/n", 3);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, path, "deep"), 0);
	rig_check(r);
	assert_int_equal(rig_do(r, 0, RIG_READ, path, NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_RM, "/n", NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_READ, path, NULL), -ENOENT);
}

static void permissions_are_inherited_and_kept(void **state)
{
	struct rig *r = *state;
	struct xs_node *n;

	rig_guest(r, 5);
	rig_introduce(r, 6);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/local/domain/5", "n5 r6"), 0);
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "x/y", "1"), 0);
	n = xs_store_get(r->st, "/local/domain/5/x/y", 19);
	assert_int_equal(n->nperms, 2);
	assert_int_equal(n->perms[0].domid, 5);
	assert_int_equal(n->perms[1].domid, 6);
	assert_int_equal(rig_do(r, 6, RIG_READ, "/local/domain/5/x/y", NULL), 0);
	assert_int_equal(rig_do(r, 6, RIG_WRITE, "/local/domain/5/x/y", "2"), -EACCES);
	/* A guest owns what it makes, also below what another owns. */
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/local/domain/5/x", "n5 b6"), 0);
	assert_int_equal(rig_do(r, 6, RIG_WRITE, "/local/domain/5/x/z", "2"), 0);
	n = xs_store_get(r->st, "/local/domain/5/x/z", 19);
	assert_int_equal(n->perms[0].domid, 6);
}

static void what_may_not_be_seen_is_not_told(void **state)
{
	struct rig *r = *state;

	rig_guest(r, 5);
	rig_guest(r, 6);
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "secret", "1"), 0);
	assert_int_equal(rig_do(r, 6, RIG_READ, "/local/domain/5/secret", NULL), -EACCES);
	assert_int_equal(rig_do(r, 6, RIG_READ, "/local/domain/5/nothing", NULL), -EACCES);
	assert_int_equal(rig_do(r, 6, RIG_READ, "nothing", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 6, RIG_RM, "/local/domain/5", NULL), -EACCES);
}

/* XSA-352, XSA-353: giving away, and the root. */
static void guests_and_the_root_and_owners(void **state)
{
	struct rig *r = *state;

	rig_guest(r, 5);
	rig_introduce(r, 6);
	assert_int_equal(rig_do(r, 5, RIG_RM, "/", NULL), -EACCES);
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "/x", "1"), -EACCES);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/", NULL), -EACCES);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, "/", "b5"), -EACCES);
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "x", "1"), 0);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, "x", "n0"), -EPERM);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, "x", "n6"), -EPERM);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, "x", "n5 r6"), 0);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, XS_RELEASE_DOMAIN, "n5"), -EACCES);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, XS_RELEASE_DOMAIN, "n0 r5"), 0);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "@other", "n0"), -EINVAL);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/local", "n77"), -ENOENT);
}

static void quota_of_nodes(void **state)
{
	struct rig *r = *state;
	char path[32], big[3000];
	unsigned made = 1;

	rig_guest(r, 5);
	while (rig_do(r, 5, RIG_WRITE, (snprintf(path, sizeof(path), "d%u/n%u", made % 7, made), path), "") == 0)
		made++;
	assert_int_equal(xs_store_dom(r->st, 5)->nodes, 1000);
	assert_int_equal(rig_do(r, 5, RIG_MKDIR, "one-more", NULL), -ENOSPC);
	assert_int_equal(rig_do(r, 5, RIG_RM, "d1/n1", NULL), 0);
	assert_int_equal(rig_do(r, 5, RIG_MKDIR, "one-more/level", NULL), -ENOSPC);
	assert_int_equal(rig_do(r, 5, RIG_MKDIR, "one-more", NULL), 0);
	/* Domain 0 has none. */
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/local/domain/5/by-dom0", ""), 0);
	memset(big, 'x', sizeof(big) - 1);
	big[2047 - 24 - 8] = '\0';
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "one-more", big), 0);
	big[2047 - 24 - 8] = 'x';
	big[2048 - 24 - 8] = '\0';
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "one-more", big), -ENOSPC);
	assert_int_equal(rig_do(r, 5, RIG_PERMS, "one-more", "n5 r0 r0 r0 r0 r0"), -ENOSPC);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/big", big), 0);
}

static void quota_of_memory(void **state)
{
	struct rig *r = *state;
	char path[32], big[1900];
	int rc = 0;

	rig_guest(r, 5);
	r->st->quota.memory = 100000;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; rc == 0; i++)
		rc = rig_do(r, 5, RIG_WRITE, (snprintf(path, sizeof(path), "n%d", i), path), big);
	assert_int_equal(rc, -ENOMEM);
	assert_in_range(xs_store_dom(r->st, 5)->node_bytes, 90000, 100000);
	assert_int_equal(rig_do(r, 5, RIG_RM, "n1", NULL), 0);
	assert_int_equal(rig_do(r, 5, RIG_WRITE, "n1", big), 0);
}

static void watch(struct rig *r, struct xs_watches *w, const char *path, const char *token, int want)
{
	struct xs_watch *x;

	assert_int_equal(xs_watch_add(w, path, token, &x), want);
	(void)r;
}

static void events_in_order(void **state)
{
	struct rig *r = *state;
	struct xs_watches w;

	xs_watches_init(&w, r->st, 0);
	r->w = &w;
	watch(r, &w, "/a", "A", 0);
	watch(r, &w, "/a/b", "B", 0);
	watch(r, &w, "/a/b", "B", -EEXIST);
	watch(r, &w, "rel", "R", 0);
	watch(r, &w, "/a/", "bad", -EINVAL);
	rig_do(r, 0, RIG_WRITE, "/a/b/c", "1");
	assert_string_equal(r->events, "/a/b/c=A;/a/b/c=B;");
	rig_do(r, 0, RIG_WRITE, "rel/x", "1");
	assert_string_equal(r->events, "rel/x=R;");
	rig_do(r, 0, RIG_MKDIR, "/a/b", NULL);
	assert_string_equal(r->events, "");
	rig_do(r, 0, RIG_PERMS, "/a/b", "r0");
	assert_string_equal(r->events, "/a/b=A;/a/b=B;");
	/* Recursive: the child's own watch first, and only the root's event above it. */
	rig_do(r, 0, RIG_RM, "/a", NULL);
	assert_string_equal(r->events, "/a/b=B;/a=A;");
	assert_int_equal(xs_watch_remove(&w, "/a", "B"), -ENOENT);
	assert_int_equal(xs_watch_remove(&w, "/a", "A"), 0);
	xs_watches_drop(&w);
	assert_int_equal(xs_store_dom(r->st, 0)->watches, 0);
	assert_int_equal(xs_store_dom(r->st, 0)->held, 0);
	r->w = NULL;
}

/* XSA-115. */
static void no_event_of_what_may_not_be_read(void **state)
{
	struct rig *r = *state;
	struct xs_watches w;

	rig_guest(r, 5);
	rig_guest(r, 6);
	xs_watches_init(&w, r->st, 6);
	r->w = &w;
	watch(r, &w, "/", "T", 0);
	rig_do(r, 5, RIG_WRITE, "private", "1");
	assert_string_equal(r->events, "");
	rig_do(r, 0, RIG_WRITE, "/private", "1");
	assert_string_equal(r->events, "");
	rig_do(r, 5, RIG_PERMS, "private", "n5 r6");
	assert_string_equal(r->events, "/local/domain/5/private=T;");
	rig_do(r, 5, RIG_WRITE, "private", "2");
	assert_string_equal(r->events, "/local/domain/5/private=T;");
	/* Losing the right is the last thing it is told. */
	rig_do(r, 5, RIG_PERMS, "private", "n5");
	assert_string_equal(r->events, "/local/domain/5/private=T;");
	rig_do(r, 5, RIG_RM, "private", NULL);
	assert_string_equal(r->events, "");
	xs_watches_drop(&w);
	r->w = NULL;
}

/* XSA-330 and the quota of watches. */
static void watches_are_counted(void **state)
{
	struct rig *r = *state;
	struct xs_watches w;
	struct xs_watch *x;
	char token[16];

	rig_guest(r, 5);
	xs_watches_init(&w, r->st, 5);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 128; i++) {
			snprintf(token, sizeof(token), "%d", i);
			assert_int_equal(xs_watch_add(&w, "x", token, &x), 0);
		}
		assert_int_equal(xs_watch_add(&w, "x", "more", &x), -E2BIG);
		xs_watches_drop(&w);
		assert_int_equal(xs_store_dom(r->st, 5)->watches, 0);
		assert_int_equal(xs_store_dom(r->st, 5)->held, 0);
	}
}

/* XSA-322, 417, 419: nothing of a dead domain is left for the next one of its number. */
static void a_reused_domid_inherits_nothing(void **state)
{
	struct rig *r = *state;
	struct xs_watches w;

	rig_guest(r, 5);
	rig_guest(r, 6);
	rig_do(r, 0, RIG_WRITE, "/shared", "s");
	rig_do(r, 0, RIG_PERMS, "/shared", "n0 r5 r6");
	rig_do(r, 0, RIG_WRITE, "/owned/below", "s");
	rig_do(r, 0, RIG_PERMS, "/owned", "n5");
	rig_do(r, 0, RIG_PERMS, XS_INTRODUCE_DOMAIN, "n0 r5");
	rig_do(r, 6, RIG_WRITE, "x", "1");
	rig_do(r, 6, RIG_PERMS, "x", "n6 b5");
	rig_do(r, 5, RIG_WRITE, "/local/domain/6/x/mine", "1");
	xs_watches_init(&w, r->st, 0);
	r->w = &w;
	watch(r, &w, "/local/domain/5", "T", 0);
	watch(r, &w, "/owned/below", "U", 0);
	assert_int_equal(rig_release(r, 5), 0);
	assert_non_null(strstr(r->events, "/local/domain/5=T;"));
	assert_non_null(strstr(r->events, "/owned/below=U;"));
	xs_watches_drop(&w);
	r->w = NULL;
	rig_check(r);
	assert_null(xs_store_dom(r->st, 5));
	assert_int_equal(rig_do(r, 0, RIG_READ, "/owned", NULL), -ENOENT);
	assert_int_equal(rig_do(r, 0, RIG_READ, "/local/domain/6/x/mine", NULL), -ENOENT);
	rig_introduce(r, 5);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/shared", NULL), -EACCES);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/local/domain/6/x", NULL), -EACCES);
	assert_int_equal(rig_do(r, 6, RIG_READ, "/shared", NULL), 0);
	assert_int_equal(xs_store_get(r->st, XS_INTRODUCE_DOMAIN, strlen(XS_INTRODUCE_DOMAIN))->nperms, 1);
	assert_int_equal(xs_store_dom(r->st, 5)->nodes, 0);
	assert_int_equal(xs_store_dom(r->st, 5)->node_bytes, 0);
}

/* What is below another node that goes is no event of its own, whichever of the two the table has first. */
static void a_released_domains_events_do_not_depend_on_the_table(void **state)
{
	static const char *const owned[] = {"/x", "/x/y", "/x/y/z", "/x/kept/low", "/other"};

	(void)state;
	for (uint64_t seed = 1; seed <= 64; seed++) {
		struct rig r = {0};
		struct xs_watches w;

		assert_int_equal(xs_store_open(&r.st, seed), 0);
		rig_introduce(&r, 5);
		for (size_t i = 0; i < ARRAY_LEN(owned); i++)
			assert_int_equal(rig_do(&r, 0, RIG_WRITE, owned[i], "1"), 0);
		for (size_t i = 0; i < ARRAY_LEN(owned); i++)
			assert_int_equal(rig_do(&r, 0, RIG_PERMS, owned[i], "n5"), 0);
		xs_watches_init(&w, r.st, 0);
		r.w = &w;
		watch(&r, &w, "/", "T", 0);
		assert_int_equal(rig_release(&r, 5), 0);
		if (strcmp(r.events, "/x=T;/other=T;") != 0 && strcmp(r.events, "/other=T;/x=T;") != 0)
			fail_msg("seed %" PRIu64 ": %s", seed, r.events);
		xs_watches_drop(&w);
		rig_check(&r);
		xs_store_close(r.st);
	}
}

static void a_right_given_before_the_domain_counts_for_nothing(void **state)
{
	struct rig *r = *state;

	rig_do(r, 0, RIG_WRITE, "/early", "e");
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/early", "n0 r5"), 0);
	rig_introduce(r, 5);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/early", NULL), -EACCES);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/early", "n0 r5"), 0);
	assert_int_equal(rig_do(r, 5, RIG_READ, "/early", NULL), 0);
}

static void the_root_survives_its_owner(void **state)
{
	struct rig *r = *state;

	rig_guest(r, 5);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/", "n5"), 0);
	assert_int_equal(rig_release(r, 5), 0);
	assert_int_equal(xs_store_get(r->st, "/", 1)->perms[0].domid, 0);
	assert_non_null(xs_store_get(r->st, "/tool", 5));
}

/* XS_SET_TARGET: a stub domain acts for its guest. */
static void a_target_lends_its_rights(void **state)
{
	struct rig *r = *state;
	struct xs_change ch;

	rig_guest(r, 5);
	rig_guest(r, 9);
	assert_int_equal(rig_do(r, 9, RIG_WRITE, "/local/domain/5/x", "1"), -EACCES);
	xs_change_init(&ch, r->st, 0);
	assert_int_equal(xs_change_set_dom(&ch, 9, 5, false), 0);
	assert_int_equal(xs_change_commit(&ch), 0);
	xs_change_drop(&ch);
	assert_int_equal(rig_do(r, 9, RIG_WRITE, "/local/domain/5/x", "1"), 0);
	assert_int_equal(rig_release(r, 5), 0);
	assert_int_equal(xs_store_dom(r->st, 9)->target, XS_DOMID_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(write_makes_parents_and_read_gives_back),
		RIG_TEST(rm_needs_only_the_parent),
		RIG_TEST(children_keep_their_order),
		RIG_TEST(a_thousand_levels),
		RIG_TEST(permissions_are_inherited_and_kept),
		RIG_TEST(what_may_not_be_seen_is_not_told),
		RIG_TEST(guests_and_the_root_and_owners),
		RIG_TEST(quota_of_nodes),
		RIG_TEST(quota_of_memory),
		RIG_TEST(events_in_order),
		RIG_TEST(no_event_of_what_may_not_be_read),
		RIG_TEST(watches_are_counted),
		RIG_TEST(a_reused_domid_inherits_nothing),
		cmocka_unit_test(a_released_domains_events_do_not_depend_on_the_table),
		RIG_TEST(a_right_given_before_the_domain_counts_for_nothing),
		RIG_TEST(the_root_survives_its_owner),
		RIG_TEST(a_target_lends_its_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
