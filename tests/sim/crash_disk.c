#include "tests/sim/crash_disk.h"

#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 64 /* of a sector */

struct disk_queue {
	struct engine_queue q;
	unsigned index;
	struct engine_reqs done;
	bool armed, event;
};

struct crash_engine {
	struct engine e;
	struct crash_disk *d;
	uint64_t generation;
	unsigned told; /* of so many failures */
	struct disk_queue queue[4];
};

static struct crash_engine *to_engine(struct engine *e) { return CONTAINER_OF(e, struct crash_engine, e); }
static struct disk_queue *to_queue(struct engine_queue *q) { return CONTAINER_OF(q, struct disk_queue, q); }

static bool in_flight(const struct crash_disk *d, uint64_t below)
{
	for (unsigned i = 0; i < d->nops; i++)
		if (d->op[i].used && d->op[i].generation < below)
			return true;
	return false;
}

static bool in_flight_of(const struct crash_disk *d, uint64_t generation)
{
	for (unsigned i = 0; i < d->nops; i++)
		if (d->op[i].used && d->op[i].generation == generation)
			return true;
	return false;
}

/* The rule that is missing: had all generations one lock byte, who holds it would say nothing of those that never got it. */
static int one_byte_poll(struct crash_disk *d, uint64_t generation)
{
	if (d->byte != generation && in_flight_of(d, d->byte))
		return 0;
	d->byte = generation;
	return 1;
}

static int disk_own(struct engine *e, uint64_t g, bool fresh)
{
	struct crash_engine *s = to_engine(e);

	if (fresh && in_flight(s->d, UINT64_MAX))
		return -EAGAIN;
	if (!fresh && g <= s->d->owner)
		crash_violation(s->d->check, "ONE-WRITER", "generation %llu owns the disk after %llu", (unsigned long long)g,
			      (unsigned long long)s->d->owner);
	s->d->owner = s->generation = g;
	if (MUTANT(ONE_FENCE_BYTE))
		one_byte_poll(s->d, g);
	return 0;
}

static int disk_fence_poll(struct engine *e)
{
	struct crash_engine *s = to_engine(e);

	if (MUTANT(ONE_FENCE_BYTE))
		return one_byte_poll(s->d, s->generation);
	return !in_flight(s->d, s->generation);
}

static int disk_resize(struct engine *e, uint64_t *sectors) { return (void)e, (void)sectors, 0; }
static void disk_close(struct engine *e) { free(to_engine(e)); }
static void disk_queue_close(struct engine_queue *q) { (void)q; }
static int disk_event_fd(struct engine_queue *q) { return (void)q, 0; }

static int disk_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct disk_queue *q = &to_engine(e)->queue[index];

	q->index = index;
	STAILQ_INIT(&q->done);
	*out = &q->q;
	return 0;
}

static bool kills(const struct crash_disk *d, const struct engine_req *r)
{
	int at = d->check->killer;

	return at && r->op == ENGINE_WRITE && (unsigned)at >= r->off / 512 && (unsigned)at < (r->off + r->len) / 512;
}

/* The first discard of that range that waits for its answer: enough where two alike are not in flight together. */
static unsigned likely_whose(const struct crash_check *c, const struct crash_op *o)
{
	unsigned i = 0;

	while (i < c->nreqs && !(c->req[i].op == 'D' && c->req[i].posted && !c->req[i].answered && c->req[i].first == o->first &&
				 c->req[i].n == o->n))
		i++;
	return i;
}

static void disk_submit(struct engine_queue *q, struct engine_req *r)
{
	struct crash_engine *s = to_engine(q->engine);
	struct crash_disk *d = s->d;
	unsigned i = 0;

	d->point();
	if (kills(d, r))
		d->poisoned();
	if (!s->generation)
		crash_violation(d->check, "ONE-WRITER", "a request before the disk was owned");
	if (r->iov && d->is_guests && d->is_guests(r->iov->iov_base, r->iov->iov_len))
		crash_violation(d->check, "OWN-BUFFERS", "the engine is given memory of the guest");
	while (i < d->nops && d->op[i].used)
		i++;
	d->nops = MAX(d->nops, i + 1);
	CHECK(i < DISK_OPS_MAX && (r->op == ENGINE_FLUSH || r->op == ENGINE_DISCARD || r->iovcnt == 1));
	d->op[i] = (struct crash_op){.used = true, .op = r->op, .by = s, .queue = to_queue(q)->index, .generation = s->generation,
				   .r = r, .data = r->iov ? r->iov->iov_base : NULL, .first = (unsigned)(r->off / 512),
				   .n = (unsigned)(r->len / 512)};
	if (r->op == ENGINE_DISCARD)
		d->op[i].whose = d->whose ? d->whose(&s->e, to_queue(q)->index, r) : likely_whose(d->check, &d->op[i]);
	d->point();
}

