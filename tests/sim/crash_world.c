#include "tests/sim/crash_world_priv.h"

#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"
#include "tests/sim/crash_hv.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 6000u /* after which all must have been answered */
#define STALL_STEPS 40u
#define ZOMBIE_STEPS 60u /* who is taken for dead is killed after so many, if it does not come to its point */

static struct crash_world *the; /* the run that is on */

uint64_t crash_now(void) { return the ? the->disk.time * NS_PER_US : 0; }

/* ---- death */

static void step_others(struct crash_world *w, unsigned except);

static NORETURN void die(struct crash_world *w)
{
	w->inside = NULL;
	w->stalling = false;
	longjmp(w->die, 1);
}

static void stall(struct crash_world *w)
{
	w->inside = NULL;
	w->stalling = true;
	for (unsigned i = 0; i < STALL_STEPS; i++)
		step_others(w, (unsigned)w->turning);
}

static void point(void)
{
	struct crash_world *w = the;

	if (!w || !w->inside)
		return;
	if (w->inside == &w->old) {
		if (--w->old_left == 0)
			die(w);
		return;
	}
	w->points++;
	if (w->points != w->kill_at)
		return;
	if (w->plan->zombie && !w->given_up) {
		w->given_up = true;
		w->kill_at += w->plan->zombie;
		return;
	}
	if (w->plan->stall && w->turning >= 0 && w->guest.nqueues > 1)
		stall(w);
	die(w);
}

void crash_store(const void *where)
{
	struct crash_world *w = the;

	if (w && w->inside && (w->plan->words || crash_is_looked_at(w, where)))
		point();
}

/* A request that kills who submits it. */
static void poisoned(void)
{
	the->own = true;
	die(the);
}

/* The request whose slot of the journal says so. */
static unsigned whose(const struct engine *e, unsigned queue, const struct engine_req *r)
{
	const struct crash_world *w = the;
	const struct blkback *b = w->cur.engine == e ? w->cur.back : w->old.back;
	uint64_t index = b->q[queue].j->slot[CONTAINER_OF(r, const struct blk_work, er)->slot].index;

	for (unsigned i = 0; i < w->check.nreqs; i++)
		if (w->check.req[i].queue == queue && w->check.req[i].index == index)
			return i;
	return REQS_MAX;
}

void crash_check_failed(const char *file, int line, const char *what)
{
	struct crash_world *w = the;

	if (!w || !(w->inside || w->stalling)) {
		fprintf(stderr, "%s:%d: %s\n", file, line, what);
		abort();
	}
	crash_violation(&w->check, "CHECK", "%s:%d: %s", file, line, what);
	die(w);
}

/* Its memory stays until the end of the run: its I/O may still be at work on it. */
static void bury(struct crash_world *w, struct crash_stub *s)
{
	crash_disk_died(&w->disk, s->engine);
	crash_hv_kill(s->hv);
	w->grave[w->ngraves++] = *s;
	*s = (struct crash_stub){0};
}

static void died(struct crash_world *w)
{
	bury(w, &w->cur);
	w->given_up = false;
	w->own_fault = w->plan->own_fault || w->own;
	w->own = false;
	w->down = crash_below(&w->rng, 4);
	if (w->plan->gone && !w->gone) {
		w->gone = true;
		w->check.gone = true;
		w->check.gone_generation = w->disk.owner;
		crash_hv_shutdown();
	}
}

/* ---- birth */

static void on_event(void *arg, enum blkback_event e, uint64_t value, const char *text)
{
	struct crash_world *w = arg;

	(void)value;
	if (e == BLKBACK_BROKEN_RING || e == BLKBACK_BROKEN_JOURNAL)
		crash_violation(&w->check, "BROKEN", "%s", text);
	if (e != BLKBACK_POISON)
		return;
	w->check.convicted++;
	if (!w->plan->own_fault && !w->wl->killer)
		crash_violation(&w->check, "INNOCENT", "%s", text);
}

static void open_stub(struct crash_world *w, struct blkback_open *o)
{
	struct crash_stub *s = &w->cur;
	int fds[HV_PORT_FDS];

	*o = (struct blkback_open){.conn = &w->conn, .journal = w->journal, .journal_bytes = w->journal_bytes,
				   .nslots = w->wl->nr, .event = on_event, .event_arg = w};
	o->hv = s->hv = crash_hv_stub();
	o->engine = s->engine = crash_disk_open(&w->disk);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		size_t n = hv_port_fds(w->sup_port[i], fds);

		CHECK(hv_map_ring(s->hv, CRASH_HV_DOMAIN, &w->guest.q[i].ring_gref, 1, &o->ring[i]) == 0);
		CHECK(hv_port_adopt(s->hv, fds, n, hv_port_number(w->sup_port[i]), &o->port[i]) == 0);
		s->q[i] = (struct crash_stub_queue){.port = o->port[i]};
	}
}

