/* bench_ring.c - `bulkhead bench ring`: what the journal costs a request, and how the ring stands beside others. */
#include "tests/bench/bench.h"
#include "tests/bench/bench_ring_rig.h"

#include <math.h>

#define ROUNDS 11u
#define SECONDS 0.06

struct setting {
	const struct ring_kind *kind;
	enum ring_mode mode;
	unsigned depth;
};

static int run(const struct bench_variant *v, const struct bench_opts *o, struct bench_value *out, char *err, size_t size)
{
	const struct setting *s = v->arg;
	double per_second = 0;
	int rc = ring_measure(s->kind, s->mode, s->depth, o->seconds > 0 ? o->seconds : SECONDS, &per_second, err, size);

	out->value = per_second / 1e6;
	out->p99 = NAN;
	return rc;
}

#define ONE_PASS "bare macros, one pass"
#define COPIES "bare macros, private copies"
#define PLAIN "our ring, no journal"
#define OURS "journal with check words"
#define HALF ", half batches" /* as the journaled variants */

#define V(name, kind, mode, mode_name, depth, base) \
	{name, "depth=" #depth " " mode_name, "M req/s", run, &(const struct setting){&kind, mode, depth}, base}

#define BESIDE_BARE(mode, mode_name, depth, ours_beside) \
	V(ONE_PASS, ring_bare_one_pass, mode, mode_name, depth, NULL), \
	V(COPIES, ring_bare_copies, mode, mode_name, depth, ONE_PASS), \
	V(OURS, ring_ours, mode, mode_name, depth, ONE_PASS "|" COPIES ours_beside), \
	V("whole backend, null engine", ring_blkback, mode, mode_name, depth, COPIES)

#define POLLED(depth, ours_beside) \
	BESIDE_BARE(RING_POLLED, "polled", depth, ours_beside), \
	V(PLAIN, ring_ours_plain, RING_POLLED, "polled", depth, COPIES), \
	V("journal without check words", ring_ours_unchecked, RING_POLLED, "polled", depth, COPIES ours_beside), \
	V("liburcu wfcqueue pair", ring_wfcqueue, RING_POLLED, "polled", depth, ONE_PASS), \
	V("DPDK rte_ring pair", ring_rte, RING_POLLED, "polled", depth, ONE_PASS)

/* Where several wait, what batching gives and what the journal costs are two things. */
#define POLLED_DEEP(depth) \
	POLLED(depth, "|" ONE_PASS HALF "|" COPIES HALF "|" PLAIN HALF), \
	V(ONE_PASS HALF, ring_bare_one_pass_half, RING_POLLED, "polled", depth, ONE_PASS), \
	V(COPIES HALF, ring_bare_copies_half, RING_POLLED, "polled", depth, COPIES), \
	V(PLAIN HALF, ring_ours_plain_half, RING_POLLED, "polled", depth, COPIES HALF)

static const struct bench_variant variants[] = {
	POLLED(1, ""), POLLED_DEEP(8), POLLED_DEEP(32), POLLED_DEEP(512),
	BESIDE_BARE(RING_EVENT, "events", 1, ""), BESIDE_BARE(RING_EVENT, "events", 32, ""),
	BESIDE_BARE(RING_ADAPTIVE, "adaptive", 1, ""), BESIDE_BARE(RING_ADAPTIVE, "adaptive", 32, ""),
};

int bench_ring(int argc, char **argv, const struct bench_opts *o)
{
	(void)argc, (void)argv;
	return bench_run("ring", "requests of 112 bytes and answers of 16 through one ring, an end on each of two processors", variants,
			 ARRAY_LEN(variants), o->rounds ? o->rounds : ROUNDS, o);
}
