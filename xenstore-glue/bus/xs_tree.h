/* xs_tree.h - a device's directory in the store, read and written as a list of keys (struct xs_kvs). */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XS_TREE_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XS_TREE_H

#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/client/xs.h"

/* Reads all keys of directory path and those of its queue-N directories ("queue-0/ring-ref") into *kvs, which must live
 * until fn, or xsc_cancel(arg). Other directories come as keys with their own value. Not a snapshot: a peer may write
 * meanwhile. rc: -ENOENT (no such directory); -EPEER: a key or value too long, a NUL in a value; -E2BIG: more keys than XS_KV_MAX. */
void xs_tree_read(struct xsc *xs, const char *path, struct xs_kvs *kvs, xsc_done_fn *fn, void *arg);
/* The same in a transaction. */
void xs_tree_read_tx(struct xsc *xs, xsc_tx tx, const char *path, struct xs_kvs *kvs, xsc_done_fn *fn, void *arg);

/* Adds the writes of all keys below path. */
void xs_tree_batch(struct xsc_batch *b, const char *path, const struct xs_kvs *kvs);
/* Makes directory path with these permissions (n may be 0: inherited) and writes all keys, in one transaction. */
void xs_tree_write(struct xsc *xs, const char *path, const struct xs_kvs *kvs, const struct xs_perm *perms, size_t n,
		   xsc_done_fn *fn, void *arg);

#endif
