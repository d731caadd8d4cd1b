/* Requests as they should be (blkif.h, "Request codes"). */
#include "tests/blkif/verify.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

static uint64_t last_page(const struct disk *d) { return (d->offer.sectors & ~7ull) - 8; }

static void properties(struct disk *d)
{
	const struct offer *o = &d->offer;
	uint64_t physical = o->physical_size ? o->physical_size : o->sector_size;

	if (o->sectors == 0)
		case_fails("sectors is 0 or no number");
	if (o->sector_size < 512 || !IS_POW2(o->sector_size))
		case_fails("sector-size is %llu", (unsigned long long)o->sector_size);
	if (physical % o->sector_size)
		case_fails("physical-sector-size is %llu", (unsigned long long)physical);
	if (o->info & ~7ull)
		case_fails("info is %llu", (unsigned long long)o->info);
	if (o->discard && o->granularity == 0)
		case_fails("feature-discard without discard-granularity that is a number");
	did("%llu/%llu", (unsigned long long)o->sector_size, (unsigned long long)physical);
	still_served(d);
}

/* `sectors`, and a request's place, count 512 bytes whatever the sector's size is (what all implementations agree on). */
static void units(struct disk *d)
{
	union request last = direct(d, BLKIF_OP_READ, 1, last_page(d)), beyond = direct(d, BLKIF_OP_READ, 1, last_page(d) + 8);

	allow(d, &last, BIT(GOT_OKAY), "the last page", last_page(d));
	allow(d, &beyond, BIT(GOT_ERROR), "the page behind it", last_page(d) + 8);
	still_served(d);
}

static void segments(struct disk *d)
{
	for (unsigned n = 1; n <= 11; n++)
		write_and_read(d, &d->q[0], n, 8 * chance(d, 64), false);
	did("okay");
}

static void reads(struct disk *d)
{
	for (unsigned n = 1; n <= 11; n++) {
		union request r = direct(d, BLKIF_OP_READ, n, 8 * chance(d, 64));

		allow(d, &r, BIT(GOT_OKAY), "a read of pages", n);
	}
	still_served(d);
}

/* Every part of a page, the rest of which must stay as it was, on disk and in memory. */
static void inside_page(struct disk *d)
{
	for (unsigned first = 0; first < 8; first++)
		for (unsigned last = first; last < 8; last++) {
			union request w = direct(d, BLKIF_OP_WRITE, 1, 64), r = direct(d, BLKIF_OP_READ, 1, 64);
			size_t at = first * 512, n = (last - first + 1) * 512;
			uint32_t stamp = (uint32_t)chance(d, 0x7fffffff);

			w.rw.seg[0].first_sect = r.rw.seg[0].first_sect = (uint8_t)first;
			w.rw.seg[0].last_sect = r.rw.seg[0].last_sect = (uint8_t)last;
			pattern_fill(page(d, 0) + at, n, 64, stamp);
			allow(d, &w, BIT(GOT_OKAY), "a write inside a page", first * 8 + last);
			memset(page(d, 0), 0xee, BH_PAGE_SIZE);
			allow(d, &r, BIT(GOT_OKAY), "a read inside a page", first * 8 + last);
			if (!pattern_holds(page(d, 0) + at, n, 64, stamp))
				case_fails("sectors %u to %u of a page: not what was written", first, last);
			for (size_t i = 0; i < BH_PAGE_SIZE; i++)
				if ((i < at || i >= at + n) && page(d, 0)[i] != 0xee)
					case_fails("a read of sectors %u to %u has changed byte %zu", first, last, i);
		}
}

static void unaligned(struct disk *d)
{
	union request place = direct(d, BLKIF_OP_READ, 1, 65), size = direct(d, BLKIF_OP_READ, 1, 64);

	size.rw.seg[0].last_sect = 0;
	allow(d, &place, BIT(GOT_ERROR) | BIT(GOT_OKAY), "a read at sector", 65);
	allow(d, &size, BIT(GOT_ERROR) | BIT(GOT_OKAY), "a read of sectors", 1);
	still_served(d);
}

static void one_page_twice(struct disk *d)
{
	union request r = direct(d, BLKIF_OP_READ, 11, 8);

	for (unsigned i = 0; i < 11; i++)
		r.rw.seg[i].gref = d->gref[3];
	allow(d, &r, BIT(GOT_OKAY), "one page in every segment", 11);
	still_served(d);
}

/* ---- cache and discard */

