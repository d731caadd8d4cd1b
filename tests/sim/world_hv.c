/* The provider and the storage of the simulated host: sim_hv.c and crash_disk.c, with owners that die. */
#include "backend/blk/blkback.h"
#include "backend/engine/engine.h"
#include "ring/base/check.h"
#include "tests/sim/sim_hv_priv.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HVS 512
#define ENGINES 512
#define DISK_STEP_NS (4 * NS_PER_US)

struct owned_hv {
	struct hv *hv; /* NULL: closed */
	struct os_proc *p;
	struct os_file *domains;
};

struct owned_engine {
	struct engine *e;
	struct os_proc *p;
	struct world_dev *d;
	struct engine_queue *q[4];
	bool dead, readable[4];
};

static struct owned_hv hvs[HVS];
static struct owned_engine engines[ENGINES];
static unsigned nhvs, nengines;
static struct os_proc *starting; /* whose blkback_start() runs: it uses static memory of its process */

/* ---- provider */

static struct owned_hv *owner_of(const struct hv *hv)
{
	for (unsigned i = nhvs; i-- > 0;)
		if (hvs[i].hv == hv)
			return &hvs[i];
	CHECK(!"an unknown hv");
	return NULL;
}

static void op_close(struct hv *hv)
{
	owner_of(hv)->hv = NULL;
	sim_hv_ops.close(hv);
	os_wake();
}

static int op_notify(struct hv_port *p)
{
	int rc;

	os_point(60, OS_CALL_NS);
	rc = sim_hv_ops.port_notify(p);
	os_wake();
	return rc;
}

static int op_domain_fd(struct hv *hv)
{
	struct owned_hv *o = owner_of(hv);

	if (!o->domains) {
		o->domains = os_file_new(OS_EVENT);
		o->domains->nonblock = true;
		return os_fd_new(o->p, o->domains);
	}
	for (int fd = 0; fd < OS_FDS; fd++)
		if (o->p->fd[fd] == o->domains)
			return fd;
	return -EBADF;
}

static void op_domain_clear(struct hv *hv) { owner_of(hv)->domains->count = 0; }

/* By the real code of the hub, in the hub's name. */
static int op_store_fd(struct hv *hv)
{
	struct os_proc *hub = world->hub_proc;
	struct os_file *f;
	int fd, rc;

	os_point(61, OS_CALL_NS);
	os.atomic = true;
	os.as = hub;
	rc = world->hub.loop ? hub_store_connect(&world->hub, hv->domid, &fd) : -EAGAIN;
	os.as = NULL;
	os.atomic = false;
	if (rc)
		return rc;
	f = hub->fd[fd];
	hub->fd[fd] = NULL;
	return os_fd_new(os_self(), f);
}

int hv_open(const char *provider UNUSED, const struct hv_open *o, struct hv **out)
{
	static struct hv_ops ops;
	int rc;

	os_point(62, OS_CALL_NS);
	rc = sim_hv_open(world->sim, o, out);
	if (rc)
		return rc;
	ops = sim_hv_ops;
	ops.features |= HV_FEAT_DOMAIN_EVENTS | HV_FEAT_SUSPEND;
	ops.close = op_close;
	ops.port_notify = op_notify;
	ops.domain_fd = op_domain_fd;
	ops.domain_clear = op_domain_clear;
	ops.store_fd = op_store_fd;
	(*out)->ops = &ops;
	CHECK(nhvs < HVS);
	hvs[nhvs++] = (struct owned_hv){.hv = *out, .p = os_self()};
	return 0;
}

void world_domain_gone(void)
{
	for (unsigned i = 0; i < nhvs; i++)
		if (hvs[i].hv && hvs[i].domains && !hvs[i].domains->dead)
			hvs[i].domains->count++;
	os_wake();
}

/* ---- storage */

static struct owned_engine *engine_of(const struct engine *e)
{
	for (unsigned i = nengines; i-- > 0;)
		if (engines[i].e == e)
			return &engines[i];
	CHECK(!"an unknown engine");
	return NULL;
}

static const struct engine_ops *disk_ops;

/* Generations are counted over all connections, as the disk knows none. */
static int op_own(struct engine *e, uint64_t g, bool fresh)
{
	struct owned_engine *o = engine_of(e);

	if (fresh)
		o->d->generation_base += 1000;
	return disk_ops->own(e, o->d->generation_base + g, fresh);
}

static int op_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	int rc = disk_ops->queue_open(e, index, out);

	engine_of(e)->q[index] = *out;
	return rc;
}

static unsigned index_of(const struct owned_engine *o, const struct engine_queue *q)
{
	unsigned i = 0;

	while (o->q[i] != q)
		i++;
	return i;
}

static int op_fence_poll(struct engine *e)
{
	return world_mutant == WORLD_LATE_FENCE ? 1 : disk_ops->fence_poll(e);
}

