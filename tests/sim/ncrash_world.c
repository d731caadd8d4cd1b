#include "tests/sim/ncrash.h"

#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 4000u

static struct nc_world *the; /* the run that is on */

/* What the code under test finds in place of a clock and an end. */
enum jrnl_mutant jrnl_mutant;
enum njrnl_mutant njrnl_mutant;
uint64_t clock_now(void) { return the ? the->time * NS_PER_US : 0; }
uint64_t clock_lately(struct clock_lately *c) { return c->now = clock_now(); }

void nc_violation(struct nc_world *w, const char *invariant, const char *fmt, ...)
{
	va_list ap;

	if (w->invariant)
		return;
	w->invariant = invariant;
	va_start(ap, fmt);
	vsnprintf(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
}

/* ---- death */

static NORETURN void die(struct nc_world *w)
{
	w->inside = false;
	longjmp(w->die, 1);
}

void check_failed(const char *file, int line, const char *what)
{
	if (!the || !the->inside) {
		fprintf(stderr, "%s:%d: %s\n", file, line, what);
		abort();
	}
	nc_violation(the, "CHECK", "%s:%d: %s", file, line, what);
	die(the);
}

/* The packet that kills is being delivered. */
static void copying(const struct hv_copy *c)
{
	struct nc_world *w = the;
	size_t at;
	const uint8_t *frame;

	if (w->wl->ctrl_killer && c->gref == w->page_gref && w->said == w->wl->ctrl_killer) {
		w->own = true;
		die(w);
	}
	at = (size_t)((const uint8_t *)c->local - w->cur.back->q[0].j->data);
	frame = w->cur.back->q[0].j->data + at / NJRNL_DATA * NJRNL_DATA + NETPORT_HDR;
	if (!w->wl->rx_killer || at >= NJRNL_BUFS * NJRNL_DATA || nc_number(frame, 1, 0, w->q[0].nrx) + 1 != w->wl->rx_killer)
		return;
	w->own = true;
	die(w);
}

void nc_point(void)
{
	struct nc_world *w = the;

	if (w && w->inside && ++w->points == w->kill_at)
		die(w);
}

void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
	nc_point();
}

static void died(struct nc_world *w)
{
	if (w->cur.hv)
		crash_hv_kill(w->cur.hv);
	if (w->cur.back)
		w->grave[w->ngraves++] = w->cur.back;
	w->cur = (struct nc_stub){0};
	w->last_own = w->plan->own_fault || w->own;
	w->own = false;
	w->down = crash_below(&w->rng, 4);
	w->number++;
}

/* ---- birth */

static bool killer(const struct nc_world *w) { return w->wl->tx_killer || w->wl->rx_killer || w->wl->ctrl_killer; }

static void on_event(void *arg, enum be_event e, uint64_t value, const char *text)
{
	struct nc_world *w = arg;

	if (e == BE_BROKEN_RING || e == BE_BROKEN_JOURNAL)
		nc_violation(w, "BROKEN", "%s", text);
	if (e != BE_POISON)
		return;
	w->convicted |= 1u << value % 32; /* said again at each start until it is gone */
	if (!w->plan->own_fault && !killer(w))
		nc_violation(w, "INNOCENT", "%s", text);
}

static struct hv_port *adopt(struct nc_world *w, struct hv_port *of)
{
	int fds[HV_PORT_FDS];
	size_t n = hv_port_fds(of, fds);
	struct hv_port *p;

	CHECK(hv_port_adopt(w->cur.hv, fds, n, hv_port_number(of), &p) == 0);
	return p;
}

static void open_stub(struct nc_world *w, struct be_prepare *p)
{
	struct nc_stub *s = &w->cur;

	*p = (struct be_prepare){.conn = &w->conn, .journal = w->journal, .journal_bytes = njrnl_file_bytes(w->nqueues), .event = on_event,
				 .event_arg = w};
	p->hv = s->hv = crash_hv_stub();
	for (unsigned i = 0; i < w->nqueues; i++) {
		CHECK(hv_map_ring(s->hv, CRASH_HV_DOMAIN, &w->q[i].tx_gref, 1, &p->ring[i]) == 0);
		CHECK(hv_map_ring(s->hv, CRASH_HV_DOMAIN, &w->q[i].rx_gref, 1, &p->ring_rx[i]) == 0);
		p->port[i] = s->port[i][0] = adopt(w, w->sup_port[i][0]);
		p->port_rx[i] = s->port[i][1] = w->wl->split ? adopt(w, w->sup_port[i][1]) : NULL;
	}
	if (!w->ctrl)
		return;
	CHECK(hv_map_ring(s->hv, CRASH_HV_DOMAIN, &w->ctrl_gref, 1, &p->ctrl_ring) == 0);
	p->ctrl_port = s->ctrl = adopt(w, w->sup_ctrl);
}

struct steer_map nc_steer;

