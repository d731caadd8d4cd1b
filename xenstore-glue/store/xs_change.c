#include "xenstore-glue/store/xs_change.h"

#include "ring/base/check.h"
#include "xenstore-glue/store/xs_record.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void xs_change_init(struct xs_change *ch, struct xs_store *st, uint16_t domid)
{
	*ch = (struct xs_change){.st = st, .domid = domid};
	xs_table_init(&ch->table, st->nodes.seed);
	STAILQ_INIT(&ch->deltas);
	STAILQ_INIT(&ch->fires);
}

void xs_change_drop(struct xs_change *ch)
{
	struct xs_delta *d;

	while ((d = STAILQ_FIRST(&ch->deltas)) != NULL) {
		STAILQ_REMOVE_HEAD(&ch->deltas, link);
		xs_node_unref(d->seen);
		xs_node_unref(d->now);
		free(d->fresh);
		free(d);
	}
	xs_table_free(&ch->table);
	free(ch->dom);
	ch->dom = NULL;
	if (ch->held) {
		struct xs_dom *payer = xs_store_dom(ch->st, ch->domid);

		CHECK(payer != NULL && payer->held >= ch->held);
		payer->held -= ch->held;
		ch->held = 0;
	}
}

void xs_change_fail(struct xs_change *ch, int rc)
{
	if (!ch->failed)
		ch->failed = rc;
}

/* Charges what a transaction of a guest keeps in memory; a single request keeps nothing. 0 or -ENOMEM. */
static int charge(struct xs_change *ch, size_t bytes)
{
	struct xs_dom *payer = xs_store_dom(ch->st, ch->domid);

	if (ch->domid == 0 || !ch->track)
		return 0;
	CHECK(payer != NULL);
	if (payer->node_bytes + payer->held + bytes > ch->st->quota.memory)
		return -ENOMEM;
	payer->held += bytes;
	ch->held += bytes;
	return 0;
}

static struct xs_delta *find(const struct xs_change *ch, const char *path, size_t len)
{
	struct xs_slot *s = xs_table_find(&ch->table, path, len);

	return s ? CONTAINER_OF(s, struct xs_delta, slot) : NULL;
}

static int add_delta(struct xs_change *ch, const char *path, size_t len, struct xs_delta **out)
{
	struct xs_delta *d;
	char *copy;
	int rc;

	if (ch->track && ch->domid && ch->table.count >= ch->st->quota.txn_nodes)
		return -ENOSPC;
	rc = charge(ch, sizeof(*d) + len + 1);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d) + len + 1);
	if (!d || xs_table_reserve(&ch->table, 1) < 0) {
		free(d);
		return -ENOMEM;
	}
	copy = (char *)(d + 1);
	memcpy(copy, path, len);
	d->seen = xs_node_ref(xs_store_get(ch->st, path, len));
	d->now = xs_node_ref(d->seen);
	xs_table_insert(&ch->table, &d->slot, copy, len);
	STAILQ_INSERT_TAIL(&ch->deltas, d, link);
	*out = d;
	return 0;
}

int xs_change_get(struct xs_change *ch, const char *path, size_t len, struct xs_node **out)
{
	struct xs_delta *d = find(ch, path, len);
	int rc;

	*out = NULL;
	if (!d && ch->track) {
		rc = add_delta(ch, path, len, &d);
		if (rc < 0) {
			xs_change_fail(ch, rc);
			return rc;
		}
	}
	*out = d ? d->now : xs_store_get(ch->st, path, len);
	return *out ? 0 : -ENOENT;
}

static int32_t owned_by(const struct xs_node *n, uint16_t domid) { return n && n->perms[0].domid == domid; }

/* The delta of path, ready to take a new version. */
static int prepare(struct xs_change *ch, const char *path, size_t size, struct xs_delta **out)
{
	size_t len = strlen(path);
	int rc = charge(ch, size);

	*out = find(ch, path, len);
	if (rc == 0 && !*out)
		rc = add_delta(ch, path, len, out);
	if (rc < 0)
		return rc;
	if (!(*out)->seen && !(*out)->fresh && size) {
		(*out)->fresh = xs_entry_make(path, len);
		if (!(*out)->fresh)
			return -ENOMEM;
	}
	return 0;
}

static void replace(struct xs_change *ch, struct xs_delta *d, struct xs_node *node)
{
	ch->owned += owned_by(node, ch->domid) - owned_by(d->now, ch->domid);
	xs_node_unref(d->now);
	d->now = node;
	d->modified = true;
	ch->modifications++;
}

int xs_change_put(struct xs_change *ch, const char *path, struct xs_node *node)
{
	struct xs_delta *d;
	int rc;

	if (!node)
		return -ENOMEM;
	rc = prepare(ch, path, sizeof(*node) + xs_node_size(node), &d);
	if (rc < 0) {
		xs_node_unref(node);
		return rc;
	}
	replace(ch, d, node);
	return 0;
}

int xs_change_rm(struct xs_change *ch, const char *path)
{
	struct xs_delta *d;
	int rc = prepare(ch, path, 0, &d);

	if (rc < 0)
		return rc;
	replace(ch, d, NULL);
	return 0;
}

void xs_change_fire(struct xs_change *ch, const char *path, bool exact)
{
	struct xs_delta *d = find(ch, path, strlen(path));

	CHECK(d != NULL);
	if (!d->fire) {
		STAILQ_INSERT_TAIL(&ch->fires, d, fire_link);
		d->fire = true;
		d->exact = exact;
	} else if (!exact) {
		d->exact = false;
	}
}

