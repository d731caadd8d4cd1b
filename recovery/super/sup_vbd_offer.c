/* What a disk is: its options, the reservation of its image, and the probe, a process that opens it and says. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_image.h"
#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/blkif.h>

#define CLOSE_UP_NS NS_PER_S
#define POLL_US 200u		/* poll-us= where it is not given: what fast storage takes, */
#define POLL_CALLS 100u		/* or as long as so many system calls: under emulation a sleep costs a handful of slow ones */
#define POLL_MAX_US 5000u
#define QUEUES_MIN 4u
#define MAX_INDIRECT 256u

/* ---- reservation */

static void memory_path(const struct sup_dev *d, char *path)
{
	char name[64];

	sup_id_format(name, sizeof(name), "", sup_dev_id(d));
	snprintf(path, PATH_MAX, "%s/%s.mem", d->sup->dirs.journals, name);
}

/* Which of our own devices has the image, for a clearer line. */
static void say_holder(struct sup_dev *d, const struct image *im, const char *path)
{
	struct sup_group *g;
	struct sup_dev *o;

	LIST_FOREACH(g, &d->sup->groups, link)
		LIST_FOREACH(o, &g->devs, link)
			if (o != d && o->type == CONN_VBD && o->vbd.image >= 0 && o->vbd.image_dev == im->dev && o->vbd.image_ino == im->ino) {
				sup_dev_text(d, "%s is in use as %s of %s (domain %u): detach it there first, or attach both read-only",
					     path, o->vdev, o->domain[0] ? o->domain : "another VM", o->domid);
				return;
			}
}

/* QEMU has the first four disks of an HVM guest as IDE disks, and SCSI ones, until the guest's kernel unplugs them; but none with a
 * script that names no path for it, as ours (decision 0009). */
static bool is_emulated(const struct sup_dev *d)
{
	const char *name = d->vdev, *letter = name + (name[0] == 'x' ? 3 : 2);

	if (!d->hvm || vbd_marked(d->vbd.wanted.script))
		return false;
	return strncmp(name, "sd", 2) == 0 || (name[0] != '\0' && *letter >= 'a' && *letter <= 'd' && !(letter[1] >= 'a' && letter[1] <= 'z'));
}

static enum image_mode mode_of(const struct sup_dev *d)
{
	if (d->vbd.wanted.read_only)
		return IMAGE_READ;
	if (d->vbd.wanted.shared)
		return IMAGE_SHARED;
	return is_emulated(d) ? IMAGE_YIELD : IMAGE_WRITE;
}

static int reserve_file(struct sup_dev *d, const char *path, struct image *im)
{
	enum image_mode mode = mode_of(d);
	char err[sizeof(d->text)] = "";
	int rc = image_reserve(path, mode, im, err, sizeof(err));

	if (rc == -EAGAIN) {
		im->fd = sup_twin_reserve(d, im->dev, im->ino);
		rc = im->fd < 0 ? im->fd : 0;
	}
	if (rc)
		sup_dev_text(d, "%s", err);
	if (rc == -EAGAIN) {
		enum sup_held_for held = sup_held_has(d->sup, im->dev, im->ino);

		if (held == SUP_HELD_SHORTLY)
			return -EINPROGRESS;
		if (held == SUP_HELD_LONG) {
			sup_dev_text(d, "%s was let go, but I/O of a dead stub still runs on it", path);
			return -EBUSY;
		}
		say_holder(d, im, path);
	}
	if (!rc && mode == IMAGE_SHARED)
		log_warn("%s of domain %u: %s is attached with w!: nothing keeps others from writing to it", d->vdev, d->domid, path);
	d->vbd.yields = !rc && mode == IMAGE_YIELD;
	if (d->vbd.yields)
		log_warn("%s of domain %u: %s may be opened by its guest's QEMU, and until that has let it go by other programs too", d->vdev,
			 d->domid, path);
	return rc;
}

void sup_vbd_close_up(struct sup_dev *d, uint64_t now)
{
	if (!d->vbd.yields || d->vbd.image < 0 || now - d->vbd.closed_up_at < CLOSE_UP_NS)
		return;
	d->vbd.closed_up_at = now;
	if (image_close_up(d->vbd.image))
		return;
	d->vbd.yields = false;
	if (d->hvm)
		sup_note(d, CTL_EV_NOTE, "its QEMU does not have its image open: it is reserved");
}

