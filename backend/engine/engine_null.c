/* engine_null.c - "null:SIZE": reads are zero, writes vanish. For measuring everything but the storage. */
#include "backend/engine/engine_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int null_open(const struct engine_open *o, const struct spec *s, struct engine **out, struct engine_error *err)
{
	struct engine *e;
	uint64_t bytes;
	int rc = engine_size_arg(s, &bytes, err);

	if (rc)
		return rc;
	e = calloc(1, sizeof(*e));
	if (!e)
		return engine_fail(err, -ENOMEM, "null:%s: out of memory", s->arg);
	e->ops = &engine_null_ops;
	e->depth = o->depth;
	e->info = (struct engine_info){
		.sectors = bytes / 512,
		.sector_size = 512,
		.physical_size = 512,
		.write_unit = 512,
		.buffer_align = 1,
		.discard_granularity = 512,
		.fence = ENGINE_FENCE_NONE,
		.flush = true,
		.discard = !o->read_only,
		.secure_discard = !o->read_only, /* nothing is kept that could be found again */
		.read_only = o->read_only,
	};
	*out = e;
	return 0;
}

static void null_close(struct engine *e) { free(e); }
static int null_own(struct engine *e UNUSED, uint64_t g UNUSED, bool fresh UNUSED) { return 0; }
static int null_fence_poll(struct engine *e UNUSED) { return 1; }
static int null_resize(struct engine *e UNUSED, uint64_t *sectors UNUSED) { return 0; }

static void null_submit(struct engine_queue *q, struct engine_req *r)
{
	if (r->op == ENGINE_READ)
		for (int i = 0; i < r->iovcnt; i++)
			memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
	sync_queue_done(q, r, 0);
}

static const char *const null_options[] = {NULL};

const struct engine_ops engine_null_ops = {
	.name = "null",
	.options = null_options,
	.open = null_open,
	.close = null_close,
	.own = null_own,
	.fence_poll = null_fence_poll,
	.resize = null_resize,
	.queue_open = sync_queue_open,
	.queue_close = sync_queue_close,
	.submit = null_submit,
	.kick = sync_queue_kick,
	.reap = sync_queue_reap,
	.event_fd = sync_queue_event_fd,
	.arm = sync_queue_arm,
};
