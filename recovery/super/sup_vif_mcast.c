/* The frontend's list of multicast groups counts, or does not, by its node request-multicast-control, at any time while it is connected
 * (feature-dynamic-multicast-control). Each stub is told when it is up, and when that changes; it keeps it in its journal. */
#include "recovery/super/sup_priv.h"

#include "ring/base/log.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <string.h>

bool sup_vif_named(const char *names, size_t len, const char *name)
{
	for (size_t at = 0; at < len; at += strlen(names + at) + 1)
		if (strcmp(names + at, name) == 0)
			return true;
	return false;
}

static bool node_of(const struct sup_dev *d, char node[XS_PATH_SIZE])
{
	char path[XS_PATH_SIZE];

	xs_path_frontend(path, (uint16_t)d->domid, d->class->name, d->devid);
	return xs_path_join(node, path, VIF_MCAST) == 0;
}

void sup_vif_mcast_tell(struct sup_dev *d)
{
	struct stub_msg m = {.type = STUB_MULTICAST, .arg = {d->vif.ask.mcast}};

	if (d->vif.offer.dynamic_mcast)
		sup_proc_tell(d, &m);
}

static void read_again(struct sup_dev *d);

static void is_listed(struct sup_dev *d, bool listed)
{
	if (listed == d->vif.ask.mcast)
		return;
	d->vif.ask.mcast = listed;
	sup_vif_mcast_tell(d);
	sup_dev_save(d);
}

/* It is not there. Where nothing is of the frontend's, the store has forgotten it, and the guest has said nothing. */
static void beside_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	d->vif.mcast_reading = false;
	if (d->vif.mcast_again || (!rc && sup_vif_named(data, len, VIF_MCAST)))
		read_again(d);
	else if (!rc)
		is_listed(d, false);
}

static void done(void *arg, int rc, const char *data, size_t len UNUSED)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	char path[XS_PATH_SIZE];

	if (rc == -ENOENT) {
		xs_path_frontend(path, (uint16_t)d->domid, d->class->name, d->devid);
		xsc_directory(sup_bus_store(d->sup), 0, path, beside_read, d);
		return;
	}
	d->vif.mcast_reading = false;
	if (d->vif.mcast_again)
		read_again(d);
	else if (!rc)
		is_listed(d, vif_mcast_read(data));
}

/* One at a time, however often the guest writes it. */
static void read_again(struct sup_dev *d)
{
	char node[XS_PATH_SIZE];

	d->vif.mcast_again = d->vif.mcast_reading;
	if (d->vif.mcast_reading || !node_of(d, node))
		return;
	d->vif.mcast_reading = true;
	xsc_read(sup_bus_store(d->sup), 0, node, done, d);
}

static void changed(struct xsc_watch *w, const char *path UNUSED) { read_again(CONTAINER_OF(w, struct sup_dev, vif.mcast)); }

void sup_vif_mcast_follow(struct sup_dev *d)
{
	char node[XS_PATH_SIZE];

	if (!d->vif.offer.dynamic_mcast || d->vif.mcast.active || !node_of(d, node))
		return;
	if (xsc_watch(sup_bus_store(d->sup), &d->vif.mcast, node, changed))
		log_error("%s of domain %u: %s can not be followed", d->vdev, d->domid, node);
}

void sup_vif_mcast_unfollow(struct sup_dev *d) { xsc_unwatch(sup_bus_store(d->sup), &d->vif.mcast); }
