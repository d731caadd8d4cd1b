#include "ring/hv/hub_priv.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- regions */

int hub_op_region(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = c->dom;
	struct hub_region *g;
	int rc;

	if (!req->arg || req->arg % BH_PAGE_SIZE)
		return -EINVAL;
	if (req->arg > HV_REGION_MAX)
		return -E2BIG;
	if (d->nregions == HUB_DOM_REGIONS || d->bytes + req->arg > HUB_DOM_BYTES || h->next_region == UINT32_MAX)
		return -ENOMEM;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	rc = h->ops->region_new(h->ctx, req->arg, g->fd);
	if (rc) {
		free(g);
		return rc;
	}
	g->number = h->next_region++;
	g->npages = (uint32_t)(req->arg >> BH_PAGE_SHIFT);
	g->owner = c;
	LIST_INIT(&g->sent);
	LIST_INSERT_HEAD(&d->regions, g, link);
	d->nregions++;
	d->bytes += req->arg;
	r->buf.m.arg = g->number;
	r->fds[r->nfds++] = g->fd[0];
	return 0;
}

static void sent_end(struct hub_sent *s)
{
	LIST_REMOVE(s, of_region);
	LIST_REMOVE(s, of_conn);
	free(s);
}

static void region_end(struct hub *h, struct hub_domain *d, struct hub_region *g)
{
	CHECK(g->ngrants == 0);
	while (!LIST_EMPTY(&g->sent))
		sent_end(LIST_FIRST(&g->sent));
	LIST_REMOVE(g, link);
	d->nregions--;
	d->bytes -= (uint64_t)g->npages << BH_PAGE_SHIFT;
	h->ops->fd_end(h->ctx, g->fd[0]);
	h->ops->fd_end(h->ctx, g->fd[1]);
	free(g);
}

static struct hub_region *region_of(const struct hub_conn *c, uint64_t number)
{
	struct hub_region *g;

	LIST_FOREACH(g, &c->dom->regions, link)
		if (g->number == number)
			return g->owner == c ? g : NULL;
	return NULL;
}

int hub_op_region_free(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_region *g = region_of(c, req->arg);

	(void)r;
	if (!g)
		return -EINVAL;
	if (g->ngrants)
		return -EBUSY;
	region_end(h, c->dom, g);
	return 0;
}

/* ---- grants */

static int grants_grow(struct hub_domain *d)
{
	uint32_t room = d->grants_room ? d->grants_room * 2 : 64;
	struct hub_grant *g;

	if (room > HUB_DOM_GRANTS)
		return -ENOSPC;
	g = realloc(d->grants, room * sizeof(*g));
	if (!g)
		return -ENOSPC;
	memset(g + d->grants_room, 0, (room - d->grants_room) * sizeof(*g));
	for (uint32_t i = room; i-- > d->grants_room;) {
		g[i].next_free = d->free_grant;
		d->free_grant = i;
	}
	d->grants = g;
	d->grants_room = room;
	return 0;
}

/* Last freed, first used: grefs come back soon, as they do in a guest, and what keeps a stale one is found out. */
static uint32_t grant_take(struct hub_domain *d)
{
	uint32_t i = d->free_grant;

	d->free_grant = d->grants[i].next_free;
	d->ngrants++;
	return i;
}

/* Pairs with the smp_load_acquire in look_up() (hv_local_map.c). Whoever is told of the grant is told after this. */
static void publish(struct hub_domain *d, uint32_t i)
{
	const struct hub_grant *t = &d->grants[i];

	smp_store_release(&d->table[i], t->state == GRANT_LIVE ? hub_word(t->region->number, t->page, t->dom, t->ro) : 0);
}

static void grant_release(struct hub_domain *d, uint32_t i)
{
	d->grants[i] = (struct hub_grant){.state = GRANT_FREE, .next_free = d->free_grant};
	publish(d, i);
	d->free_grant = i;
	d->ngrants--;
}

