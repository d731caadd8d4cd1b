/* crash_gen.h - every short sequence of requests, up to what makes no difference.
 *
 * Letters: R W F B D I (I: an indirect write); up to two requests also J (an indirect read). A class of sequences is
 *   operations      all, in order
 *   ranges          up to two requests: every relation of two intervals (of Allen's thirteen those that touch count as apart).
 *                   From three on: who overlaps whom, for every two of which one writes, as far as intervals can; of all ranges that
 *                   do so those with the most different sectors (by who touches them), then the shortest. Reads among themselves
 *                   are left as they come.
 *   queues          one, or the first k on one and the rest on the other; renamed so that the first has not fewer
 *   ring, batch     ring 2 (full and wrapped all the time), and 4 where it makes a difference: from three requests on a queue;
 *                   batches of 1 to as many as can be outstanding
 * docs/testing.md says why nothing is lost by that.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_GEN_H
#define BULKHEAD_TESTS_SIM_CRASH_GEN_H

#include <stddef.h>
#include <stdint.h>

#define GEN_LEN_MAX 4

struct gen_world {
	char script[2][GEN_LEN_MAX * 6]; /* the second empty: one queue */
	uint8_t nr, batch;
};

/* All classes of len requests, each once; the caller frees *out. */
size_t crash_gen(unsigned len, struct gen_world **out);
/* The same for the same class, whatever its place in the list. */
uint64_t crash_gen_hash(const struct gen_world *w);

#endif
