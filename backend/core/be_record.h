/* be_record.h - the start record that a stub finds in a sealed memfd (ring/os/stub_wire.h): read, judged, copied.
 *
 * Trust: the supervisor's; it is checked all the same, so that a version that does not fit says so instead of running wild.
 * Threads: one. Errors: negative errno with one clear line in err.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_RECORD_H
#define BULKHEAD_BACKEND_CORE_BE_RECORD_H

#include "ring/os/stub_wire.h"

#include <stdbool.h>
#include <stddef.h>

enum be_purpose {
	BE_SERVE,
	BE_PROBE, /* one device, of which only the storage's part is looked at: there is no connection yet */
};

/* Of each queue two ports of two descriptors, one for poking, a netport's; of each device the image's, a vif's steering map, and a
 * control ring's port; the control socket. */
#define BE_FDS_MAX (STUB_DEVS_MAX * (6 * CONN_QUEUES_MAX + 4) + 1)

/* The descriptors that the record names, STUB_FD_CTL among them, ascending: what may stay open. */
struct be_fds {
	size_t n;
	int fd[BE_FDS_MAX];
};

/* Reads the whole record from fd, which must be sealed against any change. *out is the caller's to free(). */
int be_record_read(int fd, enum be_purpose purpose, struct stub_start **out, char *err, size_t size);
/* Is this, so many bytes long, a record that can be served? Pure. -EINVAL. */
int be_record_check(const struct stub_start *s, size_t bytes, enum be_purpose purpose, char *err, size_t size);
/* Of a record that was checked. -EINVAL: a descriptor is named twice, or is one of the first five. Pure. */
int be_record_fds(const struct stub_start *s, enum be_purpose purpose, struct be_fds *out, char *err, size_t size);

#endif
