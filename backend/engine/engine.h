/* engine.h - block storage behind a vbd.
 *
 *   probe                         in a helper process, before the device is offered
 *   open -> own -> queue_open ... submit/kick/reap ... queue_close -> close     in a stub
 *
 * An engine works on buffers of the stub's own, never on guest memory (DESIGN.md section 7). The stub alone holds the
 * description that does the I/O; its release is the fence.
 * Owns: struct engine and its queues own their descriptors and threads; a request belongs to the engine between submit
 * and the reap that returns it; iovecs and buffers stay the caller's and must live that long.
 * Threads: open, own, fence_poll and close on the control thread or, fence_poll, on any; a queue and its requests belong
 * to one thread: completions are handed out by reap() in that thread only.
 * Errors: negative errno in req.result; a short transfer is never reported as success.
 */
#ifndef BULKHEAD_BACKEND_ENGINE_ENGINE_H
#define BULKHEAD_BACKEND_ENGINE_ENGINE_H

#include "ring/base/spec.h"

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/uio.h>

#define ENGINE_FENCE_BASE (1ull << 40)	 /* first lock byte of the generations (DESIGN.md section 7) */
#define ENGINE_FENCE_GENERATIONS (1ull << 32)

enum engine_op { ENGINE_READ, ENGINE_WRITE, ENGINE_FLUSH, ENGINE_DISCARD, ENGINE_OP_COUNT };
enum engine_flag { ENGINE_SECURE = 1u << 0 }; /* of DISCARD */

struct engine_info {
	uint64_t sectors;	    /* of 512 bytes */
	uint32_t sector_size;	    /* logical: unit of length and alignment; 512 or 4096 */
	uint32_t physical_size;	    /* of a sector */
	uint32_t write_unit;	    /* bytes that one write may rewrite: ranges are rounded out to it (range rule) */
	uint32_t discard_granularity, discard_alignment;
	bool flush, discard, secure_discard, read_only, removable;
};

enum engine_fence {
	ENGINE_FENCE_NONE,   /* nothing outlives the process (null), or nothing is written (read-only) */
	ENGINE_FENCE_LOCK,   /* own description, OFD lock bytes by generation */
};

struct engine_req {
	enum engine_op op;
	unsigned flags;
	uint64_t off, len;   /* bytes, multiples of sector_size */
	struct iovec *iov;   /* READ and WRITE: sums to len. May be changed by the engine */
	int iovcnt;
	int result;	     /* 0 or negative errno, valid after reap */
	uint64_t cookie;     /* the caller's */
	uint64_t engine_time;/* the engine's own use */
	STAILQ_ENTRY(engine_req) link; /* the engine's while it owns the request */
};
STAILQ_HEAD(engine_reqs, engine_req);

struct engine;
struct engine_queue;

struct engine_open {
	const char *spec;	/* as in xenstore's params */
	bool read_only;
	int fd;			/* of the reservation: opened anew as /proc/self/fd/N, then closed; -1: by the spec's path */
	uint64_t want_dev, want_ino; /* what the supervisor recorded; 0, 0: not compared. Else -ESTALE if different */
	uint64_t fence_base;	/* ENGINE_FENCE_BASE, or a range of its own for a device shared by w! */
	unsigned queues, depth; /* at most so many queues, requests of one queue */
};

struct engine_ops {
	const char *name;
	enum engine_fence fence;
	int (*open)(const struct engine_open *o, struct engine **out);
	void (*close)(struct engine *e); /* every queue is closed; waits for nothing */
	/* Takes generation g's own lock byte; g > 0. fresh: any other generation's I/O must have ended first, so all bytes
	 * are asked for and all but g's given back. 0; -EAGAIN (fresh only: somebody's I/O still runs; call again). */
	int (*own)(struct engine *e, uint64_t g, bool fresh);
	/* 1: all I/O of all generations before mine has ended (and stays so); 0: not yet, ask again; or negative errno. */
	int (*fence_poll)(struct engine *e);
	int (*queue_open)(struct engine *e, unsigned index, struct engine_queue **out);
	void (*queue_close)(struct engine_queue *q); /* outstanding requests are waited for */
	void (*submit)(struct engine_queue *q, struct engine_req *r); /* takes over; cannot fail: errors come by reap */
	void (*kick)(struct engine_queue *q);	     /* after a batch of submits */
	unsigned (*reap)(struct engine_queue *q, struct engine_reqs *done); /* appends the finished; how many */
	int (*event_fd)(struct engine_queue *q);     /* readable when reap may find something; -1: always at once */
	/* Call before sleeping on event_fd: arms it. 1 if something can be reaped already. */
	int (*arm)(struct engine_queue *q);
};

/* First member of every engine's own struct. info is final after open, but for sectors (resize). */
struct engine {
	const struct engine_ops *ops;
	struct engine_info info;
};
struct engine_queue {
	struct engine *engine;
	unsigned outstanding; /* submitted and not reaped; kept by engine.h's inline functions */
};

/* Finds the engine by the spec ("null:", "mem:", "file:", "fault:", "delay:"; a path alone is file). -EINVAL with a clear
 * line in err (size bytes): what is wrong and what would be right. */
int engine_open(const struct engine_open *o, struct engine **out, char *err, size_t size);
void engine_close(struct engine *e);
/* Opens, fills info, closes: for `bulkhead-blk --probe` and tests. */
int engine_probe(const struct engine_open *o, struct engine_info *info, char *err, size_t size);

static inline int engine_own(struct engine *e, uint64_t g, bool fresh) { return e->ops->own(e, g, fresh); }
static inline int engine_fence_poll(struct engine *e) { return e->ops->fence_poll(e); }
static inline void engine_submit(struct engine_queue *q, struct engine_req *r)
{
	q->outstanding++;
	q->engine->ops->submit(q, r);
}
static inline void engine_kick(struct engine_queue *q) { q->engine->ops->kick(q); }
static inline unsigned engine_reap(struct engine_queue *q, struct engine_reqs *done)
{
	unsigned n = q->outstanding ? q->engine->ops->reap(q, done) : 0;
	q->outstanding -= n;
	return n;
}

#endif
