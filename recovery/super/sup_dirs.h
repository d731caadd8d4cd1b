/* sup_dirs.h - the supervisor's directories (DESIGN.md section 3). Threads: any. */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_DIRS_H
#define BULKHEAD_RECOVERY_SUPER_SUP_DIRS_H

#include <limits.h>
#include <stddef.h>

struct sup_dirs {
	char run[PATH_MAX - 256];
	char devs[PATH_MAX - 128];     /* state files */
	char journals[PATH_MAX - 128]; /* on tmpfs */
};

/* Makes them. Journals are kept in the runtime directory when that is on tmpfs, else in /dev/shm/bulkhead-UID, in a
 * folder for this runtime directory; 0700 and ours, or it is an error. *err gets one clear line. 0 or a negative errno. */
int sup_dirs_open(const char *run, struct sup_dirs *d, char *err, size_t size);

#endif
