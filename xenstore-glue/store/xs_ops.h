/* xs_ops.h - the operations on nodes, with permissions and quotas, on the tree or inside a transaction. Pure.
 *
 * Paths are as clients sent them, relative ones included. What is read is borrowed until the change is dropped.
 * Errors are those of xenstored: -EINVAL (path), -EACCES (also for what does not exist below what c may not see), -ENOENT,
 * -ENOSPC, -EPERM; -ENOMEM. An operation that failed half-way may have modified the change (ch->modifications tells): it is
 * then fit for dropping only.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_OPS_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_OPS_H

#include "xenstore-glue/store/xs_change.h"

struct xs_view {
	struct xs_change *ch;
	struct xs_cred cred;
};

/* For READ, DIRECTORY, DIRECTORY_PART and GET_PERMS alike. */
int xs_op_read(struct xs_view *v, const char *path, struct xs_node **out);
int xs_op_write(struct xs_view *v, const char *path, const void *data, uint32_t len);
int xs_op_mkdir(struct xs_view *v, const char *path);
int xs_op_rm(struct xs_view *v, const char *path);
/* Entries of domains that don't exist are marked as ignored; an owner that does not exist is -ENOENT. */
int xs_op_set_perms(struct xs_view *v, const char *path, struct xs_perm *perms, uint32_t n);

/* The domain ends: what it owns goes, with all below it; its entries elsewhere go; its number is free. v is privileged.
 * The events of the removed nodes are in the change; @releaseDomain is the caller's. */
int xs_op_release(struct xs_view *v, uint16_t domid);

#endif
