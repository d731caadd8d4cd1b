/* filter_priv.h - an engine that stands before another one and passes on what it does not change. */
#ifndef BULKHEAD_BACKEND_ENGINE_FILTER_PRIV_H
#define BULKHEAD_BACKEND_ENGINE_FILTER_PRIV_H

#include "backend/engine/engine_priv.h"

struct filter {
	struct engine e;
	struct engine *inner; /* owned */
};

struct filter_queue {
	struct engine_queue q;
	struct engine_queue *inner; /* owned */
};

static inline struct filter *to_filter(struct engine *e) { return CONTAINER_OF(e, struct filter, e); }
static inline struct engine_queue *inner_queue(struct engine_queue *q)
{
	return CONTAINER_OF(q, struct filter_queue, q)->inner;
}

void filter_init(struct filter *f, const struct engine_ops *ops, struct engine *inner);
int filter_queue_init(struct filter_queue *q, struct engine *e, unsigned index);

/* Operations that pass on. close and queue_close free what was allocated with struct filter and filter_queue first in it. */
void filter_close(struct engine *e);
int filter_own(struct engine *e, uint64_t g, bool fresh);
int filter_fence_poll(struct engine *e);
int filter_resize(struct engine *e, uint64_t *sectors);
void filter_queue_close(struct engine_queue *q);
void filter_submit(struct engine_queue *q, struct engine_req *r);
void filter_kick(struct engine_queue *q);
unsigned filter_reap(struct engine_queue *q, struct engine_reqs *done);
int filter_event_fd(struct engine_queue *q);
int filter_arm(struct engine_queue *q);

#endif
