#include "recovery/journal/jrnl.h"

#include "ring/base/check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <string.h>

uint32_t jrnl_check_copy(const struct jrnl_slot *s)
{
	static_assert(JRNL_RAW % 8 == 0 && offsetof(struct jrnl_slot, raw) % 8 == 0, "whole words");
	return jrnl_sum((const uint64_t *)(const void *)s->raw, JRNL_RAW / 8, MUTANT(CHECK_CHANGING) ? s->index ^ s->blame : s->index);
}

uint32_t jrnl_check_list(const struct jrnl_list *l, uint32_t n) { return jrnl_sum(l->seg, n, n); }

static uint32_t check_header(const struct jrnl_hdr *h)
{
	uint64_t w[offsetof(struct jrnl_hdr, check) / 8];

	static_assert(offsetof(struct jrnl_hdr, check) % 8 == 0, "whole words");
	memcpy(w, h, sizeof(w));
	return jrnl_sum(w, ARRAY_LEN(w), 0);
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

void jrnl_list(struct jrnl_q *q, uint32_t slot, const void *segs, uint32_t n)
{
	pm_copy(q->list[slot].seg, segs, n * sizeof(uint64_t));
	pm_store32(&q->slot[slot].check_list, jrnl_check_list(&q->list[slot], n));
}
