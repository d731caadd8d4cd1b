/* crash_disk.h - a disk of one process's time and many processes' deaths, behind struct engine_ops.
 *
 * Requests are carried out in seeded order after seeded delays, sector by sector. What a dead generation had in flight
 * lingers: it lands later, in part or never, until fence_poll says that it is over. What was not flushed is not durable.
 * A flush that fails says so once to each process, as the kernel does to each description that was open then. A request not
 * kicked does not begin. A unit larger than a sector is read before and written back with a part of it changed.
 * Owns nothing of the requests but their place in the queue.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_DISK_H
#define BULKHEAD_TESTS_SIM_CRASH_DISK_H

#include "backend/engine/engine.h"
#include "tests/sim/crash_check.h"
#include "tests/sim/crash_rng.h"

#define DISK_OPS_MAX 128
#define DISK_UNIT_MAX 8u

struct crash_engine;

struct crash_op {
	bool used, kicked, dead;
	enum engine_op op;
	struct crash_engine *by;
	unsigned queue;
	uint64_t generation;
	struct engine_req *r; /* gone with its process, once dead */
	uint64_t *data;
	unsigned whose; /* of a discard, which carries no data that would say so */
	unsigned first, n, pos;
	uint64_t due;
	unsigned flush_from; /* length of the log when the flush began */
	uint64_t edge[2 * DISK_UNIT_MAX]; /* of a write: what else is in its units, as it was when it began */
};

struct crash_disk {
	uint64_t time; /* steps */
	uint64_t sector[DISK_SECTORS];
	uint64_t owner;
	unsigned unit;		/* sectors that are read, modified and written as one */
	uint64_t byte;		/* MUTANT ONE_FENCE_BYTE: the generation that holds it */
	unsigned delay, linger; /* at most so many steps */
	int fail_flush;		/* the n-th flush fails; 0: none */
	unsigned failures; /* of flushes */
	struct crash_rng *rng;
	struct crash_check *check;
	void (*point)(void); /* the process may die here */
	/* The number of its request; NULL: guessed. */
	unsigned (*whose)(const struct engine *e, unsigned queue, const struct engine_req *r);
	/* Does any of these bytes belong to a guest? NULL: not known. */
	bool (*is_guests)(const void *mem, size_t bytes);
	void (*poisoned)(void); /* and dies here, of its own fault */
	unsigned nops;	     /* in the table's beginning */
	/* Last: cleared by their lengths only. */
	struct crash_op op[DISK_OPS_MAX];
	struct crash_log log;
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