int hub_op_grant(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_domain *d = c->dom;
	struct hub_region *g[HV_BATCH_MAX] = {0};
	int rc = 0;

	(void)h;
	for (uint32_t i = 0; i < req->nent; i++) {
		const struct hub_ent *e = &req->ent[i];

		g[i] = i && g[i - 1]->number == e->region ? g[i - 1] : region_of(c, e->region);
		if (!g[i] || e->page >= g[i]->npages || e->ro > 1)
			return -EINVAL;
	}
	while (!rc && d->grants_room - d->ngrants < req->nent)
		rc = grants_grow(d);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < req->nent; i++) {
		uint32_t n = grant_take(d);

		d->grants[n] = (struct hub_grant){
			.region = g[i],
			.page = req->ent[i].page,
			.dom = req->dom,
			.ro = (uint8_t)req->ent[i].ro,
			.state = GRANT_LIVE,
		};
		publish(d, n);
		g[i]->ngrants++;
		r->buf.m.ent[i].gref = n + HUB_GREF_FIRST;
	}
	r->buf.m.nent = req->nent;
	return 0;
}

static struct hub_grant *grant_at(const struct hub_domain *d, uint32_t gref)
{
	if (gref < HUB_GREF_FIRST || gref - HUB_GREF_FIRST >= d->grants_room)
		return NULL;
	return &d->grants[gref - HUB_GREF_FIRST];
}

static int16_t ungrant(struct hub_conn *c, uint32_t gref)
{
	struct hub_grant *t = grant_at(c->dom, gref);

	if (!t || t->state != GRANT_LIVE || t->region->owner != c)
		return -EINVAL;
	if (t->maps)
		return -EBUSY;
	t->region->ngrants--;
	grant_release(c->dom, gref - HUB_GREF_FIRST);
	return 0;
}

int hub_op_ungrant(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	for (uint32_t i = 0; i < req->nent; i++)
		r->buf.m.ent[i] = (struct hub_ent){
			.gref = req->ent[i].gref,
			.status = ungrant(c, req->ent[i].gref),
		};
	r->buf.m.nent = req->nent;
	return 0;
}

void hub_mem_end_frontend(struct hub *h, struct hub_conn *c)
{
	struct hub_domain *d = c->dom;
	struct hub_region *g, *next;

	for (uint32_t i = 0; i < d->grants_room; i++) {
		struct hub_grant *t = &d->grants[i];

		if (t->state != GRANT_LIVE || t->region->owner != c)
			continue;
		t->region->ngrants--;
		t->region = NULL;
		t->state = GRANT_ENDED;
		publish(d, i);
		if (!t->maps)
			grant_release(d, i);
	}
	for (g = LIST_FIRST(&d->regions); g; g = next) {
		next = LIST_NEXT(g, link);
		if (g->owner == c)
			region_end(h, d, g);
	}
}

/* ---- mapping */

static int maps_grow(struct hub_conn *c, uint32_t room)
{
	uint32_t *m = realloc(c->maps, room * sizeof(*m));

	if (!m)
		return -ENOMEM;
	memset(m + c->maps_room, 0, (room - c->maps_room) * sizeof(*m));
	c->maps = m;
	c->maps_room = room;
	return 0;
}

/* May this stub see the page of gref? */
static int16_t judge(const struct hub_conn *c, const struct hub_ent *e)
{
	const struct hub_grant *t = grant_at(c->dom, e->gref);

	if (c->dom->gone || !t || t->state != GRANT_LIVE || e->ro > 1)
		return -EINVAL;
	return t->dom != c->self || (t->ro && !e->ro) ? -EACCES : 0;
}

