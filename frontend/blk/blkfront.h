/* blkfront.h - a guest's end of a virtual disk, as a library.
 *
 * For tests, benches and the nbdkit plugin: what xen-blkfront is to Linux. It speaks the public blkif protocol over a
 * provider (hv.h) and xenstore, and trusts the backend with nothing but its data: an answer with an unknown or repeated id
 * is an error value and ends the device, never a crash.
 *
 *   blkfront_open -> (each queue, in one thread each: submit ... poll) -> blkfront_close
 *
 * Owns: its pages, grants and ports; an io belongs to the library from submit to its callback; buffers stay the caller's
 * (data is copied into granted pages: the backend never sees a byte that was not meant for it, XSA-403).
 * Threads: open and close from one; each queue from one thread at a time.
 * Errors: negative errno. -EIO: the backend said so; -EPEER: it broke the protocol; -ESHUTDOWN: disconnected.
 */
#ifndef BULKHEAD_FRONTEND_BLK_BLKFRONT_H
#define BULKHEAD_FRONTEND_BLK_BLKFRONT_H

#include "ring/base/base.h"

#include <stdbool.h>

struct blkfront;
struct blkfront_queue;

enum blkfront_op { BLKFRONT_READ, BLKFRONT_WRITE, BLKFRONT_FLUSH, BLKFRONT_BARRIER, BLKFRONT_DISCARD, BLKFRONT_ZERO };
enum blkfront_flag { BLKFRONT_FUA = 1u << 0, BLKFRONT_SECURE = 1u << 1 };

/* One user-visible I/O of any size: it is cut into as many ring requests as needed. */
struct blkfront_io {
	enum blkfront_op op;
	unsigned flags;
	uint64_t off, len; /* bytes, multiples of sector_size */
	void *buf;	   /* READ and WRITE */
	void (*done)(struct blkfront_io *io, int rc); /* from blkfront_poll, in its thread; 0 or negative errno */
	void *user;
	/* The library's. */
	uint32_t parts_left;
	int rc;
	uint64_t next_off;
	struct blkfront_io *next;
};

/* A recorder's seam: called for every ring request and for every answer as it stands on the ring, before it is judged, in
 * the queue's thread. index: the ring's, widened to 64 bits. */
struct blkfront_observer {
	void (*submitted)(void *arg, unsigned queue, uint64_t index, uint64_t id, int op, uint64_t sector, uint32_t sectors);
	void (*answered)(void *arg, unsigned queue, uint64_t rsp_index, uint64_t id, int op, int status);
	void *arg;
};

struct blkfront_open {
	const char *provider;	 /* "local", "auto" */
	const char *runtime_dir;
	const char *domain;	 /* name of the VM */
	const char *vdev;	 /* "xvda", or a device number */
	unsigned queues;	 /* wanted; the backend may allow fewer. 0: 1 */
	unsigned ring_pages;	 /* wanted: 1, 2, 4, 8, 16. 0: as many as the backend offers, up to 16 */
	unsigned protocol;	 /* enum conn_protocol of ring/base/conn.h; 0: native */
	bool no_persistent, no_indirect; /* for trying the other paths */
	uint64_t timeout_ns;	 /* for the whole connecting; 0: 10 s */
	const struct blkfront_observer *observer; /* may be NULL; kept */
};

struct blkfront_info {
	uint64_t size; /* bytes */
	uint32_t sector_size, physical_size, max_segments, discard_granularity;
	unsigned queues, ring_pages, depth; /* depth: requests of one queue */
	bool read_only, flush, barrier, discard, secure_discard, persistent;
};

/* Joins the domain, does 5-6-1 if the device is left connected by a former frontend, connects. On failure err (size bytes)
 * has one clear line. */
int blkfront_open(const struct blkfront_open *o, struct blkfront **out, char *err, size_t size);
/* Only whether the options are sound and the domain can be joined: for a program that goes into the background before it
 * opens, so that a user's mistake is told in the foreground. Errors as blkfront_open. */
int blkfront_check(const struct blkfront_open *o, char *err, size_t size);
/* Closes the connection in order (5, 6) when nothing is outstanding; what is outstanding is called back with -ESHUTDOWN. */
void blkfront_close(struct blkfront *f);
/* Any thread: ends the device; each queue's next poll calls everything back with -ESHUTDOWN. */
void blkfront_cancel(struct blkfront *f);
void blkfront_get_info(const struct blkfront *f, struct blkfront_info *info);
struct blkfront_queue *blkfront_get_queue(struct blkfront *f, unsigned index);

/* Queues the io (never blocks; what does not fit on the ring waits in order). 0, or -EINVAL, -EROFS, -EOPNOTSUPP at once,
 * without the callback. */
int blkfront_submit(struct blkfront_queue *q, struct blkfront_io *io);
/* Publishes what was submitted and takes answers; callbacks run here. How many ios ended; -EPEER or
 * -ESHUTDOWN when the device has ended (everything was called back). */
int blkfront_poll(struct blkfront_queue *q);
/* Readable when blkfront_poll may find something. Before sleeping on it: blkfront_arm(), which returns 1 if there is
 * something already. */
int blkfront_fd(const struct blkfront_queue *q);
int blkfront_arm(struct blkfront_queue *q);
unsigned blkfront_outstanding(const struct blkfront_queue *q);

#endif
