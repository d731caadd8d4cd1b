/* Guests and toolstack: a driver's user on frontend/blk that keeps a record of every request for the oracle, and what attaches
 * and detaches disks. */
#include "frontend/blk/blkfront.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/loop.h"
#include "tests/sim/world_net.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/client/xs_sync.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/blkif.h>

#define SECTOR 512u
#define IO_SECTORS_MAX 8u
#define DEPTH 12u
#define TRY_NS (20 * NS_PER_MS)

struct user_io {
	struct blkfront_io io;
	struct crash_req *r;
	struct user_io *next; /* not yet on the ring */
	uint64_t data[IO_SECTORS_MAX * SECTOR / 8];
};

/* A connection. */
struct user {
	struct world_dev *d;
	struct blkfront *f;
	struct blkfront_info info;
	unsigned connection;
	struct user_io *head[WORLD_QUEUES], **tail[WORLD_QUEUES];
	uint64_t responses[WORLD_QUEUES];
	uint64_t again; /* when it asks for more */
	bool answered;
	int status;
};

/* ---- the record */

static uint8_t op_code(char op)
{
	switch (op) {
	case 'R':
		return BLKIF_OP_READ;
	case 'F':
		return BLKIF_OP_FLUSH_DISKCACHE;
	case 'B':
		return BLKIF_OP_WRITE_BARRIER;
	case 'D':
		return BLKIF_OP_DISCARD;
	default:
		return BLKIF_OP_WRITE;
	}
}

static void submitted(void *arg, unsigned queue, uint64_t index, uint64_t id UNUSED, int op, uint64_t sector, uint32_t sectors)
{
	struct user *u = arg;
	struct user_io *io = u->head[queue];

	if (!io || op != op_code(io->r->op) || sectors != io->r->n || (sectors && sector != io->r->first)) {
		crash_violation(&u->d->check, "ID-ECHO", "the frontend sent what nobody asked for: %d of sector %llu", op,
				(unsigned long long)sector);
		return;
	}
	u->head[queue] = io->next;
	if (!io->next)
		u->tail[queue] = &u->head[queue];
	io->r->index = index;
	io->r->posted = true;
	io->r->invoke = ++u->d->check.now;
}

static void answered(void *arg, unsigned queue, uint64_t rsp_index, uint64_t id UNUSED, int op UNUSED, int status)
{
	struct user *u = arg;

	if (rsp_index != u->responses[queue]++)
		crash_violation(&u->d->check, "ANSWER-ONCE", "queue %u: response %llu, expected %llu", queue,
				(unsigned long long)rsp_index, (unsigned long long)u->responses[queue] - 1);
	u->answered = true;
	u->status = status;
}

static void done(struct blkfront_io *io, int rc)
{
	struct user_io *x = CONTAINER_OF(io, struct user_io, io);
	struct user *u = io->user;
	struct crash_req *r = x->r;

	(void)rc;
	if (!u->answered)
		return; /* the end of the connection */
	u->answered = false;
	r->answered = true;
	r->status = (int16_t)u->status;
	r->answer = ++u->d->check.now;
	world_out->answered++;
	for (unsigned k = 0; k < r->n && r->op == 'R' && r->status == BLKIF_RSP_OKAY; k++) {
		r->seen[k] = x->data[k * SECTOR / 8];
		for (unsigned i = 0; i < SECTOR / 8; i++)
			if (x->data[k * SECTOR / 8 + i] != r->seen[k])
				crash_violation(&u->d->check, "DATA", "sector %u was read half old, half new", r->first + k);
	}
	crash_check_answer(&u->d->check, r);
}

/* ---- requests */

static const char ops[] = "RRRRWWWWWWFFBD";

