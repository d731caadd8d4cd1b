/* sup_health.h - is this worker alive? Pure: what was seen, and when, is given (DESIGN.md section 8, Detection).
 *
 * A worker's turn counter is odd while it is awake. Awake and unmoved for `hang_ns`, it is poked: one byte, which it must
 * answer; asleep, it is poked once in HEALTH_IDLE_NS, or as if awake when work is seen to wait for it. From the poke on it has
 * another `hang_ns` of time in which it could have run: what its threads waited for a CPU is taken off, but never more than HEALTH_STARVED_NS in all. What it
 * had waited before costs a look at /proc; so the time of one that was poked for no reason begins only `hang_ns` later, if an answer is missing then. The kernel counts
 * a wait when it is over; so of a process that is runnable now, only what it ran counts. What a hypervisor kept a CPU from
 * running (steal) is taken off as well: which CPU a worker was on is not known, so it counts as having been on the worst.
 * Storage that is slow is no fault: a worker that waits for it sleeps or goes on turning, and answers.
 * A worker that turns, has nothing in its engine, and yet has an oldest request that it does not answer for
 * HEALTH_LIVELOCK_NS is caught as well (not while it waits for a fence).
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_HEALTH_H
#define BULKHEAD_RECOVERY_SUPER_SUP_HEALTH_H

#include "ring/os/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_IDLE_NS NS_PER_S
#define HEALTH_STARVED_NS (5 * NS_PER_S)
#define HEALTH_LIVELOCK_NS (2 * NS_PER_S)

enum health_verdict {
	HEALTH_OK,
	HEALTH_POKE,	 /* send a byte now */
	HEALTH_HUNG,	 /* no answer to the poke */
	HEALTH_LIVELOCK, /* turns and answers, but does nothing */
};

/* Of one worker of one generation; zero-initialised at its start. */
struct health {
	bool seen, poked, idle;	      /* idle: it was poked in its sleep, and its time has not begun */
	uint64_t turn, moved_at;      /* last turn seen, and since when */
	uint64_t poked_at, poke_wait, poke_run, poke_stolen; /* when its time began, and the waiting, running and stolen time of then */
	uint64_t answered_at;
	uint64_t oldest, oldest_since;
};

struct health_sample {
	uint64_t now, turn;
	uint64_t oldest_taken, engine_outstanding; /* jrnl_stats */
	uint64_t cpu_wait_ns, cpu_run_ns; /* of all its threads, ever growing; needed only when health_wants_wait() */
	uint64_t stolen_ns;   /* struct health_steal; needed then, too */
	bool runnable;	      /* one of its threads runs or waits for a CPU now; needed then, too */
	bool answered;	      /* a byte came back since the last sample */
	bool fencing;
	bool waits;	      /* an event or a packet is there that it has not taken; needed only while its turn is even */
};

#define HEALTH_CPUS 512u
/* From what each CPU lost to one time in which no worker could have run; zero-initialised. */
struct health_steal {
	uint64_t of[HEALTH_CPUS]; /* as last seen */
	bool seen[HEALTH_CPUS];
	uint64_t total; /* ever growing */
};
/* ns: what each CPU has lost up to now; n: how many, at most HEALTH_CPUS. One that is seen for the first time adds nothing. */
void health_stolen(struct health_steal *s, const uint64_t *ns, unsigned n);

/* Whether this sample, of which now, waits and answered are there, needs the times of waiting and running as well, which cost a look at /proc. */
bool health_wants_wait(const struct health *h, const struct health_sample *s, uint64_t hang_ns);
enum health_verdict health_step(struct health *h, const struct health_sample *s, uint64_t hang_ns);
/* When to look again. standby: it can not wake by itself. */
uint64_t health_next(const struct health *h, uint64_t now, bool standby, uint64_t hang_ns);

#endif
