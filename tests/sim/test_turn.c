/* A queue's turn, on the simulated provider over an engine that the test commands: hostile indices and requests, memory
 * that the guest changes under our hands, draining, and what a successor makes of it. */
#include "tests/sim/turn_rig.h"

#include "ring/base/err.h"

/* ---- indices */

static void halt(uint32_t req_prod)
{
	unsigned before = r.engine.q[0].submitted;
	uint8_t *journal = malloc(r.bytes);
	uint32_t shown = r.ring[0]->rsp_prod;

	r.ring[0]->req_prod = req_prod;
	memcpy(journal, r.journal, r.bytes);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(blkback_turn(r.q, NR) & BLKBACK_HALTED);
		assert_true(blkback_turn(blkback_get_queue(r.b, 1), NR) & BLKBACK_HALTED); /* the device */
		assert_int_equal(blkback_arm(r.q), 0);
	}
	blk_break(r.b, BLKBACK_BROKEN_RING, "found by another queue's thread at the same moment");
	assert_int_equal(r.events[BLKBACK_BROKEN_RING], 1); /* said once */
	assert_int_equal(r.events[BLKBACK_BROKEN_JOURNAL], 0);
	assert_int_equal(r.engine.q[0].submitted, before);
	assert_int_equal(r.ring[0]->rsp_prod, shown);
	for (unsigned i = 0; i < NQ; i++) { /* nothing but statistics was stored */
		size_t at = jrnl_queue_offset(NR, i), slots = at + JRNL_PAGE;

		assert_memory_equal((char *)r.journal + at, journal + at, offsetof(struct jrnl_queue, stats));
		assert_memory_equal((char *)r.journal + slots, journal + slots, jrnl_queue_bytes(NR) - JRNL_PAGE);
	}
	free(journal);
}

/* Two requests in the engine, one answered before. */
static void three_requests(void)
{
	for (unsigned i = 0; i < 3; i++)
		post(BLKIF_OP_READ, 100 + i, 8 * i, i);
	turn();
	finish(0);
	turn();
	expect(100, BLKIF_OP_READ, 0);
}

#define HALTS(name, prod)                         \
	static void test_index_##name(void **state) \
	{                                         \
		(void)state;                      \
		three_requests();                 \
		halt((uint32_t)(prod));           \
	}
HALTS(one_too_far, 1 + NR + 1)
HALTS(far, 3 + (1u << 31))
HALTS(back_by_one, 2)
HALTS(back_to_the_answers, 1)
HALTS(back_before_the_answers, 0)
HALTS(minus_one, UINT32_MAX)

static void test_a_full_ring_is_no_fault(void **state)
{
	(void)state;
	three_requests();
	for (unsigned i = 3; i < 1 + NR; i++)
		post(BLKIF_OP_READ, 100 + i, 8 * i, i);
	for (unsigned i = 0; i < NR; i++) /* each takes a part of what waits */
		turn();
	assert_int_equal(r.engine.q[0].nheld, NR);
	assert_int_equal(r.events[BLKBACK_BROKEN_RING], 0);
}

/* ---- one look at what the guest can change */

static void scribble(uint8_t byte)
{
	memset(r.ring[0]->ring, byte, NR * sizeof(r.ring[0]->ring[0]));
}

/* Between take and load, and between load and the answer, the ring is written over: what was taken counts. */
static void test_the_ring_is_read_once(void **state)
{
	struct engine_req *e;

	(void)state;
	memset(r.data, 0x11, NDATA * BH_PAGE_SIZE);
	memset(r.data + 5 * BH_PAGE_SIZE, 0x55, BH_PAGE_SIZE);
	post(BLKIF_OP_WRITE, 0xabcdef, 800, 5);
	assert_int_equal(blk_take(r.q, NR), 1);
	scribble(0xff);
	assert_true(blk_run_todo(r.q, 64));
	e = STAILQ_FIRST(&r.engine.q[0].held);
	assert_non_null(e);
	assert_int_equal(e->op, ENGINE_WRITE);
	assert_true(e->off == 800 * 512 && e->len == 4096 && e->iovcnt == 1);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(((char *)e->iov->iov_base)[i], 0x55);
	scribble(0x00);
	memset(r.data + 5 * BH_PAGE_SIZE, 0x66, BH_PAGE_SIZE); /* too late as well */
	assert_int_equal(((char *)e->iov->iov_base)[0], 0x55);
	finish(0);
	turn();
	expect(0xabcdef, BLKIF_OP_WRITE, 0);
}

