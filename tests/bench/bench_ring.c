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
#define OURS "journal with check words"

#define V(name, kind, mode, mode_name, depth, base) \
	{name, "depth=" #depth " " mode_name, "M req/s", run, &(const struct setting){&kind, mode, depth}, base}

#define BESIDE_BARE(mode, mode_name, depth) \
	V(ONE_PASS, ring_bare_one_pass, mode, mode_name, depth, NULL), \
	V(COPIES, ring_bare_copies, mode, mode_name, depth, ONE_PASS), \
	V(OURS, ring_ours, mode, mode_name, depth, ONE_PASS "|" COPIES), \
	V("whole backend, null engine", ring_blkback, mode, mode_name, depth, COPIES)

#define POLLED(depth) \
	BESIDE_BARE(RING_POLLED, "polled", depth), \
	V("our ring, no journal", ring_ours_plain, RING_POLLED, "polled", depth, COPIES), \
	V("journal without check words", ring_ours_unchecked, RING_POLLED, "polled", depth, COPIES), \
	V("liburcu wfcqueue pair", ring_wfcqueue, RING_POLLED, "polled", depth, ONE_PASS), \
	V("DPDK rte_ring pair", ring_rte, RING_POLLED, "polled", depth, ONE_PASS)

static const struct bench_variant variants[] = {
	POLLED(1), POLLED(8), POLLED(32), POLLED(512),
	BESIDE_BARE(RING_EVENT, "events", 1), BESIDE_BARE(RING_EVENT, "events", 32),
	BESIDE_BARE(RING_ADAPTIVE, "adaptive", 1), BESIDE_BARE(RING_ADAPTIVE, "adaptive", 32),
};

int bench_ring(int argc, char **argv, const struct bench_opts *o)
{
	(void)argc, (void)argv;
	return bench_run("ring", "requests of 112 bytes and answers of 16 through one ring, an end on each of two processors", variants,
			 ARRAY_LEN(variants), o->rounds ? o->rounds : ROUNDS, o);
}