static void flush(struct disk *d)
{
	union request r = {.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE}};

	if (suite.writable && !(d->offer.info & VDISK_READONLY))
		write_and_read(d, &d->q[0], 4, 128, false);
	allow(d, &r, BIT(GOT_OKAY), "a flush", 0);
	still_served(d);
}

/* A flush that was not offered, or a barrier. */
static void not_offered(struct disk *d)
{
	union request f = {.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE}}, b = {.rw = {.operation = BLKIF_OP_WRITE_BARRIER}},
		      s = discard(8, 8), i = indirect(d, BLKIF_OP_READ, 1, 8);
	unsigned any = BIT(GOT_OKAY) | BIT(GOT_ERROR) | BIT(GOT_EOPNOTSUPP) | ENDS;

	if (d->offer.flush && d->offer.barrier && d->offer.discard && d->offer.max_indirect)
		case_is_na("everything is offered");
	if (!d->offer.flush)
		allow(d, &f, any, "a flush", 0);
	if (!d->offer.barrier && suite.writable)
		allow(d, &b, any, "a barrier", 0);
	if (!d->offer.discard && suite.writable)
		allow(d, &s, any & ~BIT(GOT_OKAY), "a discard", 0);
	if (!d->offer.max_indirect)
		allow(d, &i, any & ~BIT(GOT_OKAY), "an indirect request", 0);
	still_served(d);
}

static void barrier_op(struct disk *d)
{
	union request with = direct(d, BLKIF_OP_WRITE_BARRIER, 4, 64), r = direct(d, BLKIF_OP_READ, 4, 64),
		      bare = {.rw = {.operation = BLKIF_OP_WRITE_BARRIER}};

	pattern_fill(d->data, 4 * BH_PAGE_SIZE, 64, 77);
	allow(d, &with, BIT(GOT_OKAY) | BIT(GOT_EOPNOTSUPP), "a barrier with data", 4);
	memset(d->data, 0, 4 * BH_PAGE_SIZE);
	allow(d, &r, BIT(GOT_OKAY), "a read", 4);
	if (!pattern_holds(d->data, 4 * BH_PAGE_SIZE, 64, 77))
		case_fails("a barrier's data are not there");
	allow(d, &bare, BIT(GOT_OKAY) | BIT(GOT_EOPNOTSUPP), "a barrier without data", 0);
	still_served(d);
}

/* Writes, a barrier over the same place, a read: all on the ring at once, in this order. */
static void barrier_order(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned round = 0; round < 20; round++) {
		union request w = direct(d, BLKIF_OP_WRITE, 1, 64), b = direct(d, BLKIF_OP_WRITE_BARRIER, 1, 64), r;
		unsigned n = 6;

		b.rw.seg[0].gref = d->gref[1];
		pattern_fill(page(d, 0), BH_PAGE_SIZE, 64, 2 * round);
		pattern_fill(page(d, 1), BH_PAGE_SIZE, 64, 2 * round + 1);
		for (unsigned i = 0; i < n; i++) {
			w.rw.id = b.rw.id = i;
			put(d, q, i + 1 < n ? &w : &b);
		}
		show(q);
		judge(wait_answers(d, q, n), BIT(GOT_OKAY), "writes and a barrier", round);
		q->cons += n;
		r = direct(d, BLKIF_OP_READ, 3, 64);
		r.rw.nr_segments = 1;
		r.rw.seg[0].gref = d->gref[2];
		allow(d, &r, BIT(GOT_OKAY), "a read", 0);
		if (!pattern_holds(page(d, 2), BH_PAGE_SIZE, 64, 2 * round + 1))
			case_fails("a write before a barrier has landed after it");
	}
}

static void discard_op(struct disk *d)
{
	uint64_t n = MAX(d->offer.granularity / 512, 8u);
	union request s = discard(n, n), r = direct(d, BLKIF_OP_READ, 1, n);

	if (d->offer.sectors < 4 * n)
		case_is_na("the disk is smaller than four extents");
	allow(d, &s, BIT(GOT_OKAY) | BIT(GOT_EOPNOTSUPP), "a discard of sectors", n);
	allow(d, &r, BIT(GOT_OKAY), "a read of what is discarded", n);
	write_and_read(d, &d->q[0], 1, n, false);
	still_served(d);
}

static void secure_op(struct disk *d)
{
	uint64_t n = MAX(d->offer.granularity / 512, 8u);
	union request s = discard(n, n);

	s.dis.flag = BLKIF_DISCARD_SECURE;
	allow(d, &s, BIT(GOT_OKAY) | BIT(GOT_EOPNOTSUPP), "a secure discard", n);
	still_served(d);
}

