/* sup_state.h - what a successor of the supervisor must know of a device, as one small file each (devs/vbd-D-DEV,
 * sup_dirs.h).
 *
 * Replaced whole by rename, so a reader finds the former or the new, never half. It need not survive the host's end, so
 * nothing is synced. What it says of processes is checked against what the keeper holds before it is believed.
 * Threads: any, one file at a time. Trust: the directory is the supervisor's own; a damaged file is -EBADMSG.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_STATE_H
#define BULKHEAD_RECOVERY_SUPER_SUP_STATE_H

#include "recovery/super/keep_wire.h"
#include "recovery/super/sup_policy.h"
#include "ring/base/conn.h"
#include "ring/base/net_spec.h"
#include "ring/base/spec.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/vif_keys.h"

#include <stdbool.h>

/* Which device. */
struct dev_id {
	uint32_t type; /* enum conn_type */
	uint32_t domid, devid;
};

/* Of a connection: one or two of each queue, then the control ring's. */
#define SUP_PORTS_MAX (2 * CONN_QUEUES_MAX + 1)

/* A stub, as its starter knew it. serial 0: none. */
struct saved_proc {
	uint64_t serial;     /* names the keeper's descriptors */
	int32_t pid;
	uint32_t index;	     /* of the device in its record */
	uint32_t ready, pad; /* a standby: said READY; an active one: CONNECTED or RESUMED */
};

/* Of a disk. */
struct saved_vbd {
	uint64_t image_dev, image_ino, fence_base;
	struct vbd_offer offer;
	struct vbd_wanted wanted; /* as offered */
};

/* Of a vif. */
struct saved_vif {
	struct vif_offer offer;
	struct vif_wanted wanted;
	struct vif_ask ask;
	char tap[16];	/* its name; "": there is none */
	uint32_t tap_index;
	uint32_t side;	/* of a pair */
	uint32_t stalled;
	uint32_t script_runs; /* state 4 waits for it */
	uint32_t filtered, pad;
	struct net_filter filter; /* set by an operator, if filtered */
};

struct saved_dev {
	struct dev_id id;
	uint32_t state;	     /* enum ctl_state */
	uint32_t connected;  /* a journal with a valid header exists: what starts next resumes */
	struct conn_id conn; /* valid when nports > 0 */
	uint64_t epoch;	     /* last one used */
	uint64_t generation, restarts, serial;
	uint32_t nports, port_nfds;
	uint32_t local_port[SUP_PORTS_MAX];
	struct saved_proc active, standby;
	struct sup_policy policy;
	union { /* by id.type */
		struct saved_vbd vbd;
		struct saved_vif vif;
	};
	char text[160];	       /* why broken or failed */
};

/* 0 or a negative errno. */
int sup_state_write(const char *dir, const struct saved_dev *d);
/* -ENOENT, -EBADMSG (cut, damaged, of another version), or another negative errno. */
int sup_state_read(const char *dir, struct dev_id id, struct saved_dev *d);
void sup_state_remove(const char *dir, struct dev_id id);
/* Calls fn for every file there is. */
int sup_state_each(const char *dir, void (*fn)(struct dev_id id, void *arg), void *arg);

/* Name of a file or descriptors of one device, "HEADvbd-D-DEV": so many characters. And back: true when text is just that. */
int sup_id_format(char *text, size_t size, const char *head, struct dev_id id);
bool sup_id_parse(const char *text, const char *head, struct dev_id *id, int *end);

/* Names of descriptors in the keeper. Formatted into KEEP_NAME_MAX bytes. */
void sup_name_store(char *name, struct dev_id id); /* what it keeps while it is attached: the image's reservation */
void sup_name_ports(char *name, struct dev_id id);
void sup_name_proc(char *name, uint64_t serial);			 /* pidfd, control socket */
void sup_name_pokes(char *name, uint64_t serial, uint32_t index);	 /* of one device of its record */
void sup_name_held(char *name, uint64_t serial);			 /* a reservation of no device any more */
bool sup_name_is_held(const char *name);
bool sup_name_is_store(const char *name);
/* True and the serial for a name of sup_name_proc or sup_name_pokes. */
bool sup_name_serial(const char *name, uint64_t *serial);
/* True and the device for a name of sup_name_store or sup_name_ports. */
bool sup_name_device(const char *name, struct dev_id *id);

#endif
