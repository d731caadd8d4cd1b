/* What stubs say. Every word is foreign: unknown types, slots and serials are dropped. */
#include "recovery/super/sup_priv.h"

#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

static void up(struct sup_proc *p, unsigned slot, uint64_t generation, uint64_t at, uint64_t sectors)
{
	struct sup_dev *d = p->dev[slot].dev;
	bool first = !d->connected;

	p->dev[slot].said = true;
	d->generation = generation;
	d->connected = d->resumed = true;
	if (d->state != CTL_FENCING)
		sup_dev_text(d, "%s", "");
	d->up_since = clock_now();
	if (d->class->up)
		d->class->up(d);
	if (d->died_at)
		d->last_outage = at > d->died_at ? at - d->died_at : 0;
	sup_resize_serves(d, sectors); /* before the guest is told that it is connected */
	sup_dev_event(d, first ? SUP_EV_CONNECTED : SUP_EV_RESUMED);
	sup_dev_save(d);
}

static void say_resumed(struct sup_dev *d, const struct stub_msg *m, const struct sup_proc *p)
{
	struct ctl_event e = {.kind = CTL_EV_RESUMED, .domid = d->domid, .devid = d->devid, .pid = p->pid};

	e.generation = d->generation;
	e.outage_ns = d->last_outage;
	e.at[CTL_AT_NOTICED] = d->died_at;
	e.at[CTL_AT_GO] = p->group->went;
	e.at[CTL_AT_BEGUN] = m->at[STUB_AT_BEGUN];
	e.at[CTL_AT_READY] = m->at[STUB_AT_READY];
	e.at[CTL_AT_LOCKED] = m->at[STUB_AT_LOCKED];
	e.at[CTL_AT_UP] = m->at[STUB_AT_UP];
	memcpy(e.vdev, d->vdev, sizeof(e.vdev));
	snprintf(e.text, sizeof(e.text), "%llu us; %llu answered again, %llu redone", (unsigned long long)(d->last_outage / 1000),
		 (unsigned long long)m->arg[0], (unsigned long long)m->arg[1]);
	sup_note_event(d->sup, &e, SUP_SAY);
}

static void say_fenced(struct sup_dev *d, const struct stub_msg *m, const struct sup_proc *p)
{
	struct ctl_event e = {.kind = CTL_EV_FENCED, .domid = d->domid, .devid = d->devid, .pid = p->pid};

	e.generation = d->generation;
	e.outage_ns = m->arg[0];
	memcpy(e.vdev, d->vdev, sizeof(e.vdev));
	snprintf(e.text, sizeof(e.text), "after %llu us", (unsigned long long)(m->arg[0] / 1000));
	sup_note_event(d->sup, &e, SUP_SAY);
}

static void broken(struct sup_dev *d, const struct stub_msg *m)
{
	sup_dev_text(d, "%s: %s", m->arg[0] == STUB_BROKEN_JOURNAL ? "journal corrupt" : "broken by the guest", m->text);
	sup_dev_event(d, SUP_EV_RING_BROKEN);
}

