#include "tests/blkif/verify.h"

#include <string.h>

static uint64_t word_at(uint64_t sector, size_t byte, uint32_t stamp)
{
	return ((sector * 512 + byte) * 0x9e3779b97f4a7c15u) ^ ((uint64_t)stamp << 32) ^ stamp;
}

void pattern_fill(void *to, size_t bytes, uint64_t sector, uint32_t stamp)
{
	uint64_t *w = to;

	for (size_t i = 0; i < bytes / 8; i++)
		w[i] = word_at(sector, i * 8, stamp);
}

bool pattern_holds(const void *at, size_t bytes, uint64_t sector, uint32_t stamp)
{
	const uint64_t *w = at;

	for (size_t i = 0; i < bytes / 8; i++)
		if (w[i] != word_at(sector, i * 8, stamp))
			return false;
	return true;
}

enum got ask_on(struct disk *d, struct queue *q, const union request *r, uint64_t id)
{
	union request copy = *r;
	struct blkif_response a;
	enum got end;

	copy.rw.id = id;
	put(d, q, &copy);
	show(q);
	end = wait_answers(d, q, 1);
	if (end != GOT_OKAY)
		return end;
	a = take(d, q);
	if (a.id != id)
		case_fails("answered is id %llx, asked was %llx", (unsigned long long)a.id, (unsigned long long)id);
	return got_of(&a);
}

static void must_be_okay(enum got got, const char *what, unsigned nsegs, uint64_t sector)
{
	if (got != GOT_OKAY)
		case_fails("%s of %u pages at sector %llu: %s", what, nsegs, (unsigned long long)sector, got_name[got]);
}

void write_and_read(struct disk *d, struct queue *q, unsigned nsegs, uint64_t sector, bool listed)
{
	union request (*make)(const struct disk *, uint8_t, unsigned, uint64_t) = listed ? indirect : direct;
	uint32_t stamp = (uint32_t)chance(d, 0x7fffffff);
	union request w = make(d, BLKIF_OP_WRITE, nsegs, sector), r = make(d, BLKIF_OP_READ, nsegs, sector);
	size_t bytes = nsegs * BH_PAGE_SIZE;

	pattern_fill(d->data, bytes, sector, stamp);
	must_be_okay(ask_on(d, q, &w, ++d->id), "a write", nsegs, sector);
	memset(d->data, 0xee, bytes);
	must_be_okay(ask_on(d, q, &r, ++d->id), "a read", nsegs, sector);
	if (!pattern_holds(d->data, bytes, sector, stamp))
		case_fails("%u pages at sector %llu: what is read is not what was written", nsegs, (unsigned long long)sector);
}
