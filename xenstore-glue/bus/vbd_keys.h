/* vbd_keys.h - every xenstore key of a vbd, in both directions, as values (DESIGN.md section 13; <xen/io/blkif.h>).
 *
 * Pure: works on lists of (key, value); reading and writing the store is the caller's. Used by the supervisor, bulkhead(1)
 * and the frontend, so that each key is known in one place. Values read are foreign: every number is bounded.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_VBD_KEYS_H
#define BULKHEAD_XENSTORE_GLUE_BUS_VBD_KEYS_H

#include "ring/base/conn.h"
#include "ring/base/spec.h"
#include "xenstore-glue/bus/xs_kv.h"

/* "xvda" -> 51712, "xvdb3", "xvdaa" -> extended numbers, "51712" -> 51712. 0 or -EINVAL. And back. */
int vbd_devid(const char *vdev, uint32_t *devid);
void vbd_vdev(uint32_t devid, char *vdev, size_t size);

#define VBD_SCRIPT "block-bulkhead" /* the name of our script, by which a disk's line in xl.cfg marks it as ours */
/* The node `script` names it. NULL is allowed. */
bool vbd_marked(const char *script);

/* What the toolstack writes into the backend's directory. */
struct vbd_wanted {
	char frontend[128]; /* its path */
	uint32_t frontend_id;
	bool online, read_only, shared /* w! */, removable, cdrom, bootable, discard_enable;
	char params[SPEC_MAX];
	char dev[16];	/* xvda */
	char type[16];	/* "phy" */
	char script[64];
};
int vbd_wanted_read(const struct xs_kvs *back, struct vbd_wanted *w, char *err, size_t size);
int vbd_wanted_write(const struct vbd_wanted *w, struct xs_kvs *back); /* with state=1 */

/* What the backend offers (state 2) and tells (before state 4). */
struct vbd_offer {
	uint64_t sectors; /* of 512 */
	uint32_t sector_size, physical_size;
	uint32_t info;	  /* VDISK_* */
	bool flush, barrier, discard, discard_secure, persistent;
	uint32_t discard_granularity, discard_alignment;
	uint32_t max_indirect; /* 0: none */
	uint32_t max_queues, max_ring_order;
};
int vbd_offer_write(const struct vbd_offer *o, struct xs_kvs *back);
int vbd_offer_read(const struct xs_kvs *back, struct vbd_offer *o, char *err, size_t size);

/* What the frontend asks for (state 3). */
struct vbd_ask {
	uint32_t protocol;	  /* enum conn_protocol; from "x86_64-abi", "x86_32-abi", absent: native */
	uint32_t nqueues, ring_pages; /* ring_pages: a power of two */
	bool persistent;
	struct conn_queue q[CONN_QUEUES_MAX];
};
int vbd_ask_write(const struct vbd_ask *a, struct xs_kvs *front);
/* Against what was offered: too many queues, order, missing or repeated references, bad numbers are -EPEER with a line. */
int vbd_ask_read(const struct xs_kvs *front, const struct vbd_offer *o, struct vbd_ask *a, char *err, size_t size);

#endif
