#include "recovery/super/sup_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x3553444842ull /* "BHDS5" */

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

/* By enum conn_type. */
static const char *const type_name[] = {[CONN_VBD] = "vbd", [CONN_VIF] = "vif"};

int sup_id_format(char *text, size_t size, const char *head, struct dev_id id)
{
	return snprintf(text, size, "%s%s-%u-%u", head, id.type < ARRAY_LEN(type_name) && id.type ? type_name[id.type] : "?", id.domid, id.devid);
}

bool sup_id_parse(const char *text, const char *head, struct dev_id *id, int *end)
{
	size_t n = strlen(head);
	char name[8];

	*end = 0;
	if (strncmp(text, head, n) != 0 ||
	    sscanf(text + n, "%7[a-z]-%" SCNu32 "-%" SCNu32 "%n", name, &id->domid, &id->devid, end) != 3)
		return false;
	*end += (int)n;
	for (id->type = CONN_VBD; id->type < ARRAY_LEN(type_name); id->type++)
		if (strcmp(name, type_name[id->type]) == 0)
			return true;
	return false;
}

static int path_of(char *path, const char *dir, struct dev_id id, const char *suffix)
{
	char name[64];
	int n;

	sup_id_format(name, sizeof(name), "", id);
	n = snprintf(path, PATH_MAX, "%s/%s%s", dir, name, suffix);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int sup_state_write(const char *dir, const struct saved_dev *d)
{
	struct file f = {.magic = MAGIC, .size = sizeof(f), .dev = *d};
	char tmp[PATH_MAX], path[PATH_MAX];
	int fd, rc = path_of(path, dir, d->id, "");

	f.sum = sum_of(&f.dev);
	if (!rc)
		rc = path_of(tmp, dir, d->id, ".new");
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

int sup_state_read(const char *dir, struct dev_id id, struct saved_dev *d)
{
	char path[PATH_MAX];
	struct file f;
	int fd, rc = path_of(path, dir, id, "");
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
	    memcmp(&f.dev.id, &id, sizeof(id)) != 0)
		return -EBADMSG;
	*d = f.dev;
	return 0;
}

void sup_state_remove(const char *dir, struct dev_id id)
{
	char path[PATH_MAX];

	if (path_of(path, dir, id, "") == 0)
		unlink(path);
}

int sup_state_each(const char *dir, void (*fn)(struct dev_id id, void *arg), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		struct dev_id id;
		int end;

		if (sup_id_parse(e->d_name, "", &id, &end) && !e->d_name[end])
			fn(id, arg);
	}
	closedir(d);
	return 0;
}

void sup_name_store(char *name, struct dev_id id) { sup_id_format(name, KEEP_NAME_MAX, "store.", id); }
void sup_name_ports(char *name, struct dev_id id) { sup_id_format(name, KEEP_NAME_MAX, "ports.", id); }
void sup_name_proc(char *name, uint64_t serial) { snprintf(name, KEEP_NAME_MAX, "stub.%" PRIu64, serial); }

void sup_name_pokes(char *name, uint64_t serial, uint32_t index)
{
	snprintf(name, KEEP_NAME_MAX, "pokes.%" PRIu64 ".%u", serial, index);
}

void sup_name_held(char *name, uint64_t serial) { snprintf(name, KEEP_NAME_MAX, "held.%" PRIu64, serial); }

bool sup_name_is_store(const char *name) { return strncmp(name, "store.", 6) == 0; }
bool sup_name_is_held(const char *name) { return strncmp(name, "held.", 5) == 0; }

bool sup_name_serial(const char *name, uint64_t *serial)
{
	return sscanf(name, "stub.%" SCNu64, serial) == 1 || sscanf(name, "pokes.%" SCNu64, serial) == 1;
}

bool sup_name_device(const char *name, struct dev_id *id)
{
	int end;

	return sup_id_parse(name, "store.", id, &end) || sup_id_parse(name, "ports.", id, &end);
}
