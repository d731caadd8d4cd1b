/* Requests: one table, from the message's type to its handler. */
#include "ring/base/check.h"
#include "ring/base/log.h"
#include "xenstore-glue/store/srv_priv.h"
#include "xenstore-glue/wire/xs_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum op_flags {
	OP_PRIVILEGED = 1, /* domain 0 only */
	OP_NO_TX = 2,	   /* the transaction id is not looked at */
	OP_TREE = 4,	   /* works on a change: the transaction's, or one of its own that is committed at once */
	OP_WRITES = 8,
};

struct op {
	int (*fn)(struct srv_req *rq);
	unsigned flags;
};

/* ---- nodes ---- */

static int one_node(struct srv_req *rq, struct xs_node **n)
{
	const char *path = xs_one_string(rq->data, rq->len);

	return path ? xs_op_read(&rq->view, path, n) : -EINVAL;
}

static int op_directory(struct srv_req *rq)
{
	struct xs_node *n;
	int rc = one_node(rq, &n);

	if (rc == 0)
		xs_body_bytes(&rq->s->reply, n->children, n->childlen);
	return rc;
}

/* The node's generation, then whole names from an offset on; an empty name behind the last. */
static int op_directory_part(struct srv_req *rq)
{
	struct xs_body *b = &rq->s->reply;
	const char *vec[2];
	struct xs_node *n;
	uint32_t at, end;
	char gen[24];
	int rc;

	if (xs_strings(rq->data, rq->len, vec, 2) != 2 || !xs_parse_u32(vec[1], UINT32_MAX, &at))
		return -EINVAL;
	rc = xs_op_read(&rq->view, vec[0], &n);
	if (rc < 0)
		return rc;
	snprintf(gen, sizeof(gen), "%" PRIu64, n->gen);
	xs_body_string(b, gen);
	/* An offset inside a name is the client's affair; it must not lead beyond the list. */
	for (end = at; end < n->childlen;) {
		uint32_t len = (uint32_t)strlen(n->children + end) + 1;

		if (b->len + (end - at) + len + 1 > XENSTORE_PAYLOAD_MAX)
			break;
		end += len;
	}
	if (at < n->childlen)
		xs_body_bytes(b, n->children + at, end - at);
	if (end >= n->childlen)
		xs_body_string(b, "");
	return 0;
}

static int op_read(struct srv_req *rq)
{
	struct xs_node *n;
	int rc = one_node(rq, &n);

	if (rc == 0)
		xs_body_bytes(&rq->s->reply, n->data, n->datalen);
	return rc;
}

static int op_get_perms(struct srv_req *rq)
{
	char text[XS_PERM_TEXT];
	struct xs_node *n;
	int rc = one_node(rq, &n);

	for (uint32_t i = 0; rc == 0 && i < n->nperms; i++) {
		xs_perm_format(&n->perms[i], text);
		xs_body_string(&rq->s->reply, text);
	}
	return rc;
}

static int op_write(struct srv_req *rq)
{
	const char *path[1];
	uint32_t at;

	if (xs_strings(rq->data, rq->len, path, 1) < 1)
		return -EINVAL;
	at = (uint32_t)strlen(path[0]) + 1;
	return xs_op_write(&rq->view, path[0], rq->data + at, rq->len - at);
}

static int op_mkdir(struct srv_req *rq)
{
	const char *path = xs_one_string(rq->data, rq->len);

	return path ? xs_op_mkdir(&rq->view, path) : -EINVAL;
}

static int op_rm(struct srv_req *rq)
{
	const char *path = xs_one_string(rq->data, rq->len);

	return path ? xs_op_rm(&rq->view, path) : -EINVAL;
}

/* A payload holds at most a third as many entries as bytes: "n0" and its NUL. */
#define PERMS_MAX (XENSTORE_PAYLOAD_MAX / 3)

