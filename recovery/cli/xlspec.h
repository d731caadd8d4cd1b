/* xlspec.h - xl's syntax of disks (xl-disk-configuration(5)), read by libxlutil itself, and of network interfaces
 * (xl-network-configuration(5)), of which libxlutil reads the rate. Threads: one. */
#ifndef BULKHEAD_RECOVERY_CLI_XLSPEC_H
#define BULKHEAD_RECOVERY_CLI_XLSPEC_H

#include "ring/base/spec.h"
#include "xenstore-glue/bus/vif_keys.h"

struct xl_disk {
	char target[SPEC_MAX]; /* what stands in target=, options of ours included: "/x.img,aio=threads" */
	char vdev[32];
	char script[64];
	bool read_only, cdrom, removable, discard;
};

/* specs: the arguments as xl block-attach takes them. 0, or -EINVAL with one clear line in err. */
int xlspec_disk(int nspecs, const char *const *specs, struct xl_disk *out, char *err, size_t size);

/* What stands in xl's vif=: "mac=...,bridge=...", and mode=, antispoof=, params= of ours. */
struct xl_vif {
	struct vif_wanted wanted;
	uint32_t devid; /* UINT32_MAX: not given */
};
/* As above. No key at all is allowed. */
int xlspec_vif(int nspecs, const char *const *specs, struct xl_vif *out, char *err, size_t size);

#endif