/* The supervisor's part: fresh until somebody said that he was connected; then resume, and who made the last one die. */
static void start(struct crash_world *w)
{
	struct blkback_open o;
	struct blkback_started s;
	int rc;

	open_stub(w, &o);
	CHECK(blkback_prepare(&o, &w->cur.back) == 0);
	w->turning = -1;
	w->inside = &w->cur;
	point(); /* made, and not yet told to begin */
	rc = blkback_start(w->cur.back, w->connected ? BLKBACK_RESUME : BLKBACK_FRESH, w->own_fault, &s);
	if (rc)
		crash_violation(&w->check, "BROKEN", "the start of incarnation %u failed with %d", w->number, rc);
	point(); /* begun, and has not said so */
	w->connected = true;
	point();
	w->inside = NULL;
	w->start_points = w->points;
}

/* ---- life */

static void turn(struct crash_world *w, struct crash_stub *s, unsigned i)
{
	struct crash_stub_queue *q = &s->q[i];
	struct blkback_queue *bq = blkback_get_queue(s->back, i);
	unsigned did;

	if (q->asleep) {
		bool event = crash_disk_event(s->engine, i), port = crash_hv_pending(q->port);

		if (!event && !port && !(q->polls && crash_below(&w->rng, 3) == 0))
			return;
		if (port)
			hv_port_clear(q->port);
		q->asleep = false;
	}
	did = blkback_turn(bq, 1 + crash_below(&w->rng, 4));
	q->polls = did & BLKBACK_POLL_FENCE;
	if (!(did & (BLKBACK_BUSY | BLKBACK_HALTED)) && blkback_arm(bq) == 0)
		q->asleep = true;
}

/* A turn of queue i that may be its last. */
static void live(struct crash_world *w, struct crash_stub *s, unsigned i)
{
	w->turning = (int)i;
	w->inside = s;
	turn(w, s, i);
	w->inside = NULL;
}

static void step_guest(struct crash_world *w, unsigned first)
{
	for (unsigned i = 0; i < w->guest.nqueues && !w->gone; i++)
		crash_guest_step(&w->guest, (i + first) % w->guest.nqueues);
	if (w->wl->fickle && w->cur.back && w->connected)
		crash_change_mind(w);
}

static void step_others(struct crash_world *w, unsigned except)
{
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		step_guest(w, 0);
		if (i != except && w->cur.back)
			turn(w, &w->cur, i);
	}
	crash_disk_step(&w->disk);
}

/* One who was taken for dead and is not, and whose successor did not wait for the journal's lock. */
static void step_old(struct crash_world *w)
{
	if (setjmp(w->die) == 0) {
		for (unsigned i = 0; i < w->guest.nqueues; i++)
			live(w, &w->old, i);
		if (w->zombie_steps++ < ZOMBIE_STEPS)
			return;
	}
	bury(w, &w->old);
}

/* What the lock on the journal forbids: two owners at once. */
static bool may_start(struct crash_world *w)
{
	if (w->gone && !MUTANT(REPLAY_GONE) && hv_domain_state(w->sup, CRASH_HV_DOMAIN) != 1)
		return false;
	if (!w->given_up || !w->cur.back)
		return !w->cur.back;
	if (MUTANT(NO_JOURNAL_LOCK) && !w->old.back) {
		w->old = w->cur;
		w->old_left = w->kill_at - w->points;
		w->cur = (struct crash_stub){0};
		w->given_up = false;
		w->zombie_steps = 0;
		w->number++;
		return true;
	}
	return false;
}

static void kept(struct crash_world *w, struct outcome *out)
{
	unsigned n = MIN(w->number, KILLS_MAX);

	out->points[n] = w->points;
	out->start_points[n] = w->start_points ? w->start_points : w->points;
	out->incarnations = w->number + !w->cur.back;
	w->number += !w->cur.back;
}

static void step(struct crash_world *w, struct outcome *out)
{
	unsigned first = crash_below(&w->rng, 2);

	step_guest(w, first);
	crash_disk_step(&w->disk);
	if (w->old.back)
		step_old(w);
	if (!w->cur.back && w->down-- > 0)
		return;
	if (setjmp(w->die) == 0) {
		if (may_start(w)) {
			w->points = w->start_points = 0;
			w->kill_at = w->number < w->plan->nkills ? w->plan->kill[w->number] : 0;
			start(w);
		} else if (!w->cur.back) {
			return;
		}
		for (unsigned i = 0; i < w->guest.nqueues; i++)
			live(w, &w->cur, (i + first) % w->guest.nqueues);
		if (w->given_up && w->zombie_steps++ > ZOMBIE_STEPS)
			died(w);
	} else {
		died(w);
	}
	kept(w, out);
}

static bool asleep(const struct crash_world *w)
{
	for (unsigned i = 0; i < w->guest.nqueues; i++)
		if (!w->cur.q[i].asleep)
			return false;
	return w->cur.back && !w->old.back;
}

static bool over(struct crash_world *w)
{
	if (!crash_disk_idle(&w->disk))
		return false;
	if (w->gone) /* its requests are nobody's any more */
		return !w->cur.back || asleep(w);
	if (!crash_guest_done(&w->guest) || !asleep(w))
		return false;
	crash_check_end(w);
	return true;
}

