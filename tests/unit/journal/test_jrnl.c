/* The journal's header, its ownership, and what a scan makes of slots in every state: which are redone, re-answered,
 * forgotten, in what order, and what it refuses. */
#include "tests/unit/journal/jrnl_rig.h"

#include "ring/base/err.h"

#include <errno.h>

#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/io/blkif.h>

#define N 16u
static struct jrig rig;
static struct jrnl_q *q;
static struct jrnl_scan scan;
static char err[160];

static int setup(void **state)
{
	(void)state;
	jrig_open(&rig, N, 2);
	q = &rig.j.q[1];
	err[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	jrig_close(&rig);
	return 0;
}

static void accept_scan(uint32_t nredo, uint32_t nreanswer, uint32_t nforget)
{
	if (jrnl_scan(q, &scan, err, sizeof(err)))
		fail_msg("%s", err);
	assert_int_equal(scan.nredo, nredo);
	assert_int_equal(scan.nreanswer, nreanswer);
	assert_int_equal(scan.nforget, nforget);
}

static void refuse_scan(const char *what)
{
	assert_int_equal(jrnl_scan(q, &scan, err, sizeof(err)), -EBADMSG);
	if (!strstr(err, what))
		fail_msg("refused for another reason: %s", err);
}

/* ---- header */

static void test_format(void **state)
{
	struct jrnl j;

	(void)state;
	assert_int_equal(rig.j.nslots, N);
	assert_int_equal(rig.j.nqueues, 2);
	assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j), 0);
	assert_memory_equal(&rig.j.hdr->conn, &rig.conn, sizeof(rig.conn));
	assert_int_equal(rig.j.hdr->size, rig.bytes);
	assert_false(jrnl_flush_has_failed(&j));
	for (uint32_t i = 0; i < 2; i++) {
		const struct jrnl_queue *h = j.q[i].hdr;

		assert_ptr_equal(h, (char *)rig.mem + jrnl_queue_offset(N, i));
		assert_true(h->req_cons == 0 && h->rsp_prod == 0 && h->stats.requests == 0 && h->stats.hist[63] == 0);
		for (uint32_t s = 0; s < N; s++)
			assert_int_equal(j.q[i].slot[s].state, JRNL_FREE);
		assert_ptr_equal(j.q[i].slot, (char *)h + JRNL_PAGE);
		assert_ptr_equal(j.q[i].list, j.q[i].slot + N);
		assert_true((char *)(j.q[i].list + N) <= (char *)rig.mem + rig.bytes);
	}
	q = &j.q[0];
	accept_scan(0, 0, 0);
}

static void test_generations(void **state)
{
	struct jrnl j;

	(void)state;
	assert_int_equal(JRNL_GENERATION_OF(rig.j.hdr->generation), 1);
	for (uint64_t g = 2; g < 5; g++) {
		assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j), 0);
		assert_int_equal(JRNL_GENERATION_OF(j.hdr->generation), g - 1); /* looking stores nothing */
		assert_int_equal(jrnl_own(&j), g);
		assert_int_equal(JRNL_GENERATION_OF(j.hdr->generation), g);
		assert_true(j.q[0].generation == g && j.q[1].generation == g);
	}
	jrnl_format(rig.mem, &rig.conn, N, &j);
	assert_int_equal(jrnl_own(&j), 1);
}

static void test_flush_failed_stays(void **state)
{
	struct jrnl j;

	(void)state;
	jrnl_flush_failed(&rig.j);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j), 0);
		assert_true(jrnl_flush_has_failed(&j));
		jrnl_own(&j);
	}
	jrnl_format(rig.mem, &rig.conn, N, &j); /* a new connection */
	assert_false(jrnl_flush_has_failed(&j));
}

static void expect_open(int want)
{
	struct jrnl j;
	void *before = malloc(rig.bytes);

	memcpy(before, rig.mem, rig.bytes);
	assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j), want);
	assert_memory_equal(before, rig.mem, rig.bytes);
	free(before);
}

/* Each member of the record by itself: another connection, and nothing of the journal is touched. */
static void test_another_connection(void **state)
{
	uint8_t *record = (uint8_t *)&rig.conn;

	(void)state;
	for (size_t i = 0; i < sizeof(rig.conn); i++) {
		if (i >= offsetof(struct conn_id, nqueues) && i < offsetof(struct conn_id, ring_pages))
			continue; /* changes the length asked for */
		record[i] ^= 0x40;
		expect_open(-EMISMATCH);
		record[i] ^= 0x40;
	}
	rig.conn.nqueues = 1;
	expect_open(-EMISMATCH);
	rig.conn.nqueues = 3;
	expect_open(-EBADMSG); /* shorter than that connection's journal */
	rig.conn.nqueues = 2;
	expect_open(0);
}

