/* turn_rig.h - a block backend on the simulated provider over an engine that does what the test says. */
#ifndef BULKHEAD_TESTS_SIM_TURN_RIG_H
#define BULKHEAD_TESTS_SIM_TURN_RIG_H

#include "backend/blk/blkback_priv.h"
#include "tests/sim/sim_alone.h"
#include "tests/sim/sim_hv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NQ 2u
#define NR 32u /* entries of a ring of one page */
#define NDATA 64u
#define SECTORS 100000u

/* ---- the engine: requests are held until told, data is what the guest's pages say */

struct hold_queue {
	struct engine_queue q;
	struct engine_reqs held, done;
	unsigned nheld, submitted;
};

struct hold {
	struct engine e;
	bool at_once; /* done as soon as submitted */
	bool shut;    /* a former generation's I/O still runs */
	int result;
	struct hold_queue q[NQ];
};

static int hold_own(struct engine *e, uint64_t g, bool fresh)
{
	(void)e;
	(void)fresh;
	return g ? 0 : -EINVAL;
}

static int hold_fence(struct engine *e)
{
	return !CONTAINER_OF(e, struct hold, e)->shut;
}

static int hold_open(struct engine *e, unsigned i, struct engine_queue **out)
{
	struct hold_queue *q = &CONTAINER_OF(e, struct hold, e)->q[i];

	*q = (struct hold_queue){.q.engine = e};
	STAILQ_INIT(&q->q.refused);
	STAILQ_INIT(&q->held);
	STAILQ_INIT(&q->done);
	*out = &q->q;
	return 0;
}

static void hold_submit(struct engine_queue *eq, struct engine_req *r)
{
	struct hold_queue *q = CONTAINER_OF(eq, struct hold_queue, q);
	struct hold *h = CONTAINER_OF(eq->engine, struct hold, e);

	q->submitted++;
	r->result = h->result;
	if (h->at_once) {
		STAILQ_INSERT_TAIL(&q->done, r, link);
		return;
	}
	q->nheld++;
	STAILQ_INSERT_TAIL(&q->held, r, link);
}

static void hold_kick(struct engine_queue *eq) { (void)eq; }

static unsigned hold_reap(struct engine_queue *eq, struct engine_reqs *done)
{
	struct hold_queue *q = CONTAINER_OF(eq, struct hold_queue, q);
	struct engine_req *r;
	unsigned n = 0;

	STAILQ_FOREACH(r, &q->done, link)
		n++;
	STAILQ_CONCAT(done, &q->done);
	return n;
}

static int hold_fd(struct engine_queue *eq)
{
	(void)eq;
	return -1;
}

static int hold_arm(struct engine_queue *eq) { return !STAILQ_EMPTY(&CONTAINER_OF(eq, struct hold_queue, q)->done); }

static const struct engine_ops hold_ops = {
	.name = "hold", .own = hold_own, .fence_poll = hold_fence, .queue_open = hold_open, .submit = hold_submit,
	.kick = hold_kick, .reap = hold_reap, .event_fd = hold_fd, .arm = hold_arm,
};

/* ---- guest and backend */

static struct rig {
	struct sim_hv *w;
	hv_domid_t dom;
	struct hv *fe, *sup, *be;
	struct hv_port *fe_port[NQ], *sup_port[NQ];
	struct blkif_sring *ring[NQ]; /* as the guest sees it */
	hv_gref_t ring_gref[NQ];
	char *data;
	hv_gref_t gref[NDATA];
	uint32_t rsp_cons[NQ];
	struct conn_id conn;
	void *journal;
	size_t bytes;
	struct hold engine;
	struct blkback *b;
	struct blkback_queue *q;
	struct blkback_started started;
	unsigned events[5];
	char text[200];
} r;

static void on_event(void *arg, enum blkback_event e, uint64_t value, const char *text)
{
	(void)arg;
	(void)value;
	r.events[e]++;
	snprintf(r.text, sizeof(r.text), "%s", text ? text : "");
}

/* A new process up to its start. */
static int begin(enum blkback_kind kind, bool own_fault)
{
	struct hv_open o = {.role = HV_STUB, .guest = r.dom};
	struct blkback_open bo = {.conn = &r.conn, .journal = r.journal, .journal_bytes = r.bytes,
				  .engine = &r.engine.e, .event = on_event};

	assert_int_equal(sim_hv_open(r.w, &o, &r.be), 0);
	bo.hv = r.be;
	for (unsigned i = 0; i < NQ; i++) {
		int fds[HV_PORT_FDS];
		size_t n = hv_port_fds(r.sup_port[i], fds);

		assert_int_equal(hv_map_ring(r.be, r.dom, &r.ring_gref[i], 1, &bo.ring[i]), 0);
		assert_int_equal(hv_port_adopt(r.be, fds, n, hv_port_number(r.sup_port[i]), &bo.port[i]), 0);
	}
	assert_int_equal(blkback_prepare(&bo, &r.b), 0);
	r.q = blkback_get_queue(r.b, 0);
	return blkback_start(r.b, kind, own_fault, &r.started);
}

