#include "xenstore-glue/store/xs_txn.h"

#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>

void xs_txns_init(struct xs_txns *t)
{
	LIST_INIT(&t->list);
	t->last_id = 0;
	t->count = 0;
}

int xs_txn_start(struct xs_txns *t, struct xs_store *st, uint16_t domid, struct xs_txn **out)
{
	struct xs_dom *d = xs_store_dom(st, domid);
	struct xs_txn *x;

	*out = NULL;
	CHECK(d != NULL);
	if (domid != 0 && d->txns >= st->quota.txns)
		return -ENOSPC;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	do
		t->last_id++;
	while (t->last_id == 0 || xs_txn_find(t, t->last_id));
	x->id = t->last_id;
	xs_change_init(&x->ch, st, domid);
	x->ch.track = true;
	st->gen++;
	LIST_INSERT_HEAD(&t->list, x, link);
	t->count++;
	d->txns++;
	*out = x;
	return 0;
}

struct xs_txn *xs_txn_find(const struct xs_txns *t, uint32_t id)
{
	struct xs_txn *x;

	LIST_FOREACH(x, &t->list, link)
		if (x->id == id)
			return x;
	return NULL;
}

void xs_txn_take(struct xs_txns *t, struct xs_txn *x)
{
	struct xs_dom *d = xs_store_dom(x->ch.st, x->ch.domid);

	CHECK(d != NULL && d->txns > 0 && t->count > 0);
	LIST_REMOVE(x, link);
	t->count--;
	d->txns--;
}

void xs_txn_free(struct xs_txn *x)
{
	xs_change_drop(&x->ch);
	free(x);
}

void xs_txns_drop(struct xs_txns *t)
{
	struct xs_txn *x;

	while ((x = LIST_FIRST(&t->list)) != NULL) {
		xs_txn_take(t, x);
		xs_txn_free(x);
	}
}
