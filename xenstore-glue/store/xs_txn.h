/* xs_txn.h - the transactions of one connection. Pure. Threads: one.
 *
 * A transaction is a change (xs_change.h) that remembers what it has read. It conflicts when anything that it touched,
 * whether a node or the absence of one, has another version in the tree at its end: -EAGAIN, and the client tries again.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_TXN_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_TXN_H

#include "xenstore-glue/store/xs_change.h"

struct xs_txn {
	LIST_ENTRY(xs_txn) link;
	uint32_t id; /* of its connection; never 0 */
	struct xs_change ch;
};

struct xs_txns {
	LIST_HEAD(, xs_txn) list;
	uint32_t last_id;
	uint32_t count;
};

void xs_txns_init(struct xs_txns *t);
/* Begins one for domid, counted in its domain. 0; -ENOSPC: quota; -ENOMEM. */
int xs_txn_start(struct xs_txns *t, struct xs_store *st, uint16_t domid, struct xs_txn **out);
struct xs_txn *xs_txn_find(const struct xs_txns *t, uint32_t id);
/* Takes it off the list; the caller commits its change if it wants to, and frees it with xs_txn_free(). */
void xs_txn_take(struct xs_txns *t, struct xs_txn *x);
void xs_txn_free(struct xs_txn *x);
void xs_txns_drop(struct xs_txns *t);

#endif
