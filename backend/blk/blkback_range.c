#include "backend/blk/blkback_range.h"

#include "ring/base/barrier.h"
#include "ring/base/base.h"
#include "ring/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* A range lies in the buckets of its first and its last chunk. A chunk is longer than any read or write, so that two ranges
 * that overlap share a bucket; what is longer (discards) stands in a list of its own, which everybody looks at. */
#define CHUNK_SHIFT 12 /* units: 2 MiB of 512-byte units, more than the longest write and its rounding */
#define BUCKETS 256u

LIST_HEAD(range_list, blk_range);

struct blk_ranges {
	bool shared;
	pthread_mutex_t lock;
	uint64_t epoch;
	uint32_t count, nlong;
	struct range_list bucket[BUCKETS], far[BUCKETS], longs;
};

int blk_ranges_open(bool shared, struct blk_ranges **out)
{
	struct blk_ranges *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->shared = shared;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void blk_ranges_close(struct blk_ranges *t) { free(t); }

static unsigned first_bucket(const struct blk_range *r) { return (unsigned)(r->first >> CHUNK_SHIFT) % BUCKETS; }
static unsigned last_bucket(const struct blk_range *r) { return (unsigned)((r->end - 1) >> CHUNK_SHIFT) % BUCKETS; }
static bool is_long(const struct blk_range *r) { return r->end - r->first > 1u << CHUNK_SHIFT; }
static bool overlap(const struct blk_range *a, const struct blk_range *b) { return a->first < b->end && b->first < a->end; }

static bool bucket_hit(const struct blk_ranges *t, unsigned b, const struct blk_range *r)
{
	const struct blk_range *e;

	LIST_FOREACH(e, &t->bucket[b], link)
		if (overlap(e, r))
			return true;
	LIST_FOREACH(e, &t->far[b], far_link)
		if (overlap(e, r))
			return true;
	return false;
}

static bool hit(const struct blk_ranges *t, const struct blk_range *r)
{
	const struct blk_range *e;

	if (t->nlong)
		LIST_FOREACH(e, &t->longs, link)
			if (overlap(e, r))
				return true;
	if (is_long(r)) {
		for (unsigned b = 0; b < BUCKETS; b++)
			if (bucket_hit(t, b, r))
				return true;
		return false;
	}
	return bucket_hit(t, first_bucket(r), r) || (last_bucket(r) != first_bucket(r) && bucket_hit(t, last_bucket(r), r));
}

static void put(struct blk_ranges *t, struct blk_range *r)
{
	store_relaxed(&t->count, t->count + 1);
	r->in = true;
	if (is_long(r)) {
		t->nlong++;
		LIST_INSERT_HEAD(&t->longs, r, link);
		return;
	}
	LIST_INSERT_HEAD(&t->bucket[first_bucket(r)], r, link);
	if (last_bucket(r) != first_bucket(r))
		LIST_INSERT_HEAD(&t->far[last_bucket(r)], r, far_link);
}

bool blk_range_enter(struct blk_ranges *t, struct blk_range *r)
{
	bool free_there;

	CHECK(!r->in && r->first < r->end);
	if (t->shared)
		pthread_mutex_lock(&t->lock);
	free_there = !hit(t, r);
	if (free_there)
		put(t, r);
	if (t->shared)
		pthread_mutex_unlock(&t->lock);
	return free_there;
}

void blk_range_leave(struct blk_ranges *t, struct blk_range *r)
{
	CHECK(r->in);
	if (t->shared)
		pthread_mutex_lock(&t->lock);
	LIST_REMOVE(r, link);
	if (is_long(r))
		t->nlong--;
	else if (last_bucket(r) != first_bucket(r))
		LIST_REMOVE(r, far_link);
	r->in = false;
	store_relaxed(&t->count, t->count - 1);
	store_relaxed(&t->epoch, t->epoch + 1);
	if (t->shared)
		pthread_mutex_unlock(&t->lock);
}

uint64_t blk_ranges_epoch(const struct blk_ranges *t) { return load_relaxed(&t->epoch); }
uint32_t blk_ranges_count(const struct blk_ranges *t) { return load_relaxed(&t->count); }
