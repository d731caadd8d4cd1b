#include "tests/sim/crash_world.h"

#include "backend/blk/blkback_priv.h"
#include "recovery/journal/jrnl.h"
#include "ring/os/clock.h"
#include "ring/base/check.h"
#include "tests/sim/crash_disk.h"
#include "tests/sim/sim_hv_priv.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 6000u /* after which all must have been answered */
#define STALL_STEPS 40u

struct stub_queue {
	struct hv_port *port;
	void *ring;
	bool asleep, polls;
};

struct world {
	const struct workload *wl;
	const struct plan *plan;
	struct crash_rng rng;
	struct crash_check check;
	struct crash_guest guest;
	struct sim_hv *sim;
	struct hv *guest_hv, *sup, *stub;
	hv_domid_t dom;
	struct hv_port *sup_port[GUEST_QUEUES_MAX];
	struct conn_id conn;
	void *journal;
	size_t journal_bytes;
	bool connected; /* the first start was over once */
	/* the incarnation */
	struct engine *engine;
	struct blkback *back;
	struct stub_queue q[GUEST_QUEUES_MAX];
	bool alive, inside; /* inside: its code runs, and may die */
	bool stalling;	    /* it is about to; what else runs may not */
	int turning;	    /* the queue whose turn it is; -1: the control thread */
	unsigned number, points, start_points, kill_at, down;
	jmp_buf die;
	struct crash_disk disk; /* last: the log is large, and cleared by its length only */
};

static struct world *the; /* the run that is on */

uint64_t crash_now(void) { return the ? the->disk.time * NS_PER_US : 0; }

/* ---- death */

static void step_others(struct world *w, unsigned except);

void crash_point(void)
{
	struct world *w = the;

	if (!w || !w->inside)
		return;
	w->points++;
	if (w->points != w->kill_at)
		return;
	w->inside = false;
	w->stalling = true;
	if (w->plan->stall && w->turning >= 0 && w->guest.nqueues > 1)
		for (unsigned i = 0; i < STALL_STEPS; i++)
			step_others(w, (unsigned)w->turning);
	w->stalling = false;
	longjmp(w->die, 1);
}

void crash_check_failed(const char *file, int line, const char *what)
{
	struct world *w = the;

	if (!w || !(w->inside || w->stalling)) {
		fprintf(stderr, "%s:%d: %s\n", file, line, what);
		abort();
	}
	crash_violation(&w->check, "CHECK", "%s:%d: %s", file, line, what);
	w->inside = w->stalling = false;
	longjmp(w->die, 1);
}

static int notify(struct hv_port *p)
{
	crash_point();
	return sim_hv_ops.port_notify(p);
}

/* What of the dead's memory can be found. Buffers stay: its I/O may still be at work on them. */
static void bury(struct blkback *b)
{
	for (uint32_t i = 0; i < b->conn.nqueues; i++) {
		free(b->q[i].work);
		free(b->q[i].free);
		free(b->q[i].done);
	}
	blk_ranges_close(b->ranges);
	free(b);
}

static void died(struct world *w)
{
	w->inside = w->alive = false;
	bury(w->back);
	w->back = NULL;
	crash_disk_died(&w->disk, w->engine);
	sim_hv_kill(w->stub);
	w->stub = NULL;
	w->down = crash_below(&w->rng, 4);
}

/* ---- birth */

static void on_event(void *arg, enum blkback_event e, uint64_t value, const char *text)
{
	struct world *w = arg;

	(void)value;
	if (e == BLKBACK_BROKEN_RING || e == BLKBACK_BROKEN_JOURNAL)
		crash_violation(&w->check, "BROKEN", "%s", text);
	if (e == BLKBACK_POISON)
		w->check.convicted++;
}

static void open_stub(struct world *w, struct blkback_open *o)
{
	static struct hv_ops ops;
	int fds[HV_PORT_FDS];

	*o = (struct blkback_open){.conn = &w->conn, .journal = w->journal, .journal_bytes = w->journal_bytes,
				   .nslots = w->wl->nr, .event = on_event, .event_arg = w};
	CHECK(sim_hv_open(w->sim, &(struct hv_open){.role = HV_STUB, .guest = w->dom}, &w->stub) == 0);
	ops = sim_hv_ops;
	ops.port_notify = notify;
	w->stub->ops = &ops;
	o->hv = w->stub;
	o->engine = w->engine = crash_disk_open(&w->disk);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		size_t n = hv_port_fds(w->sup_port[i], fds);

		CHECK(hv_map_ring(w->stub, w->dom, &w->guest.q[i].ring_gref, 1, &o->ring[i]) == 0);
		CHECK(hv_port_adopt(w->stub, fds, n, hv_port_number(w->sup_port[i]), &o->port[i]) == 0);
		w->q[i] = (struct stub_queue){.port = o->port[i], .ring = o->ring[i]};
	}
}