/* As the pool of threads does: a queue with nothing outstanding is never reaped, but armed before each sleep. */
static int op_arm(struct engine_queue *q)
{
	struct owned_engine *o = engine_of(q->engine);

	crash_disk_event(q->engine, index_of(o, q));
	o->readable[index_of(o, q)] = false;
	return disk_ops->arm(q);
}

static int op_event_fd(struct engine_queue *q)
{
	struct owned_engine *o = engine_of(q->engine);

	return OS_FOREIGN + (int)(o - engines) * 4 + (int)index_of(o, q);
}

static bool readable(int fd)
{
	struct owned_engine *o;

	if (fd >= SIM_HV_FD)
		return sim_event(world->sim, fd)->pending;
	o = &engines[(fd - OS_FOREIGN) / 4];
	if (o->dead)
		return false;
	if (crash_disk_event(o->e, (unsigned)fd % 4))
		o->readable[fd % 4] = true;
	return o->readable[fd % 4];
}

int __wrap_engine_open(const struct engine_open *o, struct engine **out, char *err, size_t size);
int __wrap_engine_probe(const struct engine_open *o, struct engine_info *info, char *err, size_t size);
int __wrap_blkback_start(struct blkback *b, enum blkback_kind kind, bool own_fault, struct blkback_started *out);
int __real_blkback_start(struct blkback *b, enum blkback_kind kind, bool own_fault, struct blkback_started *out);

static struct engine_ops ops;

static struct engine *open_disk(struct crash_disk *d)
{
	struct engine *e = crash_disk_open(d);

	disk_ops = e->ops;
	ops = *e->ops;
	ops.own = op_own;
	ops.queue_open = op_queue_open;
	ops.arm = op_arm;
	ops.fence_poll = op_fence_poll;
	ops.event_fd = op_event_fd;
	e->ops = &ops;
	return e;
}

/* By the reservation, as the real one. */
static struct world_dev *dev_of(const struct engine_open *o)
{
	struct os_file *f = os_fd(o->fd);

	CHECK(f && f->ino && f->ino->image);
	return &world->dev[f->ino->dev];
}

int __wrap_engine_open(const struct engine_open *o, struct engine **out, char *err UNUSED, size_t size UNUSED)
{
	struct world_dev *d = dev_of(o);

	os_point(63, OS_CALL_NS);
	CHECK(nengines < ENGINES);
	*out = open_disk(&d->disk);
	engines[nengines++] = (struct owned_engine){.e = *out, .p = os_self(), .d = d};
	close(o->fd);
	return 0;
}

int __wrap_engine_probe(const struct engine_open *o, struct engine_info *info, char *err UNUSED, size_t size UNUSED)
{
	struct engine *e = open_disk(&dev_of(o)->disk);

	os_point(64, OS_CALL_NS);
	*info = e->info;
	e->ops->close(e);
	close(o->fd);
	return 0;
}

/* A stub that is stopped never goes on. */
static bool nobody_starts(void *arg UNUSED)
{
	return !starting || starting->state != OS_ALIVE || starting->stopped || starting->frozen;
}

int __wrap_blkback_start(struct blkback *b, enum blkback_kind kind, bool own_fault, struct blkback_started *out)
{
	int rc;

	os_wait(nobody_starts, NULL, UINT64_MAX);
	starting = os_self();
	rc = __real_blkback_start(b, kind, own_fault, out);
	starting = NULL;
	os_wake();
	return rc;
}

static bool image_busy_now(int dev) { return !crash_disk_idle(&world->dev[dev].disk); }

uint64_t world_disks_tick(void)
{
	bool busy = false;

	for (unsigned i = 0; i < world->ndevs; i++) {
		struct crash_disk *d = &world->dev[i].disk;

		if (crash_disk_idle(d))
			continue;
		busy = true;
		if (world->next_disk <= os.now) {
			crash_disk_step(d);
			os_wake();
		}
	}
	if (!busy)
		return UINT64_MAX;
	if (world->next_disk <= os.now)
		world->next_disk = os.now + DISK_STEP_NS;
	return world->next_disk;
}

void world_disk_point(void) { os_point(65, OS_STORE_NS); }

/* ---- deaths */

void world_hv_killed(struct os_proc *p)
{
	for (unsigned i = 0; i < nengines; i++)
		if (engines[i].p == p && !engines[i].dead) {
			engines[i].dead = true;
			crash_disk_died(&engines[i].d->disk, engines[i].e);
		}
}

void world_hv_released(struct os_proc *p)
{
	for (unsigned i = 0; i < nhvs; i++)
		if (hvs[i].p == p && hvs[i].hv) {
			sim_hv_kill(hvs[i].hv);
			hvs[i].hv = NULL;
		}
}

void world_hv_reset(void)
{
	nhvs = nengines = 0;
	starting = NULL;
	os_foreign_readable = readable;
	os_image_busy = image_busy_now;
}
