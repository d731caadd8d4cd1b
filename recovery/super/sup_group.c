/* Which process serves a group of devices: the way from a death to a successor, standbys, planned restarts. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <stdlib.h>

struct sup_group *sup_group_of(struct sup *s, const struct sup_class *class, uint32_t domid, uint32_t devid)
{
	struct sup_group *g;

	if (s->o.placement == SUP_MONOLITHIC)
		domid = CTL_ALL;
	if (s->o.placement != SUP_PER_DEVICE)
		devid = CTL_ALL;
	LIST_FOREACH(g, &s->groups, link)
		if (g->class == class && g->domid == domid && g->devid == devid)
			return g;
	g = calloc(1, sizeof(*g));
	CHECK(g);
	g->sup = s;
	g->class = class;
	g->domid = domid;
	g->devid = devid;
	LIST_INIT(&g->devs);
	LIST_INSERT_HEAD(&s->groups, g, link);
	return g;
}

void sup_group_leave(struct sup_dev *d)
{
	LIST_REMOVE(d, link);
	sup_group_kick(d->group);
}

static bool has_procs(const struct sup_group *g)
{
	struct sup_proc *p;

	LIST_FOREACH(p, &g->sup->procs, link)
		if (p->group == g)
			return true;
	return false;
}

void sup_group_free(struct sup_group *g)
{
	loop_timer_stop(g->sup->loop, &g->start);
	loop_timer_stop(g->sup->loop, &g->spare);
	LIST_REMOVE(g, link);
	free(g);
}

static unsigned running(const struct sup_group *g)
{
	struct sup_dev *d;
	unsigned n = 0;

	LIST_FOREACH(d, &g->devs, link)
		n += sup_dev_runs(d);
	return n;
}

bool sup_group_full(const struct sup_group *g) { return running(g) >= STUB_DEVS_MAX; }

static bool serves(const struct sup_proc *p, const struct sup_dev *d)
{
	for (unsigned i = 0; i < p->ndevs; i++)
		if (p->dev[i].dev == d)
			return true;
	return false;
}

/* p was started for just the devices that run now. */
static bool fits(const struct sup_group *g, const struct sup_proc *p)
{
	struct sup_dev *d;

	if (running(g) != p->ndevs)
		return false;
	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d) && !serves(p, d))
			return false;
	return true;
}

/* ---- start */

static void start_due(struct loop_timer *t) { sup_group_kick(CONTAINER_OF(t, struct sup_group, start)); }

static void pause_start(struct sup_group *g, uint64_t ns)
{
	loop_timer_start(g->sup->loop, &g->start, clock_now() + ns, start_due);
}

static void start(struct sup_group *g)
{
	struct sup_dev *d;

	if (g->active || g->start.active || g->sup->stopping)
		return;
	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d) && d->connected && !sup_domain_runs(d))
			sup_dev_event(d, SUP_EV_STOPPED);
	if (!running(g))
		return;
	/* Before a fresh stub owns journal and ring nobody else may be alive that could: killed ones still dying. */
	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d) && !d->connected && sup_dev_has_procs(d))
			return;
	g->changed = false;
	/* Out of processes or descriptors, or without a program: tried for as long as it takes, but seldom. */
	if (sup_proc_start(g, false))
		pause_start(g, NS_PER_S);
}

static void run(struct loop_work *w)
{
	struct sup_group *g = CONTAINER_OF(w, struct sup_group, run);

	if (LIST_EMPTY(&g->devs) && !has_procs(g))
		sup_group_free(g);
	else
		start(g);
}

void sup_group_kick(struct sup_group *g) { loop_defer(g->sup->loop, &g->run, run); }

/* ---- standby */

static void drop_standby(struct sup_group *g)
{
	loop_timer_stop(g->sup->loop, &g->spare);
	if (g->standby)
		sup_proc_kill(g->standby);
	g->standby = NULL;
}

static bool standby_wanted(const struct sup_group *g)
{
	struct sup_dev *d;

	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d) && d->want_standby)
			return true;
	return false;
}

static void spare_due(struct loop_timer *t)
{
	struct sup_group *g = CONTAINER_OF(t, struct sup_group, spare);

	if (!g->active || !g->active->ready || g->active->draining || g->standby || g->changed || g->sup->stopping)
		return;
	if (sup_proc_start(g, true))
		loop_timer_start(g->sup->loop, &g->spare, clock_now() + NS_PER_S, spare_due);
}

static void want_standby(struct sup_group *g, uint64_t after_ns)
{
	loop_timer_start(g->sup->loop, &g->spare, clock_now() + after_ns, spare_due);
}

void sup_group_settled(struct sup_group *g)
{
	struct sup_proc *p = g->active;

	for (unsigned i = 0; i < p->ndevs; i++)
		if (p->dev[i].dev && !p->dev[i].said)
			return;
	p->ready = true;
	sup_proc_deadline(p, 0);
	sup_watch_start(p);
	g->own_fault = false;
	if (!fits(g, p))
		sup_group_change(g, SUP_DRAIN_NS);
	else if (standby_wanted(g) || g->replacing)
		want_standby(g, MAX(g->pause_ns, (uint64_t)SUP_STANDBY_NS));
	g->pause_ns = 0;
}

