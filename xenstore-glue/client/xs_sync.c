#include "xenstore-glue/client/xs_sync.h"

#include "ring/base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xsc_wait_done(void *arg, int rc, const char *data, size_t len)
{
	struct xsc_wait *w = arg;

	w->done = true;
	w->rc = rc;
	w->len = data ? len : 0;
	w->data = calloc(1, w->len + 1);
	CHECK(w->data);
	if (w->len)
		memcpy(w->data, data, w->len);
}

int xsc_wait(struct xsc *xs, struct xsc_wait *w)
{
	while (!w->done) {
		int rc = loop_once(xsc_loop(xs), UINT64_MAX);

		if (rc < 0 && !w->done) {
			xsc_cancel(xs, w);
			return rc;
		}
	}
	return w->rc;
}

void xsc_wait_free(struct xsc_wait *w)
{
	free(w->data);
	*w = (struct xsc_wait){0};
}

int xsc_sync_read(struct xsc *xs, const char *path, char *value, size_t size)
{
	struct xsc_wait w = {0};
	int rc;

	xsc_read(xs, 0, path, xsc_wait_done, &w);
	rc = xsc_wait(xs, &w);
	if (rc == 0 && w.len >= size)
		rc = -ENOSPC;
	if (rc == 0)
		memcpy(value, w.data, w.len + 1);
	xsc_wait_free(&w);
	return rc;
}

static int wait_for(struct xsc *xs, struct xsc_wait *w)
{
	int rc = xsc_wait(xs, w);

	xsc_wait_free(w);
	return rc;
}

int xsc_sync_write(struct xsc *xs, const char *path, const char *fmt, ...)
{
	struct xsc_wait w = {0};
	char value[XENSTORE_PAYLOAD_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		return -EINVAL;
	xsc_write(xs, 0, path, value, (size_t)n, xsc_wait_done, &w);
	return wait_for(xs, &w);
}

int xsc_sync_rm(struct xsc *xs, const char *path)
{
	struct xsc_wait w = {0};

	xsc_rm(xs, 0, path, xsc_wait_done, &w);
	return wait_for(xs, &w);
}

int xsc_sync_commit(struct xsc *xs, struct xsc_batch *b)
{
	struct xsc_wait w = {0};

	xsc_batch_commit(xs, b, xsc_wait_done, &w);
	return wait_for(xs, &w);
}