static void start(struct nc_world *w)
{
	const struct netback_options o = {.netport = &w->netport, .entries = w->wl->nr, .steer = &nc_steer};
	struct be_prepare p;
	struct be_started s;
	int rc;

	open_stub(w, &p);
	/* One that was just made: each stub must write into it what holds. */
	nc_steer.now = nc_steer.state[0].types = 0;
	CHECK(netback_prepare(&p, &o, &w->cur.back) == 0);
	w->inside = true;
	nc_point(); /* made, and not yet told to begin */
	rc = netback_start(w->cur.back, !w->connected, w->last_own, &s);
	if (rc)
		nc_violation(w, "BROKEN", "the start of incarnation %u failed with %d", w->number, rc);
	nc_point(); /* begun, and has not said so */
	w->connected = true;
	nc_point();
	w->inside = false;
	w->start_points = w->points;
}

/* ---- life */

static bool event(struct nc_world *w, unsigned i)
{
	struct nc_stub *s = &w->cur;
	struct hv_port *ports[] = {s->port[i][0], s->port[i][1], i ? NULL : s->ctrl};
	bool any = nc_port_event(&w->q[i]);

	for (unsigned k = 0; k < ARRAY_LEN(ports); k++)
		if (ports[k] && crash_hv_pending(ports[k])) {
			hv_port_clear(ports[k]);
			any = true;
		}
	return any;
}

static void live(struct nc_world *w, unsigned i)
{
	struct netback_queue *q = netback_get_queue(w->cur.back, i);

	w->inside = true;
	if (!w->cur.asleep[i] || event(w, i)) {
		w->cur.asleep[i] = false;
		if (netback_turn(q, 1 + crash_below(&w->rng, 4)) == BE_IDLE && netback_arm(q) == 0)
			w->cur.asleep[i] = true;
	}
	w->inside = false;
}

/* The guest changes what the backend has copied already, but for what may be an answer. */
static void change_mind(struct nc_world *w)
{
	for (unsigned i = 0; i < w->nqueues; i++) {
		const struct njrnl_queue *h = w->cur.back->jrnl.q[i].hdr;
		uint64_t cons = jrnl_seq_of(h->common.req_cons);

		for (uint64_t k = jrnl_seq_of(h->common.rsp_prod); k < cons; k++)
			memset((char *)&w->q[i].tx->ring[k & (w->wl->nr - 1)] + 4, 0xee, NETIF_TX_ENTRY - 4);
	}
}

static bool step(struct nc_world *w)
{
	w->time++;
	nc_guest_step(w);
	nc_port_step(w);
	if (!w->cur.back && w->down-- > 0)
		return true;
	if (setjmp(w->die) == 0) {
		if (!w->cur.back) {
			w->points = w->start_points = 0;
			w->kill_at = w->number < w->plan->nkills ? w->plan->kill[w->number] : 0;
			start(w);
		}
		for (unsigned i = 0; i < w->nqueues; i++)
			live(w, i);
		if (w->wl->fickle && w->connected)
			change_mind(w);
		return true;
	}
	return false;
}

/* Packets that were given, wanted, and have not come. */
uint64_t nc_lost(const struct nc_world *w, unsigned i)
{
	const struct nc_queue *q = &w->q[i];
	uint64_t n = 0;

	for (unsigned k = 0; k < q->nrx; k++)
		n += q->rxp[k].must && !q->rxp[k].seen && (i || k + 1 != w->wl->rx_killer);
	return n;
}

static bool derivable(const struct nc_world *w, unsigned i)
{
	for (unsigned k = 0; k < w->q[i].nrx; k++)
		if (w->q[i].rxp[k].kind == 'X')
			return false;
	return !w->wl->cut;
}

static bool idle(const struct nc_world *w)
{
	for (unsigned i = 0; w->cur.back && i < w->nqueues; i++) {
		const struct netback_queue *q = &w->cur.back->q[i];

		if (!w->cur.asleep[i] || q->rx_head != q->rx_next)
			return false;
	}
	return w->cur.back != NULL;
}

static void check_end(struct nc_world *w)
{
	for (unsigned i = 0; i < w->nqueues; i++) {
		const struct netback_queue *q = &w->cur.back->q[i];
		uint64_t lost = nc_lost(w, i), may = derivable(w, i) ? 0 : w->number;

		if (lost > may)
			nc_violation(w, "RX-LOST", "queue %u: %llu packets in %u deaths", i, (unsigned long long)lost, w->number);
		if (q->sent != q->req_cons || q->shown != q->sent || (uint32_t)q->shown != w->q[i].tx_prod || q->rx_cons != q->rx_shown)
			nc_violation(w, "CONSERVE", "queue %u: sequence numbers", i);
		for (unsigned k = 0; k < NJRNL_BUFS; k++)
			if (q->j->buf[k].state != NJRNL_FREE && q->j->buf[k].state != NJRNL_READING)
				nc_violation(w, "CONSERVE", "queue %u: buffer %u is in use", i, k);
	}
	if (killer(w) && __builtin_popcount(w->convicted) != 1)
		nc_violation(w, "INNOCENT", "%x were convicted, one kills", w->convicted);
	if (hv_usage(w->cur.hv).mapped != 2 * w->nqueues + (w->ctrl != NULL))
		nc_violation(w, "CONSERVE", "%u pages are mapped", hv_usage(w->cur.hv).mapped);
	nc_guest_end(w);
}

