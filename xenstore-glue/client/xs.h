/* xs.h - asynchronous xenstore client on the event loop (the wire protocol is that of <xen/io/xs_wire.h>).
 *
 * Owns: its connection, copies of what is asked, the connection's descriptor also when dial() made it. Watches belong to
 * the caller.
 * Threads: that of the loop. Fork/exec: descriptors are close-on-exec.
 * Lifetime: everything may be called from any callback, xsc_close() included.
 * Trust: replies and events come from the store; broken framing ends the connection, which is made anew.
 * Errors: every request's callback is called exactly once, never from inside the call that made the request, unless
 * xsc_cancel() or xsc_close() comes first. rc is 0, an errno of the store (-ENOENT, -EACCES, ...), -EINVAL (path or length
 * that the protocol forbids; nothing was sent), -ENOBUFS (XSC_REQS_MAX are outstanding), -ETIMEDOUT (no answer by the
 * deadline: a write may have been done or not), -ECONNRESET (the store went away after it was sent; the same holds).
 * What was not sent yet, and whatever is marked `again` (all reads outside transactions), waits for the next connection
 * within its deadline.
 * Limits: XSC_REQS_MAX requests, XSC_WATCHES_MAX watches, directories of XSC_DIR_MAX bytes.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_CLIENT_XS_H
#define BULKHEAD_XENSTORE_GLUE_CLIENT_XS_H

#include "ring/base/base.h"
#include "ring/os/loop.h"
#include "xenstore-glue/wire/xs_path.h"
#include "xenstore-glue/wire/xs_perm.h"

#include <stdbool.h>

#define XSC_REQS_MAX 16384u
#define XSC_WATCHES_MAX 4096u
#define XSC_DIR_MAX (1u << 20)
#define XSC_TIMEOUT_NS 5000000000ull
#define XSC_TXN_TRIES 32 /* of a batch whose commit meets -EAGAIN */

struct xsc;

struct xsc_cfg {
	struct loop *loop;
	const char *path;	      /* of the store's socket, or of /dev/xen/xenbus; copied. NULL: dial() */
	int (*dial)(void *arg);	      /* a connected stream descriptor, given away, or a negative errno: tried again */
	void (*state)(bool up, void *arg); /* the store is there, or gone; may be NULL */
	void *arg;		      /* of both */
	uint64_t timeout_ns;	      /* deadline of each request; 0: XSC_TIMEOUT_NS */
};

/* Begins to connect and returns; a store that is not there yet is no error. -EINVAL, -ENAMETOOLONG, -ENOMEM. */
int xsc_open(const struct xsc_cfg *cfg, struct xsc **out);
/* Nothing is called back any more. NULL is allowed. */
void xsc_close(struct xsc *xs);
bool xsc_up(const struct xsc *xs);
/* Counts connections: it changes when one is lost. */
uint32_t xsc_epoch(const struct xsc *xs);
struct loop *xsc_loop(const struct xsc *xs);
/* Where the store of a world is: $XENSTORED_PATH, else runtime "/store.sock", else (runtime NULL) Xen's own:
 * /run/xenstored/socket where it is or this is the control domain, else /dev/xen/xenbus. 0 or -ENAMETOOLONG. */
int xsc_path(const char *runtime, char *path, size_t size);

/* data (with a NUL behind it) is valid during the call only; NULL and 0 when rc is not 0. */
typedef void xsc_done_fn(void *arg, int rc, const char *data, size_t len);

/* A transaction on one connection; 0: none. Does not outlive the connection: -ECONNRESET. */
typedef uint64_t xsc_tx;

/* Any request: the functions below are this one. */
struct xsc_op {
	uint32_t type;	    /* enum xsd_sockmsg_type */
	xsc_tx tx;
	const char *path;   /* first string of the payload; NULL: none */
	const void *data;   /* follows it */
	size_t len;
	bool again;	    /* doing it twice does no harm */
	uint64_t timeout_ns; /* 0: the client's */
	xsc_done_fn *fn;    /* NULL: nobody wants to know */
	void *arg;
};
void xsc_submit(struct xsc *xs, const struct xsc_op *op);
/* Forgets all requests and batches that were made with this arg: their callbacks are never called. */
void xsc_cancel(struct xsc *xs, const void *arg);

