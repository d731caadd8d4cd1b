/* sup_dirs.h - the supervisor's directories (DESIGN.md section 3). Threads: any. */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_DIRS_H
#define BULKHEAD_RECOVERY_SUPER_SUP_DIRS_H

#include <limits.h>
#include <stddef.h>

struct sup_dirs {
	char run[PATH_MAX - 256];
	char memory[PATH_MAX - 192];   /* on tmpfs, holds the other two; run itself if that is on tmpfs */
	char devs[PATH_MAX - 128];     /* state files */
	char journals[PATH_MAX - 128]; /* and the stores of memory disks */
};

/* Makes them. Journals and state are kept in the runtime directory when that is on tmpfs, else in /dev/shm/bulkhead-UID, in a
 * folder for this runtime directory; 0700 and ours, or it is an error. State is there too because writing it must never
 * wait for a disk, and need not survive the host. *err gets one clear line. 0 or a negative errno. */
int sup_dirs_open(const char *run, struct sup_dirs *d, char *err, size_t size);
/* Removes those that are empty. */
void sup_dirs_remove(const struct sup_dirs *d);

#endif