void sup_group_ready(struct sup_group *g)
{
	sup_proc_deadline(g->standby, 0);
	sup_watch_start(g->standby);
	if (g->replacing && g->active)
		sup_proc_drain(g->active, SUP_DRAIN_NS);
}

/* ---- change */

void sup_group_change(struct sup_group *g, uint64_t drain_ns)
{
	drop_standby(g);
	g->changed = true;
	if (!g->active)
		sup_group_kick(g);
	else if (drain_ns || running(g))
		sup_proc_drain(g->active, drain_ns ? drain_ns : SUP_DRAIN_NS);
	else
		sup_proc_kill(g->active);
}

/* A standby of today's program is made first, then the old one drains: when it ends the standby takes over as after a
 * death. Without standbys a plain start follows. */
void sup_group_replace(struct sup_group *g)
{
	drop_standby(g);
	g->replacing = true;
	if (!g->active)
		sup_group_kick(g);
	else if (standby_wanted(g))
		want_standby(g, 0);
	else
		sup_proc_drain(g->active, SUP_DRAIN_NS);
}

/* ---- death */

static bool all_run(const struct sup_proc *p)
{
	for (unsigned i = 0; i < p->ndevs; i++)
		if (p->dev[i].dev && sup_dev_runs(p->dev[i].dev) && !sup_domain_runs(p->dev[i].dev))
			return false;
	return true;
}

/* The way that counts in an outage: one message, nothing else. A standby that is not ready yet finds it when it is, sooner
 * than one started now would be. Where policy might give up, the slow way decides. */
void sup_group_go(struct sup_group *g, struct sup_proc *p, bool own_fault)
{
	struct sup_proc *next = g->standby;
	struct stub_msg m = {.type = STUB_GO, .arg = {own_fault ? UINT64_MAX : 0}};

	g->gone_over = false;
	if (p != g->active || g->changed || !next || (own_fault && g->policy.row + 1 >= POLICY_GIVE_UP) ||
	    !all_run(p))
		return;
	g->went = clock_now();
	g->gone_over = fdmsg_send(next->ctl, &m, sizeof(m), NULL, 0) == 0;
}

static struct policy_verdict judge(struct sup_group *g, struct sup_proc *p, bool own_fault, uint64_t now)
{
	struct policy_death death = {.own_fault = own_fault, .asked = p->asked || p->draining, .lived_ns = now - p->since};

	for (unsigned i = 0; i < p->ndevs; i++)
		if (p->dev[i].dev && sup_journal_requests(p->dev[i].dev) > p->dev[i].requests)
			death.progress = true;
	return policy_died(&g->policy, now, &death);
}

static void take_over(struct sup_group *g, uint64_t now)
{
	struct sup_proc *p = g->standby;

	g->active = p;
	g->standby = NULL;
	p->standby = p->ready = false;
	p->since = now;
	loop_timer_stop(g->sup->loop, &p->health);
	for (unsigned i = 0; i < p->ndevs; i++) {
		p->dev[i].said = false;
		if (p->dev[i].dev)
			p->dev[i].requests = sup_journal_requests(p->dev[i].dev);
	}
	sup_proc_deadline(p, SUP_GO_NS);
}

static void tell_devices(struct sup_proc *p, const struct policy_verdict *v, uint64_t now)
{
	for (unsigned i = 0; i < p->ndevs; i++) {
		struct sup_dev *d = p->dev[i].dev;

		if (!d)
			continue;
		d->died_at = now;
		d->resumed = false;
		d->restarts += !p->draining && d->connected && sup_dev_runs(d); /* of a broken one it was the end */
		if (v->give_up)
			sup_dev_text(d, "given up: %u deaths in a row without one answered request%s%s; `bulkhead restart` tries again",
				     POLICY_GIVE_UP, p->why[0] ? ": " : "", p->why);
		sup_dev_event(d, v->give_up ? SUP_EV_GIVE_UP : SUP_EV_DIED);
		sup_dev_save(d);
	}
}

void sup_group_died(struct sup_group *g, struct sup_proc *p, bool own_fault, uint64_t now, struct ctl_event *e)
{
	struct policy_verdict v;

	if (p != g->active)
		sup_note_death(p, e);
	if (p == g->standby) {
		g->standby = NULL;
		if (g->active && g->active->ready && !g->changed) {
			v = judge(g, p, own_fault, now);
			want_standby(g, v.give_up ? POLICY_PAUSE_MAX_NS : MAX(v.delay_ns, (uint64_t)SUP_STANDBY_NS));
		}
		return;
	}
	if (p != g->active)
		return; /* a former one, killed */
	v = judge(g, p, own_fault, now);
	g->active = NULL;
	g->own_fault = own_fault;
	g->replacing = false;
	loop_timer_stop(g->sup->loop, &g->spare);
	if (g->gone_over && g->standby) {
		g->pause_ns = v.delay_ns;
		take_over(g, now);
	} else {
		drop_standby(g);
	}
	if (!g->active && !v.give_up && !v.delay_ns)
		start(g); /* before all that can wait: the guest does */
	sup_note_death(p, e);
	tell_devices(p, &v, now);
	if (!g->active && v.delay_ns) {
		log_warn("stub %d died without an answer, as others before: the next start waits %llu ms", (int)p->pid,
			 (unsigned long long)(v.delay_ns / NS_PER_MS));
		pause_start(g, v.delay_ns);
	}
}
