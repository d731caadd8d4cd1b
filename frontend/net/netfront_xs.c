/* The device's keys, for frontend/core/fe_xs.h. */
#include "frontend/net/netfront_priv.h"

static int make_queues(struct netfront *f)
{
	int rc = f->info.ctrl ? netfront_ctrl_open(f) : 0;

	for (unsigned i = 0; !rc && i < f->info.queues; i++) {
		rc = netfront_queue_open(f, i);
		f->nqueues = i + 1;
	}
	return rc;
}

static void drop_queues(struct netfront *f)
{
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++) {
		netfront_queue_close(f->queue[i]);
		f->queue[i] = NULL;
	}
	f->nqueues = 0;
	netfront_ctrl_close(f);
}

static void make_ask(struct netfront *f)
{
	struct vif_ask *a = &f->ask;

	a->nqueues = f->nqueues;
	if (f->info.ctrl) {
		a->ctrl_gref = f->ctrl.pages.gref[0];
		a->ctrl_evtchn = hv_port_number(f->ctrl.port);
	}
	for (unsigned i = 0; i < f->nqueues; i++) {
		const struct netfront_queue *q = f->queue[i];

		a->q[i] = (struct vif_queue){.tx_gref = q->rings.gref[0], .rx_gref = q->rings.gref[1],
					     .evtchn = hv_port_number(q->port[0]),
					     .evtchn_rx = q->port[1] ? hv_port_number(q->port[1]) : 0};
	}
}

static int prepare(void *dev, hv_domid_t back_domid, const struct xs_kvs *own, const struct xs_kvs *peer, struct xs_kvs *keys, char *err,
		   size_t size)
{
	struct netfront *f = dev;
	struct vif_offer offer;
	struct vif_told told;
	int rc;

	if (!own || !peer || vif_offer_read(peer, &offer, err, size) || vif_told_read(own, &told, err, size))
		return -EPEER;
	f->back_domid = back_domid;
	drop_queues(f);
	netfront_choose(f, f->wanted, &offer, &told);
	rc = make_queues(f);
	if (rc)
		return rc;
	make_ask(f);
	rc = vif_ask_write(&f->ask, keys);
	vif_ask_blank(own, keys);
	return rc;
}

static void changed(void *dev, const struct xs_kvs *peer)
{
	struct netfront *f = dev;

	if (peer)
		store_relaxed(&f->carrier, vif_carrier_read(peer));
}

static void closing(void *dev)
{
	struct netfront *f = dev;

	store_relaxed(&f->closing, 1);
	for (unsigned i = 0; i < f->nqueues; i++)
		fe_sleep_kick(&f->queue[i]->sleep);
}

/* A network loses packets: what is on the ring is not waited for. */
static bool quiet(void *dev UNUSED) { return true; }

static void ended(void *dev) { netfront_end(dev, -ESHUTDOWN); }

const struct fe_xs_ops netfront_xs_ops = {.prepare = prepare, .changed = changed, .closing = closing, .quiet = quiet, .ended = ended};