static void start(struct world *w)
{
	struct blkback_open o;
	struct blkback_started s;
	int rc;

	open_stub(w, &o);
	CHECK(blkback_prepare(&o, &w->back) == 0);
	w->alive = w->inside = true;
	w->turning = -1;
	rc = blkback_start(w->back, w->connected ? BLKBACK_RESUME : BLKBACK_FRESH, w->plan->own_fault, &s);
	w->inside = false;
	w->start_points = w->points;
	if (rc)
		crash_violation(&w->check, "BROKEN", "the start of incarnation %u failed with %d", w->number, rc);
	w->connected = true;
}

/* ---- life */

static void turn(struct world *w, unsigned i)
{
	struct stub_queue *q = &w->q[i];
	struct blkback_queue *bq = blkback_get_queue(w->back, i);
	unsigned did;

	if (q->asleep) {
		bool event = crash_disk_event(w->engine, i), port = hv_port_clear(q->port) > 0;

		if (!event && !port && !(q->polls && crash_below(&w->rng, 3) == 0))
			return;
		q->asleep = false;
	}
	did = blkback_turn(bq, 1 + crash_below(&w->rng, 4));
	q->polls = did & BLKBACK_POLL_FENCE;
	if (!(did & (BLKBACK_BUSY | BLKBACK_HALTED)) && blkback_arm(bq) == 0)
		q->asleep = true;
}

/* A turn of queue i that may be its last. */
static void live(struct world *w, unsigned i)
{
	w->turning = (int)i;
	w->inside = true;
	turn(w, i);
	w->inside = false;
}

static void step_others(struct world *w, unsigned except)
{
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		crash_guest_step(&w->guest, i);
		if (i != except && w->alive)
			turn(w, i);
	}
	crash_disk_step(&w->disk);
}

static void step(struct world *w, struct outcome *out)
{
	unsigned first = crash_below(&w->rng, 2);

	for (unsigned i = 0; i < w->guest.nqueues; i++)
		crash_guest_step(&w->guest, (i + first) % w->guest.nqueues);
	crash_disk_step(&w->disk);
	if (!w->alive && w->down-- > 0)
		return;
	if (setjmp(w->die) == 0) {
		if (!w->alive) {
			w->points = w->start_points = 0;
			w->kill_at = w->number < w->plan->nkills ? w->plan->kill[w->number] : 0;
			start(w);
		}
		for (unsigned i = 0; i < w->guest.nqueues; i++)
			live(w, (i + first) % w->guest.nqueues);
	} else {
		died(w);
	}
	out->points[w->number] = w->points;
	out->start_points[w->number] = w->start_points ? w->start_points : w->points;
	if (!w->alive)
		out->incarnations = ++w->number;
}

/* ---- the end */

static void check_queue(struct world *w, unsigned i)
{
	const struct blkback_queue *q = blkback_get_queue(w->back, i);
	const struct jrnl_q *j = q->j;
	uint64_t all = w->guest.q[i].next;
	const struct blkif_sring *s = q->ring.sring;

	if (jrnl_seq_of(j->hdr->req_cons) != all || jrnl_seq_of(j->hdr->rsp_prod) != all || s->rsp_prod != (uint32_t)all)
		crash_violation(&w->check, "CONSERVE", "queue %u: req_cons %llu, rsp_prod %llu, ring's %u, of %llu", i,
			      (unsigned long long)jrnl_seq_of(j->hdr->req_cons), (unsigned long long)jrnl_seq_of(j->hdr->rsp_prod), s->rsp_prod,
			      (unsigned long long)all);
	for (uint32_t k = 0; k < j->nslots; k++)
		if (j->slot[k].state != JRNL_FREE && (j->slot[k].state != JRNL_DONE || j->slot[k].rsp_idx >= all))
			crash_violation(&w->check, "CONSERVE", "queue %u: slot %u is live", i, k);
	if (q->nfree != j->nslots || q->ndone || q->running || !TAILQ_EMPTY(&q->live))
		crash_violation(&w->check, "CONSERVE", "queue %u: %u slots of %u free", i, q->nfree, j->nslots);
	if (blk_pool_used(q->pool))
		crash_violation(&w->check, "CONSERVE", "queue %u: %u buffer pages in use", i, blk_pool_used(q->pool));
}

static void check_end(struct world *w)
{
	uint32_t mapped = w->guest.nqueues;

	crash_check_registers(&w->check, w->disk.sector);
	crash_guest_check_pages(&w->guest);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		check_queue(w, i);
		mapped += blk_grants_mapped(blkback_get_queue(w->back, i)->grants);
	}
	if (blk_ranges_count(w->back->ranges) || w->back->flushing || w->back->suspects || w->back->gated || w->back->alone)
		crash_violation(&w->check, "CONSERVE", "%u ranges, flush %u, %u suspects, gate %u", blk_ranges_count(w->back->ranges),
			      w->back->flushing, w->back->suspects, w->back->gated);
	if (hv_usage(w->stub).mapped != mapped || (!w->wl->persistent && mapped != w->guest.nqueues))
		crash_violation(&w->check, "CONSERVE", "%u pages mapped, accounted %u", hv_usage(w->stub).mapped, mapped);
}