/* An indirect write of n pages from page 1 on, its list in page 0. */
static void post_indirect(uint8_t op, uint64_t id, uint64_t sector, unsigned n)
{
	struct blkif_request_segment *list = (void *)r.data;
	struct blkif_request_indirect q = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op,
					   .nr_segments = (uint16_t)n, .id = id, .sector_number = sector,
					   .indirect_grefs = {r.gref[0]}};

	for (unsigned i = 0; i < n; i++)
		list[i] = (struct blkif_request_segment){.gref = r.gref[1 + i], .first_sect = 0, .last_sect = 7};
	memset(entry(0, r.ring[0]->req_prod), 0, sizeof(struct blkif_request));
	memcpy(entry(0, r.ring[0]->req_prod), &q, sizeof(q));
	r.ring[0]->req_prod++;
}

static void check_indirect_write(void)
{
	struct engine_req *e = STAILQ_FIRST(&r.engine.q[0].held);

	assert_non_null(e);
	assert_true(e->op == ENGINE_WRITE && e->off == 4096 * 512 && e->len == 20 * 4096);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(((char *)e->iov->iov_base)[i * 4096], i + 1);
}

/* The list of an indirect request is the one that was seen first, for the successor too. */
static void test_a_list_is_read_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NDATA; i++)
		memset(r.data + i * BH_PAGE_SIZE, (int)i, BH_PAGE_SIZE);
	post_indirect(BLKIF_OP_WRITE, 77, 4096, 20);
	turn();
	check_indirect_write();
	memset(r.data, 0xff, BH_PAGE_SIZE);
	scribble(0xee);
	for (unsigned life = 0; life < 3; life++) {
		die();
		assert_int_equal(begin(BLKBACK_RESUME, false), 0);
		assert_int_equal(r.started.redo, 1);
		turn();
		check_indirect_write();
	}
	finish(0);
	turn();
	expect(77, BLKIF_OP_WRITE, 0);
}

/* ---- bad requests: an answer with their id, and the next good one is done */

static void test_bad_requests(void **state)
{
	static const struct {
		uint8_t op, nsegs, first, last;
		uint64_t sector;
		int16_t status;
	} bad[] = {
		{4, 1, 0, 7, 0, BLKIF_RSP_EOPNOTSUPP},		{7, 1, 0, 7, 0, BLKIF_RSP_EOPNOTSUPP},
		{255, 1, 0, 7, 0, BLKIF_RSP_EOPNOTSUPP},	{0, 0, 0, 7, 0, BLKIF_RSP_ERROR},
		{1, 12, 0, 7, 0, BLKIF_RSP_ERROR},		{0, 255, 0, 7, 0, BLKIF_RSP_ERROR},
		{0, 1, 4, 3, 0, BLKIF_RSP_ERROR},		{1, 1, 0, 8, 0, BLKIF_RSP_ERROR},
		{0, 1, 0, 255, 0, BLKIF_RSP_ERROR},		{1, 1, 0, 7, SECTORS, BLKIF_RSP_ERROR},
		{0, 1, 0, 7, UINT64_MAX - 7, BLKIF_RSP_ERROR},	{1, 1, 0, 7, SECTORS - 7, BLKIF_RSP_ERROR},
	};

	(void)state;
	r.engine.at_once = true;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		unsigned before = r.engine.q[0].submitted;
		struct blkif_request *q = entry(0, r.ring[0]->req_prod);

		post(bad[i].op, 1000 + i, bad[i].sector, 0);
		q->nr_segments = bad[i].nsegs;
		q->seg[0].first_sect = bad[i].first;
		q->seg[0].last_sect = bad[i].last;
		turn();
		expect(1000 + i, bad[i].op, bad[i].status);
		assert_int_equal(r.engine.q[0].submitted, before);
		post(BLKIF_OP_WRITE, 2000 + i, 0, 0);
		turn();
		expect(2000 + i, BLKIF_OP_WRITE, 0);
	}
	assert_int_equal(r.q->nfree, NR);
	assert_int_equal(blk_ranges_count(r.b->ranges), 0);
	assert_int_equal(blk_pool_used(r.q->pool), 0);
	assert_int_equal(r.events[BLKBACK_BROKEN_RING], 0);
}

