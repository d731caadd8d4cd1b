/* A run: what there is, what happens to it, and what must hold at its end. */
#include "tests/sim/world.h"

#include "recovery/super/sup_priv.h"
#include "ring/base/check.h"
#include "ring/base/log.h"
#include "tests/sim/sim_hv.h"
#include "tests/sim/world_net.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define SIM_PAGES 8192
#define RESTART_NS (20 * NS_PER_MS) /* of a daemon, at most so late */
#define FAULTS_NS (400 * NS_PER_MS) /* at most so long */
#define SETTLE_NS (40 * NS_PER_S)
#define LAST_REQS 4u
#define STEPS_MAX 4000000u
#define CONVICTED_AT 5u /* deaths by own fault (docs/recovery.md) */

struct world *world;
struct world_result *world_out;

static struct world the;

bool world_chance(unsigned percent) { return crash_below(&os.rng, 100) < percent; }
static bool chance(unsigned percent) { return world_chance(percent); }

void world_violation(const char *invariant, const char *fmt, ...)
{
	va_list ap;

	if (world->invariant)
		return;
	world->invariant = invariant;
	va_start(ap, fmt);
	vsnprintf(world->text, sizeof(world->text), fmt, ap);
	va_end(ap);
}

int world_dev_of(uint32_t domid, uint32_t devid)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].dom == domid && world->dev[i].devid == devid)
			return (int)i;
	return -1;
}

/* ---- faults */

/* p dies at one of its next points: early ones are its start. */
static void doom(struct os_proc *p, unsigned percent)
{
	static const unsigned range[] = {60, 600, 6000, 30000};

	if (!world->faults || !(world->may & FAULT_KILL) || !world->budget[p->kind] || !chance(percent))
		return;
	world->budget[p->kind]--;
	p->kill_at = p->points + 1 + crash_below(&os.rng, range[crash_below(&os.rng, 4)]);
	p->own_fault = chance(15);
}

void world_doom_soon(struct os_proc *p, unsigned points)
{
	if (!world->faults || !(world->may & FAULT_KILL) || !world->budget[p->kind] || p->kill_at || world->dev[p->dev].spare)
		return;
	world->budget[p->kind]--;
	p->kill_at = p->points + 1 + crash_below(&os.rng, points);
}

void world_born(struct os_proc *p)
{
	if (p->dev >= 0 && world->dev[p->dev].spare)
		return;
	doom(p, 60);
}

/* A stopped one will be judged so. */
static void count_own_fault(const struct os_proc *p)
{
	world->own_faults++;
	for (unsigned i = 0; i < p->start->ndevs; i++) {
		int d = world_dev_of(p->start->dev[i].conn.domid, p->start->dev[i].conn.devid);

		if (d >= 0)
			world->dev[d].own_faults++;
	}
}

static void died(struct os_proc *p)
{
	world_hv_killed(p);
	world_net_died(p);
	if (p->injected)
		world_out->deaths[p->kind]++;
	if (p->kind == OS_STUB && (p->frozen || p->stopped || p->status == SIGSEGV))
		count_own_fault(p);
	/* While a connection begins, a successor of the supervisor gives up its stub, rightly. */
	if (p->kind == OS_STUB && p->serves && !p->injected && world->dev[p->dev].spare && world->dev[p->dev].connected &&
	    !world->dev[p->dev].close)
		world_violation("NEIGHBOUR", "%s lost its stub, though nothing was done to it", world->dev[p->dev].name);
	if (p->kind == OS_STORE)
		world->store_at = os.now + 1 + crash_below(&os.rng, RESTART_NS);
	if (p->kind == OS_SUPER)
		world->super_at = os.now + 1 + crash_below(&os.rng, RESTART_NS);
	if (p->kind == OS_SUPER)
		world_helper_orphaned(p);
	if (p->kind == OS_GUEST) {
		world->dev[p->dev].check.left = true;
		world->dev[p->dev].connected = false;
	}
}

