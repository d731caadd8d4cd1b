/* Every bad request of the catalogue (and every good one beside it), in the three ABIs: what is let through, what
 * status the rest gets, and that only the request's own bytes are read. */
#include "ring/proto/blkif_decode.h"
#include "tests/unit/proto/raw_req.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#define DISK 10000u /* sectors */
#define ID 0x0123456789abcdefull
#define MAX_SEGS BLKIF_MAX_SEGMENTS_PER_REQUEST

static const uint32_t protocols[] = {CONN_NATIVE, CONN_X86_64, CONN_X86_32};
#define FOR_EACH_ABI(p, a) \
	for (size_t i_ = 0; i_ < ARRAY_LEN(protocols) && ((p) = protocols[i_], (a) = blkif_abi(p), true); i_++)

static const struct blkif_limits all = {
	.sectors = DISK, .sector_size = 512, .max_segments = 256, .flush = true, .barrier = true, .discard = true,
	.secure_discard = true,
};

static struct blkif_request_segment segs[BLKIF_SEGS_MAX]; /* whole pages */
static const uint32_t grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST] = {11, 22, 33, 44, 55, 66, 77, 0xffffffff};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(segs); i++)
		segs[i] = (struct blkif_request_segment){.gref = 1000 + (uint32_t)i, .first_sect = 0, .last_sect = 7};
	return 0;
}

/* Decodes from the end of a page behind which there is nothing, as the request of that ABI is long. */
static int decode(const struct raw_req *raw, const struct blkif_abi *abi, const struct blkif_limits *l,
		  struct blkif_req *r)
{
	static char *page;
	uint8_t *at;
	int rc;

	if (!page) {
		page = mmap(NULL, 2 * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(page != MAP_FAILED);
		assert_int_equal(mprotect(page + BH_PAGE_SIZE, BH_PAGE_SIZE, PROT_NONE), 0);
	}
	at = (uint8_t *)page + BH_PAGE_SIZE - abi->req_size;
	memcpy(at, raw->b, abi->req_size);
	memset(r, 0x5a, sizeof(*r)); /* what was there before must not shine through */
	rc = blkif_decode(at, abi, l, r);
	assert_true(rc == BLKIF_RSP_OKAY || rc == BLKIF_RSP_ERROR || rc == BLKIF_RSP_EOPNOTSUPP);
	assert_true(r->id == ID);
	return rc;
}

static void test_layouts(void **state)
{
	const struct blkif_abi *n = blkif_abi(CONN_NATIVE), *l = blkif_abi(CONN_X86_64), *s = blkif_abi(CONN_X86_32);

	(void)state;
	assert_memory_equal(n, l, sizeof(*n));
	assert_int_equal(n->req_size, sizeof(struct blkif_request));
	assert_int_equal(n->rsp_size, sizeof(struct blkif_response));
	assert_int_equal(n->stride, sizeof(union blkif_sring_entry));
	assert_int_equal(n->id, offsetof(struct blkif_request, id));
	assert_int_equal(n->id, offsetof(struct blkif_request_discard, id));
	assert_int_equal(n->id, offsetof(struct blkif_request_indirect, id));
	assert_int_equal(n->sector, offsetof(struct blkif_request, sector_number));
	assert_int_equal(n->sector, offsetof(struct blkif_request_discard, sector_number));
	assert_int_equal(n->sector, offsetof(struct blkif_request_indirect, sector_number));
	assert_int_equal(n->body, offsetof(struct blkif_request, seg));
	assert_int_equal(n->body, offsetof(struct blkif_request_discard, nr_sectors));
	assert_int_equal(n->body, offsetof(struct blkif_request_indirect, handle));
	assert_int_equal(n->grefs, offsetof(struct blkif_request_indirect, indirect_grefs));
	assert_int_equal(s->req_size, sizeof(struct req32));
	assert_int_equal(s->rsp_size, sizeof(struct rsp32));
	assert_int_equal(s->stride, MAX(sizeof(struct req32), sizeof(struct rsp32)));
	assert_int_equal(s->id, offsetof(struct req32, id));
	assert_int_equal(s->sector, offsetof(struct req32, sector_number));
	assert_int_equal(s->body, offsetof(struct req32, seg));
	assert_int_equal(s->body, offsetof(struct discard32, nr_sectors));
	assert_int_equal(s->body, offsetof(struct indirect32, handle));
	assert_int_equal(s->grefs, offsetof(struct indirect32, indirect_grefs));
	assert_null(blkif_abi(0));
	assert_null(blkif_abi(4));
	assert_null(blkif_abi(UINT32_MAX));
}

/* Byte for byte, so that no struct of ours is believed: a write of two segments, and an indirect read, by a 32-bit
 * guest. */
static void test_bytes_of_a_32_bit_guest(void **state)
{
	static const struct raw_req write = {{
		1, 2, 0x02, 0xca, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0xd2, 0x04, 0, 0, 0, 0, 0, 0,
		0x10, 0x32, 0x54, 0x76, 1, 6, 0, 0, 0x11, 0x33, 0x55, 0x77, 0, 7, 0, 0,
	}};
	static const struct raw_req indirect = {{
		6, 0, 0x00, 0x01, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0xd2, 0x04, 0, 0, 0, 0, 0, 0,
		0x02, 0xca, 0xee, 0xee, 0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0x7f,
	}};
	struct blkif_req r;

	(void)state;
	assert_int_equal(decode(&write, blkif_abi(CONN_X86_32), &all, &r), 0);
	assert_int_equal(r.op, BLKIF_OP_WRITE);
	assert_false(r.indirect);
	assert_int_equal(r.nsegs, 2);
	assert_int_equal(r.sector, 1234);
	assert_int_equal(r.seg[0].gref, 0x76543210);
	assert_int_equal(r.seg[0].first_sect, 1);
	assert_int_equal(r.seg[0].last_sect, 6);
	assert_int_equal(r.seg[1].gref, 0x77553311);
	assert_int_equal(blkif_segs(&r, r.seg, 2, &all), 0);
	assert_int_equal(r.sectors, 14);
	assert_int_equal(decode(&indirect, blkif_abi(CONN_X86_32), &all, &r), 0);
	assert_int_equal(r.op, BLKIF_OP_READ);
	assert_true(r.indirect);
	assert_int_equal(r.nsegs, 256);
	assert_int_equal(r.sector, 1234);
	assert_int_equal(r.grefs[0], 0x12345678);
	assert_int_equal(r.grefs[1], 0x7fffffff);
}

static void test_operations(void **state)
{
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi)
		for (unsigned op = 0; op < 256; op++) {
			uint8_t n = op == BLKIF_OP_FLUSH_DISKCACHE ? 0 : 1;
			struct raw_req raw = raw_rw(p, (uint8_t)op, n, ID, 0, segs);
			int rc = decode(&raw, abi, &all, &r);
			bool known = op <= BLKIF_OP_FLUSH_DISKCACHE;

			assert_int_equal(r.op, op == BLKIF_OP_INDIRECT ? n : op); /* there it is the inner operation */
			if (known)
				assert_int_equal(rc, 0);
			else if (op != BLKIF_OP_DISCARD && op != BLKIF_OP_INDIRECT)
				assert_int_equal(rc, BLKIF_RSP_EOPNOTSUPP);
			if (op == BLKIF_OP_FLUSH_DISKCACHE)
				assert_int_equal(r.nsegs + r.sectors + r.indirect, 0);
		}
}

