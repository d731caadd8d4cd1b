#include "xenstore-glue/store/xs_record.h"

#include "ring/base/check.h"
#include "xenstore-glue/wire/xs_path.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rec_head {
	uint64_t check; /* over all that follows it */
	uint64_t serial;
	uint64_t gen;
	uint32_t len; /* of the whole record */
	uint32_t items;
};

enum rec_type { REC_NODE = 1, REC_RM, REC_DOM, REC_UNDOM };

struct rec_item {
	uint32_t type;
	uint32_t len; /* of the whole item, a multiple of 8 */
	uint32_t pathlen;
	uint32_t nperms, datalen, childlen; /* REC_NODE: these follow the path in this order */
	uint64_t gen;
	uint16_t domid, target;
	uint32_t by_hub;
};
static_assert(sizeof(struct rec_head) % 8 == 0 && sizeof(struct rec_item) % 8 == 0, "items are aligned");

#define ALIGNED(n) (((n) + 7) & ~(size_t)7)

/* ---- writing ---- */

static void add(struct xs_recbuf *b, const void *p, size_t len)
{
	size_t room = b->room ? b->room : 1024;
	char *bigger;

	if (b->full)
		return;
	while (room < b->len + len)
		room *= 2;
	if (room != b->room) {
		bigger = realloc(b->p, room);
		if (!bigger) {
			b->full = true;
			return;
		}
		b->p = bigger;
		b->room = room;
	}
	if (p && len)
		memcpy(b->p + b->len, p, len);
	else if (len)
		memset(b->p + b->len, 0, len);
	b->len += len;
}

void xs_rec_begin(struct xs_recbuf *b)
{
	*b = (struct xs_recbuf){.p = NULL};
	add(b, NULL, sizeof(struct rec_head));
}

static void pad(struct xs_recbuf *b)
{
	add(b, NULL, ALIGNED(b->len) - b->len);
	b->items++;
}

void xs_rec_node(struct xs_recbuf *b, const char *path, size_t len, const struct xs_node *n)
{
	size_t perms = n->nperms * sizeof(*n->perms);
	struct rec_item it = {
		.type = REC_NODE,
		.len = (uint32_t)ALIGNED(sizeof(it) + len + perms + n->datalen + n->childlen),
		.pathlen = (uint32_t)len,
		.nperms = n->nperms,
		.datalen = n->datalen,
		.childlen = n->childlen,
		.gen = n->gen,
	};

	add(b, &it, sizeof(it));
	add(b, path, len);
	add(b, n->perms, perms);
	add(b, n->data, n->datalen);
	add(b, n->children, n->childlen);
	pad(b);
}

void xs_rec_rm(struct xs_recbuf *b, const char *path, size_t len)
{
	struct rec_item it = {.type = REC_RM, .len = (uint32_t)ALIGNED(sizeof(it) + len), .pathlen = (uint32_t)len};

	add(b, &it, sizeof(it));
	add(b, path, len);
	pad(b);
}

void xs_rec_dom(struct xs_recbuf *b, const struct xs_dom *d)
{
	struct rec_item it = {
		.type = REC_DOM,
		.len = sizeof(it),
		.gen = d->gen,
		.domid = d->domid,
		.target = d->target,
		.by_hub = d->by_hub,
	};

	add(b, &it, sizeof(it));
	pad(b);
}

void xs_rec_undom(struct xs_recbuf *b, uint16_t domid)
{
	struct rec_item it = {.type = REC_UNDOM, .len = sizeof(it), .domid = domid};

	add(b, &it, sizeof(it));
	pad(b);
}

int xs_rec_end(struct xs_recbuf *b, uint64_t gen)
{
	struct rec_head h = {.gen = gen, .items = b->items, .len = (uint32_t)b->len};

	if (b->full)
		return -ENOMEM;
	if (b->len > UINT32_MAX)
		return -E2BIG;
	memcpy(b->p, &h, sizeof(h));
	return (int)b->items;
}

void xs_rec_free(struct xs_recbuf *b)
{
	free(b->p);
	b->p = NULL;
}

