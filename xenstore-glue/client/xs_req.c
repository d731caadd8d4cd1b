/* Requests: made, staged for sending, answered, timed out, lost. */
#include "ring/base/check.h"
#include "ring/os/clock.h"
#include "xenstore-glue/client/xs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The connection's number in the upper half: a transaction of a former connection is recognised. */
xsc_tx xsc_tx_make(const struct xsc *xs, uint32_t id) { return (uint64_t)xs->epoch << 32 | id; }
bool xsc_tx_alive(const struct xsc *xs, xsc_tx tx) { return tx == 0 || (xs->up && tx >> 32 == xs->epoch); }

static void release(struct xsc_req *r)
{
	loop_timer_stop(r->xs->loop, &r->timer);
	r->xs->nreqs--;
	free(r);
}

static void call_back(struct xsc_req *r, int rc, const char *data, size_t len)
{
	xsc_done_fn *fn = r->fn;
	void *arg = r->arg;

	release(r);
	if (fn)
		fn(arg, rc, data, len);
}

/* r is in none of the lists but sent. */
void xsc_req_complete(struct xsc_req *r, int rc, const char *data, size_t len)
{
	struct xsc *xs = r->xs;

	TAILQ_REMOVE(&xs->sent, r, link);
	if (!r->fn && rc == 0 && r->type == XS_TRANSACTION_START)
		xsc_txn_drop(xs, data);
	call_back(r, rc, data, len);
}

static void fail(struct xsc_req *r, int rc)
{
	r->rc = rc;
	loop_timer_stop(r->xs->loop, &r->timer);
	TAILQ_INSERT_TAIL(&r->xs->failed, r, link);
	xsc_kick(r->xs);
}

static void deadline(struct loop_timer *t)
{
	struct xsc_req *r = CONTAINER_OF(t, struct xsc_req, timer);

	TAILQ_REMOVE(r->sent ? &r->xs->sent : &r->xs->waiting, r, link);
	fail(r, -ETIMEDOUT);
}

/* The payload behind the header; its size, or -EINVAL. */
static int payload(const struct xsc_op *op, struct xs_body *b)
{
	char absolute[XS_PATH_SIZE];
	bool special = op->path && op->type == XS_WATCH && xs_path_is_special(op->path);

	xs_body_init(b);
	if (op->path && !special && xs_path_absolute(absolute, 0, op->path) < 0)
		return -EINVAL;
	if (op->path)
		xs_body_string(b, op->path);
	xs_body_bytes(b, op->data, op->len);
	return b->over ? -EINVAL : 0;
}

static struct xsc_req *make(struct xsc *xs, const struct xsc_op *op, const struct xs_body *b)
{
	struct xsc_req *r = calloc(1, sizeof(*r) + sizeof(struct xsd_sockmsg) + b->len);

	CHECK(r);
	if (++xs->next_id == 0)
		xs->next_id = 1;
	r->xs = xs;
	r->id = xs->next_id;
	r->type = op->type;
	r->tx = op->tx;
	r->again = op->again && op->tx == 0;
	r->fn = op->fn;
	r->arg = op->arg;
	r->size = (uint32_t)xs_frame(r->frame, op->type, r->id, (uint32_t)op->tx, b->data, b->len);
	xs->nreqs++;
	return r;
}

static void submit(struct xsc *xs, const struct xsc_op *op, const void *owner)
{
	struct xs_body b, none = {0};
	int rc = payload(op, &b);
	struct xsc_req *r;

	if (xs->closed)
		return;
	if (rc == 0 && xs->nreqs >= XSC_REQS_MAX)
		rc = -ENOBUFS;
	if (rc == 0 && !xsc_tx_alive(xs, op->tx))
		rc = -ECONNRESET;
	r = make(xs, op, rc ? &none : &b);
	r->owner = owner;
	if (rc) {
		fail(r, rc);
		return;
	}
	TAILQ_INSERT_TAIL(&xs->waiting, r, link);
	loop_timer_start(xs->loop, &r->timer, clock_now() + (op->timeout_ns ? op->timeout_ns : xs->cfg.timeout_ns),
			 deadline);
	xsc_kick(xs);
}

void xsc_submit(struct xsc *xs, const struct xsc_op *op) { submit(xs, op, op->arg); }
void xsc_submit_part(struct xsc *xs, const struct xsc_op *op) { submit(xs, op, NULL); }

