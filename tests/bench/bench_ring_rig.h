/* bench_ring_rig.h - two threads, each pinned to a processor, with one ring between them: what all variants of `bench ring` share.
 *
 * Owns: shared memory and eventfds, for one measurement. Threads: the front runs on the caller's, the back on one of its own.
 */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_RING_RIG_H
#define BULKHEAD_TESTS_BENCH_BENCH_RING_RIG_H

#include "ring/base/base.h"
#include "ring/base/barrier.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ring_mode {
	RING_POLLED,   /* both ends look for ever */
	RING_EVENT,    /* both sleep as soon as there is nothing */
	RING_ADAPTIVE, /* both look for a while, as a worker does (backend/core/be_poll.h) */
};

#define RING_REQUEST 112u
#define RING_RESPONSE 16u
#define RING_LINE 128u /* two: processors fetch them in pairs */
#define RING_DEPTH_MAX 512u

/* One end's way to wait. */
struct ring_end {
	enum ring_mode mode;
	int sleep_fd, wake_fd; /* own eventfd, the other's */
	uint32_t window_us;
	uint64_t idle_since;
} __attribute__((aligned(RING_LINE)));

struct ring_rig {
	struct ring_end front, back;
	uint32_t stop __attribute__((aligned(RING_LINE)));
	unsigned depth, pages, entries;
	void *ring;    /* the pages, zeroed: frontends and backends of blkif lay them out */
	void *journal; /* of the size of RING_DEPTH_MAX slots, zeroed */
	void *state;   /* the variant's own */
};

/* A pair of ends. The functions of one end are called by its thread alone. */
struct ring_kind {
	/* 0, or a negative errno with why in err; -ENOSYS: not possible here. */
	int (*open)(struct ring_rig *r, char *err, size_t size);
	void (*close)(struct ring_rig *r);
	/* front: puts n requests and shows them; how many answers came. */
	void (*put)(struct ring_rig *r, unsigned n);
	unsigned (*get)(struct ring_rig *r);
	bool (*front_arm)(struct ring_rig *r); /* before sleeping; true: there is something */
	/* back: answers what is there; how many. */
	unsigned (*turn)(struct ring_rig *r);
	bool (*back_arm)(struct ring_rig *r);
};

/* Answers a second, all of them checked; or a negative errno. */
int ring_measure(const struct ring_kind *k, enum ring_mode mode, unsigned depth, double seconds, double *per_second, char *err,
		 size_t size);

void ring_wake_other(struct ring_end *e);

/* What a backend does with a request: looks at all of it, by words, as a decoder does (wider loads would wait for the stores of
 * a copy that was made by words). */
static inline void ring_consume(const void *req)
{
	const volatile uint64_t *w = req;
	uint64_t sum = 0;

	UNROLL(14)
	for (unsigned i = 0; i < RING_REQUEST / 8; i++)
		sum += w[i];
	__asm__ volatile("" : : "r"(sum));
}

/* The front of a blkif ring, for all backends of one (bench_ring_front.c). */
void ring_front_open(struct ring_rig *r);
void ring_front_put(struct ring_rig *r, unsigned n);
unsigned ring_front_get(struct ring_rig *r);
bool ring_front_arm(struct ring_rig *r);
/* Every answer is counted and its id summed up; the sum at the end must be the same as that of the requests. */
void ring_front_close(struct ring_rig *r);

extern const struct ring_kind ring_bare_one_pass, ring_bare_one_pass_half, ring_bare_copies, ring_bare_copies_half, ring_ours_plain,
	ring_ours_plain_half, ring_ours_unchecked, ring_ours, ring_blkback, ring_wfcqueue, ring_rte;

#endif
