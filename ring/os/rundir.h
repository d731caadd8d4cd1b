/* rundir.h - where the daemons of one world meet: sockets, locks, state (DESIGN.md section 3). Threads: any. */
#ifndef BULKHEAD_RING_OS_RUNDIR_H
#define BULKHEAD_RING_OS_RUNDIR_H

#include <stddef.h>

/* given (may be NULL), else $BULKHEAD_RUNTIME_DIR, else /run/bulkhead as root, else $XDG_RUNTIME_DIR/bulkhead, else
 * /tmp/bulkhead-UID. 0 or -ENAMETOOLONG. Does not create it. */
int rundir_default(const char *given, char *path, size_t size);
/* Makes it (0700; parents must exist) and checks that it belongs to us and nobody else may write there.
 * 0, or a negative errno; -EPERM: it is somebody else's. */
int rundir_make(const char *path);
/* path = dir "/" name. -ENAMETOOLONG. */
int rundir_file(const char *dir, const char *name, char *path, size_t size);

/* Where the other programs are: $BULKHEAD_LIBEXEC, else the folder of this program if `probe` is there, else
 * ../libexec/bulkhead beside it. 0, -ENOENT. */
int rundir_libexec(const char *probe, char *path, size_t size);

#endif