static int op_set_perms(struct srv_req *rq)
{
	const char *vec[PERMS_MAX + 1];
	struct xs_perm perms[PERMS_MAX];
	size_t n = xs_strings(rq->data, rq->len, vec, ARRAY_LEN(vec));

	if (n < 2 || n > ARRAY_LEN(vec))
		return -EINVAL;
	for (size_t i = 1; i < n; i++)
		if (xs_perm_parse(vec[i], &perms[i - 1]) < 0)
			return -EINVAL;
	return xs_op_set_perms(&rq->view, vec[0], perms, (uint32_t)n - 1);
}

/* ---- transactions ---- */

static int op_transaction_start(struct srv_req *rq)
{
	struct xs_txn *x;
	int rc;

	if (rq->txn)
		return -EBUSY;
	rc = xs_txn_start(&rq->c->txns, rq->s->st, rq->c->domid, &x);
	if (rc == 0)
		xs_body_u32(&rq->s->reply, x->id);
	return rc;
}

static int op_transaction_end(struct srv_req *rq)
{
	const char *arg = xs_one_string(rq->data, rq->len);
	int rc = 0;

	if (!arg || (strcmp(arg, "T") != 0 && strcmp(arg, "F") != 0))
		return -EINVAL;
	if (!rq->txn)
		return -ENOENT;
	xs_txn_take(&rq->c->txns, rq->txn);
	if (arg[0] == 'T') {
		srv_pay_for_write(rq->c);
		rc = xs_change_commit(&rq->txn->ch);
		if (rc == 0)
			srv_fire_change(rq->s, &rq->txn->ch);
	}
	xs_txn_free(rq->txn);
	rq->txn = NULL;
	return rc;
}

/* ---- watches ---- */

static int op_watch(struct srv_req *rq)
{
	const char *vec[2];
	struct xs_watch *w;
	int rc;

	if (xs_strings(rq->data, rq->len, vec, 2) != 2)
		return -EINVAL;
	rc = xs_watch_add(&rq->c->watches, vec[0], vec[1], &w);
	if (rc < 0)
		return rc;
	srv_reply(rq->c, XS_WATCH, rq->hdr, "OK", sizeof("OK"));
	rq->replied = true;
	if (!rq->c->dead)
		srv_event(rq->c, xs_watch_event_path(w, w->path), w->token, false);
	return 0;
}

static int op_unwatch(struct srv_req *rq)
{
	const char *vec[2];

	if (xs_strings(rq->data, rq->len, vec, 2) != 2)
		return -EINVAL;
	return xs_watch_remove(&rq->c->watches, vec[0], vec[1]);
}

/* All watches and all transactions, the one that the request names as well. */
static int op_reset_watches(struct srv_req *rq)
{
	xs_watches_drop(&rq->c->watches);
	xs_txns_drop(&rq->c->txns);
	rq->txn = NULL;
	return 0;
}

/* ---- dispatch ---- */

static const struct op ops[XS_TYPE_COUNT] = {
	[XS_CONTROL] = {srv_op_control, OP_PRIVILEGED},
	[XS_DIRECTORY] = {op_directory, OP_TREE},
	[XS_READ] = {op_read, OP_TREE},
	[XS_GET_PERMS] = {op_get_perms, OP_TREE},
	[XS_WATCH] = {op_watch, OP_NO_TX},
	[XS_UNWATCH] = {op_unwatch, OP_NO_TX},
	[XS_TRANSACTION_START] = {op_transaction_start, 0},
	[XS_TRANSACTION_END] = {op_transaction_end, 0},
	[XS_INTRODUCE] = {srv_op_introduce, OP_PRIVILEGED},
	[XS_RELEASE] = {srv_op_release, OP_PRIVILEGED},
	[XS_GET_DOMAIN_PATH] = {srv_op_domain_path, 0},
	[XS_WRITE] = {op_write, OP_TREE | OP_WRITES},
	[XS_MKDIR] = {op_mkdir, OP_TREE | OP_WRITES},
	[XS_RM] = {op_rm, OP_TREE | OP_WRITES},
	[XS_SET_PERMS] = {op_set_perms, OP_TREE | OP_WRITES},
	[XS_IS_DOMAIN_INTRODUCED] = {srv_op_is_introduced, OP_PRIVILEGED},
	[XS_RESUME] = {srv_op_resume, OP_PRIVILEGED},
	[XS_SET_TARGET] = {srv_op_set_target, OP_PRIVILEGED},
	[XS_RESET_WATCHES] = {op_reset_watches, 0},
	[XS_DIRECTORY_PART] = {op_directory_part, OP_TREE},
};

