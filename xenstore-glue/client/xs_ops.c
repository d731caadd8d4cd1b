/* The requests by name. */
#include "xenstore-glue/client/xs_priv.h"

#include <stdio.h>
#include <string.h>

static void simple(struct xsc *xs, uint32_t type, xsc_tx tx, const char *path, bool again, xsc_done_fn *fn, void *arg)
{
	xsc_submit(xs, &(struct xsc_op){.type = type, .tx = tx, .path = path, .again = again, .fn = fn, .arg = arg});
}

void xsc_read(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg)
{
	simple(xs, XS_READ, tx, path, true, fn, arg);
}

void xsc_mkdir(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg)
{
	simple(xs, XS_MKDIR, tx, path, false, fn, arg);
}

void xsc_rm(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg)
{
	simple(xs, XS_RM, tx, path, false, fn, arg);
}

void xsc_get_perms(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg)
{
	simple(xs, XS_GET_PERMS, tx, path, true, fn, arg);
}

void xsc_write(struct xsc *xs, xsc_tx tx, const char *path, const void *value, size_t len, xsc_done_fn *fn, void *arg)
{
	xsc_submit(xs, &(struct xsc_op){
			       .type = XS_WRITE, .tx = tx, .path = path, .data = value, .len = len, .fn = fn, .arg = arg});
}

void xsc_set_perms(struct xsc *xs, xsc_tx tx, const char *path, const struct xs_perm *perms, size_t n, xsc_done_fn *fn,
		   void *arg)
{
	struct xs_body b;
	char text[XS_PERM_TEXT];

	xs_body_init(&b);
	for (size_t i = 0; i < n; i++) {
		xs_perm_format(&perms[i], text);
		xs_body_string(&b, text);
	}
	/* Too many for one message: longer than any message, so that the request is refused as such. */
	xsc_submit(xs, &(struct xsc_op){.type = XS_SET_PERMS,
					.tx = tx,
					.path = path,
					.data = b.data,
					.len = b.over ? XENSTORE_PAYLOAD_MAX : b.len,
					.fn = fn,
					.arg = arg});
}

static void of_domain(struct xsc *xs, uint32_t type, uint32_t domid, xsc_done_fn *fn, void *arg)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", domid);

	xsc_submit(xs, &(struct xsc_op){
			       .type = type, .data = text, .len = (size_t)n + 1, .again = true, .fn = fn, .arg = arg});
}

void xsc_is_introduced(struct xsc *xs, uint32_t domid, xsc_done_fn *fn, void *arg)
{
	of_domain(xs, XS_IS_DOMAIN_INTRODUCED, domid, fn, arg);
}

void xsc_domain_path(struct xsc *xs, uint32_t domid, xsc_done_fn *fn, void *arg)
{
	of_domain(xs, XS_GET_DOMAIN_PATH, domid, fn, arg);
}
