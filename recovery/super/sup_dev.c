/* Devices: what each event of the table does. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sup_dev *sup_dev_find(struct sup *s, struct dev_id id)
{
	struct sup_group *g;
	struct sup_dev *d;

	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			if (d->type == id.type && d->domid == id.domid && d->devid == id.devid)
				return d;
	return NULL;
}

struct sup_dev *sup_dev_new(struct sup *s, struct dev_id id)
{
	struct sup_dev *d = calloc(1, sizeof(*d));

	CHECK(d);
	d->sup = s;
	d->class = sup_class_of(id.type);
	CHECK(d->class);
	d->type = id.type;
	d->domid = id.domid;
	d->devid = id.devid;
	d->serial = ++s->serial;
	d->state = CTL_CLOSED;
	d->jfd = -1;
	d->class->label(d->devid, d->vdev, sizeof(d->vdev));
	d->class->init(d);
	d->group = sup_group_of(s, d->class, d->domid, d->devid);
	LIST_INSERT_HEAD(&d->group->devs, d, link);
	return d;
}

void sup_dev_free(struct sup_dev *d)
{
	CHECK(!sup_dev_has_procs(d));
	sup_bus_forget(d);
	sup_offer_stop(d);
	sup_conn_forget(d);
	d->class->release(d);
	sup_state_remove(d->sup->dirs.devs, sup_dev_id(d));
	sup_group_leave(d);
	if (d->save.queued)
		d->gone = true; /* freed by the work that is still queued */
	else
		free(d);
}

/* Its descriptors end with this process, or are the keeper's as well. */
void sup_dev_abandon(struct sup_dev *d)
{
	sup_bus_forget(d);
	sup_offer_stop(d);
	for (uint32_t i = 0; i < d->nports; i++)
		if (d->port[i].port)
			hv_port_close(d->port[i].port);
	LIST_REMOVE(d, link);
	free(d);
}

bool sup_dev_runs(const struct sup_dev *d)
{
	return d->state == CTL_CONNECTING || d->state == CTL_UP || d->state == CTL_RESUMING || d->state == CTL_FENCING;
}

/* ---- what is known of it outlives us */

static void save_proc(struct saved_proc *sp, const struct sup_proc *p, const struct sup_dev *d)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->ndevs; i++)
		if (p->dev[i].dev == d)
			*sp = (struct saved_proc){.serial = p->serial, .pid = p->pid, .index = i, .ready = p->dev[i].said};
}

static void save(struct loop_work *w)
{
	struct sup_dev *d = CONTAINER_OF(w, struct sup_dev, save);
	struct saved_dev v = {.id = sup_dev_id(d), .state = d->state, .connected = d->connected};
	int rc;

	if (d->gone) {
		free(d);
		return;
	}
	v.conn = d->conn;
	v.epoch = d->epoch;
	v.generation = d->generation;
	v.restarts = d->restarts;
	v.serial = d->serial;
	v.nports = d->nports;
	v.port_nfds = d->port_nfds;
	for (uint32_t i = 0; i < d->nports; i++)
		v.local_port[i] = d->port[i].local;
	v.policy = d->group->policy;
	d->class->save(d, &v);
	strcpy(v.text, d->text);
	save_proc(&v.active, d->group->active, d);
	save_proc(&v.standby, d->group->standby, d);
	rc = sup_state_write(d->sup->dirs.devs, &v);
	if (rc)
		log_error("%s of domain %u: its state can not be written (%s): a successor would not know it", d->vdev, d->domid,
			  err_str(rc));
}

void sup_dev_save_now(struct sup_dev *d) { save(&d->save); }
void sup_dev_save(struct sup_dev *d) { loop_defer(d->sup->loop, &d->save, save); }

/* ---- events */

void sup_dev_text(struct sup_dev *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
}

void sup_note_event(struct sup *s, struct ctl_event *e, enum sup_loudness how)
{
	if (how != SUP_QUIET)
		log_msg(how == SUP_WARN ? LOG_LVL_WARN : LOG_LVL_INFO, "%s%sdomain %u: %s%s%s", e->vdev, e->vdev[0] ? " of " : "",
			e->domid, ctl_event_name((enum ctl_event_kind)e->kind), e->text[0] ? ": " : "", e->text);
	if (s->ctl)
		ctl_server_event(s->ctl, e);
}