static void from_active(struct sup_proc *p, unsigned slot, const struct stub_msg *m)
{
	struct sup_dev *d = p->dev[slot].dev;

	switch (m->type) {
	case STUB_CONNECTED:
	case STUB_RESUMED:
		if (p->dev[slot].said)
			break;
		up(p, slot, m->generation, m->type == STUB_RESUMED ? m->at[STUB_AT_UP] : clock_now(), m->arg[2]);
		if (m->type == STUB_RESUMED)
			say_resumed(d, m, p);
		break;
	case STUB_FENCING:
		sup_proc_deadline(p, 0); /* as long as the storage takes, but it must go on living */
		sup_watch_start(p);
		sup_dev_text(d, "%llu requests wait for the storage to let go the former generation", (unsigned long long)m->arg[0]);
		sup_note(d, CTL_EV_FENCING, "%s", d->text);
		sup_dev_event(d, SUP_EV_FENCE_WAIT);
		break;
	case STUB_FENCED:
		say_fenced(d, m, p);
		sup_dev_text(d, "%s", "");
		sup_dev_event(d, d->resumed ? SUP_EV_FENCED : SUP_EV_FENCED_EARLY);
		break;
	case STUB_BROKEN:
		broken(d, m);
		break;
	case STUB_MISMATCH:
		sup_dev_text(d, "journal corrupt: it is another connection's");
		sup_dev_event(d, SUP_EV_RING_BROKEN);
		break;
	case STUB_POISON:
		sup_note(d, CTL_EV_POISON, "%s", m->text);
		break;
	case STUB_RESIZED:
		sup_resize_said(d, m);
		break;
	case STUB_READY: /* it got its GO before it was */
		break;
	case STUB_DRAINED:
		if (m->arg[0])
			log_warn("%s: %llu requests could not be answered in time while draining", d->vdev,
				 (unsigned long long)m->arg[0]);
		break;
	case STUB_CARRIER:
	case STUB_STEER:
		if (d->class->said)
			d->class->said(d, m);
		break;
	default:
		log_peer("stub %d says %u, which means nothing", (int)p->pid, m->type);
	}
}

/* Until one serves, its devices say why none does. */
static void failed(struct sup_proc *p, const struct stub_msg *m)
{
	memcpy(p->why, m->text, sizeof(p->why));
	for (unsigned i = 0; i < p->ndevs && !p->standby; i++)
		if (p->dev[i].dev && !p->dev[i].said)
			sup_dev_text(p->dev[i].dev, "%s", p->why);
	log_warn("%s %d can not serve: %s", p->standby ? "standby" : "stub", (int)p->pid, p->why);
}

static void judge(struct sup_proc *p, struct stub_msg *m)
{
	struct sup_dev *d = m->dev < p->ndevs ? p->dev[m->dev].dev : NULL;

	m->text[sizeof(m->text) - 1] = '\0';
	for (char *c = m->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (!d || d->serial != m->serial)
		return;
	if (m->type == STUB_FAILED) {
		failed(p, m);
	} else if (p == p->group->active) {
		from_active(p, m->dev, m);
	} else if (p == p->group->standby && m->type == STUB_READY && !p->dev[m->dev].said) {
		p->dev[m->dev].said = true;
		for (unsigned i = 0; i < p->ndevs; i++)
			if (!p->dev[i].said)
				return;
		p->ready = true;
		sup_note(d, CTL_EV_STANDBY, "pid %d", (int)p->pid);
		for (unsigned i = 0; i < p->ndevs; i++)
			sup_dev_save(p->dev[i].dev);
		sup_group_ready(p->group);
	}
}

/* 1 when there was one. */
static int take(struct sup_proc *p)
{
	struct stub_msg m;
	ssize_t n = p->ctl >= 0 ? fdmsg_recv(p->ctl, &m, sizeof(m), NULL, NULL) : 0;

	if (n == (ssize_t)sizeof(m))
		judge(p, &m);
	else if (n > 0 || n == -EMSGSIZE)
		log_peer("stub %d sent %zd bytes that mean nothing", (int)p->pid, n);
	return n > 0 || n == -EMSGSIZE;
}

void sup_msg_ready(struct loop_fd *w, uint32_t events)
{
	struct sup_proc *p = CONTAINER_OF(w, struct sup_proc, on_msg);

	if (!take(p) && (events & EPOLLHUP))
		loop_fd_stop(p->sup->loop, &p->on_msg); /* its end will be seen by the pidfd */
}

void sup_msg_drain(struct sup_proc *p)
{
	/* Bounded: what a socket of this kind holds. */
	for (unsigned i = 0; i < 4096 && take(p); i++)
		;
}

void sup_dev_assume_resumed(struct sup_proc *p, unsigned slot)
{
	up(p, slot, sup_journal_generation(p->dev[slot].dev), clock_now(), 0);
}
