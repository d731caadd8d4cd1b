/* The recorder sees each way in which answers can be wrong. */
#include "tests/chaos/lived.c"
#include "tests/chaos/recorder.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void ask(struct recorder *r, uint64_t index, uint64_t id) { submitted(r, 1, index, id, 1, index * 8, 8); }
static void answer(struct recorder *r, uint64_t index, uint64_t id) { answered(r, 1, index, id, 1, 0); }

/* Two requests, of which the second was answered. */
static struct recorder *begin(void)
{
	struct recorder *r = recorder_open();

	assert_non_null(r);
	ask(r, 0, 7);
	ask(r, 1, 9);
	answer(r, 0, 9);
	assert_int_equal(recorder_faults(r), 0);
	return r;
}

/* Only this was wrong, once. */
static void only(struct recorder *r, const uint64_t *count)
{
	assert_int_equal(*count, 1);
	assert_int_equal(recorder_faults(r), 1);
	recorder_close(r);
}

static void right_answers_are_no_fault(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answer(r, 1, 7);
	recorder_settle(r);
	for (uint64_t i = 0; i < 2 * PAST; i++) {
		ask(r, i, i << 32);
		submitted(r, 0, i, i << 32, 0, 0, 1);
		answer(r, i, i << 32);
		answered(r, 0, i, i << 32, 0, 0);
	}
	recorder_settle(r);
	assert_int_equal(recorder_faults(r), 0);
	assert_int_equal(recorder_get(r)->requests, 2 + 4 * PAST);
	assert_int_equal(recorder_get(r)->answers, 2 + 4 * PAST);
	recorder_close(r);
}

static void a_missing_one(void **state)
{
	struct recorder *r = begin();

	(void)state;
	recorder_settle(r);
	only(r, &recorder_get(r)->missing);
}

static void a_repeated_one(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answer(r, 1, 9);
	only(r, &recorder_get(r)->repeated);
}

static void an_invented_one(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answer(r, 1, 8);
	only(r, &recorder_get(r)->invented);
}

static void another_queue_s_id(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answered(r, 0, 0, 7, 1, 0);
	only(r, &recorder_get(r)->invented);
}

static void an_error(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answered(r, 1, 1, 7, 1, -1);
	only(r, &recorder_get(r)->errors);
}

static void another_operation(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answered(r, 1, 1, 7, 0, 0);
	only(r, &recorder_get(r)->wrong_op);
}

static void an_index_left_out(void **state)
{
	struct recorder *r = begin();

	(void)state;
	answer(r, 2, 7);
	only(r, &recorder_get(r)->disorder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_answers_are_no_fault), cmocka_unit_test(a_missing_one),
		cmocka_unit_test(a_repeated_one),	      cmocka_unit_test(an_invented_one),
		cmocka_unit_test(another_queue_s_id),	      cmocka_unit_test(an_error),
		cmocka_unit_test(another_operation),	      cmocka_unit_test(an_index_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
