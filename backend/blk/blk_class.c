#include "backend/blk/blk_class.h"

#include "backend/blk/blkback.h"
#include "backend/engine/engine.h"
#include "recovery/journal/jrnl_fmt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/io/blkif.h>

struct be_device {
	struct engine *engine;
	struct blkback *back;
	void (*event)(void *arg, enum be_event e, uint64_t value, const char *text);
	void *event_arg;
};

static_assert(BE_BUSY == (int)BLKBACK_BUSY && BE_POLL_FENCE == (int)BLKBACK_POLL_FENCE && BE_HALTED == (int)BLKBACK_HALTED,
	      "a turn's verdict is passed on as it is");

static uint32_t slots(const struct conn_id *c) { return __RD32((c->ring_pages * BH_PAGE_SIZE - 64) / JRNL_RAW); }

static uint64_t journal_bytes(const struct conn_id *c)
{
	uint32_t n = slots(c);

	return n && n <= JRNL_SLOTS_MAX ? jrnl_file_bytes(n, c->nqueues) : 0;
}

static struct engine_open open_of(const struct stub_dev *sd)
{
	return (struct engine_open){.spec = sd->spec,
				    .read_only = sd->read_only != 0,
				    .fd = sd->image_fd,
				    .want_dev = sd->want_dev,
				    .want_ino = sd->want_ino,
				    .fence_base = sd->fence_base};
}

static int blk_open(const struct stub_dev *sd, struct be_device **out, char *err, size_t size)
{
	struct engine_open o = open_of(sd);
	struct be_device *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return -ENOMEM;
	o.queues = sd->conn.nqueues;
	o.depth = slots(&sd->conn);
	rc = engine_open(&o, &d->engine, err, size);
	if (rc)
		free(d);
	else
		*out = d;
	return rc;
}

static void on_event(void *dev, enum blkback_event e, uint64_t value, const char *text)
{
	static const enum be_event as[] = {
		[BLKBACK_FENCING] = BE_FENCING,
		[BLKBACK_FENCED] = BE_FENCED,
		[BLKBACK_BROKEN_RING] = BE_BROKEN_RING,
		[BLKBACK_BROKEN_JOURNAL] = BE_BROKEN_JOURNAL,
		[BLKBACK_POISON] = BE_POISON,
	};
	struct be_device *d = dev;

	d->event(d->event_arg, as[e], value, text);
}

/* All of the journal but its lists, which are most of it and seldom used: each page mapped costs at the start and at the death. Best
 * effort. */
static void populate(const struct be_prepare *p)
{
	uint32_t n = slots(p->conn);

	for (uint32_t q = 0; q < p->conn->nqueues; q++) {
		uint64_t at = q ? jrnl_queue_offset(n, q) : 0, end = jrnl_queue_offset(n, q) + JRNL_PAGE + n * sizeof(struct jrnl_slot);

		at -= at % BH_PAGE_SIZE;
		madvise((char *)p->journal + at, end - at, MADV_POPULATE_WRITE);
	}
}

static int prepare(struct be_device *d, const struct be_prepare *p)
{
	struct blkback_open o = {.conn = p->conn,
				 .journal = p->journal,
				 .journal_bytes = p->journal_bytes,
				 .hv = p->hv,
				 .engine = d->engine,
				 .event = on_event,
				 .event_arg = d};

	populate(p);
	memcpy(o.ring, p->ring, sizeof(o.ring));
	memcpy(o.port, p->port, sizeof(o.port));
	d->event = p->event;
	d->event_arg = p->event_arg;
	return blkback_prepare(&o, &d->back);
}

static int resize(struct be_device *d, uint64_t *sectors)
{
	int rc = engine_resize(d->engine);

	*sectors = d->engine->info.sectors;
	return MIN(rc, 0);
}

static int start(struct be_device *d, bool fresh, bool own_fault, struct be_started *out)
{
	struct blkback_started s = {0};
	int rc = blkback_start(d->back, fresh ? BLKBACK_FRESH : BLKBACK_RESUME, own_fault, &s);

	*out = (struct be_started){.generation = s.generation, .reanswered = s.reanswered, .redo = s.redo};
	return rc;
}

static struct blkback_queue *of(struct be_queue *q) { return (struct blkback_queue *)q; }
static struct be_queue *queue(struct be_device *d, unsigned i) { return (struct be_queue *)blkback_get_queue(d->back, i); }
static unsigned turn(struct be_queue *q, unsigned budget) { return blkback_turn(of(q), budget); }
static int arm(struct be_queue *q) { return blkback_arm(of(q)); }
static int storage_fd(struct be_queue *q, short *events UNUSED) { return blkback_engine_fd(of(q)); }
static void awake(struct be_queue *q) { blkback_awake(of(q)); }
static void asleep(struct be_queue *q) { blkback_asleep(of(q)); }
static void drain(struct be_device *d) { blkback_drain(d->back); }
static int drained(struct be_queue *q) { return blkback_drained(of(q)); }

static int probe_open(const struct engine_open *o, struct stub_probe *out, char *err, size_t size)
{
	struct engine_info i;
	int rc = engine_probe(o, &i, err, size);

	if (rc)
		return rc;
	*out = (struct stub_probe){.sectors = i.sectors,
				   .sector_size = i.sector_size,
				   .physical_size = i.physical_size,
				   .discard_granularity = i.discard_granularity,
				   .discard_alignment = i.discard_alignment,
				   .flush = i.flush,
				   .discard = i.discard,
				   .secure_discard = i.secure_discard,
				   .read_only = i.read_only,
				   .removable = i.removable};
	return 0;
}

static int probe(const struct stub_dev *sd, struct stub_probe *out, char *err, size_t size)
{
	const struct engine_open o = open_of(sd);

	return probe_open(&o, out, err, size);
}

int blk_probe_spec(const char *spec, struct stub_probe *out, char *err, size_t size)
{
	struct engine_open o = {.spec = spec, .fd = -1, .fence_base = ENGINE_FENCE_BASE};
	int rc = probe_open(&o, out, err, size);

	if (rc != -EACCES && rc != -EPERM && rc != -EROFS)
		return rc;
	o.read_only = true; /* what the caller may only read can still be described */
	return probe_open(&o, out, err, size);
}

const struct be_class blk_class = {
	.type = CONN_VBD,
	.journal_bytes = journal_bytes,
	.open = blk_open,
	.prepare = prepare,
	.resize = resize,
	.start = start,
	.queue = queue,
	.turn = turn,
	.arm = arm,
	.storage_fd = storage_fd,
	.awake = awake,
	.asleep = asleep,
	.drain = drain,
	.drained = drained,
	.probe = probe,
};