static bool asleep(const struct world *w)
{
	for (unsigned i = 0; i < w->guest.nqueues; i++)
		if (!w->q[i].asleep)
			return false;
	return true;
}

static void drive(struct world *w, struct outcome *out)
{
	for (unsigned n = 0; !w->check.invariant; n++) {
		if (w->alive && crash_guest_done(&w->guest) && crash_disk_idle(&w->disk) && asleep(w)) {
			check_end(w);
			return;
		}
		if (n == STEPS_MAX) {
			crash_violation(&w->check, "LIVENESS", "after %u steps: unanswered %u and %u", n, w->guest.q[0].outstanding,
				      w->guest.q[1].outstanding);
			return;
		}
		step(w, out);
	}
}

/* ---- set-up */

static void connect(struct world *w)
{
	const struct workload *wl = w->wl;

	w->conn = (struct conn_id){.domid = w->dom, .devid = 51712, .type = CONN_VBD, .protocol = CONN_X86_64,
				   .nqueues = w->guest.nqueues, .ring_pages = 1, .max_segments = 32, .epoch = 1,
				   .features = CONN_INDIRECT | CONN_DISCARD | CONN_FLUSH | CONN_BARRIER};
	if (wl->persistent)
		w->conn.features |= CONN_PERSISTENT;
	w->journal_bytes = jrnl_file_bytes(wl->nr, w->guest.nqueues);
	w->journal = calloc(1, w->journal_bytes);
	CHECK(w->journal);
	for (unsigned i = 0; i < w->guest.nqueues; i++)
		CHECK(hv_port_bind(w->sup, w->dom, hv_port_number(w->guest.q[i].port), &w->sup_port[i]) == 0);
}

/* A connection that has seen 'base' requests on each queue, and whose backend has just died. */
static void age(struct world *w)
{
	struct jrnl j;

	w->disk.owner = 1;
	jrnl_format(w->journal, &w->conn, w->wl->nr, &j);
	jrnl_own(&j);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		jrnl_taken(&j.q[i], w->wl->base);
		jrnl_publish(&j.q[i], w->wl->base);
	}
	w->connected = true;
}

static void setup(struct world *w)
{
	const struct workload *wl = w->wl;
	static struct sim_hv *provider; /* one for all runs: making one takes longer than a run */

	w->rng.state = w->plan->seed;
	if (!provider)
		provider = sim_hv_new(2 * GUEST_RING_MAX * GUEST_PAGES + 16);
	w->sim = provider;
	w->dom = sim_hv_domain(w->sim, "guest");
	CHECK(sim_hv_open(w->sim, &(struct hv_open){.role = HV_FRONTEND, .domain = "guest"}, &w->guest_hv) == 0);
	CHECK(sim_hv_open(w->sim, &(struct hv_open){.role = HV_SUPERVISOR}, &w->sup) == 0);
	w->check.bad_sector = wl->bad_sector ? wl->bad_sector : -1;
	w->guest = (struct crash_guest){.rng = &w->rng, .check = &w->check, .nqueues = wl->script[1] ? 2 : 1, .nr = wl->nr,
				      .batch = wl->batch, .persistent = wl->persistent, .poller = w->plan->poller};
	crash_guest_open(&w->guest, w->guest_hv, wl->base, wl->script);
	crash_disk_init(&w->disk, &w->rng, &w->check, crash_point);
	w->disk.delay = wl->delay;
	w->disk.linger = wl->linger;
	w->disk.fail_flush = wl->fail_flush;
	connect(w);
	if (wl->base)
		age(w);
}

void crash_run(const struct workload *wl, const struct plan *plan, struct outcome *out)
{
	static struct world w;

	memset(&w, 0, offsetof(struct world, disk));
	w.wl = wl;
	w.plan = plan;
	the = &w;
	*out = (struct outcome){0};
	setup(&w);
	drive(&w, out);
	the = NULL;
	out->invariant = w.check.invariant;
	memcpy(out->text, w.check.text, sizeof(out->text));
	for (unsigned i = 0; i < w.check.nreqs; i++)
		out->answered += w.check.req[i].answered;
	out->convicted = w.check.convicted;
	if (w.back)
		died(&w);
	sim_hv_kill(w.sup);
	sim_hv_kill(w.guest_hv);
	sim_hv_destroy(w.sim, w.dom);
	free(w.journal);
}
