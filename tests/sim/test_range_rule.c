/* The range rule on a queue's turn: what must wait for what, in ranges rounded out to the engine's write unit (4096 here), or a
 * neighbour's write is lost when the engine reads, modifies and writes; and what must not wait. */
#include "tests/sim/turn_rig.h"

/* One sector, in queue 0. */
static void post_sector(uint8_t op, uint64_t id, uint64_t sector)
{
	post(op, id, sector, (unsigned)id);
	entry(0, r.ring[0]->req_prod - 1)->seg[0].last_sect = 0;
}

static unsigned held(void) { return r.engine.q[0].nheld; }

static void test_neighbours_in_one_unit_wait(void **state)
{
	(void)state;
	post_sector(BLKIF_OP_WRITE, 1, 8);
	post_sector(BLKIF_OP_WRITE, 2, 9);  /* the same unit, another sector */
	post_sector(BLKIF_OP_WRITE, 3, 15); /* its last */
	turn();
	assert_int_equal(held(), 1);
	finish(0);
	turn();
	expect(1, BLKIF_OP_WRITE, 0);
	assert_int_equal(held(), 1);
	finish(0);
	turn();
	expect(2, BLKIF_OP_WRITE, 0);
	finish(0);
	turn();
	expect(3, BLKIF_OP_WRITE, 0);
	expect_no_answer();
	assert_int_equal(blk_ranges_count(r.b->ranges), 0);
}

static void test_others_do_not_wait(void **state)
{
	(void)state;
	post_sector(BLKIF_OP_WRITE, 1, 8);
	post_sector(BLKIF_OP_WRITE, 2, 7);  /* the unit before */
	post_sector(BLKIF_OP_WRITE, 3, 16); /* the unit behind */
	post_sector(BLKIF_OP_READ, 4, 8);   /* reads are not in the rule */
	turn();
	assert_int_equal(held(), 4);
}

/* A later write does not slip past one that waits and that it overlaps, though the storage is free for it. */
static void test_nobody_passes_who_waits(void **state)
{
	(void)state;
	post_sector(BLKIF_OP_WRITE, 1, 8);
	post(BLKIF_OP_WRITE, 2, 12, 2); /* units 1 and 2 */
	post_sector(BLKIF_OP_WRITE, 3, 16);
	turn();
	assert_int_equal(held(), 1);
	finish(0);
	turn();
	expect(1, BLKIF_OP_WRITE, 0);
	assert_int_equal(held(), 1);
	assert_true(STAILQ_FIRST(&r.engine.q[0].held)->off == 12 * 512);
}

/* What a former life has started holds its range before anything new may enter, and so in each life. */
static void test_the_started_come_first(void **state)
{
	(void)state;
	post_sector(BLKIF_OP_WRITE, 1, 8);
	turn();
	assert_int_equal(held(), 1);
	post_sector(BLKIF_OP_WRITE, 2, 9);
	for (unsigned life = 0; life < 3; life++) {
		die();
		assert_int_equal(begin(BLKBACK_RESUME, false), 0);
		assert_int_equal(blk_ranges_count(r.b->ranges), 1);
		turn();
		assert_int_equal(held(), 1);
		assert_true(STAILQ_FIRST(&r.engine.q[0].held)->off == 8 * 512);
	}
	finish(0);
	turn();
	expect(1, BLKIF_OP_WRITE, 0);
	finish(0);
	turn();
	expect(2, BLKIF_OP_WRITE, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_neighbours_in_one_unit_wait),
		T(test_others_do_not_wait),
		T(test_nobody_passes_who_waits),
		T(test_the_started_come_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