/* Tells a torn record from a whole one; nobody forges records. */
static uint64_t check_word(const char *rec, size_t len)
{
	uint64_t h = len, word;

	for (size_t at = sizeof(h); at < len; at += sizeof(word)) {
		memcpy(&word, rec + at, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h | 1; /* never that of zeroes */
}

void xs_rec_seal(void *rec, size_t len, uint64_t serial)
{
	struct rec_head h;

	CHECK(len % 8 == 0);
	memcpy(&h, rec, sizeof(h));
	h.serial = serial;
	memcpy(rec, &h, sizeof(h));
	h.check = check_word(rec, len);
	memcpy(rec, &h, sizeof(h));
}

/* ---- reading ---- */

size_t xs_rec_check(const void *p, size_t len, uint64_t serial)
{
	struct rec_head h;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, p, sizeof(h));
	if (h.len < sizeof(h) || h.len > len || h.len % 8 != 0 || h.serial != serial)
		return 0;
	return h.check == check_word(p, h.len) ? h.len : 0;
}

static bool path_fits(const char *path, size_t len, char out[XS_PATH_SIZE])
{
	if (len == 0 || len >= XS_PATH_SIZE)
		return false;
	memcpy(out, path, len);
	out[len] = '\0';
	return strlen(out) == len && (xs_path_is_special(out) || xs_path_valid(out));
}

static int apply_node(struct xs_store *st, const struct rec_item *it, const char *body)
{
	size_t perms = it->nperms * sizeof(struct xs_perm);
	struct xs_perm *aligned;
	char path[XS_PATH_SIZE];
	struct xs_parts parts;
	struct xs_entry *fresh;
	struct xs_node *n;

	if (it->nperms == 0 || it->nperms > UINT16_MAX ||
	    (uint64_t)sizeof(*it) + it->pathlen + perms + it->datalen + it->childlen > it->len ||
	    !path_fits(body, it->pathlen, path))
		return -EBADMSG;
	aligned = malloc(perms);
	if (!aligned)
		return -ENOMEM;
	memcpy(aligned, body + it->pathlen, perms);
	parts = (struct xs_parts){.perms = aligned, .nperms = it->nperms};
	parts.data = body + it->pathlen + perms;
	parts.datalen = it->datalen;
	parts.children = body + it->pathlen + perms + it->datalen;
	parts.childlen = it->childlen;
	if (!xs_store_dom(st, aligned[0].domid) || (it->childlen && parts.children[it->childlen - 1] != '\0')) {
		free(aligned);
		return -EBADMSG;
	}
	n = xs_node_make(&parts, it->gen);
	fresh = xs_entry_make(path, it->pathlen);
	free(aligned);
	if (!n || !fresh || xs_table_reserve(&st->nodes, 1) < 0) {
		xs_node_unref(n);
		free(fresh);
		return -ENOMEM;
	}
	xs_store_apply_put(st, path, it->pathlen, n, fresh);
	return 0;
}

static int apply_dom(struct xs_store *st, const struct rec_item *it)
{
	struct xs_dom *d;

	if (it->domid >= XS_DOMID_FIRST_RESERVED)
		return -EBADMSG;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->domid = it->domid;
	d->target = it->target;
	d->by_hub = it->by_hub != 0;
	d->gen = it->gen;
	xs_store_apply_dom(st, d);
	return 0;
}

static int apply_item(struct xs_store *st, const struct rec_item *it, const char *body)
{
	char path[XS_PATH_SIZE];

	switch (it->type) {
	case REC_NODE:
		return apply_node(st, it, body);
	case REC_RM:
		if (sizeof(*it) + (uint64_t)it->pathlen > it->len || !path_fits(body, it->pathlen, path))
			return -EBADMSG;
		xs_store_apply_rm(st, path, it->pathlen);
		return 0;
	case REC_DOM:
		return apply_dom(st, it);
	case REC_UNDOM:
		if (it->domid == 0 || it->domid >= XS_DOMID_FIRST_RESERVED || !st->dom[it->domid] ||
		    st->dom[it->domid]->nodes)
			return -EBADMSG;
		xs_store_apply_undom(st, it->domid);
		return 0;
	default:
		return -EBADMSG;
	}
}

int xs_rec_apply(struct xs_store *st, const void *rec, size_t len)
{
	const char *p = rec;
	struct rec_head h;
	struct rec_item it;
	size_t at = sizeof(h);
	int rc;

	memcpy(&h, rec, sizeof(h));
	for (uint32_t i = 0; i < h.items; i++, at += it.len) {
		if (len - at < sizeof(it))
			return -EBADMSG;
		memcpy(&it, p + at, sizeof(it));
		if (it.len < sizeof(it) || it.len > len - at || it.len % 8 != 0)
			return -EBADMSG;
		rc = apply_item(st, &it, p + at + sizeof(it));
		if (rc < 0)
			return rc;
	}
	st->gen = MAX(st->gen, h.gen);
	return 0;
}
