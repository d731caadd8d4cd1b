/* The device's keys, for frontend/core/fe_xs.h. */
#include "frontend/blk/blkfront_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/err.h"

#include <errno.h>

static int make_queues(struct blkfront *f)
{
	for (unsigned i = 0; i < f->info.queues; i++) {
		int rc = blkfront_queue_open(f, i);

		f->nqueues = i + 1;
		if (rc)
			return rc;
	}
	return 0;
}

static void drop_queues(struct blkfront *f)
{
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++) {
		blkfront_queue_close(f->queue[i]);
		f->queue[i] = NULL;
	}
	f->nqueues = 0;
}

static void make_ask(const struct blkfront *f, struct vbd_ask *ask)
{
	*ask = (struct vbd_ask){ .protocol = f->protocol, .nqueues = f->nqueues, .ring_pages = f->info.ring_pages };
	ask->persistent = f->info.persistent;
	for (unsigned i = 0; i < f->nqueues; i++) {
		ask->q[i].evtchn = hv_port_number(f->queue[i]->port);
		for (unsigned p = 0; p < f->info.ring_pages; p++)
			ask->q[i].gref[p] = f->queue[i]->ring_gref[p];
	}
}

static int prepare(void *dev, hv_domid_t back_domid, const struct xs_kvs *own UNUSED, const struct xs_kvs *peer, struct xs_kvs *keys,
		   char *err, size_t size)
{
	struct blkfront *f = dev;
	struct vbd_offer offer;
	struct vbd_ask ask;
	int rc;

	if (!peer || vbd_offer_read(peer, &offer, err, size))
		return -EPEER;
	f->back_domid = back_domid;
	drop_queues(f);
	blkfront_choose(f, f->wanted, &offer);
	rc = make_queues(f);
	if (rc)
		return rc;
	make_ask(f, &ask);
	return vbd_ask_write(&ask, keys);
}

/* Linux's frontend, too, reads sizes again whenever the backend says Connected. */
static void changed(void *dev, const struct xs_kvs *peer)
{
	struct blkfront *f = dev;
	struct vbd_offer offer;
	char err[160];

	if (peer && vbd_offer_read(peer, &offer, err, sizeof(err)) == 0)
		store_relaxed(&f->size, offer.sectors * 512);
}

static void closing(void *dev)
{
	struct blkfront *f = dev;

	store_relaxed(&f->closing, 1);
	for (unsigned i = 0; i < f->nqueues; i++)
		blkfront_queue_kick(f->queue[i]);
}

static bool quiet(void *dev)
{
	const struct blkfront *f = dev;

	for (unsigned i = 0; i < f->nqueues; i++) {
		if (load_relaxed(&f->queue[i]->busy))
			return false;
	}
	return true;
}

static void ended(void *dev) { blkfront_end(dev, -ESHUTDOWN); }

const struct fe_xs_ops blkfront_xs_ops = { .prepare = prepare, .changed = changed, .closing = closing, .quiet = quiet, .ended = ended };
