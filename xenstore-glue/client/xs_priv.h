/* xs_priv.h - the insides of the client: requests, jobs made of several requests, watches, the connection.
 *
 * A request is in one list: waiting (not sent), sent (in the order of sending), or failed (its callback is due). Functions that are called by the loop bracket their work with xsc_enter() and xsc_leave(), which frees a client
 * that was closed by a callback.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_CLIENT_XS_PRIV_H
#define BULKHEAD_XENSTORE_GLUE_CLIENT_XS_PRIV_H

#include "xenstore-glue/client/xs.h"
#include "xenstore-glue/client/xs_conn.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <sys/queue.h>

#define XSC_OUT_SIZE (64u * 1024)
#define XSC_IN_SIZE (16u * 1024)

struct xsc_req {
	TAILQ_ENTRY(xsc_req) link;
	struct xsc *xs;
	uint32_t id, type;
	xsc_tx tx;
	bool again, sent;
	int rc; /* in the list failed */
	struct loop_timer timer;
	xsc_done_fn *fn;
	void *arg;
	const void *owner; /* what xsc_cancel() names; of a job's parts: NULL */
	uint32_t size;
	char frame[];
};
TAILQ_HEAD(xsc_reqs, xsc_req);

/* Something made of several requests; lives until its last part is done. */
struct xsc_job {
	TAILQ_ENTRY(xsc_job) link;
	struct xsc *xs;
	const void *owner;
	bool cancelled;
	uint64_t due;
	xsc_done_fn *fn;
	void *arg;
	void (*cancel)(struct xsc_job *j); /* at xsc_cancel(); may free. NULL: it just ends unheard */
	void (*free)(struct xsc_job *j);
};
TAILQ_HEAD(xsc_jobs, xsc_job);

struct xsc_slot {
	struct xsc *xs;
	struct xsc_watch *w; /* NULL: free */
	uint32_t serial;
	bool registered; /* asked for on this connection */
};

struct xsc {
	struct xsc_cfg cfg;
	char path[512];
	const struct xs_conn_ops *ops;
	struct loop *loop;
	unsigned depth;
	bool closed, up, proven; /* proven: a reply came on this connection */
	bool missed;		 /* dialled in vain since; said once */
	uint32_t epoch, next_id, nreqs;
	uint64_t backoff;
	int fd;
	struct loop_fd watch_fd;
	struct loop_timer redial, rewatch, pump;
	struct xsc_reqs waiting, sent, failed;
	struct xsc_jobs jobs;
	struct xsc_slot **slots;
	uint32_t nslots, next_serial;
	uint32_t out_len;
	struct xs_reader reader;
	char out[XSC_OUT_SIZE];
	char in[XSC_IN_SIZE];
};

void xsc_enter(struct xsc *xs);
void xsc_leave(struct xsc *xs);
/* Sends and calls back what failed, soon, from the loop. */
void xsc_kick(struct xsc *xs);
/* The connection is unusable: everything that hung on it fails or waits, and the next is tried. */
void xsc_lost(struct xsc *xs, const char *why);

/* ---- requests (xs_req.c) ---- */
/* One of a job's parts: not found by xsc_cancel(). */
void xsc_submit_part(struct xsc *xs, const struct xsc_op *op);
void xsc_req_complete(struct xsc_req *r, int rc, const char *data, size_t len);
struct xsc_req *xsc_req_find(struct xsc *xs, uint32_t id);
/* Moves what can be sent into the output buffer. */
void xsc_reqs_stage(struct xsc *xs);
/* Calls back what failed. */
void xsc_reqs_fail(struct xsc *xs);
void xsc_reqs_lost(struct xsc *xs);
void xsc_reqs_free(struct xsc *xs);
/* A transaction that was begun for nobody any more. */
void xsc_txn_drop(struct xsc *xs, const char *data);
bool xsc_tx_alive(const struct xsc *xs, xsc_tx tx);
xsc_tx xsc_tx_make(const struct xsc *xs, uint32_t id);

/* ---- jobs ---- */
void xsc_job_start(struct xsc *xs, struct xsc_job *j, xsc_done_fn *fn, void *arg, void (*free)(struct xsc_job *j));
/* Time left for one more request of it, at least 1. */
uint64_t xsc_job_left(const struct xsc_job *j);
/* Calls back unless cancelled, and frees. */
void xsc_job_end(struct xsc_job *j, int rc, const char *data, size_t len);

/* ---- watches (xs_watch.c) ---- */
void xsc_watches_up(struct xsc *xs);
void xsc_watches_lost(struct xsc *xs);
void xsc_watch_event(struct xsc *xs, const char *path, const char *token);

#endif
