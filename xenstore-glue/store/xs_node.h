/* xs_node.h - one version of a node: immutable once it is shared, counted by references.
 *
 * Tree, transactions and replies hold the same version; a change makes a new one. So "is it still what I have seen?" is
 * a comparison of pointers, and a failed operation has nothing to undo. Pure. Threads: one.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_NODE_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_NODE_H

#include "xenstore-glue/wire/xs_perm.h"

#include <stdbool.h>

struct xs_node {
	uint32_t refs;
	uint32_t nperms; /* at least 1 */
	uint32_t datalen, childlen;
	uint64_t gen; /* of the store when this version was made */
	struct xs_perm *perms;
	char *data;
	char *children; /* names with their NULs, oldest first: the reply to XS_DIRECTORY */
};

/* What a new version is made of. Children come in two pieces, so that adding and removing one is no work for callers. */
struct xs_parts {
	const struct xs_perm *perms;
	uint32_t nperms;
	const void *data;
	uint32_t datalen;
	const char *children, *children2;
	uint32_t childlen, childlen2;
};

/* Reference count 1. NULL: no memory. */
struct xs_node *xs_node_make(const struct xs_parts *p, uint64_t gen);
struct xs_parts xs_node_parts(const struct xs_node *n);
struct xs_node *xs_node_ref(struct xs_node *n); /* NULL is allowed, here and below */
void xs_node_unref(struct xs_node *n);

/* Completes the parts of a directory for one with / without the child name. False: there is no such child. */
void xs_parts_add_child(struct xs_parts *p, const char *name);
bool xs_parts_cut_child(struct xs_parts *p, const char *name);

/* Size as xenstored counts it for its quota on nodes. */
size_t xs_node_size(const struct xs_node *n);

#endif
