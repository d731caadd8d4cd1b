/* dev_admin.h - the toolstack's side: domains and devices in the store, as xl and libxl write them.
 *
 * All are asynchronous; the callback gets rc and, on failure, a line for people in data. Tools wait with xs_sync.h.
 * The client must stay open until the callback, which always comes; xsc_cancel() does not reach these.
 * Needs a connection with domain 0's rights. Names of a guest's own nodes are never trusted: backends are found below the
 * backend domain, not by what the frontend's directory says.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_DEV_ADMIN_H
#define BULKHEAD_XENSTORE_GLUE_BUS_DEV_ADMIN_H

#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/vif_keys.h"
#include "xenstore-glue/client/xs.h"

/* ---- domains; the store must know the domain already (introduced), or its permissions mean nothing ---- */

struct dev_admin_domain {
	uint32_t domid;
	char name[64];
	char uuid[37]; /* "8-4-4-4-12" */
};
/* /local/domain/N and /vm/UUID in one transaction. -EEXIST. */
void dev_admin_domain_create(struct xsc *xs, const struct dev_admin_domain *d, xsc_done_fn *fn, void *arg);
/* Removes all devices that back_domid serves it (as dev_admin_remove with force), then /local/domain/N and its /vm. */
void dev_admin_domain_destroy(struct xsc *xs, uint32_t back_domid, uint32_t domid, uint64_t timeout_ns, xsc_done_fn *fn,
			      void *arg);

/* ---- devices ---- */

struct dev_admin_vbd {
	uint32_t back_domid, domid, devid;
	struct vbd_wanted wanted; /* frontend, frontend_id, dev and online are filled in here */
};
/* Both ends, state 1, in one transaction, with xl's permissions. -EEXIST; -ENOENT: no such domain. */
void dev_admin_vbd_create(struct xsc *xs, const struct dev_admin_vbd *v, xsc_done_fn *fn, void *arg);

/* Both ends once more, for a device whose nodes a store has forgotten with all its domain's: what the toolstack, the backend and
 * the frontend had written, as far as it is known here, with their states, in one transaction. -EEXIST: nodes of that domain's
 * toolstack, or of the device, are there. */
struct dev_admin_ends {
	struct dev_admin_vbd vbd;
	struct vbd_offer offer;
	struct vbd_ask ask;
	unsigned back_state, front_state;
};
void dev_admin_vbd_restore(struct xsc *xs, const struct dev_admin_ends *e, xsc_done_fn *fn, void *arg);

struct dev_admin_vif {
	uint32_t back_domid, domid, devid;
	struct vif_wanted wanted; /* frontend, frontend_id, handle and online are filled in here; the rest of the frontend's from it */
};
/* As those of a vbd. */
void dev_admin_vif_create(struct xsc *xs, const struct dev_admin_vif *v, xsc_done_fn *fn, void *arg);
struct dev_admin_vif_ends {
	struct dev_admin_vif vif;
	struct vif_offer offer;
	struct vif_ask ask;
	unsigned back_state, front_state;
};
void dev_admin_vif_restore(struct xsc *xs, const struct dev_admin_vif_ends *e, xsc_done_fn *fn, void *arg);

struct dev_admin_dev {
	uint32_t back_domid, domid, devid;
	char class_name[8]; /* "vbd", "vif" */
};
/* state=5 and online=0 in the backend's directory, waits for its state 6 (or for its end) at most timeout_ns, then removes
 * both directories. -ETIMEDOUT: nothing was removed, the request to close stands; with force all is removed then, and rc
 * is 0. -ENOENT. */
void dev_admin_remove(struct xsc *xs, const struct dev_admin_dev *d, uint64_t timeout_ns, bool force, xsc_done_fn *fn,
		      void *arg);

#endif