/* What stubs say. */
static void heard(struct os_proc *from, const void *data, size_t len)
{
	const struct stub_msg *m = data;
	struct world_dev *d;
	int i;

	if (from->kind == OS_SUPER && len == sizeof(*m) && m->type == STUB_GO && m->arg[0] && ++world->blamed > world->own_faults)
		world_violation("OWN-FAULT", "a successor is told that its predecessor died by its own fault: the %uth, of %u such deaths",
				world->blamed, world->own_faults);
	if (from->kind != OS_STUB || len != sizeof(*m))
		return;
	from->serves = from->serves || m->type == STUB_CONNECTED || m->type == STUB_RESUMED;
	i = world_dev_of(from->start->dev[m->dev].conn.domid, from->start->dev[m->dev].conn.devid);
	d = i < 0 ? NULL : &world->dev[i];
	if (!d || d->phase == DEV_DESTROYED)
		return;
	if (d->vif && (m->type == STUB_CONNECTED || m->type == STUB_RESUMED))
		world_net_serves(d, from->start->dev[m->dev].journal);
	if (m->type == STUB_MISMATCH || (m->type == STUB_BROKEN && d->connected)) /* else its ring is gone indeed */
		world_violation("BROKEN", "%s: %s", d->name, m->text);
	if (m->type != STUB_POISON)
		return;
	d->check.convicted++;
	if (d->own_faults < CONVICTED_AT)
		world_violation("POISON", "%s: a request was given up after %u deaths by own fault", d->name, d->own_faults);
}

static struct os_proc *some(enum os_kind kind)
{
	struct os_proc *p = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < os.nprocs; i++) {
		struct os_proc *q = os.proc[i];
		bool safe = q->dev >= 0 && world->dev[q->dev].spare;

		if (q->kind == kind && q->state == OS_ALIVE && !safe && crash_below(&os.rng, ++n) == 0)
			p = q;
	}
	return p;
}

static void kill_now(struct os_proc *p)
{
	if (!p || p->state != OS_ALIVE)
		return;
	p->injected = true;
	os_kill(p, CLD_KILLED, SIGKILL);
}

static void kill_all(void)
{
	for (unsigned i = 0, n = os.nprocs; i < n; i++)
		if (os.proc[i]->kind == OS_STUB || os.proc[i]->kind == OS_SUPER || os.proc[i]->kind == OS_STORE)
			kill_now(os.proc[i]);
	for (unsigned i = 0; i < world->ndevs; i++)
		world->dev[i].spare = false;
}

static void stop_one(void)
{
	struct os_proc *p = some(OS_STUB);

	if (!p || p->frozen || p->stopped)
		return;
	world_out->stops++;
	if (chance(50)) {
		p->frozen = true;
		return;
	}
	p->stopped = true;
	if (os_find(p->ppid))
		os_find(p->ppid)->signals |= 1u << SIGCHLD;
	os_wake();
}

/* Only a connection that both ends know survives it: nobody puts back what a toolstack or a guest was about to write. */
static void forget(void)
{
	struct os_inode *log = os_inode_find(WORLD_DIR "/store.log");

	for (unsigned i = 0; i < world->ndevs; i++)
		if (!world->dev[i].connected || world->dev[i].phase > DEV_DONE)
			return;
	if (!log)
		return;
	world_out->forgotten++;
	kill_now(world->store_proc);
	log->path[0] = '\0';
}

static void fault(void)
{
	struct world_dev *d = &world->dev[crash_below(&os.rng, world->ndevs)];
	unsigned what = 1u << crash_below(&os.rng, 8);

	if (!(what & world->may) || d->phase < DEV_RUNS || d->phase > DEV_DONE || d->spare)
		return;
	switch (what) {
	case FAULT_KILL:
		kill_now(some(chance(70) ? OS_STUB : chance(50) ? OS_SUPER : OS_STORE));
		break;
	case FAULT_STOP:
		stop_one();
		break;
	case FAULT_ALL:
		if (chance(30))
			kill_all();
		break;
	case FAULT_DESTROY:
		if (chance(20))
			world_domain_destroy(d->domain);
		break;
	case FAULT_FORGET:
		forget();
		break;
	case FAULT_SUSPEND:
		world_domain_suspend(d->domain);
		break;
	case FAULT_REOPEN:
		d->reopen = d->connections < 8;
		world_out->reopened += d->reopen;
		if (d->vif)
			world_net_ring(d);
		break;
	case FAULT_OPERATOR:
		world_out->restarts++;
		os_spawn(OS_TOOL, world->keep_proc->pid, (int)d->index, world_tool_restart, d);
		break;
	}
}

static void end_faults(void)
{
	world->faults = false;
	world_domains_run();
	for (unsigned i = 0; i < os.nprocs; i++) {
		os.proc[i]->kill_at = 0;
		if (os.proc[i]->kind != OS_STUB)
			os.proc[i]->frozen = os.proc[i]->stopped = false;
	}
	os_wake();
}

