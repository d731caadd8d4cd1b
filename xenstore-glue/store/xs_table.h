/* xs_table.h - hash table of paths, intrusive. Pure. Threads: one.
 *
 * Paths are chosen by guests, so the hash is keyed: give a seed that they can't know. Inserting after a reserve never
 * fails.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_TABLE_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_TABLE_H

#include "ring/base/base.h"

struct xs_slot {
	struct xs_slot *next;
	uint64_t hash;
	const char *path; /* NUL-terminated, owned by whoever embeds the slot */
	size_t len;
};

struct xs_table {
	struct xs_slot **bucket;
	size_t nbucket; /* 0 or a power of two */
	size_t count;
	uint64_t seed;
};

void xs_table_init(struct xs_table *t, uint64_t seed);
/* The slots belong to the caller and are not freed. */
void xs_table_free(struct xs_table *t);
/* Room for extra more. 0 or -ENOMEM. */
int xs_table_reserve(struct xs_table *t, size_t extra);
struct xs_slot *xs_table_find(const struct xs_table *t, const char *path, size_t len);
/* The path must not be there; room must have been reserved. */
void xs_table_insert(struct xs_table *t, struct xs_slot *s, const char *path, size_t len);
void xs_table_remove(struct xs_table *t, struct xs_slot *s);
/* The slot after s, the first for NULL, NULL at the end; in no order. The table must not change meanwhile. */
struct xs_slot *xs_table_next(const struct xs_table *t, const struct xs_slot *s);

#endif
