/* The pool of buffers against a map of its pages: nothing is handed out twice, the lowest place is taken, contents
 * stay, and an idle pool holds little memory. */
#include "backend/blk/blkback_pool.h"

#include "ring/base/base.h"
#include "ring/os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define NPAGES 300u
#define NBUFS 64
#define KEPT 64u /* pages at most that a trimmed pool holds */

struct buf {
	char *mem;
	uint32_t first, n;
	char stamp;
};

static struct blk_pool *pool;
static char *start; /* of the pool: where the first page is */

static int setup(void **state)
{
	(void)state;
	assert_int_equal(blk_pool_open(NPAGES, &pool), 0);
	start = blk_pool_get(pool, 1);
	blk_pool_put(pool, start, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	blk_pool_close(pool);
	return 0;
}

static void test_all_of_it(void **state)
{
	char *m;

	(void)state;
	assert_null(blk_pool_get(pool, NPAGES + 1));
	m = blk_pool_get(pool, NPAGES);
	assert_ptr_equal(m, start);
	assert_int_equal(blk_pool_used(pool), NPAGES);
	memset(m, 0xee, NPAGES * BH_PAGE_SIZE);
	assert_null(blk_pool_get(pool, 1));
	blk_pool_put(pool, m, NPAGES);
	assert_int_equal(blk_pool_used(pool), 0);
	assert_ptr_equal(blk_pool_get(pool, NPAGES), start);
}

static void test_holes(void **state)
{
	char *m[NPAGES];

	(void)state;
	for (uint32_t i = 0; i < NPAGES; i++)
		assert_ptr_equal(m[i] = blk_pool_get(pool, 1), start + i * BH_PAGE_SIZE);
	for (uint32_t i = 0; i < NPAGES; i += 2)
		blk_pool_put(pool, m[i], 1);
	assert_null(blk_pool_get(pool, 2)); /* half of it is free, but in pieces */
	blk_pool_put(pool, m[101], 1);
	assert_ptr_equal(blk_pool_get(pool, 3), m[100]);
	assert_ptr_equal(blk_pool_get(pool, 1), m[0]); /* the lowest */
	blk_pool_put(pool, m[299], 1);
	assert_null(blk_pool_get(pool, 3));
	assert_ptr_equal(blk_pool_get(pool, 2), m[298]);
}

static uint32_t lowest(const uint8_t *busy, uint32_t n)
{
	for (uint32_t i = 0; i + n <= NPAGES; i++)
		if (!memchr(busy + i, 1, n))
			return i;
	return NPAGES;
}

static void check_content(const struct buf *b)
{
	for (size_t i = 0; i < b->n * BH_PAGE_SIZE; i += BH_PAGE_SIZE / 2)
		if (b->mem[i] != b->stamp)
			fail_msg("a buffer was written over");
}

static void test_against_a_map(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)clock_now();
	static uint8_t busy[NPAGES];
	static struct buf buf[NBUFS];
	unsigned full = 0;
	uint32_t used = 0;

	(void)state;
	print_message("SEED=%u\n", seed);
	for (unsigned round = 0; round < 100000; round++) {
		struct buf *b = &buf[(unsigned)rand_r(&seed) % NBUFS];
		uint32_t most = rand_r(&seed) % 4 ? 11 : 64, n = 1 + (uint32_t)rand_r(&seed) % most, want;

		if (round % 1024 == 0) /* now and then all at once */
			for (b = buf; b < buf + NBUFS - 1; b++)
				if (b->mem) {
					check_content(b);
					blk_pool_put(pool, b->mem, b->n);
					memset(busy + b->first, 0, b->n);
					used -= b->n;
					b->mem = NULL;
				}
		if (b->mem) {
			check_content(b);
			blk_pool_put(pool, b->mem, b->n);
			memset(busy + b->first, 0, b->n);
			used -= b->n;
			b->mem = NULL;
			if (rand_r(&seed) % 8 == 0)
				blk_pool_trim(pool); /* in use: nothing of it may go */
			continue;
		}
		want = lowest(busy, n);
		*b = (struct buf){blk_pool_get(pool, n), want, n, (char)(1 + round % 100)};
		if (want == NPAGES) {
			assert_null(b->mem);
			full++;
			continue;
		}
		assert_ptr_equal(b->mem, start + want * BH_PAGE_SIZE);
		memset(b->mem, b->stamp, n * BH_PAGE_SIZE);
		memset(busy + want, 1, n);
		used += n;
		assert_int_equal(blk_pool_used(pool), used);
	}
	assert_true(full > 100);
}

static size_t resident(void)
{
	unsigned char in[NPAGES];
	size_t n = 0;

	assert_int_equal(mincore(start, NPAGES * BH_PAGE_SIZE, in), 0);
	for (uint32_t i = 0; i < NPAGES; i++)
		n += in[i] & 1;
	return n;
}

static void test_trim(void **state)
{
	char *a, *b;

	(void)state;
	assert_true(resident() <= 1);
	a = blk_pool_get(pool, 200);
	memset(a, 1, 200 * BH_PAGE_SIZE);
	b = blk_pool_get(pool, 50);
	memset(b, 2, 50 * BH_PAGE_SIZE);
	blk_pool_put(pool, a, 200);
	blk_pool_trim(pool); /* b is in use */
	assert_true(resident() >= 250);
	assert_int_equal(b[0] + b[50 * BH_PAGE_SIZE - 1], 4);
	blk_pool_put(pool, b, 50);
	blk_pool_trim(pool);
	assert_true(resident() >= 250); /* kept for the next */
	blk_pool_trim(pool);
	assert_true(resident() <= KEPT); /* there was none */
	a = blk_pool_get(pool, 300);
	assert_ptr_equal(a, start);
	assert_int_equal(a[KEPT * BH_PAGE_SIZE] + a[249 * BH_PAGE_SIZE], 0);
	memset(a, 3, 300 * BH_PAGE_SIZE);
	blk_pool_put(pool, a, 300);
	blk_pool_trim(pool);
	assert_true(resident() >= 300);
	blk_pool_trim(pool);
	assert_true(resident() <= KEPT);
	blk_pool_trim(pool);
	assert_true(resident() <= KEPT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_all_of_it),
		T(test_holes),
		T(test_against_a_map),
		T(test_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
