#include "xenstore-glue/store/xs_ops.h"

#include "ring/base/check.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "/a/a/a" is the deepest there can be. */
#define DEPTH_MAX (XENSTORE_ABS_PATH_MAX / 2 + 2)

static uint64_t next_gen(struct xs_view *v) { return ++v->ch->st->gen; }

static unsigned may(const struct xs_view *v, const struct xs_node *n)
{
	return xs_perm_may(&v->cred, n->perms, n->nperms);
}

/* The nearest ancestor that exists; *len: in, of the path; out, of the ancestor's. */
static int nearest(struct xs_view *v, const char *path, size_t *len, struct xs_node **out)
{
	int rc;

	do {
		*len = xs_path_parent_len(path, *len);
		if (*len == 0)
			return -ENOENT;
		rc = xs_change_get(v->ch, path, *len, out);
	} while (rc == -ENOENT);
	return rc;
}

/* The node of an absolute path, if v may do all of need with it. Whether something exists is told only to those who may
 * do some of need with its nearest ancestor. */
static int reach(struct xs_view *v, const char *path, unsigned need, struct xs_node **out)
{
	size_t len = strlen(path);
	struct xs_node *above;
	int rc = xs_change_get(v->ch, path, len, out);

	if (rc == 0 && (may(v, *out) & need) != need)
		rc = -EACCES;
	if (rc != -ENOENT)
		return rc;
	rc = nearest(v, path, &len, &above);
	if (rc == 0)
		rc = may(v, above) & need ? -ENOENT : -EACCES;
	return rc;
}

int xs_op_read(struct xs_view *v, const char *path, struct xs_node **out)
{
	char abs[XS_PATH_SIZE];
	int rc = xs_path_absolute(abs, v->cred.domid, path);

	return rc < 0 ? rc : reach(v, abs, XS_MAY_READ, out);
}

static int put_checked(struct xs_view *v, const char *path, const struct xs_parts *parts)
{
	const struct xs_quota *quota = &v->ch->st->quota;
	struct xs_dom *dom = xs_store_dom(v->ch->st, v->cred.domid);
	struct xs_node *n = xs_node_make(parts, next_gen(v));
	int rc = 0;

	if (n && !xs_cred_privileged(&v->cred)) {
		if (xs_node_size(n) >= quota->node_size)
			rc = -ENOSPC;
		else if (dom->node_bytes + dom->held + xs_node_size(n) > quota->memory)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		xs_node_unref(n);
		return rc;
	}
	return xs_change_put(v->ch, path, n);
}

/* ---- making nodes ---- */

static size_t levels_between(const char *path, size_t from)
{
	size_t n = 0;

	for (const char *p = path + (from == 1 ? 0 : from); *p; p++)
		n += *p == '/';
	return n;
}

/* The name behind the '/' at path[at], with its NUL, and where it ends. */
static size_t name_at(const char *path, size_t at, char name[XS_PATH_SIZE])
{
	size_t n = strcspn(path + at + 1, "/");

	memcpy(name, path + at + 1, n);
	name[n] = '\0';
	return at + 1 + n;
}

/* Puts in every missing node of path, from the top down, with the permissions of the one above. */
static int create(struct xs_view *v, const char *path, const void *data, uint32_t datalen)
{
	struct xs_change *ch = v->ch;
	size_t end = strlen(path), at = end;
	struct xs_dom *dom = xs_store_dom(ch->st, v->cred.domid);
	char upto[XS_PATH_SIZE], name[XS_PATH_SIZE];
	struct xs_node *n = NULL;
	struct xs_perm *perms;
	struct xs_parts parts;
	uint32_t nperms;
	int rc = nearest(v, path, &at, &n);

	if (rc < 0)
		return rc;
	if (!xs_cred_privileged(&v->cred) &&
	    (int64_t)dom->nodes + ch->owned + (int64_t)levels_between(path, at) > (int64_t)ch->st->quota.nodes)
		return -ENOSPC;
	nperms = n->nperms;
	perms = malloc(nperms * sizeof(*perms));
	if (!perms)
		return -ENOMEM;
	memcpy(perms, n->perms, nperms * sizeof(*perms));
	parts = xs_node_parts(n);
	memcpy(upto, path, at);
	upto[at] = '\0';
	if (at == 1)
		at = 0;
	while (at < end) {
		at = name_at(path, at, name);
		xs_parts_add_child(&parts, name);
		rc = put_checked(v, upto, &parts);
		if (rc < 0)
			break;
		memcpy(upto, path, at);
		upto[at] = '\0';
		if (!xs_cred_privileged(&v->cred))
			perms[0].domid = v->cred.domid;
		parts = (struct xs_parts){.perms = perms, .nperms = nperms};
	}
	if (rc == 0) {
		parts.data = data;
		parts.datalen = datalen;
		rc = put_checked(v, path, &parts);
	}
	free(perms);
	return rc;
}