static void test_not_a_journal(void **state)
{
	struct jrnl j;

	(void)state;
	assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N / 2, &j), -EMISMATCH);
	assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, 2 * N, &j), -EBADMSG);
	assert_int_equal(jrnl_open(rig.mem, rig.bytes - 1, &rig.conn, N, &j), -EBADMSG);
	assert_int_equal(jrnl_open(rig.mem, 0, &rig.conn, N, &j), -EBADMSG);
	rig.j.hdr->valid = 0; /* half made */
	expect_open(-EMISMATCH);
	memset(rig.mem, 0, rig.bytes);
	expect_open(-EMISMATCH);
	memset(rig.mem, 0xff, rig.bytes);
	expect_open(-EBADMSG);
}

/* ---- what a scan decides */

static void test_every_state(void **state)
{
	(void)state;
	/* 98 to 105 are taken, two of them have answers not yet published; 106 and 107 are of a batch cut off */
	jrig_begin(q, 98, 106);
	jrig_done(q, 0, 90, 97, 0); /* published */
	jrig_done(q, 1, 101, 99, BLKIF_RSP_ERROR);
	jrig_done(q, 2, 104, 98, 0);
	jrig_take(q, 3, 105);
	jrig_load(q, 4, 103, 0);
	jrig_load(q, 5, 102, 200);
	jrig_start(q, 6, 99, 256);
	jrig_start(q, 7, 98, 1);
	jrig_start(q, 8, 100, 0);
	jrig_take(q, 9, 106);
	jrig_take(q, 10, 107);
	q->slot[11].index = 99; /* free: whatever is in it means nothing */
	accept_scan(6, 2, 3);
	assert_memory_equal(scan.redo, ((uint16_t[]){7, 6, 8, 5, 4, 3}), 12); /* in order of index */
	assert_memory_equal(scan.reanswer, ((uint16_t[]){2, 1}), 4);	      /* in order of the answers */
	assert_memory_equal(scan.forget, ((uint16_t[]){0, 9, 10}), 6);
}

static void test_all_orders(void **state)
{
	uint16_t perm[N];
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint64_t base = (1ull << 32) - round;

		for (uint32_t i = 0; i < N; i++)
			perm[i] = (uint16_t)i;
		for (uint32_t i = N; i > 1; i--) {
			uint32_t k = (uint32_t)rand_r(&seed) % i;
			uint16_t t = perm[k];

			perm[k] = perm[i - 1];
			perm[i - 1] = t;
		}
		jrig_begin(q, base, base + N);
		for (uint32_t i = 0; i < N / 2; i++)
			jrig_done(q, perm[i], base + N - 1 - i, base + i, 0);
		for (uint32_t i = N / 2; i < N; i++)
			jrig_start(q, perm[i], base + i - N / 2, 0);
		accept_scan(N / 2, N / 2, 0);
		assert_memory_equal(scan.reanswer, perm, N / 2 * sizeof(perm[0]));
		assert_memory_equal(scan.redo, perm + N / 2, N / 2 * sizeof(perm[0]));
	}
}

static void test_large_indices(void **state)
{
	static const uint64_t base[] = {0, 1, (1ull << 31) - 2, (1ull << 32) - 2, 1ull << 32, (1ull << 48) - 2,
					(1ull << 56) - 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(base); i++) {
		for (uint32_t s = 0; s < N; s++)
			jrnl_free(q, s);
		jrig_begin(q, base[i], base[i] + 4);
		jrig_start(q, 0, base[i] + 3, 0);
		jrig_done(q, 1, base[i] + 1, base[i], 0);
		jrig_take(q, 2, base[i] + 2);
		jrig_load(q, 3, base[i], 7);
		accept_scan(3, 1, 0);
		assert_memory_equal(scan.redo, ((uint16_t[]){3, 2, 0}), 6);
		assert_int_equal(scan.reanswer[0], 1);
	}
	/* the same low halves are not the same request */
	for (uint32_t s = 0; s < N; s++)
		jrnl_free(q, s);
	jrig_begin(q, 5ull << 32, 5ull << 32);
	jrig_done(q, 0, (4ull << 32) - 1, 4ull << 32, 0);
	accept_scan(0, 0, 1);
}

/* A request that the storage holds for long, while the ring goes on around it many times. */
static void test_an_old_request(void **state)
{
	(void)state;
	jrig_start(q, 0, 5, 0);
	jrig_take(q, 1, 1000000);
	jrig_begin(q, 999999, 1000001);
	accept_scan(2, 0, 0);
	assert_memory_equal(scan.redo, ((uint16_t[]){0, 1}), 4);
	jrig_done(q, 0, 5, 999999, 0); /* and then it is answered */
	accept_scan(1, 1, 0);
}

