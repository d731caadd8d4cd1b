#include "backend/engine/filter_priv.h"

#include <stdlib.h>

void filter_init(struct filter *f, const struct engine_ops *ops, struct engine *inner)
{
	f->e.ops = ops;
	f->e.info = inner->info;
	f->e.depth = inner->depth;
	f->inner = inner;
}

int filter_queue_init(struct filter_queue *q, struct engine *e, unsigned index)
{
	return engine_queue_open(to_filter(e)->inner, index, &q->inner);
}

void filter_close(struct engine *e)
{
	struct filter *f = to_filter(e);

	engine_close(f->inner);
	free(f);
}

int filter_own(struct engine *e, uint64_t g, bool fresh) { return engine_own(to_filter(e)->inner, g, fresh); }
int filter_fence_poll(struct engine *e) { return engine_fence_poll(to_filter(e)->inner); }

int filter_resize(struct engine *e, uint64_t *sectors)
{
	struct engine *inner = to_filter(e)->inner;
	int rc = engine_resize(inner);

	*sectors = inner->info.sectors;
	return MIN(rc, 0);
}

void filter_queue_close(struct engine_queue *q)
{
	engine_queue_close(inner_queue(q));
	free(CONTAINER_OF(q, struct filter_queue, q));
}

void filter_submit(struct engine_queue *q, struct engine_req *r) { engine_submit(inner_queue(q), r); }
void filter_kick(struct engine_queue *q) { engine_kick(inner_queue(q)); }
unsigned filter_reap(struct engine_queue *q, struct engine_reqs *d) { return engine_reap(inner_queue(q), d); }
int filter_event_fd(struct engine_queue *q) { return engine_event_fd(inner_queue(q)); }
int filter_arm(struct engine_queue *q) { return engine_arm(inner_queue(q)); }
