/* Disks, as one kind of device (sup_class.h). */
#include "recovery/super/sup_priv.h"

#include "ring/base/log.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/wire/xs_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_PER_PAGE 32u /* entries of a ring, for each of its pages, in every ABI: a power of two below 4032 / 108 */

static void init(struct sup_dev *d) { d->vbd.image = -1; }
static bool holds(const struct sup_dev *d) { return d->vbd.image >= 0; }

static int wanted(struct sup_dev *d, const struct xs_kvs *own, char *err, size_t size)
{
	struct vbd_wanted w;
	int rc = vbd_wanted_read(own, &w, err, size);

	if (rc)
		memcpy(d->vbd.wanted.script, w.script, sizeof(w.script));
	else
		d->vbd.wanted = w;
	return rc;
}

static void deposit(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX];

	if (d->vbd.image < 0)
		return;
	sup_name_store(name, sup_dev_id(d));
	keep_put(&d->sup->keep, name, &d->vbd.image, 1);
}

/* ---- nodes */

/* Xen's own `block` would make a loop device that nobody uses, and fail if the guest has connected before. */
static int offer_keys(const struct sup_dev *d, struct xs_kvs *kvs)
{
	int rc = vbd_offer_write(&d->vbd.offer, kvs);

	if (!rc)
		sup_offer_script(d, d->vbd.wanted.script, VBD_SCRIPT, true, kvs);
	return rc;
}

/* If it is not there, that fails as well. */
static void refuse_keys(const struct sup_dev *d, struct xs_kvs *kvs) { sup_offer_script(d, d->vbd.wanted.script, VBD_SCRIPT, false, kvs); }

/* As xen-blkback does it: the frontend reads the size again when Connected is written again. */
static void up_keys(const struct sup_dev *d, struct xs_kvs *kvs)
{
	xs_kv_set(kvs, "sectors", "%" PRIu64, d->vbd.offer.sectors);
	if (strncmp(d->vbd.wanted.params, "mem:", 4) == 0) /* which says the size, too */
		xs_kv_set(kvs, "params", "%s", d->vbd.wanted.params);
}

/* A predecessor may have died between a new size and the frontend's hearing of it. */
static void sectors_read(void *arg, int rc, const char *data, size_t len)
{
	struct sup_dev *d = (struct sup_dev *)arg;

	(void)len;
	if (!rc && strtoull(data, NULL, 10) != d->vbd.offer.sectors)
		sup_bus_rewrite(d);
}

static void found(struct sup_dev *d, const char *path)
{
	char node[XS_PATH_SIZE];

	if (xs_path_join(node, path, "sectors") == 0)
		xsc_read(sup_bus_store(d->sup), 0, node, sectors_read, d);
}

static void put_back(struct sup_dev *d, unsigned back_state, unsigned front_state, xsc_done_fn *fn)
{
	struct dev_admin_ends e = {.vbd = {.domid = d->domid, .devid = d->devid, .wanted = d->vbd.wanted},
				   .offer = d->vbd.offer,
				   .back_state = back_state,
				   .front_state = front_state};

	e.ask = (struct vbd_ask){.protocol = d->conn.protocol, .nqueues = d->conn.nqueues, .ring_pages = d->conn.ring_pages};
	e.ask.persistent = d->conn.features & CONN_PERSISTENT;
	memcpy(e.ask.q, d->conn.q, sizeof(e.ask.q));
	dev_admin_vbd_restore(sup_bus_store(d->sup), &e, fn, d);
}

/* ---- connection */

static uint32_t features(const struct vbd_offer *o, const struct vbd_ask *a, bool read_only)
{
	uint32_t f = 0;

	f |= o->persistent && a->persistent ? CONN_PERSISTENT : 0;
	f |= o->max_indirect ? CONN_INDIRECT : 0;
	f |= o->discard ? CONN_DISCARD : 0;
	f |= o->flush ? CONN_FLUSH : 0;
	f |= o->barrier ? CONN_BARRIER : 0;
	f |= read_only ? CONN_READ_ONLY : 0;
	return f;
}