void sup_note(struct sup_dev *d, enum ctl_event_kind kind, const char *fmt, ...)
{
	struct ctl_event e = {.kind = kind, .domid = d->domid, .devid = d->devid, .generation = d->generation};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	memcpy(e.vdev, d->vdev, sizeof(e.vdev));
	if (d->group->active)
		e.pid = d->group->active->pid;
	sup_note_event(d->sup, &e,
		       kind == CTL_EV_BROKEN || kind == CTL_EV_FAILED || kind == CTL_EV_POISON ? SUP_WARN : SUP_SAY);
}

/* Asks the stub to finish, or ends it. A guest that is gone waits for nothing. */
static void end_connection(struct sup_dev *d, enum ctl_state from)
{
	bool gentle = !d->domain_gone && !d->reset && (from == CTL_UP || from == CTL_RESUMING || from == CTL_FENCING);

	sup_offer_stop(d);
	if (sup_dev_has_procs(d))
		sup_group_change(d->group, gentle ? SUP_CLOSE_NS : 0);
	else
		sup_dev_event(d, SUP_EV_ENDED);
}

static void forget_connection(struct sup_dev *d)
{
	sup_conn_forget(d);
	d->connected = d->resumed = d->reset = false;
	d->generation = 0;
	d->died_at = 0;
	sup_dev_text(d, "%s", "");
	memset(&d->group->policy, 0, sizeof(d->group->policy));
	sup_note(d, CTL_EV_CLOSED, "%s", d->domain_gone ? "its domain is gone" : "");
	sup_bus_closed(d);
}

static void act(struct sup_dev *d, enum sup_action what, enum ctl_state from)
{
	switch (what) {
	case SUP_DO_NOTHING:
		break;
	case SUP_DO_CONNECT:
		sup_group_change(d->group, SUP_DRAIN_NS);
		break;
	case SUP_DO_REPAIR:
		sup_group_kick(d->group);
		break;
	case SUP_DO_REJOIN:
		d->died_at = clock_now(); /* its guest has waited since now */
		sup_group_change(d->group, SUP_DRAIN_NS);
		break;
	case SUP_DO_PARK:
		sup_note(d, CTL_EV_NOTE, "its domain is shut down: nothing is replayed unless it runs again");
		sup_group_change(d->group, SUP_DRAIN_NS);
		sup_domain_await(d->sup);
		break;
	case SUP_DO_ONLINE:
		/* Before the guest is told, or a successor of ours would begin this connection anew, over requests in it. */
		sup_dev_save_now(d);
		sup_note(d, CTL_EV_CONNECTED, "%u queues", d->conn.nqueues);
		sup_bus_online(d);
		sup_group_settled(d->group);
		if (!sup_domain_runs(d)) /* it was told of, maybe, but not heard yet */
			sup_dev_event(d, SUP_EV_STOPPED);
		break;
	case SUP_DO_SETTLED:
		if (sup_bus_waits(d)) /* given up before it ever was online, and begun again by an operator */
			sup_dev_save_now(d);
		sup_bus_online(d);
		sup_group_settled(d->group);
		break;
	case SUP_DO_HALT:
		sup_note(d, d->state == CTL_BROKEN ? CTL_EV_BROKEN : CTL_EV_FAILED, "%s", d->text);
		sup_bus_error(d, d->text);
		sup_group_change(d->group, 0);
		break;
	case SUP_DO_END:
		end_connection(d, from);
		break;
	case SUP_DO_FORGET:
		forget_connection(d);
		break;
	case SUP_DO_REPLACE:
		sup_group_replace(d->group);
		break;
	}
}

void sup_dev_event(struct sup_dev *d, enum sup_event ev)
{
	const struct sup_edge *e = sup_fsm(d->state, ev);
	enum ctl_state from = d->state;

	if (!e)
		return;
	if (e->next != from)
		log_debug("%s of domain %u: %s -> %s (%s)", d->vdev, d->domid, ctl_state_name(from), ctl_state_name(e->next),
			  sup_event_name(ev));
	d->state = e->next;
	sup_dev_save(d);
	act(d, e->action, from);
}
