/* xs_watch.h - the watches of one connection: registering, matching, and the path an event carries. Pure. Threads: one.
 *
 * A watch of a path sees that path and all below it; "@..." names match as they are. One that was registered by a relative
 * path gets relative paths in its events.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_WATCH_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_WATCH_H

#include "xenstore-glue/store/xs_store.h"

#include <sys/queue.h>

struct xs_watch {
	TAILQ_ENTRY(xs_watch) link;
	const char *path; /* absolute, or "@..." */
	const char *token;
	size_t strip; /* bytes of path that events leave out */
};

struct xs_watches {
	TAILQ_HEAD(, xs_watch) list; /* oldest first, the order of events of one change */
	struct xs_store *st;
	uint16_t domid; /* whose quota they count in */
};

void xs_watches_init(struct xs_watches *w, struct xs_store *st, uint16_t domid);
/* 0; -EINVAL: path; -EEXIST: same path and token; -E2BIG: quota; -ENOMEM. */
int xs_watch_add(struct xs_watches *w, const char *path, const char *token, struct xs_watch **out);
/* 0, -ENOENT, -EINVAL. */
int xs_watch_remove(struct xs_watches *w, const char *path, const char *token);
void xs_watches_drop(struct xs_watches *w);

/* exact: only a watch of this very path is meant. */
bool xs_watch_matches(const struct xs_watch *w, const char *path, bool exact);
/* What an event of a matching path calls it. */
const char *xs_watch_event_path(const struct xs_watch *w, const char *path);

#endif
