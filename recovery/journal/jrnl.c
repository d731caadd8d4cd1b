#include "recovery/journal/jrnl.h"

#include "recovery/journal/jrnl_hdr.h"
#include "ring/base/check.h"

#include <string.h>

uint32_t jrnl_check_copy(const struct jrnl_slot *s)
{
	static_assert(JRNL_RAW % 8 == 0 && offsetof(struct jrnl_slot, raw) % 8 == 0, "whole words");
	return jrnl_sum((const uint64_t *)(const void *)s->raw, JRNL_RAW / 8, MUTANT(CHECK_CHANGING) ? s->index ^ s->blame : s->index);
}

uint32_t jrnl_check_list(const struct jrnl_list *l, uint32_t n) { return jrnl_sum(l->seg, n, n); }

static struct jrnl_form form(const struct conn_id *conn, uint32_t nslots)
{
	return (struct jrnl_form){.magic = JRNL_MAGIC, .version = JRNL_VERSION, .nslots = nslots,
				  .size = jrnl_file_bytes(nslots, conn->nqueues)};
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
	const struct jrnl_form f = form(conn, nslots);

	CHECK(nslots > 0 && nslots <= JRNL_SLOTS_MAX && conn->nqueues > 0 && conn->nqueues <= CONN_QUEUES_MAX);
	lay_out(out, mem, nslots, conn->nqueues);
	jrnl_hdr_begin(out->hdr);
	for (uint32_t i = 0; i < conn->nqueues; i++) {
		struct jrnl_q *q = &out->q[i];

		pm_store64(&q->hdr->req_cons, 0);
		pm_store64(&q->hdr->rsp_prod, 0);
		memset(&q->hdr->stats, 0, sizeof(q->hdr->stats));
		for (uint32_t s = 0; s < nslots; s++)
			jrnl_free(q, s);
	}
	jrnl_hdr_finish(out->hdr, &f, conn);
}

int jrnl_open(void *mem, size_t len, const struct conn_id *conn, uint32_t nslots, struct jrnl *out)
{
	const struct jrnl_form f = form(conn, nslots);
	int rc = jrnl_hdr_look(mem, len, &f, conn);

	if (!rc)
		lay_out(out, mem, nslots, conn->nqueues);
	return rc;
}

uint64_t jrnl_own(struct jrnl *j)
{
	uint64_t g = jrnl_hdr_own(j->hdr);

	for (uint32_t i = 0; i < j->nqueues; i++)
		j->q[i].generation = g;
	return g;
}

void jrnl_list(struct jrnl_q *q, uint32_t slot, const void *segs, uint32_t n)
{
	pm_copy(q->list[slot].seg, segs, n * sizeof(uint64_t));
	pm_store32(&q->slot[slot].check_list, jrnl_check_list(&q->list[slot], n));
}