static void test_bad_pages(void **state)
{
	(void)state;
	r.engine.at_once = true;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t op = i % 2;

		post(op, i, 8, 0);
		entry(0, r.ring[0]->req_prod - 1)->seg[0].gref = i / 2 ? 0 : 9999999;
		turn();
		expect(i, op, BLKIF_RSP_ERROR);
	}
	post_indirect(BLKIF_OP_WRITE, 50, 0, 20);
	((struct blkif_request_indirect *)entry(0, r.ring[0]->req_prod - 1))->indirect_grefs[0] = 9999999;
	turn();
	expect(50, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	post_indirect(BLKIF_OP_READ, 51, 0, 20);
	((struct blkif_request_segment *)(void *)r.data)[19].gref = 9999999;
	turn();
	expect(51, BLKIF_OP_READ, BLKIF_RSP_ERROR);
	post(BLKIF_OP_READ, 52, 0, 0);
	turn();
	expect(52, BLKIF_OP_READ, 0);
	assert_int_equal(blk_pool_used(r.q->pool), 0);
	assert_int_equal(hv_usage(r.be).mapped, NQ + blk_grants_mapped(r.q->grants)); /* and the rings */
}

static void test_discard_of_nothing(void **state)
{
	struct blkif_request_discard *d = (void *)entry(0, 0);

	(void)state;
	r.engine.at_once = true;
	*d = (struct blkif_request_discard){.operation = BLKIF_OP_DISCARD, .id = 5, .sector_number = 16};
	r.ring[0]->req_prod = 1;
	turn();
	expect(5, BLKIF_OP_DISCARD, 0);
	assert_int_equal(r.engine.q[0].submitted, 0);
}

/* ---- drain, sleep, publish */

static void test_drain(void **state)
{
	(void)state;
	assert_int_equal(blkback_drained(r.q), 0);
	three_requests();
	blkback_drain(r.b);
	post(BLKIF_OP_READ, 200, 0, 0); /* stays on the ring */
	turn();
	assert_int_equal(r.engine.q[0].submitted, 3);
	assert_int_equal(blkback_drained(r.q), 0);
	assert_int_equal(blkback_arm(r.q), 0); /* what is on the ring is no reason to be awake */
	finish(1);
	turn();
	expect(102, BLKIF_OP_READ, 0);
	assert_int_equal(blkback_drained(r.q), 0);
	finish(0);
	turn();
	expect(101, BLKIF_OP_READ, 0);
	assert_int_equal(blkback_drained(r.q), 1);
	assert_int_equal(blkback_drained(blkback_get_queue(r.b, 1)), 1);
	die();
	r.engine.at_once = true;
	assert_int_equal(begin(BLKBACK_RESUME, false), 0);
	assert_int_equal(r.started.redo + r.started.reanswered, 0);
	turn();
	expect(200, BLKIF_OP_READ, 0);
}

