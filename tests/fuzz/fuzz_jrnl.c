/* A journal that somebody else wrote: its header as it should be or not, its slots sound but for what the input
 * changes, or bytes of the input throughout. What a scan lets through keeps every bound that resume relies on, and
 * nothing is stored. */
#include "recovery/journal/jrnl_replay.h"
#include "ring/base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NQ 2u
#define NSLOTS_MAX 12u

/* The first bytes of the input. */
struct recipe {
	uint8_t nslots, flags;
	uint16_t header; /* a byte of the header that is changed */
	uint32_t list;	 /* slot and length of a list */
	uint64_t base;	 /* index of the oldest answer not yet published */
	uint8_t kind[NSLOTS_MAX];
};
enum { WRONG_HEADER = 1, RAW = 2, NO_CHECKS = 4 };

/* Then what is changed in a journal that was sound, one after the other; the check words follow. */
struct edit {
	uint8_t slot, member;
	int8_t by;
};

static void check_order(const struct jrnl_q *q, const struct jrnl_scan *s)
{
	for (uint32_t i = 0; i < s->nreanswer; i++) {
		CHECK(s->reanswer[i] < q->nslots && q->slot[s->reanswer[i]].state == JRNL_DONE);
		CHECK(q->slot[s->reanswer[i]].rsp_idx == jrnl_seq_of(q->hdr->rsp_prod) + i);
	}
	for (uint32_t i = 0; i < s->nredo; i++) {
		const struct jrnl_slot *t = &q->slot[s->redo[i]];

		CHECK(s->redo[i] < q->nslots && t->index < jrnl_seq_of(q->hdr->req_cons));
		CHECK(t->state == JRNL_TAKEN || t->state == JRNL_LOADED || t->state == JRNL_STARTED);
		CHECK(t->state == JRNL_TAKEN || t->nlist <= JRNL_SEGS_MAX);
		CHECK(i == 0 || q->slot[s->redo[i - 1]].index < t->index);
	}
}

/* Every slot in at most one list, no two that will be answered of one request, and as many as are owed. */
static void check_scan(const struct jrnl_q *q, const struct jrnl_scan *s)
{
	uint8_t seen[JRNL_SLOTS_MAX] = {0};

	CHECK(s->nforget + s->nreanswer + s->nredo <= q->nslots);
	for (uint32_t i = 0; i < s->nforget; i++)
		CHECK(s->forget[i] < q->nslots && !seen[s->forget[i]]++);
	check_order(q, s);
	for (uint32_t i = 0; i < s->nreanswer; i++)
		CHECK(!seen[s->reanswer[i]]++);
	for (uint32_t i = 0; i < s->nredo; i++)
		CHECK(!seen[s->redo[i]]++);
	for (uint32_t i = 0; i < q->nslots; i++)
		CHECK(seen[i] || q->slot[i].state == JRNL_FREE);
	CHECK(jrnl_seq_of(q->hdr->req_cons) - jrnl_seq_of(q->hdr->rsp_prod) == s->nreanswer + s->nredo);
	for (uint32_t i = 0; i < s->nreanswer; i++) {
		for (uint32_t k = 0; k < i; k++)
			CHECK(q->slot[s->reanswer[i]].index != q->slot[s->reanswer[k]].index);
		for (uint32_t k = 0; k < s->nredo; k++)
			CHECK(q->slot[s->reanswer[i]].index != q->slot[s->redo[k]].index);
	}
}

/* A queue as it may be found: requests and answers numbered as they should be, in the order of the slots. */
static void lay_sound(struct jrnl_q *q, const struct recipe *r)
{
	static const uint32_t states[] = {JRNL_FREE, JRNL_TAKEN, JRNL_LOADED, JRNL_STARTED, JRNL_DONE, JRNL_DONE};
	uint64_t rsp = r->base, index = r->base, over = r->base;

	for (uint32_t i = 0; i < q->nslots; i++) {
		struct jrnl_slot *s = &q->slot[i];
		unsigned kind = r->kind[i] % ARRAY_LEN(states);

		s->state = states[kind];
		s->blame = JRNL_BLAME(r->kind[i] / 8u, 1);
		s->raw[0] = r->kind[i];
		if (kind == 5) { /* answered, published */
			s->rsp_idx = --over;
			s->index = over;
			continue;
		}
		s->index = s->state == JRNL_FREE ? 0 : index++;
		s->rsp_idx = s->state == JRNL_DONE ? rsp++ : 0;
	}
	q->slot[r->list % q->nslots].nlist = r->list >> 16 & 0x1ff;
	jrnl_publish(q, r->base);
	jrnl_taken(q, index);
}

