/* Life of a block frontend: what is wanted, what is offered, open and close. */
#include "frontend/blk/blkfront_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/blkif.h>

#define TIMEOUT_NS (10 * NS_PER_S)

static unsigned floor_pow2(unsigned n)
{
	while (!IS_POW2(n))
		n &= n - 1;
	return n;
}

void blkfront_choose(struct blkfront *f, const struct blkfront_open *o, const struct vbd_offer *offer)
{
	unsigned queues = MAX(1u, MIN(o->queues ? o->queues : 1, MAX(1u, offer->max_queues)));
	unsigned offered = 1u << MIN(offer->max_ring_order, 4u);
	unsigned pages = MIN(o->ring_pages ? o->ring_pages : CONN_RING_PAGES_MAX, offered);
	unsigned segs = o->no_indirect ? 0 : MIN(offer->max_indirect, BLKFRONT_SEGS_MAX);

	f->info = (struct blkfront_info){
		.size = offer->sectors * 512,
		.sector_size = offer->sector_size,
		.physical_size = offer->physical_size,
		.max_segments = MAX(segs, (unsigned)BLKIF_MAX_SEGMENTS_PER_REQUEST),
		.discard_granularity = offer->discard_granularity,
		.queues = MIN(queues, CONN_QUEUES_MAX),
		.ring_pages = floor_pow2(MAX(pages, 1u)),
		.read_only = offer->info & VDISK_READONLY,
		.flush = offer->flush,
		.barrier = offer->barrier,
		.discard = offer->discard,
		.secure_discard = offer->discard && offer->discard_secure,
		.persistent = offer->persistent && !o->no_persistent,
	};
	f->info.depth = blkif_ring_entries(f->info.ring_pages, blkif_abi(f->protocol));
	store_relaxed(&f->size, f->info.size);
}

static int check_open(struct blkfront *f, const struct blkfront_open *o, char *err, size_t size)
{
	int rc = -EINVAL;

	if (!o->domain || !o->vdev)
		snprintf(err, size, "a domain and a device are needed");
	else if (vbd_devid(o->vdev, &f->devid))
		snprintf(err, size, "%s is no device name (xvda, xvdb1, 51712)", o->vdev);
	else if (o->queues > CONN_QUEUES_MAX)
		snprintf(err, size, "%u queues: at most %u", o->queues, CONN_QUEUES_MAX);
	else if (o->ring_pages && (!IS_POW2(o->ring_pages) || o->ring_pages > CONN_RING_PAGES_MAX))
		snprintf(err, size, "%u ring pages: 1, 2, 4, 8 or 16", o->ring_pages);
	else if (o->protocol > CONN_X86_64)
		snprintf(err, size, "unknown protocol %u", o->protocol);
	else
		rc = 0;
	f->protocol = o->protocol ? (enum conn_protocol)o->protocol : CONN_NATIVE;
	return rc;
}

static void destroy(struct blkfront *f)
{
	fe_xs_close(f->xs);
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++)
		blkfront_queue_close(f->queue[i]);
	hv_close(f->hv);
	pthread_mutex_destroy(&f->hv_lock);
	free(f);
}

/* Puts "vm NAME, xvda: " before the line. */
static void name_device(const struct blkfront_open *o, char *err, size_t size)
{
	char line[256];

	snprintf(line, sizeof(line), "%s", err);
	snprintf(err, size, "vm %s, device %s: %s", o->domain ? o->domain : "?", o->vdev ? o->vdev : "?", line);
}

static int open_xs(struct blkfront *f, char *err, size_t size)
{
	char path[XS_PATH_SIZE];
	struct fe_xs_cfg cfg = { .hv = f->hv, .hv_lock = &f->hv_lock, .path = path, .ops = &blkfront_xs_ops, .dev = f };

	xs_path_frontend(path, hv_domid(f->hv), "vbd", f->devid);
	return fe_xs_open(&cfg, &f->xs, err, size);
}

int blkfront_open(const struct blkfront_open *o, struct blkfront **out, char *err, size_t size)
{
	uint64_t deadline = clock_now() + (o->timeout_ns ? o->timeout_ns : TIMEOUT_NS);
	struct blkfront *f = calloc(1, sizeof(*f));
	int rc;

	*out = NULL;
	if (!f) {
		snprintf(err, size, "out of memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&f->hv_lock, NULL);
	f->observer = o->observer;
	f->wanted = o;
	rc = check_open(f, o, err, size);
	if (!rc)
		rc = fe_join(o->provider, o->runtime_dir, o->domain, &f->hv, err, size);
	if (!rc)
		rc = open_xs(f, err, size);
	if (!rc)
		rc = fe_xs_connect(f->xs, deadline, err, size);
	if (rc) {
		name_device(o, err, size);
		destroy(f);
		return rc;
	}
	f->wanted = NULL;
	*out = f;
	return 0;
}

int blkfront_check(const struct blkfront_open *o, char *err, size_t size)
{
	struct blkfront f = { 0 };
	int rc = check_open(&f, o, err, size);

	if (!rc)
		rc = fe_join(o->provider, o->runtime_dir, o->domain, &f.hv, err, size);
	if (rc)
		name_device(o, err, size);
	hv_close(f.hv);
	return rc;
}

void blkfront_cancel(struct blkfront *f) { blkfront_end(f, -ESHUTDOWN); }

void blkfront_close(struct blkfront *f)
{
	if (!f)
		return;
	blkfront_end(f, -ESHUTDOWN);
	for (unsigned i = 0; i < f->nqueues; i++)
		blkfront_fail_all(f->queue[i], -ESHUTDOWN);
	destroy(f);
}