static bool fill(struct user *u, struct user_io *x, unsigned queue)
{
	struct crash_check *c = &u->d->check;
	struct crash_req *r = &c->req[c->nreqs];
	unsigned hot = crash_below(&os.rng, 4) ? 16 : DISK_SECTORS; /* most on a few sectors: they overlap */

	*r = (struct crash_req){.op = ops[crash_below(&os.rng, sizeof(ops) - 1)]};
	r->queue = (uint8_t)(u->connection * WORLD_QUEUES + queue);
	if ((r->op == 'D' && !u->info.discard) || (r->op == 'B' && !u->info.barrier) || (r->op == 'F' && !u->info.flush))
		return false;
	if (r->op != 'F') {
		r->n = (uint16_t)(1 + crash_below(&os.rng, IO_SECTORS_MAX));
		r->first = (uint16_t)crash_below(&os.rng, hot - r->n + 1);
	}
	/* The disk tells discards by their place. */
	for (unsigned i = 0; i < c->nreqs && r->op == 'D'; i++)
		if (c->req[i].op == 'D' && c->req[i].first == r->first && c->req[i].n == r->n)
			return false;
	x->r = r;
	x->io = (struct blkfront_io){.off = r->first * (uint64_t)SECTOR, .len = r->n * (uint64_t)SECTOR, .buf = x->data, .done = done,
				     .user = u};
	x->io.op = r->op == 'R' ? BLKFRONT_READ : r->op == 'W' ? BLKFRONT_WRITE : r->op == 'F' ? BLKFRONT_FLUSH
		   : r->op == 'B' ? BLKFRONT_BARRIER : BLKFRONT_DISCARD;
	for (unsigned k = 0; k < r->n; k++)
		for (unsigned i = 0; i < SECTOR / 8; i++)
			x->data[k * SECTOR / 8 + i] = r->op == 'R' ? 0 : crash_stamp(c, r, k);
	return true;
}

static void submit(struct user *u, unsigned queue)
{
	struct user_io *x = os_alloc(sizeof(*x));
	struct crash_check *c = &u->d->check;

	if (!fill(u, x, queue))
		return;
	if (blkfront_submit(blkfront_get_queue(u->f, queue), &x->io))
		return; /* ended meanwhile: the next poll says so */
	c->nreqs++;
	world_out->requests++;
	*u->tail[queue] = x;
	u->tail[queue] = &x->next;
}

static unsigned outstanding(const struct user *u)
{
	unsigned n = 0;

	for (unsigned q = 0; q < u->info.queues; q++)
		n += blkfront_outstanding(blkfront_get_queue(u->f, q));
	return n;
}

static bool more(const struct user *u) { return u->d->check.nreqs < u->d->want; }

/* A turn of all queues: 0, 1 (something was done), or how the device ended. */
static int turn(struct user *u)
{
	int did = 0;

	for (unsigned q = 0; q < u->info.queues; q++) {
		unsigned n = more(u) && outstanding(u) < DEPTH && os.now >= u->again ? crash_below(&os.rng, 4) : 0;
		int rc;

		if (n && u->d->pace_us)
			u->again = os.now + crash_below(&os.rng, u->d->pace_us) * NS_PER_US;
		while (n-- && more(u))
			submit(u, q);
		rc = blkfront_poll(blkfront_get_queue(u->f, q));
		if (rc < 0)
			return rc;
		did |= rc > 0;
	}
	return did;
}

static void sleep_for_answers(struct user *u)
{
	struct pollfd p[WORLD_QUEUES];
	struct timespec t = {.tv_nsec = (long)(u->again > os.now ? u->again - os.now : 20 * NS_PER_US)};
	bool now = false;

	for (unsigned q = 0; q < u->info.queues; q++) {
		p[q] = (struct pollfd){.fd = blkfront_fd(blkfront_get_queue(u->f, q)), .events = POLLIN};
		now |= blkfront_arm(blkfront_get_queue(u->f, q));
	}
	if (!now)
		ppoll(p, u->info.queues, more(u) ? &t : NULL, NULL);
}

static bool asked(void *arg)
{
	struct world_dev *d = arg;

	return d->close || d->reopen;
}

static bool called(void *arg)
{
	struct world_dev *d = arg;

	return asked(d) || d->check.nreqs < d->want;
}

