/* sup.h - the supervisor: from xenstore's wishes to living stubs (DESIGN.md section 8).
 *
 * Owns: everything below it. Threads: one loop; nothing blocks but calls to the hub and, at the start, to the keeper,
 * each of which is bounded. Fork/exec: stubs and probes by sup_spawn.h; all else is close-on-exec.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_H
#define BULKHEAD_RECOVERY_SUPER_SUP_H

#include "ring/os/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sup_placement { SUP_PER_DEVICE, SUP_PER_VM, SUP_MONOLITHIC };

#define SUP_UID_BASE 165536u /* stubs of domain D run as user SUP_UID_BASE + D, when the supervisor is root */

struct sup_options {
	const char *dir;      /* runtime directory, made already */
	const char *libexec;  /* where bulkhead-blk is */
	const char *provider; /* "local" or "xen" */
	enum sup_placement placement;
	bool disks_marked;    /* serve only disks whose script is VBD_SCRIPT, */
	bool vifs_marked;     /* vifs whose script is VIF_SCRIPT */
	bool standby;	      /* default of the devices' own option */
	uint64_t hang_ns;     /* likewise */
	uint32_t uid_base;
};

struct sup;

/* Takes the lock of the runtime directory, adopts what a predecessor left, and begins. *err gets one clear line.
 * -EBUSY: another one runs there. o's strings stay the caller's and must outlive it. */
int sup_open(struct loop *l, const struct sup_options *o, struct sup **out, char *err, size_t size);
/* Ends every connection in order (drain, then kill), then loop_stop(). */
void sup_stop(struct sup *s);
/* Lets go of everything; stubs that live are left alone for a successor. */
void sup_close(struct sup *s);

#endif
