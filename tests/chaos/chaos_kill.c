/* chaos_kill - kills the processes of a local world with one disk, or a few devices, at random moments, again and again.
 *
 *   chaos_kill RUNTIME_DIR KILLS SEED [name=value ...]
 *
 *   while=PID       ends early when that process (the load) does
 *   seconds=N       ends early after so long (3600)
 *   pause=MIN,MAX   ms between two steps (1,40)
 *   burst=PERCENT   of the steps on the stub, a second one follows within 2 ms, so that it hits the resume (25)
 *   standby=, both=, super=, store=, all=   percent of the steps that kill the standby, it and the stub, the supervisor,
 *                   the store, all of them at once (10, 5, 0, 0, 0); the others kill the stub
 *   faults=PERCENT  of the kills of stubs by SIGSEGV, SIGABRT, or SIGSTOP, a hang, instead of SIGKILL (0)
 *   calm=N          requests that must have been answered between two of those (256): a request that is there at five deaths
 *                   by a stub's own fault is to be answered with an error
 *   stub=NAME       the stubs' program (bulkhead-blk)
 *
 * What is done, and when, follows from SEED; what it meets does not: time is real. A kill counts when its victim, alive just
 * before, has died of it. Prints "name=value" lines; stubs_of_N: of domain N's devices. Exit 0, also when it ended early; 1: a device
 * did not come up again.
 */
#include "ring/base/base.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "tests/chaos/lived.h"
#include "tests/chaos/victims.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define UP_NS (60 * NS_PER_S)	  /* the longest that a disk may be without a stub */
#define DEATH_MS 10000u		  /* from SIGKILL to the death */
#define HANG_MS 60000u		  /* from SIGSTOP to it, by the supervisor */
#define BURST_NS (2 * NS_PER_MS)
#define SEARCH_NS (20 * NS_PER_MS) /* for the successor that is to be killed as well */
/* A daemon that dies often is started again with pauses up to 5 s (keep_serv.h): so many at once, then none for a while. */
#define DAEMON_BURST 5u
#define DAEMON_REST_NS (10500 * NS_PER_MS)

enum knob { PAUSE_MIN, PAUSE_MAX, BURST, STANDBY, BOTH, SUPER, STORE, ALL, FAULTS, CALM, SECONDS, KNOBS };
static const char *const knob_name[] = {"", "", "burst=", "standby=", "both=", "super=", "store=", "all=", "faults=", "calm=",
					"seconds="};
static unsigned knob[KNOBS] = {1, 40, 25, 10, 5, 0, 0, 0, 0, 256, 3600};

enum kind { KILL, SEGV, ABRT, STOP, IN_RESUME, OF_STANDBY, OF_SUPER, OF_STORE, KINDS };
static const char *const kind_name[] = {"stub_kill", "stub_segv", "stub_abrt", "stub_stop", "in_resume", "standby", "super", "store"};
#define DOMAINS 16u
static uint64_t count[KINDS], killed, stubs_of[DOMAINS];

struct daemon {
	const char *name;
	enum kind kind;
	unsigned lately;
	uint64_t last;
};
static struct daemon super = {.name = VICTIM_SUPER, .kind = OF_SUPER}, store = {.name = VICTIM_STORE, .kind = OF_STORE};

#define DEVICES 8
static struct victims world;
static int load = -1; /* its pidfd; -1: there is none */
static struct ctl_dev devices[DEVICES]; /* as they were at the last look */
static int ndevices;
static uint64_t rng, faulty_at; /* faulty_at: requests at the last death by own fault */

static unsigned rnd(unsigned below)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (unsigned)((z ^ (z >> 31)) >> 32) % below;
}

static bool chance(unsigned percent) { return rnd(100) < percent; }

static void nap(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	ppoll(NULL, 0, &t, NULL);
}

static void has_died(enum kind kind, const struct ctl_dev *dev)
{
	count[kind]++;
	killed++;
	if (dev && kind <= IN_RESUME && dev->domid < DOMAINS)
		stubs_of[dev->domid]++;
}

/* dev: whose stub it was; NULL: it was none. */
static bool settle(struct shot *s, enum kind kind, const struct ctl_dev *dev)
{
	if (!victims_settle(s, s->signal == SIGSTOP ? HANG_MS : DEATH_MS))
		return false;
	has_died(kind, dev);
	return true;
}

static bool loaded(void)
{
	struct pollfd p = {.fd = load, .events = POLLIN};

	return load < 0 || poll(&p, 1, 0) == 0;
}

