/* A journal that somebody else wrote: its header as it should be or not, the rest from the input, its check words made right
 * where the input wants it. What a scan lets through keeps every bound that resume relies on, and nothing is stored. Built
 * with -DFUZZ_MAIN it runs the files given, for machines without libFuzzer. */
#include "recovery/journal/jrnl_replay.h"
#include "ring/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NQ 2u

/* Of the input: what is done before the rest is laid over the journal. */
struct recipe {
	uint8_t nslots, flags;
	uint16_t header; /* a byte of the header is changed */
	uint64_t req_cons, rsp_prod;
};
enum { WRONG_HEADER = 1, RAW = 2, NO_CHECKS = 4 };

/* One slot in few bytes, so that plausible journals are found soon. */
struct small {
	uint8_t state, index, rsp_idx, nlist, result;
};

static void check_order(const struct jrnl_q *q, const struct jrnl_scan *s)
{
	for (uint32_t i = 0; i < s->nreanswer; i++) {
		CHECK(s->reanswer[i] < q->nslots && q->slot[s->reanswer[i]].state == JRNL_DONE);
		CHECK(q->slot[s->reanswer[i]].rsp_idx == q->hdr->rsp_prod + i);
	}
	for (uint32_t i = 0; i < s->nredo; i++) {
		const struct jrnl_slot *t = &q->slot[s->redo[i]];

		CHECK(s->redo[i] < q->nslots && t->index < q->hdr->req_cons);
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
	CHECK(q->hdr->req_cons - q->hdr->rsp_prod == s->nreanswer + s->nredo);
	for (uint32_t i = 0; i < s->nreanswer; i++) {
		for (uint32_t k = 0; k < i; k++)
			CHECK(q->slot[s->reanswer[i]].index != q->slot[s->reanswer[k]].index);
		for (uint32_t k = 0; k < s->nredo; k++)
			CHECK(q->slot[s->reanswer[i]].index != q->slot[s->redo[k]].index);
	}
}

static void lay_slots(struct jrnl_q *q, const uint8_t *data, size_t size, bool checks)
{
	static const uint32_t states[] = {JRNL_FREE, JRNL_TAKEN, JRNL_LOADED, JRNL_STARTED, JRNL_DONE, 1};

	for (uint32_t i = 0; i < q->nslots && (i + 1) * sizeof(struct small) <= size; i++) {
		struct jrnl_slot *s = &q->slot[i];
		struct small m;

		memcpy(&m, data + i * sizeof(m), sizeof(m));
		s->state = states[m.state % ARRAY_LEN(states)];
		s->index = q->hdr->req_cons + 2 - m.index;
		s->rsp_idx = q->hdr->rsp_prod + m.rsp_idx - 8;
		s->nlist = m.nlist == 255 ? 0xffffffff : m.nlist * 2u;
		s->result = (int8_t)m.result;
		s->raw[0] = m.result;
		s->blame = JRNL_BLAME(m.result & 7u, 1);
		if (!checks)
			continue;
		s->check_copy = jrnl_check_copy(s);
		s->check_answer = jrnl_check_answer(s);
		if (s->nlist <= JRNL_SEGS_MAX)
			s->check_list = jrnl_check_list(&q->list[i], s->nlist);
	}
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
	nslots = 1u + r.nslots % 32u;
	bytes = jrnl_file_bytes(nslots, NQ);
	mem = aligned_alloc(JRNL_PAGE, bytes); /* no longer: reading behind it shows */
	CHECK(mem);
	memset(mem, 0, bytes);
	jrnl_format(mem, &conn, nslots, &j);
	jrnl_own(&j);
	for (uint32_t i = 0; i < NQ; i++) {
		jrnl_taken(&j.q[i], r.req_cons);
		jrnl_publish(&j.q[i], r.rsp_prod);
	}
	if (r.flags & RAW)
		memcpy((char *)mem + jrnl_queue_offset(nslots, 0), data, MIN(size, bytes - jrnl_queue_offset(nslots, 0)));
	else
		lay_slots(&j.q[0], data, size, !(r.flags & NO_CHECKS));
	if (r.flags & WRONG_HEADER)
		((uint8_t *)mem)[r.header % JRNL_PAGE] ^= (uint8_t)(r.header >> 12 | 1);
	rc = jrnl_open(mem, bytes, &conn, nslots, &k);
	CHECK(rc == 0 || r.flags & WRONG_HEADER);
	if (rc == 0)
		scan(&k, mem, bytes);
	free(mem);
	return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
	static uint8_t buf[1u << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
		fclose(f);
	}
	return 0;
}
#endif