int xs_op_write(struct xs_view *v, const char *path, const void *data, uint32_t len)
{
	char abs[XS_PATH_SIZE];
	struct xs_node *n;
	struct xs_parts parts;
	int rc = xs_path_absolute(abs, v->cred.domid, path);

	if (rc == 0)
		rc = reach(v, abs, XS_MAY_WRITE, &n);
	if (rc == -ENOENT) {
		rc = create(v, abs, data, len);
	} else if (rc == 0) {
		parts = xs_node_parts(n);
		parts.data = data;
		parts.datalen = len;
		rc = put_checked(v, abs, &parts);
	}
	if (rc == 0)
		xs_change_fire(v->ch, abs, false);
	return rc;
}

int xs_op_mkdir(struct xs_view *v, const char *path)
{
	char abs[XS_PATH_SIZE];
	struct xs_node *n;
	int rc = xs_path_absolute(abs, v->cred.domid, path);

	if (rc == 0)
		rc = reach(v, abs, XS_MAY_WRITE, &n);
	if (rc != -ENOENT)
		return rc;
	rc = create(v, abs, NULL, 0);
	if (rc == 0)
		xs_change_fire(v->ch, abs, false);
	return rc;
}

/* ---- removing ---- */

/* A transaction reads each node when it first touches it. If others changed the tree meanwhile, a parent and a child
 * may not fit together any more: it will conflict at its end in any case, so it goes on as if all were well. Outside of
 * transactions it would be a bug. */
static void torn_view(struct xs_view *v)
{
	CHECK(v->ch->track);
	xs_change_fail(v->ch, -EAGAIN);
}

/* Removes path and all below it, children before parents, without recursion. Children get exact events: whoever watches
 * above them has the root's. */
static int rm_tree(struct xs_view *v, const char *root)
{
	char path[XS_PATH_SIZE];
	uint32_t at[DEPTH_MAX]; /* next child, for each level that is open */
	size_t level = 0, len = strlen(root);
	struct xs_node *n;
	int rc;

	memcpy(path, root, len + 1);
	at[0] = 0;
	for (;;) {
		rc = xs_change_get(v->ch, path, len, &n);
		if (rc == -ENOENT)
			torn_view(v);
		else if (rc < 0)
			return rc;
		if (n && at[level] < n->childlen) {
			const char *name = n->children + at[level];

			at[level++] += (uint32_t)strlen(name) + 1;
			CHECK(level < DEPTH_MAX && xs_path_join(path, path, name) == 0);
			len = strlen(path);
			at[level] = 0;
			continue;
		}
		rc = n ? xs_change_rm(v->ch, path) : 0;
		if (rc < 0)
			return rc;
		if (n)
			xs_change_fire(v->ch, path, level > 0);
		if (level-- == 0)
			return 0;
		len = xs_path_parent_len(path, len);
		path[len] = '\0';
	}
}

static int rm_with_entry(struct xs_view *v, const char *path)
{
	size_t len = xs_path_parent_len(path, strlen(path));
	char above[XS_PATH_SIZE];
	struct xs_node *parent;
	struct xs_parts parts;
	int rc = xs_change_get(v->ch, path, len, &parent);

	if (rc == 0 || rc == -ENOENT)
		rc = rm_tree(v, path);
	if (rc < 0)
		return rc;
	if (!parent) {
		torn_view(v);
		return 0;
	}
	parts = xs_node_parts(parent);
	if (!xs_parts_cut_child(&parts, xs_path_base(path))) {
		torn_view(v);
		return 0;
	}
	memcpy(above, path, len);
	above[len] = '\0';
	return xs_change_put(v->ch, above, xs_node_make(&parts, next_gen(v)));
}

int xs_op_rm(struct xs_view *v, const char *path)
{
	char abs[XS_PATH_SIZE];
	struct xs_node *n;
	int rc = xs_path_absolute(abs, v->cred.domid, path);

	if (rc == 0)
		rc = reach(v, abs, XS_MAY_WRITE, &n);
	/* What is not there is removed, if its parent is there. */
	if (rc == -ENOENT)
		return xs_change_get(v->ch, abs, xs_path_parent_len(abs, strlen(abs)), &n);
	if (rc < 0)
		return rc;
	return strcmp(abs, "/") == 0 ? -EINVAL : rm_with_entry(v, abs);
}