/* The load has gone, and the connection with it. */
static bool all_is_over(const struct ctl_dev *dev) { return !loaded() && (dev->state == CTL_CLOSED || dev->state == CTL_WAITING); }

/* One of the devices, with a stub. up: that serves, else in any state. False: none came in time. */
static bool wait_stub(struct ctl_dev *dev, bool up)
{
	uint64_t until = lived_now() + UP_NS;
	unsigned which = rnd(DEVICES);
	int rc;

	for (;;) {
		rc = ndevices = victims_status(&world, devices, DEVICES);
		if (rc > 0)
			*dev = devices[which % (unsigned)rc];
		if (rc > 0 && dev->pid && (!up || dev->state == CTL_UP || dev->state == CTL_FENCING))
			return true;
		if (rc > 0 && all_is_over(dev))
			return false;
		if (lived_now() > until)
			break;
		nap(NS_PER_MS);
	}
	fprintf(stderr, "chaos_kill: no stub for %u s: %s %s\n", (unsigned)(UP_NS / NS_PER_S),
		rc < 0 ? err_str(rc) : rc == 0 ? "no device" : ctl_state_name((enum ctl_state)dev->state), rc > 0 ? dev->text : "");
	return false;
}

static enum kind choose_signal(const struct ctl_dev *dev, int *signal)
{
	static const int number[] = {[SEGV] = SIGSEGV, [ABRT] = SIGABRT, [STOP] = SIGSTOP};
	bool calm = dev->requests < faulty_at || dev->requests - faulty_at >= knob[CALM];
	bool faulty = chance(knob[FAULTS]);
	enum kind k = (enum kind)(SEGV + rnd(3));

	*signal = SIGKILL;
	if (!faulty || !calm)
		return KILL;
	faulty_at = dev->requests;
	*signal = number[k];
	return k;
}

/* ---- steps */

/* The successor of a stub that was just killed, if one is found soon; half of them are killed by the supervisor's hand, which
 * is never followed by a pause (docs/decisions/0002). */
static bool kill_successor(const struct ctl_dev *dev)
{
	uint64_t until = clock_now() + SEARCH_NS;
	struct shot s = {.pidfd = -1};
	bool ask = chance(50);
	pid_t pid, not[2 * DEVICES + 1] = {dev->pid};
	unsigned n = 1;

	for (int i = 0; i < ndevices; i++)
		if (devices[i].domid != dev->domid || devices[i].devid != dev->devid) {
			not[n++] = devices[i].pid;
			not[n++] = devices[i].standby_pid;
		}
	do {
		pid = victims_find(&world, world.stub, not, n);
	} while (!victims_aim(&s, pid, world.stub) && clock_now() < until);
	if (s.pidfd < 0)
		return false;
	if (!ask)
		return victims_fire(&s, SIGKILL) && settle(&s, IN_RESUME, dev);
	if (victims_ask_kill(&world, dev, SIGKILL)) {
		close(s.pidfd);
		return false;
	}
	if (!victims_settle(&s, 100)) /* the supervisor may have meant the first one */
		return false;
	has_died(IN_RESUME, dev);
	return true;
}

static void kill_stub(const struct ctl_dev *dev)
{
	bool burst = chance(knob[BURST]);
	struct shot s;
	int signal;
	enum kind kind = choose_signal(dev, &signal);

	if (!victims_aim(&s, dev->pid, world.stub) || !victims_fire(&s, signal))
		return;
	if (burst && signal != SIGSTOP) {
		nap(rnd(BURST_NS));
		if (kill_successor(dev) && chance(40)) {
			nap(rnd(BURST_NS));
			kill_successor(dev);
		}
	}
	settle(&s, kind, dev);
}

static void kill_standby(const struct ctl_dev *dev, bool stub_too)
{
	struct shot stub = {.pidfd = -1}, spare;

	if (!victims_aim(&spare, dev->standby_pid, world.stub))
		return;
	if (stub_too)
		victims_aim(&stub, dev->pid, world.stub);
	if (stub.pidfd >= 0)
		victims_fire(&stub, SIGKILL);
	if (victims_fire(&spare, SIGKILL))
		settle(&spare, OF_STANDBY, NULL);
	if (stub.pidfd >= 0)
		settle(&stub, KILL, dev);
}

/* Aims at a daemon, if it is time. */
static bool aim_daemon(struct daemon *d, struct shot *s)
{
	uint64_t now = clock_now();

	s->pidfd = -1;
	if (now - d->last > DAEMON_REST_NS)
		d->lately = 0;
	if (d->lately >= DAEMON_BURST)
		return false;
	if (!victims_aim(s, victims_find(&world, d->name, NULL, 0), d->name))
		return false;
	d->lately++;
	d->last = now;
	return true;
}

