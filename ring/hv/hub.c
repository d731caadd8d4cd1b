#include "ring/hv/hub_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DOMID_LAST 0x7fef /* above are Xen's reserved ones */

struct hub *hub_new(const struct hub_ops *ops, void *ctx)
{
	struct hub *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ops = ops;
	h->ctx = ctx;
	TAILQ_INIT(&h->doms);
	TAILQ_INIT(&h->gone);
	h->next_domid = 1;
	h->next_region = 1;
	h->next_local = 1;
	return h;
}

/* ---- domains */

static struct hub_domain *dom_find(const struct hub *h, hv_domid_t domid)
{
	struct hub_domain *d;

	TAILQ_FOREACH(d, &h->doms, link)
		if (d->domid == domid)
			return d;
	return NULL;
}

static struct hub_domain *dom_named(const struct hub *h, const char *name)
{
	struct hub_domain *d;

	TAILQ_FOREACH(d, &h->doms, link)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static bool name_is_sound(const char *name)
{
	if (!isalnum((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.+", *p))
			return false;
	return true;
}

/* Upwards, and round to 1 after the last: a number comes back only after all others were used. */
static hv_domid_t dom_number(struct hub *h)
{
	hv_domid_t id;

	do {
		id = h->next_domid;
		h->next_domid = id == DOMID_LAST ? 1 : (hv_domid_t)(id + 1);
	} while (dom_find(h, id));
	return id;
}

static int op_dom_create(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d;
	int rc;

	(void)c;
	if (!name_is_sound(req->name))
		return -EINVAL;
	if (dom_named(h, req->name))
		return -EEXIST;
	if (h->ndoms == HUB_DOMAINS)
		return -ENOSPC;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	rc = h->ops->table_new(h->ctx, &d->table, &d->table_fd);
	if (rc) {
		free(d);
		return rc;
	}
	d->domid = dom_number(h);
	strcpy(d->name, req->name);
	d->free_grant = NO_GRANT;
	d->next_port = 1;
	LIST_INIT(&d->regions);
	LIST_INIT(&d->ports);
	TAILQ_INSERT_TAIL(&h->doms, d, link);
	h->ndoms++;
	r->buf.m.dom = d->domid;
	h->ops->domain(h->ctx, d->domid, true);
	return 0;
}

static void dom_free(struct hub *h, struct hub_domain *d)
{
	TAILQ_REMOVE(&h->gone, d, link);
	h->ops->table_end(h->ctx, d->table, d->table_fd);
	free(d->grants);
	free(d);
}

static void dom_leave(struct hub *h, struct hub_conn *c)
{
	struct hub_domain *d = c->dom;

	c->dom = NULL;
	if (d && --d->conns == 0 && d->gone)
		dom_free(h, d);
}

/* ---- ports */

static void port_end(struct hub *h, struct hub_domain *d, struct hub_port *p)
{
	if (p->bind)
		p->bind->port = NULL;
	LIST_REMOVE(p, link);
	d->nports--;
	h->ops->fd_end(h->ctx, p->fd[0]);
	h->ops->fd_end(h->ctx, p->fd[1]);
	free(p);
}

static void bind_end(struct hub_bind *b)
{
	if (b->port)
		b->port->bind = NULL;
	LIST_REMOVE(b, link);
	free(b);
}

static int op_port_alloc(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = c->dom;
	struct hub_port *p;
	int rc;

	if (d->nports == HUB_DOM_PORTS || d->next_port == UINT32_MAX)
		return -ENOSPC;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	rc = h->ops->event_new(h->ctx, &p->fd[0]);
	if (!rc) {
		rc = h->ops->event_new(h->ctx, &p->fd[1]);
		if (rc)
			h->ops->fd_end(h->ctx, p->fd[0]);
	}
	if (rc) {
		free(p);
		return rc;
	}
	p->number = d->next_port++;
	p->dom = req->dom;
	p->owner = c;
	LIST_INSERT_HEAD(&d->ports, p, link);
	d->nports++;
	r->buf.m.arg = p->number;
	r->fds[r->nfds++] = p->fd[0];
	r->fds[r->nfds++] = p->fd[1];
	return 0;
}

static int op_port_bind(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = dom_find(h, req->dom);
	struct hub_port *p = NULL;
	struct hub_bind *b;

	if (d)
		LIST_FOREACH(p, &d->ports, link)
			if (p->number == req->arg)
				break;
	if (!p)
		return -EINVAL;
	if (p->dom != c->self)
		return -EACCES;
	if (p->bind)
		return -EBUSY;
	if (h->next_local == UINT32_MAX)
		return -ENOSPC;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->local = h->next_local++;
	b->port = p;
	p->bind = b;
	LIST_INSERT_HEAD(&c->binds, b, link);
	r->buf.m.arg = b->local;
	r->fds[r->nfds++] = p->fd[1];
	r->fds[r->nfds++] = p->fd[0];
	return 0;
}

static int op_port_close(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_port *p;
	struct hub_bind *b;

	(void)r;
	LIST_FOREACH(b, &c->binds, link) {
		if (b->local != req->arg)
			continue;
		bind_end(b);
		return 0;
	}
	if (c->role != HUB_FRONTEND)
		return -EINVAL;
	LIST_FOREACH(p, &c->dom->ports, link) {
		if (p->number != req->arg || p->owner != c)
			continue;
		port_end(h, c->dom, p);
		return 0;
	}
	return -EINVAL;
}

/* ---- connections */

struct hub_conn *hub_conn_new(struct hub *h, void *owner)
{
	struct hub_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->owner = owner;
	LIST_INIT(&c->sent);
	LIST_INIT(&c->binds);
	LIST_INSERT_HEAD(&h->conns, c, link);
	return c;
}

static void conn_strip(struct hub *h, struct hub_conn *c)
{
	struct hub_port *p, *next;

	if (c->dom && c->role == HUB_FRONTEND) {
		hub_mem_end_frontend(h, c);
		for (p = LIST_FIRST(&c->dom->ports); p; p = next) {
			next = LIST_NEXT(p, link);
			if (p->owner == c)
				port_end(h, c->dom, p);
		}
	}
	if (c->dom && c->role == HUB_STUB)
		hub_mem_end_stub(c);
	while (!LIST_EMPTY(&c->binds))
		bind_end(LIST_FIRST(&c->binds));
	dom_leave(h, c);
}

void hub_conn_end(struct hub *h, struct hub_conn *c)
{
	conn_strip(h, c);
	LIST_REMOVE(c, link);
	free(c);
}

bool hub_conn_said_hello(const struct hub_conn *c) { return c->role != 0; }
bool hub_conn_watches(const struct hub_conn *c) { return c->watches; }

static int op_dom_destroy(struct hub *h, struct hub_conn *admin, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = dom_find(h, req->dom);
	struct hub_conn *c;

	(void)admin;
	(void)r;
	if (!d)
		return -ENOENT;
	TAILQ_REMOVE(&h->doms, d, link);
	TAILQ_INSERT_TAIL(&h->gone, d, link);
	h->ndoms--;
	d->gone = true;
	d->conns++;
	LIST_FOREACH(c, &h->conns, link) {
		if (c->dom != d || c->role != HUB_FRONTEND)
			continue;
		conn_strip(h, c);
		c->ended = true;
		h->ops->drop(h->ctx, c->owner);
	}
	h->ops->domain(h->ctx, d->domid, false);
	if (--d->conns == 0)
		dom_free(h, d);
	return 0;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	while (!LIST_EMPTY(&h->conns))
		hub_conn_end(h, LIST_FIRST(&h->conns));
	TAILQ_CONCAT(&h->gone, &h->doms, link);
	while (!TAILQ_EMPTY(&h->gone))
		dom_free(h, TAILQ_FIRST(&h->gone));
	free(h);
}

static int op_hello(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = NULL;

	if (req->version != HUB_VERSION)
		return -EPROTO;
	if (req->role < HUB_FRONTEND || req->role > HUB_ADMIN)
		return -EINVAL;
	if (req->role == HUB_FRONTEND || req->role == HUB_STUB) {
		d = req->role == HUB_FRONTEND ? dom_named(h, req->name) : dom_find(h, req->dom);
		if (!d)
			return -ENOENT;
		d->conns++;
	}
	c->role = req->role;
	c->dom = d;
	c->self = req->role == HUB_FRONTEND ? d->domid : req->self;
	r->buf.m.dom = c->self;
	return 0;
}

static int op_store(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	int rc;

	(void)req;
	rc = h->ops->store_conn(h->ctx, c->dom->domid, &r->fds[0]);
	if (rc)
		return rc;
	r->nfds = 1;
	r->give_away = true;
	return 0;
}

static void dom_describe(const struct hub_domain *d, struct hub_dom *out)
{
	*out = (struct hub_dom){
		.domid = d->domid,
		.ngrants = d->ngrants,
		.nregions = d->nregions,
		.nports = d->nports,
		.bytes = d->bytes,
	};
	strcpy(out->name, d->name);
}

bool hub_domain_at(const struct hub *h, size_t index, struct hub_dom *out)
{
	const struct hub_domain *d = TAILQ_FIRST(&h->doms);

	while (d && index--)
		d = TAILQ_NEXT(d, link);
	if (d)
		dom_describe(d, out);
	return d != NULL;
}

static int op_dom_list(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d;
	uint64_t at = 0;

	(void)c;
	TAILQ_FOREACH(d, &h->doms, link) {
		struct hub_dom one;

		if (at++ < req->arg || r->buf.m.nent == HUB_DOMS_PER_MSG)
			continue;
		dom_describe(d, &one);
		memcpy((char *)r->buf.m.ent + r->buf.m.nent * sizeof(one), &one, sizeof(one));
		r->buf.m.nent++;
	}
	r->buf.m.arg = h->ndoms;
	r->len = sizeof(struct hub_msg) + r->buf.m.nent * sizeof(struct hub_dom);
	return 0;
}

static int op_dom_state(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)c;
	r->buf.m.arg = dom_find(h, req->dom) != NULL;
	return 0;
}

static int op_dom_watch(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	(void)req;
	(void)r;
	c->watches = true;
	return 0;
}

/* ---- requests */

#define ROLE(r) (1u << (r))

static const struct {
	hub_op_fn *fn;
	unsigned roles;
} ops[HUB_OP_COUNT] = {
	[HUB_REGION] = {hub_op_region, ROLE(HUB_FRONTEND)},
	[HUB_REGION_FREE] = {hub_op_region_free, ROLE(HUB_FRONTEND)},
	[HUB_GRANT] = {hub_op_grant, ROLE(HUB_FRONTEND)},
	[HUB_UNGRANT] = {hub_op_ungrant, ROLE(HUB_FRONTEND)},
	[HUB_MAP] = {hub_op_map, ROLE(HUB_STUB)},
	[HUB_UNMAP] = {hub_op_unmap, ROLE(HUB_STUB)},
	[HUB_COPY] = {hub_op_copy, ROLE(HUB_STUB)},
	[HUB_FORGET] = {hub_op_forget, ROLE(HUB_STUB)},
	[HUB_TABLE] = {hub_op_table, ROLE(HUB_STUB)},
	[HUB_PORT_ALLOC] = {op_port_alloc, ROLE(HUB_FRONTEND)},
	[HUB_PORT_BIND] = {op_port_bind, ROLE(HUB_SUPERVISOR)},
	[HUB_PORT_CLOSE] = {op_port_close, ROLE(HUB_FRONTEND) | ROLE(HUB_SUPERVISOR)},
	[HUB_STORE] = {op_store, ROLE(HUB_FRONTEND)},
	[HUB_DOM_CREATE] = {op_dom_create, ROLE(HUB_ADMIN)},
	[HUB_DOM_DESTROY] = {op_dom_destroy, ROLE(HUB_ADMIN)},
	[HUB_DOM_LIST] = {op_dom_list, ROLE(HUB_ADMIN) | ROLE(HUB_SUPERVISOR)},
	[HUB_DOM_STATE] = {op_dom_state, ROLE(HUB_ADMIN) | ROLE(HUB_SUPERVISOR)},
	[HUB_DOM_WATCH] = {op_dom_watch, ROLE(HUB_SUPERVISOR)},
};

const struct hub_msg *hub_decode(const void *buf, size_t len)
{
	const struct hub_msg *m = buf;

	if (len < sizeof(*m) || m->op < HUB_HELLO || m->op >= HUB_OP_COUNT || m->nent > HV_BATCH_MAX)
		return NULL;
	if (len != sizeof(*m) + m->nent * sizeof(m->ent[0]) || !memchr(m->name, '\0', sizeof(m->name)))
		return NULL;
	return m;
}

int hub_apply(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_msg *m = &r->buf.m;

	if (c->ended || (req->op == HUB_HELLO) == (c->role != 0))
		return -EPEER;
	memset(m, 0, sizeof(*m));
	m->op = req->op;
	r->nfds = 0;
	r->len = 0;
	r->give_away = false;
	if (req->op == HUB_HELLO)
		m->rc = op_hello(h, c, req, r);
	else if (ops[req->op].roles & ROLE(c->role))
		m->rc = ops[req->op].fn(h, c, req, r);
	else
		m->rc = -EPERM;
	if (!r->len)
		r->len = sizeof(*m) + m->nent * sizeof(m->ent[0]);
	return 0;
}
