#include "ring/os/rundir.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(char *path, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int put(char *path, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, size, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int rundir_default(const char *given, char *path, size_t size)
{
	const char *e = given ? given : getenv("BULKHEAD_RUNTIME_DIR");

	if (e && *e)
		return put(path, size, "%s", e);
	if (geteuid() == 0)
		return put(path, size, "/run/bulkhead");
	e = getenv("XDG_RUNTIME_DIR");
	if (e && *e)
		return put(path, size, "%s/bulkhead", e);
	return put(path, size, "/tmp/bulkhead-%u", (unsigned)geteuid());
}

int rundir_make(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return -EPERM;
	return 0;
}

int rundir_file(const char *dir, const char *name, char *path, size_t size) { return put(path, size, "%s/%s", dir, name); }

static bool has(const char *dir, const char *probe)
{
	char file[4096];

	return put(file, sizeof(file), "%s/%s", dir, probe) == 0 && access(file, X_OK) == 0;
}

int rundir_libexec(const char *probe, char *path, size_t size)
{
	char self[2048], up[2100];
	const char *e = getenv("BULKHEAD_LIBEXEC");
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (e && *e)
		return has(e, probe) ? put(path, size, "%s", e) : -ENOENT;
	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	if (has(self, probe))
		return put(path, size, "%s", self);
	if (put(up, sizeof(up), "%s/../libexec/bulkhead", self) || !has(up, probe))
		return -ENOENT;
	return put(path, size, "%s", up);
}
