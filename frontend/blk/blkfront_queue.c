/* One queue: its ring and port, its polling and its sleep. */
#include "frontend/blk/blkfront_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <xen/io/blkif.h>

static int open_ring(struct blkfront_queue *q)
{
	struct blkfront *f = q->f;
	struct hv_grant g[CONN_RING_PAGES_MAX];
	unsigned n = f->info.ring_pages;
	int rc;

	pthread_mutex_lock(&f->hv_lock);
	rc = hv_alloc(f->hv, n, &q->ring_mem);
	for (unsigned i = 0; !rc && i < n; i++)
		g[i] = (struct hv_grant){ .page = (char *)q->ring_mem + i * BH_PAGE_SIZE };
	if (!rc)
		rc = hv_grant(f->hv, f->back_domid, g, n);
	if (!rc)
		q->ring_granted = n;
	for (unsigned i = 0; i < q->ring_granted; i++)
		q->ring_gref[i] = g[i].gref;
	if (!rc)
		rc = hv_port_alloc(f->hv, f->back_domid, &q->port);
	pthread_mutex_unlock(&f->hv_lock);
	if (!rc)
		fe_ring_init(&q->ring, q->ring_mem, n, f->protocol);
	return rc;
}

/* As many pages as all requests together could use, within bounds, and one that stays zero. */
static int open_pool(struct blkfront_queue *q)
{
	struct blkfront *f = q->f;
	uint32_t per = f->info.max_segments + (f->info.max_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST ? 1 : 0);
	uint32_t want = MIN(f->info.depth * per, BLKFRONT_POOL_MAX);
	int rc = fe_pool_open(&q->pool, f->hv, f->back_domid, &f->hv_lock, want + 1, f->info.persistent);

	if (!rc)
		rc = fe_pool_take(&q->pool, 1, true, &q->zero);
	return rc;
}

int blkfront_queue_open(struct blkfront *f, unsigned index)
{
	struct blkfront_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	f->queue[index] = q;
	q->f = f;
	q->index = index;
	q->waiting.tail = &q->waiting.head;
	q->fua.tail = &q->fua.head;
	q->req = calloc(f->info.depth, sizeof(*q->req));
	rc = q->req ? fe_shadow_open(&q->shadow, f->info.depth) : -ENOMEM;
	if (!rc)
		rc = open_ring(q);
	if (!rc)
		rc = open_pool(q);
	return rc ? rc : fe_sleep_open(&q->sleep, &q->port, 1);
}

static void close_ring(struct blkfront_queue *q)
{
	struct blkfront *f = q->f;

	pthread_mutex_lock(&f->hv_lock);
	if (q->port)
		hv_port_close(q->port);
	if (q->ring_granted)
		hv_ungrant(f->hv, q->ring_gref, q->ring_granted, NULL);
	if (q->ring_mem)
		hv_free(f->hv, q->ring_mem, f->info.ring_pages); /* -EBUSY while mapped: hv_close() ends it */
	pthread_mutex_unlock(&f->hv_lock);
}

void blkfront_queue_close(struct blkfront_queue *q)
{
	if (!q)
		return;
	fe_sleep_close(&q->sleep);
	if (q->pool.npages)
		fe_pool_close(&q->pool);
	close_ring(q);
	fe_shadow_close(&q->shadow);
	free(q->req);
	free(q);
}

void blkfront_queue_kick(struct blkfront_queue *q) { fe_sleep_kick(&q->sleep); }

void blkfront_end(struct blkfront *f, int reason)
{
	if (load_relaxed(&f->ended))
		return;
	store_relaxed(&f->ended, reason);
	for (unsigned i = 0; i < f->nqueues; i++)
		blkfront_queue_kick(f->queue[i]);
}

/* ---- polling ---- */

static int publish(struct blkfront_queue *q)
{
	/* A lost notification is not ours to mend: the other end of the port is gone with its domain. */
	if (fe_ring_publish(&q->ring))
		hv_port_notify(q->port);
	return 0;
}

int blkfront_poll(struct blkfront_queue *q)
{
	struct blkfront *f = q->f;
	int event = fe_sleep_wake(&q->sleep);
	uint64_t before = q->over;
	uint64_t taken = q->rsp_index;
	int rc, ended;

	if (event < 0)
		blkfront_end(f, -EPEER);
	ended = load_relaxed(&f->ended);
	if (!ended) {
		if (load_relaxed(&f->closing))
			blkfront_refuse_waiting(q);
		blkfront_pump(q);
		publish(q);
		rc = blkfront_take_answers(q);
		if (rc < 0) {
			blkfront_end(f, rc);
			ended = rc;
		} else if (q->rsp_index != taken) {
			blkfront_pump(q);
			publish(q);
		}
	}
	if (ended) {
		blkfront_fail_all(q, ended);
		return ended;
	}
	fe_sleep_looked(&q->sleep, event, q->rsp_index != taken);
	return (int)(q->over - before);
}

int blkfront_fd(const struct blkfront_queue *q) { return fe_sleep_fd(&q->sleep); }

int blkfront_arm(struct blkfront_queue *q)
{
	if (fe_sleep_arm(&q->sleep))
		return 1;
	if (load_relaxed(&q->f->ended))
		return q->nios > 0;
	return fe_ring_arm(&q->ring);
}

/* ---- what the user may ask ---- */

struct blkfront_queue *blkfront_get_queue(struct blkfront *f, unsigned index)
{
	return index < f->nqueues ? f->queue[index] : NULL;
}

void blkfront_get_info(const struct blkfront *f, struct blkfront_info *info)
{
	*info = f->info;
	info->size = load_relaxed(&f->size);
}
