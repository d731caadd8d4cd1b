/* The ring as a frontend sees it, in each layout, and requests for it. */
#include "tests/blkif/suite.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

const char *const got_name[] = {"okay", "error", "eopnotsupp", "closed", "stopped", "silent", "other"};

uint32_t *ring_word(const struct queue *q, unsigned n) { return (uint32_t *)(void *)q->ring + n; }

uint8_t *ring_slot(const struct disk *d, const struct queue *q, uint32_t index)
{
	return q->ring + RING_HDR + (index & (q->entries - 1)) * d->abi->stride;
}

/* In the 32-bit layout the id has no gap before it; all else follows it as it stands. */
void put(struct disk *d, struct queue *q, const union request *r)
{
	uint8_t *slot = ring_slot(d, q, q->prod++);

	memcpy(slot, r->byte, 4);
	memcpy(slot + d->abi->id, r->byte + 8, d->abi->req_size - d->abi->id);
}

void show(struct queue *q)
{
	smp_store_release(ring_word(q, 0), q->prod); /* pairs with the backend's barrier after it read req_prod */
	hv_port_notify(q->port);
}

/* What has become of a device that does not answer; GOT_OKAY: nothing yet. */
static enum got fate(struct disk *d)
{
	unsigned s = back_state(d);

	if (s != XenbusStateConnected)
		return GOT_CLOSED;
	return back_has_error(d) ? GOT_STOPPED : GOT_OKAY;
}

static void wait_event(struct queue *q, int ms)
{
	struct pollfd p = {.fd = hv_port_fd(q->port), .events = POLLIN};

	if (poll(&p, 1, ms) > 0)
		hv_port_clear(q->port);
}

enum got wait_answers(struct disk *d, struct queue *q, unsigned n)
{
	uint64_t until = clock_now() + suite.patience, look = clock_now() + 20 * NS_PER_MS;
	uint32_t there;

	for (;;) {
		bool late = clock_now() > until;

		store_relaxed(ring_word(q, 3), q->cons + n);
		smp_mb(); /* armed before the last look */
		there = smp_load_acquire(ring_word(q, 2)) - q->cons; /* pairs with the backend's store of rsp_prod */
		if (there > q->prod - q->cons)
			case_fails("%u answers to %u requests", there, q->prod - q->cons);
		if (there >= n)
			return GOT_OKAY;
		if (late)
			return GOT_SILENT;
		if (clock_now() > look) {
			enum got end = fate(d);

			if (end != GOT_OKAY)
				return end;
			look = clock_now() + 20 * NS_PER_MS;
		}
		wait_event(q, 3);
	}
}

struct blkif_response take(struct disk *d, struct queue *q)
{
	const uint8_t *slot = ring_slot(d, q, q->cons++);
	struct blkif_response r = {0};

	memcpy(&r.id, slot, 8);
	r.operation = slot[8];
	memcpy(&r.status, slot + 10, 2);
	return r;
}

enum got got_of(const struct blkif_response *r)
{
	switch (r->status) {
	case BLKIF_RSP_OKAY: return GOT_OKAY;
	case BLKIF_RSP_ERROR: return GOT_ERROR;
	case BLKIF_RSP_EOPNOTSUPP: return GOT_EOPNOTSUPP;
	default: return GOT_OTHER;
	}
}

enum got ask(struct disk *d, union request *r)
{
	struct blkif_response a;
	enum got end;

	r->rw.id = ++d->id * 0x9e3779b97f4a7c15u; /* at the same place in all of them */
	put(d, &d->q[0], r);
	show(&d->q[0]);
	end = wait_answers(d, &d->q[0], 1);
	if (end != GOT_OKAY)
		return end;
	a = take(d, &d->q[0]);
	if (a.id != r->rw.id)
		case_fails("answered is id %llx, asked was %llx", (unsigned long long)a.id, (unsigned long long)r->rw.id);
	return got_of(&a);
}

