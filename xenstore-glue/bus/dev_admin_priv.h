/* dev_admin_priv.h - what the files of dev_admin.h share. */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_DEV_ADMIN_PRIV_H
#define BULKHEAD_XENSTORE_GLUE_BUS_DEV_ADMIN_PRIV_H

#include "xenstore-glue/bus/dev_admin.h"

static inline struct xs_perm admin_perm(uint32_t domid, unsigned may)
{
	return (struct xs_perm){.domid = (uint16_t)domid, .may = (uint8_t)may};
}
/* out: base "/" fmt... Too long for the protocol is refused by the batch. */
const char *admin_below(char out[XS_PATH_SIZE], const char *base, const char *fmt, ...) PRINTF_LIKE(3, 4);
void admin_dir(struct xsc_batch *b, const char *path, const struct xs_perm *p, size_t n);

#endif
