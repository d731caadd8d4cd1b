/* What stands in the store, as values and back. */
#include "xenstore-glue/bus/vbd_keys.h"

#include "ring/base/err.h"
#include "xenstore-glue/wire/xs_perm.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/protocols.h>

#define RING_ORDER_MAX 4u /* CONN_RING_PAGES_MAX pages */
#define SECTORS_MAX (UINT64_MAX / 512)
#define SECTOR_SIZE_MAX 65536u
#define INDIRECT_MAX 4096u /* segments of one request that anybody would use */
static_assert(1u << RING_ORDER_MAX == CONN_RING_PAGES_MAX, "both name the largest ring");

/* ---- device numbers (Xen's docs/man/xen-vbd-interface) ---- */

#define EXTENDED (1u << 28)

/* "a" 0, "z" 25, "aa" 26. Moves *s behind the letters; false without one, or when the number is too big. */
static bool letters(const char **s, uint32_t *disk)
{
	uint32_t v = 0;
	const char *p = *s;

	for (; *p >= 'a' && *p <= 'z'; p++) {
		v = v * 26 + (uint32_t)(*p - 'a') + 1;
		if (v > 1u << 20)
			return false;
	}
	if (p == *s)
		return false;
	*disk = v - 1;
	*s = p;
	return true;
}

static int number_of(const char *kind, uint32_t disk, uint32_t part, uint32_t *devid)
{
	if (strncmp(kind, "xvd", 3) == 0 && disk < 16 && part < 16)
		*devid = 202u << 8 | disk << 4 | part;
	else if (strncmp(kind, "xvd", 3) == 0 && disk < 1u << 20 && part < 256)
		*devid = EXTENDED | disk << 8 | part;
	else if (strncmp(kind, "sd", 2) == 0 && disk < 16 && part < 16)
		*devid = 8u << 8 | disk << 4 | part;
	else if (strncmp(kind, "hd", 2) == 0 && disk < 4 && part < 64)
		*devid = (disk < 2 ? 3u : 22u) << 8 | (disk & 1) << 6 | part;
	else
		return -EINVAL;
	return 0;
}

int vbd_devid(const char *vdev, uint32_t *devid)
{
	const char *p = vdev;
	uint32_t disk, part = 0;

	if (xs_parse_u32(vdev, UINT32_MAX, devid))
		return 0;
	if (strncmp(p, "xvd", 3) == 0)
		p += 3;
	else if (strncmp(p, "sd", 2) == 0 || strncmp(p, "hd", 2) == 0)
		p += 2;
	else
		return -EINVAL;
	if (!letters(&p, &disk) || *p == '0')
		return -EINVAL;
	if (*p && !xs_parse_u32(p, 255, &part))
		return -EINVAL;
	return number_of(vdev, disk, part, devid);
}

static void name_of(const char *kind, uint32_t disk, uint32_t part, char *out, size_t size)
{
	char name[8], number[12] = "";
	size_t at = sizeof(name);

	name[--at] = '\0';
	for (disk++; disk; disk = (disk - 1) / 26)
		name[--at] = (char)('a' + (disk - 1) % 26);
	if (part)
		snprintf(number, sizeof(number), "%u", part & 0xff);
	snprintf(out, size, "%s%s%s", kind, name + at, number);
}

void vbd_vdev(uint32_t devid, char *vdev, size_t size)
{
	uint32_t major = devid >> 8, minor = devid & 0xff, back;
	char name[24] = "";

	if (devid >> 28 == 1)
		name_of("xvd", devid >> 8 & 0xfffff, minor, name, sizeof(name));
	else if (major == 202)
		name_of("xvd", minor >> 4, minor & 15, name, sizeof(name));
	else if (major == 8)
		name_of("sd", minor >> 4, minor & 15, name, sizeof(name));
	else if ((major == 3 || major == 22) && minor < 128)
		name_of("hd", (major == 3 ? 0 : 2) + (minor >> 6), minor & 63, name, sizeof(name));
	/* A number that the name does not lead back to stays a number. */
	if (name[0] && vbd_devid(name, &back) == 0 && back == devid)
		snprintf(vdev, size, "%s", name);
	else
		snprintf(vdev, size, "%u", devid);
}

/* ---- what the toolstack wants ---- */

bool vbd_marked(const char *script)
{
	return xs_kv_script(script, VBD_SCRIPT);
}

