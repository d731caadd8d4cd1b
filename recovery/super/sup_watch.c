/* Is it alive? Looks at turn counters in the journal, pokes, and kills what hangs (sup_health.h). */
#include "recovery/super/sup_priv.h"

#include "recovery/super/procs.h"
#include "ring/base/log.h"

#include <errno.h>
#include <unistd.h>

#define STEAL_NS (2 * NS_PER_MS)

static void look(struct loop_timer *t);

static void again(struct sup_proc *p, uint64_t at) { loop_timer_start(p->sup->loop, &p->health, at, look); }

/* Bytes that came back; none blocks. */
static bool answered(int fd)
{
	char buf[64];
	bool any = false;

	while (read(fd, buf, sizeof(buf)) > 0)
		any = true;
	return any;
}

static void kill_hung(struct sup_proc *p, struct sup_dev *d, unsigned q, const char *how)
{
	if (!p->asked && !policy_may_kill_hung(&p->group->policy, clock_now())) {
		log_peer("%s of domain %u: queue %u %s, but too many were killed for that lately: later", d->vdev, d->domid, q, how);
		return;
	}
	sup_note(d, CTL_EV_HUNG, "%s %d, queue %u: %s", p->standby ? "standby" : "stub", (int)p->pid, q, how);
	p->hung = true;
	sup_proc_kill(p);
}

static void poke(struct sup_proc *p, int fd)
{
	char byte = 1;

	if (write(fd, &byte, 1) < 0 && errno != EAGAIN)
		log_debug("stub %d can not be poked", (int)p->pid); /* it is dying: the pidfd will say so */
}

/* Of all queues: what waits in one of them may wait for what another has in the engine, a flush or a range. */
static uint64_t outstanding(const struct sup_dev *d)
{
	struct jrnl_stats st;
	uint64_t n = 0;

	for (uint32_t q = 0; q < sup_dev_queues(d); q++)
		n += sup_journal_stats(d, q, &st) ? 0 : st.engine_outstanding;
	return n;
}

/* Many workers ask at the same time, and /proc/stat is long. */
static uint64_t stolen(struct sup *s, uint64_t now)
{
	uint64_t ns[HEALTH_CPUS];

	if (now - s->steal_at >= STEAL_NS) {
		s->steal_at = now;
		health_stolen(&s->steal, ns, procs_stolen(ns, HEALTH_CPUS));
	}
	return s->steal.total;
}

/* One worker. False: it was killed. */
static bool check(struct sup_proc *p, unsigned slot, unsigned q, uint64_t now, uint64_t *next)
{
	struct proc_dev *pd = &p->dev[slot];
	struct sup_dev *d = pd->dev;
	struct health_sample s = {.now = now, .fencing = d->state == CTL_FENCING || p->standby};
	struct health *h = &pd->health[q];
	struct jrnl_stats st = {0};
	struct procs_sched sched;

	/* A standby's workers sleep; the counters are the active one's. */
	if (!p->standby && sup_journal_stats(d, q, &st))
		return true;
	s.turn = st.turn;
	s.oldest_taken = st.oldest_taken;
	s.engine_outstanding = st.oldest_taken && !st.engine_outstanding ? outstanding(d) : st.engine_outstanding;
	s.answered = h->poked && answered(pd->poke[q]);
	s.waits = !p->standby && !(st.turn & 1) && sup_conn_waits(d, q);
	if (health_wants_wait(h, &s, d->hang_ns) && procs_sched(p->pid, &sched) == 0) {
		s.cpu_wait_ns = sched.wait_ns;
		s.cpu_run_ns = sched.run_ns;
		s.runnable = sched.runnable;
		s.stolen_ns = stolen(p->sup, now);
	}
	switch (health_step(h, &s, d->hang_ns)) {
	case HEALTH_OK:
		break;
	case HEALTH_POKE:
		poke(p, pd->poke[q]);
		break;
	case HEALTH_HUNG:
		kill_hung(p, d, q, "no answer");
		return !p->hung;
	case HEALTH_LIVELOCK:
		kill_hung(p, d, q, "turns, but the oldest request makes no progress");
		return !p->hung;
	}
	*next = MIN(*next, health_next(h, now, p->standby, d->hang_ns));
	return true;
}

static void look(struct loop_timer *t)
{
	struct sup_proc *p = CONTAINER_OF(t, struct sup_proc, health);
	uint64_t now = clock_now(), next = now + HEALTH_IDLE_NS;

	if (p->draining)
		return; /* that has a deadline of its own */
	for (unsigned i = 0; i < p->ndevs; i++) {
		for (unsigned q = 0; q < CONN_QUEUES_MAX && p->dev[i].dev && p->dev[i].poke[q] >= 0; q++)
			if (!check(p, i, q, now, &next))
				return;
		if (p->dev[i].dev && !p->standby && p->dev[i].dev->class->look)
			p->dev[i].dev->class->look(p->dev[i].dev, now);
	}
	again(p, MAX(next, now + NS_PER_MS));
}

void sup_watch_start(struct sup_proc *p)
{
	for (unsigned i = 0; i < p->ndevs; i++)
		for (unsigned q = 0; q < CONN_QUEUES_MAX; q++)
			p->dev[i].health[q] = (struct health){0};
	again(p, clock_now() + NS_PER_MS);
}