static int reserve(struct sup_dev *d, const struct spec *sp)
{
	struct image im = {.fd = -1};
	char path[PATH_MAX], err[sizeof(d->text)] = "";
	uint64_t bytes;
	int rc = 0;

	d->vbd.fence_base = IMAGE_FENCE_BASE;
	if (d->vbd.wanted.shared)
		d->vbd.fence_base += IMAGE_FENCE_SPAN * (1 + ((uint64_t)d->domid * 65537 + d->devid) % 0xfffff);
	if (d->vbd.image >= 0)
		return 0; /* kept from the connection before, or by the keeper */
	if (strcmp(sp->engine, "file") == 0) {
		rc = reserve_file(d, sp->arg, &im);
	} else if (strcmp(sp->engine, "mem") == 0) {
		if (spec_size(sp->arg, &bytes) || bytes == 0 || bytes > INT64_MAX) {
			sup_dev_text(d, "mem:%s: a size is meant, as in mem:64M", sp->arg);
			return -EINVAL;
		}
		memory_path(d, path);
		rc = image_memory(path, bytes, &im, err, sizeof(err));
		if (rc)
			sup_dev_text(d, "%s", err);
	}
	if (rc)
		return rc;
	d->vbd.image = im.fd;
	d->vbd.image_dev = im.dev;
	d->vbd.image_ino = im.ino;
	sup_conn_deposit(d);
	return 0;
}

void sup_vbd_release(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX], path[PATH_MAX];

	if (d->vbd.image < 0)
		return;
	if (sup_twin_reserves(d->sup, d, d->vbd.image_dev, d->vbd.image_ino))
		close(d->vbd.image);
	else if (!d->vbd.wanted.read_only && d->vbd.fence_base == IMAGE_FENCE_BASE && image_busy(d->vbd.image))
		sup_held_take(d->sup, d->vbd.image);
	else
		image_release(d->vbd.image);
	sup_name_store(name, sup_dev_id(d));
	keep_drop(&d->sup->keep, name);
	d->vbd.image = -1;
	memory_path(d, path);
	unlink(path);
}

/* ---- probe */

static void offer_from(struct sup_dev *d, const struct stub_probe *r)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct vbd_offer *o = &d->vbd.offer;

	*o = (struct vbd_offer){.sectors = r->sectors, .sector_size = r->sector_size, .physical_size = r->physical_size};
	o->info = (d->vbd.wanted.read_only || r->read_only ? VDISK_READONLY : 0) |
		  (d->vbd.wanted.removable || r->removable ? VDISK_REMOVABLE : 0) | (d->vbd.wanted.cdrom ? VDISK_CDROM : 0);
	o->flush = o->barrier = r->flush && !d->vbd.wanted.read_only;
	o->discard = r->discard && d->vbd.wanted.discard_enable && !d->vbd.wanted.read_only;
	o->discard_secure = o->discard && r->secure_discard;
	o->discard_granularity = r->discard_granularity;
	o->discard_alignment = r->discard_alignment;
	o->persistent = true;
	o->max_indirect = MAX_INDIRECT;
	o->max_queues = MIN(MAX((uint32_t)MAX(cpus, 1L), QUEUES_MIN), CONN_QUEUES_MAX);
	o->max_ring_order = 4; /* CONN_RING_PAGES_MAX */
}

/* Its answer: the record, or a message why not. */
static int probe_result(int ctl, struct sup_dev *d)
{
	union {
		struct stub_probe r;
		struct stub_msg m;
	} u;
	ssize_t n;

	memset(&u, 0, sizeof(u));
	n = fdmsg_recv(ctl, &u, sizeof(u), NULL, NULL);
	if (n == (ssize_t)sizeof(u.r)) {
		if (u.r.sectors && u.r.sector_size >= 512 && IS_POW2(u.r.sector_size)) {
			offer_from(d, &u.r);
			return 0;
		}
		sup_dev_text(d, "%s: a disk of %llu sectors of %u bytes can not be offered", d->vbd.wanted.params,
			     (unsigned long long)u.r.sectors, u.r.sector_size);
		return -EINVAL;
	}
	if (n == (ssize_t)sizeof(u.m)) {
		u.m.text[sizeof(u.m.text) - 1] = '\0';
		sup_dev_text(d, "%s", u.m.text);
		return -EINVAL;
	}
	sup_dev_text(d, "%s: the process that looks at it died or took longer than %llu s", d->vbd.wanted.params,
		     SUP_PROBE_NS / NS_PER_S);
	return -EIO;
}

static void probed(void *arg, int ctl, const siginfo_t *si UNUSED)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	int rc = probe_result(ctl, d);

	if (rc)
		sup_offer_refused(d, rc == -EIO); /* that process may have been killed */
	else
		sup_offer_made(d, "%s, %llu sectors", d->vbd.wanted.params, (unsigned long long)d->vbd.offer.sectors);
}

