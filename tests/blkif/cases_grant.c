/* Grants that are none, are not the backend's, may only be read, or end meanwhile (XSA-362, -365, -371, -380, -396). */
#include "tests/blkif/suite.h"

#include "ring/base/err.h"

#include <errno.h>
#include <string.h>

#define REFUSED (BIT(GOT_ERROR) | ENDS)

/* A bad grant at each place; its neighbours are good, and afterwards the same place is. */
static void direct_places(struct disk *d, hv_gref_t bad, uint8_t op, unsigned allowed)
{
	for (unsigned i = 0; i < 11; i++) {
		union request r = direct(d, op, 11, 8), good = direct(d, op, 11, 8);

		r.rw.seg[i].gref = bad;
		allow(d, &r, allowed, "a bad grant at place", i);
		allow(d, &good, BIT(GOT_OKAY), "good ones after a bad one at place", i);
	}
}

static void listed_places(struct disk *d, hv_gref_t bad, uint8_t op, unsigned allowed)
{
	unsigned n = MIN((unsigned)d->offer.max_indirect, 32u);

	for (unsigned i = 0; i < n; i++) {
		union request r = indirect(d, op, n, 8);

		list_of(d)[i].gref = bad;
		allow(d, &r, allowed, "a bad grant in a list, at place", i);
	}
}

static void everywhere(struct disk *d, hv_gref_t bad)
{
	direct_places(d, bad, BLKIF_OP_READ, REFUSED);
	if (suite.writable)
		direct_places(d, bad, BLKIF_OP_WRITE, REFUSED);
	if (d->offer.max_indirect) {
		listed_places(d, bad, BLKIF_OP_READ, REFUSED);
		if (suite.writable)
			listed_places(d, bad, BLKIF_OP_WRITE, REFUSED);
	}
	still_served(d);
}

static void bogus(struct disk *d) { everywhere(d, BOGUS); }
static void none(struct disk *d) { everywhere(d, UINT32_MAX); }
static void foreign(struct disk *d) { everywhere(d, d->gref[foreign_page(d)]); }

static void read_only_read(struct disk *d)
{
	direct_places(d, d->gref[ro_page(d)], BLKIF_OP_READ, REFUSED);
	still_served(d);
}

/* Note 8: with persistent grants a backend may map for writing whatever it gets. */
static void read_only_write(struct disk *d)
{
	union request w = direct(d, BLKIF_OP_WRITE, 1, 8);

	w.rw.seg[0].gref = d->gref[ro_page(d)];
	allow(d, &w, d->want.persistent ? BIT(GOT_OKAY) | REFUSED : BIT(GOT_OKAY), "a write from a page that may only be read", 0);
	still_served(d);
}

static void list_grants(struct disk *d)
{
	const hv_gref_t bad[] = {BOGUS, UINT32_MAX, d->gref[foreign_page(d)]};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		union request r = indirect(d, BLKIF_OP_READ, 4, 8);

		r.ind.indirect_grefs[0] = bad[i];
		allow(d, &r, REFUSED, "a list's grant", i);
	}
	still_served(d);
}

static bool grant_again(struct disk *d, unsigned i)
{
	int rc = hv_ungrant(d->hv, &d->gref[i], 1, NULL);
	struct hv_grant g = {.page = page(d, i)};

	if (rc == -EBUSY)
		return false;
	need(rc, "the end of a grant in use");
	need(hv_grant(d->hv, d->back_id, &g, 1), "grant again");
	d->gref[i] = g.gref;
	return true;
}

static void ended(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 16; i++) {
			union request r = direct(d, i % 2 && suite.writable ? BLKIF_OP_WRITE : BLKIF_OP_READ, 11, 8);

			r.rw.id = i;
			put(d, q, &r);
		}
		show(q);
		for (unsigned i = 2; i < 11; i++)
			grant_again(d, i);
		judge(wait_answers(d, q, 16), BIT(GOT_OKAY) | ENDS, "answers while grants end, round", round);
		q->cons += 16;
	}
	still_served(d);
}

/* The ring's own grant: it is mapped, so the end of it takes nothing away from the backend. */
static void ring_ended(struct disk *d)
{
	int rc = hv_ungrant(d->hv, d->q[0].gref, 1, NULL);

	if (rc == -EBUSY)
		still_served(d);
	need(rc, "the end of the ring's grant");
	did("taken");
	case_ends();
}

#define BOTH(name, says_, ours_, needs_, fn)                                   \
	{"grant." name, says_, ours_, .needs = needs_, .run = fn},              \
	{                                                                      \
		"grant." name "_persistent", "The same with feature-persistent", ours_, .needs = needs_, .want = {.persistent = true}, \
		.run = fn                                                      \
	}
static const struct test tests[] = {
	BOTH("bogus", "gref: a number that grants nothing, at each place", "error+okay+served", 0, bogus),
	BOTH("none", "gref: 2^32-1", "error+okay+served", 0, none),
	BOTH("foreign", "gref: of a page granted to another domain", "error+okay+served", 0, foreign),
	BOTH("read_only_read", "gref: a page that may not be written, read into", "error+okay+served", 0, read_only_read),
	BOTH("read_only_write", "gref: a page that may not be written is good enough for a write", "okay+served", NEED_WRITABLE, read_only_write),
	BOTH("of_lists", "indirect_grefs: numbers that grant nothing", "error+served", NEED_INDIRECT, list_grants),
	BOTH("ended", "A grant may end while its request is in work", "okay+served", 0, ended),
	{"grant.ring_ended", "A ring that is mapped stays mapped", "served|taken", .run = ring_ended},
};
const struct topic topic_grant = {tests, ARRAY_LEN(tests)};