/* ---- what goes on beside the processes */

static uint64_t restart(struct os_proc **p, uint64_t at, enum os_kind kind, int (*fn)(void *arg))
{
	if ((*p)->state == OS_ALIVE || (*p)->state == OS_DYING)
		return UINT64_MAX;
	if (at > os.now)
		return at;
	*p = os_spawn(kind, world->keep_proc->pid, -1, fn, NULL);
	doom(*p, 40);
	return UINT64_MAX;
}

static uint64_t guests(void)
{
	for (unsigned i = 0; i < world->ndevs; i++) {
		struct world_dev *d = &world->dev[i];

		if (world->shut_until[d->domain] || d->phase < DEV_ATTACHED || d->phase > DEV_DONE || (d->guest && d->guest->state <= OS_DYING))
			continue;
		d->guest = os_spawn(OS_GUEST, world->keep_proc->pid, (int)i, d->vif ? world_netguest_main : world_guest_main, d);
		if (!d->spare)
			doom(d->guest, 30);
	}
	return UINT64_MAX;
}

static uint64_t tick(void)
{
	uint64_t next = MIN(world_disks_tick(), world_net_tick());

	next = MIN(next, restart(&world->store_proc, world->store_at, OS_STORE, world_store_main));
	next = MIN(next, restart(&world->super_proc, world->super_at, OS_SUPER, world_super_main));
	next = MIN(next, world_domains_tick());
	next = MIN(next, guests());
	if (!world->faults)
		return next;
	if (os.now >= world->faults_end) {
		end_faults();
		return next;
	}
	if (os.now >= world->next_fault) {
		fault();
		world->next_fault = os.now + crash_below(&os.rng, world->odds) * NS_PER_US;
	}
	return MIN(next, world->next_fault);
}

static bool go(bool (*reached)(void), uint64_t ns)
{
	uint64_t until = os.now + ns;

	while (!world->invariant && !reached()) {
		for (unsigned i = 0; i < world->ndevs && !world->invariant; i++)
			if (world->dev[i].check.invariant && world->dev[i].phase != DEV_DESTROYED)
				world_violation(world->dev[i].check.invariant, "%s: %s", world->dev[i].name, world->dev[i].check.text);
		if (os.failed)
			world_violation(os.failed, "%s", os.why);
		if (os.now > until || os.steps > STEPS_MAX || !os_step())
			return false;
	}
	return !world->invariant;
}

/* ---- set-up */

static void make_disk(struct world_dev *d)
{
	static const unsigned pace[] = {0, 100, 1000, 4000, 10000};
	unsigned i = d->index;
	struct os_inode *image;
	char path[32];

	d->devid = 51712 + 16 * i;
	snprintf(d->vdev, sizeof(d->vdev), "xvd%c", 'a' + i);
	d->persistent = chance(50);
	d->discard = chance(70);
	d->want = 8 + crash_below(&os.rng, REQS_MAX - 16);
	d->pace_us = pace[crash_below(&os.rng, ARRAY_LEN(pace))];
	snprintf(path, sizeof(path), "/img/%u", i);
	image = os_inode_new(path);
	image->image = true;
	image->dev = (int)i;
	image->size = DISK_SECTORS * 512;
	snprintf(d->params, sizeof(d->params), "file:%s,poll-us=0%s%s", path, chance(20) ? ",standby=no" : "", chance(30) ? ",hang-ms=5" : "");
	d->check.bad_sector = chance(10) ? (int)crash_below(&os.rng, DISK_SECTORS) : -1;
	crash_disk_init(&d->disk, &os.rng, &d->check, NULL);
	d->disk.point = world_disk_point;
	d->disk.delay = crash_below(&os.rng, chance(50) ? 8 : 60);
	d->disk.linger = crash_below(&os.rng, chance(50) ? 20 : 2000);
	d->disk.fail_flush = chance(15) ? (int)(1 + crash_below(&os.rng, 4)) : 0;
}

static void make_dev(unsigned i)
{
	struct world_dev *d = &world->dev[i];

	d->index = i;
	d->domain = i && chance(25) ? i - 1 : i;
	d->domain = world->dev[d->domain].domain; /* of a device that has its own */
	snprintf(d->name, sizeof(d->name), "guest%u", i);
	d->nqueues = 1 + crash_below(&os.rng, WORLD_QUEUES);
	if (world->seed >= WORLD_NET_SEED && (i == 0 || chance(60)))
		world_vif_make(d, i);
	else
		make_disk(d);
}

