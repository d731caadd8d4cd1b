/* Events: who is told of which change. */
#include "xenstore-glue/store/srv_priv.h"

#include <string.h>

static void fire_one(struct srv_conn *c, const struct xs_change *ch, const struct xs_delta *d)
{
	struct xs_cred cred = xs_store_cred(c->s->st, c->domid);
	bool asked = false;
	struct xs_watch *w;

	TAILQ_FOREACH(w, &c->watches.list, link) {
		if (!xs_watch_matches(w, d->slot.path, d->exact))
			continue;
		if (!asked && !xs_change_may_see(ch, d, &cred))
			return;
		asked = true;
		srv_event(c, xs_watch_event_path(w, d->slot.path), w->token, true);
		if (c->dead)
			return; /* cut off, its watches with it */
	}
}

void srv_fire_change(struct xs_server *s, const struct xs_change *ch)
{
	const struct xs_delta *d;
	struct srv_conn *c;

	STAILQ_FOREACH(d, &ch->fires, fire_link)
		TAILQ_FOREACH(c, &s->conns, link)
			if (!c->dead)
				fire_one(c, ch, d);
}

void srv_fire_special(struct xs_server *s, const char *name)
{
	struct xs_node *n = xs_store_get(s->st, name, strlen(name));
	struct srv_conn *c;
	struct xs_watch *w;

	TAILQ_FOREACH(c, &s->conns, link) {
		struct xs_cred cred = xs_store_cred(s->st, c->domid);

		if (c->dead || !n || !(xs_perm_may(&cred, n->perms, n->nperms) & XS_MAY_READ))
			continue;
		TAILQ_FOREACH(w, &c->watches.list, link) {
			if (xs_watch_matches(w, name, true))
				srv_event(c, name, w->token, true);
			if (c->dead)
				break;
		}
	}
}
