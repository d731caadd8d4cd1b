/* Watches: a slot each, named by its token "slot:serial", asked for again on every connection. */
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/client/xs_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS NS_PER_S

static void ask(struct xsc *xs, struct xsc_slot *s);

static void retry_due(struct loop_timer *t)
{
	struct xsc *xs = CONTAINER_OF(t, struct xsc, rewatch);

	xsc_enter(xs);
	xsc_watches_up(xs);
	xsc_leave(xs);
}

static void asked(void *arg, int rc, const char *data, size_t len)
{
	struct xsc_slot *s = arg;

	(void)data, (void)len;
	if (rc == 0 || rc == -EEXIST || rc == -ECONNRESET || !s->w)
		return;
	log_peer("store: watch on %s refused (%s), trying again", s->w->path, err_str(rc));
	s->registered = false;
	loop_timer_start(s->xs->loop, &s->xs->rewatch, clock_now() + RETRY_NS, retry_due);
}

static void ask(struct xsc *xs, struct xsc_slot *s)
{
	char token[32];
	int n = snprintf(token, sizeof(token), "%u:%u", s->w->slot, s->serial);

	s->registered = true;
	xsc_submit_part(xs, &(struct xsc_op){.type = XS_WATCH,
					     .path = s->w->path,
					     .data = token,
					     .len = (size_t)n + 1,
					     .fn = asked,
					     .arg = s});
}

void xsc_watches_up(struct xsc *xs)
{
	if (!xs->up)
		return;
	for (uint32_t i = 0; i < xs->nslots; i++)
		if (xs->slots[i]->w && !xs->slots[i]->registered)
			ask(xs, xs->slots[i]);
}

void xsc_watches_lost(struct xsc *xs)
{
	for (uint32_t i = 0; i < xs->nslots; i++)
		xs->slots[i]->registered = false;
}

void xsc_watch_event(struct xsc *xs, const char *path, const char *token)
{
	char number[16];
	const char *colon = strchr(token, ':');
	uint32_t slot, serial;
	struct xsc_slot *s;

	if (!colon || (size_t)(colon - token) >= sizeof(number))
		return;
	memcpy(number, token, (size_t)(colon - token));
	number[colon - token] = '\0';
	if (!xs_parse_u32(number, UINT32_MAX, &slot) || !xs_parse_u32(colon + 1, UINT32_MAX, &serial))
		return;
	if (slot >= xs->nslots)
		return;
	s = xs->slots[slot];
	/* An event may still be under way when its watch has ended. */
	if (s->w && s->serial == serial)
		s->w->fn(s->w, path);
}

static struct xsc_slot *free_slot(struct xsc *xs, uint32_t *slot)
{
	struct xsc_slot **more;

	for (*slot = 0; *slot < xs->nslots; ++*slot)
		if (!xs->slots[*slot]->w)
			return xs->slots[*slot];
	if (xs->nslots == XSC_WATCHES_MAX)
		return NULL;
	more = reallocarray(xs->slots, xs->nslots + 1, sizeof(*more));
	CHECK(more);
	xs->slots = more;
	more[xs->nslots] = calloc(1, sizeof(**more));
	CHECK(more[xs->nslots]);
	more[xs->nslots]->xs = xs;
	return more[xs->nslots++];
}

int xsc_watch(struct xsc *xs, struct xsc_watch *w, const char *path, void (*fn)(struct xsc_watch *w, const char *path))
{
	char absolute[XS_PATH_SIZE];
	struct xsc_slot *s;
	uint32_t slot;

	CHECK(!w->active && !xs->closed);
	if (strlen(path) >= sizeof(w->path) || (!xs_path_is_special(path) && xs_path_absolute(absolute, 0, path) < 0))
		return -EINVAL;
	s = free_slot(xs, &slot);
	if (!s)
		return -ENOSPC;
	strcpy(w->path, path);
	w->fn = fn;
	w->slot = slot;
	w->serial = s->serial = ++xs->next_serial;
	w->active = true;
	s->w = w;
	s->registered = false;
	if (xs->up)
		ask(xs, s);
	return 0;
}

void xsc_unwatch(struct xsc *xs, struct xsc_watch *w)
{
	char token[32];
	struct xsc_slot *s;
	int n;

	if (!w->active)
		return;
	s = xs->slots[w->slot];
	CHECK(s->w == w);
	w->active = false;
	s->w = NULL;
	n = snprintf(token, sizeof(token), "%u:%u", w->slot, s->serial);
	if (xs->up && s->registered)
		xsc_submit_part(xs, &(struct xsc_op){
					    .type = XS_UNWATCH, .path = w->path, .data = token, .len = (size_t)n + 1});
}
