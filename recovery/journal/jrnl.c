#include "recovery/journal/jrnl.h"

#include "ring/base/check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <string.h>

/* CRC32C of whole words, in two lanes since the instruction takes three cycles but can begin every cycle. A flipped bit
 * changes its lane, and a changed lane the whole. */
#if defined(__x86_64__)
#define CRC_TARGET __attribute__((target("sse4.2")))
static inline CRC_TARGET uint64_t crc64(uint64_t crc, uint64_t w) { return __builtin_ia32_crc32di(crc, w); }
#else
#define CRC_TARGET
static uint64_t crc64(uint64_t crc, uint64_t w)
{
	uint32_t c = (uint32_t)crc;

	for (int i = 0; i < 64; i++, w >>= 1)
		c = (c >> 1) ^ (0x82f63b78u & (0u - ((c ^ (uint32_t)w) & 1)));
	return c;
}
#endif

static CRC_TARGET uint32_t check_words(uint64_t seed, const void *mem, size_t nwords)
{
	const uint64_t *w = mem;
	uint64_t a = crc64(~0u, seed), b = 0x5bd1e995u;
	size_t i = 0;

	for (; i + 1 < nwords; i += 2) {
		a = crc64(a, w[i]);
		b = crc64(b, w[i + 1]);
	}
	if (i < nwords)
		a = crc64(a, w[i]);
	return (uint32_t)crc64(a, b);
}

uint32_t jrnl_check_copy(const struct jrnl_slot *s) { return check_words(s->index, s->raw, JRNL_RAW / 8); }

uint32_t jrnl_check_list(const struct jrnl_list *l, uint32_t n) { return check_words(n, l->seg, n); }

uint32_t jrnl_check_answer(const struct jrnl_slot *s)
{
	uint64_t w[2] = {s->rsp_idx, (uint32_t)s->result};

	return check_words(s->index, w, 2);
}

static uint32_t check_header(const struct jrnl_hdr *h)
{
	uint64_t w[offsetof(struct jrnl_hdr, check) / 8];

	static_assert(offsetof(struct jrnl_hdr, check) % 8 == 0, "whole words");
	memcpy(w, h, sizeof(w));
	return check_words(0, w, ARRAY_LEN(w));
}

static void lay_out(struct jrnl *j, void *mem, uint32_t nslots, uint32_t nqueues)
{
	memset(j, 0, sizeof(*j));
	j->hdr = mem;
	j->nslots = nslots;
	j->nqueues = nqueues;
	for (uint32_t i = 0; i < nqueues; i++) {
		char *at = (char *)mem + jrnl_queue_offset(nslots, i);

		j->q[i].hdr = (struct jrnl_queue *)at;
		j->q[i].slot = (struct jrnl_slot *)(at + JRNL_PAGE);
		j->q[i].list = (struct jrnl_list *)(at + JRNL_PAGE + nslots * sizeof(struct jrnl_slot));
		j->q[i].nslots = nslots;
	}
}

void jrnl_format(void *mem, const struct conn_id *conn, uint32_t nslots, struct jrnl *out)
{
	struct jrnl_hdr h = {.magic = JRNL_MAGIC, .version = JRNL_VERSION, .nslots = nslots,
			     .size = jrnl_file_bytes(nslots, conn->nqueues), .conn = *conn};

	CHECK(nslots > 0 && nslots <= JRNL_SLOTS_MAX && conn->nqueues > 0 && conn->nqueues <= CONN_QUEUES_MAX);
	h.check = check_header(&h);
	lay_out(out, mem, nslots, conn->nqueues);
	/* Not valid while it is being made: a successor that finds it half made starts it anew. */
	pm_store32(&out->hdr->valid, 0);
	for (uint32_t i = 0; i < conn->nqueues; i++) {
		struct jrnl_q *q = &out->q[i];

		pm_store64(&q->hdr->req_cons, 0);
		pm_store64(&q->hdr->rsp_prod, 0);
		memset(&q->hdr->stats, 0, sizeof(q->hdr->stats));
		for (uint32_t s = 0; s < nslots; s++)
			jrnl_free(q, s);
	}
	pm_copy(out->hdr, &h, offsetof(struct jrnl_hdr, check));
	pm_store32(&out->hdr->check, h.check);
	pm_store32(&out->hdr->flush_failed, 0);
	pm_store64(&out->hdr->generation, JRNL_GENERATION(0));
	pm_store32(&out->hdr->valid, JRNL_VALID);
}

int jrnl_open(void *mem, size_t len, const struct conn_id *conn, uint32_t nslots, struct jrnl *out)
{
	const struct jrnl_hdr *h = mem;

	if (len < jrnl_file_bytes(nslots, conn->nqueues))
		return -EBADMSG;
	if (READ_ONCE_U32(&h->valid) == 0)
		return -EMISMATCH;
	if (h->valid != JRNL_VALID || h->magic != JRNL_MAGIC || h->version != JRNL_VERSION || check_header(h) != h->check)
		return -EBADMSG;
	if ((h->flush_failed != 0 && h->flush_failed != JRNL_FLUSH_FAILED) ||
	    h->generation != JRNL_GENERATION(JRNL_GENERATION_OF(h->generation)))
		return -EBADMSG;
	if (memcmp(&h->conn, conn, sizeof(*conn)) != 0 || h->nslots != nslots)
		return -EMISMATCH;
	lay_out(out, mem, nslots, conn->nqueues);
	return 0;
}

uint64_t jrnl_own(struct jrnl *j)
{
	uint64_t g = JRNL_GENERATION_OF(READ_ONCE_U64(&j->hdr->generation)) + 1;

	pm_store64(&j->hdr->generation, JRNL_GENERATION(g));
	for (uint32_t i = 0; i < j->nqueues; i++)
		j->q[i].generation = g;
	return g;
}

void jrnl_take(struct jrnl_q *q, uint32_t slot, uint64_t index, const void *raw, size_t len, uint64_t now)
{
	struct jrnl_slot *s = &q->slot[slot];

	pm_store32(&s->state, JRNL_FREE);
	pm_copy(s->raw, raw, len);
	pm_store64(&s->blame, JRNL_BLAME(0u, 0));
	pm_store64(&s->index, index);
	pm_store32(&s->check_copy, jrnl_check_copy(s));
	pm_stat64(&s->taken_at, now);
	pm_store32(&s->state, JRNL_TAKEN);
}

void jrnl_list(struct jrnl_q *q, uint32_t slot, const void *segs, uint32_t n)
{
	pm_copy(q->list[slot].seg, segs, n * sizeof(uint64_t));
	pm_store32(&q->slot[slot].check_list, jrnl_check_list(&q->list[slot], n));
}

void jrnl_done(struct jrnl_q *q, uint32_t slot, uint64_t rsp_idx)
{
	struct jrnl_slot *s = &q->slot[slot];

	pm_store64(&s->rsp_idx, rsp_idx);
	pm_store32(&s->check_answer, jrnl_check_answer(s));
	pm_store32(&s->state, JRNL_DONE);
}
