#include "recovery/journal/jrnl_hdr.h"

#include "recovery/journal/jrnl_check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <string.h>

static uint32_t check_header(const struct jrnl_hdr *h)
{
	uint64_t w[offsetof(struct jrnl_hdr, check) / 8];

	static_assert(offsetof(struct jrnl_hdr, check) % 8 == 0, "whole words");
	memcpy(w, h, sizeof(w));
	return jrnl_sum(w, ARRAY_LEN(w), 0);
}

void jrnl_hdr_begin(struct jrnl_hdr *h) { pm_store32(&h->valid, 0); }

void jrnl_hdr_finish(struct jrnl_hdr *at, const struct jrnl_form *f, const struct conn_id *conn)
{
	struct jrnl_hdr h = {.magic = f->magic, .version = f->version, .nslots = f->nslots, .size = f->size, .conn = *conn};

	h.check = check_header(&h);
	pm_copy(at, &h, offsetof(struct jrnl_hdr, check));
	pm_store32(&at->check, h.check);
	pm_store32(&at->flush_failed, 0);
	pm_store64(&at->generation, JRNL_GENERATION(0));
	pm_store32(&at->valid, JRNL_VALID);
}

int jrnl_hdr_look(const struct jrnl_hdr *h, size_t len, const struct jrnl_form *f, const struct conn_id *conn)
{
	if (len < f->size)
		return -EBADMSG;
	if (READ_ONCE_U32(&h->valid) == 0)
		return -EMISMATCH;
	if (h->valid != JRNL_VALID || h->magic != f->magic || h->version != f->version || check_header(h) != h->check)
		return -EBADMSG;
	if ((h->flush_failed != 0 && h->flush_failed != JRNL_FLUSH_FAILED) ||
	    h->generation != JRNL_GENERATION(JRNL_GENERATION_OF(h->generation)))
		return -EBADMSG;
	return memcmp(&h->conn, conn, sizeof(*conn)) != 0 || h->nslots != f->nslots ? -EMISMATCH : 0;
}

uint64_t jrnl_hdr_own(struct jrnl_hdr *h)
{
	uint64_t g = JRNL_GENERATION_OF(READ_ONCE_U64(&h->generation)) + 1;

	pm_store64(&h->generation, JRNL_GENERATION(g));
	return g;
}