/* Adds the fd of the region to the reply unless the connection holds it. */
static int16_t send_region(struct hub_conn *c, struct hub_region *g, unsigned ro, struct hub_reply *r)
{
	struct hub_sent *s;

	LIST_FOREACH(s, &g->sent, of_region)
		if (s->conn == c)
			break;
	if (s && s->modes & 1u << ro)
		return 0;
	if (r->nfds == HUB_FDS_MAX)
		return -EAGAIN;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->region = g;
		s->conn = c;
		LIST_INSERT_HEAD(&g->sent, s, of_region);
		LIST_INSERT_HEAD(&c->sent, s, of_conn);
	}
	s->modes |= (uint8_t)(1u << ro);
	r->fds[r->nfds++] = g->fd[ro];
	return 0;
}

static int16_t locate(struct hub_conn *c, const struct hub_ent *e, struct hub_ent *out, struct hub_reply *r)
{
	struct hub_grant *t;
	int16_t rc = judge(c, e);

	if (rc)
		return rc;
	t = grant_at(c->dom, e->gref);
	if (t->maps == UINT32_MAX)
		return -ENOMEM;
	rc = send_region(c, t->region, e->ro, r);
	if (rc)
		return rc;
	out->region = t->region->number;
	out->page = t->page;
	out->npages = t->region->npages;
	return 0;
}

static int answer(struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r, bool map)
{
	if (map && c->maps_room < c->dom->grants_room && maps_grow(c, c->dom->grants_room))
		return -ENOMEM;
	for (uint32_t i = 0; i < req->nent; i++) {
		struct hub_ent *out = &r->buf.m.ent[i];

		*out = (struct hub_ent){.gref = req->ent[i].gref, .ro = req->ent[i].ro};
		out->status = locate(c, &req->ent[i], out, r);
		if (out->status || !map)
			continue;
		grant_at(c->dom, out->gref)->maps++;
		c->maps[out->gref - HUB_GREF_FIRST]++;
	}
	r->buf.m.nent = req->nent;
	return 0;
}

int hub_op_map(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	return answer(c, req, r, true);
}

int hub_op_copy(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	return answer(c, req, r, false);
}

int hub_op_table(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	(void)req;
	r->fds[r->nfds++] = c->dom->table_fd;
	return 0;
}

static void unmap(struct hub_domain *d, uint32_t i, uint32_t times)
{
	struct hub_grant *t = &d->grants[i];

	CHECK(t->maps >= times);
	t->maps -= times;
	if (t->state == GRANT_ENDED && !t->maps)
		grant_release(d, i);
}

int hub_op_unmap(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	(void)h;
	for (uint32_t k = 0; k < req->nent; k++) {
		uint32_t i = req->ent[k].gref - HUB_GREF_FIRST; /* a small gref becomes a huge one */
		bool mapped = i < c->maps_room && c->maps[i];

		r->buf.m.ent[k] = (struct hub_ent){.gref = req->ent[k].gref, .status = mapped ? 0 : -EINVAL};
		if (!mapped)
			continue;
		c->maps[i]--;
		unmap(c->dom, i, 1);
	}
	r->buf.m.nent = req->nent;
	return 0;
}

int hub_op_forget(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r)
{
	struct hub_sent *s, *next;

	(void)h;
	(void)r;
	for (uint32_t i = 0; i < req->nent; i++) {
		for (s = LIST_FIRST(&c->sent); s; s = next) {
			next = LIST_NEXT(s, of_conn);
			if (s->region->number != req->ent[i].region || req->ent[i].ro > 1)
				continue;
			s->modes &= (uint8_t) ~(1u << req->ent[i].ro);
			if (!s->modes)
				sent_end(s);
		}
	}
	return 0;
}

void hub_mem_end_stub(struct hub_conn *c)
{
	for (uint32_t i = 0; i < c->maps_room; i++)
		if (c->maps[i])
			unmap(c->dom, i, c->maps[i]);
	free(c->maps);
	c->maps = NULL;
	c->maps_room = 0;
	while (!LIST_EMPTY(&c->sent))
		sent_end(LIST_FIRST(&c->sent));
}
