#include "backend/core/be_dev.h"

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WAIT_SOON_NS (5 * NS_PER_MS) /* so long it looks every WAIT_NS, later every WAIT_LATE_NS */
#define WAIT_NS (50 * NS_PER_US)
#define WAIT_LATE_NS NS_PER_MS
#define WAIT_SAY_NS (50 * NS_PER_MS) /* before it says that it waits */
#define HAND_OVER_NS (5 * NS_PER_MS) /* so long the control thread turns queues whose workers have not woken up */

void be_dev_say(struct be_dev *d, enum stub_msg_type type, const uint64_t arg[4], const char *text)
{
	struct stub_msg m = {.type = type, .dev = d->index, .serial = d->sd->serial, .generation = d->generation};

	if (arg)
		memcpy(m.arg, arg, sizeof(m.arg));
	if (type == STUB_RESUMED)
		memcpy(m.at, d->at, sizeof(m.at));
	if (text)
		snprintf(m.text, sizeof(m.text), "%s", text);
	be_ctl_send(d->ctl, &m);
}

static void say_broken(struct be_dev *d, enum stub_broken why, const char *text)
{
	const uint64_t arg[4] = {why};

	if (exchange_acq_rel(&d->broken_said, 1))
		return; /* by another queue */
	log_error("device %u of domain %u is halted: %s", d->sd->conn.devid, d->sd->conn.domid, text ? text : "?");
	be_dev_say(d, STUB_BROKEN, arg, text);
}

/* From any thread of the device. */
static void on_event(void *dev, enum be_event e, uint64_t value, const char *text)
{
	struct be_dev *d = dev;
	uint64_t arg[4] = {value};

	switch (e) {
	case BE_FENCING:
		store_relaxed(&d->fencing_since, clock_now());
		be_dev_say(d, STUB_FENCING, arg, text);
		break;
	case BE_FENCED:
		arg[0] = clock_now() - load_relaxed(&d->fencing_since);
		be_dev_say(d, STUB_FENCED, arg, text);
		break;
	case BE_BROKEN_RING:
		say_broken(d, STUB_BROKEN_RING, text);
		break;
	case BE_BROKEN_JOURNAL:
		say_broken(d, STUB_BROKEN_JOURNAL, text);
		break;
	case BE_POISON:
		be_dev_say(d, STUB_POISON, arg, text);
		break;
	case BE_CARRIER:
		be_dev_say(d, STUB_CARRIER, arg, text);
		break;
	case BE_STEER:
		be_dev_say(d, STUB_STEER, arg, text);
		break;
	}
}

/* 0, -EPEER when the guest has not granted it, or another errno. */
static int map_ring(struct be_dev *d, const uint32_t *gref, uint32_t pages, void **out, char *err, size_t size)
{
	int rc = hv_map_ring(d->parts.hv, (hv_domid_t)d->sd->conn.domid, gref, pages, out);

	if (rc)
		snprintf(err, size, "a ring (%u pages, first grant reference %u) cannot be mapped: %s", pages, gref[0], err_str(rc));
	return rc == -EINVAL || rc == -EACCES ? -EPEER : rc;
}

/* nfds 0: there is none, *out stays NULL. */
static int adopt_port(struct be_dev *d, const struct stub_port *p, struct hv_port **out, char *err, size_t size)
{
	int rc = p->nfds ? hv_port_adopt(d->parts.hv, p->fd, p->nfds, p->local, out) : 0;

	if (rc)
		snprintf(err, size, "port %u cannot be used: %s", p->local, err_str(rc));
	return rc;
}

static int connect_queue(struct be_dev *d, uint32_t i, char *err, size_t size)
{
	const struct conn_id *c = &d->sd->conn;
	const struct stub_queue *q = &d->sd->q[i];
	int rc = map_ring(d, c->q[i].gref, c->ring_pages, &d->parts.ring[i], err, size);

	if (!rc && c->type == CONN_VIF)
		rc = map_ring(d, &c->q[i].gref[CONN_NET_RX], 1, &d->parts.ring_rx[i], err, size);
	if (!rc)
		rc = adopt_port(d, &q->port, &d->parts.port[i], err, size);
	return rc ? rc : adopt_port(d, &q->port_rx, &d->parts.port_rx[i], err, size);
}

static int connect_ctrl(struct be_dev *d, char *err, size_t size)
{
	const struct conn_id *c = &d->sd->conn;
	int rc = c->ctrl_evtchn ? map_ring(d, &c->ctrl_gref, 1, &d->parts.ctrl_ring, err, size) : 0;

	return rc ? rc : adopt_port(d, &d->sd->ctrl, &d->parts.ctrl_port, err, size);
}

