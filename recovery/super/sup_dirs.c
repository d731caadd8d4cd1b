#include "recovery/super/sup_dirs.h"

#include "ring/os/rundir.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SHM "/dev/shm"

static bool on_tmpfs(const char *path)
{
	struct statfs f;

	return statfs(path, &f) == 0 && (f.f_type == TMPFS_MAGIC || f.f_type == RAMFS_MAGIC);
}

/* A directory of our own that nobody else may even look into. */
static int make_private(const char *path, char *err, size_t size)
{
	int rc = rundir_make(path);

	if (rc == -EPERM)
		snprintf(err, size, "%s belongs to somebody else, or others may write to it: remove it", path);
	else if (rc)
		snprintf(err, size, "can not make the directory %s: %s", path, strerror(-rc));
	return rc;
}

/* Tells apart the worlds of one user; the whole path would not do for a name. */
static uint64_t tag_of(const char *path)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3ull;
	return h;
}

static int in_shm(struct sup_dirs *d, char *err, size_t size)
{
	char mine[64];
	int rc;

	if (!on_tmpfs(SHM)) {
		snprintf(err, size, "neither %s nor " SHM " is on tmpfs: journals need memory that outlives a process", d->run);
		return -ENOTSUP;
	}
	snprintf(mine, sizeof(mine), SHM "/bulkhead-%u", (unsigned)geteuid());
	rc = make_private(mine, err, size);
	snprintf(d->memory, sizeof(d->memory), "%s/%016" PRIx64, mine, tag_of(d->run));
	return rc ? rc : make_private(d->memory, err, size);
}

int sup_dirs_open(const char *run, struct sup_dirs *d, char *err, size_t size)
{
	char *real = realpath(run, NULL);
	int rc = real ? 0 : -errno;

	if (!rc && strlen(real) >= sizeof(d->run))
		rc = -ENAMETOOLONG;
	if (rc) {
		snprintf(err, size, "%s: %s", run, strerror(-rc));
		free(real);
		return rc;
	}
	strcpy(d->run, real);
	strcpy(d->memory, real);
	free(real);
	if (!on_tmpfs(d->run))
		rc = in_shm(d, err, size);
	snprintf(d->devs, sizeof(d->devs), "%s/devs", d->memory);
	snprintf(d->journals, sizeof(d->journals), "%s/journals", d->memory);
	if (!rc)
		rc = make_private(d->devs, err, size);
	return rc ? rc : make_private(d->journals, err, size);
}

void sup_dirs_remove(const struct sup_dirs *d)
{
	rmdir(d->devs);
	rmdir(d->journals);
	if (strcmp(d->memory, d->run) != 0)
		rmdir(d->memory);
}
