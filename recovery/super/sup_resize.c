/* A disk that grows or shrinks while its guest uses it.
 *
 * What a stub serves is the size, and it says it: when it begins to serve, and when it is asked to look. It is asked when an operator
 * wishes it, and when the reservation's own description shows another size. So the guest is never told of a size that its stub would
 * not serve, and a stub that dies at any moment of this leaves nothing to be repaired: its successor has looked. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_image.h"
#include "ring/base/err.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS NS_PER_S

/* The stub that serves it listens, and has been asked. */
static bool ask(struct sup_dev *d)
{
	struct sup_proc *p = d->group->active;
	struct stub_msg m = {.type = STUB_RESIZE};

	if (!p || p->draining)
		return false;
	while (m.dev < p->ndevs && p->dev[m.dev].dev != d)
		m.dev++;
	if (m.dev == p->ndevs || !p->dev[m.dev].said)
		return false;
	d->size_asked = fdmsg_send(p->ctl, &m, sizeof(m), NULL, 0) == 0;
	return d->size_asked;
}

void sup_resize_look(struct sup_dev *d, uint64_t now)
{
	uint64_t bytes;

	if (d->vbd.image < 0 || now - d->size_looked_at < LOOK_NS)
		return;
	d->size_looked_at = now;
	if (image_size(d->vbd.image, &bytes))
		return;
	bytes -= bytes % d->vbd.offer.sector_size;
	if (bytes != d->vbd.offer.sectors * 512 && bytes != d->size_seen)
		ask(d);
	d->size_seen = bytes; /* asked once: the stub may be unable to follow */
}

static bool usable(const struct sup_dev *d, uint64_t sectors)
{
	return sectors && sectors <= INT64_MAX / 512 && sectors % (d->vbd.offer.sector_size / 512) == 0;
}

/* One word of a stub's own about its own guest's disk. 0: an older one says nothing. */
void sup_resize_serves(struct sup_dev *d, uint64_t sectors)
{
	uint64_t former = d->vbd.offer.sectors;

	if (d->class != &sup_vbd_class || sectors == former || !usable(d, sectors))
		return;
	d->vbd.offer.sectors = sectors;
	sup_bus_rewrite(d);
	sup_dev_save(d);
	sup_note(d, CTL_EV_RESIZED, "%" PRIu64 " bytes, were %" PRIu64, sectors * 512, former * 512);
}

void sup_resize_said(struct sup_dev *d, const struct stub_msg *m)
{
	if (!d->size_asked)
		return;
	d->size_asked = false;
	if (m->arg[1] || !usable(d, m->arg[0]))
		sup_note(d, CTL_EV_NOTE, "its new size can not be used%s%s: it keeps the former one", m->text[0] ? ": " : "", m->text);
	else if (m->arg[0] == d->vbd.offer.sectors)
		sup_note(d, CTL_EV_RESIZED, "%" PRIu64 " bytes, as before", m->arg[0] * 512);
	else
		sup_resize_serves(d, m->arg[0]);
}

/* ---- an operator's wish */

/* The store of a memory disk is ours alone to change, and its size stands in its name. */
static int set_memory(struct sup_dev *d, uint64_t bytes, char *text, size_t size)
{
	char params[SPEC_MAX];
	struct spec sp;
	int rc;

	if (spec_parse(d->vbd.wanted.params, &sp) || strcmp(sp.engine, "mem") != 0 || d->vbd.image < 0)
		return err_say(text, size, -EINVAL, "%s: a size is for mem: disks; change the image or device itself, then leave it out",
			       d->vdev);
	snprintf(sp.arg, sizeof(sp.arg), "%" PRIu64, bytes);
	if (bytes == 0 || bytes % 512 || bytes > INT64_MAX || spec_format(&sp, params, sizeof(params)))
		return err_say(text, size, -EINVAL, "%" PRIu64 " bytes: a multiple of 512 is meant", bytes);
	if (ftruncate(d->vbd.image, (off_t)bytes) < 0)
		return err_say(text, size, -errno, "the memory disk can not have %" PRIu64 " bytes: %s", bytes, err_str(errno));
	strcpy(d->vbd.wanted.params, params);
	rc = sup_vbd_options(d);
	sup_dev_save(d);
	return rc ? err_say(text, size, rc, "%s", d->text) : 0;
}

int sup_resize(struct sup_dev *d, uint64_t bytes, char *text, size_t size)
{
	int rc;

	if (d->class != &sup_vbd_class)
		return err_say(text, size, -EINVAL, "%s is no disk", d->vdev);
	rc = bytes ? set_memory(d, bytes, text, size) : 0;
	if (!rc && !ask(d)) {
		sup_bus_rewrite(d);
		snprintf(text, size, "%s is %s: its size is looked at when a stub serves it next", d->vdev, ctl_state_name(d->state));
	}
	return rc;
}