int be_dev_open(struct be_dev *d, const struct stub_dev *sd, uint32_t index, const struct be_class *class, struct hv *hv,
		uid_t uid, struct be_ctl *ctl, char *err, size_t size)
{
	uint64_t bytes = class->journal_bytes(&sd->conn);
	int rc;

	*d = (struct be_dev){.sd = sd, .index = index, .class = class, .ctl = ctl, .own_fault = sd->own_fault != 0};
	d->parts.hv = hv;
	if (!bytes) {
		snprintf(err, size, "there is no ring of %u pages in protocol %u", sd->conn.ring_pages, sd->conn.protocol);
		return -EINVAL;
	}
	rc = be_journal_open(&d->journal, sd->journal, bytes, uid, err, size);
	if (!rc)
		rc = class->open(sd, &d->device, err, size);
	for (uint32_t i = 0; !rc && i < sd->conn.nqueues; i++)
		rc = connect_queue(d, i, err, size);
	if (!rc)
		rc = connect_ctrl(d, err, size);
	if (rc == -EPEER) {
		d->state = BE_DEV_BROKEN;
		snprintf(d->unmapped, sizeof(d->unmapped), "%s", err);
		rc = 0;
	}
	return rc;
}

int be_dev_prepare(struct be_dev *d, char *err, size_t size)
{
	const struct be_config config = {.poll_us = d->sd->poll_us};
	int rc;

	if (d->state == BE_DEV_BROKEN)
		return 0;
	d->parts.conn = &d->sd->conn;
	d->parts.journal = d->journal.mem;
	d->parts.journal_bytes = d->journal.bytes;
	d->parts.event = on_event;
	d->parts.event_arg = d;
	rc = d->class->prepare(d->device, &d->parts);
	if (!rc)
		rc = be_config_publish(&d->config, &config);
	for (uint32_t i = 0; !rc && i < d->sd->conn.nqueues; i++) {
		struct be_worker *w = &d->worker[i];

		*w = (struct be_worker){.class = d->class,
					.queue = d->class->queue(d->device, i),
					.config = &d->config,
					.ctl = d->ctl,
					.port = {d->parts.port[i], d->parts.port_rx[i], i ? NULL : d->parts.ctrl_port},
					.poke_fd = d->sd->q[i].poke_fd};
		rc = be_worker_start(w);
	}
	if (rc)
		snprintf(err, size, "the device cannot be prepared: %s", err_str(rc));
	return rc;
}

/* Always -EAGAIN. */
static int keep_waiting(struct be_dev *d, const char *what)
{
	uint64_t now = clock_now();

	if (!d->waiting_since)
		d->waiting_since = now;
	if (!d->waiting_said && now - d->waiting_since >= WAIT_SAY_NS) {
		d->waiting_said = true;
		be_dev_say(d, STUB_FENCING, NULL, what);
	}
	return -EAGAIN;
}

static void stop_waiting(struct be_dev *d)
{
	const uint64_t arg[4] = {clock_now() - d->waiting_since};

	if (d->waiting_said)
		be_dev_say(d, STUB_FENCED, arg, NULL);
	d->waiting_since = 0;
	d->waiting_said = false;
}

uint64_t be_dev_wait_ns(const struct be_dev *d)
{
	if (d->state != BE_DEV_LOCKING && d->state != BE_DEV_STARTING)
		return UINT64_MAX;
	return clock_now() - d->waiting_since < WAIT_SOON_NS ? WAIT_NS : WAIT_LATE_NS;
}

/* Until a queue's worker is awake, which may take longer than the whole resume, this thread does its work. The first turns
 * are short: a guest's pages are not mapped yet, and what is answered is shown at a turn's end. */
static void hand_over(struct be_dev *d)
{
	uint32_t n = d->sd->conn.nqueues, left = n;
	unsigned budget = 1;
	uint64_t until = clock_now() + HAND_OVER_NS;
	bool busy = false;

	for (uint32_t i = 0; i < n; i++)
		busy |= be_worker_turn(&d->worker[i], budget) & BE_BUSY;
	for (uint32_t i = 0; i < n; i++)
		be_worker_call(&d->worker[i]);
	while (left && busy && clock_now() < until) {
		busy = false;
		budget = MIN(2 * budget, BE_WORKER_BUDGET);
		for (uint32_t i = 0; i < n; i++) {
			struct be_worker *w = &d->worker[i];

			if (be_worker_released(w))
				continue;
			if (be_worker_arrived(w)) {
				be_worker_release(w);
				left--;
			} else {
				busy |= be_worker_turn(w, budget) & BE_BUSY;
			}
		}
	}
	for (uint32_t i = 0; i < n; i++)
		if (!be_worker_released(&d->worker[i]))
			be_worker_release(&d->worker[i]);
}

