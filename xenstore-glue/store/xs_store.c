#include "xenstore-glue/store/xs_store.h"

#include "ring/base/check.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct xs_quota xs_quota_default = {
	.nodes = 1000,
	.node_size = 2048,
	.perms = 5,
	.watches = 128,
	.txns = 10,
	.txn_nodes = 1024,
	.outstanding = 20,
	.memory = 2560u << 10,
};

struct xs_node *xs_store_get(const struct xs_store *st, const char *path, size_t len)
{
	struct xs_slot *s = xs_table_find(&st->nodes, path, len);

	return s ? CONTAINER_OF(s, struct xs_entry, slot)->node : NULL;
}

struct xs_dom *xs_store_dom(const struct xs_store *st, unsigned domid)
{
	return domid < XS_DOMID_FIRST_RESERVED ? st->dom[domid] : NULL;
}

struct xs_cred xs_store_cred(const struct xs_store *st, uint16_t domid)
{
	struct xs_dom *d = xs_store_dom(st, domid);

	return (struct xs_cred){.domid = domid, .target = d ? d->target : XS_DOMID_NONE};
}

/* ---- applying ---- */

struct xs_entry *xs_entry_make(const char *path, size_t len)
{
	struct xs_entry *e = malloc(sizeof(*e) + len + 1);
	char *copy = (char *)(e + 1);

	if (!e)
		return NULL;
	memcpy(copy, path, len);
	copy[len] = '\0';
	*e = (struct xs_entry){.slot = {.path = copy, .len = len}};
	return e;
}

/* Owners are always domains that exist: a release takes all that its domain owns out of the tree. */
static void account(struct xs_store *st, const struct xs_node *n, size_t pathlen, bool add)
{
	struct xs_dom *d = xs_store_dom(st, n->perms[0].domid);
	uint64_t bytes = xs_node_size(n) + pathlen;

	CHECK(d != NULL);
	CHECK(add || (d->nodes > 0 && d->node_bytes >= bytes));
	d->nodes += add ? 1u : ~0u;
	d->node_bytes += add ? bytes : -bytes;
}

void xs_store_apply_put(struct xs_store *st, const char *path, size_t len, struct xs_node *node, struct xs_entry *fresh)
{
	struct xs_slot *s = xs_table_find(&st->nodes, path, len);
	struct xs_entry *e;

	if (s) {
		e = CONTAINER_OF(s, struct xs_entry, slot);
		account(st, e->node, len, false);
		xs_node_unref(e->node);
		free(fresh);
	} else {
		CHECK(fresh != NULL);
		e = fresh;
		xs_table_insert(&st->nodes, &e->slot, e->slot.path, len);
	}
	e->node = node;
	account(st, node, len, true);
}

void xs_store_apply_rm(struct xs_store *st, const char *path, size_t len)
{
	struct xs_slot *s = xs_table_find(&st->nodes, path, len);
	struct xs_entry *e;

	if (!s)
		return;
	e = CONTAINER_OF(s, struct xs_entry, slot);
	account(st, e->node, len, false);
	xs_table_remove(&st->nodes, s);
	xs_node_unref(e->node);
	free(e);
}

void xs_store_apply_dom(struct xs_store *st, struct xs_dom *d)
{
	struct xs_dom *old = st->dom[d->domid];

	if (old) {
		old->target = d->target;
		old->by_hub = d->by_hub;
		old->gen = d->gen;
		free(d);
		return;
	}
	st->dom[d->domid] = d;
}

void xs_store_apply_undom(struct xs_store *st, uint16_t domid)
{
	CHECK(domid != 0);
	free(st->dom[domid]);
	st->dom[domid] = NULL;
	for (size_t i = 0; i < ARRAY_LEN(st->dom); i++)
		if (st->dom[i] && st->dom[i]->target == domid)
			st->dom[i]->target = XS_DOMID_NONE;
}

/* ---- opening ---- */

static int first_node(struct xs_store *st, const char *path, const char *children, uint32_t childlen)
{
	struct xs_perm owner = {.domid = 0};
	struct xs_parts parts = {.perms = &owner, .nperms = 1, .children = children, .childlen = childlen};
	size_t len = strlen(path);
	struct xs_entry *e = xs_entry_make(path, len);
	struct xs_node *n = xs_node_make(&parts, ++st->gen);

	if (!e || !n || xs_table_reserve(&st->nodes, 1) < 0) {
		free(e);
		xs_node_unref(n);
		return -ENOMEM;
	}
	xs_store_apply_put(st, path, len, n, e);
	return 0;
}

