/* The front half of a ring: indices judged, notifications asked for and given exactly when due. */
#include "frontend/core/fe_ring.h"

#include "ring/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
	struct fe_ring r;
	struct blkif_sring *s;
};

static void up(struct rig *g, unsigned pages, uint32_t start)
{
	g->s = calloc(pages, BH_PAGE_SIZE);
	fe_ring_init(&g->r, g->s, pages, CONN_NATIVE);
	g->s->req_prod = g->s->rsp_prod = g->r.req_put = g->r.req_published = g->r.rsp_taken = start;
	g->s->req_event = g->s->rsp_event = start + 1;
}

static void put(struct rig *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct fe_request req = { .op = BLKIF_OP_READ, .id = g->r.req_put };

		fe_ring_put(&g->r, &req);
	}
}

static void answers_to_what_was_not_published(void **state)
{
	struct fe_response rsp;
	struct rig g;

	(void)state;
	for (uint32_t start = 0; start < 2; start++) {
		up(&g, 1, start ? 0xffffffffu : 0);
		put(&g, 2);
		g.s->rsp_prod = g.r.rsp_taken + 1;
		assert_int_equal(fe_ring_take(&g.r, &rsp), -EPEER); /* put, but not shown */
		g.s->rsp_prod = g.r.rsp_taken;
		fe_ring_publish(&g.r);
		assert_int_equal(fe_ring_take(&g.r, &rsp), 0);
		g.s->rsp_prod = g.r.rsp_taken + 3;
		assert_int_equal(fe_ring_take(&g.r, &rsp), -EPEER);
		g.s->rsp_prod = g.r.rsp_taken - 1;
		assert_int_equal(fe_ring_take(&g.r, &rsp), -EPEER);
		g.s->rsp_prod = g.r.rsp_taken + 2;
		assert_int_equal(fe_ring_take(&g.r, &rsp), 1);
		assert_int_equal(fe_ring_take(&g.r, &rsp), 1);
		assert_int_equal(fe_ring_take(&g.r, &rsp), 0);
		free(g.s);
	}
}

static void notified_when_asked(void **state)
{
	struct rig g;

	(void)state;
	up(&g, 1, 0xfffffffeu);
	assert_false(fe_ring_publish(&g.r)); /* nothing new */
	put(&g, 1);
	assert_true(fe_ring_publish(&g.r));
	put(&g, 3);
	assert_false(fe_ring_publish(&g.r)); /* it did not ask again */
	g.s->req_event = g.r.req_put + 2;
	put(&g, 1);
	assert_false(fe_ring_publish(&g.r)); /* it asked for the one after */
	put(&g, 3);
	assert_true(fe_ring_publish(&g.r)); /* passed over */
	free(g.s);
}

static void arms_for_the_next_answer(void **state)
{
	struct fe_response rsp;
	struct rig g;

	(void)state;
	up(&g, 1, 0);
	put(&g, 3);
	fe_ring_publish(&g.r);
	g.s->rsp_prod = 2;
	assert_int_equal(fe_ring_take(&g.r, &rsp), 1);
	assert_true(fe_ring_arm(&g.r));
	assert_int_equal(fe_ring_take(&g.r, &rsp), 1);
	assert_false(fe_ring_arm(&g.r));
	assert_int_equal(g.s->rsp_event, 3);
	free(g.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_to_what_was_not_published),
		cmocka_unit_test(notified_when_asked),
		cmocka_unit_test(arms_for_the_next_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
