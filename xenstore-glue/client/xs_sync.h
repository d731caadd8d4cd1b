/* xs_sync.h - for tools: wait for one request by running the loop until it is done.
 *
 * Every request has a deadline, so every wait ends. Whatever else hangs on the loop runs meanwhile: never call this from
 * a callback of the loop.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_CLIENT_XS_SYNC_H
#define BULKHEAD_XENSTORE_GLUE_CLIENT_XS_SYNC_H

#include "xenstore-glue/client/xs.h"

/* Zero before use: struct xsc_wait w = {0}; xsc_read(xs, 0, path, xsc_wait_done, &w); rc = xsc_wait(xs, &w); */
struct xsc_wait {
	bool done;
	int rc;
	char *data; /* a copy, NUL-terminated; freed by xsc_wait_free() */
	size_t len;
};
xsc_done_fn xsc_wait_done;
/* The request's rc. */
int xsc_wait(struct xsc *xs, struct xsc_wait *w);
void xsc_wait_free(struct xsc_wait *w);

/* The commonest, whole. A value that does not fit is -ENOSPC. */
int xsc_sync_read(struct xsc *xs, const char *path, char *value, size_t size);
int xsc_sync_write(struct xsc *xs, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
int xsc_sync_rm(struct xsc *xs, const char *path);
/* Takes b. */
int xsc_sync_commit(struct xsc *xs, struct xsc_batch *b);

#endif
