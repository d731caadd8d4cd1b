/* crash_disk.h - a disk of one process's time and many processes' deaths, behind struct engine_ops.
 *
 * Requests are carried out in seeded order after seeded delays, sector by sector. What a dead generation had in flight
 * lingers: it lands later, in part or never, until fence_poll says that it is over. What was not flushed is not durable.
 * A flush that fails says so once to each process, as the kernel does to each description that was open then. A request not
 * kicked does not begin. Owns nothing of the requests but their place in the queue.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_DISK_H
#define BULKHEAD_TESTS_SIM_CRASH_DISK_H

#include "backend/engine/engine.h"
#include "tests/sim/crash_check.h"
#include "tests/sim/crash_rng.h"

#define DISK_OPS_MAX 128

struct crash_engine;

struct crash_op {
	bool used, kicked, dead;
	enum engine_op op;
	struct crash_engine *by;
	unsigned queue;
	uint64_t generation;
	struct engine_req *r; /* gone with its process, once dead */
	uint64_t *data;
	unsigned first, n, pos;
	uint64_t due;
	unsigned flush_from; /* length of the log when the flush began */
};

struct crash_disk {
	uint64_t time; /* steps */
	uint64_t sector[DISK_SECTORS];
	struct crash_op op[DISK_OPS_MAX];
	uint64_t owner;
	unsigned delay, linger; /* at most so many steps */
	int fail_flush;		/* the n-th flush fails; 0: none */
	unsigned failures; /* of flushes */
	struct crash_rng *rng;
	struct crash_check *check;
	void (*point)(void); /* the process may die here */
	struct crash_log log;  /* last: cleared by its length only */
};

void crash_disk_init(struct crash_disk *d, struct crash_rng *rng, struct crash_check *check, void (*point)(void));
/* An engine as a new process opens it; with the process it is abandoned. */
struct engine *crash_disk_open(struct crash_disk *d);
/* The process that opened e died. */
void crash_disk_died(struct crash_disk *d, struct engine *e);
void crash_disk_step(struct crash_disk *d);
bool crash_disk_idle(const struct crash_disk *d);
/* What poll() would say of event_fd(q); clears it. */
bool crash_disk_event(struct engine *e, unsigned queue);

#endif
