/* The block frontend's events: arm, re-check, notify once; storms; the end of the device; what an observer sees. */
#include "tests/unit/frontend/fake_back.h"

static bool readable(struct fake_world *w, int ms)
{
	struct pollfd p = { .fd = blkfront_fd(w->q), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void arm_recheck_notify(void **state)
{
	static char buf[512];
	struct fake_world w;
	struct fake_io t;
	struct fake_req r;

	(void)state;
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 512, buf), 0);
	assert_false(fake_notified(&w));
	blkfront_poll(w.q);
	assert_true(fake_notified(&w)); /* req_event is 1 at first */
	assert_true(fake_get(&w, &r));
	assert_int_equal(blkfront_arm(w.q), 0);
	assert_int_equal(fake_sring(&w)->rsp_event, 1);
	assert_false(readable(&w, 0));
	fake_answer(&w, r.id, 0, 0);
	assert_int_equal(blkfront_arm(w.q), 1); /* between arming and sleeping */
	fake_event(&w);
	assert_true(readable(&w, 1000));
	assert_int_equal(blkfront_poll(w.q), 1);
	assert_int_equal(blkfront_arm(w.q), 0);
	assert_false(readable(&w, 0));
	/* A backend that did not ask is left alone. */
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 512, buf), 0);
	blkfront_poll(w.q);
	assert_false(fake_notified(&w));
	fake_down(&w);
}

static void a_storm_of_events_is_slowed_down(void **state)
{
	static char buf[512];
	uint64_t until = clock_now() + 200 * NS_PER_MS;
	unsigned woken = 0;
	struct fake_world w;
	struct fake_io t;
	struct fake_req r;

	(void)state;
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 512, buf), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r));
	while (clock_now() < until) {
		fake_event(&w);
		if (blkfront_arm(w.q) == 0 && readable(&w, 50)) {
			assert_int_equal(blkfront_poll(w.q), 0);
			woken++;
		}
	}
	assert_in_range(woken, 5, 200); /* tens of thousands without */
	fake_answer(&w, r.id, 0, 0);
	assert_true(readable(&w, 1000) || blkfront_arm(w.q));
	assert_int_equal(blkfront_poll(w.q), 1);
	fake_down(&w);
}

static void the_end_wakes_a_sleeping_queue(void **state)
{
	static char buf[512];
	struct fake_world w;
	struct fake_io t;

	(void)state;
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 512, buf), 0);
	blkfront_poll(w.q);
	assert_int_equal(blkfront_arm(w.q), 0);
	assert_false(readable(&w, 0));
	blkfront_end(w.f, -ESHUTDOWN);
	assert_true(readable(&w, 0));
	assert_int_equal(blkfront_poll(w.q), -ESHUTDOWN);
	assert_int_equal(t.rc, -ESHUTDOWN);
	assert_int_equal(blkfront_arm(w.q), 0);
	assert_false(readable(&w, 0));
	fake_down(&w);
}

/* ---- the recorder's seam ---- */

struct record {
	unsigned submitted, answered;
	uint64_t last;
};

static void saw_submitted(void *arg, unsigned queue, uint64_t index, uint64_t id, int op, uint64_t sector, uint32_t n)
{
	struct record *r = arg;

	(void)queue, (void)id, (void)op, (void)sector, (void)n;
	assert_int_equal(index, r->submitted);
	r->submitted++;
}

static void saw_answered(void *arg, unsigned queue, uint64_t index, uint64_t id, int op, int status)
{
	struct record *r = arg;

	(void)queue, (void)op, (void)status;
	assert_int_equal(index, r->answered);
	assert_int_not_equal(id, r->last);
	r->last = id;
	r->answered++;
}

static void an_observer_sees_every_request(void **state)
{
	static char buf[3u << 20];
	struct record rec = { 0 };
	struct blkfront_observer obs = { saw_submitted, saw_answered, &rec };
	struct blkfront_open o = { .ring_pages = 1, .observer = &obs };
	struct fake_world w;

	(void)state;
	fake_up(&w, &o, &full);
	assert_int_equal(fake_run(&w, BLKFRONT_WRITE, BLKFRONT_FUA, 0, sizeof(buf), buf), 0);
	assert_int_equal(rec.submitted, 4);
	assert_int_equal(rec.answered, 4);
	fake_down(&w);
}

static void an_observer_sees_an_answer_that_is_refused(void **state)
{
	static char buf[512];
	struct record rec = { 0 };
	struct blkfront_observer obs = { saw_submitted, saw_answered, &rec };
	struct blkfront_open o = { .ring_pages = 1, .observer = &obs };
	struct fake_world w;
	struct fake_io t;
	struct fake_req r;

	(void)state;
	fake_up(&w, &o, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 512, buf), 0);
	assert_int_equal(blkfront_poll(w.q), 0);
	assert_true(fake_get(&w, &r));
	fake_answer(&w, r.id + 1, 0, 0);
	assert_int_equal(blkfront_poll(w.q), -EPEER);
	assert_int_equal(rec.answered, 1);
	assert_int_equal(rec.last, r.id + 1);
	fake_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arm_recheck_notify),
		cmocka_unit_test(a_storm_of_events_is_slowed_down),
		cmocka_unit_test(the_end_wakes_a_sleeping_queue),
		cmocka_unit_test(an_observer_sees_every_request),
		cmocka_unit_test(an_observer_sees_an_answer_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
