/* xenbus_scan.h - the devices of one class that a backend domain has: found at the start, then followed.
 *
 * Reads the tree below /local/domain/BACK/backend/CLASS at the start, after every reconnect, and when something changes
 * there; one scan at a time, so a storm of changes costs two scans. Threads: the loop's.
 * Names are the toolstack's, yet numbers are checked; what is no number is ignored, loudly.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_SCAN_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XENBUS_SCAN_H

#include "xenstore-glue/client/xs.h"

#define XENBUS_SCAN_MAX 8192u /* devices; more are ignored with an error in the log */

enum xenbus_scan_event {
	XENBUS_APPEARED,
	XENBUS_VANISHED,
	XENBUS_LOST, /* not there any more after the store was away: a store that forgot, not a toolstack that removed */
};
typedef void xenbus_scan_fn(enum xenbus_scan_event ev, uint32_t domid, uint32_t devid, void *arg);

struct xenbus_scan;
/* class_name "vbd" or "vif". fn is called for each device. -EINVAL, -ENOSPC. */
int xenbus_scan_open(struct xsc *xs, uint32_t back_domid, const char *class_name, xenbus_scan_fn *fn, void *arg,
		     struct xenbus_scan **out);
void xenbus_scan_close(struct xenbus_scan *s); /* NULL is allowed; from any callback */
/* Drops what is known of one device and looks again: if it is there it appears anew. After a device's REMOVED
 * (xenbus_end.h), because removal and creation at once look like nothing in a list of names. */
void xenbus_scan_again(struct xenbus_scan *s, uint32_t domid, uint32_t devid);
/* True once the first whole scan has been reported. */
bool xenbus_scan_settled(const struct xenbus_scan *s);

#endif
