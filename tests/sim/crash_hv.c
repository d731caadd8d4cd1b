#include "tests/sim/crash_hv.h"

#include "ring/base/check.h"
#include "ring/hv/hv_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 80u
#define GRANTS 256u
#define CHANNELS 8u
#define PORTS 8u /* of one process */
#define FD 0x50000000

struct grant {
	void *page; /* NULL: free */
	hv_gref_t gref;
	bool ro;
	unsigned maps;
};

/* One end of a channel: an event waits in the hypervisor while the port is masked, else it is read through the descriptor. */
struct end {
	bool waits, masked, readable;
};

struct port {
	struct hv_port p;
	unsigned channel, side; /* side 0: the guest's */
};

struct proc {
	struct hv hv;
	unsigned nports;
	struct port port[PORTS];
	uint16_t maps[GRANTS];
};

static struct {
	void (*point)(void);
	bool shut;
	char *pages;
	size_t npages;
	unsigned top, hint, serial, nchannels; /* top: no grant from it on was ever used */
	struct grant grant[GRANTS];
	struct end end[CHANNELS][2];
	struct proc guest, supervisor;
} world;

static struct proc *proc(struct hv *hv) { return CONTAINER_OF(hv, struct proc, hv); }
static struct port *port(const struct hv_port *p) { return CONTAINER_OF(p, struct port, p); }

static struct grant *find(hv_gref_t gref)
{
	struct grant *g = &world.grant[gref % GRANTS];

	return g->page && g->gref == gref ? g : NULL;
}

/* ---- the guest's side */

static int op_alloc(struct hv *hv, size_t n, void **out)
{
	(void)hv;
	if (world.npages + n > PAGES)
		return -ENOMEM;
	*out = world.pages + world.npages * BH_PAGE_SIZE;
	world.npages += n;
	return 0;
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *v, size_t n)
{
	(void)hv;
	(void)dom;
	for (size_t i = 0; i < n; i++) {
		unsigned at = world.hint;

		while (world.grant[at].page)
			at = (at + 1) % GRANTS;
		world.hint = (at + 1) % GRANTS;
		world.top = MAX(world.top, at + 1);
		v[i].gref = (++world.serial % 300) * GRANTS + at; /* below 99999, and none soon again */
		world.grant[at] = (struct grant){.page = v[i].page, .gref = v[i].gref, .ro = v[i].ro};
	}
	return 0;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *gref, size_t n, int16_t *status)
{
	(void)hv;
	for (size_t i = 0; i < n; i++) {
		struct grant *g = find(gref[i]);

		status[i] = !g ? -EINVAL : g->maps ? -EBUSY : 0;
		if (!status[i])
			g->page = NULL;
	}
	return 0;
}

/* ---- the backend's */

static int16_t map_one(struct proc *p, hv_gref_t gref, bool ro, void **addr)
{
	struct grant *g = find(gref);

	if (!g)
		return -EINVAL;
	if (g->ro && !ro)
		return -EACCES;
	g->maps++;
	p->maps[g - world.grant]++;
	*addr = g->page;
	return 0;
}

static int op_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	(void)dom;
	for (size_t i = 0; i < n; i++)
		m[i].status = map_one(proc(hv), m[i].gref, m[i].ro, &m[i].addr);
	return 0;
}

static size_t op_unmap(struct hv *hv, void *const *addr, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < GRANTS; k++)
			if (world.grant[k].page == addr[i] && proc(hv)->maps[k]) {
				proc(hv)->maps[k]--;
				world.grant[k].maps--;
				done++;
				break;
			}
	return done;
}

static int op_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *gref, size_t n, void **out)
{
	(void)dom;
	CHECK(n == 1);
	return map_one(proc(hv), gref[0], false, out);
}

void (*crash_hv_copying)(const struct hv_copy *c);

static int op_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n)
{
	(void)hv;
	(void)dom;
	for (size_t i = 0; i < n; i++) {
		struct grant *g = find(c[i].gref);

		if (crash_hv_copying)
			crash_hv_copying(&c[i]);
		c[i].status = !g ? -EINVAL : g->ro && c[i].to_guest ? -EACCES : 0;
		if (!c[i].status && c[i].to_guest)
			memcpy((char *)g->page + c[i].off, c[i].local, c[i].len);
		else if (!c[i].status)
			memcpy(c[i].local, (char *)g->page + c[i].off, c[i].len);
	}
	return 0;
}

/* ---- ports */

