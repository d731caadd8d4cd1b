/* Domains: their beginning and end, and the requests about them. */
#include "ring/base/log.h"
#include "xenstore-glue/store/srv_priv.h"
#include "xenstore-glue/wire/xs_path.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int srv_introduce(struct xs_server *s, uint16_t domid, bool by_hub)
{
	struct xs_dom *d = xs_store_dom(s->st, domid);
	struct xs_change ch;
	int rc;

	if (domid == 0 || domid >= XS_DOMID_FIRST_RESERVED)
		return -EINVAL;
	if (d) {
		d->confirmed = true;
		return 0;
	}
	xs_change_init(&ch, s->st, 0);
	rc = xs_change_set_dom(&ch, domid, XS_DOMID_NONE, by_hub);
	if (rc == 0)
		rc = xs_change_commit(&ch);
	xs_change_drop(&ch);
	if (rc == 0)
		srv_fire_special(s, XS_INTRODUCE_DOMAIN);
	return rc;
}

/* Its connections are closed in any case: they belong to a dead domain. If the rest can't be recorded, the domain stays
 * known, and whoever released it gets the error and tries again. */
int srv_release(struct xs_server *s, uint16_t domid)
{
	struct xs_view v = {.cred = xs_store_cred(s->st, 0)};
	struct xs_change ch;
	int rc;

	if (domid == 0)
		return -EINVAL;
	if (!xs_store_dom(s->st, domid))
		return -ENOENT;
	srv_conn_close_domain(s, domid);
	xs_change_init(&ch, s->st, 0);
	v.ch = &ch;
	rc = xs_op_release(&v, domid);
	if (rc == 0)
		rc = xs_change_commit(&ch);
	if (rc == 0) {
		srv_fire_change(s, &ch);
		srv_fire_special(s, XS_RELEASE_DOMAIN);
	} else {
		log_error("domain %u can't be released: %s", domid, strerror(-rc));
	}
	xs_change_drop(&ch);
	return rc;
}

/* ---- requests ---- */

static int one_domid(const struct srv_req *rq, uint16_t *domid)
{
	const char *text = xs_one_string(rq->data, rq->len);
	uint32_t v;

	if (!text || !xs_parse_u32(text, UINT16_MAX, &v))
		return -EINVAL;
	*domid = (uint16_t)v;
	return 0;
}

/* domid, frame and port of a ring. There are no rings here: domains connect through the hub, or not at all. */
int srv_op_introduce(struct srv_req *rq)
{
	const char *vec[3];
	uint32_t domid, port;

	if (xs_strings(rq->data, rq->len, vec, 3) < 3 || !xs_parse_u32(vec[0], UINT16_MAX, &domid) ||
	    !xs_parse_u32(vec[2], UINT32_MAX, &port) || port == 0)
		return -EINVAL;
	return srv_introduce(rq->s, (uint16_t)domid, false);
}

int srv_op_release(struct srv_req *rq)
{
	uint16_t domid;
	int rc = one_domid(rq, &domid);

	return rc < 0 ? rc : srv_release(rq->s, domid);
}

int srv_op_resume(struct srv_req *rq)
{
	uint16_t domid;
	int rc = one_domid(rq, &domid);

	if (rc == 0 && domid == 0)
		return -EINVAL;
	return rc == 0 && !xs_store_dom(rq->s->st, domid) ? -ENOENT : rc;
}

int srv_op_set_target(struct srv_req *rq)
{
	struct xs_store *st = rq->s->st;
	const char *vec[2];
	uint32_t domid, target;
	struct xs_change ch;
	int rc;

	if (xs_strings(rq->data, rq->len, vec, 2) < 2 || !xs_parse_u32(vec[0], UINT16_MAX, &domid) ||
	    !xs_parse_u32(vec[1], UINT16_MAX, &target))
		return -EINVAL;
	if (!xs_store_dom(st, domid) || !xs_store_dom(st, target))
		return -ENOENT;
	/* Domain 0 has every right already, and must not become the source of anybody's. */
	if (domid == 0 || target == 0)
		return -EINVAL;
	xs_change_init(&ch, st, 0);
	rc = xs_change_set_dom(&ch, (uint16_t)domid, (uint16_t)target, st->dom[domid]->by_hub);
	if (rc == 0)
		rc = xs_change_commit(&ch);
	xs_change_drop(&ch);
	return rc;
}

int srv_op_domain_path(struct srv_req *rq)
{
	char path[XS_PATH_SIZE];
	uint16_t domid;
	int rc = one_domid(rq, &domid);

	if (rc == 0) {
		xs_path_domain(path, domid);
		xs_body_string(&rq->s->reply, path);
	}
	return rc;
}

int srv_op_is_introduced(struct srv_req *rq)
{
	uint16_t domid;
	int rc = one_domid(rq, &domid);

	if (rc == 0) /* XS_DOMID_FIRST_RESERVED is DOMID_SELF */
		xs_body_string(&rq->s->reply,
			       domid == XS_DOMID_FIRST_RESERVED || xs_store_dom(rq->s->st, domid) ? "T" : "F");
	return rc;
}

/* ---- XS_CONTROL ---- */

struct control {
	struct xs_server *s;
	const char *arg[3];
	size_t nargs;
	char text[3072];
	size_t len;
};