enum got judge(enum got got, unsigned allowed, const char *what, unsigned long long n)
{
	did("%s", got_name[got]);
	if (!(allowed & BIT(got)))
		case_fails("%s %llu: %s", what, n, got_name[got]);
	if (ENDS & BIT(got))
		case_ends();
	return got;
}

enum got allow(struct disk *d, union request *r, unsigned allowed, const char *what, unsigned long long n)
{
	return judge(ask(d, r), allowed, what, n);
}

/* ---- requests */

union request direct(const struct disk *d, uint8_t op, unsigned nsegs, uint64_t sector)
{
	union request r = {.rw = {.operation = op, .nr_segments = (uint8_t)nsegs, .sector_number = sector}};

	for (unsigned i = 0; i < MIN(nsegs, 11u); i++)
		r.rw.seg[i] = (struct blkif_request_segment){d->gref[i], 0, 7};
	return r;
}

union request indirect(const struct disk *d, uint8_t op, unsigned nsegs, uint64_t sector)
{
	union request r = {.ind = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op, .nr_segments = (uint16_t)nsegs}};

	r.ind.sector_number = sector;
	for (unsigned i = 0; i < LIST_PAGES; i++)
		r.ind.indirect_grefs[i] = d->gref[d->ndata + i];
	for (unsigned i = 0; i < LIST_PAGES * BLKIF_SEGS_PER_PAGE; i++)
		list_of(d)[i] = (struct blkif_request_segment){d->gref[i % d->ndata], 0, 7};
	return r;
}

union request discard(uint64_t sector, uint64_t sectors)
{
	return (union request){.dis = {.operation = BLKIF_OP_DISCARD, .sector_number = sector, .nr_sectors = sectors}};
}

/* ---- is it well? */

static enum got one_io(struct disk *d, struct queue *q, uint8_t op, unsigned n)
{
	union request r = {.rw = {.operation = op, .nr_segments = 1, .sector_number = 8, .id = ++d->id}};
	struct blkif_response a;
	enum got end;

	r.rw.seg[0] = (struct blkif_request_segment){d->gref[n], 0, 7};
	put(d, q, &r);
	show(q);
	end = wait_answers(d, q, 1);
	if (end != GOT_OKAY)
		return end;
	a = take(d, q);
	if (a.id != r.rw.id)
		case_fails("a good request: answered is id %llx, asked was %llx", (unsigned long long)a.id,
			   (unsigned long long)r.rw.id);
	return got_of(&a);
}

enum got good_io(struct disk *d, struct queue *q)
{
	enum got got;

	memset(page(d, 0), (int)chance(d, 255) + 1, BH_PAGE_SIZE);
	memset(page(d, 1), 0, BH_PAGE_SIZE);
	got = one_io(d, q, suite.writable && !(d->offer.info & VDISK_READONLY) ? BLKIF_OP_WRITE : BLKIF_OP_READ, 0);
	if (got == GOT_OKAY)
		got = one_io(d, q, BLKIF_OP_READ, 1);
	if (got == GOT_OKAY && memcmp(page(d, 0), page(d, 1), BH_PAGE_SIZE) != 0)
		case_fails("what is read is not what was written");
	return got;
}

void NORETURN still_served(struct disk *d)
{
	for (unsigned i = 0; i < d->nqueues; i++) {
		enum got got = good_io(d, &d->q[i]);

		if (got != GOT_OKAY) {
			did("%s", got_name[got]);
			if (!(ENDS & BIT(got)))
				case_fails("afterwards a good request on queue %u: %s", i, got_name[got]);
			case_ends();
		}
	}
	did("served");
	case_ends();
}

void NORETURN must_have_ended(struct disk *d, unsigned allowed)
{
	enum got got = wait_answers(d, &d->q[0], 1);

	if (got == GOT_OKAY) {
		struct blkif_response a = take(d, &d->q[0]);

		did("answers");
		judge(got_of(&a), allowed, "what was never asked", 0);
		case_ends();
	}
	judge(got, allowed, "the device", 0);
	case_ends();
}