static void finish(struct crash_op *o, int result)
{
	struct disk_queue *q = &o->by->queue[o->queue];

	o->used = false;
	while (o->by->d->nops && !o->by->d->op[o->by->d->nops - 1].used)
		o->by->d->nops--;
	if (o->dead)
		return;
	o->r->result = result;
	STAILQ_INSERT_TAIL(&q->done, o->r, link);
	if (q->armed)
		q->event = true;
	q->armed = false;
}

static bool writes(const struct crash_op *o) { return o->op == ENGINE_WRITE || o->op == ENGINE_DISCARD; }

static void land_stamp(struct crash_disk *d, const struct crash_op *o, unsigned s, uint64_t stamp)
{
	CHECK(d->log.n < DISK_LOG_MAX);
	d->sector[s] = stamp;
	d->log.at[d->log.n++] = (struct crash_landing){.sector = (uint16_t)s, .stamp = stamp, .generation = o->generation};
	crash_check_landing(d->check);
}

/* Sectors of the units of o that it does not write itself; where their n-th is kept. */
static unsigned edges(const struct crash_disk *d, const struct crash_op *o, unsigned *sector)
{
	unsigned from = o->first / d->unit * d->unit, to = (o->first + o->n + d->unit - 1) / d->unit * d->unit, n = 0;

	if (d->unit == 1 || o->op != ENGINE_WRITE)
		return 0;
	for (unsigned s = from; s < to; s++)
		if (s < o->first || s >= o->first + o->n)
			sector[n++] = s;
	return n;
}

static void read_edges(struct crash_disk *d, struct crash_op *o)
{
	unsigned sector[2 * DISK_UNIT_MAX], n = edges(d, o, sector);

	for (unsigned i = 0; i < n; i++)
		o->edge[i] = d->sector[sector[i]];
}

static void write_edges(struct crash_disk *d, struct crash_op *o)
{
	unsigned sector[2 * DISK_UNIT_MAX], n = edges(d, o, sector);

	for (unsigned i = 0; i < n; i++)
		if (d->sector[sector[i]] != o->edge[i])
			land_stamp(d, o, sector[i], o->edge[i]);
}

static void land(struct crash_disk *d, struct crash_op *o)
{
	unsigned s = o->first + o->pos;
	const uint64_t *from = o->op == ENGINE_WRITE ? o->data + (size_t)o->pos * WORDS : NULL;
	uint64_t stamp = from ? from[0] : crash_stamp_of(o->whose, o->pos);

	for (unsigned i = 1; from && i < WORDS; i++)
		if (from[i] != stamp)
			crash_violation(d->check, "DATA", "sector %u was written half old, half new", s);
	for (unsigned i = 0; i < d->nops; i++) {
		const struct crash_op *p = &d->op[i];

		if (p->used && p->kicked && p->generation > o->generation && writes(p) && s >= p->first && s < p->first + p->n)
			crash_violation(d->check, "ONE-WRITER", "generation %llu wrote sector %u while generation %llu did",
				      (unsigned long long)o->generation, s, (unsigned long long)p->generation);
	}
	land_stamp(d, o, s, stamp);
}

static int flush(struct crash_disk *d, const struct crash_op *o)
{
	bool fails = d->fail_flush && --d->fail_flush == 0;

	for (unsigned i = 0; i < o->flush_from; i++) {
		struct crash_landing *l = &d->log.at[i];

		if (fails && !l->durable)
			l->lost = true; /* as the kernel's page cache does: clean, and never written */
		else if (!l->lost)
			l->durable = true;
	}
	if (fails)
		d->check->flush_failed = true;
	d->failures += fails;
	fails = o->by->told != d->failures;
	o->by->told = d->failures;
	return fails ? -EIO : 0;
}