static void kill_daemon(struct daemon *d)
{
	struct shot s;

	if (aim_daemon(d, &s) && victims_fire(&s, SIGKILL))
		settle(&s, d->kind, NULL);
}

/* Supervisor, store and stub, in an order of chance. */
static void kill_all(const struct ctl_dev *dev)
{
	struct shot s[3];
	enum kind kind[3] = {OF_SUPER, OF_STORE, KILL};
	unsigned first = rnd(3);

	aim_daemon(&super, &s[0]);
	aim_daemon(&store, &s[1]);
	victims_aim(&s[2], dev->pid, world.stub);
	for (unsigned i = 0; i < 3; i++)
		if (s[(first + i) % 3].pidfd >= 0)
			victims_fire(&s[(first + i) % 3], SIGKILL);
	for (unsigned i = 0; i < 3; i++)
		settle(&s[i], kind[i], kind[i] == KILL ? dev : NULL);
}

static void step(const struct ctl_dev *dev)
{
	unsigned dice = rnd(100);

	if (dice < knob[STANDBY])
		kill_standby(dev, false);
	else if ((dice -= knob[STANDBY]) < knob[BOTH])
		kill_standby(dev, true);
	else if ((dice -= knob[BOTH]) < knob[SUPER])
		kill_daemon(&super);
	else if ((dice -= knob[SUPER]) < knob[STORE])
		kill_daemon(&store);
	else if ((dice -= knob[STORE]) < knob[ALL])
		kill_all(dev);
	else
		kill_stub(dev);
}

/* ---- */

static void set(const char *arg, pid_t *of, const char **stub)
{
	if (strncmp(arg, "stub=", 5) == 0) {
		*stub = arg + 5;
		return;
	}
	if (sscanf(arg, "while=%d", of) == 1 || sscanf(arg, "pause=%u,%u", &knob[PAUSE_MIN], &knob[PAUSE_MAX]) == 2)
		return;
	for (unsigned i = BURST; i < KNOBS; i++) {
		size_t n = strlen(knob_name[i]);

		if (strncmp(arg, knob_name[i], n) == 0) {
			knob[i] = (unsigned)strtoul(arg + n, NULL, 0);
			return;
		}
	}
	fprintf(stderr, "chaos_kill: %s: no such option\n", arg);
	exit(EXIT_USAGE);
}

static bool run(uint64_t kills)
{
	uint64_t until = clock_now() + knob[SECONDS] * NS_PER_S;
	struct ctl_dev dev;

	while (killed < kills && clock_now() < until && loaded()) {
		uint64_t pause = knob[PAUSE_MIN] * NS_PER_MS + rnd((knob[PAUSE_MAX] - knob[PAUSE_MIN]) * 1000 + 1) * NS_PER_US;

		nap(pause);
		if (!wait_stub(&dev, chance(85)))
			return !loaded(); /* its load may have ended first */
		step(&dev);
	}
	return wait_stub(&dev, true) || !loaded();
}

int main(int argc, char **argv)
{
	const char *stub = "bulkhead-blk";
	pid_t load_pid = 0;
	int rc;
	bool ok;

	if (argc < 4) {
		fprintf(stderr, "usage: chaos_kill RUNTIME_DIR KILLS SEED [name=value ...]\n");
		return EXIT_USAGE;
	}
	log_init("chaos_kill", LOG_LVL_WARN);
	rng = strtoull(argv[3], NULL, 0);
	for (int i = 4; i < argc; i++)
		set(argv[i], &load_pid, &stub);
	rc = lived_start();
	if (!rc)
		rc = victims_open(&world, argv[1], stub);
	if (rc) {
		fprintf(stderr, "chaos_kill: %s: %s\n", argv[1], err_str(rc));
		return EXIT_USAGE;
	}
	if (load_pid)
		load = pidfd_open(load_pid, 0);
	ok = load_pid == 0 || load >= 0 ? run(strtoull(argv[2], NULL, 0)) : true;
	printf("kills=%llu\n", (unsigned long long)killed);
	for (unsigned i = 0; i < KINDS; i++)
		printf("%s=%llu\n", kind_name[i], (unsigned long long)count[i]);
	for (unsigned i = 0; i < DOMAINS; i++)
		if (stubs_of[i])
			printf("stubs_of_%u=%llu\n", i, (unsigned long long)stubs_of[i]);
	victims_close(&world);
	return ok ? 0 : 1;
}