static void test_flush_with_data(void **state)
{
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi)
		for (unsigned n = 0; n < 256; n++) {
			struct raw_req raw = raw_rw(p, BLKIF_OP_FLUSH_DISKCACHE, (uint8_t)n, ID, 0, segs);

			/* the data would not be written: it must not seem to be */
			assert_int_equal(decode(&raw, abi, &all, &r), n ? BLKIF_RSP_ERROR : 0);
		}
}

static void test_what_was_not_offered(void **state)
{
	const struct blkif_limits bare = {.sectors = DISK, .sector_size = 512};
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi) {
		struct raw_req barrier = raw_rw(p, BLKIF_OP_WRITE_BARRIER, 1, ID, 0, segs);
		struct raw_req flush = raw_rw(p, BLKIF_OP_FLUSH_DISKCACHE, 0, ID, 0, segs);
		struct raw_req discard = raw_discard(p, 0, ID, 0, 8), indirect = raw_indirect(p, 0, 8, ID, 0, grefs);
		struct raw_req write = raw_rw(p, BLKIF_OP_WRITE, 1, ID, 0, segs);

		assert_int_equal(decode(&barrier, abi, &bare, &r), BLKIF_RSP_EOPNOTSUPP);
		assert_int_equal(decode(&flush, abi, &bare, &r), BLKIF_RSP_EOPNOTSUPP);
		assert_int_equal(decode(&discard, abi, &bare, &r), BLKIF_RSP_EOPNOTSUPP);
		assert_int_equal(decode(&indirect, abi, &bare, &r), BLKIF_RSP_EOPNOTSUPP);
		assert_int_equal(decode(&write, abi, &bare, &r), 0);
	}
}