static int probe(struct sup_dev *d)
{
	const char *const argv[] = {d->class->program, "--probe", NULL};
	struct stub_start *r = calloc(1, stub_start_bytes(1));
	char file[PATH_MAX];
	struct spawn_plan plan = {.file = file, .argv = argv, .record = r, .record_bytes = stub_start_bytes(1)};
	int rc;

	CHECK(r);
	snprintf(file, sizeof(file), "%s/%s", d->sup->o.libexec, d->class->program);
	*r = (struct stub_start){.magic = STUB_MAGIC, .version = STUB_VERSION, .ndevs = 1};
	r->uid = r->gid = sup_stub_uid(d->sup, d->domid);
	strcpy(r->dev[0].spec, d->vbd.spec);
	r->dev[0].kind = STUB_FRESH;
	r->dev[0].serial = d->serial;
	r->dev[0].image_fd = d->vbd.image;
	r->dev[0].read_only = d->vbd.wanted.read_only;
	r->dev[0].want_dev = d->vbd.image_dev;
	r->dev[0].want_ino = d->vbd.image_ino;
	r->dev[0].fence_base = d->vbd.fence_base;
	if (d->vbd.image >= 0) {
		plan.pass = &d->vbd.image;
		plan.npass = 1;
	}
	rc = sup_helper_run(d->sup, &d->helper, d->vdev, &plan, SUP_PROBE_NS, probed, d);
	free(r);
	if (rc)
		sup_dev_text(d, "%s can not be started: %s", file, err_str(rc));
	return rc;
}

/* On Xen the processors here are all guests': a kernel thread for each busy disk that spins would cost more than the milliseconds which it
 * saves at a death (docs/benchmarks.md). */
static int stub_spec(struct sup_dev *d, const struct spec *sp)
{
	bool local = strcmp(d->sup->o.provider, "local") == 0;
	int rc = spec_format(sp, d->vbd.spec, sizeof(d->vbd.spec));
	size_t n = rc ? 0 : strlen(d->vbd.spec);
	char said[8];

	if (rc || local || strcmp(sp->engine, "file") != 0 || spec_opt(sp, "sqpoll", said, sizeof(said)))
		return rc;
	return snprintf(d->vbd.spec + n, sizeof(d->vbd.spec) - n, ",sqpoll=off") < (int)(sizeof(d->vbd.spec) - n) ? 0 : -ENAMETOOLONG;
}

/* The least of a few tries, since anything may come between. */
uint64_t sup_vbd_poll_us(void)
{
	uint64_t least = NS_PER_MS;

	for (int i = 0; i < 16; i++) {
		uint64_t from = clock_now();

		(void)getppid();
		least = MIN(least, clock_now() - from);
	}
	return MIN(MAX(POLL_US, POLL_CALLS * least / NS_PER_US), POLL_MAX_US);
}

static int parse(struct sup_dev *d, struct spec *sp)
{
	int rc = spec_parse(d->vbd.wanted.params, sp);

	if (rc) {
		sup_dev_text(d, "'%s' names no storage: an absolute PATH or ENGINE:ARGUMENT is meant", d->vbd.wanted.params);
		return rc;
	}
	rc = sup_offer_options(d, sp, d->sup->poll_us);
	return rc ? rc : stub_spec(d, sp);
}

int sup_vbd_options(struct sup_dev *d)
{
	struct spec sp;

	return parse(d, &sp);
}

void sup_vbd_reserve(struct sup_dev *d)
{
	uint64_t dev = d->vbd.image_dev, ino = d->vbd.image_ino;
	struct spec sp;

	d->vbd.wanted.shared = d->vbd.fence_base != IMAGE_FENCE_BASE;
	if (parse(d, &sp) || reserve(d, &sp)) {
		log_error("%s of domain %u: its image can not be reserved again: %s", d->vdev, d->domid, d->text);
	} else if (d->vbd.image >= 0 && (d->vbd.image_dev != dev || d->vbd.image_ino != ino)) {
		log_error("%s of domain %u: its image can not be reserved again: another one has its name", d->vdev, d->domid);
		sup_vbd_release(d);
	}
	d->vbd.image_dev = dev;
	d->vbd.image_ino = ino;
}

void sup_vbd_offer(struct sup_dev *d)
{
	struct spec sp;
	int rc;

	if (parse(d, &sp)) {
		sup_offer_refused_now(d);
		return;
	}
	rc = reserve(d, &sp);
	if (rc == -EINPROGRESS)
		sup_offer_soon(d);
	else if (rc || probe(d))
		sup_offer_refused(d, rc == -EBUSY);
}