/* A step of what is due: some of its sectors. */
static void progress(struct crash_disk *d, struct crash_op *o)
{
	unsigned steps = 1 + crash_below(d->rng, o->n);

	if (o->op == ENGINE_FLUSH) {
		finish(o, flush(d, o));
		return;
	}
	for (; steps && o->pos < o->n; steps--, o->pos++) {
		if ((int)(o->first + o->pos) == d->check->bad_sector) {
			finish(o, -EIO);
			return;
		}
		if (writes(o))
			land(d, o);
		for (unsigned i = 0; o->op == ENGINE_READ && i < WORDS; i++)
			o->data[(size_t)o->pos * WORDS + i] = d->sector[o->first + o->pos];
	}
	if (o->pos < o->n)
		return;
	write_edges(d, o);
	finish(o, 0);
}

static void disk_kick(struct engine_queue *q)
{
	struct crash_engine *s = to_engine(q->engine);
	struct crash_disk *d = s->d;

	for (unsigned i = 0; i < d->nops; i++) {
		struct crash_op *o = &d->op[i];

		if (!o->used || o->kicked || o->by != s || o->queue != to_queue(q)->index)
			continue;
		o->kicked = true;
		o->due = d->time + crash_below(d->rng, d->delay + 1);
		o->flush_from = d->log.n;
		read_edges(d, o);
		if (crash_below(d->rng, 4) == 0)
			progress(d, o); /* a cache answers at once */
	}
}

static unsigned disk_reap(struct engine_queue *q, struct engine_reqs *done)
{
	struct engine_req *r;
	unsigned n = 0;

	STAILQ_FOREACH(r, &to_queue(q)->done, link)
		n++;
	STAILQ_CONCAT(done, &to_queue(q)->done);
	return n;
}

static int disk_arm(struct engine_queue *q)
{
	to_queue(q)->armed = true;
	return !STAILQ_EMPTY(&to_queue(q)->done);
}

static const struct engine_ops disk_ops = {
	.name = "sim",
	.close = disk_close,
	.own = disk_own,
	.fence_poll = disk_fence_poll,
	.resize = disk_resize,
	.queue_open = disk_queue_open,
	.queue_close = disk_queue_close,
	.submit = disk_submit,
	.kick = disk_kick,
	.reap = disk_reap,
	.event_fd = disk_event_fd,
	.arm = disk_arm,
};

void crash_disk_init(struct crash_disk *d, struct crash_rng *rng, struct crash_check *check, void (*point)(void))
{
	memset(d, 0, offsetof(struct crash_disk, op));
	d->log.n = 0;
	d->unit = 1;
	d->rng = rng;
	d->check = check;
	d->point = point;
	check->log = &d->log;
}

struct engine *crash_disk_open(struct crash_disk *d)
{
	struct crash_engine *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->d = d;
	s->e = (struct engine){.ops = &disk_ops,
			       .depth = 64,
			       .info = {.sectors = DISK_SECTORS,
					.sector_size = 512,
					.physical_size = 512,
					.write_unit = 512 * d->unit,
					.buffer_align = 512,
					.discard_granularity = 512,
					.fence = ENGINE_FENCE_LOCK,
					.flush = true,
					.discard = true}};
	return &s->e;
}

void crash_disk_died(struct crash_disk *d, struct engine *e)
{
	for (unsigned i = 0; i < d->nops; i++) {
		struct crash_op *o = &d->op[i];

		if (!o->used || o->by != to_engine(e))
			continue;
		o->dead = true;
		o->r = NULL;
		if ((!o->kicked && crash_below(d->rng, 2)) || crash_below(d->rng, 8) == 0) {
			o->used = false; /* never began, or was cancelled */
			continue;
		}
		if (!o->kicked) {
			o->flush_from = d->log.n;
			read_edges(d, o);
		}
		o->kicked = true;
		o->due = d->time + crash_below(d->rng, d->linger + 1);
	}
}

void crash_disk_step(struct crash_disk *d)
{
	unsigned n = d->nops, at = n > 1 ? crash_below(d->rng, n) : 0;

	d->time++;
	for (unsigned i = 0; i < n; i++) {
		struct crash_op *o = &d->op[at + i < n ? at + i : at + i - n];

		if (o->used && o->kicked && o->due <= d->time)
			progress(d, o);
	}
}

bool crash_disk_idle(const struct crash_disk *d) { return !in_flight(d, UINT64_MAX); }

bool crash_disk_event(struct engine *e, unsigned queue)
{
	struct disk_queue *q = &to_engine(e)->queue[queue];
	bool was = q->event;

	q->event = false;
	return was;
}
