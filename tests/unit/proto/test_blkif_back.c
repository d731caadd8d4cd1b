/* The backend's end of the ring beside the macros of <xen/io/ring.h> on the same memory, and what a hostile frontend
 * can do to its indices. */
#include "ring/proto/blkif_back.h"

#include "ring/os/clock.h"
#include "tests/unit/proto/raw_req.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* What the public macros use. */
#define mb() smp_mb()
#define wmb() smp_wmb()

#define ROUNDS 200000

static uint64_t rng;
static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* A number near 0, near 2^31 or 2^32, or anywhere. */
static uint64_t odd_index(void)
{
	static const uint64_t base[] = {1024, 1ull << 31, 1ull << 32, 3ull << 32, 1ull << 62};

	return rnd() % 4 ? base[rnd() % ARRAY_LEN(base)] + rnd() % 256 - 128 : rnd() >> 1;
}

static int setup(void **state)
{
	(void)state;
	rng = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : clock_now();
	rng |= 1;
	print_message("SEED=%llu\n", (unsigned long long)rng);
	return 0;
}

static _Alignas(4096) uint8_t mem[16 * 4096 + 256], mem2[4096];

static struct blkif_back ring_of(uint32_t protocol, uint32_t pages)
{
	struct blkif_back r;

	memset(mem, 0xa5, sizeof(mem));
	blkif_back_init(&r, mem, blkif_ring_entries(pages, blkif_abi(protocol)), blkif_abi(protocol));
	return r;
}

static uint32_t power_below(uint32_t n)
{
	uint32_t p = 1;

	while (2 * p <= n)
		p *= 2;
	return p;
}

static void test_number_of_entries(void **state)
{
	(void)state;
	for (uint32_t pages = 1; pages <= 16; pages *= 2) {
		uint32_t want32 = power_below((pages * 4096 - 64) / 108);
		struct blkif_sring *s = (void *)mem;
		struct blkif_back_ring theirs;

		BACK_RING_INIT(&theirs, s, pages * 4096ul);
		assert_int_equal(blkif_ring_entries(pages, blkif_abi(CONN_NATIVE)), RING_SIZE(&theirs));
		assert_int_equal(blkif_ring_entries(pages, blkif_abi(CONN_X86_64)), RING_SIZE(&theirs));
		assert_int_equal(blkif_ring_entries(pages, blkif_abi(CONN_X86_32)), want32);
		assert_int_equal(RING_SIZE(&theirs), 32 * pages);
	}
}

static void test_places_of_entries(void **state)
{
	(void)state;
	for (uint32_t pages = 1; pages <= 16; pages *= 2) {
		struct blkif_back n = ring_of(CONN_X86_64, pages), s = ring_of(CONN_X86_32, pages);
		struct blkif_back_ring theirs;

		BACK_RING_INIT(&theirs, n.sring, pages * 4096ul);
		for (unsigned i = 0; i < 4096; i++) {
			uint64_t at = odd_index();

			assert_ptr_equal(blkif_back_entry(&n, at), RING_GET_REQUEST(&theirs, (RING_IDX)at));
			assert_ptr_equal(blkif_back_entry(&n, at), RING_GET_RESPONSE(&theirs, (RING_IDX)at));
			assert_ptr_equal(blkif_back_entry(&s, at), mem + 64 + 108 * (at % s.nr));
		}
		assert_true(blkif_back_entry(&n, n.nr - 1) + n.abi.stride <= mem + pages * 4096);
		assert_true(blkif_back_entry(&s, s.nr - 1) + s.abi.stride <= mem + pages * 4096);
		assert_ptr_equal(blkif_back_entry(&n, 1ull << 32), n.ents); /* the ring's length divides 2^32 */
	}
}

/* Any index that the guest may write, against what can be outstanding. */
static void test_pending(void **state)
{
	struct blkif_back r = ring_of(CONN_NATIVE, 1);
	struct blkif_back_ring theirs;

	(void)state;
	BACK_RING_INIT(&theirs, r.sring, 4096ul);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t rsp = odd_index(), cons = rsp + rnd() % (r.nr + 1);
		uint32_t prod = (uint32_t)(rnd() % 4 ? rsp + rnd() % (4 * r.nr) - r.nr : rnd());
		int got;

		r.sring->req_prod = prod;
		theirs.req_cons = (RING_IDX)cons;
		theirs.rsp_prod_pvt = (RING_IDX)rsp;
		got = blkif_back_pending(&r, cons, rsp);
		if (RING_REQUEST_PROD_OVERFLOW(&theirs, prod) || (int32_t)(prod - (uint32_t)cons) < 0)
			assert_int_equal(got, -EPEER);
		else
			assert_int_equal(got, XEN_RING_NR_UNCONSUMED_REQUESTS(&theirs));
	}
}