int xs_change_set_dom(struct xs_change *ch, uint16_t domid, uint16_t target, bool by_hub)
{
	struct xs_dom *old = xs_store_dom(ch->st, domid);

	CHECK(ch->dom_op == XS_DOM_KEEP && domid < XS_DOMID_FIRST_RESERVED);
	ch->dom = calloc(1, sizeof(*ch->dom));
	if (!ch->dom)
		return -ENOMEM;
	ch->dom_op = XS_DOM_SET;
	ch->dom->domid = domid;
	ch->dom->target = target;
	ch->dom->by_hub = by_hub;
	ch->dom->confirmed = true;
	ch->dom->gen = old ? old->gen : ++ch->st->gen;
	return 0;
}

void xs_change_release_dom(struct xs_change *ch, uint16_t domid)
{
	CHECK(ch->dom_op == XS_DOM_KEEP);
	ch->dom_op = XS_DOM_RELEASE;
	ch->released = domid;
}

/* ---- commit ---- */

static bool conflicts(const struct xs_change *ch)
{
	const struct xs_delta *d;

	STAILQ_FOREACH(d, &ch->deltas, link)
		if (xs_store_get(ch->st, d->slot.path, d->slot.len) != d->seen)
			return true;
	return false;
}

/* A domain may have died, and another may have taken its number, since the entry was written in this transaction. */
static bool names_the_dead(const struct xs_change *ch, const struct xs_node *n)
{
	for (uint32_t i = 0; i < n->nperms; i++) {
		struct xs_dom *d = xs_store_dom(ch->st, n->perms[i].domid);

		if (!n->perms[i].ignored && (!d || d->gen > n->gen))
			return true;
	}
	return false;
}

static int judge(struct xs_change *ch)
{
	struct xs_dom *payer = xs_store_dom(ch->st, ch->domid);
	const struct xs_delta *d;

	if (ch->failed)
		return ch->failed;
	if (conflicts(ch))
		return -EAGAIN;
	STAILQ_FOREACH(d, &ch->deltas, link)
		if (d->modified && d->now && names_the_dead(ch, d->now))
			return -EAGAIN;
	if (ch->domid && ch->owned > 0 && payer->nodes + (uint32_t)ch->owned > ch->st->quota.nodes)
		return -ENOSPC;
	return 0;
}

/* Room in the tree, and the versions' final generations, so that applying can't fail. */
static int make_ready(struct xs_change *ch)
{
	struct xs_delta *d;
	size_t fresh = 0;

	STAILQ_FOREACH(d, &ch->deltas, link)
		fresh += d->modified && d->now && !d->seen;
	if (xs_table_reserve(&ch->st->nodes, fresh) < 0)
		return -ENOMEM;
	STAILQ_FOREACH(d, &ch->deltas, link)
		if (d->modified && d->now && d->now != d->seen)
			d->now->gen = ++ch->st->gen;
	return 0;
}

static int record(struct xs_change *ch)
{
	struct xs_recbuf b;
	const struct xs_delta *d;
	int rc;

	if (!ch->st->recorder)
		return 0;
	xs_rec_begin(&b);
	if (ch->dom_op == XS_DOM_SET)
		xs_rec_dom(&b, ch->dom);
	STAILQ_FOREACH(d, &ch->deltas, link) {
		if (d->modified && d->now)
			xs_rec_node(&b, d->slot.path, d->slot.len, d->now);
		else if (d->modified && d->seen)
			xs_rec_rm(&b, d->slot.path, d->slot.len);
	}
	if (ch->dom_op == XS_DOM_RELEASE)
		xs_rec_undom(&b, ch->released);
	rc = xs_rec_end(&b, ch->st->gen);
	if (rc > 0)
		rc = ch->st->recorder->append(ch->st->recorder, b.p, b.len);
	xs_rec_free(&b);
	return rc;
}

static void apply(struct xs_change *ch)
{
	struct xs_delta *d;

	if (ch->dom_op == XS_DOM_SET) {
		xs_store_apply_dom(ch->st, ch->dom);
		ch->dom = NULL;
	}
	STAILQ_FOREACH(d, &ch->deltas, link) {
		if (!d->modified)
			continue;
		if (d->now)
			xs_store_apply_put(ch->st, d->slot.path, d->slot.len, xs_node_ref(d->now), d->fresh);
		else
			xs_store_apply_rm(ch->st, d->slot.path, d->slot.len);
		if (d->now)
			d->fresh = NULL;
	}
	if (ch->dom_op == XS_DOM_RELEASE)
		xs_store_apply_undom(ch->st, ch->released);
}

int xs_change_commit(struct xs_change *ch)
{
	int rc = judge(ch);

	if (rc == 0)
		rc = make_ready(ch);
	if (rc == 0)
		rc = record(ch);
	if (rc == 0)
		apply(ch);
	return rc;
}

bool xs_change_may_see(const struct xs_change *ch, const struct xs_delta *d, const struct xs_cred *c)
{
	size_t len = xs_path_parent_len(d->slot.path, d->slot.len);
	const struct xs_delta *p;
	const struct xs_node *parent;

	if (d->seen && (xs_perm_may(c, d->seen->perms, d->seen->nperms) & XS_MAY_READ))
		return true;
	if (d->now && (xs_perm_may(c, d->now->perms, d->now->nperms) & XS_MAY_READ))
		return true;
	if (len == 0)
		return false;
	p = find(ch, d->slot.path, len);
	parent = p ? (p->now ? p->now : p->seen) : xs_store_get(ch->st, d->slot.path, len);
	return parent && (xs_perm_may(c, parent->perms, parent->nperms) & XS_MAY_READ);
}
