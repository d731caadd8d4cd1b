/* blkfront_priv.h - state of a block frontend, shared by blkfront.c (life), blkfront_xs.c (its keys), blkfront_queue.c (ring,
 * port) and blkfront_io.c (requests).
 *
 * Threads: `ended` and `closing` are set by any thread and read by all; a queue is its thread's; the watcher thread
 * belongs to fe_xs.c. The hv is shared under hv_lock.
 */
#ifndef BULKHEAD_FRONTEND_BLK_BLKFRONT_PRIV_H
#define BULKHEAD_FRONTEND_BLK_BLKFRONT_PRIV_H

#include "frontend/blk/blkfront.h"
#include "frontend/core/fe_pool.h"
#include "frontend/core/fe_ring.h"
#include "frontend/core/fe_shadow.h"
#include "frontend/core/fe_sleep.h"
#include "frontend/core/fe_xs.h"
#include "ring/base/conn.h"
#include "xenstore-glue/bus/vbd_keys.h"

#include <pthread.h>

#define BLKFRONT_SEGS_MAX 256u	     /* of one request: 1 MiB */
#define BLKFRONT_POOL_MAX 2048u	     /* pages of one queue: 8 MiB */
#define BLKFRONT_DISCARD_MAX (2ull << 30) /* bytes of one discard request */

/* One request on the ring, by its slot in the shadow. */
struct blkfront_req {
	struct blkfront_io *io;
	void *buf; /* of a read: where its data goes */
	uint64_t index, sector;
	uint32_t bytes;
	uint32_t data, indirect; /* lists of pages */
	uint8_t op;		 /* the inner one, which the answer must name */
};

struct blkfront_list {
	struct blkfront_io *head, **tail;
};

struct blkfront_queue {
	struct blkfront *f;
	unsigned index;
	void *ring_mem;
	hv_gref_t ring_gref[CONN_RING_PAGES_MAX];
	unsigned ring_granted;
	struct fe_ring ring;
	uint64_t req_index, rsp_index; /* next of each; the low halves are the ring's */
	struct hv_port *port;
	struct fe_sleep sleep;

	struct fe_shadow shadow;
	struct blkfront_req *req;
	struct fe_pool pool;
	uint32_t zero; /* a page of the pool that stays zero */
	struct blkfront_list waiting; /* not yet cut whole, in order */
	struct blkfront_list fua;     /* written, their flush not yet on the ring */
	uint32_t nios;
	uint64_t over; /* ios called back so far */
	uint32_t busy; /* requests on the ring, for the watcher to read */
};

struct blkfront {
	struct hv *hv;
	pthread_mutex_t hv_lock;
	hv_domid_t back_domid;
	uint32_t devid;
	enum conn_protocol protocol;
	struct blkfront_info info;
	uint64_t size; /* info.size; changes when the disk is resized */
	const struct blkfront_observer *observer;
	int ended;	  /* 0, -EPEER or -ESHUTDOWN: nothing more is taken from or put on the ring */
	uint32_t closing; /* the backend wants to go: nothing new, but what is on the ring is waited for */
	unsigned nqueues;
	struct blkfront_queue *queue[CONN_QUEUES_MAX];
	struct fe_xs *xs;
	const struct blkfront_open *wanted; /* during the open only */
};

/* What to use of an offer. */
void blkfront_choose(struct blkfront *f, const struct blkfront_open *o, const struct vbd_offer *offer);
/* Ring, port, pool, sleeping. 0 or negative errno; blkfront_queue_close() in either case. */
int blkfront_queue_open(struct blkfront *f, unsigned index);
void blkfront_queue_close(struct blkfront_queue *q);
/* Any thread: the queue's fd becomes readable. */
void blkfront_queue_kick(struct blkfront_queue *q);
/* Any thread: ends the device; the first reason stays. */
void blkfront_end(struct blkfront *f, int reason);

/* These only in the queue's thread. Calls everything back with rc; calls back what is not yet cut with -ESHUTDOWN. */
void blkfront_fail_all(struct blkfront_queue *q, int rc);
void blkfront_refuse_waiting(struct blkfront_queue *q);
/* Puts as much on the ring as fits; takes answers: 0 or -EPEER. */
void blkfront_pump(struct blkfront_queue *q);
int blkfront_take_answers(struct blkfront_queue *q);

/* The device's keys. */
extern const struct fe_xs_ops blkfront_xs_ops;

#endif
