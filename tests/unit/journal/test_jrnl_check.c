/* recovery/journal/jrnl_check.h: what its sums find. */
#include "recovery/journal/jrnl_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 15u /* words; odd, so that the last has no neighbour */

/* A change of what is folded shows in the upper half, with or without a carry from the lower. */
static bool shows(uint64_t d) { return d >> 32 != 0 && d >> 32 != UINT32_MAX; }

static void every_bit_everywhere(void **state)
{
	static const uint64_t c[2][2] = {{JRNL_CHECK_A0, JRNL_CHECK_B0}, {JRNL_CHECK_A1, JRNL_CHECK_B1}};

	(void)state;
	for (unsigned lane = 0; lane < 2; lane++)
		for (uint64_t n = 0; n <= JRNL_CHECK_WORDS / 2 + 1; n++)
			for (unsigned k = 0; k < 64; k++) {
				uint64_t d = (c[lane][0] + n * c[lane][1]) << k;

				assert_true(shows(d) && shows(-d));
			}
}

static void fill(uint64_t *w, unsigned n, uint64_t seed)
{
	while (n--)
		*w++ = seed = seed * 6364136223846793005ull + 1442695040888963407ull;
}

static void one_flipped_bit(void **state)
{
	uint64_t w[N], seed = 77;
	uint32_t good;

	(void)state;
	fill(w, N, 1);
	good = jrnl_sum(w, N, seed);
	for (unsigned b = 0; b < 64 * N; b++) {
		w[b / 64] ^= 1ull << b % 64;
		assert_int_not_equal(jrnl_sum(w, N, seed), good);
		w[b / 64] ^= 1ull << b % 64;
	}
	for (unsigned b = 0; b < 64; b++)
		assert_int_not_equal(jrnl_sum(w, N, seed ^ 1ull << b), good);
	assert_int_equal(jrnl_sum(w, N, seed), good);
}

/* What requests look like: small numbers, many of them the same. */
static void order_and_place(void **state)
{
	uint64_t w[N] = {0};
	uint32_t good, zeroes = jrnl_sum(w, N, 0);

	(void)state;
	for (unsigned i = 0; i < N; i++)
		w[i] = 8 + i;
	good = jrnl_sum(w, N, 0);
	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < i; k++) {
			uint64_t t = w[i];

			w[i] = w[k], w[k] = t;
			assert_int_not_equal(jrnl_sum(w, N, 0), good);
			w[k] = w[i], w[i] = t;
			w[i]++, w[k]--; /* the same sum */
			assert_int_not_equal(jrnl_sum(w, N, 0), good);
			w[i]--, w[k]++;
		}
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < N; i++) {
		w[i] = 1;
		assert_int_not_equal(jrnl_sum(w, N, 0), zeroes);
		assert_int_not_equal(jrnl_sum(w, N, 0), jrnl_sum(w, N, 1));
		w[i] = 0;
	}
}

/* Few of many random damages may escape a word of 32 bits; not one of so few may. */
static void damage(void **state)
{
	uint64_t w[14], bad[14];
	uint32_t good;

	(void)state;
	fill(w, 14, 5);
	good = jrnl_sum(w, 14, 3);
	for (unsigned i = 0; i < 100000; i++) {
		memcpy(bad, w, sizeof(w));
		fill(&bad[i % 14], 1 + i / 14 % (14 - i % 14), i);
		assert_int_not_equal(jrnl_sum(bad, 14, 3), good);
	}
}

/* Of any length that an ABI has, and from any place that it may have in the ring. */
static void a_copy_is_summed_alike(void **state)
{
	static const size_t len[] = {112, 108, 16, 8, 4, 20};
	uint8_t src[160];
	uint64_t dst[14] __attribute__((aligned(16)));

	(void)state;
	for (unsigned i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 37 + 1);
	for (unsigned l = 0; l < ARRAY_LEN(len); l++)
		for (unsigned at = 0; at < 16; at += 4) {
			size_t whole = (len[l] + 15) / 16 * 16;
			uint32_t sum;

			memset(dst, 0xee, sizeof(dst));
			sum = jrnl_copy_sum((uint8_t *)dst, src + at, len[l], 9);
			assert_memory_equal(dst, src + at, len[l]);
			for (size_t i = len[l]; i < sizeof(dst); i++)
				assert_int_equal(((uint8_t *)dst)[i], i < whole ? 0 : 0xee);
			assert_int_equal(sum, jrnl_sum(dst, whole / 8, 9));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_everywhere), cmocka_unit_test(one_flipped_bit), cmocka_unit_test(order_and_place),
		cmocka_unit_test(damage), cmocka_unit_test(a_copy_is_summed_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
