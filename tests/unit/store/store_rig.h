/* store_rig.h - the pure store driven as the daemon drives it: operations as a domain, alone or in a transaction. */
#ifndef BULKHEAD_TESTS_UNIT_STORE_STORE_RIG_H
#define BULKHEAD_TESTS_UNIT_STORE_STORE_RIG_H

#include "xenstore-glue/store/xs_ops.h"
#include "xenstore-glue/store/xs_txn.h"
#include "xenstore-glue/store/xs_watch.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

enum rig_op { RIG_READ, RIG_WRITE, RIG_MKDIR, RIG_RM, RIG_PERMS };

/* Events of the last committed change that one domain's watches would get: "path=token;" in order. */
struct rig {
	struct xs_store *st;
	struct xs_watches *w; /* NULL: events are not collected */
	char events[8192];
	char value[4096]; /* of the last read */
};

static inline void rig_events(struct rig *r, const struct xs_change *ch)
{
	const struct xs_delta *d;
	const struct xs_watch *w;

	r->events[0] = '\0';
	if (!r->w)
		return;
	STAILQ_FOREACH(d, &ch->fires, fire_link) {
		struct xs_cred c = xs_store_cred(r->st, r->w->domid);

		if (!xs_change_may_see(ch, d, &c))
			continue;
		TAILQ_FOREACH(w, &r->w->list, link) {
			size_t at = strlen(r->events);

			if (xs_watch_matches(w, d->slot.path, d->exact))
				snprintf(r->events + at, sizeof(r->events) - at, "%s=%s;",
					 xs_watch_event_path(w, d->slot.path), w->token);
		}
	}
}

/* arg: value for RIG_WRITE, "n0 r5" for RIG_PERMS. */
static inline int rig_apply(struct rig *r, struct xs_view *v, enum rig_op op, const char *path, const char *arg)
{
	struct xs_perm perms[16];
	char copy[128], *save, *word;
	struct xs_node *n;
	uint32_t np = 0;
	int rc;

	switch (op) {
	case RIG_READ:
		rc = xs_op_read(v, path, &n);
		if (rc == 0)
			snprintf(r->value, sizeof(r->value), "%.*s", (int)n->datalen, n->data);
		return rc;
	case RIG_WRITE:
		return xs_op_write(v, path, arg, (uint32_t)strlen(arg));
	case RIG_MKDIR:
		return xs_op_mkdir(v, path);
	case RIG_RM:
		return xs_op_rm(v, path);
	case RIG_PERMS:
		snprintf(copy, sizeof(copy), "%s", arg);
		for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
			assert_int_equal(xs_perm_parse(word, &perms[np++]), 0);
		return xs_op_set_perms(v, path, perms, np);
	}
	return -ENOSYS;
}

static inline int rig_do(struct rig *r, uint16_t domid, enum rig_op op, const char *path, const char *arg)
{
	struct xs_change ch;
	struct xs_view v = {.ch = &ch, .cred = xs_store_cred(r->st, domid)};
	int rc;

	xs_change_init(&ch, r->st, domid);
	rc = rig_apply(r, &v, op, path, arg);
	if (rc == 0)
		rc = xs_change_commit(&ch);
	if (rc == 0)
		rig_events(r, &ch);
	xs_change_drop(&ch);
	return rc;
}

static inline int rig_in(struct rig *r, struct xs_txn *x, enum rig_op op, const char *path, const char *arg)
{
	struct xs_view v = {.ch = &x->ch, .cred = xs_store_cred(r->st, x->ch.domid)};
	unsigned before = x->ch.modifications;
	int rc = rig_apply(r, &v, op, path, arg);

	if (rc < 0 && x->ch.modifications != before)
		xs_change_fail(&x->ch, rc);
	return rc;
}

static inline int rig_end(struct rig *r, struct xs_txns *t, struct xs_txn *x, bool commit)
{
	int rc = 0;

	xs_txn_take(t, x);
	if (commit)
		rc = xs_change_commit(&x->ch);
	if (commit && rc == 0)
		rig_events(r, &x->ch);
	xs_txn_free(x);
	return rc;
}

static inline void rig_introduce(struct rig *r, uint16_t domid)
{
	struct xs_change ch;

	xs_change_init(&ch, r->st, 0);
	assert_int_equal(xs_change_set_dom(&ch, domid, XS_DOMID_NONE, false), 0);
	assert_int_equal(xs_change_commit(&ch), 0);
	xs_change_drop(&ch);
}

static inline int rig_release(struct rig *r, uint16_t domid)
{
	struct xs_change ch;
	struct xs_view v = {.ch = &ch, .cred = xs_store_cred(r->st, 0)};
	int rc;

	xs_change_init(&ch, r->st, 0);
	rc = xs_op_release(&v, domid);
	if (rc == 0)
		rc = xs_change_commit(&ch);
	if (rc == 0)
		rig_events(r, &ch);
	xs_change_drop(&ch);
	return rc;
}

/* A domain with a home that it owns. */
static inline void rig_guest(struct rig *r, uint16_t domid)
{
	char home[XS_PATH_SIZE], perm[16];

	rig_introduce(r, domid);
	xs_path_domain(home, domid);
	snprintf(perm, sizeof(perm), "n%u", domid);
	assert_int_equal(rig_do(r, 0, RIG_MKDIR, home, NULL), 0);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, home, perm), 0);
}

static inline void rig_check(const struct rig *r)
{
	char text[256] = "";

	if (xs_store_check(r->st, text, sizeof(text)))
		fail_msg("the store contradicts itself: %s", text);
}

static inline int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	if (!r || xs_store_open(&r->st, 12345) < 0)
		return -1;
	*state = r;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *r = *state;

	rig_check(r);
	xs_store_close(r->st);
	free(r);
	return 0;
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

#endif
