#include "xenstore-glue/store/xs_node.h"

#include "ring/base/check.h"

#include <stdlib.h>
#include <string.h>

/* Of xenstored: a header of 24 bytes, 8 bytes for each permission. */
#define COUNTED_HEADER 24u
#define COUNTED_PERM 8u

static char *put(char *at, const void *p, size_t len)
{
	if (len)
		memcpy(at, p, len);
	return at + len;
}

struct xs_node *xs_node_make(const struct xs_parts *p, uint64_t gen)
{
	size_t perms = p->nperms * sizeof(*p->perms);
	struct xs_node *n = malloc(sizeof(*n) + perms + p->datalen + p->childlen + p->childlen2);
	char *at;

	CHECK(p->nperms > 0);
	if (!n)
		return NULL;
	n->refs = 1;
	n->gen = gen;
	n->nperms = p->nperms;
	n->datalen = p->datalen;
	n->childlen = p->childlen + p->childlen2;
	n->perms = (struct xs_perm *)(n + 1);
	n->data = put((char *)n->perms, p->perms, perms);
	n->children = put(n->data, p->data, p->datalen);
	at = put(n->children, p->children, p->childlen);
	put(at, p->children2, p->childlen2);
	return n;
}

struct xs_parts xs_node_parts(const struct xs_node *n)
{
	return (struct xs_parts){
		.perms = n->perms,
		.nperms = n->nperms,
		.data = n->data,
		.datalen = n->datalen,
		.children = n->children,
		.childlen = n->childlen,
	};
}

struct xs_node *xs_node_ref(struct xs_node *n)
{
	if (n)
		n->refs++;
	return n;
}

void xs_node_unref(struct xs_node *n)
{
	if (n && --n->refs == 0)
		free(n);
}

void xs_parts_add_child(struct xs_parts *p, const char *name)
{
	p->children2 = name;
	p->childlen2 = (uint32_t)strlen(name) + 1;
}

bool xs_parts_cut_child(struct xs_parts *p, const char *name)
{
	size_t len = strlen(name) + 1;

	for (uint32_t at = 0; at < p->childlen; at += (uint32_t)strlen(p->children + at) + 1) {
		if (strcmp(p->children + at, name) != 0)
			continue;
		p->children2 = p->children + at + len;
		p->childlen2 = p->childlen - at - (uint32_t)len;
		p->childlen = at;
		return true;
	}
	return false;
}

size_t xs_node_size(const struct xs_node *n)
{
	return COUNTED_HEADER + COUNTED_PERM * (size_t)n->nperms + n->datalen + n->childlen;
}