/* blkif.h: the flag is ignored if discard-secure=0. What is promised by the flag is then not kept, so to refuse is as good. */
static void secure_not_offered(struct disk *d)
{
	uint64_t n = MAX(d->offer.granularity / 512, 8u);
	union request s = discard(n, n);

	if (d->offer.secure)
		case_is_na("discard-secure is offered");
	s.dis.flag = BLKIF_DISCARD_SECURE;
	allow(d, &s, BIT(GOT_OKAY) | BIT(GOT_EOPNOTSUPP) | BIT(GOT_ERROR), "a secure discard", n);
	still_served(d);
}

static void read_only(struct disk *d)
{
	union request w = direct(d, BLKIF_OP_WRITE, 1, 8), b = direct(d, BLKIF_OP_WRITE_BARRIER, 1, 8), s = discard(8, 8),
		      i = indirect(d, BLKIF_OP_WRITE, 1, 8), r = direct(d, BLKIF_OP_READ, 1, 8);

	memset(page(d, 0), 0x77, BH_PAGE_SIZE);
	allow(d, &w, BIT(GOT_ERROR), "a write", 0);
	allow(d, &b, BIT(GOT_ERROR) | BIT(GOT_EOPNOTSUPP), "a barrier", 0);
	allow(d, &s, BIT(GOT_ERROR) | BIT(GOT_EOPNOTSUPP), "a discard", 0);
	if (d->offer.max_indirect)
		allow(d, &i, BIT(GOT_ERROR), "an indirect write", 0);
	allow(d, &r, BIT(GOT_OKAY), "a read", 0);
	if (page(d, 0)[0] == 0x77 && page(d, 0)[4095] == 0x77)
		case_fails("what was refused is on the disk");
	still_served(d);
}

/* ---- answers */

static void ids(struct disk *d)
{
	static const uint64_t id[] = {0, UINT64_MAX, 1ull << 63, 0xffffffff, 0x100000000, 0xdeadbeefdeadbeef};
	union request r = direct(d, BLKIF_OP_READ, 1, 8);

	for (size_t i = 0; i < 64; i++) {
		uint64_t v = i < ARRAY_LEN(id) ? id[i] : ((uint64_t)chance(d, 0x7fffffff) << 33) ^ chance(d, 0x7fffffff);

		judge(ask_on(d, &d->q[0], &r, v), BIT(GOT_OKAY), "a read with id", v);
	}
	still_served(d);
}

static void same_ids(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < q->entries; i++) {
			union request r = direct(d, i % 2 && suite.writable ? BLKIF_OP_WRITE : BLKIF_OP_READ, 11, chance(d, 64) * 8);

			for (unsigned k = 0; k < 11; k++)
				r.rw.seg[k].gref = d->gref[0];
			r.rw.id = 7;
			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, q->entries), BIT(GOT_OKAY), "a full ring of one id", round);
		for (unsigned i = 0; i < q->entries; i++) {
			struct blkif_response a = take(d, q);

			if (a.id != 7 || a.status != BLKIF_RSP_OKAY)
				case_fails("one of many with one id: id %llu, status %d", (unsigned long long)a.id, a.status);
		}
	}
	still_served(d);
}

static unsigned answered_op(struct disk *d, const union request *r)
{
	put(d, &d->q[0], r);
	show(&d->q[0]);
	judge(wait_answers(d, &d->q[0], 1), BIT(GOT_OKAY), "operation", r->rw.operation);
	return take(d, &d->q[0]).operation;
}

/* Linux's blkfront looks at the inner operation of an indirect request, and kills the disk for another. */
static void operations(struct disk *d)
{
	union request r = direct(d, BLKIF_OP_READ, 1, 8), f = {.rw = {.operation = BLKIF_OP_FLUSH_DISKCACHE}},
		      i = indirect(d, BLKIF_OP_READ, 1, 8);
	unsigned op;

	op = answered_op(d, &r);
	if (op != BLKIF_OP_READ)
		case_fails("a read's answer says operation %u", op);
	op = d->offer.flush ? answered_op(d, &f) : BLKIF_OP_FLUSH_DISKCACHE;
	if (op != BLKIF_OP_FLUSH_DISKCACHE)
		case_fails("a flush's answer says operation %u", op);
	op = d->offer.max_indirect ? answered_op(d, &i) : BLKIF_OP_READ;
	if (op != BLKIF_OP_READ && op != BLKIF_OP_INDIRECT)
		case_fails("an indirect read's answer says operation %u", op);
	did(!d->offer.max_indirect ? "direct" : op == BLKIF_OP_READ ? "inner" : "outer");
	still_served(d);
}

