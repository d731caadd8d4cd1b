/* Requests that are wrong in themselves. Each must be answered once, with an error, and hurt nobody: a request that cannot be
 * served may also end the device of its guest. */
#include "tests/blkif/suite.h"

#include <string.h>

#define REFUSED (BIT(GOT_ERROR) | BIT(GOT_EOPNOTSUPP) | ENDS)

static void unknown(struct disk *d)
{
	for (unsigned op = 7; op < 256; op++) {
		union request r = direct(d, (uint8_t)op, 1, 8);

		allow(d, &r, REFUSED, "operation", op);
	}
	still_served(d);
}

static void reserved(struct disk *d)
{
	union request r = direct(d, BLKIF_OP_RESERVED_1, 1, 8);

	allow(d, &r, REFUSED, "operation", BLKIF_OP_RESERVED_1);
	still_served(d);
}

/* Every byte of it, a thousand times a full ring; operations that could write are left to --writable. */
static void garbage(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < q->entries; i++) {
			union request r;

			for (size_t k = 0; k < sizeof(r.byte); k++)
				r.byte[k] = (uint8_t)chance(d, 256);
			r.rw.operation = (uint8_t)chance(d, 8);
			if (!suite.writable)
				r.rw.operation |= 8;
			r.rw.id = i;
			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, q->entries), BIT(GOT_OKAY) | ENDS, "a full ring of garbage", round);
		for (unsigned i = 0; i < q->entries; i++)
			if (take(d, q).id >= q->entries)
				case_fails("an answer to an id that was not asked");
	}
	still_served(d);
}

static void counts(struct disk *d, const unsigned *n, size_t len, unsigned allowed)
{
	for (uint8_t op = BLKIF_OP_READ; op <= (suite.writable ? BLKIF_OP_WRITE : BLKIF_OP_READ); op++)
		for (size_t i = 0; i < len; i++) {
			union request r = direct(d, op, n[i], 8);

			allow(d, &r, allowed, "segments", n[i]);
		}
	still_served(d);
}

static void segments_0(struct disk *d) { counts(d, (const unsigned[]){0}, 1, REFUSED | BIT(GOT_OKAY)); }
static void segments_over(struct disk *d) { counts(d, (const unsigned[]){12, 13, 16, 128, 255}, 5, REFUSED); }

static void listed_counts(struct disk *d)
{
	const unsigned max = (unsigned)d->offer.max_indirect, n[] = {0, max + 1, 512, 513, 4096, 4097, 65535};

	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		union request r = indirect(d, BLKIF_OP_READ, n[i], 8);

		if (n[i] == 0 || n[i] > max)
			allow(d, &r, n[i] ? REFUSED : REFUSED | BIT(GOT_OKAY), "indirect segments", n[i]);
	}
	still_served(d);
}

static void listed_ops(struct disk *d)
{
	static const uint8_t op[] = {BLKIF_OP_INDIRECT, BLKIF_OP_DISCARD, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_WRITE_BARRIER, 4, 7, 255};

	for (size_t i = 0; i < ARRAY_LEN(op); i++) {
		union request r = indirect(d, op[i], 1, 8);

		allow(d, &r, REFUSED, "indirect operation", op[i]);
	}
	still_served(d);
}

/* The list's page is itself an indirect request's, and the ring's. */
static void list_of_itself(struct disk *d)
{
	union request r = indirect(d, BLKIF_OP_READ, 8, 8);

	for (unsigned i = 0; i < 8; i++)
		list_of(d)[i].gref = r.ind.indirect_grefs[0];
	allow(d, &r, REFUSED | BIT(GOT_OKAY), "a list that is read into", 0);
	memset(list_of(d), 0, BH_PAGE_SIZE);
	r = indirect(d, BLKIF_OP_READ, 8, 8);
	for (unsigned i = 0; i < LIST_PAGES; i++)
		r.ind.indirect_grefs[i] = d->q[0].gref[0];
	allow(d, &r, REFUSED, "the ring as list", 0);
	still_served(d);
}

/* All 65536 pairs. */
static void bounds(struct disk *d)
{
	struct queue *q = &d->q[0];
	unsigned step = MIN(q->entries, 32u);

	for (unsigned n = 0; n < 65536; n += step) {
		for (unsigned i = n; i < n + step; i++) {
			union request r = direct(d, BLKIF_OP_READ, 1, 8);

			r.rw.seg[0].first_sect = (uint8_t)(i >> 8);
			r.rw.seg[0].last_sect = (uint8_t)i;
			r.rw.id = i;
			put(d, q, &r);
		}
		show(q);
		if (wait_answers(d, q, step) != GOT_OKAY)
			judge(wait_answers(d, q, step), ENDS, "a segment from/to", n);
		for (unsigned i = 0; i < step; i++) {
			struct blkif_response a = take(d, q);
			unsigned first = (unsigned)a.id >> 8, last = a.id & 255;
			bool good = first <= last && last < 8;

			if (good && d->offer.sector_size <= 512 && a.status != BLKIF_RSP_OKAY)
				case_fails("a segment from %u to %u: status %d", first, last, a.status);
			if (!good && a.status == BLKIF_RSP_OKAY)
				case_fails("a segment from %u to %u: okay", first, last);
		}
	}
	did("error");
	still_served(d);
}

static void listed_bounds(struct disk *d)
{
	static const uint8_t b[][2] = {{7, 0}, {1, 0}, {0, 8}, {0, 255}, {8, 8}, {255, 255}, {255, 0}, {200, 201}};
	unsigned n = MIN((unsigned)d->offer.max_indirect, 16u);

	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		for (unsigned at = 0; at < n; at += n - 1) {
			union request r = indirect(d, BLKIF_OP_READ, n, 8);

			list_of(d)[at].first_sect = b[i][0];
			list_of(d)[at].last_sect = b[i][1];
			allow(d, &r, REFUSED, "a bad segment of a list", i);
		}
	still_served(d);
}

