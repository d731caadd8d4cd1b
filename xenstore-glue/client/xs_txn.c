/* Transactions: their two requests, functions run in one, lists of changes. */
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/client/xs_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN (100 * NS_PER_US)
#define PAUSE_MAX (20 * NS_PER_MS)
#define VALUE_MAX 2048

/* ---- start and end ---- */

struct start_job {
	struct xsc_job job;
	xsc_tx *tx;
};

static bool parse_id(struct xsc *xs, const char *data, xsc_tx *tx)
{
	uint32_t id;

	if (!xs_parse_u32(data, UINT32_MAX, &id) || id == 0)
		return false;
	*tx = xsc_tx_make(xs, id);
	return true;
}

void xsc_txn_end(struct xsc *xs, xsc_tx tx, bool commit, xsc_done_fn *fn, void *arg)
{
	xsc_submit(xs, &(struct xsc_op){
			       .type = XS_TRANSACTION_END, .tx = tx, .data = commit ? "T" : "F", .len = 2, .fn = fn, .arg = arg});
}

void xsc_txn_drop(struct xsc *xs, const char *data)
{
	xsc_tx tx;

	if (parse_id(xs, data, &tx))
		xsc_txn_end(xs, tx, false, NULL, NULL);
}

static void start_free(struct xsc_job *j) { free(CONTAINER_OF(j, struct start_job, job)); }

static void started(void *arg, int rc, const char *data, size_t len)
{
	struct start_job *s = arg;

	(void)len;
	if (rc == 0 && s->job.cancelled)
		xsc_txn_drop(s->job.xs, data);
	else if (rc == 0 && !parse_id(s->job.xs, data, s->tx))
		rc = -EPEER;
	xsc_job_end(&s->job, rc, NULL, 0);
}

static void ask_start(struct xsc_job *j, xsc_done_fn *fn, void *arg)
{
	/* Begun twice is harmless: the first ended with its connection. */
	xsc_submit_part(j->xs, &(struct xsc_op){.type = XS_TRANSACTION_START,
						.data = "",
						.len = 1,
						.again = true,
						.timeout_ns = xsc_job_left(j),
						.fn = fn,
						.arg = arg});
}

void xsc_txn_start(struct xsc *xs, xsc_tx *tx, xsc_done_fn *fn, void *arg)
{
	struct start_job *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->tx = tx;
	*tx = 0;
	xsc_job_start(xs, &s->job, fn, arg, start_free);
	ask_start(&s->job, started, s);
}

/* ---- a function in a transaction ---- */

struct xsc_run {
	struct xsc_job job;
	xsc_body_fn *body;
	void *body_arg;
	struct xsc_batch *batch; /* owned; NULL: somebody else's body */
	enum { RUN_STARTING, RUN_BODY, RUN_ENDING, RUN_PAUSE } at;
	xsc_tx tx;
	int rc; /* of the body */
	unsigned tries;
	uint64_t pause;
	struct loop_timer timer;
};

static void run_begin(struct xsc_run *run);

static void run_free(struct xsc_job *j)
{
	struct xsc_run *run = CONTAINER_OF(j, struct xsc_run, job);

	loop_timer_stop(j->xs->loop, &run->timer);
	xsc_batch_free(run->batch);
	free(run);
}

static void run_pause_over(struct loop_timer *t)
{
	struct xsc_run *run = CONTAINER_OF(t, struct xsc_run, timer);
	struct xsc *xs = run->job.xs;

	xsc_enter(xs);
	run_begin(run);
	xsc_leave(xs);
}

/* rc: of the whole. What met a conflict, or was cut off before the commit was sent, is done again. */
static void run_over(struct xsc_run *run, int rc, bool repeat)
{
	if (!repeat || run->job.cancelled || ++run->tries >= XSC_TXN_TRIES || xsc_job_left(&run->job) == 1) {
		xsc_job_end(&run->job, rc, NULL, 0);
		return;
	}
	run->at = RUN_PAUSE;
	run->pause = run->pause ? MIN(run->pause * 2, (uint64_t)PAUSE_MAX) : PAUSE_MIN;
	loop_timer_start(run->job.xs->loop, &run->timer, clock_now() + run->pause, run_pause_over);
}

static void run_committed(void *arg, int rc, const char *data, size_t len)
{
	(void)data, (void)len;
	run_over(arg, rc, rc == -EAGAIN);
}

static void run_aborted(void *arg, int rc, const char *data, size_t len)
{
	struct xsc_run *run = arg;

	(void)rc, (void)data, (void)len;
	run_over(run, run->rc, run->rc == -ECONNRESET || run->rc == -EAGAIN);
}

void xsc_run_end(struct xsc_run *run, int rc)
{
	CHECK(run->at == RUN_BODY);
	run->at = RUN_ENDING;
	run->rc = rc;
	xsc_submit_part(run->job.xs, &(struct xsc_op){.type = XS_TRANSACTION_END,
						      .tx = run->tx,
						      .data = rc ? "F" : "T",
						      .len = 2,
						      .timeout_ns = xsc_job_left(&run->job),
						      .fn = rc ? run_aborted : run_committed,
						      .arg = run});
}

static void run_started(void *arg, int rc, const char *data, size_t len)
{
	struct xsc_run *run = arg;

	(void)len;
	if (rc == 0 && run->job.cancelled) {
		xsc_txn_drop(run->job.xs, data);
		rc = -ECANCELED;
	}
	if (rc == 0 && !parse_id(run->job.xs, data, &run->tx))
		rc = -EPEER;
	if (rc) {
		xsc_job_end(&run->job, rc, NULL, 0);
		return;
	}
	run->at = RUN_BODY;
	run->body(run, run->tx, run->body_arg);
}

