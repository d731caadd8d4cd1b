/* xs_record.h - what one change of the store looks like in its log: bytes and back. Pure.
 *
 * A record is a header (length, serial number, check word, the store's generation) and items: a node as a whole, a removal,
 * a domain set or released. A record counts as a whole or not at all: one whose bytes are not all there, or whose check word
 * is wrong, is where the log ends. Numbers are host-endian: the log never leaves its host's memory.
 * Threads: one. Trust: the bytes come from a file that only this user may write, yet nothing in them is believed before it
 * is checked.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_RECORD_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_RECORD_H

#include "xenstore-glue/store/xs_store.h"

struct xs_recbuf {
	char *p;
	size_t len, room;
	bool full; /* no memory */
	unsigned items;
};

void xs_rec_begin(struct xs_recbuf *b);
void xs_rec_node(struct xs_recbuf *b, const char *path, size_t len, const struct xs_node *n);
void xs_rec_rm(struct xs_recbuf *b, const char *path, size_t len);
void xs_rec_dom(struct xs_recbuf *b, const struct xs_dom *d);
void xs_rec_undom(struct xs_recbuf *b, uint16_t domid);
/* Finishes the header but for what xs_rec_seal() fills in. Number of items (0: nothing to record), or -ENOMEM, -E2BIG. */
int xs_rec_end(struct xs_recbuf *b, uint64_t gen);
void xs_rec_free(struct xs_recbuf *b);

/* Serial number and check word, in place, just before the record is written. */
void xs_rec_seal(void *rec, size_t len, uint64_t serial);
/* Size of the record at p if it is whole, right, and has this serial number; 0 otherwise. */
size_t xs_rec_check(const void *p, size_t len, uint64_t serial);
/* Applies the items of a checked record to the store, without recording. 0; -EBADMSG: nonsense inside; -ENOMEM. */
int xs_rec_apply(struct xs_store *st, const void *rec, size_t len);

#endif
