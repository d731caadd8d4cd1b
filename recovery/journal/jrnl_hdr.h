/* jrnl_hdr.h - the first page of every kind of journal: whose it is, whether it is valid, and which generation owns it.
 *
 * Pure: works on memory that the caller mapped. Every store goes through pm.h. Threads: the control thread.
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_HDR_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_HDR_H

#include "recovery/journal/jrnl_fmt.h"

/* What tells one kind and size of journal from another. */
struct jrnl_form {
	uint64_t magic;
	uint32_t version, nslots;
	uint64_t size; /* of the file */
};

/* Not valid from here on, while it is made: a successor that finds it half made starts it anew. */
void jrnl_hdr_begin(struct jrnl_hdr *h);
/* Writes all of it, valid last; generation 0. */
void jrnl_hdr_finish(struct jrnl_hdr *h, const struct jrnl_form *f, const struct conn_id *conn);
/* Looks at what is there (len bytes); stores nothing. 0; -EMISMATCH: it belongs to another connection, or is none; -EBADMSG: it is
 * damaged. */
int jrnl_hdr_look(const struct jrnl_hdr *h, size_t len, const struct jrnl_form *f, const struct conn_id *conn);
/* The first store of a new owner: its generation. Returns it. */
uint64_t jrnl_hdr_own(struct jrnl_hdr *h);

#endif