/* Until all is done and more is wanted, or it may go, or it must connect anew. */
static int use(struct user *u)
{
	struct world_dev *d = u->d;
	int rc = 0;

	while (rc >= 0 && !d->reopen && (more(u) || outstanding(u))) {
		rc = turn(u);
		if (rc == 0)
			sleep_for_answers(u);
	}
	if (rc < 0 && d->phase != DEV_DESTROYED)
		world_violation("STATE", "%s: the frontend was told that its device has ended: %s", d->name, err_str(rc));
	if (rc >= 0 && !more(u) && !outstanding(u)) {
		d->phase = DEV_DONE;
		while (rc >= 0 && d->phase == DEV_DONE && !os_wait(called, d, os.now + 5 * NS_PER_MS))
			rc = turn(u);
		if (rc < 0 && d->phase != DEV_DESTROYED)
			world_violation("STATE", "%s: the frontend was told that its device has ended: %s", d->name, err_str(rc));
	}
	return rc;
}

int world_guest_main(void *dev)
{
	struct world_dev *d = dev;
	char err[256] = "";

	while (!d->close || d->phase < DEV_CLOSED) {
		struct user *u = os_alloc(sizeof(*u));
		struct blkfront_observer *obs = os_alloc(sizeof(*obs));
		struct blkfront_open o = {.provider = "local", .runtime_dir = WORLD_DIR, .domain = world->dev[d->domain].name,
					  .vdev = d->vdev, .queues = d->nqueues, .ring_pages = 1, .no_persistent = !d->persistent,
					  .no_indirect = true, .timeout_ns = 2 * NS_PER_S, .observer = obs};

		*obs = (struct blkfront_observer){.submitted = submitted, .answered = answered, .arg = u};
		u->d = d;
		u->connection = d->connections;
		for (unsigned q = 0; q < WORLD_QUEUES; q++)
			u->tail[q] = &u->head[q];
		if (blkfront_open(&o, &u->f, err, sizeof(err))) {
			log_debug("%s", err);
			os_wait(NULL, NULL, os.now + TRY_NS);
			continue;
		}
		d->connections++;
		d->connected = true;
		d->reopen = false;
		d->phase = d->phase < DEV_RUNS ? DEV_RUNS : d->phase;
		blkfront_get_info(u->f, &u->info);
		while (use(u) >= 0 && !asked(d))
			;
		d->check.left |= outstanding(u) > 0;
		d->connected = false;
		blkfront_close(u->f);
		if (d->close)
			d->phase = DEV_CLOSED;
	}
	return 0;
}

/* ---- the toolstack */

static struct xsc *tool_open(void)
{
	struct xsc_cfg cfg = {.path = WORLD_DIR "/store.sock"};
	struct xsc *xs;

	CHECK(loop_open(&cfg.loop) == 0 && xsc_open(&cfg, &xs) == 0);
	return xs;
}

static int waited(struct xsc *xs, struct xsc_wait *w)
{
	int rc = xsc_wait(xs, w);

	xsc_wait_free(w);
	*w = (struct xsc_wait){0};
	if (rc)
		os_wait(NULL, NULL, os.now + TRY_NS);
	return rc;
}

static const char *class_of(const struct world_dev *d) { return d->vif ? "vif" : "vbd"; }