static void drive(struct nc_world *w, struct nc_outcome *out)
{
	for (unsigned n = 0; !w->invariant; n++) {
		unsigned at = MIN(w->number, NC_KILLS);
		bool alive;

		if (n == STEPS_MAX || w->number >= NC_LIVES) {
			nc_violation(w, "LIVENESS", "after %u steps and %u deaths: TX %u of %u, RX %u of %u given, %u of %u messages", n,
				     w->number, w->q[0].tx_cons, w->q[0].tx_prod, w->q[0].next_rx, w->q[0].nrx, w->heard, w->nmsgs);
			return;
		}
		alive = step(w);
		out->points[at] = w->points;
		out->start_points[at] = w->start_points ? w->start_points : w->points;
		if (!alive)
			died(w);
		else if (nc_guest_done(w) && idle(w)) {
			check_end(w);
			return;
		}
	}
}

/* ---- set-up */

static struct hv_port *bind_port(struct nc_world *w, struct hv_port *guests)
{
	struct hv_port *p;

	CHECK(hv_port_bind(w->sup, CRASH_HV_DOMAIN, hv_port_number(guests), &p) == 0);
	return p;
}

/* What stays of a run's journal must not depend on the run before. */
static void clear(char *mem, unsigned nqueues)
{
	memset(mem, 0, njrnl_queue_offset(0));
	for (unsigned i = 0; i < nqueues; i++) {
		char *q = mem + njrnl_queue_offset(i);

		memset(q, 0, NJRNL_DATA_OFFSET);
		for (size_t at = NJRNL_DATA_OFFSET; at < NJRNL_QUEUE_BYTES; at += JRNL_PAGE)
			memset(q + at, 0, 128);
	}
}

/* A connection that has been for long, and whose backend has just died. */
static void age(struct nc_world *w)
{
	const struct njrnl_net net = {0};
	struct njrnl j;

	njrnl_format(w->journal, &w->conn, w->wl->nr, &net, &j);
	njrnl_own(&j);
	for (unsigned i = 0; i < w->nqueues; i++) {
		njrnl_tx_taken(&j.q[i], w->wl->base);
		njrnl_tx_sent(&j.q[i], w->wl->base);
		njrnl_tx_publish(&j.q[i], w->wl->base);
		njrnl_rx_publish(&j.q[i], w->wl->base);
	}
	w->connected = true;
}

static void setup(struct nc_world *w)
{
	static char *journal;

	if (!journal)
		journal = aligned_alloc(JRNL_PAGE, njrnl_file_bytes(NC_QUEUES));
	CHECK(journal);
	w->journal = journal;
	w->rng.state = w->plan->seed;
	w->last_own = w->plan->own_fault;
	w->nqueues = w->wl->tx[1] || w->wl->rx[1] ? 2 : 1;
	clear(journal, w->nqueues);
	crash_hv_reset(nc_point);
	crash_hv_copying = copying;
	w->guest = crash_hv_guest();
	w->sup = crash_hv_supervisor();
	nc_guest_open(w);
	nc_port_open(w);
	w->conn = (struct conn_id){.domid = CRASH_HV_DOMAIN, .type = CONN_VIF, .protocol = CONN_NATIVE, .nqueues = w->nqueues,
				   .ring_pages = 1, .epoch = 1, .features = w->wl->features, .xdp_headroom = w->wl->headroom};
	for (unsigned i = 0; i < w->nqueues; i++) {
		w->sup_port[i][0] = bind_port(w, w->q[i].port);
		if (w->wl->split)
			w->sup_port[i][1] = bind_port(w, w->q[i].port_rx);
	}
	if (w->ctrl)
		w->sup_ctrl = bind_port(w, w->ctrl_port);
	if (w->wl->base)
		age(w);
}

void nc_run(const struct nc_workload *wl, const struct nc_plan *plan, struct nc_outcome *out)
{
	static struct nc_world w;

	memset(&w, 0, sizeof(w));
	w.wl = wl;
	w.plan = plan;
	the = &w;
	*out = (struct nc_outcome){0};
	mallopt(M_MMAP_THRESHOLD, 1 << 30); /* what one run gave back is there for the next, without faults */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	setup(&w);
	drive(&w, out);
	the = NULL;
	out->invariant = w.invariant;
	memcpy(out->text, w.text, sizeof(out->text));
	out->incarnations = w.number + 1;
	for (unsigned i = 0; i < w.nqueues; i++) {
		out->repeated += w.q[i].repeated;
		out->lost += (unsigned)nc_lost(&w, i);
	}
	if (w.cur.back) {
		crash_hv_kill(w.cur.hv);
		netback_abandon(w.cur.back);
	}
	while (w.ngraves)
		netback_abandon(w.grave[--w.ngraves]);
}