static void test_number_of_segments(void **state)
{
	static const uint8_t ops[] = {BLKIF_OP_READ, BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER};
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi)
		for (size_t o = 0; o < ARRAY_LEN(ops); o++)
			for (unsigned n = 0; n < 256; n++) {
				struct raw_req raw = raw_rw(p, ops[o], (uint8_t)n, ID, 77, segs);
				bool good = n <= MAX_SEGS && (n > 0 || ops[o] == BLKIF_OP_WRITE_BARRIER);

				assert_int_equal(decode(&raw, abi, &all, &r), good ? 0 : BLKIF_RSP_ERROR);
				if (!good)
					continue;
				assert_int_equal(r.nsegs, n);
				assert_int_equal(r.sector, 77);
				assert_memory_equal(r.seg, segs, n * sizeof(segs[0]));
			}
}

/* All pairs of first and last sector, at each place among the segments; with sectors of 512 and of 4096 bytes. */
static void test_pairs_of_sectors(void **state)
{
	struct blkif_limits l = all;

	(void)state;
	for (unsigned unit = 1; unit <= 8; unit += 7)
		for (unsigned pair = 0; pair < 65536; pair++) {
			struct blkif_request_segment s[3] = {segs[0], segs[1], segs[2]};
			unsigned first = pair >> 8, last = pair & 255;
			bool good = first <= last && last < 8 && first % unit == 0 && (last + 1) % unit == 0;
			struct blkif_req r = {.sector = 16};

			l.sector_size = 512 * unit;
			s[pair % 3].first_sect = (uint8_t)first;
			s[pair % 3].last_sect = (uint8_t)last;
			assert_int_equal(blkif_segs(&r, s, 3, &l), good ? 0 : BLKIF_RSP_ERROR);
			if (good)
				assert_int_equal(r.sectors, 16 + last - first + 1);
		}
}

static int place(uint64_t sector, unsigned npages, const struct blkif_limits *l)
{
	struct blkif_req r = {.sector = sector};

	return blkif_segs(&r, segs, npages, l);
}

