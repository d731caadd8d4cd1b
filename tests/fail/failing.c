/* Linked into programs with --wrap for each of these functions: they fail when they are told to (failing.h). */
#include "ring/hv/hv.h"
#include "tests/fail/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* the names are the linker's */

static struct failing *ctl;

int __real_open(const char *path, int flags, ...);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

/* Before the program closes what it does not know and gives up its rights. */
__attribute__((constructor)) static void map_control(void)
{
	const char *name = getenv(FAILING_ENV);
	int fd = name ? __real_open(name, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = __real_mmap(NULL, sizeof(*ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	ctl = p == MAP_FAILED ? NULL : p;
}

static int fails(enum failing_kind kind, int err, const char *where)
{
	if (!ctl || __atomic_load_n(&ctl->kind, __ATOMIC_ACQUIRE) != kind ||
	    __atomic_add_fetch(&ctl->count, 1, __ATOMIC_ACQ_REL) != ctl->at)
		return 0;
	strncpy(ctl->where, where, sizeof(ctl->where) - 1);
	__atomic_store_n(&ctl->fired, 1, __ATOMIC_RELEASE);
	errno = err;
	return 1;
}

/* A function of fixed arguments: its type, name, parameters, arguments, and how it fails. */
#define WRAP(type, name, params, args, kind, err, result)      \
	type __real_##name params;                             \
	type __wrap_##name params;                             \
	type __wrap_##name params                              \
	{                                                      \
		return fails(kind, err, #name) ? (result) : __real_##name args; \
	}

WRAP(void *, malloc, (size_t n), (n), FAIL_MEMORY, ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t m), (n, m), FAIL_MEMORY, ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), FAIL_MEMORY, ENOMEM, NULL)
WRAP(void *, reallocarray, (void *p, size_t n, size_t m), (p, n, m), FAIL_MEMORY, ENOMEM, NULL)
WRAP(void *, aligned_alloc, (size_t a, size_t n), (a, n), FAIL_MEMORY, ENOMEM, NULL)
WRAP(char *, strdup, (const char *s), (s), FAIL_MEMORY, ENOMEM, NULL)

WRAP(int, __open_2, (const char *path, int flags), (path, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, socket, (int d, int t, int p), (d, t, p), FAIL_FDS, EMFILE, -1)
WRAP(int, socketpair, (int d, int t, int p, int *s), (d, t, p, s), FAIL_FDS, EMFILE, -1)
WRAP(int, accept4, (int s, struct sockaddr *a, socklen_t *n, int f), (s, a, n, f), FAIL_FDS, EMFILE, -1)
WRAP(int, eventfd, (unsigned n, int flags), (n, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, epoll_create1, (int flags), (flags), FAIL_FDS, EMFILE, -1)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, signalfd, (int fd, const void *mask, int flags), (fd, mask, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), FAIL_FDS, EMFILE, -1)
WRAP(int, dup3, (int a, int b, int flags), (a, b, flags), FAIL_FDS, EMFILE, -1)

WRAP(void *, mmap, (void *a, size_t n, int prot, int flags, int fd, off_t off), (a, n, prot, flags, fd, off), FAIL_MMAP, ENOMEM,
     MAP_FAILED)

WRAP(ssize_t, pread, (int fd, void *p, size_t n, off_t off), (fd, p, n, off), FAIL_IO, EIO, -1)
WRAP(ssize_t, __pread_chk, (int fd, void *p, size_t n, off_t off, size_t room), (fd, p, n, off, room), FAIL_IO, EIO, -1)
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off), FAIL_IO, ENOSPC, -1)
WRAP(ssize_t, preadv, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off), FAIL_IO, EIO, -1)
WRAP(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off), FAIL_IO, EIO, -1)
WRAP(int, fallocate, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n), FAIL_IO, ENOSPC, -1)
WRAP(int, ftruncate, (int fd, off_t n), (fd, n), FAIL_IO, EIO, -1)
WRAP(int, fsync, (int fd), (fd), FAIL_IO, EIO, -1)
WRAP(int, fdatasync, (int fd), (fd), FAIL_IO, EIO, -1)
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), FAIL_IO, EIO, -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), FAIL_IO, EIO, -1)

/* Guest memory: nothing was mapped or copied. Not every program has it. */
#pragma weak __real_hv_map
#pragma weak __real_hv_map_ring
#pragma weak __real_hv_copy
WRAP(int, hv_map, (struct hv *h, hv_domid_t d, struct hv_map *m, size_t n), (h, d, m, n), FAIL_GRANTS, ENOMEM, -ENOMEM)
WRAP(int, hv_map_ring, (struct hv *h, hv_domid_t d, const hv_gref_t *g, size_t n, void **out), (h, d, g, n, out), FAIL_GRANTS,
     ENOMEM, -ENOMEM)
WRAP(int, hv_copy, (struct hv *h, hv_domid_t d, struct hv_copy *c, size_t n), (h, d, c, n), FAIL_GRANTS, ENOMEM, -ENOMEM)

/* Pipes, sockets and events do not fail so. */
static int is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n)
{
	return is_file(fd) && fails(FAIL_IO, EIO, "read") ? -1 : __real_read(fd, p, n);
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	return fd > STDERR_FILENO && is_file(fd) && fails(FAIL_IO, ENOSPC, "write") ? -1 : __real_write(fd, p, n);
}

static mode_t mode_of(int flags, va_list ap) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0; }

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return fails(FAIL_FDS, EMFILE, "open") ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return fails(FAIL_FDS, EMFILE, "openat") ? -1 : __real_openat(dir, path, flags, mode);
}
