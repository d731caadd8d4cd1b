/* jrnl_rig.h - a journal in memory and requests at any point of their life, made by the journal's own functions. */
#ifndef BULKHEAD_TESTS_UNIT_JOURNAL_JRNL_RIG_H
#define BULKHEAD_TESTS_UNIT_JOURNAL_JRNL_RIG_H

#include "recovery/journal/jrnl_replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct jrig {
	void *mem;
	size_t bytes;
	uint32_t nslots;
	struct conn_id conn;
	struct jrnl j;
};

static inline struct conn_id jrig_conn(uint32_t nqueues)
{
	struct conn_id c = {.domid = 7, .devid = 51712, .type = CONN_VBD, .protocol = CONN_X86_64, .nqueues = nqueues,
			    .ring_pages = 1, .features = CONN_INDIRECT | CONN_FLUSH, .max_segments = 256, .epoch = 3};

	for (unsigned i = 0; i < sizeof(c.vm_uuid); i++)
		c.vm_uuid[i] = (uint8_t)(0x10 + i);
	for (uint32_t i = 0; i < nqueues; i++)
		c.q[i] = (struct conn_queue){.evtchn = 5 + i, .gref = {100 + i}};
	return c;
}

static inline void jrig_open(struct jrig *r, uint32_t nslots, uint32_t nqueues)
{
	memset(r, 0, sizeof(*r));
	r->nslots = nslots;
	r->conn = jrig_conn(nqueues);
	r->bytes = jrnl_file_bytes(nslots, nqueues);
	r->mem = aligned_alloc(JRNL_PAGE, r->bytes);
	assert_non_null(r->mem);
	memset(r->mem, 0x5a, r->bytes); /* a former life's bytes */
	jrnl_format(r->mem, &r->conn, nslots, &r->j);
	jrnl_own(&r->j);
}

static inline void jrig_close(struct jrig *r) { free(r->mem); }

/* Indices of a queue that has run for long. */
static inline void jrig_begin(struct jrnl_q *q, uint64_t rsp_prod, uint64_t req_cons)
{
	jrnl_publish(q, rsp_prod);
	jrnl_taken(q, req_cons);
}

static inline void jrig_take(struct jrnl_q *q, uint32_t slot, uint64_t index)
{
	uint8_t raw[JRNL_RAW];

	for (unsigned i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(index * 31 + i * 7);
	jrnl_take(q, slot, index, raw, sizeof(raw), 123456789 + index);
}

static inline void jrig_load(struct jrnl_q *q, uint32_t slot, uint64_t index, uint32_t nsegs)
{
	uint64_t list[JRNL_SEGS_MAX];

	for (unsigned i = 0; i < nsegs; i++)
		list[i] = (index + 1) * 0x9e3779b97f4a7c15ull + i;
	jrig_take(q, slot, index);
	jrnl_blame(q, slot, 0);
	if (nsegs)
		jrnl_list(q, slot, list, nsegs);
	jrnl_loaded(q, slot, nsegs);
}

static inline void jrig_start(struct jrnl_q *q, uint32_t slot, uint64_t index, uint32_t nsegs)
{
	jrig_load(q, slot, index, nsegs);
	jrnl_started(q, slot);
}

static inline void jrig_done(struct jrnl_q *q, uint32_t slot, uint64_t index, uint64_t rsp_idx, int result)
{
	jrig_start(q, slot, index, 0);
	jrnl_result(q, slot, result);
	jrnl_done(q, slot, rsp_idx);
}

#endif