int vbd_wanted_read(const struct xs_kvs *back, struct vbd_wanted *w, char *err, size_t size)
{
	struct xs_kv_in in = {back, "", -EINVAL, err, size, 0};
	const char *mode = xs_kv_get(back, "mode"), *kind = xs_kv_get(back, "device-type");

	memset(w, 0, sizeof(*w));
	if (xs_kv_in_text(&in, "frontend", w->frontend, sizeof(w->frontend)) || !xs_kv_get(back, "frontend-id"))
		return err_say(err, size, -EINVAL, "no frontend or frontend-id");
	w->frontend_id = (uint32_t)xs_kv_in_u64(&in, "frontend-id", 0, XS_DOMID_FIRST_RESERVED - 1);
	w->online = xs_kv_in_bool(&in, "online", true);
	w->removable = xs_kv_in_bool(&in, "removable", false);
	w->bootable = xs_kv_in_bool(&in, "bootable", false);
	w->discard_enable = xs_kv_in_bool(&in, "discard-enable", true);
	w->cdrom = kind && strcmp(kind, "cdrom") == 0;
	xs_kv_in_text(&in, "params", w->params, sizeof(w->params));
	xs_kv_in_text(&in, "dev", w->dev, sizeof(w->dev));
	xs_kv_in_text(&in, "type", w->type, sizeof(w->type));
	xs_kv_in_text(&in, "script", w->script, sizeof(w->script));
	if (in.rc)
		return in.rc;
	if (!mode || strcmp(mode, "r") == 0)
		w->read_only = true;
	else if (strcmp(mode, "w!") == 0)
		w->shared = true;
	else if (strcmp(mode, "w") != 0)
		return err_say(err, size, -EINVAL, "mode is \"%.20s\", not r, w or w!", mode);
	return 0;
}

int vbd_wanted_write(const struct vbd_wanted *w, struct xs_kvs *back)
{
	struct xs_kv_out o = {back, 0};

	xs_kv_out_text(&o, "frontend", w->frontend);
	xs_kv_out_u64(&o, "frontend-id", w->frontend_id);
	xs_kv_out_text(&o, "params", w->params);
	if (w->script[0])
		xs_kv_out_text(&o, "script", w->script);
	xs_kv_out_u64(&o, "online", w->online);
	xs_kv_out_u64(&o, "removable", w->removable);
	xs_kv_out_u64(&o, "bootable", w->bootable);
	xs_kv_out_text(&o, "dev", w->dev);
	xs_kv_out_text(&o, "type", w->type[0] ? w->type : "phy");
	xs_kv_out_text(&o, "mode", w->read_only ? "r" : w->shared ? "w!" : "w");
	xs_kv_out_text(&o, "device-type", w->cdrom ? "cdrom" : "disk");
	xs_kv_out_u64(&o, "discard-enable", w->discard_enable);
	xs_kv_out_text(&o, "state", "1");
	return o.rc;
}

/* ---- what the backend offers ---- */

int vbd_offer_write(const struct vbd_offer *of, struct xs_kvs *back)
{
	struct xs_kv_out o = {back, 0};

	xs_kv_out_u64(&o, "sectors", of->sectors);
	xs_kv_out_u64(&o, "sector-size", of->sector_size);
	xs_kv_out_u64(&o, "physical-sector-size", of->physical_size);
	xs_kv_out_u64(&o, "info", of->info);
	xs_kv_out_u64(&o, "feature-flush-cache", of->flush);
	xs_kv_out_u64(&o, "feature-barrier", of->barrier);
	xs_kv_out_u64(&o, "feature-persistent", of->persistent);
	xs_kv_out_u64(&o, "feature-discard", of->discard);
	if (of->discard) {
		xs_kv_out_u64(&o, "discard-granularity", of->discard_granularity);
		xs_kv_out_u64(&o, "discard-alignment", of->discard_alignment);
		xs_kv_out_u64(&o, "discard-secure", of->discard_secure);
	}
	xs_kv_out_u64(&o, "feature-max-indirect-segments", of->max_indirect);
	xs_kv_out_u64(&o, "multi-queue-max-queues", of->max_queues);
	xs_kv_out_u64(&o, "max-ring-page-order", of->max_ring_order);
	xs_kv_out_u64(&o, "max-ring-pages", 1u << MIN(of->max_ring_order, RING_ORDER_MAX));
	return o.rc;
}

static bool sector_size_ok(uint32_t v) { return IS_POW2(v) && v >= 512 && v <= SECTOR_SIZE_MAX; }

