/* recorder.h - every request and every answer of a device, as they stand on its rings, and whether the answers are right:
 * each request answered exactly once, with its own id and operation, without an error, at the next index of its ring.
 *
 * It knows requests by id and keeps no account of the frontend's. Threads: one, that of all queues.
 */
#ifndef BULKHEAD_TESTS_CHAOS_RECORDER_H
#define BULKHEAD_TESTS_CHAOS_RECORDER_H

#include "frontend/blk/blkfront.h"

#include <stdint.h>
#include <stdio.h>

struct recorder;

struct recorder_count {
	uint64_t requests, answers;
	uint64_t errors;   /* answers with a status that is not "okay" */
	uint64_t missing;  /* requests that were never answered */
	uint64_t repeated; /* answers to what had been answered */
	uint64_t invented; /* answers to what was never asked */
	uint64_t wrong_op; /* answers that name another operation */
	uint64_t disorder; /* requests or answers that are not at the next index */
	uint64_t gap_ns;   /* the longest time without an answer while one was waited for (lived.h) */
};

/* NULL: no memory. The observer is valid until the close. */
struct recorder *recorder_open(void);
const struct blkfront_observer *recorder_observer(const struct recorder *r);
/* What is unanswered now is missing; the next request begins a new connection, whose indices count from 0. */
void recorder_settle(struct recorder *r);
const struct recorder_count *recorder_get(const struct recorder *r);
/* How much was wrong, in all. */
uint64_t recorder_faults(const struct recorder *r);
/* The last n requests and answers up to the first fault, or up to now when there was none. */
void recorder_print(const struct recorder *r, unsigned n, FILE *to);
void recorder_close(struct recorder *r);

#endif