/* ---- permissions ---- */

static bool special_known(const char *path)
{
	return strcmp(path, XS_INTRODUCE_DOMAIN) == 0 || strcmp(path, XS_RELEASE_DOMAIN) == 0;
}

int xs_op_set_perms(struct xs_view *v, const char *path, struct xs_perm *perms, uint32_t n)
{
	bool special = xs_path_is_special(path);
	char abs[XS_PATH_SIZE];
	struct xs_node *old;
	struct xs_parts parts;
	int rc;

	if (!xs_cred_privileged(&v->cred) && n > v->ch->st->quota.perms)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; i++)
		perms[i].ignored = xs_store_dom(v->ch->st, perms[i].domid) == NULL;
	if (perms[0].ignored)
		return -ENOENT;
	if (special) {
		if (!special_known(path))
			return -EINVAL;
		memcpy(abs, path, strlen(path) + 1);
		rc = xs_change_get(v->ch, abs, strlen(abs), &old);
		if (rc == 0 && (may(v, old) & XS_MAY_OWN) == 0)
			rc = -EACCES;
	} else {
		rc = xs_path_absolute(abs, v->cred.domid, path);
		if (rc == 0)
			rc = reach(v, abs, XS_MAY_WRITE | XS_MAY_OWN, &old);
	}
	if (rc < 0)
		return rc;
	if (!xs_cred_privileged(&v->cred) && perms[0].domid != old->perms[0].domid)
		return -EPERM;
	parts = xs_node_parts(old);
	parts.perms = perms;
	parts.nperms = n;
	rc = put_checked(v, abs, &parts);
	if (rc == 0 && !special)
		xs_change_fire(v->ch, abs, false);
	return rc;
}

/* ---- the end of a domain ---- */

/* A node of the dead domain that can't be removed becomes domain 0's. */
static bool must_stay(const char *path) { return xs_path_is_special(path) || strcmp(path, "/") == 0; }

static int purge_entries(struct xs_view *v, const char *path, size_t len, uint16_t domid)
{
	struct xs_node *n;
	struct xs_perm *perms;
	struct xs_parts parts;
	uint32_t kept = 0;
	int rc = xs_change_get(v->ch, path, len, &n);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	for (uint32_t i = 0; i < n->nperms; i++)
		kept += n->perms[i].domid != domid;
	if (kept == n->nperms)
		return 0;
	perms = malloc((kept + 1) * sizeof(*perms));
	if (!perms)
		return -ENOMEM;
	kept = 0;
	if (n->perms[0].domid == domid)
		perms[kept++] = (struct xs_perm){.domid = 0};
	for (uint32_t i = 0; i < n->nperms; i++)
		if (n->perms[i].domid != domid)
			perms[kept++] = n->perms[i];
	parts = xs_node_parts(n);
	parts.perms = perms;
	parts.nperms = kept;
	rc = xs_change_put(v->ch, path, xs_node_make(&parts, next_gen(v)));
	free(perms);
	return rc;
}

/* Below another node that goes: it goes with that one, in one event, whatever the order of the table. */
static bool goes_with_parent(struct xs_view *v, const struct xs_slot *s, uint16_t domid)
{
	struct xs_node *n;

	for (size_t len = xs_path_parent_len(s->path, s->len); len > 1; len = xs_path_parent_len(s->path, len))
		if (xs_change_get(v->ch, s->path, len, &n) == 0 && n->perms[0].domid == domid)
			return true;
	return false;
}

int xs_op_release(struct xs_view *v, uint16_t domid)
{
	struct xs_table *t = &v->ch->st->nodes;
	struct xs_node *n;
	int rc = 0;

	for (struct xs_slot *s = xs_table_next(t, NULL); s && rc == 0; s = xs_table_next(t, s))
		if (!must_stay(s->path) && xs_change_get(v->ch, s->path, s->len, &n) == 0 && n->perms[0].domid == domid &&
		    !goes_with_parent(v, s, domid))
			rc = rm_with_entry(v, s->path);
	for (struct xs_slot *s = xs_table_next(t, NULL); s && rc == 0; s = xs_table_next(t, s))
		rc = purge_entries(v, s->path, s->len, domid);
	if (rc == 0)
		xs_change_release_dom(v->ch, domid);
	return rc;
}