/* Behind the last member of an answer of the 64-bit layout are four bytes which nobody needs: zero, or as they were. */
static void padding(struct disk *d)
{
	struct queue *q = &d->q[0];
	bool kept = true, zero = true;

	for (unsigned round = 0; round < 200; round++) {
		union request r = direct(d, BLKIF_OP_READ, 1, 8 * (round % 64));
		uint32_t was, is;
		uint8_t *slot = ring_slot(d, q, q->prod);

		r.rw.id = 0x5a5a5a5a5a5a5a5a;
		memcpy(&was, r.byte + 12, 4); /* of the id: what the answer's padding covers */
		put(d, q, &r);
		show(q);
		judge(wait_answers(d, q, 1), BIT(GOT_OKAY), "a read", round);
		memcpy(&is, slot + 12, 4);
		take(d, q);
		kept &= is == was;
		zero &= is == 0;
	}
	if (!kept && !zero)
		case_fails("the padding of answers holds neither zeroes nor what was there");
	did(zero ? "zero" : "kept");
	still_served(d);
}

/* ---- many of them */

/* Requests that are seen one by one, or all at once; each read must see the writes that were answered before. */
static void many(struct disk *d, unsigned total, unsigned batch)
{
	struct queue *q = &d->q[0];
	unsigned n = MIN(batch, MIN(q->entries, d->ndata));

	for (unsigned done = 0; done < total; done += n) {
		for (unsigned i = 0; i < n; i++) {
			union request w = direct(d, BLKIF_OP_WRITE, 1, 8 * i);

			w.rw.seg[0].gref = d->gref[i];
			w.rw.id = i;
			pattern_fill(page(d, i), BH_PAGE_SIZE, 8 * i, done);
			put(d, q, &w);
		}
		show(q);
		judge(wait_answers(d, q, n), BIT(GOT_OKAY), "writes", done);
		q->cons += n;
		memset(d->data, 0, n * BH_PAGE_SIZE);
		for (unsigned i = 0; i < n; i++) {
			union request r = direct(d, BLKIF_OP_READ, 1, 8 * i);

			r.rw.seg[0].gref = d->gref[i];
			r.rw.id = i;
			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, n), BIT(GOT_OKAY), "reads", done);
		for (unsigned i = 0; i < n; i++) {
			struct blkif_response a = take(d, q);

			if (a.id >= n || a.status != BLKIF_RSP_OKAY)
				case_fails("id %llu, status %d", (unsigned long long)a.id, a.status);
			if (!pattern_holds(page(d, (unsigned)a.id), BH_PAGE_SIZE, 8 * a.id, done))
				case_fails("round %u: page %u is not what was written", done, (unsigned)a.id);
		}
	}
	still_served(d);
}

static void one_by_one(struct disk *d) { many(d, 100, 1); }
static void full_rings(struct disk *d) { many(d, 640, 32); }

/* Notifies only when the backend has asked for it, and looks only when it was woken: ring.h's RING_PUSH_REQUESTS_AND_CHECK_NOTIFY
 * and RING_FINAL_CHECK_FOR_RESPONSES. A wakeup that is lost on either side shows as a wait without end. */
static void push_if_asked(struct queue *q)
{
	uint32_t old = *ring_word(q, 0);

	smp_store_release(ring_word(q, 0), q->prod); /* pairs with the backend's barrier after it read req_prod */
	smp_mb();
	if ((uint32_t)(q->prod - load_relaxed(ring_word(q, 1))) < (uint32_t)(q->prod - old))
		hv_port_notify(q->port);
}

static void sleep_for_event(struct disk *d, struct queue *q)
{
	struct pollfd p = {.fd = hv_port_fd(q->port), .events = POLLIN};

	store_relaxed(ring_word(q, 3), q->cons + 1);
	smp_mb(); /* armed before the last look */
	if (smp_load_acquire(ring_word(q, 2)) != q->cons)
		return;
	if (poll(&p, 1, (int)(suite.patience / NS_PER_MS)) == 0) {
		if (smp_load_acquire(ring_word(q, 2)) != q->cons)
			case_fails("answered, but the frontend was not woken");
		hv_port_notify(q->port);
		if (wait_answers(d, q, 1) == GOT_OKAY)
			case_fails("the backend slept over a request: it had not asked to be woken");
		case_fails("no answer");
	}
	hv_port_clear(q->port);
}

