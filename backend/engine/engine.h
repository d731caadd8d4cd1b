/* engine.h - block storage behind a vbd.
 *
 *   probe                         in a helper process, before the device is offered
 *   open -> own -> queue_open ... submit/kick/reap ... queue_close -> close     in a stub
 *
 * An engine works on buffers of the stub's own, never on guest memory (DESIGN.md section 7). The stub alone holds the
 * description that does the I/O; its release is the fence.
 * Owns: struct engine and its queues own their descriptors and threads; a request belongs to the engine between submit
 * and the reap that returns it; iovecs and buffers stay the caller's and must live that long.
 * Threads: open, own, resize, close, queue_open and queue_close on the control thread, fence_poll on any; a queue and
 * its requests belong to one thread between those two: completions are handed out by reap() in that thread only.
 * Fork/exec: everything is close-on-exec. Never fork with an engine open: the child would hold its description, and with
 * it the fence.
 * Errors: negative errno in req.result; a short transfer is never reported as success. What a guest could cause (range,
 * alignment, a write to a read-only disk) comes back as a result; a malformed request of the caller's is a CHECK.
 *
 * Specs: null:SIZE  mem:SIZE  file:PATH[,aio=uring|threads][,direct=on|off][,sqpoll=on|off]  PATH (the same as file:)
 * Filters are options of every engine, and stack on it in this order, the last outermost:
 *   fault-error=SECTOR[:ERRNO]  requests that touch the sector fail (ERRNO: a name or a number; EIO)
 *   fault-crash=SECTOR          submitting one raises SIGSEGV        fault-hang=SECTOR   submit never returns
 *   delay=MS                    every request completes so much later than the storage had it done
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

enum engine_fence {
	ENGINE_FENCE_NONE,   /* nothing outlives the process (null), or nothing is written (read-only) */
	ENGINE_FENCE_LOCK,   /* own description, OFD lock bytes by generation */
};

struct engine_info {
	uint64_t sectors;	    /* of 512 bytes */
	uint32_t sector_size;	    /* logical: unit of length and alignment; 512 or 4096 */
	uint32_t physical_size;	    /* of a sector */
	uint32_t write_unit;	    /* bytes that one write may rewrite: ranges are rounded out to it (range rule) */
	uint32_t buffer_align;	    /* of every iov_base; every iov_len is a multiple of sector_size. At most 4096 */
	uint32_t discard_granularity, discard_alignment;
	enum engine_fence fence;
	bool flush, discard, secure_discard, read_only, removable;
};

struct engine_req {
	enum engine_op op;
	unsigned flags;
	uint64_t off, len;   /* bytes, multiples of sector_size; 0, 0 for FLUSH */
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
struct engine_error; /* engine_priv.h */

struct engine_open {
	const char *spec;	/* as in xenstore's params */
	bool read_only;
	int fd;			/* of the reservation: opened anew as /proc/self/fd/N, then closed; -1: by the spec's path */
	uint64_t want_dev, want_ino; /* what the supervisor recorded; 0, 0: not compared. Else -ESTALE if different */
	uint64_t fence_base;	/* ENGINE_FENCE_BASE, or a range of its own for a device shared by w! */
	unsigned queues, depth; /* at most so many queues, requests of one queue; 0 queues: only to look at info */
};

/* What an engine implements; called through the functions below, which check the contract. */
struct engine_ops {
	const char *name;
	const char *const *options; /* of its own, NULL-terminated */
	/* s: the spec without the filters' options. o->fd is the caller's and is not closed. Text of the error in err. */
	int (*open)(const struct engine_open *o, const struct spec *s, struct engine **out, struct engine_error *err);
	void (*close)(struct engine *e); /* every queue is closed; waits for nothing */
	int (*own)(struct engine *e, uint64_t g, bool fresh);
	int (*fence_poll)(struct engine *e);
	int (*resize)(struct engine *e, uint64_t *sectors);
	int (*queue_open)(struct engine *e, unsigned index, struct engine_queue **out);
	void (*queue_close)(struct engine_queue *q); /* nothing is outstanding */
	void (*submit)(struct engine_queue *q, struct engine_req *r);
	void (*kick)(struct engine_queue *q);
	unsigned (*reap)(struct engine_queue *q, struct engine_reqs *done);
	int (*event_fd)(struct engine_queue *q);
	int (*arm)(struct engine_queue *q);
};

/* First member of every engine's own struct. info is final after open, but for sectors (engine_resize). */
struct engine {
	const struct engine_ops *ops;
	struct engine_info info;
	unsigned depth;
};
struct engine_queue {
	struct engine *engine;
	unsigned outstanding; /* submitted and not reaped; kept by the functions below */
	struct engine_reqs refused; /* broke the contract: reaped with their error, never shown to the engine */
};

/* Finds the engine by the spec's name. o->fd is closed in any case. On failure *out is NULL and err (size bytes) has one
 * clear line: what is wrong and what would be right. -EINVAL, -ESTALE, or what open() says. */
int engine_open(const struct engine_open *o, struct engine **out, char *err, size_t size);
/* Every queue is closed. Waits for nothing. NULL is allowed. */
void engine_close(struct engine *e);
/* Opens, fills info, closes: for `bulkhead-blk --probe` and tests. o->queues is ignored. */
int engine_probe(const struct engine_open *o, struct engine_info *info, char *err, size_t size);

/* Takes generation g's own lock byte; 0 < g < ENGINE_FENCE_GENERATIONS; once, before the first request. fresh: any other
 * generation's I/O must have ended first, so all bytes are asked for and all but g's given back. 0; -EAGAIN (fresh only:
 * somebody's I/O still runs; call again); -EBUSY (generation g is somebody else's: there must not be two of it). */
int engine_own(struct engine *e, uint64_t g, bool fresh);
/* After engine_own. 1: all I/O of all generations before mine has ended (and stays so: their bytes are kept); 0: not
 * yet, ask again; or negative errno. */
int engine_fence_poll(struct engine *e);
/* Looks at the storage's size again, and stores it in info.sectors. 1 if it changed, 0, or negative errno. Requests
 * beyond the new end are refused from then on. */
int engine_resize(struct engine *e);

/* index < o->queues, each open once at a time. Threads and io_urings are made here, not in engine_open(), and have the
 * rights that the process has now. -ENOMEM, -EAGAIN (threads) ... */
int engine_queue_open(struct engine *e, unsigned index, struct engine_queue **out);
/* Outstanding requests are waited for; their results are dropped. NULL is allowed. */
void engine_queue_close(struct engine_queue *q);

/* Takes over r, of which at most depth may be outstanding; cannot fail: errors come by reap. Never blocks. */
void engine_submit(struct engine_queue *q, struct engine_req *r);
/* After a batch of submits: without it nothing need begin. */
static inline void engine_kick(struct engine_queue *q) { q->engine->ops->kick(q); }
/* Appends the finished to done, in the order they ended; how many. Never blocks. */
unsigned engine_reap(struct engine_queue *q, struct engine_reqs *done);
/* Readable (level) when reap may find something; valid until queue_close. -1: submitted is done, reap at once. */
static inline int engine_event_fd(struct engine_queue *q) { return q->engine->ops->event_fd(q); }
/* Call before sleeping on event_fd: arms it. 1 if something can be reaped already. */
int engine_arm(struct engine_queue *q);

#endif
