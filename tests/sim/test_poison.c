/* A request that kills its stub is found, alone, and answered with an error; nobody else is (DESIGN.md section 6, poison). */
#include "tests/sim/turn_rig.h"

#define KILLER 800u /* writing this sector is what kills */
#define LIVES_MAX 40u

static struct engine_req *killer_in_engine(void)
{
	for (unsigned q = 0; q < NQ; q++) {
		struct engine_req *e;

		STAILQ_FOREACH(e, &r.engine.q[q].held, link)
			if (e->op == ENGINE_WRITE && e->off == KILLER * 512ull)
				return e;
	}
	return NULL;
}

static void next_life(bool own_fault)
{
	die();
	assert_int_equal(begin(BLKBACK_RESUME, own_fault), 0);
}

static unsigned answered(void) { return r.ring[0]->rsp_prod - r.rsp_cons[0]; }

struct story {
	unsigned deaths, beside[LIVES_MAX]; /* beside: others in the engine at each death */
};

/* Turns, the oldest request of the engine ending after each, until n are answered; the killer does its work. */
static struct story run(unsigned n)
{
	struct story s = {0};

	for (unsigned i = 0; answered() < n; i++) {
		assert_in_range(i, 0, 1000);
		turn();
		if (killer_in_engine()) {
			assert_in_range(s.deaths, 0, LIVES_MAX - 1);
			s.beside[s.deaths++] = r.engine.q[0].nheld - 1;
			next_life(true);
		} else if (r.engine.q[0].nheld) {
			finish(0);
		}
	}
	return s;
}

/* In any order: all of them, and only the killer with an error. */
static void expect_all_but(unsigned n, uint64_t killer)
{
	for (unsigned i = 0; i < n; i++) {
		struct blkif_response a = next_answer();

		assert_int_equal(a.status, a.id == killer ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
	}
	expect_no_answer();
}

static void test_the_killer_is_found(void **state)
{
	struct story s;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		post(BLKIF_OP_READ, 100 + i, 8 * i, i);
	post(BLKIF_OP_WRITE, 66, KILLER, 5);
	for (unsigned i = 0; i < 4; i++)
		post(BLKIF_OP_WRITE, 200 + i, 4000 + 8 * i, 6 + i);
	s = run(9);
	assert_int_equal(s.deaths, 5);
	assert_true(s.beside[0] > 0);
	assert_int_equal(s.beside[3], 0); /* alone */
	assert_int_equal(s.beside[4], 0);
	assert_int_equal(r.events[BLKBACK_POISON], 1);
	assert_non_null(strstr(r.text, "id 66"));
	expect_all_but(9, 66);
	assert_true(r.b->suspects == 0 && r.b->gated == 0);
}

/* Who waits behind it, for its range or at a barrier, was loaded by the same generations, and is innocent all the same. */
static void test_who_waits_behind_it_is_innocent(void **state)
{
	struct story s;

	(void)state;
	post(BLKIF_OP_WRITE, 66, KILLER, 5);
	post(BLKIF_OP_WRITE, 1, KILLER + 4, 6);
	entry(0, r.ring[0]->req_prod - 1)->seg[0].first_sect = 4; /* overlaps its second half only */
	post(BLKIF_OP_READ, 2, KILLER, 7);
	post(BLKIF_OP_FLUSH_DISKCACHE, 3, 0, 0);
	post(BLKIF_OP_WRITE_BARRIER, 4, 4000, 8);
	post(BLKIF_OP_READ, 5, 4000, 9);
	s = run(6);
	assert_int_equal(s.deaths, 5);
	assert_int_equal(r.events[BLKBACK_POISON], 1);
	expect_all_but(6, 66);
}

static void test_two_killers(void **state)
{
	struct story s;

	(void)state;
	post(BLKIF_OP_WRITE, 66, KILLER, 5);
	post(BLKIF_OP_READ, 1, 0, 6);
	post(BLKIF_OP_WRITE, 67, KILLER, 7); /* waits for the first one's range */
	s = run(3);
	assert_in_range(s.deaths, 6, 10);
	assert_int_equal(r.events[BLKBACK_POISON], 2);
	for (unsigned i = 0; i < 3; i++) {
		struct blkif_response a = next_answer();

		assert_int_equal(a.status, a.id == 1 ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR);
	}
}

/* Kills from outside, upgrades and the like: as many as you like. */
static void test_other_deaths_do_not_count(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		post(BLKIF_OP_WRITE, i, 80 * i, i);
	for (unsigned life = 0; life < 30; life++) {
		turn();
		assert_int_equal(r.engine.q[0].nheld, 3);
		next_life(false);
	}
	run(3);
	expect_all_but(3, UINT64_MAX);
	assert_int_equal(r.events[BLKBACK_POISON], 0);
}

/* A slot's next request does not inherit what the former was suspected of. */
static void test_a_new_request_is_innocent(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		post(BLKIF_OP_WRITE, round, 80, 1);
		turn();
		for (unsigned life = 0; life < 2; life++) {
			next_life(true);
			turn();
		}
		assert_int_equal(r.b->suspects, 0);
		finish(0);
		turn();
		expect(round, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	}
	assert_int_equal(r.events[BLKBACK_POISON], 0);
}

/* A resume that dies itself, before it has tried anything again, convicts nobody beyond suspicion. */
static void test_deaths_of_resumes(void **state)
{
	(void)state;
	post(BLKIF_OP_WRITE, 1, 80, 1);
	post(BLKIF_OP_WRITE, 2, 160, 2);
	turn();
	for (unsigned life = 0; life < 20; life++)
		next_life(true);
	assert_int_equal(r.b->suspects, 2);
	run(2);
	expect_all_but(2, UINT64_MAX);
	assert_int_equal(r.events[BLKBACK_POISON], 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_the_killer_is_found),
		T(test_who_waits_behind_it_is_innocent),
		T(test_two_killers),
		T(test_other_deaths_do_not_count),
		T(test_a_new_request_is_innocent),
		T(test_deaths_of_resumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