static void test_beyond_the_end(void **state)
{
	struct blkif_limits l = all;

	(void)state;
	assert_int_equal(place(DISK - 8, 1, &l), 0);
	assert_int_equal(place(DISK - 7, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(DISK, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(DISK + 1, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(DISK - 8 * 256, 256, &l), 0);
	assert_int_equal(place(DISK - 8 * 256 + 1, 256, &l), BLKIF_RSP_ERROR);
	/* the sum does not fit 64 bits: it would come out small */
	for (unsigned i = 0; i <= 16; i++)
		assert_int_equal(place(UINT64_MAX - i, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(1ull << 63, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(1ull << 32, 1, &l), BLKIF_RSP_ERROR);
	assert_int_equal(place(1ull << 55, 1, &l), BLKIF_RSP_ERROR); /* in bytes it would wrap */
	/* the disk shrank to nothing, or is as long as can be */
	l.sectors = 0;
	assert_int_equal(place(0, 1, &l), BLKIF_RSP_ERROR);
	l.sectors = UINT64_MAX;
	assert_int_equal(place(UINT64_MAX - 8, 1, &l), 0);
	assert_int_equal(place(UINT64_MAX - 7, 1, &l), BLKIF_RSP_ERROR);
}

static void test_misaligned_start(void **state)
{
	struct blkif_limits l = all;

	(void)state;
	l.sector_size = 4096;
	for (uint64_t s = 0; s < 64; s++)
		assert_int_equal(place(s, 2, &l), s % 8 ? BLKIF_RSP_ERROR : 0);
	l.sector_size = 1024;
	for (uint64_t s = 0; s < 64; s++)
		assert_int_equal(place(s, 2, &l), s % 2 ? BLKIF_RSP_ERROR : 0);
}

static void test_read_only(void **state)
{
	struct blkif_limits l = all;
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	l.read_only = true;
	FOR_EACH_ABI(p, abi) {
		struct raw_req read = raw_rw(p, BLKIF_OP_READ, 1, ID, 0, segs);
		struct raw_req write = raw_rw(p, BLKIF_OP_WRITE, 1, ID, 0, segs);
		struct raw_req barrier = raw_rw(p, BLKIF_OP_WRITE_BARRIER, 1, ID, 0, segs);
		struct raw_req empty = raw_rw(p, BLKIF_OP_WRITE_BARRIER, 0, ID, 0, segs);
		struct raw_req iread = raw_indirect(p, BLKIF_OP_READ, 20, ID, 0, grefs);
		struct raw_req iwrite = raw_indirect(p, BLKIF_OP_WRITE, 20, ID, 0, grefs);
		struct raw_req discard = raw_discard(p, 0, ID, 0, 8), nothing = raw_discard(p, 0, ID, 0, 0);

		assert_int_equal(decode(&read, abi, &l, &r), 0);
		assert_int_equal(decode(&iread, abi, &l, &r), 0);
		assert_int_equal(decode(&write, abi, &l, &r), BLKIF_RSP_ERROR);
		assert_int_equal(decode(&iwrite, abi, &l, &r), BLKIF_RSP_ERROR);
		assert_int_equal(decode(&barrier, abi, &l, &r), BLKIF_RSP_ERROR);
		assert_int_equal(decode(&empty, abi, &l, &r), BLKIF_RSP_ERROR);
		assert_int_equal(decode(&discard, abi, &l, &r), BLKIF_RSP_ERROR);
		assert_int_equal(decode(&nothing, abi, &l, &r), BLKIF_RSP_ERROR);
	}
}

static void test_indirect(void **state)
{
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi) {
		for (unsigned op = 0; op < 256; op++) {
			struct raw_req raw = raw_indirect(p, (uint8_t)op, 100, ID, 4321, grefs);
			bool good = op == BLKIF_OP_READ || op == BLKIF_OP_WRITE;

			assert_int_equal(decode(&raw, abi, &all, &r), good ? 0 : BLKIF_RSP_ERROR);
			assert_int_equal(r.op, op); /* what the answer names */
			assert_true(r.indirect);
			if (good) {
				assert_int_equal(r.nsegs, 100);
				assert_int_equal(r.sector, 4321);
				assert_memory_equal(r.grefs, grefs, sizeof(grefs));
			}
		}
		for (unsigned max = 1; max <= 512; max = max == 1 ? 32 : 2 * max)
			for (unsigned n = 0; n < 65536; n += n < 600 ? 1 : 97) {
				struct raw_req raw = raw_indirect(p, BLKIF_OP_WRITE, (uint16_t)n, ID, 0, grefs);
				struct blkif_limits l = all;
				bool good = n > 0 && n <= max && n <= BLKIF_SEGS_MAX;

				l.max_segments = max;
				assert_int_equal(decode(&raw, abi, &l, &r), good ? 0 : BLKIF_RSP_ERROR);
			}
	}
}

static void check_discard(uint64_t sector, uint64_t n, unsigned unit, int want)
{
	struct blkif_limits l = all;
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	l.sector_size = 512 * unit;
	FOR_EACH_ABI(p, abi) {
		struct raw_req raw = raw_discard(p, 0, ID, sector, n);

		assert_int_equal(decode(&raw, abi, &l, &r), want);
		assert_int_equal(r.op, BLKIF_OP_DISCARD);
		assert_int_equal(r.nsegs, 0);
		assert_false(r.secure);
		assert_true(r.sector == sector && r.sectors == n);
	}
}

static void test_discard(void **state)
{
	(void)state;
	check_discard(0, DISK, 1, 0);
	check_discard(DISK - 1, 1, 1, 0);
	check_discard(0, 0, 1, 0); /* nothing to do */
	check_discard(DISK, 0, 1, 0);
	check_discard(DISK + 1, 0, 1, BLKIF_RSP_ERROR);
	check_discard(0, DISK + 1, 1, BLKIF_RSP_ERROR);
	check_discard(DISK, 1, 1, BLKIF_RSP_ERROR);
	check_discard(1, UINT64_MAX, 1, BLKIF_RSP_ERROR); /* sums to 0 */
	check_discard(UINT64_MAX, 1, 1, BLKIF_RSP_ERROR);
	check_discard(UINT64_MAX, UINT64_MAX, 1, BLKIF_RSP_ERROR);
	check_discard(1ull << 63, 1ull << 63, 1, BLKIF_RSP_ERROR);
	check_discard(0, UINT64_MAX, 1, BLKIF_RSP_ERROR);
	check_discard(8, 16, 8, 0);
	check_discard(4, 16, 8, BLKIF_RSP_ERROR);
	check_discard(8, 12, 8, BLKIF_RSP_ERROR);
}

static void test_secure_discard(void **state)
{
	struct blkif_limits l = all;
	const struct blkif_abi *abi;
	struct blkif_req r;
	uint32_t p;

	(void)state;
	FOR_EACH_ABI(p, abi)
		for (unsigned flag = 0; flag < 256; flag++) {
			struct raw_req raw = raw_discard(p, (uint8_t)flag, ID, 0, 8);

			l.secure_discard = true;
			assert_int_equal(decode(&raw, abi, &l, &r), 0);
			assert_int_equal(r.secure, flag & BLKIF_DISCARD_SECURE);
			/* an erasure that can not be promised is refused, not done by halves */
			l.secure_discard = false;
			assert_int_equal(decode(&raw, abi, &l, &r), r.secure ? BLKIF_RSP_EOPNOTSUPP : 0);
			assert_int_equal(r.secure, flag & BLKIF_DISCARD_SECURE);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_bytes_of_a_32_bit_guest),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_flush_with_data),
		cmocka_unit_test(test_what_was_not_offered),
		cmocka_unit_test(test_number_of_segments),
		cmocka_unit_test(test_pairs_of_sectors),
		cmocka_unit_test(test_beyond_the_end),
		cmocka_unit_test(test_misaligned_start),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_secure_discard),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