/* data: the value. */
void xsc_read(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg);
/* data: the names, each with its NUL (see xs_strings()). Of any size up to XSC_DIR_MAX, read whole (DIRECTORY_PART). */
void xsc_directory(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg);
void xsc_write(struct xsc *xs, xsc_tx tx, const char *path, const void *value, size_t len, xsc_done_fn *fn, void *arg);
void xsc_mkdir(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg);
void xsc_rm(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg);
/* All keys of directory path, and of those directories in it that below() names (one level; NULL: none): each() is called
 * for every key with its name relative to path and its value; a negative return ends the whole with it. Then done: -E2BIG
 * when there are more than max keys; -ENOENT only for path itself, a key that vanishes meanwhile is left out. */
typedef int xsc_each_fn(void *ctx, const char *key, const char *value, size_t len);
void xsc_read_all(struct xsc *xs, xsc_tx tx, const char *path, bool (*below)(const char *name), unsigned max,
		  xsc_each_fn *each, void *ctx, xsc_done_fn *done, void *arg);
/* data: the entries as text, each with its NUL (see xs_perm_parse()). */
void xsc_get_perms(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg);
void xsc_set_perms(struct xsc *xs, xsc_tx tx, const char *path, const struct xs_perm *perms, size_t n, xsc_done_fn *fn,
		   void *arg);
/* data: "T" or "F". */
void xsc_is_introduced(struct xsc *xs, uint32_t domid, xsc_done_fn *fn, void *arg);
/* data: "/local/domain/N". */
void xsc_domain_path(struct xsc *xs, uint32_t domid, xsc_done_fn *fn, void *arg);

/* ---- transactions ---- */

/* data: not text; the number is in *tx, which stays the caller's until fn. */
void xsc_txn_start(struct xsc *xs, xsc_tx *tx, xsc_done_fn *fn, void *arg);
/* -EAGAIN: somebody else changed what was read or written here; nothing was done. */
void xsc_txn_end(struct xsc *xs, xsc_tx tx, bool commit, xsc_done_fn *fn, void *arg);

/* Reads that decide what is written: body() is called with an open transaction, makes its requests in it, and ends it by
 * xsc_run_end(): rc 0 commits, anything else aborts and is done's rc. When the commit meets -EAGAIN, body() is called
 * again, at most XSC_TXN_TRIES times. The whole has one deadline. xsc_cancel(arg) forgets it and what body() asked. */
struct xsc_run;
typedef void xsc_body_fn(struct xsc_run *run, xsc_tx tx, void *arg);
void xsc_run(struct xsc *xs, xsc_body_fn *body, xsc_done_fn *done, void *arg);
void xsc_run_end(struct xsc_run *run, int rc);

/* A list of changes, done in one transaction: all of it or nothing. Repeated when the commit meets -EAGAIN. */
struct xsc_batch;
struct xsc_batch *xsc_batch_new(void);
void xsc_batch_free(struct xsc_batch *b); /* one that was not committed; NULL is allowed */
void xsc_batch_write(struct xsc_batch *b, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
void xsc_batch_mkdir(struct xsc_batch *b, const char *path);
void xsc_batch_rm(struct xsc_batch *b, const char *path); /* its absence is no error */
void xsc_batch_perms(struct xsc_batch *b, const char *path, const struct xs_perm *perms, size_t n);
/* Conditions: the whole is -ENOENT when path is not there; -EEXIST when it is. */
void xsc_batch_exists(struct xsc_batch *b, const char *path);
void xsc_batch_absent(struct xsc_batch *b, const char *path);
/* Takes b. rc: the first error of any of its parts (-EINVAL: one was too long). */
void xsc_batch_commit(struct xsc *xs, struct xsc_batch *b, xsc_done_fn *fn, void *arg);

/* ---- watches ---- */

/* Embedded in its owner, zero before the first start. fn's path is what changed (as the store names it: relative when the
 * watch was relative). The store's first event, right after the registration and again after every reconnect, names the
 * watched path itself: the time to read all of it. A registration that the store refuses is logged and tried again. */
struct xsc_watch {
	bool active;
	uint32_t slot, serial;
	char path[XENSTORE_REL_PATH_MAX + 1];
	void (*fn)(struct xsc_watch *w, const char *path);
};
/* 0, -EINVAL (path), -ENOSPC (XSC_WATCHES_MAX). */
int xsc_watch(struct xsc *xs, struct xsc_watch *w, const char *path, void (*fn)(struct xsc_watch *w, const char *path));
void xsc_unwatch(struct xsc *xs, struct xsc_watch *w); /* idempotent; fn is never called again */

#endif
