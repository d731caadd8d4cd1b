/* The range rule's table against a list that is looked through: neighbours, chunk borders, long ranges, and threads
 * that would tread on each other. */
#include "backend/blk/blkback_range.h"

#include "ring/base/barrier.h"
#include "ring/base/base.h"
#include "ring/os/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NRANGES 96
#define CHUNK 4096ull /* units: what the table has its buckets for */

static struct blk_ranges *open_table(bool shared)
{
	struct blk_ranges *t;

	assert_int_equal(blk_ranges_open(shared, &t), 0);
	return t;
}

static bool enter(struct blk_ranges *t, struct blk_range *r, uint64_t first, uint64_t end)
{
	r->first = first;
	r->end = end;
	return blk_range_enter(t, r);
}

static void test_neighbours(void **state)
{
	static const uint64_t at[] = {1, CHUNK - 1, CHUNK, 5 * CHUNK + 1, 255 * CHUNK, 256 * CHUNK,
				      (1ull << 55) - 1, UINT64_MAX - 20000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		for (uint64_t len = 1; len <= 2 * CHUNK; len = len < 4 ? len + 1 : 2 * len - 1) {
			struct blk_ranges *t = open_table(false);
			struct blk_range a = {0}, b = {0};
			uint64_t first = at[i], end = first + len;

			assert_true(enter(t, &a, first, end));
			assert_false(enter(t, &b, first, end));
			assert_false(enter(t, &b, first, first + 1));
			assert_false(enter(t, &b, end - 1, end + 1));
			assert_false(enter(t, &b, first - 1, first + 1));
			assert_false(enter(t, &b, first - 1, end + 1));
			assert_false(enter(t, &b, 0, UINT64_MAX));
			assert_false(b.in);
			assert_true(enter(t, &b, end, end + 1));
			assert_int_equal(blk_ranges_count(t), 2);
			blk_range_leave(t, &b);
			assert_true(enter(t, &b, first - 1, first));
			blk_range_leave(t, &a);
			assert_true(enter(t, &a, first, end));
			blk_range_leave(t, &a);
			blk_range_leave(t, &b);
			assert_int_equal(blk_ranges_count(t), 0);
			blk_ranges_close(t);
		}
}

static void test_departures_are_counted(void **state)
{
	struct blk_ranges *t = open_table(false);
	struct blk_range a = {0}, b = {0};
	uint64_t epoch = blk_ranges_epoch(t);

	(void)state;
	assert_true(enter(t, &a, 0, 8));
	assert_false(enter(t, &b, 7, 9));
	assert_true(blk_ranges_epoch(t) == epoch); /* nothing that could help who waits */
	blk_range_leave(t, &a);
	assert_true(blk_ranges_epoch(t) != epoch);
	blk_ranges_close(t);
}

/* A place that others are likely to touch, sometimes long, sometimes far away in the same bucket. */
static void random_place(unsigned *seed, struct blk_range *r)
{
	uint64_t base = (uint64_t)rand_r(seed) % 6 * CHUNK + (rand_r(seed) % 3 ? 0 : 256 * CHUNK);
	uint64_t len;

	switch (rand_r(seed) % 8) {
	case 0:
		len = CHUNK + 1 + (uint64_t)rand_r(seed) % (4 * CHUNK); /* a discard */
		break;
	case 1:
		len = CHUNK - 1 + (uint64_t)rand_r(seed) % 3;
		break;
	default:
		len = 1 + (uint64_t)rand_r(seed) % 300;
	}
	r->first = base + (uint64_t)rand_r(seed) % CHUNK;
	if (rand_r(seed) % 4 == 0)
		r->first = base + CHUNK - 2 + (uint64_t)rand_r(seed) % 4;
	r->end = r->first + len;
}

static void test_against_a_list(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)clock_now();
	static struct blk_range r[NRANGES];
	struct blk_ranges *t = open_table(false);
	unsigned entered = 0, refused = 0, count = 0;

	(void)state;
	print_message("SEED=%u\n", seed);
	memset(r, 0, sizeof(r));
	for (unsigned round = 0; round < 200000; round++) {
		struct blk_range *x = &r[(unsigned)rand_r(&seed) % NRANGES];
		bool fits = true;

		if (x->in) {
			blk_range_leave(t, x);
			assert_false(x->in);
			count--;
			continue;
		}
		random_place(&seed, x);
		for (unsigned i = 0; i < NRANGES; i++)
			fits = fits && !(r[i].in && r[i].first < x->end && x->first < r[i].end);
		if (blk_range_enter(t, x) != fits || x->in != fits)
			fail_msg("round %u: [%llu, %llu) should %senter", round, (unsigned long long)x->first,
				 (unsigned long long)x->end, fits ? "" : "not ");
		count += fits;
		*(fits ? &entered : &refused) += 1;
		assert_int_equal(blk_ranges_count(t), count);
	}
	assert_true(entered > 10000 && refused > 10000);
	blk_ranges_close(t);
}

/* Threads mark what they hold; nobody else's mark may be there. Under TSan the marks, which have no lock of their own
 * but the table, are the second witness: entering must follow the leaving that made room. */
#define UNITS (3 * CHUNK)
#define ROUNDS 20000

static uint32_t mark[UNITS / 64];
static struct blk_ranges *shared;
static uint32_t clashes;

static void *worker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct blk_range r = {0};

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) % ARRAY_LEN(mark), n = 1 + (uint64_t)rand_r(&seed) % 8;

		n = i % 64 ? MIN(n, ARRAY_LEN(mark) - at) : ARRAY_LEN(mark) - at;
		r.first = at * 64;
		r.end = r.first + n * 64;
		if (!blk_range_enter(shared, &r))
			continue;
		for (uint64_t k = at; k < at + n; k++) {
			if (mark[k])
				fetch_add_relaxed(&clashes, 1);
			mark[k] = (uint32_t)(uintptr_t)arg;
		}
		for (uint64_t k = at; k < at + n; k++)
			mark[k] = 0;
		blk_range_leave(shared, &r);
		(void)blk_ranges_epoch(shared);
		(void)blk_ranges_count(shared);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[3];

	(void)state;
	shared = open_table(true);
	for (uintptr_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, worker, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	assert_int_equal(clashes, 0);
	assert_int_equal(blk_ranges_count(shared), 0);
	blk_ranges_close(shared);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_departures_are_counted),
		cmocka_unit_test(test_against_a_list),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
