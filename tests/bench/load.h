/* load.h - a busy guest inside the bench: one queue kept full with requests of 4 KiB, every read checked against what was
 * written last (a stamp in each sector). Each request of the depth has blocks of its own, so none overlap.
 *
 * Threads: one. It polls, it never sleeps. Errors: negative errno; -EBADMSG: a read had other data than was written.
 */
#ifndef BULKHEAD_TESTS_BENCH_LOAD_H
#define BULKHEAD_TESTS_BENCH_LOAD_H

#include "frontend/blk/blkfront.h"

#include <stdbool.h>
#include <stddef.h>

#define LOAD_BLOCK 4096u
#define LOAD_BLOCKS 64u /* of each request of the depth */

struct load_slot;

struct load {
	struct blkfront *f;
	struct blkfront_queue *q;
	struct load_slot *slot;
	char *mem;		/* the slots' buffers */
	unsigned depth, running, due; /* due: answered, and to begin again */
	unsigned write_percent;
	bool go_on;		/* an answer is followed by the next request */
	uint64_t rng, reads, writes, bad;
	int failed;
	uint64_t pause_ns;	/* between an answer and the slot's next request; 0: none */
	double *latency;	/* us, of each answer, when not NULL: room for max of them; the caller's */
	size_t nlatency, max_latency;
};

/* Connects, writes every block once, and fills the queue. err: one clear line. Closed by load_close, also after a failure. */
int load_open(struct load *l, const char *runtime_dir, const char *domain, const char *vdev, unsigned depth,
	      unsigned write_percent, char *err, size_t size);
/* One look at the ring: how many answers came, or why it has ended. now: the time of the look. */
int load_poll(struct load *l, uint64_t now);
/* Waits for what runs, at most 10 s; then reads every block back. 0, or what was found. */
int load_check(struct load *l);
void load_close(struct load *l);

#endif