static void sectors(struct disk *d)
{
	const uint64_t end = d->offer.sectors,
		       at[] = {end - 7,	    end,	end + 1,	     end + 8,	 UINT64_MAX,	    UINT64_MAX - 6,
			       UINT64_MAX - 7, 1ull << 63, UINT64_MAX / 512, 1ull << 55, (1ull << 55) - 7, (1ull << 32) + end};

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		for (uint8_t op = BLKIF_OP_READ; op <= (suite.writable ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_READ); op++) {
			union request r = direct(d, op, 1, at[i]), l = indirect(d, op, 12, at[i]);

			allow(d, &r, REFUSED, "sector", at[i]);
			if (d->offer.max_indirect >= 12 && op <= BLKIF_OP_WRITE)
				allow(d, &l, REFUSED, "an indirect request at sector", at[i]);
		}
	still_served(d);
}

/* The first pages are the disk's, the last is not. */
static void across_end(struct disk *d)
{
	union request r = direct(d, BLKIF_OP_READ, 11, (d->offer.sectors & ~7ull) - 80);

	allow(d, &r, REFUSED, "a read across the end", 0);
	still_served(d);
}

static void discards(struct disk *d)
{
	const uint64_t end = d->offer.sectors,
		       bad[][2] = {{end, 8},	     {end - 8, 16}, {0, end + 8},	{8, UINT64_MAX}, {UINT64_MAX, 8}, {UINT64_MAX - 7, 8},
				   {1ull << 63, 1ull << 63}, {8, UINT64_MAX - 7}, {1ull << 55, 8}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		union request r = discard(bad[i][0], bad[i][1]);

		allow(d, &r, REFUSED, "a discard", i);
	}
	still_served(d);
}

static void discard_0(struct disk *d)
{
	union request r = discard(8, 0);

	allow(d, &r, REFUSED | BIT(GOT_OKAY), "a discard of sectors", 0);
	still_served(d);
}

static void discard_flags(struct disk *d)
{
	for (unsigned flag = 2; flag < 256; flag *= 2) {
		union request r = discard(8, 8);

		r.dis.flag = (uint8_t)flag;
		allow(d, &r, REFUSED | BIT(GOT_OKAY), "a discard with flag", flag);
	}
	still_served(d);
}

/* What a flush carries besides is not looked at, or refused; never served with. */
static void flush_segments(struct disk *d)
{
	union request r = direct(d, BLKIF_OP_FLUSH_DISKCACHE, 11, UINT64_MAX);

	r.rw.nr_segments = 255;
	allow(d, &r, REFUSED | BIT(GOT_OKAY), "a flush with segments", 255);
	still_served(d);
}

static void handles(struct disk *d)
{
	for (unsigned h = 0; h < 65536; h += 4369) {
		union request r = direct(d, BLKIF_OP_READ, 1, 8);

		r.rw.handle = (uint16_t)h;
		allow(d, &r, REFUSED | BIT(GOT_OKAY), "handle", h);
	}
	still_served(d);
}

static const struct test tests[] = {
	{"request.unknown", "Request codes: 7 to 255 are none", "eopnotsupp+served", .run = unknown},
	{"request.reserved", "BLKIF_OP_RESERVED_1 is not ours", "eopnotsupp+served", .run = reserved},
	{"request.garbage", "3200 requests of random bytes are answered, each once", "okay+served", .run = garbage},
	{"request.segments_0", "A read or write of nothing", "error+served", .run = segments_0},
	{"request.segments_over", "BLKIF_MAX_SEGMENTS_PER_REQUEST is 11", "error+served", .run = segments_over},
	{"request.indirect_counts", "feature-max-indirect-segments is the most", "error+served", .needs = NEED_INDIRECT,
	 .run = listed_counts},
	{"request.indirect_ops", "indirect_op: BLKIF_OP_{READ/WRITE}", "error+served", .needs = NEED_INDIRECT,
	 .run = listed_ops},
	{"request.indirect_of_itself", "A list that names itself, or lies in the ring", "okay+error+served|error+served",
	 .needs = NEED_INDIRECT, .run = list_of_itself},
	{"request.bounds", "first_sect <= last_sect < 8: all 65536 pairs", "error+served", .run = bounds},
	{"request.indirect_bounds", "The same in lists, first place and last", "error+served", .needs = NEED_INDIRECT,
	 .run = listed_bounds},
	{"request.sectors", "sector_number: inside the disk, in 64 bits", "error+served", .run = sectors},
	{"request.across_end", "A request that begins inside and ends outside", "error+served", .run = across_end},
	{"request.discards", "BLKIF_OP_DISCARD: inside the disk, in 64 bits", "error+served", .needs = NEED_WRITABLE | NEED_DISCARD,
	 .run = discards},
	{"request.discard_0", "A discard of no sectors", "okay+served", .needs = NEED_WRITABLE | NEED_DISCARD, .run = discard_0},
	{"request.discard_flags", "flag: BLKIF_DISCARD_SECURE or zero", "okay+served", .needs = NEED_WRITABLE | NEED_DISCARD,
	 .run = discard_flags},
	{"request.flush_segments", "A flush has no segments", "okay+served|error+served", .needs = NEED_FLUSH, .run = flush_segments},
	{"request.handles", "handle: only what the device's number is worth", "okay+served", .run = handles},
};
const struct topic topic_request = {tests, ARRAY_LEN(tests)};