static void run_begin(struct xsc_run *run)
{
	run->at = RUN_STARTING;
	ask_start(&run->job, run_started, run);
}

/* The requests of somebody's body are cancelled with it, so nobody would end it. */
static void run_cancel(struct xsc_job *j)
{
	struct xsc_run *run = CONTAINER_OF(j, struct xsc_run, job);

	if (run->at == RUN_BODY)
		xsc_txn_end(j->xs, run->tx, false, NULL, NULL);
	if (run->at == RUN_BODY || run->at == RUN_PAUSE)
		xsc_job_end(j, -ECANCELED, NULL, 0);
}

static struct xsc_run *run_new(struct xsc *xs, xsc_body_fn *body, void *body_arg, xsc_done_fn *done, void *arg)
{
	struct xsc_run *run = calloc(1, sizeof(*run));

	CHECK(run);
	run->body = body;
	run->body_arg = body_arg;
	xsc_job_start(xs, &run->job, done, arg, run_free);
	return run;
}

void xsc_run(struct xsc *xs, xsc_body_fn *body, xsc_done_fn *done, void *arg)
{
	struct xsc_run *run = run_new(xs, body, arg, done, arg);

	run->job.cancel = run_cancel;
	run_begin(run);
}

/* ---- lists of changes ---- */

struct change {
	STAILQ_ENTRY(change) link;
	uint32_t type;
	int ok_rc;   /* this error is none */
	int when_ok; /* success is this error */
	struct xsc_batch *b;
	char path[XS_PATH_SIZE];
	size_t len;
	char data[];
};

struct xsc_batch {
	STAILQ_HEAD(, change) changes;
	struct xsc_run *run;
	unsigned outstanding;
	int rc;
	bool bad; /* something did not fit */
};

struct xsc_batch *xsc_batch_new(void)
{
	struct xsc_batch *b = calloc(1, sizeof(*b));

	CHECK(b);
	STAILQ_INIT(&b->changes);
	return b;
}

void xsc_batch_free(struct xsc_batch *b)
{
	struct change *c;

	if (!b)
		return;
	while ((c = STAILQ_FIRST(&b->changes)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->changes, link);
		free(c);
	}
	free(b);
}

static struct change *add(struct xsc_batch *b, uint32_t type, const char *path, const void *data, size_t len)
{
	struct change *c = calloc(1, sizeof(*c) + len);

	CHECK(c);
	c->type = type;
	c->b = b;
	c->len = len;
	if (len)
		memcpy(c->data, data, len);
	if ((size_t)snprintf(c->path, sizeof(c->path), "%s", path) >= sizeof(c->path))
		b->bad = true;
	STAILQ_INSERT_TAIL(&b->changes, c, link);
	return c;
}

void xsc_batch_write(struct xsc_batch *b, const char *path, const char *fmt, ...)
{
	char value[VALUE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		b->bad = true;
	else
		add(b, XS_WRITE, path, value, (size_t)n);
}

void xsc_batch_mkdir(struct xsc_batch *b, const char *path) { add(b, XS_MKDIR, path, NULL, 0); }
void xsc_batch_rm(struct xsc_batch *b, const char *path) { add(b, XS_RM, path, NULL, 0)->ok_rc = -ENOENT; }
void xsc_batch_exists(struct xsc_batch *b, const char *path) { add(b, XS_READ, path, NULL, 0); }

void xsc_batch_absent(struct xsc_batch *b, const char *path)
{
	struct change *c = add(b, XS_READ, path, NULL, 0);

	c->ok_rc = -ENOENT;
	c->when_ok = -EEXIST;
}

void xsc_batch_perms(struct xsc_batch *b, const char *path, const struct xs_perm *perms, size_t n)
{
	struct xs_body body;
	char text[XS_PERM_TEXT];

	xs_body_init(&body);
	for (size_t i = 0; i < n; i++) {
		xs_perm_format(&perms[i], text);
		xs_body_string(&body, text);
	}
	b->bad |= body.over;
	add(b, XS_SET_PERMS, path, body.data, body.len);
}

static void change_done(void *arg, int rc, const char *data, size_t len)
{
	struct change *c = arg;
	struct xsc_batch *b = c->b;

	(void)data, (void)len;
	if (rc == 0)
		rc = c->when_ok;
	else if (rc == c->ok_rc)
		rc = 0;
	if (b->rc == 0)
		b->rc = rc;
	if (--b->outstanding == 0)
		xsc_run_end(b->run, b->rc);
}

static void batch_body(struct xsc_run *run, xsc_tx tx, void *arg)
{
	struct xsc_batch *b = arg;
	struct change *c;

	b->rc = b->bad ? -EINVAL : 0;
	if (b->bad || STAILQ_EMPTY(&b->changes)) {
		xsc_run_end(run, b->rc);
		return;
	}
	STAILQ_FOREACH(c, &b->changes, link) {
		b->outstanding++;
		xsc_submit_part(run->job.xs, &(struct xsc_op){.type = c->type,
							      .tx = tx,
							      .path = c->path,
							      .data = c->data,
							      .len = c->len,
							      .timeout_ns = xsc_job_left(&run->job),
							      .fn = change_done,
							      .arg = c});
	}
}

void xsc_batch_commit(struct xsc *xs, struct xsc_batch *b, xsc_done_fn *fn, void *arg)
{
	b->run = run_new(xs, batch_body, b, fn, arg);
	b->run->batch = b;
	run_begin(b->run);
}
