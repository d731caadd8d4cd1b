/* world.h - one simulated run of the whole: hub, store, keeper, supervisor, stubs, guests and a toolstack on one simulated
 * host (world_os.h), with a disk that delays, tears, loses and answers late (crash_disk.h), under the faults of a seed.
 *
 * Production code: frontend/core, frontend/blk, frontend/net; backend/blk, backend/net, backend/port, backend/core (but
 * liburcu's use); recovery/journal, recovery/super with keeper and control socket, recovery/net/tap.c; xenstore-glue whole; ring/os/loop_epoll.c; hub.c and hub_store.c.
 * Replaced: system calls (world_os.c, world_fd.c, world_file.c, world_sock.c, world_proc.c), fdmsg.c, sup_spawn_linux.c,
 * procs.c, sandbox, clock, log, the provider (sim_hv.c), the engine (crash_disk.c), main() of each program (world_main.c), the
 * kernel's taps (world_tap.c), bulkhead-vif (world_helper.c).
 */
#ifndef BULKHEAD_TESTS_SIM_WORLD_H
#define BULKHEAD_TESTS_SIM_WORLD_H

#include "ring/hv/hub_store.h"
#include "ring/hv/hv.h"
#include "tests/sim/crash_check.h"
#include "tests/sim/crash_disk.h"
#include "tests/sim/world_os.h"

#define WORLD_DEVS 3
#define WORLD_DIR "/sim"
#define WORLD_QUEUES 2
#define WORLD_NET_SEED ((uint64_t)1 << 40) /* worlds from this seed on have vifs, too; those below it disks only */

/* A rule taken out of what is around the stub, for tests of the checks. */
enum world_mutant {
	WORLD_NONE,
	WORLD_EARLY_STUB,
	WORLD_OWN_FAULT,
	WORLD_CLOSE_AT_DEATH,
	WORLD_LOST_WATCH,
	WORLD_NO_ADOPT,
	WORLD_BUDGET,
	WORLD_LEAK_JOURNAL,
	WORLD_LOG_TAIL,
	WORLD_KILL_ALL,
	WORLD_LATE_FENCE,
	WORLD_HANG,
	WORLD_REPLAY_SHUT,
	WORLD_GO_SHUT,
	WORLD_FOR_GOOD,
	WORLD_FORGOTTEN,
	WORLD_DISK_MUTANTS, /* those of vifs follow */
	WORLD_TAP_LOST = WORLD_DISK_MUTANTS,
	WORLD_TAP_STAYS,
	WORLD_STAYS_ATTACHED,
	WORLD_SAID_LOST,
	WORLD_GROUPS_TOLD,
	WORLD_MUTANTS
};
extern enum world_mutant world_mutant;
extern const char *const world_mutant_name[WORLD_MUTANTS];

enum world_phase { DEV_NEW, DEV_ATTACHED, DEV_RUNS, DEV_DONE, DEV_CLOSED, DEV_DETACHED, DEV_DESTROYED };

struct world_vif;
struct world_dev {
	struct world_vif *vif; /* NULL: it is a disk */
	unsigned index, domain, nqueues;
	hv_domid_t dom;
	uint32_t devid;
	char vdev[8], name[16], params[96];
	bool persistent, discard, spare; /* spare: nothing is done to it */
	unsigned want, pace_us;		 /* requests in all; time between batches, at most */
	uint64_t generation_base;
	struct crash_check check;
	struct crash_disk disk;
	/* the guest */
	enum world_phase phase;
	struct os_proc *guest;
	bool close, reopen; /* asked for */
	unsigned connections, own_faults; /* deaths of its stubs that were their own fault */
	bool was_up, state_ok, connected; /* connected: the frontend holds its end */
};

struct world {
	uint64_t seed;
	struct sim_hv *sim;
	struct hub_store hub;
	struct os_proc *hub_proc, *keep_proc, *store_proc, *super_proc;
	uint64_t store_at, super_at; /* when to start it again */
	unsigned ndevs, ndomains;
	hv_domid_t domain[WORLD_DEVS];
	bool domain_made[WORLD_DEVS];
	uint64_t shut_until[WORLD_DEVS]; /* 0: runs */
	struct world_dev dev[WORLD_DEVS];
	unsigned placement;
	bool standby;
	/* faults */
	bool faults;
	unsigned budget[OS_KINDS], odds;
	uint64_t next_fault, next_disk, faults_end;
	unsigned may; /* enum world_fault */
	unsigned own_faults, blamed; /* deaths of stubs by own fault; those that a successor was told of as such */
	const char *invariant;
	char text[256];
};
extern struct world *world;

enum world_fault {
	FAULT_KILL = 1u << 0,	 /* processes die at points */
	FAULT_STOP = 1u << 1,	 /* SIGSTOP, and processes that are not scheduled */
	FAULT_ALL = 1u << 2,	 /* everybody but hub and keeper at once */
	FAULT_DESTROY = 1u << 3, /* a domain */
	FAULT_REOPEN = 1u << 4,	 /* a frontend closes and connects again */
	FAULT_OPERATOR = 1u << 5, /* restarts */
	FAULT_SUSPEND = 1u << 6, /* a domain is shut down, and runs again or goes */
	FAULT_FORGET = 1u << 7,	 /* the store dies and begins anew with nothing, as xenstored */
};

struct world_result {
	const char *invariant; /* NULL: none was violated */
	char text[256];
	uint64_t hash, steps, switches, ns;
	unsigned requests, answered, deaths[OS_KINDS], stops, destroyed, reopened, restarts, suspended, forgotten;
	unsigned sent, received, said, repeated, lost; /* vifs' packets and control messages */
};

void world_run(uint64_t seed, struct world_result *out);
void world_violation(const char *invariant, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For the parts of the world. */
extern struct world_result *world_out;
int world_dev_of(uint32_t domid, uint32_t devid); /* -1 */
void world_born(struct os_proc *p);	/* a stub was started */
/* It dies within so many points, if it may. */
void world_doom_soon(struct os_proc *p, unsigned points);
void world_hv_reset(void);
void world_hv_killed(struct os_proc *p);
void world_hv_released(struct os_proc *p);
uint64_t world_disks_tick(void); /* when again */
void world_domain_gone(void);	 /* tells supervisors */
bool world_chance(unsigned percent);
void world_domain_suspend(unsigned domain);
void world_domain_destroy(unsigned domain);
void world_domains_run(void); /* all that are suspended */
uint64_t world_domains_tick(void); /* when again */
void world_disk_point(void);
int world_guest_main(void *dev);
int world_tool_attach(void *dev);
int world_tool_detach(void *dev);
int world_tool_check(void *dev);
int world_tool_restart(void *dev);
int world_hub_main(void *arg);
int world_keep_main(void *arg);
int world_store_main(void *arg);
int world_super_main(void *arg);

#endif