/* The journal is ours from here on. */
static int take_over(struct be_dev *d)
{
	bool fresh = d->sd->kind == STUB_FRESH;
	struct be_started s = {0};
	uint64_t sectors = 0;
	int rc;

	/* A standby has opened the storage long ago. If it has no size now, the one that is known serves as well as any. */
	if (d->class->resize)
		d->class->resize(d->device, &sectors);
	rc = d->class->start(d->device, fresh, d->own_fault, &s);
	d->at[STUB_AT_UP] = clock_now();
	d->generation = s.generation;
	if (rc == -EAGAIN)
		return keep_waiting(d, "somebody else's I/O on the image still runs");
	if (rc == -EBADMSG || rc == -EPEER) {
		d->state = BE_DEV_BROKEN;
		say_broken(d, rc == -EPEER ? STUB_BROKEN_RING : STUB_BROKEN_JOURNAL, err_str(rc));
		return 0;
	}
	if (rc)
		return rc;
	d->state = BE_DEV_UP;
	stop_waiting(d);
	/* Before the first turn: a request that kills must be seen to kill a stub that had resumed. */
	be_dev_say(d, fresh ? STUB_CONNECTED : STUB_RESUMED, (const uint64_t[4]){s.reanswered, s.redo, sectors}, NULL);
	hand_over(d);
	return 0;
}

int be_dev_start(struct be_dev *d)
{
	int rc;

	if (d->state == BE_DEV_BROKEN && d->unmapped[0])
		say_broken(d, STUB_BROKEN_RING, d->unmapped);
	if (d->state == BE_DEV_UP || d->state == BE_DEV_BROKEN)
		return 0;
	if (d->state == BE_DEV_LOCKING) {
		rc = be_journal_lock(&d->journal);
		if (rc == -EAGAIN)
			return keep_waiting(d, "the former stub still holds the journal");
		if (rc)
			return rc;
		stop_waiting(d);
		d->at[STUB_AT_LOCKED] = clock_now();
		d->state = BE_DEV_STARTING;
	}
	return take_over(d);
}

static void wake_queues(struct be_dev *d)
{
	for (uint32_t i = 0; i < d->sd->conn.nqueues; i++)
		be_worker_wake(&d->worker[i]);
}

void be_dev_rate(struct be_dev *d, uint64_t bytes, uint64_t us)
{
	if (!d->class->rate || d->state == BE_DEV_BROKEN)
		return;
	d->class->rate(d->device, bytes, us);
	wake_queues(d);
}

void be_dev_multicast(struct be_dev *d, bool listed)
{
	if (!d->class->multicast || d->state == BE_DEV_BROKEN)
		return;
	d->class->multicast(d->device, listed);
	wake_queues(d);
}

void be_dev_filter(struct be_dev *d, const char *options)
{
	if (!d->class->filter || d->state == BE_DEV_BROKEN)
		return;
	d->class->filter(d->device, options);
	wake_queues(d);
}

void be_dev_resize(struct be_dev *d)
{
	uint64_t arg[4] = {0};
	int rc;

	if (d->state != BE_DEV_UP || !d->class->resize)
		return;
	rc = d->class->resize(d->device, &arg[0]);
	arg[1] = (uint64_t)-rc;
	be_dev_say(d, STUB_RESIZED, arg, rc ? err_str(rc) : NULL);
}

void be_dev_drain(struct be_dev *d)
{
	if (d->state != BE_DEV_UP)
		return;
	d->class->drain(d->device);
	for (uint32_t i = 0; i < d->sd->conn.nqueues; i++)
		be_worker_drain(&d->worker[i]);
}

unsigned be_dev_undrained(const struct be_dev *d)
{
	unsigned n = 0;

	for (uint32_t i = 0; d->state == BE_DEV_UP && i < d->sd->conn.nqueues; i++)
		n += !be_worker_ended(&d->worker[i]);
	return n;
}

bool be_dev_broken(const struct be_dev *d)
{
	if (d->state == BE_DEV_BROKEN)
		return true;
	for (uint32_t i = 0; d->state == BE_DEV_UP && i < d->sd->conn.nqueues; i++)
		if (be_worker_halted(&d->worker[i]))
			return true;
	return false;
}