/* An operation that failed half-way leaves a transaction that can only be given up. */
static int in_transaction(struct srv_req *rq, const struct op *op)
{
	struct xs_change *ch = &rq->txn->ch;
	unsigned before = ch->modifications;
	int rc;

	rq->view.ch = ch;
	rc = op->fn(rq);
	if (rc < 0 && ch->modifications != before)
		xs_change_fail(ch, rc);
	return rc;
}

static int alone(struct srv_req *rq, const struct op *op)
{
	struct xs_change ch;
	int rc;

	xs_change_init(&ch, rq->s->st, rq->c->domid);
	rq->view.ch = &ch;
	rc = op->fn(rq);
	if (rc == 0 && (op->flags & OP_WRITES)) {
		srv_pay_for_write(rq->c);
		rc = xs_change_commit(&ch);
		if (rc == 0)
			srv_fire_change(rq->s, &ch);
	}
	xs_change_drop(&ch);
	return rc;
}

static int dispatch(struct srv_req *rq)
{
	const struct op *op = rq->hdr->type < XS_TYPE_COUNT ? &ops[rq->hdr->type] : NULL;

	if (!op || !op->fn)
		return -ENOSYS;
	if ((op->flags & OP_PRIVILEGED) && rq->c->domid != 0)
		return -EACCES;
	if (!(op->flags & OP_NO_TX) && rq->hdr->tx_id) {
		rq->txn = xs_txn_find(&rq->c->txns, rq->hdr->tx_id);
		if (!rq->txn)
			return -ENOENT;
	}
	if (!(op->flags & OP_TREE))
		return op->fn(rq);
	return rq->txn ? in_transaction(rq, op) : alone(rq, op);
}

/* Counts the request as outstanding until its last trace is gone. */
static bool begin_cause(struct srv_conn *c)
{
	struct xs_dom *d = xs_store_dom(c->s->st, c->domid);

	c->s->cause = NULL;
	if (c->domid == 0)
		return true;
	c->s->cause = calloc(1, sizeof(*c->s->cause));
	if (!c->s->cause)
		return false;
	*c->s->cause = (struct srv_cause){.refs = 1, .domid = c->domid, .gen = d->gen};
	d->outstanding++;
	return true;
}

static bool has_payload(uint32_t type)
{
	return type == XS_READ || type == XS_DIRECTORY || type == XS_DIRECTORY_PART || type == XS_GET_PERMS;
}

void srv_handle(struct srv_conn *c)
{
	struct xs_server *s = c->s;
	struct srv_req rq = {.s = s, .c = c, .hdr = &c->reader.hdr, .data = c->reader.data, .len = c->reader.hdr.len};
	int rc;

	if (!begin_cause(c)) {
		srv_conn_close(c);
		return;
	}
	rq.view.cred = xs_store_cred(s->st, c->domid);
	xs_body_init(&s->reply);
	rc = dispatch(&rq);
	if (s->trace)
		log_info("domain %u: %s %.*s: %s", c->domid, xs_type_name(rq.hdr->type), (int)rq.len, rq.data,
			 rc < 0 ? xs_error_name(rc) : "OK");
	if (rc == 0 && s->reply.over)
		rc = -E2BIG;
	if (rc < 0) {
		const char *name = xs_error_name(rc);

		srv_reply(c, XS_ERROR, rq.hdr, name, (uint32_t)strlen(name) + 1);
	} else if (!rq.replied) {
		if (s->reply.len == 0 && !has_payload(rq.hdr->type))
			xs_body_string(&s->reply, "OK");
		srv_reply(c, rq.hdr->type, rq.hdr, s->reply.data, s->reply.len);
	}
	srv_cause_put(s, s->cause);
	s->cause = NULL;
}
