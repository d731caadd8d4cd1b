/* A successor of the supervisor: what the state files say and the keeper holds becomes devices and processes again. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/procs.h"
#include "ring/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADOPT_NS (100 * NS_PER_MS) /* for a stub whose word its former supervisor may have read and lost */

static struct sup_proc *proc_of(struct sup *s, uint64_t serial)
{
	struct sup_proc *p;

	LIST_FOREACH(p, &s->procs, link)
		if (p->serial == serial)
			return p;
	return NULL;
}

static unsigned slots_of(struct sup *s, uint64_t serial);

/* From the keeper's descriptors; NULL when it knows nothing of it. */
static struct sup_proc *adopt_proc(struct sup_dev *d, const struct saved_proc *sp, bool standby)
{
	struct sup *s = d->sup;
	struct sup_proc *p = proc_of(s, sp->serial);
	char name[KEEP_NAME_MAX];
	int fds[2];
	size_t n = 2;

	if (p)
		return p;
	sup_name_proc(name, sp->serial);
	if (keep_get(&s->keep, name, fds, &n))
		return NULL;
	if (n != 2) {
		if (n == 1)
			close(fds[0]);
		return NULL;
	}
	p = sup_proc_new(s, d->group, slots_of(s, sp->serial));
	p->serial = sp->serial;
	p->pid = sp->pid;
	p->pidfd = fds[0];
	p->ctl = fds[1];
	p->standby = standby;
	p->adopted = true;
	sup_blank_want(s, d->class);
	*(standby ? &d->group->standby : &d->group->active) = p;
	return p;
}

static void adopt_slot(struct sup_dev *d, const struct saved_proc *sp, bool standby)
{
	struct sup_proc *p;
	struct proc_dev *pd;
	char name[KEEP_NAME_MAX];
	size_t n = CONN_QUEUES_MAX;

	if (!sp->serial)
		return;
	p = adopt_proc(d, sp, standby);
	if (!p || sp->index >= p->ndevs)
		return;
	pd = &p->dev[sp->index];
	pd->dev = d;
	pd->said = sp->ready;
	pd->requests = sup_journal_requests(d);
	sup_name_pokes(name, sp->serial, sp->index);
	if (keep_get(&d->sup->keep, name, pd->poke, &n))
		log_warn("%s of domain %u: no means to poke stub %d: a hang of it would not be seen", d->vdev, d->domid, sp->pid);
}

/* ---- files */

struct reading {
	struct sup *sup;
	uint64_t serial;
	unsigned slots;
};

static void count_slots(struct dev_id id, void *arg)
{
	struct reading *r = (struct reading *)arg;
	struct saved_dev v;

	if (sup_state_read(r->sup->dirs.devs, id, &v))
		return;
	if (v.active.serial == r->serial)
		r->slots = MAX(r->slots, v.active.index + 1);
	if (v.standby.serial == r->serial)
		r->slots = MAX(r->slots, v.standby.index + 1);
}

static unsigned slots_of(struct sup *s, uint64_t serial)
{
	struct reading r = {.sup = s, .serial = serial};

	sup_state_each(s->dirs.devs, count_slots, &r);
	return MIN(r.slots, STUB_DEVS_MAX);
}

/* Ports that the keeper has. */
static bool take_ports(struct sup_dev *d, const struct saved_dev *v)
{
	int fds[SUP_PORTS_MAX * HV_PORT_FDS];
	char name[KEEP_NAME_MAX];
	size_t n = ARRAY_LEN(fds);

	sup_name_ports(name, sup_dev_id(d));
	if (keep_get(&d->sup->keep, name, fds, &n))
		return false;
	if (n != (size_t)v->nports * v->port_nfds) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return false;
	}
	d->nports = v->nports;
	d->port_nfds = v->port_nfds;
	for (size_t i = 0; i < n; i++)
		d->port[i / v->port_nfds].fd[i % v->port_nfds] = fds[i];
	for (uint32_t i = 0; i < v->nports; i++)
		d->port[i].local = v->local_port[i];
	return true;
}

/* False: there is no way back to this connection. */
static bool take_connection(struct sup_dev *d, const struct saved_dev *v)
{
	uint32_t bad;

	d->conn = v->conn;
	if (!v->nports || v->nports > SUP_PORTS_MAX || v->port_nfds > HV_PORT_FDS)
		return false;
	if (sup_journal_open(d)) {
		log_error("%s of domain %u: its journal is gone", d->vdev, d->domid);
		return false;
	}
	if (take_ports(d, v))
		return true;
	/* The keeper died as well: bind anew, which is allowed once the former holders are gone. */
	if (sup_conn_bind(d, &bad) == 0)
		return true;
	log_error("%s of domain %u: event channel %u can not be bound again", d->vdev, d->domid, bad);
	return false;
}

static bool is_stub(pid_t pid)
{
	char name[32];

	procs_name(pid, name, sizeof(name));
	for (unsigned i = 0; i < SUP_CLASSES; i++)
		if (strcmp(name, sup_classes[i]->program) == 0)
			return true;
	return false;
}

/* A stub that the keeper does not know (it died too) can not be watched: its journal's lock would keep others out. */
static void kill_unknown(const struct saved_proc *sp)
{
	if (sp->pid > 0 && is_stub(sp->pid))
		kill(sp->pid, SIGKILL);
}