static void edit(struct jrnl_q *q, const struct edit *e)
{
	struct jrnl_slot *s = &q->slot[e->slot % q->nslots];
	uint64_t by = (uint64_t)(int64_t)e->by;

	switch (e->member % 9) {
	case 0:
		s->index += by;
		break;
	case 1:
		s->rsp_idx += by;
		break;
	case 2:
		s->nlist += (uint32_t)by;
		break;
	case 3:
		s->state = e->by & 1 ? s->state + (uint32_t)by : q->slot[(e->slot + 1u) % q->nslots].state;
		break;
	case 4:
		s->blame ^= by << 40;
		break;
	case 5:
		q->hdr->req_cons = jrnl_seq(jrnl_seq_of(q->hdr->req_cons + by));
		break;
	case 6:
		q->hdr->rsp_prod = jrnl_seq(jrnl_seq_of(q->hdr->rsp_prod + by));
		break;
	case 7:
		s->index = q->slot[(uint8_t)e->by % q->nslots].index;
		break;
	default:
		s->rsp_idx = q->slot[(uint8_t)e->by % q->nslots].rsp_idx;
	}
}

static void check_words(struct jrnl_q *q)
{
	for (uint32_t i = 0; i < q->nslots; i++) {
		struct jrnl_slot *s = &q->slot[i];

		s->check_copy = jrnl_check_copy(s);
		s->check_answer = jrnl_check_answer(s);
		if (s->nlist <= JRNL_SEGS_MAX)
			s->check_list = jrnl_check_list(&q->list[i], s->nlist);
	}
}

static void lay(struct jrnl *j, const struct recipe *r, const uint8_t *data, size_t size)
{
	struct jrnl_q *q = &j->q[NQ - 1]; /* behind it the memory ends */
	struct edit e;

	if (r->flags & RAW) {
		memcpy(q->hdr, data, MIN(size, jrnl_queue_bytes(q->nslots)));
		return;
	}
	lay_sound(q, r);
	for (; size >= sizeof(e); data += sizeof(e), size -= sizeof(e)) {
		memcpy(&e, data, sizeof(e));
		edit(q, &e);
	}
	if (!(r->flags & NO_CHECKS))
		check_words(q);
}

static void scan(const struct jrnl *j, const void *mem, size_t bytes)
{
	static struct jrnl_scan s;
	void *before = malloc(bytes);
	char text[160];

	CHECK(before);
	memcpy(before, mem, bytes);
	for (uint32_t i = 0; i < j->nqueues; i++) {
		memset(&s, 0xff, sizeof(s));
		if (jrnl_scan(&j->q[i], &s, text, sizeof(text)) == 0)
			check_scan(&j->q[i], &s);
		else
			CHECK(strlen(text) > 0);
	}
	CHECK(!memcmp(before, mem, bytes));
	free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conn_id conn = {.type = CONN_VBD, .protocol = CONN_X86_64, .nqueues = NQ, .ring_pages = 1, .epoch = 9};
	struct recipe r = {0};
	struct jrnl j, k;
	uint32_t nslots;
	size_t bytes;
	void *mem;
	int rc;

	memcpy(&r, data, MIN(size, sizeof(r)));
	data += MIN(size, sizeof(r));
	size -= MIN(size, sizeof(r));
	nslots = 1u + r.nslots % NSLOTS_MAX;
	bytes = jrnl_file_bytes(nslots, NQ);
	mem = aligned_alloc(JRNL_PAGE, bytes); /* no longer: reading behind it shows */
	CHECK(mem);
	memset(mem, 0, bytes);
	jrnl_format(mem, &conn, nslots, &j);
	jrnl_own(&j);
	lay(&j, &r, data, size);
	if (r.flags & WRONG_HEADER)
		((uint8_t *)mem)[r.header % JRNL_PAGE] ^= (uint8_t)(r.header >> 12 | 1);
	rc = jrnl_open(mem, bytes, &conn, nslots, &k);
	CHECK(rc == 0 || r.flags & WRONG_HEADER);
	if (rc == 0)
		scan(&k, mem, bytes);
	free(mem);
	return 0;
}