static void test_arm(void **state)
{
	(void)state;
	assert_int_equal(blkback_arm(r.q), 0);
	assert_int_equal(r.ring[0]->req_event, 1);
	post(BLKIF_OP_READ, 1, 0, 0);
	assert_int_equal(blkback_arm(r.q), 1);
	turn();
	assert_int_equal(blkback_arm(r.q), 0);
	assert_int_equal(r.ring[0]->req_event, 2);
	finish(0);
	assert_int_equal(blkback_arm(r.q), 1); /* the engine has something */
}

/* An event for the guest when it asked for one, and not otherwise. */
static void test_notify(void **state)
{
	(void)state;
	r.engine.at_once = true;
	hv_port_clear(r.fe_port[0]);
	r.ring[0]->rsp_event = 2;
	post(BLKIF_OP_READ, 1, 0, 0);
	turn();
	assert_false(sim_hv_pending(r.fe_port[0]));
	post(BLKIF_OP_READ, 2, 0, 0);
	turn();
	assert_true(sim_hv_pending(r.fe_port[0]));
	assert_false(hv_port_clear(r.fe_port[1]) == 0); /* the other queue was greeted at the start, and since then */
	assert_false(sim_hv_pending(r.fe_port[1]));	/* not told of what is not its own */
}

/* ---- successors */

/* One request that the storage holds while the ring goes around it: age is no sign of corruption. */
static void test_a_hanging_request_survives(void **state)
{
	(void)state;
	post(BLKIF_OP_WRITE, 999, 0, 0);
	turn();
	for (unsigned i = 0; i < 5 * NR; i++) {
		post(BLKIF_OP_READ, i, 800, 1);
		turn();
		finish(1);
		turn();
		expect(i, BLKIF_OP_READ, 0);
	}
	die();
	assert_int_equal(begin(BLKBACK_RESUME, false), 0);
	assert_int_equal(r.started.redo, 1);
	turn();
	finish(0);
	turn();
	expect(999, BLKIF_OP_WRITE, 0);
	expect_no_answer();
}

static void expect_untouched_resume(int want)
{
	void *journal = malloc(r.bytes), *ring = malloc(BH_PAGE_SIZE);

	die();
	memcpy(journal, r.journal, r.bytes);
	memcpy(ring, r.ring[0], BH_PAGE_SIZE);
	assert_int_equal(begin(BLKBACK_RESUME, false), want);
	assert_memory_equal(journal, r.journal, r.bytes);
	assert_memory_equal(ring, r.ring[0], BH_PAGE_SIZE);
	free(journal);
	free(ring);
}

static void test_another_connection(void **state)
{
	(void)state;
	three_requests();
	r.conn.epoch++;
	expect_untouched_resume(-EMISMATCH);
	assert_int_equal(r.events[BLKBACK_BROKEN_JOURNAL], 0);
}

/* Of either queue: nothing is answered on any. */
static void test_corrupt_journal(void **state)
{
	struct jrnl_slot *s = (void *)((char *)r.journal + jrnl_queue_offset(NR, 1) + JRNL_PAGE);

	(void)state;
	three_requests();
	s[3].state = 12345;
	expect_untouched_resume(-EBADMSG);
	assert_int_equal(r.events[BLKBACK_BROKEN_JOURNAL], 1);
	assert_non_null(strstr(r.text, "slot 3"));
	assert_true(blkback_turn(r.q, NR) & BLKBACK_HALTED);
	assert_true(blkback_turn(blkback_get_queue(r.b, 1), NR) & BLKBACK_HALTED);
	assert_int_equal(r.events[BLKBACK_BROKEN_JOURNAL], 1);
}

/* Two writes to the same place are never in the engine at once; a read does not wait. */
static void test_overlapping_writes_wait(void **state)
{
	(void)state;
	post(BLKIF_OP_WRITE, 1, 0, 0);
	post(BLKIF_OP_WRITE, 2, 4, 1);
	post(BLKIF_OP_READ, 3, 0, 2);
	post(BLKIF_OP_WRITE, 4, 16, 3);
	turn();
	assert_int_equal(r.engine.q[0].nheld, 3);
	finish(0);
	turn();
	expect(1, BLKIF_OP_WRITE, 0);
	turn();
	assert_int_equal(r.engine.q[0].nheld, 3);
	for (unsigned i = 0; i < 3; i++)
		finish(0);
	turn();
	assert_int_equal(r.ring[0]->rsp_prod, 4);
}

