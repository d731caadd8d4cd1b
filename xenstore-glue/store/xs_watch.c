#include "xenstore-glue/store/xs_watch.h"

#include "ring/base/check.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void xs_watches_init(struct xs_watches *w, struct xs_store *st, uint16_t domid)
{
	TAILQ_INIT(&w->list);
	w->st = st;
	w->domid = domid;
}

static size_t cost(const struct xs_watch *w) { return sizeof(*w) + strlen(w->path) + strlen(w->token); }

static int absolute(const struct xs_watches *w, const char *path, char out[XS_PATH_SIZE], size_t *strip)
{
	size_t len = strnlen(path, XS_PATH_SIZE);

	*strip = 0;
	if (xs_path_is_special(path)) {
		if (len > XENSTORE_REL_PATH_MAX)
			return -EINVAL;
		memcpy(out, path, len + 1);
		return 0;
	}
	if (xs_path_absolute(out, w->domid, path) < 0)
		return -EINVAL;
	if (path[0] != '/')
		*strip = strlen(out) - len;
	return 0;
}

static struct xs_watch *find(const struct xs_watches *w, const char *abs, const char *token)
{
	struct xs_watch *x;

	TAILQ_FOREACH(x, &w->list, link)
		if (strcmp(x->path, abs) == 0 && strcmp(x->token, token) == 0)
			return x;
	return NULL;
}

int xs_watch_add(struct xs_watches *w, const char *path, const char *token, struct xs_watch **out)
{
	struct xs_dom *d = xs_store_dom(w->st, w->domid);
	size_t strip, plen, tlen = strlen(token) + 1;
	char abs[XS_PATH_SIZE];
	struct xs_watch *x;
	int rc = absolute(w, path, abs, &strip);

	CHECK(d != NULL);
	if (rc < 0)
		return rc;
	if (find(w, abs, token))
		return -EEXIST;
	if (w->domid != 0 && d->watches >= w->st->quota.watches)
		return -E2BIG;
	plen = strlen(abs) + 1;
	if (w->domid != 0 && d->node_bytes + d->held + sizeof(*x) + plen + tlen > w->st->quota.memory)
		return -ENOMEM;
	x = malloc(sizeof(*x) + plen + tlen);
	if (!x)
		return -ENOMEM;
	x->path = memcpy(x + 1, abs, plen);
	x->token = memcpy((char *)(x + 1) + plen, token, tlen);
	x->strip = strip;
	TAILQ_INSERT_TAIL(&w->list, x, link);
	d->watches++;
	d->held += cost(x);
	*out = x;
	return 0;
}

static void drop(struct xs_watches *w, struct xs_watch *x)
{
	struct xs_dom *d = xs_store_dom(w->st, w->domid);

	CHECK(d != NULL && d->watches > 0 && d->held >= cost(x));
	d->watches--;
	d->held -= cost(x);
	TAILQ_REMOVE(&w->list, x, link);
	free(x);
}

int xs_watch_remove(struct xs_watches *w, const char *path, const char *token)
{
	char abs[XS_PATH_SIZE];
	size_t strip;
	struct xs_watch *x;
	int rc = absolute(w, path, abs, &strip);

	if (rc < 0)
		return rc;
	x = find(w, abs, token);
	if (!x)
		return -ENOENT;
	drop(w, x);
	return 0;
}

void xs_watches_drop(struct xs_watches *w)
{
	struct xs_watch *x;

	while ((x = TAILQ_FIRST(&w->list)) != NULL)
		drop(w, x);
}

bool xs_watch_matches(const struct xs_watch *w, const char *path, bool exact)
{
	if (exact || xs_path_is_special(path) || xs_path_is_special(w->path))
		return strcmp(w->path, path) == 0;
	return xs_path_covers(w->path, path);
}

const char *xs_watch_event_path(const struct xs_watch *w, const char *path) { return path + w->strip; }