static void say(struct control *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct control *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->text + c->len, sizeof(c->text) - c->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		c->len = MIN(c->len + (size_t)n, sizeof(c->text) - 1);
}

static int control_check(struct control *c)
{
	char what[256] = "";
	unsigned faults = xs_store_check(c->s->st, what, sizeof(what));

	if (faults)
		say(c, "%u faults, the first: %s\n", faults, what);
	else
		say(c, "OK\n");
	return 0;
}

static int control_log(struct control *c)
{
	if (c->nargs != 1 || (strcmp(c->arg[0], "on") != 0 && strcmp(c->arg[0], "off") != 0))
		return -EINVAL;
	c->s->trace = strcmp(c->arg[0], "on") == 0;
	say(c, "OK\n");
	return 0;
}

static int control_print(struct control *c)
{
	if (c->nargs != 1)
		return -EINVAL;
	log_info("control: %s", c->arg[0]);
	say(c, "OK\n");
	return 0;
}

static int control_memreport(struct control *c)
{
	const struct xs_store *st = c->s->st;
	struct srv_conn *x;
	unsigned conns = 0, domains = 0;

	TAILQ_FOREACH(x, &c->s->conns, link)
		conns++;
	for (size_t i = 0; i < ARRAY_LEN(st->dom); i++)
		domains += st->dom[i] != NULL;
	say(c, "nodes:       %zu\ndomains:     %u\nconnections: %u\n", st->nodes.count, domains, conns);
	say(c, "generation:  %" PRIu64 "\n", st->gen);
	say(c, "log bytes:   %" PRIu64 "\n", c->s->log ? xs_log_size(c->s->log) : 0);
	return 0;
}

static int quota_of_domain(struct control *c, unsigned domid)
{
	const struct xs_dom *d = xs_store_dom(c->s->st, domid);

	if (!d)
		return -ENOENT;
	say(c, "Domain %u:\n", domid);
	say(c, "nodes           : %8u\n", d->nodes);
	say(c, "watches         : %8u\n", d->watches);
	say(c, "transactions    : %8u\n", d->txns);
	say(c, "outstanding     : %8u\n", d->outstanding);
	say(c, "memory          : %8" PRIu64 "\n", d->node_bytes + d->held);
	return 0;
}

static int quota_set(struct control *c, const char *name, const char *value)
{
	struct xs_quota *q = &c->s->st->quota;
	const struct {
		const char *name;
		uint32_t *at;
	} known[] = {
		{"nodes", &q->nodes},
		{"node-size", &q->node_size},
		{"permissions", &q->perms},
		{"watches", &q->watches},
		{"transactions", &q->txns},
		{"transaction-nodes", &q->txn_nodes},
		{"outstanding", &q->outstanding},
	};
	uint32_t v;

	if (!xs_parse_u32(value, 1u << 30, &v) || v == 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(name, known[i].name) != 0)
			continue;
		*known[i].at = v;
		say(c, "OK\n");
		return 0;
	}
	if (strcmp(name, "memory") != 0)
		return -EINVAL;
	q->memory = v;
	say(c, "OK\n");
	return 0;
}

static int control_quota(struct control *c)
{
	const struct xs_quota *q = &c->s->st->quota;
	uint32_t domid;

	if (c->nargs == 3 && strcmp(c->arg[0], "set") == 0)
		return quota_set(c, c->arg[1], c->arg[2]);
	if (c->nargs == 1 && xs_parse_u32(c->arg[0], UINT16_MAX, &domid))
		return quota_of_domain(c, domid);
	if (c->nargs)
		return -EINVAL;
	say(c, "Quota settings:\n");
	say(c, "nodes             %8u of a domain\n", q->nodes);
	say(c, "node-size         %8u bytes\n", q->node_size);
	say(c, "permissions       %8u of a node\n", q->perms);
	say(c, "watches           %8u of a domain\n", q->watches);
	say(c, "transactions      %8u of a domain\n", q->txns);
	say(c, "transaction-nodes %8u of a transaction\n", q->txn_nodes);
	say(c, "outstanding       %8u requests of a domain\n", q->outstanding);
	say(c, "memory            %8" PRIu64 " bytes of a domain\n", q->memory);
	return 0;
}

static int control_help(struct control *c);

static const struct {
	const char *name;
	int (*fn)(struct control *c);
	const char *args;
} commands[] = {
	{"check", control_check, ""},
	{"log", control_log, "on|off"},
	{"memreport", control_memreport, ""},
	{"print", control_print, "<string>"},
	{"quota", control_quota, "[set <name> <val>|<domid>]"},
	{"help", control_help, ""},
};

static int control_help(struct control *c)
{
	say(c, "Control commands:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		say(c, "%-12s %s\n", commands[i].name, commands[i].args);
	return 0;
}

int srv_op_control(struct srv_req *rq)
{
	const char *vec[4];
	size_t n = xs_strings(rq->data, rq->len, vec, ARRAY_LEN(vec));
	struct control c = {.s = rq->s};
	int rc = -EINVAL;

	if (n < 1 || n > ARRAY_LEN(vec))
		return -EINVAL;
	c.nargs = n - 1;
	for (size_t i = 1; i < n; i++)
		c.arg[i - 1] = vec[i];
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(vec[0], commands[i].name) == 0)
			rc = commands[i].fn(&c);
	if (rc == 0)
		xs_body_string(&rq->s->reply, c.text);
	return rc;
}