static void make_domains(void)
{
	for (unsigned i = 0; i < world->ndevs; i++) {
		struct world_dev *d = &world->dev[i];

		if (d->domain == i)
			world->domain[i] = sim_hv_domain(world->sim, d->name);
		d->dom = world->domain[d->domain];
	}
}

static void plan(void)
{
	world->ndevs = 1 + crash_below(&os.rng, WORLD_DEVS);
	world->placement = chance(70) ? SUP_PER_DEVICE : chance(50) ? SUP_PER_VM : SUP_MONOLITHIC;
	world->standby = chance(75);
	world->may = FAULT_KILL | (chance(30) ? FAULT_STOP : 0) | (chance(25) ? FAULT_ALL : 0) | (chance(15) ? FAULT_DESTROY : 0) |
		     (chance(30) ? FAULT_REOPEN : 0) | (chance(25) ? FAULT_OPERATOR : 0) |
		     (chance(25) ? FAULT_SUSPEND : 0);
	world->budget[OS_STUB] = crash_below(&os.rng, 14);
	world->budget[OS_PROBE] = crash_below(&os.rng, 2);
	world->budget[OS_HELPER] = 2 * world->budget[OS_PROBE];
	world->budget[OS_SUPER] = chance(50) ? crash_below(&os.rng, 4) : 0;
	world->budget[OS_STORE] = chance(40) ? crash_below(&os.rng, 3) : 0;
	world->budget[OS_GUEST] = chance(25) ? crash_below(&os.rng, 3) : 0;
	if (chance(15)) {
		world->may = (world->may | FAULT_FORGET) & ~(unsigned)FAULT_REOPEN;
		world->budget[OS_GUEST] = 0;
	}
	world->odds = 500 + crash_below(&os.rng, 20000);
	os.preempt = 4u << crash_below(&os.rng, 5);
	if (world->seed >= WORLD_NET_SEED)
		world->budget[OS_STUB] += crash_below(&os.rng, 12);
	for (unsigned i = 0; i < world->ndevs; i++)
		make_dev(i);
	world->dev[0].spare = world->ndevs > 1 && world->placement == SUP_PER_DEVICE && world->dev[1].domain != 0 && chance(60);
}

static void set_up(uint64_t seed)
{
	os_reset(seed);
	memset(&the, 0, sizeof(the));
	world = &the;
	world->seed = seed;
	world_hv_reset();
	world->sim = sim_hv_new(SIM_PAGES);
	sim_hv_on_notify(world->sim, NULL, NULL);
	plan();
	make_domains();
	world->keep_proc = os.init = os_spawn(OS_KEEP, 0, -1, world_keep_main, NULL);
	while (os_step()) /* it listens before it starts others */
		;
	os.tick = tick;
	os.killed = died;
	os.released = world_hv_released;
	os_message = heard;
	world->hub_proc = os_spawn(OS_HUB, world->keep_proc->pid, -1, world_hub_main, NULL);
	world->store_proc = os_spawn(OS_STORE, world->keep_proc->pid, -1, world_store_main, NULL);
	world->super_proc = os_spawn(OS_SUPER, world->keep_proc->pid, -1, world_super_main, NULL);
	for (unsigned i = 0; i < world->ndevs; i++)
		os_spawn(OS_TOOL, world->keep_proc->pid, (int)i, world_tool_attach, &world->dev[i]);
	world->faults = true;
	world->faults_end = os.now + crash_below(&os.rng, FAULTS_NS);
	doom(world->store_proc, 15);
	doom(world->super_proc, 15);
}

/* ---- the course */

static bool all(enum world_phase phase)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].phase < phase)
			return false;
	return true;
}

static bool all_done(void) { return all(DEV_DONE); }
static bool all_detached(void) { return all(DEV_DETACHED); }
static bool all_closed(void) { return all(DEV_CLOSED); }

static bool all_up(void)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].phase == DEV_DONE && !world->dev[i].state_ok)
			return false;
	return true;
}

static void each(enum world_phase phase, int (*fn)(void *dev))
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].phase == phase)
			os_spawn(OS_TOOL, world->keep_proc->pid, (int)i, fn, &world->dev[i]);
}

static void ask_to_close(void)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		world->dev[i].close = world->dev[i].phase == DEV_DONE;
	os_wake();
}

