/* crash_check.h - what a guest and its disk may never see: the oracle of the crash test, an observer of both.
 *
 * Every request of a run has a record here; every sector that it writes carries a stamp of its own, from which the record is
 * found again. Times count events, so no two are alike.
 *
 *   ANSWER-ONCE    one answer for each request, none unknown, response indices never go back
 *   ID-ECHO        id and operation echoed, status legal, padding zero
 *   REGISTER       per sector, all that was read (and the final image) is explained by a linearization of the writes
 *   NO-RESURRECT   no sector is physically written A, B, A, nor with what was answered before
 *   FLUSH-DURABLE  after a flush that succeeded, all that was answered before it was sent is durable
 *   BARRIER        nothing behind a barrier reaches the disk before all in front of it, and the barrier, are durable
 *   ONE-WRITER     nothing of a dead generation lands on what a later generation has begun to write
 *   NO-LATE-DMA    pages are left alone after the answer, and outside of what was asked for
 *   CONSERVE       at rest: indices equal, no live slot, no range, buffer or grant held
 *   LIVENESS       all is answered in bounded time once the kills stop
 *   BROKEN         a legal guest's device is never declared broken
 *   DATA           what reaches the disk is what the guest wrote
 *   INNOCENT       nobody is given up as poison who did not kill
 *   OWN-BUFFERS    the engine is never given memory of the guest
 *   GONE           nothing is done again for a domain that is gone
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_CHECK_H
#define BULKHEAD_TESTS_SIM_CRASH_CHECK_H

#include "ring/base/base.h"

#include <stdbool.h>

#define REQS_MAX 96
#define REQ_SECTORS_MAX 16
#define DISK_SECTORS 64
#define DISK_LOG_MAX 8192

struct crash_req {
	char op;	/* R W: read, write; J I: the same, indirect; B barrier, F flush, D discard; X: must be rejected */
	uint8_t queue, kind; /* kind: of X */
	uint16_t first, n;
	bool posted, answered;
	int16_t status;
	uint64_t index; /* on its ring */
	uint64_t invoke, answer;
	uint64_t seen[REQ_SECTORS_MAX]; /* by a read */
};

/* One physical write of one sector. */
struct crash_landing {
	uint16_t sector;
	bool durable, lost; /* lost: a flush that failed gave it up */
	uint64_t stamp, generation;
};

struct crash_log {
	unsigned n;
	struct crash_landing at[DISK_LOG_MAX];
};

struct crash_check {
	const char *invariant; /* the first that was violated; NULL: none */
	char text[256];
	uint64_t now;
	bool flush_failed;	  /* the disk failed one */
	int bad_sector;		  /* fails; -1: none */
	int killer;		  /* who writes it kills the backend; 0: none */
	bool own_fault; /* deaths of the stub's own fault come at random: five may meet any request */
	bool left;		  /* a frontend went with requests in flight: whether they failed is not seen */
	unsigned convicted;	  /* requests that the backend gave up as poison */
	bool gone;		  /* the domain does not run any more, and this was its last generation: */
	uint64_t gone_generation;
	const struct crash_log *log;
	unsigned nreqs;
	struct crash_req req[REQS_MAX]; /* last: cleared by its length only */
};

void crash_check_init(struct crash_check *c);

void crash_violation(struct crash_check *c, const char *invariant, const char *fmt, ...) PRINTF_LIKE(3, 4);
uint64_t crash_stamp(const struct crash_check *c, const struct crash_req *r, unsigned k);
/* What request number i (discards, too) leaves in its k-th sector. */
static inline uint64_t crash_stamp_of(unsigned i, unsigned k) { return (uint64_t)(i + 1) << 16 | k; }
bool crash_is_write(const struct crash_req *r);
bool crash_is_read(const struct crash_req *r);

/* The last entry of the log was just written. */
void crash_check_landing(struct crash_check *c);
/* r was just answered: is its status one that it may have, and does a flush's hold. */
void crash_check_answer(struct crash_check *c, const struct crash_req *r);
/* The run is over; the disk holds image. */
void crash_check_registers(struct crash_check *c, const uint64_t image[DISK_SECTORS]);

#endif