int vbd_offer_read(const struct xs_kvs *back, struct vbd_offer *o, char *err, size_t size)
{
	struct xs_kv_in in = {back, "backend: ", -EPEER, err, size, 0};

	memset(o, 0, sizeof(*o));
	if (!xs_kv_get(back, "sectors"))
		return err_say(err, size, -EPEER, "backend: sectors is missing");
	o->sectors = xs_kv_in_u64(&in, "sectors", 0, SECTORS_MAX);
	o->sector_size = xs_kv_in_u32(&in, "sector-size", 512);
	o->physical_size = xs_kv_in_u32(&in, "physical-sector-size", o->sector_size);
	o->info = xs_kv_in_u32(&in, "info", 0);
	o->flush = xs_kv_in_bool(&in, "feature-flush-cache", false);
	o->barrier = xs_kv_in_bool(&in, "feature-barrier", false);
	o->persistent = xs_kv_in_bool(&in, "feature-persistent", false);
	o->discard = xs_kv_in_bool(&in, "feature-discard", false);
	if (o->discard) {
		o->discard_granularity = xs_kv_in_u32(&in, "discard-granularity", o->sector_size);
		o->discard_alignment = xs_kv_in_u32(&in, "discard-alignment", 0);
		o->discard_secure = xs_kv_in_bool(&in, "discard-secure", false);
	}
	/* A backend may be able to do more than anybody here would ask for. */
	o->max_indirect = MIN(xs_kv_in_u32(&in, "feature-max-indirect-segments", 0), INDIRECT_MAX);
	o->max_queues = MIN(xs_kv_in_u32(&in, "multi-queue-max-queues", 1), CONN_QUEUES_MAX);
	o->max_ring_order = MIN(xs_kv_in_u32(&in, "max-ring-page-order", 0), RING_ORDER_MAX);
	o->max_queues = MAX(o->max_queues, 1u);
	if (in.rc)
		return in.rc;
	if (!sector_size_ok(o->sector_size))
		return err_say(err, size, -EPEER, "backend: sector-size %u is not a power of two from 512 to %u", o->sector_size,
			   SECTOR_SIZE_MAX);
	if (o->physical_size < o->sector_size || o->physical_size % o->sector_size)
		return err_say(err, size, -EPEER, "backend: physical-sector-size %u is no multiple of sector-size %u",
			   o->physical_size, o->sector_size);
	return 0;
}

/* ---- what the frontend asks for ---- */

static const struct {
	uint32_t protocol;
	const char *name;
} protocols[] = {
	/* The first with a name is it: native is one of the x86 ones on x86, with the same layout. */
	{CONN_X86_32, XEN_IO_PROTO_ABI_X86_32},
	{CONN_X86_64, XEN_IO_PROTO_ABI_X86_64},
	{CONN_NATIVE, XEN_IO_PROTO_ABI_NATIVE},
};

static const char *protocol_name(uint32_t protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].protocol == protocol)
			return protocols[i].name;
	return NULL;
}

/* "ring-ref", "queue-3/ring-ref1": page < 0: the name without a number. */
static void queue_key(char *key, size_t size, const char *name, unsigned nqueues, unsigned queue, int page)
{
	size_t n;

	xs_kv_queue_key(key, size, name, nqueues, queue);
	n = strlen(key);
	if (page >= 0)
		snprintf(key + n, size - n, "%d", page);
}

int vbd_ask_write(const struct vbd_ask *a, struct xs_kvs *front)
{
	struct xs_kv_out o = {front, 0};
	char key[48];

	if (a->nqueues < 1 || a->nqueues > CONN_QUEUES_MAX || !IS_POW2(a->ring_pages) ||
	    a->ring_pages > CONN_RING_PAGES_MAX || !protocol_name(a->protocol))
		return -EINVAL;
	/* Also what is the default: a former frontend's values may stand there. */
	xs_kv_out_text(&o, "protocol", protocol_name(a->protocol));
	xs_kv_out_u64(&o, "feature-persistent", a->persistent);
	xs_kv_out_u64(&o, "multi-queue-num-queues", a->nqueues);
	xs_kv_out_u64(&o, "ring-page-order", (unsigned)__builtin_ctz(a->ring_pages));
	xs_kv_out_u64(&o, "num-ring-pages", a->ring_pages);
	for (unsigned q = 0; q < a->nqueues; q++) {
		for (unsigned p = 0; p < a->ring_pages; p++) {
			queue_key(key, sizeof(key), "ring-ref", a->nqueues, q, a->ring_pages > 1 ? (int)p : -1);
			xs_kv_out_u64(&o, key, a->q[q].gref[p]);
		}
		queue_key(key, sizeof(key), "event-channel", a->nqueues, q, -1);
		xs_kv_out_u64(&o, key, a->q[q].evtchn);
	}
	return o.rc;
}