static unsigned stubs_alive(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < os.nprocs; i++)
		n += (os.proc[i]->kind == OS_STUB || os.proc[i]->kind == OS_PROBE) && os.proc[i]->state <= OS_DYING;
	return n;
}

static bool nothing_left(void)
{
	struct hv_usage u = sim_hv_total(world->sim);

	return !stubs_alive() && !u.mapped && !u.granted && !u.ports && !os_inodes_below(WORLD_DIR "/journals") &&
	       !os_inodes_below(WORLD_DIR "/devs") && !os_inodes_below(WORLD_DIR "/net") && !world_taps();
}

static void stuck(const char *what)
{
	struct hv_usage u = sim_hv_total(world->sim);
	char was[sizeof(world->text)];

	if (world->invariant)
		return;
	snprintf(was, sizeof(was), "%s", world->text);
	world_violation("LIVENESS", "%s: not within %llu s (%llu steps); %u stubs, %u mapped, %u granted, %u ports, %u journals, %u states; %.100s",
			what, SETTLE_NS / NS_PER_S, (unsigned long long)os.steps, stubs_alive(), (unsigned)u.mapped, (unsigned)u.granted,
			(unsigned)u.ports, os_inodes_below(WORLD_DIR "/journals"), os_inodes_below(WORLD_DIR "/devs"), was);
}

static void check_data(void)
{
	for (unsigned i = 0; i < world->ndevs; i++) {
		struct world_dev *d = &world->dev[i];

		if (!d->vif && d->phase != DEV_DESTROYED)
			crash_check_registers(&d->check, d->disk.sector);
	}
}

/* Whether a device that is said to be up does answer. */
static void ask_for_more(void)
{
	for (unsigned i = 0; i < world->ndevs; i++)
		if (world->dev[i].phase == DEV_DONE) {
			world->dev[i].phase = DEV_RUNS;
			world->dev[i].want = MIN(world->dev[i].check.nreqs + LAST_REQS, REQS_MAX);
			if (world->dev[i].vif)
				world_vif_more(&world->dev[i], LAST_REQS);
		}
	os_wake();
}

static void course(void)
{
	if (!go(all_done, SETTLE_NS)) {
		stuck("all requests are answered");
		return;
	}
	end_faults();
	ask_for_more();
	if (!go(all_done, SETTLE_NS)) {
		stuck("the last requests are answered");
		return;
	}
	each(DEV_DONE, world_tool_check);
	if (!go(all_up, SETTLE_NS)) {
		stuck("all devices are up");
		return;
	}
	check_data();
	ask_to_close();
	if (!go(all_closed, SETTLE_NS)) {
		stuck("all frontends have closed");
		return;
	}
	each(DEV_CLOSED, world_tool_detach);
	each(DEV_DESTROYED, world_tool_detach);
	if (!go(all_detached, SETTLE_NS)) {
		stuck("all devices are detached");
		return;
	}
	if (!go(nothing_left, SETTLE_NS))
		stuck("nothing is left");
}

/* For who looks for the cause. */
static void dump(void)
{
	for (unsigned k = 0; k < world->ndevs; k++) {
		const struct world_dev *d = &world->dev[k];

		for (unsigned i = 0; i < d->check.nreqs; i++) {
			const struct crash_req *r = &d->check.req[i];

			log_debug("%s: %u: %c%u+%u queue %u index %llu invoke %llu answer %llu status %d%s%s", d->name, i, r->op, r->first, r->n,
				  r->queue, (unsigned long long)r->index, (unsigned long long)r->invoke, (unsigned long long)r->answer,
				  r->status, r->posted ? "" : ", not posted", r->answered ? "" : ", not answered");
		}
		for (unsigned i = 0; i < d->disk.log.n; i++)
			log_debug("%s: sector %u := %llx by generation %llu%s", d->name, d->disk.log.at[i].sector,
				  (unsigned long long)d->disk.log.at[i].stamp, (unsigned long long)d->disk.log.at[i].generation,
				  d->disk.log.at[i].durable ? ", durable" : "");
	}
}

void world_run(uint64_t seed, struct world_result *out)
{
	uint64_t began;

	*out = (struct world_result){0};
	world_out = out;
	set_up(seed);
	began = os.now;
	course();
	if (world->invariant)
		dump();
	out->invariant = world->invariant;
	memcpy(out->text, world->text, sizeof(out->text));
	out->hash = os.hash;
	out->steps = os.steps;
	out->switches = os.switches;
	out->ns = os.now - began;
	sim_hv_free(world->sim);
}