/* Once a flush has failed, every flush fails, on every queue, in every generation. */
static void test_a_failed_flush_is_remembered(void **state)
{
	(void)state;
	r.engine.at_once = true;
	r.engine.result = -EIO;
	post(BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 0);
	turn();
	expect(1, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
	r.engine.result = 0;
	for (unsigned life = 0; life < 3; life++) {
		post(BLKIF_OP_FLUSH_DISKCACHE, 2, 0, 0);
		post(BLKIF_OP_WRITE, 3, 0, 0);
		turn();
		expect(2, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
		expect(3, BLKIF_OP_WRITE, 0);
		die();
		assert_int_equal(begin(BLKBACK_RESUME, true), 0);
	}
}

/* Of two queues' flushes the second looked for the mark before the first one's failure was stored. */
static void test_a_flush_behind_a_failed_one_fails(void **state)
{
	(void)state;
	post(BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 0);
	turn();
	assert_int_equal(r.engine.q[0].nheld, 1);
	jrnl_flush_failed(&r.b->jrnl);
	finish(0);
	turn();
	expect(1, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
}

/* Who died between an answer and its last words about itself leaves figures that are not its successor's. */
static void test_an_idle_successor_looks_idle(void **state)
{
	struct jrnl_stats *st = &r.q->j->hdr->stats;

	(void)state;
	post(BLKIF_OP_WRITE, 1, 0, 0);
	turn();
	assert_true(st->oldest_taken != 0 && st->engine_outstanding == 1);
	finish(0);
	turn();
	expect(1, BLKIF_OP_WRITE, 0);
	st->oldest_taken = 1;
	st->engine_outstanding = 1;
	die();
	assert_int_equal(begin(BLKBACK_RESUME, false), 0);
	turn();
	st = &r.q->j->hdr->stats;
	assert_true(st->oldest_taken == 0 && st->engine_outstanding == 0);
}

static void test_a_barrier_says_that_it_waits_for_the_fence(void **state)
{
	(void)state;
	die();
	r.engine.shut = r.engine.at_once = true;
	assert_int_equal(begin(BLKBACK_RESUME, false), 0);
	post(BLKIF_OP_WRITE_BARRIER, 1, 0, 0);
	turn();
	turn();
	expect_no_answer();
	assert_int_equal(r.events[BLKBACK_FENCING], 1);
	assert_int_equal(r.events[BLKBACK_FENCED], 0);
	r.engine.shut = false;
	for (unsigned i = 0; i < 3; i++)
		turn();
	expect(1, BLKIF_OP_WRITE_BARRIER, 0);
	assert_int_equal(r.events[BLKBACK_FENCED], 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_index_one_too_far),
		T(test_index_far),
		T(test_index_back_by_one),
		T(test_index_back_to_the_answers),
		T(test_index_back_before_the_answers),
		T(test_index_minus_one),
		T(test_a_full_ring_is_no_fault),
		T(test_the_ring_is_read_once),
		T(test_a_list_is_read_once),
		T(test_bad_requests),
		T(test_bad_pages),
		T(test_discard_of_nothing),
		T(test_drain),
		T(test_arm),
		T(test_notify),
		T(test_a_hanging_request_survives),
		T(test_another_connection),
		T(test_corrupt_journal),
		T(test_overlapping_writes_wait),
		T(test_a_failed_flush_is_remembered),
		T(test_a_flush_behind_a_failed_one_fails),
		T(test_an_idle_successor_looks_idle),
		T(test_a_barrier_says_that_it_waits_for_the_fence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