static int open_port(struct hv *hv, unsigned channel, unsigned side, struct hv_port **out)
{
	struct proc *p = proc(hv);
	struct port *o = &p->port[p->nports++];

	CHECK(p->nports <= PORTS);
	*o = (struct port){.p = {.hv = hv, .number = 100 + channel}, .channel = channel, .side = side};
	*out = &o->p;
	return 0;
}

static int op_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	(void)dom;
	CHECK(world.nchannels < CHANNELS);
	return open_port(hv, world.nchannels++, 0, out);
}

static int op_port_bind(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out)
{
	(void)dom;
	return open_port(hv, remote - 100, 1, out);
}

static size_t op_port_fds(const struct hv_port *p, int fds[HV_PORT_FDS])
{
	fds[0] = FD + (int)port(p)->channel;
	return 1;
}

static int op_port_adopt(struct hv *hv, const int *fds, size_t n, hv_evtchn_t number, struct hv_port **out)
{
	(void)number;
	CHECK(n == 1);
	return open_port(hv, (unsigned)(fds[0] - FD), 1, out);
}

static void deliver(struct end *e)
{
	if (!e->waits || e->masked)
		return;
	e->waits = false;
	e->masked = e->readable = true;
}

static int op_port_notify(struct hv_port *p)
{
	struct end *e = &world.end[port(p)->channel][!port(p)->side];

	if (port(p)->side)
		world.point();
	e->waits = true;
	deliver(e);
	return 0;
}

static int op_port_clear(struct hv_port *p)
{
	struct end *e = &world.end[port(p)->channel][port(p)->side];
	bool was = false;

	do {
		was |= e->readable;
		if (port(p)->side)
			world.point();
		e->readable = false;
		if (port(p)->side)
			world.point();
		e->masked = false;
		deliver(e);
	} while (e->readable);
	return was;
}

static void op_port_close(struct hv_port *p) { (void)p; }

static int op_domain_state(struct hv *hv, hv_domid_t dom)
{
	(void)hv;
	(void)dom;
	return world.shut ? -ESHUTDOWN : 1;
}

static const struct hv_ops ops = {
	.name = "crash",
	.features = HV_FEAT_MASK | HV_FEAT_WHY | HV_FEAT_BUSY | HV_FEAT_REGRANT,
	.alloc = op_alloc,
	.grant = op_grant,
	.ungrant = op_ungrant,
	.map = op_map,
	.unmap = op_unmap,
	.map_ring = op_map_ring,
	.copy = op_copy,
	.port_alloc = op_port_alloc,
	.port_bind = op_port_bind,
	.port_fds = op_port_fds,
	.port_adopt = op_port_adopt,
	.port_notify = op_port_notify,
	.port_clear = op_port_clear,
	.port_close = op_port_close,
	.domain_state = op_domain_state,
};

/* ---- runs and processes */

static void open_proc(struct proc *p, enum hv_role role)
{
	const struct hv_open o = {.role = role, .guest = CRASH_HV_DOMAIN};

	memset(p, 0, sizeof(*p));
	hv_setup(&p->hv, &ops, &o, role == HV_FRONTEND ? CRASH_HV_DOMAIN : 0);
}

void crash_hv_reset(void (*point)(void))
{
	if (!world.pages)
		world.pages = aligned_alloc(BH_PAGE_SIZE, PAGES * BH_PAGE_SIZE);
	CHECK(world.pages);
	world.point = point;
	world.shut = false;
	world.npages = 0;
	world.hint = world.serial = world.nchannels = 0;
	memset(world.grant, 0, world.top * sizeof(world.grant[0]));
	world.top = 0;
	memset(world.end, 0, sizeof(world.end));
	open_proc(&world.guest, HV_FRONTEND);
	open_proc(&world.supervisor, HV_SUPERVISOR);
}

struct hv *crash_hv_guest(void) { return &world.guest.hv; }
struct hv *crash_hv_supervisor(void) { return &world.supervisor.hv; }

struct hv *crash_hv_stub(void)
{
	struct proc *p = malloc(sizeof(*p));

	CHECK(p);
	open_proc(p, HV_STUB);
	return &p->hv;
}

void crash_hv_kill(struct hv *stub)
{
	struct proc *p = proc(stub);

	for (unsigned i = 0; i < world.top; i++)
		world.grant[i].maps -= p->maps[i];
	free(p);
}

void crash_hv_shutdown(void) { world.shut = true; }

bool crash_hv_pending(const struct hv_port *p) { return world.end[port(p)->channel][port(p)->side].readable; }

bool crash_hv_is_guests(const void *mem, size_t bytes)
{
	return (const char *)mem < world.pages + PAGES * BH_PAGE_SIZE && (const char *)mem + bytes > world.pages;
}