int world_tool_attach(void *dev)
{
	struct world_dev *d = dev;
	struct dev_admin_domain dom = {.domid = d->dom};
	struct dev_admin_vbd v = {.domid = d->dom, .devid = d->devid};
	struct dev_admin_vif n = {.domid = d->dom, .devid = d->devid, .wanted.mac = {0, 0x16, 0x3e, 0, 0, (uint8_t)d->index}};
	struct xsc_wait w = {0};
	struct xsc *xs = tool_open();
	bool known = false;
	int rc = -1;

	while (!known) {
		xsc_is_introduced(xs, d->dom, xsc_wait_done, &w);
		known = xsc_wait(xs, &w) == 0 && w.data[0] == 'T';
		xsc_wait_free(&w);
		w = (struct xsc_wait){0};
		if (!known)
			os_wait(NULL, NULL, os.now + TRY_NS);
	}
	snprintf(dom.name, sizeof(dom.name), "%s", world->dev[d->domain].name);
	snprintf(dom.uuid, sizeof(dom.uuid), "00112233-4455-6677-8899-%012x", d->dom);
	while (rc && rc != -EEXIST && d->phase != DEV_DESTROYED) {
		dev_admin_domain_create(xs, &dom, xsc_wait_done, &w);
		rc = waited(xs, &w);
	}
	snprintf(v.wanted.params, sizeof(v.wanted.params), "%s", d->params);
	snprintf(v.wanted.type, sizeof(v.wanted.type), "phy");
	v.wanted.discard_enable = d->discard;
	snprintf(n.wanted.params, sizeof(n.wanted.params), "%s", d->params);
	if (d->vif && d->vif->bridge) {
		n.wanted.mode = VIF_BRIDGE;
		snprintf(n.wanted.bridge, sizeof(n.wanted.bridge), "br0");
	}
	rc = -1;
	while (rc && rc != -EEXIST && d->phase != DEV_DESTROYED) {
		if (d->vif)
			dev_admin_vif_create(xs, &n, xsc_wait_done, &w);
		else
			dev_admin_vbd_create(xs, &v, xsc_wait_done, &w);
		rc = waited(xs, &w);
	}
	if (d->phase != DEV_DESTROYED)
		d->phase = DEV_ATTACHED;
	return 0;
}

int world_tool_detach(void *dev)
{
	struct world_dev *d = dev;
	struct dev_admin_dev a = {.domid = d->dom, .devid = d->devid};
	struct xsc_wait w = {0};
	struct xsc *xs = tool_open();
	int rc = -1;

	strcpy(a.class_name, class_of(d));
	while (rc && rc != -ENOENT) {
		dev_admin_remove(xs, &a, NS_PER_S, d->phase == DEV_DESTROYED, xsc_wait_done, &w);
		rc = waited(xs, &w);
		log_debug("%s is detached: %s", d->name, err_str(rc));
	}
	if (d->phase != DEV_DESTROYED)
		d->phase = DEV_DETACHED;
	return 0;
}

/* Up, in the supervisor's eyes and in the store. */
int world_tool_check(void *dev)
{
	struct world_dev *d = dev;
	struct xsc *xs = tool_open();
	struct ctl_dev *list = NULL;
	struct ctl_reply r;
	char path[XS_PATH_SIZE], value[16] = "";
	int fd, n = -1;

	while (!d->was_up) {
		fd = ctl_client_open(WORLD_DIR);
		if (fd >= 0) {
			n = ctl_client_status(fd, d->vif ? CONN_VIF : CONN_VBD, d->dom, d->devid, &list, &r);
			close(fd);
		}
		d->was_up = n == 1 && list[0].state == CTL_UP;
		if (n == 1)
			snprintf(world->text, sizeof(world->text), "%s is %s (%s), %s", d->name,
				 ctl_state_name((enum ctl_state)list[0].state), list[0].text, value);
		if (d->was_up && d->spare && list[0].restarts)
			world_violation("NEIGHBOUR", "%s was restarted %llu times, though nothing was done to it", d->name,
					(unsigned long long)list[0].restarts);
		free(list);
		list = NULL;
		if (!d->was_up)
			os_wait(NULL, NULL, os.now + TRY_NS);
	}
	while (!d->state_ok) {
		xs_path_backend(path, 0, class_of(d), (uint16_t)d->dom, d->devid);
		strcat(path, "/state");
		d->state_ok = xsc_sync_read(xs, path, value, sizeof(value)) == 0 && atoi(value) == XenbusStateConnected;
		if (!d->state_ok)
			os_wait(NULL, NULL, os.now + TRY_NS);
	}
	if (d->vif)
		world_net_check(d);
	return 0;
}

/* An operator. */
int world_tool_restart(void *dev)
{
	struct world_dev *d = dev;
	struct ctl_req q = {.op = CTL_RESTART, .domid = d->dom, .devid = d->devid, .type = d->vif ? CONN_VIF : CONN_VBD};
	struct ctl_reply r;
	int fd = ctl_client_open(WORLD_DIR);

	if (fd < 0)
		return 1;
	log_debug("a restart of %s is asked for: %d", d->name, ctl_client_ask(fd, &q, &r));
	close(fd);
	return 0;
}