static int read_protocol(struct xs_kv_in *in, uint32_t *protocol)
{
	const char *name = xs_kv_get(in->kvs, "protocol");

	*protocol = CONN_NATIVE;
	if (!name)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (strcmp(protocols[i].name, name) == 0) {
			*protocol = protocols[i].protocol;
			return 0;
		}
	return err_say(in->err, in->size, -EPEER, "frontend: protocol \"%.40s\" is unknown", name);
}

static int read_geometry(struct xs_kv_in *in, const struct vbd_offer *o, struct vbd_ask *a)
{
	uint32_t max_pages = 1u << MIN(o->max_ring_order, RING_ORDER_MAX), order;
	uint32_t max_queues = MIN(MAX(o->max_queues, 1u), CONN_QUEUES_MAX);

	a->nqueues = xs_kv_in_u32(in, "multi-queue-num-queues", 1);
	if (xs_kv_get(in->kvs, "ring-page-order")) {
		order = xs_kv_in_u32(in, "ring-page-order", 0);
		a->ring_pages = order < 32 ? 1u << order : 0;
	} else {
		a->ring_pages = xs_kv_in_u32(in, "num-ring-pages", 1);
	}
	if (in->rc)
		return in->rc;
	if (a->nqueues < 1 || a->nqueues > max_queues)
		return err_say(in->err, in->size, -EPEER, "frontend: multi-queue-num-queues is %u, 1 to %u are offered", a->nqueues,
			   max_queues);
	if (!IS_POW2(a->ring_pages) || a->ring_pages > max_pages)
		return err_say(in->err, in->size, -EPEER, "frontend: its rings have %u pages, 1 to %u (a power of two) are offered",
			   a->ring_pages, max_pages);
	return 0;
}

static int read_queue(struct xs_kv_in *in, struct vbd_ask *a, unsigned q)
{
	char key[48];
	int rc;

	for (unsigned p = 0; p < a->ring_pages; p++) {
		queue_key(key, sizeof(key), "ring-ref", a->nqueues, q, a->ring_pages > 1 ? (int)p : -1);
		if (a->ring_pages == 1 && !xs_kv_get(in->kvs, key))
			queue_key(key, sizeof(key), "ring-ref", a->nqueues, q, 0);
		rc = xs_kv_in_needed(in, key, &a->q[q].gref[p]);
		if (rc)
			return rc;
	}
	queue_key(key, sizeof(key), "event-channel", a->nqueues, q, -1);
	return xs_kv_in_port(in, key, &a->q[q].evtchn);
}

/* Two rings on one page, or with one port, would be fed to two threads. */
static int check_repeats(const struct xs_kv_in *in, const struct vbd_ask *a)
{
	uint32_t refs[CONN_QUEUES_MAX * CONN_RING_PAGES_MAX];
	unsigned n = 0;

	for (unsigned q = 0; q < a->nqueues; q++) {
		for (unsigned k = 0; k < q; k++)
			if (a->q[k].evtchn == a->q[q].evtchn)
				return err_say(in->err, in->size, -EPEER, "frontend: event channel %u is named twice",
					   a->q[q].evtchn);
		for (unsigned p = 0; p < a->ring_pages; p++) {
			for (unsigned k = 0; k < n; k++)
				if (refs[k] == a->q[q].gref[p])
					return err_say(in->err, in->size, -EPEER, "frontend: ring reference %u is named twice",
						   refs[k]);
			refs[n++] = a->q[q].gref[p];
		}
	}
	return 0;
}

int vbd_ask_read(const struct xs_kvs *front, const struct vbd_offer *o, struct vbd_ask *a, char *err, size_t size)
{
	struct xs_kv_in in = {front, "frontend: ", -EPEER, err, size, 0};
	int rc;

	memset(a, 0, sizeof(*a));
	rc = read_protocol(&in, &a->protocol);
	if (rc == 0)
		rc = read_geometry(&in, o, a);
	for (unsigned q = 0; rc == 0 && q < a->nqueues; q++)
		rc = read_queue(&in, a, q);
	if (rc == 0)
		rc = check_repeats(&in, a);
	a->persistent = xs_kv_in_bool(&in, "feature-persistent", false);
	return rc ? rc : in.rc;
}

/* ---- paths ---- */