int xs_store_open(struct xs_store **out, uint64_t seed)
{
	struct xs_store *st = calloc(1, sizeof(*st));
	int rc;

	*out = NULL;
	if (!st)
		return -ENOMEM;
	xs_table_init(&st->nodes, seed);
	st->quota = xs_quota_default;
	st->dom[0] = calloc(1, sizeof(*st->dom[0]));
	rc = st->dom[0] ? 0 : -ENOMEM;
	if (rc == 0) {
		st->dom[0]->target = XS_DOMID_NONE;
		rc = first_node(st, "/", "tool", sizeof("tool"));
	}
	if (rc == 0)
		rc = first_node(st, "/tool", "xenstored", sizeof("xenstored"));
	if (rc == 0)
		rc = first_node(st, "/tool/xenstored", NULL, 0);
	if (rc == 0)
		rc = first_node(st, XS_INTRODUCE_DOMAIN, NULL, 0);
	if (rc == 0)
		rc = first_node(st, XS_RELEASE_DOMAIN, NULL, 0);
	if (rc < 0) {
		xs_store_close(st);
		return rc;
	}
	*out = st;
	return 0;
}

void xs_store_clear(struct xs_store *st)
{
	struct xs_slot *s, *next;

	for (s = xs_table_next(&st->nodes, NULL); s; s = next) {
		struct xs_entry *e = CONTAINER_OF(s, struct xs_entry, slot);

		next = xs_table_next(&st->nodes, s);
		xs_node_unref(e->node);
		free(e);
	}
	xs_table_free(&st->nodes);
	for (size_t i = 0; i < ARRAY_LEN(st->dom); i++)
		if (st->dom[i])
			*st->dom[i] = (struct xs_dom){.domid = (uint16_t)i, .target = st->dom[i]->target};
}

void xs_store_close(struct xs_store *st)
{
	if (!st)
		return;
	xs_store_clear(st);
	for (size_t i = 0; i < ARRAY_LEN(st->dom); i++)
		free(st->dom[i]);
	free(st);
}

/* ---- checking ---- */

struct recount {
	char *text;
	size_t size;
	unsigned faults;
	uint32_t *nodes; /* by domid */
	uint64_t *bytes;
};

static void fault(struct recount *r, const char *what, const char *path)
{
	if (r->faults++ == 0 && r->size)
		snprintf(r->text, r->size, "%s: %s", path, what);
}

/* How many of the children are in the tree. */
static size_t check_children(const struct xs_store *st, const struct xs_entry *e, struct recount *r)
{
	const struct xs_node *n = e->node;
	char path[XS_PATH_SIZE];
	size_t found = 0;

	for (uint32_t at = 0; at < n->childlen; at += (uint32_t)strlen(n->children + at) + 1) {
		if (xs_path_join(path, e->slot.path, n->children + at) < 0 || !xs_store_get(st, path, strlen(path)))
			fault(r, "a child is listed that does not exist", e->slot.path);
		else
			found++;
	}
	return found;
}

static void check_perms(const struct xs_store *st, const struct xs_entry *e, struct recount *r)
{
	const struct xs_node *n = e->node;
	uint16_t owner = n->perms[0].domid;

	for (uint32_t i = 0; i < n->nperms; i++) {
		struct xs_dom *d = xs_store_dom(st, n->perms[i].domid);

		if (!n->perms[i].ignored && (!d || d->gen > n->gen))
			fault(r, "permissions of a domain that is gone", e->slot.path);
	}
	if (owner < XS_DOMID_FIRST_RESERVED) {
		r->nodes[owner]++;
		r->bytes[owner] += xs_node_size(n) + e->slot.len;
	}
	if (n->gen > st->gen)
		fault(r, "a generation from the future", e->slot.path);
}

unsigned xs_store_check(const struct xs_store *st, char *text, size_t size)
{
	struct recount r = {.text = text, .size = size};
	size_t children = 0, parentless = 0;

	r.nodes = calloc(XS_DOMID_FIRST_RESERVED, sizeof(*r.nodes));
	r.bytes = calloc(XS_DOMID_FIRST_RESERVED, sizeof(*r.bytes));
	if (!r.nodes || !r.bytes) {
		fault(&r, "no memory for checking", "/");
		goto out;
	}
	for (struct xs_slot *s = xs_table_next(&st->nodes, NULL); s; s = xs_table_next(&st->nodes, s)) {
		const struct xs_entry *e = CONTAINER_OF(s, struct xs_entry, slot);

		children += check_children(st, e, &r);
		check_perms(st, e, &r);
		parentless += s->len == 1 || xs_path_is_special(s->path);
	}
	if (children + parentless != st->nodes.count)
		fault(&r, "nodes and lists of children do not add up", "/");
	for (unsigned i = 0; i < XS_DOMID_FIRST_RESERVED; i++)
		if ((st->dom[i] ? st->dom[i]->nodes : 0) != r.nodes[i] ||
		    (st->dom[i] ? st->dom[i]->node_bytes : 0) != r.bytes[i])
			fault(&r, "a domain's count of nodes is wrong", "/");
out:
	free(r.nodes);
	free(r.bytes);
	return r.faults;
}
