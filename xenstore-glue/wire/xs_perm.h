/* xs_perm.h - permissions of xenstore nodes: their text ("n0", "r5") and who may do what.
 *
 * The first entry names the owner, who may do everything, and what those not listed may do. Domain 0 may do everything.
 * Pure: no system calls, no allocation. Threads: any. Trust: the texts come from peers.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_WIRE_XS_PERM_H
#define BULKHEAD_XENSTORE_GLUE_WIRE_XS_PERM_H

#include "ring/base/base.h"

#include <stdbool.h>

#define XS_DOMID_FIRST_RESERVED 0x7FF0u /* DOMID_FIRST_RESERVED of xen.h: domains have smaller numbers */
#define XS_DOMID_NONE 0xFFFFu

#define XS_MAY_READ 1u
#define XS_MAY_WRITE 2u
#define XS_MAY_OWN 4u /* change permissions; never in an entry, only in the answer of xs_perm_may() */

struct xs_perm {
	uint16_t domid;
	uint8_t may;	 /* XS_MAY_READ | XS_MAY_WRITE */
	uint8_t ignored; /* the domain did not exist when the entry was made: it grants nothing to a later one */
};

/* Room for the text of one entry with its NUL: "r32751". */
#define XS_PERM_TEXT 8

/* On whose behalf: a connection's domain, and the domain whose rights it has as well (XS_SET_TARGET) or XS_DOMID_NONE. */
struct xs_cred {
	uint16_t domid;
	uint16_t target;
};

static inline bool xs_cred_privileged(const struct xs_cred *c) { return c->domid == 0; }

/* "n", "r", "w" or "b" and a domid below XS_DOMID_FIRST_RESERVED. 0 or -EINVAL. */
int xs_perm_parse(const char *text, struct xs_perm *out);
void xs_perm_format(const struct xs_perm *p, char out[XS_PERM_TEXT]);
/* What c may do with a node that has these n >= 1 entries: XS_MAY_* bits. */
unsigned xs_perm_may(const struct xs_cred *c, const struct xs_perm *perms, size_t n);

#endif
