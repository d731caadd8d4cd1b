#include "xenstore-glue/bus/xs_tree.h"

#include "ring/base/err.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <stdio.h>
#include <string.h>

static bool is_queue(const char *name)
{
	uint32_t n;

	return strncmp(name, "queue-", 6) == 0 && xs_parse_u32(name + 6, UINT32_MAX, &n);
}

static int take(void *ctx, const char *key, const char *value, size_t len)
{
	/* A NUL in the value would hide what follows it. */
	if (strlen(value) != len)
		return -EPEER;
	return xs_kv_set(ctx, key, "%s", value) < 0 ? -EPEER : 0;
}

void xs_tree_read_tx(struct xsc *xs, xsc_tx tx, const char *path, struct xs_kvs *kvs, xsc_done_fn *fn, void *arg)
{
	kvs->n = 0;
	xsc_read_all(xs, tx, path, is_queue, XS_KV_MAX, take, kvs, fn, arg);
}

void xs_tree_read(struct xsc *xs, const char *path, struct xs_kvs *kvs, xsc_done_fn *fn, void *arg)
{
	xs_tree_read_tx(xs, 0, path, kvs, fn, arg);
}

void xs_tree_batch(struct xsc_batch *b, const char *path, const struct xs_kvs *kvs)
{
	char full[2 * XS_PATH_SIZE]; /* what is too long for the protocol is refused by the batch */

	for (unsigned i = 0; i < kvs->n; i++) {
		snprintf(full, sizeof(full), "%s/%s", path, kvs->kv[i].key);
		xsc_batch_write(b, full, "%s", kvs->kv[i].val);
	}
}

void xs_tree_write(struct xsc *xs, const char *path, const struct xs_kvs *kvs, const struct xs_perm *perms, size_t n,
		   xsc_done_fn *fn, void *arg)
{
	struct xsc_batch *b = xsc_batch_new();

	xsc_batch_mkdir(b, path);
	if (n)
		xsc_batch_perms(b, path, perms, n);
	xs_tree_batch(b, path, kvs);
	xsc_batch_commit(xs, b, fn, arg);
}
