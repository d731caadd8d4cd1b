#include "tests/sim/crash_guest.h"

#include "ring/base/barrier.h"
#include "ring/base/check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/io/blkif.h>

#define CANARY 0xcaca5eedcaca5eedull
#define WORDS_PER_SECTOR 64
#define WORDS_PER_PAGE 512
#define BAD_GREF 99999

union entry {
	struct blkif_request req;
	struct blkif_request_discard discard;
	struct blkif_request_indirect indirect;
	uint8_t rsp[16];
};
static_assert(sizeof(union entry) == sizeof(struct blkif_request), "as in the ring");

static struct blkif_sring *sring(const struct crash_guest_queue *q) { return q->ring; }

static union entry *entry(const struct crash_guest *g, const struct crash_guest_queue *q, uint32_t index)
{
	return (union entry *)(void *)sring(q)->ring + (index & (g->nr - 1));
}

static uint64_t *page(const struct crash_guest_queue *q, unsigned tag, unsigned n)
{
	return (uint64_t *)(void *)(q->pages + (tag * GUEST_PAGES + n) * BH_PAGE_SIZE);
}

static void fill(uint64_t *p, size_t words, uint64_t value)
{
	for (size_t i = 0; i < words; i++)
		p[i] = value;
}

static bool filled(const uint64_t *p, size_t words, uint64_t value)
{
	for (size_t i = 0; i < words; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* Pages keep their contents from run to run, and are as they were when a run went well. */
static bool as_left[GUEST_QUEUES_MAX];
static uint64_t canary_page[WORDS_PER_PAGE];

static void make_pages(struct crash_guest *g, struct crash_guest_queue *q)
{
	bool *clean = &as_left[q - g->q];
	void *mem;

	CHECK(hv_alloc(g->hv, 1, &q->ring) == 0 && hv_alloc(g->hv, GUEST_RING_MAX * GUEST_PAGES, &mem) == 0);
	memset(q->ring, 0, offsetof(struct blkif_sring, ring) + sizeof(union entry) * g->nr);
	q->pages = mem;
	if (!*clean) {
		fill(canary_page, WORDS_PER_PAGE, CANARY);
		fill(page(q, 0, 0), (size_t)GUEST_RING_MAX * GUEST_PAGES * WORDS_PER_PAGE, CANARY);
	}
	*clean = false;
}

static bool is_canary(const struct crash_guest_queue *q, unsigned tag)
{
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		if (memcmp(page(q, tag, i), canary_page, BH_PAGE_SIZE) != 0)
			return false;
	return true;
}

/* Those that are not granted yet, or no more. */
static void grant_pages(struct crash_guest *g, struct crash_guest_queue *q, unsigned tag)
{
	for (unsigned i = 0; i < GUEST_PAGES; i++) {
		struct hv_grant gr = {.page = page(q, tag, i)};

		if (q->tag[tag].gref[i])
			continue;
		CHECK(hv_grant(g->hv, 0, &gr, 1) == 0);
		q->tag[tag].gref[i] = gr.gref;
	}
}

/* As Linux does: with persistent grants what somebody has mapped stays granted, and the rest, just after a death, does not. */
static void take_back(struct crash_guest *g, struct crash_tag *t)
{
	int16_t status[GUEST_PAGES];
	int rc = hv_ungrant(g->hv, t->gref, GUEST_PAGES, status);

	if (rc && !g->persistent)
		crash_violation(g->check, "NO-LATE-DMA", "a page is still mapped after the answer");
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		if (!status[i])
			t->gref[i] = 0;
}

static void open_queue(struct crash_guest *g, struct crash_guest_queue *q, uint64_t base)
{
	struct hv_grant ring;

	make_pages(g, q);
	ring = (struct hv_grant){.page = q->ring};
	CHECK(hv_grant(g->hv, 0, &ring, 1) == 0 && hv_port_alloc(g->hv, 0, &q->port) == 0);
	q->ring_gref = ring.gref;
	q->next = base;
	q->req_prod = q->rsp_cons = (uint32_t)base;
	sring(q)->req_prod = sring(q)->rsp_prod = (uint32_t)base;
	sring(q)->req_event = sring(q)->rsp_event = (uint32_t)base + 1;
	for (unsigned t = 0; t < g->nr; t++)
		q->tag[t].req = -1;
}

void crash_guest_open(struct crash_guest *g, struct hv *hv, uint64_t base, const char *const *script)
{
	g->hv = hv;
	for (unsigned i = 0; i < g->nqueues; i++) {
		g->q[i] = (struct crash_guest_queue){.script = script[i]};
		open_queue(g, &g->q[i], base);
	}
}

/* ---- requests */

static struct crash_req *parse(struct crash_guest *g, struct crash_guest_queue *q)
{
	struct crash_check *c = g->check;
	struct crash_req *r = &c->req[c->nreqs++];
	unsigned first, n = 0;
	char *end;

	CHECK(c->nreqs <= REQS_MAX);
	first = (unsigned)strtoul(q->script + 1, &end, 10);
	if (*end == '+')
		n = (unsigned)strtoul(end + 1, &end, 10);
	*r = (struct crash_req){.op = *q->script, .queue = (uint8_t)(q - g->q), .first = (uint16_t)first, .n = (uint16_t)n};
	r->kind = r->op == 'X' ? (uint8_t)first : 0;
	while (*end == ' ')
		end++;
	q->script = end;
	CHECK(r->op == 'X' || (first + n <= DISK_SECTORS && n <= REQ_SECTORS_MAX));
	return r;
}

static void lay_out(struct crash_guest *g, struct crash_tag *t, unsigned n)
{
	unsigned least = (n + 7) / 8, most = MIN(n, GUEST_DATA_PAGES);

	t->nsegs = n ? least + crash_below(g->rng, most - least + 1) : 0;
	for (unsigned i = 0; i < t->nsegs; i++) {
		t->len[i] = n / t->nsegs + (i < n % t->nsegs);
		t->first[i] = crash_below(g->rng, 8 - t->len[i] + 1);
	}
}

static uint64_t *sector(const struct crash_guest_queue *q, unsigned tag, unsigned seg, unsigned k)
{
	return page(q, tag, seg) + (size_t)(q->tag[tag].first[seg] + k) * WORDS_PER_SECTOR;
}

static void fill_data(struct crash_guest *g, struct crash_guest_queue *q, unsigned tag, const struct crash_req *r)
{
	const struct crash_tag *t = &q->tag[tag];
	unsigned k = 0;

	for (unsigned i = 0; i < t->nsegs; i++)
		for (unsigned s = 0; s < t->len[i]; s++, k++)
			fill(sector(q, tag, i, s), WORDS_PER_SECTOR, crash_stamp(g->check, r, k));
}

static void set_segs(const struct crash_tag *t, struct blkif_request_segment *seg)
{
	for (unsigned i = 0; i < t->nsegs; i++)
		seg[i] = (struct blkif_request_segment){.gref = t->gref[i], .first_sect = (uint8_t)t->first[i],
							.last_sect = (uint8_t)(t->first[i] + t->len[i] - 1)};
}

/* Spoils a good read of one sector. */
static void spoil(union entry *e, unsigned kind)
{
	switch (kind) {
	case 1: /* beyond the end */
		e->req.operation = BLKIF_OP_WRITE;
		e->req.sector_number = DISK_SECTORS;
		break;
	case 2: /* ends before it begins */
		e->req.operation = BLKIF_OP_WRITE;
		e->req.seg[0].first_sect = 3;
		e->req.seg[0].last_sect = 2;
		break;
	case 3: /* no such operation */
		e->req.operation = 77;
		break;
	case 4: /* nothing to read */
		e->req.nr_segments = 0;
		break;
	case 5: /* nothing granted there: only the copy finds out */
		e->req.seg[0].gref = BAD_GREF;
		break;
	case 6:
		e->req.operation = BLKIF_OP_WRITE;
		e->req.seg[0].gref = BAD_GREF;
		break;
	default: /* a list that is not there */
		e->indirect.operation = BLKIF_OP_INDIRECT;
		e->indirect.indirect_op = BLKIF_OP_WRITE;
		e->indirect.nr_segments = 2;
		e->indirect.indirect_grefs[0] = BAD_GREF;
	}
}

/* The operation that the answer has to name. */
static uint8_t operation(const struct crash_req *r)
{
	switch (r->op) {
	case 'W':
	case 'I':
		return BLKIF_OP_WRITE;
	case 'B':
		return BLKIF_OP_WRITE_BARRIER;
	case 'F':
		return BLKIF_OP_FLUSH_DISKCACHE;
	case 'D':
		return BLKIF_OP_DISCARD;
	case 'X':
		if (r->kind == 3)
			return 77;
		return r->kind == 4 || r->kind == 5 ? BLKIF_OP_READ : BLKIF_OP_WRITE;
	default:
		return BLKIF_OP_READ;
	}
}

static void encode(struct crash_guest_queue *q, unsigned tag, const struct crash_req *r, union entry *e)
{
	const struct crash_tag *t = &q->tag[tag];

	memset(e, 0, sizeof(*e));
	e->req.operation = operation(r);
	e->req.nr_segments = (uint8_t)t->nsegs;
	e->req.id = tag;
	e->req.sector_number = r->first;
	if (r->op == 'D') {
		e->discard.flag = 0;
		e->discard.nr_sectors = r->n;
	} else if (r->op == 'I' || r->op == 'J') {
		e->indirect.operation = BLKIF_OP_INDIRECT;
		e->indirect.indirect_op = operation(r);
		e->indirect.nr_segments = (uint16_t)t->nsegs;
		e->indirect.indirect_grefs[0] = t->gref[GUEST_DATA_PAGES];
		set_segs(t, (void *)page(q, tag, GUEST_DATA_PAGES));
	} else {
		set_segs(t, e->req.seg);
	}
	if (r->op == 'X')
		spoil(e, r->kind);
}

static void check_canary(struct crash_guest *g, struct crash_guest_queue *q, unsigned tag)
{
	if (!is_canary(q, tag))
		crash_violation(g->check, "NO-LATE-DMA", "a page of queue %u was written after the answer, or beside the sectors asked for",
			      (unsigned)(q - g->q));
}

static void post_one(struct crash_guest *g, struct crash_guest_queue *q)
{
	struct crash_req *r = parse(g, q);
	unsigned tag = crash_below(g->rng, g->nr);

	while (q->tag[tag].req >= 0)
		tag = (tag + 1) % g->nr;
	check_canary(g, q, tag);
	q->tag[tag].req = (int)(r - g->check->req);
	grant_pages(g, q, tag);
	lay_out(g, &q->tag[tag], r->op == 'X' ? 1 : r->op == 'D' ? 0 : r->n);
	if (crash_is_write(r))
		fill_data(g, q, tag, r);
	encode(q, tag, r, entry(g, q, q->req_prod++));
	r->index = q->next++;
	r->posted = true;
	r->invoke = ++g->check->now;
	q->outstanding++;
}

static void post(struct crash_guest *g, struct crash_guest_queue *q)
{
	unsigned n = g->exact ? g->batch : 1 + crash_below(g->rng, g->batch);
	uint32_t old = q->req_prod, event;

	while (n-- && *q->script && q->outstanding < g->nr)
		post_one(g, q);
	smp_wmb(); /* requests before the index; pairs with the backend's after it read req_prod */
	*(volatile uint32_t *)&sring(q)->req_prod = q->req_prod;
	smp_mb(); /* the index before the look at req_event; pairs with the backend's between the two */
	event = READ_ONCE_U32(&sring(q)->req_event);
	if (q->req_prod - event < q->req_prod - old)
		hv_port_notify(q->port);
}

/* ---- responses */

/* A read's sectors are kept, a write's must be as they were; all is canary again. */
static void take_data(struct crash_guest *g, struct crash_guest_queue *q, unsigned tag, struct crash_req *r)
{
	struct crash_tag *t = &q->tag[tag];
	unsigned k = 0;

	for (unsigned i = 0; i < t->nsegs; i++) {
		for (unsigned s = 0; s < t->len[i]; s++, k++) {
			uint64_t *at = sector(q, tag, i, s);

			if (crash_is_write(r) && !filled(at, WORDS_PER_SECTOR, crash_stamp(g->check, r, k)))
				crash_violation(g->check, "NO-LATE-DMA", "the data of a write were changed");
			if (crash_is_read(r) && r->status == BLKIF_RSP_OKAY && !filled(at, WORDS_PER_SECTOR, *at))
				crash_violation(g->check, "REGISTER", "a sector read is half one write's, half another's");
			r->seen[k] = *at;
			fill(at, WORDS_PER_SECTOR, CANARY);
		}
	}
	fill(page(q, tag, GUEST_DATA_PAGES), WORDS_PER_PAGE, CANARY);
	check_canary(g, q, tag);
}

static void answered(struct crash_guest *g, struct crash_guest_queue *q, const union entry *e)
{
	struct crash_check *c = g->check;
	struct crash_tag *t;
	struct crash_req *r;
	uint64_t id;

	memcpy(&id, e->rsp, sizeof(id));
	if (id >= g->nr || q->tag[id].req < 0) {
		crash_violation(c, "ANSWER-ONCE", "queue %u: an answer to id %llu, which is not outstanding", (unsigned)(q - g->q),
			      (unsigned long long)id);
		return;
	}
	t = &q->tag[id];
	r = &c->req[t->req];
	memcpy(&r->status, e->rsp + 10, sizeof(r->status));
	if (e->rsp[8] != operation(r))
		crash_violation(c, "ID-ECHO", "operation %u in the answer of %c", e->rsp[8], r->op);
	if (e->rsp[9] || e->rsp[12] || e->rsp[13] || e->rsp[14] || e->rsp[15])
		crash_violation(c, "ID-ECHO", "padding is not zero");
	take_back(g, t);
	r->answered = true;
	r->answer = ++c->now;
	crash_check_answer(c, r);
	take_data(g, q, (unsigned)id, r);
	t->req = -1;
	q->outstanding--;
}

static void consume(struct crash_guest *g, struct crash_guest_queue *q)
{
	for (;;) {
		uint32_t prod = READ_ONCE_U32(&sring(q)->rsp_prod);

		smp_rmb(); /* pairs with the backend's before it stores rsp_prod */
		if (prod - q->rsp_cons > q->outstanding) {
			crash_violation(g->check, "ANSWER-ONCE", "queue %u: rsp_prod %u, consumed %u, outstanding %u",
				      (unsigned)(q - g->q), prod, q->rsp_cons, q->outstanding);
			return;
		}
		while (q->rsp_cons != prod && !g->check->invariant)
			answered(g, q, entry(g, q, q->rsp_cons++));
		*(volatile uint32_t *)&sring(q)->rsp_event = q->rsp_cons + 1;
		smp_mb(); /* rsp_event before the look at rsp_prod; pairs with the backend's between the two */
		if (READ_ONCE_U32(&sring(q)->rsp_prod) == q->rsp_cons || g->check->invariant)
			return;
	}
}

void crash_guest_step(struct crash_guest *g, unsigned i)
{
	struct crash_guest_queue *q = &g->q[i];

	if (g->check->invariant)
		return;
	if (hv_port_clear(q->port))
		q->woken = true;
	if (q->woken ? crash_below(g->rng, 3) > 0 : g->poller && crash_below(g->rng, 3) == 0) {
		q->woken = false;
		consume(g, q);
	}
	if (*q->script && q->outstanding < g->nr && crash_below(g->rng, 3) > 0)
		post(g, q);
}

bool crash_guest_done(const struct crash_guest *g)
{
	for (unsigned i = 0; i < g->nqueues; i++)
		if (*g->q[i].script || g->q[i].outstanding)
			return false;
	return true;
}

void crash_guest_check_pages(struct crash_guest *g)
{
	for (unsigned i = 0; i < g->nqueues; i++)
		for (unsigned t = 0; t < g->nr; t++)
			check_canary(g, &g->q[i], t);
	for (unsigned i = 0; i < g->nqueues; i++)
		as_left[i] = !g->check->invariant;
}

void crash_guest_spoil_list(struct crash_guest *g, unsigned queue, uint64_t index)
{
	struct crash_guest_queue *q = &g->q[queue];

	for (unsigned t = 0; t < g->nr; t++) {
		const struct crash_req *r = q->tag[t].req >= 0 ? &g->check->req[q->tag[t].req] : NULL;

		if (r && r->index == index && (r->op == 'I' || r->op == 'J'))
			fill(page(q, t, GUEST_DATA_PAGES), WORDS_PER_PAGE, ~CANARY);
	}
}
