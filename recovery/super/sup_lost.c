/* Nodes of a connected device that are not there any more, though nobody was seen to remove them: the store came back, or we did.
 *
 * Either a toolstack removed them meanwhile: the domain's other nodes are there, or the domain is gone. Then the connection
 * ends. Or the store has forgotten all (xenstored that was killed): the guest's I/O needs no store and goes on, and we put back
 * both ends as we know them, so that the device can be seen, detached and connected anew. */
#include "recovery/super/sup_priv.h"

#include "ring/base/err.h"
#include "ring/base/log.h"
#include "xenstore-glue/bus/dev_admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_NS (100 * NS_PER_MS)

static void again(struct loop_timer *t) { sup_lost(CONTAINER_OF(t, struct sup_dev, lost)); }

static void later(struct sup_dev *d) { loop_timer_start(d->sup->loop, &d->lost, clock_now() + AGAIN_NS, again); }

static void put_back_done(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	(void)data, (void)len;
	d->put_back = d->put_back || rc == 0;
	if (rc == 0)
		sup_note(d, CTL_EV_NOTE, "the store has forgotten its nodes: both ends are put back");
	else if (rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EAGAIN || rc == -ENOENT) /* it does not know the domain yet */
		later(d);
	else if (rc != -EEXIST)
		log_error("%s of domain %u: its nodes can not be put back (%s); it goes on being served", d->vdev, d->domid, err_str(rc));
}

static void put_back(struct sup_dev *d)
{
	bool waits = sup_bus_waits(d) && !d->class->direct;

	d->class->put_back(d, xenbus_phase_state(xenbus_end_phase(d->end)), waits ? XenbusStateInitialised : XenbusStateConnected,
			   put_back_done);
}

/* vm: what every domain of a toolstack has. A driver domain may not read it, and lives no longer than its store. */
static void root_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	(void)data, (void)len;
	if (rc == -ETIMEDOUT) {
		later(d);
	} else if (rc == 0 || rc == -EACCES || (rc == -ENOENT && hv_domain_state(d->sup->hv, (hv_domid_t)d->domid) == 0)) {
		sup_bus_gone(d);
	} else if (rc == -ENOENT) {
		put_back(d);
	} else {
		log_error("%s of domain %u: the store says %s of its domain; it goes on being served", d->vdev, d->domid, err_str(rc));
	}
}

void sup_lost(struct sup_dev *d)
{
	char node[64];

	if (d->state == CTL_DRAINING || !d->conn.nqueues || !d->has_journal) {
		sup_bus_gone(d);
		return;
	}
	snprintf(node, sizeof(node), "/local/domain/%u/vm", d->domid);
	xsc_read(sup_bus_store(d->sup), 0, node, root_read, d);
}