static void test_index_out_of_range(void **state)
{
	struct blkif_back r = ring_of(CONN_X86_32, 1);
	static const uint64_t at[] = {0, 5, (1ull << 32) - 3, 1ull << 32, (7ull << 32) + 31};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		uint64_t rsp = at[i], cons = rsp + 10;

		r.sring->req_prod = (uint32_t)(rsp + r.nr); /* full */
		assert_int_equal(blkif_back_pending(&r, cons, rsp), r.nr - 10);
		r.sring->req_prod = (uint32_t)(rsp + r.nr + 1);
		assert_int_equal(blkif_back_pending(&r, cons, rsp), -EPEER);
		r.sring->req_prod = (uint32_t)cons;
		assert_int_equal(blkif_back_pending(&r, cons, rsp), 0);
		r.sring->req_prod = (uint32_t)cons - 1; /* went back: between what was answered and what was taken */
		assert_int_equal(blkif_back_pending(&r, cons, rsp), -EPEER);
		r.sring->req_prod = (uint32_t)rsp;
		assert_int_equal(blkif_back_pending(&r, cons, rsp), -EPEER);
		r.sring->req_prod = (uint32_t)rsp - 1;
		assert_int_equal(blkif_back_pending(&r, cons, rsp), -EPEER);
		r.sring->req_prod = (uint32_t)cons + (1u << 31);
		assert_int_equal(blkif_back_pending(&r, cons, rsp), -EPEER);
	}
}

/* The same indices and events in two rings: the macro's decision, and every byte of the header, must be ours. */
static void test_publish(void **state)
{
	unsigned notified = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct blkif_back r;
		struct blkif_back_ring theirs;
		uint64_t old = odd_index(), prod = old + rnd() % 33;
		uint32_t event = (uint32_t)(rnd() % 4 ? old + rnd() % 80 - 20 : rnd());
		int want;

		blkif_back_init(&r, mem, 32, blkif_abi(CONN_NATIVE));
		BACK_RING_INIT(&theirs, (struct blkif_sring *)mem2, 4096ul);
		r.sring->rsp_prod = theirs.sring->rsp_prod = (uint32_t)old;
		r.sring->rsp_event = theirs.sring->rsp_event = event;
		theirs.rsp_prod_pvt = (RING_IDX)prod;
		RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&theirs, want);
		assert_int_equal(blkif_back_publish(&r, old, prod), want);
		assert_int_equal(r.sring->rsp_prod, theirs.sring->rsp_prod);
		assert_int_equal(r.sring->rsp_event, event);
		notified += (unsigned)want;
	}
	assert_in_range(notified, ROUNDS / 50, ROUNDS - ROUNDS / 50); /* both answers were seen */
}

/* What of rsp_prod the guest wrote over does not count: `old` is ours. */
static void test_publish_does_not_believe_the_ring(void **state)
{
	struct blkif_back r = ring_of(CONN_NATIVE, 1);

	(void)state;
	r.sring->rsp_event = 101;
	r.sring->rsp_prod = 0xdeadbeef;
	assert_true(blkif_back_publish(&r, 100, 101));
	assert_int_equal(r.sring->rsp_prod, 101);
	r.sring->rsp_prod = 102;
	assert_false(blkif_back_publish(&r, 101, 102)); /* 101 is behind already */
}

static void test_arm(void **state)
{
	unsigned more = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct blkif_back r;
		struct blkif_back_ring theirs;
		uint64_t rsp = odd_index(), cons = rsp + rnd() % 33;
		uint32_t prod = (uint32_t)(cons + (rnd() % 2 ? rnd() % (rsp + 33 - cons) : 0));
		int want;

		blkif_back_init(&r, mem, 32, blkif_abi(CONN_NATIVE));
		BACK_RING_INIT(&theirs, (struct blkif_sring *)mem2, 4096ul);
		r.sring->req_prod = theirs.sring->req_prod = prod;
		r.sring->req_event = theirs.sring->req_event = 0x77777777;
		theirs.req_cons = (RING_IDX)cons;
		theirs.rsp_prod_pvt = (RING_IDX)rsp;
		RING_FINAL_CHECK_FOR_REQUESTS(&theirs, want);
		assert_int_equal(blkif_back_arm(&r, cons), want != 0);
		if (!want) /* the macro arms only then */
			assert_int_equal(r.sring->req_event, theirs.sring->req_event);
		assert_int_equal(r.sring->req_event, (uint32_t)cons + 1);
		more += want != 0;
	}
	assert_in_range(more, ROUNDS / 50, ROUNDS - ROUNDS / 50);
}

/* The whole page around an answer: nothing but its bytes changed, and those that mean nothing are zero. */
static void check_answer(uint32_t protocol, uint64_t index, uint8_t op, int16_t status)
{
	struct blkif_back r = ring_of(protocol, 1);
	uint8_t want[sizeof(mem)];
	size_t at = 64 + (index % r.nr) * (protocol == CONN_X86_32 ? 108 : 112);
	uint64_t id = rnd();

	memset(want, 0xa5, sizeof(want));
	if (protocol == CONN_X86_32) {
		struct rsp32 a = {.id = id, .operation = op, .status = status};

		memcpy(want + at, &a, sizeof(a));
	} else {
		memset(want + at, 0, sizeof(struct blkif_response));
		((struct blkif_response *)(want + at))->id = id;
		((struct blkif_response *)(want + at))->operation = op;
		((struct blkif_response *)(want + at))->status = status;
	}
	blkif_back_answer(&r, index, id, op, status);
	assert_memory_equal(mem, want, sizeof(mem));
}

static void test_answers(void **state)
{
	static const uint32_t protocols[] = {CONN_NATIVE, CONN_X86_64, CONN_X86_32};
	static const int16_t statuses[] = {BLKIF_RSP_OKAY, BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP};

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(protocols); p++)
		for (unsigned op = 0; op < 256; op++)
			for (size_t s = 0; s < ARRAY_LEN(statuses); s++)
				check_answer(protocols[p], odd_index(), (uint8_t)op, statuses[s]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_of_entries),
		cmocka_unit_test(test_places_of_entries),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_index_out_of_range),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_publish_does_not_believe_the_ring),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
