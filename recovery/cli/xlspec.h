/* xlspec.h - xl's disk syntax (xl-disk-configuration(5)), read by libxlutil itself. Threads: one. */
#ifndef BULKHEAD_RECOVERY_CLI_XLSPEC_H
#define BULKHEAD_RECOVERY_CLI_XLSPEC_H

#include "ring/base/spec.h"

struct xl_disk {
	char target[SPEC_MAX]; /* what stands in target=, options of ours included: "/x.img,aio=threads" */
	char vdev[32];
	char script[64];
	bool read_only, cdrom, removable, discard;
};

/* specs: the arguments as xl block-attach takes them. 0, or -EINVAL with one clear line in err. */
int xlspec_disk(int nspecs, const char *const *specs, struct xl_disk *out, char *err, size_t size);

#endif
