/* Two domains of one VM. A migration to where the VM is makes the second domain, with its devices, while the first one is still
 * there, shut down. The reservation of an image is the VM's, so the second may have it as well: it is offered. When it asks to be
 * connected it runs, so the first never will again: that one's connection ends, and the second's stub begins with the fence. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Has it for writing, for itself alone. */
static bool reserves(const struct sup_dev *d, uint64_t dev, uint64_t ino)
{
	const struct sup_vbd *v = &d->vbd;

	return d->type == CONN_VBD && v->image >= 0 && v->image_dev == dev && v->image_ino == ino && !v->wanted.read_only &&
	       v->fence_base == IMAGE_FENCE_BASE;
}

bool sup_twin_reserves(const struct sup *s, const struct sup_dev *but, uint64_t dev, uint64_t ino)
{
	const struct sup_group *g;
	const struct sup_dev *d;

	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			if (d != but && reserves(d, dev, ino))
				return true;
	return false;
}

static bool are_twins(const struct sup_dev *a, const struct sup_dev *b)
{
	static const uint8_t none[sizeof(a->uuid)];

	return a->domid != b->domid && a->devid == b->devid && memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0 &&
	       memcmp(a->uuid, none, sizeof(none)) != 0;
}

int sup_twin_reserve(const struct sup_dev *d, uint64_t dev, uint64_t ino)
{
	const struct sup_group *g;
	const struct sup_dev *o;

	if (d->vbd.wanted.read_only || d->vbd.wanted.shared)
		return -EAGAIN;
	LIST_FOREACH(g, &d->sup->groups, link)
		LIST_FOREACH(o, &g->devs, link)
			if (reserves(o, dev, ino) && are_twins(d, o) && !sup_domain_runs(o)) {
				int fd = fcntl(o->vbd.image, F_DUPFD_CLOEXEC, 0); /* the locks are the description's */

				return fd < 0 ? -errno : fd;
			}
	return -EAGAIN;
}

int sup_twin_leave(struct sup_dev *d, char *err, size_t size)
{
	struct sup_dev *o, *next;
	struct sup_group *g;

	if (!reserves(d, d->vbd.image_dev, d->vbd.image_ino))
		return 0;
	LIST_FOREACH(g, &d->sup->groups, link)
		for (o = LIST_FIRST(&g->devs); o; o = next) {
			next = LIST_NEXT(o, link);
			if (o == d || !reserves(o, d->vbd.image_dev, d->vbd.image_ino))
				continue;
			if (sup_domain_runs(o)) {
				snprintf(err, size, "its image is %s's of domain %u, of the same VM, which runs", o->vdev, o->domid);
				return -EBUSY;
			}
			sup_note(o, CTL_EV_NOTE, "domain %u, of the same VM, goes on with its image", d->domid);
			sup_dev_event(o, SUP_EV_CLOSE);
		}
	return 0;
}