static void die(void)
{
	blkback_abandon(r.b);
	sim_hv_kill(r.be);
	r.b = NULL;
}

static void make_guest(void)
{
	struct hv_open f = {.role = HV_FRONTEND, .domain = "guest"}, s = {.role = HV_SUPERVISOR};
	struct hv_grant g = {0};

	r.w = sim_hv_new(512);
	r.dom = sim_hv_domain(r.w, "guest");
	assert_int_equal(sim_hv_open(r.w, &f, &r.fe), 0);
	assert_int_equal(sim_hv_open(r.w, &s, &r.sup), 0);
	for (unsigned i = 0; i < NQ; i++) {
		assert_int_equal(hv_alloc(r.fe, 1, &g.page), 0);
		assert_int_equal(hv_grant(r.fe, 0, &g, 1), 0);
		r.ring[i] = g.page;
		SHARED_RING_INIT(r.ring[i]);
		r.ring_gref[i] = g.gref;
		assert_int_equal(hv_port_alloc(r.fe, 0, &r.fe_port[i]), 0);
		assert_int_equal(hv_port_bind(r.sup, r.dom, hv_port_number(r.fe_port[i]), &r.sup_port[i]), 0);
	}
	assert_int_equal(hv_alloc(r.fe, NDATA, (void **)&r.data), 0);
	for (unsigned i = 0; i < NDATA; i++) {
		g.page = r.data + i * BH_PAGE_SIZE;
		assert_int_equal(hv_grant(r.fe, 0, &g, 1), 0);
		r.gref[i] = g.gref;
	}
}

static int rig_setup(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	make_guest();
	r.conn = (struct conn_id){.domid = r.dom, .devid = 51712, .type = CONN_VBD, .protocol = CONN_X86_64,
				  .nqueues = NQ, .ring_pages = 1, .max_segments = 256, .epoch = 1,
				  .features = CONN_PERSISTENT | CONN_INDIRECT | CONN_DISCARD | CONN_FLUSH |
					      CONN_BARRIER};
	r.bytes = jrnl_file_bytes(NR, NQ);
	r.journal = aligned_alloc(JRNL_PAGE, r.bytes);
	memset(r.journal, 0, r.bytes);
	r.engine.e = (struct engine){.ops = &hold_ops, .depth = NR,
				     .info = {.sectors = SECTORS, .sector_size = 512, .physical_size = 512,
					      .write_unit = 4096, .buffer_align = 512, .flush = true, .discard = true}};
	assert_int_equal(begin(BLKBACK_FRESH, false), 0);
	return 0;
}

static int rig_teardown(void **state)
{
	(void)state;
	if (r.b)
		blkback_abandon(r.b);
	sim_hv_free(r.w);
	free(r.journal);
	return 0;
}

/* ---- the guest's side, by the public header */

static struct blkif_request *entry(unsigned queue, uint32_t index) { return &r.ring[queue]->ring[index % NR].req; }

/* One request of one page, not yet shown. */
static void put(uint32_t index, uint8_t op, uint64_t id, uint64_t sector, unsigned page)
{
	struct blkif_request q = {.operation = op, .nr_segments = op != BLKIF_OP_FLUSH_DISKCACHE, .id = id,
				  .sector_number = sector,
				  .seg[0] = {.gref = r.gref[page], .first_sect = 0, .last_sect = 7}};

	*entry(0, index) = q;
}

static void post(uint8_t op, uint64_t id, uint64_t sector, unsigned page)
{
	put(r.ring[0]->req_prod, op, id, sector, page);
	r.ring[0]->req_prod++;
}

/* The next response of queue 0, which must be there. */
static struct blkif_response next_answer(void)
{
	struct blkif_response a;

	assert_int_not_equal(r.ring[0]->rsp_prod, r.rsp_cons[0]);
	a = r.ring[0]->ring[r.rsp_cons[0]++ % NR].rsp;
	return a;
}

static void expect(uint64_t id, uint8_t op, int16_t status)
{
	struct blkif_response a = next_answer();

	assert_true(a.id == id);
	assert_int_equal(a.operation, op);
	assert_int_equal(a.status, status);
}

static void expect_no_answer(void) { assert_int_equal(r.ring[0]->rsp_prod, r.rsp_cons[0]); }

/* The engine's n-th held request of queue 0 is over. */
static void finish(unsigned n)
{
	struct hold_queue *q = &r.engine.q[0];
	struct engine_req *e = STAILQ_FIRST(&q->held);

	while (n--)
		e = STAILQ_NEXT(e, link);
	assert_non_null(e);
	STAILQ_REMOVE(&q->held, e, engine_req, link);
	STAILQ_INSERT_TAIL(&q->done, e, link);
	q->nheld--;
}

static void turn(void) { assert_false(blkback_turn(r.q, NR) & BLKBACK_HALTED); }

#endif