static int ask(struct sup_dev *d, const struct xs_kvs *own UNUSED, const struct xs_kvs *peer, char *err, size_t size)
{
	struct conn_id *c = &d->conn;
	struct vbd_ask a;
	int rc = vbd_ask_read(peer, &d->vbd.offer, &a, err, size);

	if (!rc)
		rc = sup_twin_leave(d, err, size);
	if (rc)
		return rc;
	sup_conn_record(d);
	c->protocol = a.protocol;
	c->nqueues = a.nqueues;
	c->ring_pages = a.ring_pages;
	c->features = features(&d->vbd.offer, &a, d->vbd.wanted.read_only);
	c->max_segments = d->vbd.offer.max_indirect;
	for (uint32_t q = 0; q < c->nqueues; q++) {
		c->q[q].evtchn = a.q[q].evtchn;
		memcpy(c->q[q].gref, a.q[q].gref, c->ring_pages * sizeof(c->q[q].gref[0]));
	}
	return 0;
}

static uint32_t slots(const struct conn_id *c) { return SLOTS_PER_PAGE * c->ring_pages; }
static uint64_t journal_bytes(const struct conn_id *c) { return jrnl_file_bytes(slots(c), c->nqueues); }
static uint64_t queue_offset(const struct conn_id *c, uint32_t queue) { return jrnl_queue_offset(slots(c), queue); }

static int fill(struct sup_dev *d, struct stub_dev *sd, struct sup_pass *pass)
{
	strcpy(sd->spec, d->vbd.spec);
	if (d->vbd.image >= 0)
		sd->image_fd = sup_pass(pass, d->vbd.image);
	sd->read_only = d->vbd.wanted.read_only;
	sd->want_dev = d->vbd.image_dev;
	sd->want_ino = d->vbd.image_ino;
	sd->fence_base = d->vbd.fence_base;
	return 0;
}

static void look(struct sup_dev *d, uint64_t now)
{
	sup_resize_look(d, now);
	sup_vbd_close_up(d, now);
}

/* ---- a successor of ours */

static void save(const struct sup_dev *d, struct saved_dev *v)
{
	v->vbd = (struct saved_vbd){.image_dev = d->vbd.image_dev,
				    .image_ino = d->vbd.image_ino,
				    .fence_base = d->vbd.fence_base,
				    .offer = d->vbd.offer,
				    .wanted = d->vbd.wanted};
}

static void adopt(struct sup_dev *d, const struct saved_dev *v)
{
	char name[KEEP_NAME_MAX];
	size_t n = 1;

	d->vbd.offer = v->vbd.offer;
	d->vbd.wanted = v->vbd.wanted;
	d->vbd.wanted.params[sizeof(d->vbd.wanted.params) - 1] = '\0';
	sup_name_store(name, sup_dev_id(d));
	if (keep_get(&d->sup->keep, name, &d->vbd.image, &n) || n != 1)
		d->vbd.image = -1;
	d->vbd.image_dev = v->vbd.image_dev;
	d->vbd.image_ino = v->vbd.image_ino;
	d->vbd.fence_base = v->vbd.fence_base;
	d->vbd.yields = !v->vbd.wanted.read_only && !v->vbd.wanted.shared; /* or did: looked at soon, */
	d->vbd.closed_up_at = clock_now(); /* when it is known for what kind of guest */
	if (sup_vbd_options(d))
		log_warn("%s of domain %u: %s", d->vdev, d->domid, d->text);
	else if (d->vbd.image < 0 && v->connected && v->vbd.image_ino)
		sup_vbd_reserve(d);
}

/* ---- status */

static void status(const struct sup_dev *d, struct ctl_dev *c)
{
	const char *params = d->vbd.wanted.params;

	c->read_only = d->vbd.wanted.read_only;
	c->size_bytes = d->vbd.offer.sectors * 512;
	snprintf(c->spec, sizeof(c->spec), "%.*s", (int)sizeof(c->spec) - 1, params);
	if (strlen(params) >= sizeof(c->spec))
		strcpy(c->spec + sizeof(c->spec) - 4, "...");
}

const struct sup_class sup_vbd_class = {
	.type = CONN_VBD,
	.name = "vbd",
	.program = "bulkhead-blk",
	.magic = JRNL_MAGIC,
	.label = vbd_vdev,
	.marked = vbd_marked,
	.init = init,
	.wanted = wanted,
	.offer = sup_vbd_offer,
	.release = sup_vbd_release,
	.holds = holds,
	.deposit = deposit,
	.offer_keys = offer_keys,
	.refuse_keys = refuse_keys,
	.up_keys = up_keys,
	.found = found,
	.ask = ask,
	.journal_bytes = journal_bytes,
	.queue_offset = queue_offset,
	.fill = fill,
	.look = look,
	.save = save,
	.adopt = adopt,
	.status = status,
	.put_back = put_back,
};