static void drive(struct crash_world *w, struct outcome *out)
{
	for (unsigned n = 0; !w->check.invariant && !over(w); n++) {
		if (n == STEPS_MAX || w->number >= LIVES_MAX) {
			crash_violation(&w->check, "LIVENESS", "after %u steps and %u deaths: unanswered %u and %u", n, w->number,
				      w->guest.q[0].outstanding, w->guest.q[1].outstanding);
			return;
		}
		step(w, out);
	}
}

/* ---- set-up */

static void connect(struct crash_world *w)
{
	const struct workload *wl = w->wl;

	w->conn = (struct conn_id){.domid = CRASH_HV_DOMAIN, .devid = 51712, .type = CONN_VBD, .protocol = CONN_X86_64,
				   .nqueues = w->guest.nqueues, .ring_pages = 1, .max_segments = 32, .epoch = 1,
				   .features = CONN_INDIRECT | CONN_DISCARD | CONN_FLUSH | CONN_BARRIER};
	if (wl->persistent)
		w->conn.features |= CONN_PERSISTENT;
	w->journal_bytes = jrnl_file_bytes(wl->nr, w->guest.nqueues);
	w->journal = calloc(1, w->journal_bytes);
	CHECK(w->journal);
	for (unsigned i = 0; i < w->guest.nqueues; i++)
		CHECK(hv_port_bind(w->sup, CRASH_HV_DOMAIN, hv_port_number(w->guest.q[i].port), &w->sup_port[i]) == 0);
}

/* The last slot of the free list may have been used last when the connection began. */
static void make_stale(struct jrnl_q *q, uint32_t slot)
{
	static const uint8_t raw[JRNL_RAW] = {BLKIF_OP_READ};

	jrnl_take(q, slot, 0, raw, JRNL_RAW, 0);
	jrnl_result(q, slot, 0);
	jrnl_done(q, slot, 0);
}

/* A connection that has seen 'base' requests on each queue, and whose backend has just died. */
static void age(struct crash_world *w)
{
	struct jrnl j;

	w->disk.owner = 1;
	jrnl_format(w->journal, &w->conn, w->wl->nr, &j);
	jrnl_own(&j);
	for (unsigned i = 0; i < w->guest.nqueues; i++) {
		jrnl_taken(&j.q[i], w->wl->base);
		jrnl_publish(&j.q[i], w->wl->base);
		if (w->wl->stale)
			make_stale(&j.q[i], w->wl->nr - 1);
	}
	w->connected = true;
}

static void setup(struct crash_world *w)
{
	const struct workload *wl = w->wl;

	w->rng.state = w->plan->seed;
	w->own_fault = w->plan->own_fault;
	crash_hv_reset(point);
	w->sup = crash_hv_supervisor();
	w->check.bad_sector = wl->bad_sector ? wl->bad_sector : -1;
	w->check.killer = wl->killer;
	w->check.own_fault = w->plan->own_fault;
	w->guest = (struct crash_guest){.rng = &w->rng, .check = &w->check, .nqueues = wl->script[1] ? 2 : 1, .nr = wl->nr,
				      .batch = wl->batch, .exact = wl->exact, .persistent = wl->persistent,
				      .poller = w->plan->poller};
	crash_guest_open(&w->guest, crash_hv_guest(), wl->base, wl->script);
	crash_disk_init(&w->disk, &w->rng, &w->check, point);
	w->disk.delay = wl->delay;
	w->disk.linger = wl->linger;
	w->disk.fail_flush = wl->fail_flush;
	w->disk.unit = wl->unit ? wl->unit : 1;
	w->disk.poisoned = poisoned;
	w->disk.whose = whose;
	w->disk.is_guests = crash_hv_is_guests;
	connect(w);
	if (wl->base)
		age(w);
}

static void tear_down(struct crash_world *w)
{
	if (w->cur.back)
		bury(w, &w->cur);
	if (w->old.back)
		bury(w, &w->old);
	for (unsigned i = 0; i < w->ngraves; i++) {
		if (w->grave[i].back)
			blkback_abandon(w->grave[i].back);
		free(w->grave[i].engine);
	}
	free(w->journal);
}

void crash_run(const struct workload *wl, const struct plan *plan, struct outcome *out)
{
	static struct crash_world w;

	memset(&w, 0, offsetof(struct crash_world, check));
	crash_check_init(&w.check);
	w.wl = wl;
	w.plan = plan;
	the = &w;
	*out = (struct outcome){0};
	mallopt(M_MMAP_THRESHOLD, 1 << 30); /* what one run gave back is there for the next, without faults */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	setup(&w);
	drive(&w, out);
	the = NULL;
	out->invariant = w.check.invariant;
	if (out->invariant)
		memcpy(out->text, w.check.text, sizeof(out->text));
	for (unsigned i = 0; i < w.check.nreqs; i++)
		out->answered += w.check.req[i].answered;
	out->convicted = w.check.convicted;
	tear_down(&w);
}