/* Brings back stubs and connection. A connection that had only begun is begun anew: the guest was not told of it. */
static void adopt_connection(struct sup_dev *d, const struct saved_dev *v)
{
	bool had = v->connected && v->nports;

	if (had && !take_connection(d, v)) {
		sup_dev_text(d, "the connection can not be taken up again: its journal or its event channels are gone");
		d->state = CTL_BROKEN;
	}
	adopt_slot(d, &v->active, false);
	adopt_slot(d, &v->standby, true);
	if (v->active.serial && !proc_of(d->sup, v->active.serial))
		kill_unknown(&v->active);
	if (v->standby.serial && !proc_of(d->sup, v->standby.serial))
		kill_unknown(&v->standby);
	if (had)
		return;
	d->conn = v->conn;
	d->has_journal = v->nports > 0;
	sup_conn_forget(d);
	d->state = CTL_CLOSED; /* its end in xenstore says what to do with it */
	d->serial = ++d->sup->serial; /* what its stub still says means nothing to the next connection */
}

static void take_dev(struct dev_id id, void *arg)
{
	struct sup *s = (struct sup *)arg;
	struct saved_dev v;
	struct sup_dev *d;

	if (!sup_class_of(id.type) || sup_state_read(s->dirs.devs, id, &v)) {
		log_error("the state file of device %u of domain %u is damaged: that device begins anew when its frontend does", id.devid,
			  id.domid);
		sup_state_remove(s->dirs.devs, id);
		return;
	}
	d = sup_dev_new(s, id);
	d->serial = v.serial;
	d->state = v.state < CTL_STATE_COUNT ? (enum ctl_state)v.state : CTL_CLOSED;
	d->epoch = v.epoch;
	d->generation = v.generation;
	d->restarts = v.restarts;
	d->connected = d->resumed = v.connected;
	d->group->policy = v.policy;
	memcpy(d->text, v.text, sizeof(d->text));
	d->text[sizeof(d->text) - 1] = '\0';
	memcpy(d->uuid, v.conn.vm_uuid, sizeof(d->uuid));
	d->class->adopt(d, &v);
	adopt_connection(d, &v);
	sup_note(d, CTL_EV_ADOPTED, "%s, stub %d", ctl_state_name(d->state), d->group->active ? (int)d->group->active->pid : 0);
}

/* ---- processes */

static void kill_stranger(pid_t pid, void *arg)
{
	struct sup *s = (struct sup *)arg;
	struct sup_proc *p;
	char name[16];

	procs_name(pid, name, sizeof(name));
	if (strcmp(name, SUP_VIF_PROGRAM) == 0)
		sup_helper_adopt(s, pid, SUP_VIF_NS);
	if (!is_stub(pid))
		return;
	LIST_FOREACH(p, &s->procs, link)
		if (p->pid == pid)
			return;
	log_warn("stub %d is known to nobody: killing it, its device gets another", (int)pid);
	kill(pid, SIGKILL);
}

/* What the keeper holds for nobody any more. */
static void drop_leftovers(struct sup *s)
{
	char name[KEEP_NAME_MAX];
	uint64_t serial, at = 0;
	struct dev_id id;

	while (keep_list(&s->keep, at, name) == 0) {
		bool device = sup_name_device(name, &id);
		bool keep = sup_name_serial(name, &serial) ? proc_of(s, serial) != NULL
			    : device			   ? sup_dev_find(s, id) != NULL
							   : true;

		if (sup_name_is_held(name) || (device && !keep && id.type == CONN_VBD && sup_name_is_store(name)))
			sup_held_adopt(s, name);
		if (keep)
			at++;
		else
			keep_drop(&s->keep, name);
	}
}

static void begin(struct sup_proc *p)
{
	bool all = true, any = false;
	int rc = sup_proc_watch(p);

	for (unsigned i = 0; i < p->ndevs; i++) {
		all = all && (!p->dev[i].dev || p->dev[i].said);
		any = any || (p->dev[i].dev && (sup_dev_runs(p->dev[i].dev)));
	}
	p->ready = all;
	if (rc || !any)
		sup_proc_kill(p);
	else if (all)
		sup_watch_start(p);
	else
		sup_proc_deadline(p, p->standby ? SUP_START_NS : ADOPT_NS);
}

/* Its stub serves, and a device of it is to have another one: a planned restart that our predecessor did not finish. */
static bool is_replaced(const struct sup_group *g)
{
	const struct sup_dev *d;

	LIST_FOREACH(d, &g->devs, link)
		if (d->state == CTL_RESUMING)
			return g->active && g->active->ready;
	return false;
}

void sup_adopt(struct sup *s)
{
	struct sup_group *g;
	struct sup_proc *p;
	struct sup_dev *d;
	pid_t keeper = keep_client_pid(&s->keep);

	sup_state_each(s->dirs.devs, take_dev, s);
	sup_journals_sweep(s);
	if (keeper > 0)
		procs_children(keeper, kill_stranger, s);
	drop_leftovers(s);
	LIST_FOREACH(p, &s->procs, link)
		begin(p);
	LIST_FOREACH(g, &s->groups, link) {
		sup_group_kick(g);
		if (is_replaced(g))
			sup_group_replace(g);
		else if (g->active && g->active->ready && !g->standby)
			sup_group_settled(g);
		LIST_FOREACH(d, &g->devs, link)
			if (d->state == CTL_DRAINING && !sup_dev_has_procs(d))
				sup_dev_event(d, SUP_EV_ENDED);
	}
}
