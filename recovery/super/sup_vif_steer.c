/* Whether a vif's guest has a say in which queue a packet comes to (ring/os/steer.h). The map is made with the queues of a tap and given to
 * each stub; the program that reads it is attached when a stub says that the guest wants it, and until the queues are opened anew: so
 * for all other guests the tap goes on spreading packets by its own means. */
#include "recovery/super/sup_priv.h"

#include "recovery/net/steer.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <string.h>
#include <unistd.h>

/* By its control ring alone it could ask for it, and with one queue there is nothing to choose. */
static bool may_ask(const struct sup_dev *d)
{
	return strcmp(d->vif.port.engine, "tap") == 0 && d->conn.ctrl_evtchn && d->conn.nqueues > 1;
}

static void refused(struct sup_dev *d, int rc)
{
	sup_vif_steer_close(d);
	if (!d->sup->steer_said)
		log_warn("%s of domain %u: BPF is refused (%s): which queue a packet comes to is not the guests' to choose on this host",
			 d->vdev, d->domid, err_str(rc));
	d->sup->steer_said = true;
}

void sup_vif_steer_open(struct sup_dev *d)
{
	int fd;

	sup_vif_steer_close(d);
	if (!may_ask(d))
		return;
	fd = steer_map();
	if (fd < 0)
		refused(d, fd);
	else
		d->vif.steer = fd;
}

void sup_vif_steer_adopt(struct sup_dev *d)
{
	if (d->vif.nfds && steer_is_map(d->vif.fd[d->vif.nfds - 1]))
		d->vif.steer = d->vif.fd[--d->vif.nfds];
}

void sup_vif_steer_close(struct sup_dev *d)
{
	if (d->vif.steer >= 0)
		close(d->vif.steer);
	d->vif.steer = -1;
	d->vif.steered = false;
}

/* The map itself says it, since a predecessor may have died with the stub's word. */
void sup_vif_steer(struct sup_dev *d)
{
	int rc;

	if (d->vif.steered || d->vif.steer < 0 || !d->vif.nfds || !steer_in_use(d->vif.steer))
		return;
	rc = steer_attach(d->vif.fd[0], d->vif.steer);
	if (rc)
		refused(d, rc);
	else
		d->vif.steered = true;
}

enum ctl_steer sup_vif_steer_status(const struct sup_dev *d)
{
	if (d->vif.steer >= 0)
		return d->vif.steered && steer_in_use(d->vif.steer) ? CTL_STEER_GUEST : CTL_STEER_PORT;
	return sup_dev_queues(d) && may_ask(d) ? CTL_STEER_REFUSED : CTL_STEER_PORT;
}