static void wakeups(struct disk *d)
{
	struct queue *q = &d->q[0];
	unsigned asked = 0, total = 600;

	while (q->cons != q->prod || asked < total) {
		unsigned n = MIN(chance(d, 5), q->entries - (q->prod - q->cons));

		for (unsigned i = 0; i < n && asked < total; i++, asked++) {
			union request r = direct(d, BLKIF_OP_READ, 1, 8 * chance(d, 64));

			r.rw.seg[0].gref = d->gref[chance(d, d->ndata)];
			put(d, q, &r);
		}
		push_if_asked(q);
		if (chance(d, 3) == 0)
			nap_us(chance(d, 200));
		if (q->cons != q->prod && (q->prod - q->cons > chance(d, 32) || asked >= total)) {
			sleep_for_event(d, q);
			q->cons = smp_load_acquire(ring_word(q, 2));
		}
	}
	did("okay");
}

static const struct test tests[] = {
	{"io.properties", "Backend device properties: sector-size a power of two from 512, physical-sector-size a multiple of it", NULL,
	 .run = properties},
	{"io.units", "sectors, and places on the ring, count 512 bytes", "okay+error+served", .run = units},
	{"io.reads", "1 to 11 segments", "okay+served", .run = reads},
	{"io.segments", "1 to 11 segments, written and read back", "okay", .needs = NEED_WRITABLE, .run = segments},
	{"io.segments_persistent", "The same with feature-persistent", "okay", .needs = NEED_WRITABLE, .want = {.persistent = true},
	 .run = segments},
	{"io.inside_page", "first_sect and last_sect: any part of a page", "okay", .needs = NEED_WRITABLE | NEED_512,
	 .run = inside_page},
	{"io.unaligned", "sector-size: what is not a multiple of it cannot be served", "error+served", .needs = NEED_LARGE,
	 .run = unaligned},
	{"io.one_page_twice", "One grant may stand in several segments", "okay+served", .run = one_page_twice},
	{"io.flush", "BLKIF_OP_FLUSH_DISKCACHE, without segments", "okay+served", .needs = NEED_FLUSH, .run = flush},
	{"io.not_offered", "What is not offered is refused, or done, but answered", "error+served|eopnotsupp+served",
	 .run = not_offered},
	{"io.barrier", "BLKIF_OP_WRITE_BARRIER with data and without", "okay+served", .needs = NEED_WRITABLE | NEED_BARRIER,
	 .run = barrier_op},
	{"io.barrier_order", "Writes before a barrier are done before it", "okay", .needs = NEED_WRITABLE | NEED_BARRIER,
	 .run = barrier_order},
	{"io.discard", "BLKIF_OP_DISCARD; what is discarded can be read and written", "okay+served",
	 .needs = NEED_WRITABLE | NEED_DISCARD, .run = discard_op},
	{"io.secure", "BLKIF_DISCARD_SECURE where discard-secure is offered", "okay+served",
	 .needs = NEED_WRITABLE | NEED_DISCARD | NEED_SECURE, .run = secure_op},
	{"io.secure_not_offered", "BLKIF_DISCARD_SECURE is ignored if discard-secure=0", "eopnotsupp+served",
	 .needs = NEED_WRITABLE | NEED_DISCARD, .run = secure_not_offered},
	{"io.read_only", "mode r: nothing can be written", "error+okay+served|error+eopnotsupp+okay+served", .needs = NEED_READ_ONLY, .run = read_only},
	{"io.ids", "id: 64 bits of the guest's own, copied into the answer", "okay+served", .run = ids},
	{"io.same_ids", "id: private to the guest; if it repeats one, that is its own affair", "okay+served", .run = same_ids},
	{"io.operations", "operation: copied from the request", "okay+inner+served", .run = operations},
	{"io.padding", "XSA-216: nothing of the backend's memory stands in an answer", "okay+zero+served", .run = padding},
	{"io.one_by_one", "100 pages written and read back, one request at a time", "okay+served", .needs = NEED_WRITABLE,
	 .run = one_by_one},
	{"io.full_rings", "Full rings, again and again around the ring", "okay+served", .needs = NEED_WRITABLE, .want = {.data = 32},
	 .run = full_rings},
	{"io.full_rings_persistent", "The same with feature-persistent", "okay+served", .needs = NEED_WRITABLE,
	 .want = {.data = 32, .persistent = true}, .run = full_rings},
	{"io.wakeups", "req_event and rsp_event: who notifies only when asked, and looks only when woken, sees every answer", "okay",
	 .run = wakeups},
};
const struct topic topic_io = {tests, ARRAY_LEN(tests)};