static void test_a_full_ring(void **state)
{
	(void)state;
	jrig_begin(q, 50, 50 + N);
	for (uint32_t s = 0; s < N; s++)
		jrig_take(q, s, 50 + s);
	accept_scan(N, 0, 0);
	for (uint32_t s = 0; s < N; s++)
		jrig_done(q, s, 50 + s, 50 + s, 0);
	accept_scan(0, N, 0);
	jrnl_publish(q, 50 + N);
	accept_scan(0, 0, N);
}

/* ---- what it refuses */

static void test_gap_in_the_answers(void **state)
{
	(void)state;
	jrig_begin(q, 10, 13);
	jrig_done(q, 0, 10, 10, 0);
	jrig_done(q, 1, 11, 12, 0);
	jrig_start(q, 2, 12, 0);
	refuse_scan("gap");
	jrig_done(q, 1, 11, 10, 0);
	refuse_scan("twice");
	jrig_done(q, 1, 11, 11, 0);
	accept_scan(1, 2, 0);
	jrig_done(q, 1, 11, 10 + N, 0);
	refuse_scan("out of range");
	jrig_done(q, 1, 11, UINT64_MAX, 0);
	refuse_scan("out of range");
}

static void test_one_request_twice(void **state)
{
	(void)state;
	jrig_begin(q, 10, 12);
	jrig_start(q, 0, 10, 0);
	jrig_take(q, 1, 10);
	refuse_scan("two slots of one request");
	jrig_done(q, 0, 10, 10, 0);
	refuse_scan("both answered and not");
	jrig_done(q, 1, 10, 11, 0);
	refuse_scan("answered twice");
	jrig_done(q, 1, 11, 11, 0);
	accept_scan(0, 2, 0);
}

static void test_numbers_that_do_not_match(void **state)
{
	(void)state;
	jrig_begin(q, 10, 12);
	jrig_start(q, 0, 10, 0);
	refuse_scan("do not match"); /* 11 is nowhere */
	jrig_start(q, 1, 11, 0);
	accept_scan(2, 0, 0);
	jrig_start(q, 2, 9, 0);
	refuse_scan("do not match"); /* one too many */
	jrnl_free(q, 2);
	jrig_begin(q, 13, 12); /* answered more than was taken */
	refuse_scan("do not match");
}

static void test_indices_beyond(void **state)
{
	(void)state;
	jrig_begin(q, 10, 11);
	jrig_take(q, 0, 10);
	accept_scan(1, 0, 0);
	jrig_take(q, 1, 11); /* its batch was not finished */
	accept_scan(1, 0, 1);
	jrig_load(q, 1, 11, 0); /* loaded before it was taken: never */
	refuse_scan("out of range");
	jrig_start(q, 1, UINT64_MAX, 0);
	refuse_scan("out of range");
	jrig_done(q, 1, 11, 10, 0); /* answered before it was taken */
	refuse_scan("out of range");
}

static void test_no_such_state(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		q->slot[3].state = 1u << i;
		refuse_scan("no such state");
	}
	q->slot[3].state = UINT32_MAX;
	refuse_scan("slot 3: no such state");
}

static void test_length_of_the_list(void **state)
{
	(void)state;
	jrig_begin(q, 10, 11);
	jrig_start(q, N - 1, 10, 256);
	accept_scan(1, 0, 0);
	q->slot[N - 1].nlist = 257; /* behind it the journal ends */
	refuse_scan("length of the list");
	q->slot[N - 1].nlist = UINT32_MAX;
	refuse_scan("length of the list");
}

/* The line is cut, never written behind. */
static void test_short_text(void **state)
{
	char text[8] = "xxxxxxx";

	(void)state;
	q->slot[0].state = 1;
	assert_int_equal(jrnl_scan(q, &scan, text, 5), -EBADMSG);
	assert_memory_equal(text, "slot\0xx", 8);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_format),
		T(test_generations),
		T(test_flush_failed_stays),
		T(test_another_connection),
		T(test_not_a_journal),
		T(test_every_state),
		T(test_all_orders),
		T(test_large_indices),
		T(test_an_old_request),
		T(test_a_full_ring),
		T(test_gap_in_the_answers),
		T(test_one_request_twice),
		T(test_numbers_that_do_not_match),
		T(test_indices_beyond),
		T(test_no_such_state),
		T(test_length_of_the_list),
		T(test_short_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
