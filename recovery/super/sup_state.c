#include "recovery/super/sup_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x3253444842ull /* "BHDS2" */

struct file {
	uint64_t magic, size, sum;
	struct saved_dev dev;
};

/* FNV-1a: against a damaged file, not against an attacker. */
static uint64_t sum_of(const struct saved_dev *d)
{
	const unsigned char *p = (const unsigned char *)d;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < sizeof(*d); i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static int path_of(char *path, const char *dir, uint32_t domid, uint32_t devid, const char *suffix)
{
	int n = snprintf(path, PATH_MAX, "%s/%u-%u%s", dir, domid, devid, suffix);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int sup_state_write(const char *dir, const struct saved_dev *d)
{
	struct file f = {.magic = MAGIC, .size = sizeof(f), .dev = *d};
	char tmp[PATH_MAX], path[PATH_MAX];
	int fd, rc = path_of(path, dir, d->domid, d->devid, "");

	f.sum = sum_of(&f.dev);
	if (!rc)
		rc = path_of(tmp, dir, d->domid, d->devid, ".new");
	if (rc)
		return rc;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
		rc = -EIO;
	close(fd);
	if (!rc && rename(tmp, path) < 0)
		rc = -errno;
	if (rc)
		unlink(tmp);
	return rc;
}

int sup_state_read(const char *dir, uint32_t domid, uint32_t devid, struct saved_dev *d)
{
	char path[PATH_MAX];
	struct file f;
	int fd, rc = path_of(path, dir, domid, devid, "");
	ssize_t n;

	if (rc)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, &f, sizeof(f));
	close(fd);
	if (n < 0)
		return -EIO;
	if (n != (ssize_t)sizeof(f) || f.magic != MAGIC || f.size != sizeof(f) || f.sum != sum_of(&f.dev) ||
	    f.dev.domid != domid || f.dev.devid != devid)
		return -EBADMSG;
	*d = f.dev;
	return 0;
}

void sup_state_remove(const char *dir, uint32_t domid, uint32_t devid)
{
	char path[PATH_MAX];

	if (path_of(path, dir, domid, devid, "") == 0)
		unlink(path);
}

int sup_state_each(const char *dir, void (*fn)(uint32_t domid, uint32_t devid, void *arg), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		uint32_t domid, devid;
		int end = 0;

		if (sscanf(e->d_name, "%" SCNu32 "-%" SCNu32 "%n", &domid, &devid, &end) == 2 && !e->d_name[end])
			fn(domid, devid, arg);
	}
	closedir(d);
	return 0;
}

void sup_name_image(char *name, uint32_t domid, uint32_t devid)
{
	snprintf(name, KEEP_NAME_MAX, "image.%u.%u", domid, devid);
}

void sup_name_ports(char *name, uint32_t domid, uint32_t devid)
{
	snprintf(name, KEEP_NAME_MAX, "ports.%u.%u", domid, devid);
}

void sup_name_proc(char *name, uint64_t serial) { snprintf(name, KEEP_NAME_MAX, "stub.%" PRIu64, serial); }

void sup_name_pokes(char *name, uint64_t serial, uint32_t index)
{
	snprintf(name, KEEP_NAME_MAX, "pokes.%" PRIu64 ".%u", serial, index);
}

void sup_name_held(char *name, uint64_t serial) { snprintf(name, KEEP_NAME_MAX, "held.%" PRIu64, serial); }

bool sup_name_is_image(const char *name) { return strncmp(name, "image.", 6) == 0; }
bool sup_name_is_held(const char *name) { return strncmp(name, "held.", 5) == 0; }

bool sup_name_serial(const char *name, uint64_t *serial)
{
	return sscanf(name, "stub.%" SCNu64, serial) == 1 || sscanf(name, "pokes.%" SCNu64, serial) == 1;
}

bool sup_name_device(const char *name, uint32_t *domid, uint32_t *devid)
{
	return sscanf(name, "image.%" SCNu32 ".%" SCNu32, domid, devid) == 2 ||
	       sscanf(name, "ports.%" SCNu32 ".%" SCNu32, domid, devid) == 2;
}