struct xsc_req *xsc_req_find(struct xsc *xs, uint32_t id)
{
	struct xsc_req *r;

	TAILQ_FOREACH(r, &xs->sent, link)
		if (r->id == id)
			return r;
	return NULL;
}

static bool may_stage(const struct xsc *xs, const struct xsc_req *r)
{
	return r->size <= XSC_OUT_SIZE - xs->out_len && (!xs->ops->alone || TAILQ_EMPTY(&xs->sent));
}

void xsc_reqs_stage(struct xsc *xs)
{
	struct xsc_req *r;

	while ((r = TAILQ_FIRST(&xs->waiting)) != NULL && may_stage(xs, r)) {
		memcpy(xs->out + xs->out_len, r->frame, r->size);
		xs->out_len += r->size;
		TAILQ_REMOVE(&xs->waiting, r, link);
		TAILQ_INSERT_TAIL(&xs->sent, r, link);
		r->sent = true;
	}
}

/* What a callback makes fail meanwhile waits for the next round of the loop. */
void xsc_reqs_fail(struct xsc *xs)
{
	struct xsc_req *r, *last = TAILQ_LAST(&xs->failed, xsc_reqs);
	bool more = last != NULL;

	while (more && !xs->closed && (r = TAILQ_FIRST(&xs->failed)) != NULL) {
		more = r != last;
		TAILQ_REMOVE(&xs->failed, r, link);
		call_back(r, r->rc, NULL, 0);
	}
}

void xsc_reqs_lost(struct xsc *xs)
{
	struct xsc_req *r, *next;

	for (r = TAILQ_FIRST(&xs->waiting); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->tx == 0)
			continue;
		TAILQ_REMOVE(&xs->waiting, r, link);
		fail(r, -ECONNRESET);
	}
	for (r = TAILQ_FIRST(&xs->sent); r; r = next) {
		next = TAILQ_NEXT(r, link);
		r->sent = false;
		if (r->again)
			continue;
		TAILQ_REMOVE(&xs->sent, r, link);
		fail(r, -ECONNRESET);
	}
	TAILQ_CONCAT(&xs->sent, &xs->waiting, link);
	TAILQ_CONCAT(&xs->waiting, &xs->sent, link);
}

void xsc_cancel(struct xsc *xs, const void *arg)
{
	struct xsc_reqs *const lists[] = {&xs->waiting, &xs->sent, &xs->failed};
	struct xsc_job *j, *next;
	struct xsc_req *r;

	if (xs->closed || !arg)
		return;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		TAILQ_FOREACH(r, lists[i], link)
			if (r->owner == arg)
				r->fn = NULL;
	for (j = TAILQ_FIRST(&xs->jobs); j; j = next) {
		next = TAILQ_NEXT(j, link);
		if (j->owner != arg || j->cancelled)
			continue;
		j->cancelled = true;
		if (j->cancel)
			j->cancel(j);
	}
}

static void drop_all(struct xsc_reqs *list)
{
	struct xsc_req *r;

	while ((r = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, r, link);
		release(r);
	}
}

void xsc_reqs_free(struct xsc *xs)
{
	struct xsc_job *j;

	drop_all(&xs->waiting);
	drop_all(&xs->sent);
	drop_all(&xs->failed);
	while ((j = TAILQ_FIRST(&xs->jobs)) != NULL) {
		TAILQ_REMOVE(&xs->jobs, j, link);
		j->free(j);
	}
}

/* ---- jobs ---- */

void xsc_job_start(struct xsc *xs, struct xsc_job *j, xsc_done_fn *fn, void *arg, void (*free_fn)(struct xsc_job *j))
{
	j->xs = xs;
	j->owner = arg;
	j->fn = fn;
	j->arg = arg;
	j->free = free_fn;
	j->due = clock_now() + xs->cfg.timeout_ns;
	TAILQ_INSERT_TAIL(&xs->jobs, j, link);
}

uint64_t xsc_job_left(const struct xsc_job *j)
{
	uint64_t now = clock_now();

	return now < j->due ? j->due - now : 1;
}

void xsc_job_end(struct xsc_job *j, int rc, const char *data, size_t len)
{
	xsc_done_fn *fn = j->cancelled ? NULL : j->fn;

	TAILQ_REMOVE(&j->xs->jobs, j, link);
	if (fn)
		fn(j->arg, rc, data, len);
	j->free(j);
}
