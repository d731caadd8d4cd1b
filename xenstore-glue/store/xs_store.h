/* xs_store.h - the tree, the domains and what each domain has used of its quota. Pure but for the recorder it calls.
 *
 * All changes go through a struct xs_change (xs_change.h), which is handed to the recorder before it is applied: what the
 * recorder refused has not happened. Nodes are immutable versions (xs_node.h) in a table by path; the two special names
 * "@introduceDomain" and "@releaseDomain" are entries without parents that hold nothing but permissions.
 * Owns: every node and domain. Threads: one.
 * Errors: -ENOMEM leaves the store as it was.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_STORE_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_STORE_H

#include "xenstore-glue/store/xs_node.h"
#include "xenstore-glue/store/xs_table.h"

/* Limits for every domain but 0; the defaults are xenstored's. */
struct xs_quota {
	uint32_t nodes;	      /* owned by a domain: -ENOSPC */
	uint32_t node_size;   /* bytes as xs_node_size() counts, exclusive: -ENOSPC */
	uint32_t perms;	      /* entries of one node: -ENOSPC */
	uint32_t watches;     /* of a domain: -E2BIG */
	uint32_t txns;	      /* open at once: -ENOSPC */
	uint32_t txn_nodes;   /* touched by one transaction: -ENOSPC */
	uint32_t outstanding; /* requests not done with; at this number no more are read */
	uint64_t memory;      /* bytes: -ENOMEM; at this number no more requests are read */
};
extern const struct xs_quota xs_quota_default;

struct xs_dom {
	uint16_t domid;
	uint16_t target;     /* whose rights it has as well, or XS_DOMID_NONE */
	bool by_hub;	     /* introduced by the hub, not by XS_INTRODUCE */
	bool confirmed;	     /* the hub that is connected now has named it */
	uint64_t gen;	     /* of the store when it was introduced */
	uint32_t nodes;	     /* owned */
	uint64_t node_bytes; /* of the nodes owned */
	uint64_t held;	     /* bytes of its transactions, watches, replies and events */
	/* Kept by the daemon: */
	uint32_t watches, txns, outstanding;
	int64_t credit_ns; /* write-rate limit, see srv_conn.c */
	uint64_t credit_at;
};

/* Where changes are recorded before they are applied. 0, or -ENOSPC, -EIO and so on: the change then does not happen. */
struct xs_recorder {
	int (*append)(struct xs_recorder *r, const void *rec, size_t len);
};

struct xs_entry {
	struct xs_slot slot;
	struct xs_node *node;
};

struct xs_store {
	struct xs_table nodes;
	struct xs_dom *dom[XS_DOMID_FIRST_RESERVED];
	uint64_t gen; /* counts versions and transactions */
	struct xs_quota quota;
	struct xs_recorder *recorder; /* NULL: nothing is recorded */
};

/* Domain 0, "/", "/tool/xenstored" and the special names. seed keys the hash table. 0 or -ENOMEM. */
int xs_store_open(struct xs_store **out, uint64_t seed);
void xs_store_close(struct xs_store *st); /* NULL is allowed */

/* The version in the tree, or NULL. Borrowed. */
struct xs_node *xs_store_get(const struct xs_store *st, const char *path, size_t len);
/* NULL: no such domain. */
struct xs_dom *xs_store_dom(const struct xs_store *st, unsigned domid);
/* What domid's requests run as. */
struct xs_cred xs_store_cred(const struct xs_store *st, uint16_t domid);

/* Counts everything anew and compares: parents and children, nodes and bytes of every domain, entries for domains that
 * are gone. Returns the number of faults, and the first of them as text. */
unsigned xs_store_check(const struct xs_store *st, char *text, size_t size);

/* ---- for xs_change.c and xs_record.c: no recording, no failing once memory was reserved ---- */

/* Replaces the version of an entry, or puts in a new one, with accounting. Takes over node's reference and the entry
 * (xs_entry_make; NULL if the path is in the tree). */
void xs_store_apply_put(struct xs_store *st, const char *path, size_t len, struct xs_node *node, struct xs_entry *fresh);
void xs_store_apply_rm(struct xs_store *st, const char *path, size_t len);
void xs_store_clear(struct xs_store *st); /* removes every node; what is loaded next brings its own */
struct xs_entry *xs_entry_make(const char *path, size_t len);
void xs_store_apply_dom(struct xs_store *st, struct xs_dom *d); /* taken over */
void xs_store_apply_undom(struct xs_store *st, uint16_t domid);

#endif
