/* xs_change.h - a set of changes that happens as a whole or not at all: one request, or one transaction.
 *
 * It lies over the tree: what was changed in it is seen through it, all else is the tree's. A transaction also remembers
 * each version that it has read; a commit finds a conflict when the tree has another version by then.
 * Lifetime: init, any number of get/put/rm/fire, commit or not, drop. After the commit the fire list is still there, with
 * the versions before and after. Threads: one. Pure but for the recorder.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_CHANGE_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_CHANGE_H

#include "xenstore-glue/store/xs_store.h"

#include <sys/queue.h>

struct xs_delta {
	struct xs_slot slot;
	STAILQ_ENTRY(xs_delta) link, fire_link;
	struct xs_node *seen;	/* in the tree at the first access, or NULL */
	struct xs_node *now;	/* as the change has it, or NULL */
	struct xs_entry *fresh; /* for the tree, if the path is new to it */
	bool modified;
	bool fire;
	bool exact; /* only for watches of this very path: removed with its parent */
};

enum xs_dom_op { XS_DOM_KEEP, XS_DOM_SET, XS_DOM_RELEASE };

struct xs_change {
	struct xs_store *st;
	struct xs_table table;
	STAILQ_HEAD(, xs_delta) deltas; /* in order of first access */
	STAILQ_HEAD(, xs_delta) fires;	/* in order of the operations; each path once */
	bool track;			/* a transaction: remember what was read */
	uint16_t domid;			/* who pays; 0: nobody, no quota */
	int failed;			/* what made it impossible to commit, or 0 */
	unsigned modifications;		/* counts puts and rms */
	int32_t owned;			/* nodes that domid gained or lost in it */
	uint64_t held;			/* bytes charged to domid */
	enum xs_dom_op dom_op;
	struct xs_dom *dom; /* XS_DOM_SET: taken over at commit */
	uint16_t released;
};

void xs_change_init(struct xs_change *ch, struct xs_store *st, uint16_t domid);
/* Frees everything; the domain that paid must still exist. */
void xs_change_drop(struct xs_change *ch);

/* It can't be committed any more, for the first reason given. */
void xs_change_fail(struct xs_change *ch, int rc);

/* The version of path as the change has it, borrowed until the next put or rm of that path. 0, -ENOENT; -ENOSPC or
 * -ENOMEM (only when reads are remembered; the transaction has then failed). */
int xs_change_get(struct xs_change *ch, const char *path, size_t len, struct xs_node **out);
/* Puts a new version in; takes the reference over, also on failure. NULL is -ENOMEM. */
int xs_change_put(struct xs_change *ch, const char *path, struct xs_node *node);
int xs_change_rm(struct xs_change *ch, const char *path);
/* An event for a path that was put or removed here. A wider one replaces an exact one. */
void xs_change_fire(struct xs_change *ch, const char *path, bool exact);

/* The domain is set (introduced, or has a new target) / released with this commit. 0 or -ENOMEM. */
int xs_change_set_dom(struct xs_change *ch, uint16_t domid, uint16_t target, bool by_hub);
void xs_change_release_dom(struct xs_change *ch, uint16_t domid);

/* Records and applies. 0; -EAGAIN: conflict; -ENOSPC, -ENOMEM: quota; what the recorder says; what made it fail before.
 * Unless 0, the store is unchanged. */
int xs_change_commit(struct xs_change *ch);

/* May c learn of the change of d? It must be able to read it before, after, or its parent. After the commit. */
bool xs_change_may_see(const struct xs_change *ch, const struct xs_delta *d, const struct xs_cred *c);

#endif
