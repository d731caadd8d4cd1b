/* Files of the simulated host: a flat set of names, contents in memory, locks of both kinds, and what read and write mean. */
#include "tests/sim/world.h"

#include "ring/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define INODES 512

bool (*os_image_busy)(int dev);
static struct os_inode *inodes[INODES];
static unsigned ninodes;
static uint64_t last; /* number given */

void os_file_reset(void)
{
	ninodes = 0;
	last = 0;
}

struct os_inode *os_inode_find(const char *path)
{
	for (unsigned i = 0; i < ninodes; i++)
		if (strcmp(inodes[i]->path, path) == 0)
			return inodes[i];
	return NULL;
}

struct os_inode *os_inode_new(const char *path)
{
	struct os_inode *i = os_alloc(sizeof(*i));
	unsigned at = 0;

	while (at < ninodes && inodes[at]->path[0])
		at++;
	CHECK(at < INODES && strlen(path) < sizeof(i->path));
	strcpy(i->path, path);
	i->ino = ++last;
	STAILQ_INIT(&i->locks);
	inodes[at] = i;
	ninodes = MAX(ninodes, at + 1);
	return i;
}

struct os_file *os_file_open(struct os_inode *i)
{
	struct os_file *f = os_file_new(OS_REG);

	f->ino = i;
	return f;
}

unsigned os_inodes_below(const char *dir)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ninodes; i++)
		n += strncmp(inodes[i]->path, dir, strlen(dir)) == 0 && inodes[i]->path[strlen(dir)] == '/';
	return n;
}

static void resize(struct os_inode *i, size_t size)
{
	if (size > i->room) {
		size_t room = MAX(size, (size_t)(i->room ? 2 * i->room : BH_PAGE_SIZE));
		char *p = os_alloc(room + BH_PAGE_SIZE);

		CHECK(!i->mapped);
		p += -(uintptr_t)p % BH_PAGE_SIZE;
		if (i->size)
			memcpy(p, i->data, i->size);
		i->data = p;
		i->room = room;
	} else if (size > i->size) {
		memset(i->data + i->size, 0, size - i->size);
	}
	i->size = size;
}

/* ---- locks */

void os_inode_unlock(struct os_inode *i, const struct os_file *f)
{
	struct os_lock *l, *next;

	for (l = STAILQ_FIRST(&i->locks); l; l = next) {
		next = STAILQ_NEXT(l, link);
		if (l->owner == f)
			STAILQ_REMOVE(&i->locks, l, os_lock, link);
	}
}

static struct os_lock *conflict(struct os_inode *i, const struct os_file *f, bool write, off_t start, off_t end)
{
	struct os_lock *l;

	STAILQ_FOREACH(l, &i->locks, link)
		if (l->owner != f && (l->write || write) && l->start < end && start < l->end)
			return l;
	return NULL;
}

static int lock(struct os_file *f, int cmd, struct flock *fl)
{
	off_t end = fl->l_len ? fl->l_start + fl->l_len : INT64_MAX;
	bool write = fl->l_type == F_WRLCK;
	struct os_lock *l = conflict(f->ino, f, write, fl->l_start, end);

	if (cmd == F_OFD_GETLK) {
		bool fence = f->ino->image && os_image_busy && os_image_busy(f->ino->dev);

		if (!l && !fence)
			fl->l_type = F_UNLCK;
		return 0;
	}
	if (fl->l_type == F_UNLCK) {
		os_inode_unlock(f->ino, f);
		os_wake();
		return 0;
	}
	if (l) {
		errno = EAGAIN;
		return -1;
	}
	l = os_alloc(sizeof(*l));
	*l = (struct os_lock){.owner = f, .write = write, .start = fl->l_start, .end = end};
	STAILQ_INSERT_TAIL(&f->ino->locks, l, link);
	return 0;
}

int __wrap_flock(int fd, int op);
int __wrap_flock(int fd, int op UNUSED)
{
	struct os_file *f = os_fd(fd);

	os_point(20, OS_CALL_NS);
	if (!f)
		return -1;
	return lock(f, F_OFD_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 0, .l_len = 1});
}

int __wrap_fcntl(int fd, int cmd, ...);
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
	struct os_file *f;
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (!os.cur)
		return __real_fcntl(fd, cmd, arg);
	os_point(21, OS_CALL_NS);
	if (fd >= OS_FOREIGN || fd < 3)
		return 0;
	f = os_fd(fd);
	if (!f)
		return -1;
	switch (cmd) {
	case F_GETFL:
		return f->nonblock ? O_NONBLOCK : 0;
	case F_SETFL:
		f->nonblock = arg & O_NONBLOCK;
		return 0;
	case F_GET_SEALS:
		return f->ino->sealed ? F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE : 0;
	case F_OFD_SETLK:
	case F_OFD_GETLK:
		return lock(f, cmd, (struct flock *)(uintptr_t)arg);
	default:
		return 0;
	}
}

/* ---- names */

static int open_path(const char *path, int flags)
{
	struct os_inode *i = os_inode_find(path);
	struct os_file *f;

	os_point(22, OS_CALL_NS);
	if (strcmp(path, "/dev/net/tun") == 0)
		return os_tap_open();
	if (strncmp(path, "/dev/", 5) == 0 || (!i && !(flags & (O_CREAT | O_DIRECTORY)))) {
		errno = ENOENT;
		return -1;
	}
	if (i && (flags & O_EXCL)) {
		errno = EEXIST;
		return -1;
	}
	if (flags & O_DIRECTORY) {
		f = os_file_new(OS_DIR);
		snprintf(f->path, sizeof(f->path), "%s", path);
		return os_fd_new(os_self(), f);
	}
	if (!i)
		i = os_inode_new(path);
	if (flags & O_TRUNC)
		resize(i, 0);
	return os_fd_new(os_self(), os_file_open(i));
}

static void join(char *out, int dirfd, const char *name)
{
	struct os_file *d = dirfd == AT_FDCWD ? NULL : os_fd(dirfd);

	int n = d ? snprintf(out, 128, "%s/%s", d->path, name) : snprintf(out, 128, "%s", name);

	CHECK(n < 128);
}

static int remove_path(const char *path)
{
	struct os_inode *i = os_inode_find(path);

	os_point(23, OS_CALL_NS);
	if (!i) {
		errno = ENOENT;
		return -1;
	}
	if (world_mutant != WORLD_LEAK_JOURNAL || !strstr(path, "/journals/"))
		i->path[0] = '\0';
	return 0;
}

static int move(const char *from, const char *to)
{
	struct os_inode *i, *old;

	os_point(24, OS_CALL_NS);
	i = os_inode_find(from);
	old = os_inode_find(to);
	if (!i) {
		errno = ENOENT;
		return -1;
	}
	if (old)
		old->path[0] = '\0';
	snprintf(i->path, sizeof(i->path), "%s", to);
	return 0;
}

int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat(int fromdir, const char *from, int todir, const char *to);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_access(const char *path, int mode);

int __wrap_open(const char *path, int flags, ...) { return open_path(path, flags); }
int __wrap___open_2(const char *path, int flags) { return open_path(path, flags); }

int __wrap_openat(int dir, const char *path, int flags, ...)
{
	char whole[128];

	join(whole, dir, path);
	return open_path(whole, flags);
}

int __wrap_unlink(const char *path) { return remove_path(path); }

int __wrap_unlinkat(int dir, const char *path, int flags UNUSED)
{
	char whole[128];

	join(whole, dir, path);
	return remove_path(whole);
}

int __wrap_rename(const char *from, const char *to) { return move(from, to); }

int __wrap_renameat(int fromdir, const char *from, int todir, const char *to)
{
	char a[128], b[128];

	join(a, fromdir, from);
	join(b, todir, to);
	return move(a, b);
}

int __wrap_stat(const char *path UNUSED, struct stat *st UNUSED)
{
	errno = ENOENT;
	return -1;
}

int __wrap_access(const char *path UNUSED, int mode UNUSED)
{
	errno = ENOENT;
	return -1;
}

/* ---- directories */

struct dir {
	char path[128];
	unsigned at;
	int fd;
	struct dirent e;
};

DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_dirfd(DIR *dir);
DIR *__real_opendir(const char *path);
struct dirent *__real_readdir(DIR *dir);
int __real_closedir(DIR *dir);

DIR *__wrap_opendir(const char *path)
{
	struct dir *d;

	if (!os.cur)
		return __real_opendir(path);
	d = os_alloc(sizeof(*d));
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->fd = open_path(path, O_DIRECTORY);
	return (DIR *)(void *)d;
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct dir *d = (struct dir *)(void *)dir;
	size_t n;

	if (!os.cur)
		return __real_readdir(dir);
	n = strlen(d->path);
	os_point(25, OS_CALL_NS);
	while (d->at < ninodes) {
		const char *p = inodes[d->at++]->path;

		if (strncmp(p, d->path, n) == 0 && p[n] == '/') {
			snprintf(d->e.d_name, sizeof(d->e.d_name), "%s", p + n + 1);
			return &d->e;
		}
	}
	return NULL;
}

int __wrap_close(int fd);
int __real_close(int fd);

int __wrap_close(int fd)
{
	struct os_file *f;

	if (!os.cur)
		return __real_close(fd);
	os_point(35, OS_CALL_NS);
	if (fd >= OS_FOREIGN)
		return 0; /* a port ends with its owner */
	f = os_fd(fd);
	if (!f)
		return -1;
	os_self()->fd[fd] = NULL;
	os_file_put(f);
	return 0;
}

int __wrap_dirfd(DIR *dir) { return ((struct dir *)(void *)dir)->fd; }

int __wrap_closedir(DIR *dir) { return os.cur ? __wrap_close(__wrap_dirfd(dir)) : __real_closedir(dir); }

/* ---- contents */

ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap___read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __wrap_pread(int fd, void *buf, size_t n, off_t at);
ssize_t __wrap___pread_chk(int fd, void *buf, size_t n, off_t at, size_t room);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t at);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __real_write(int fd, const void *buf, size_t n);

static ssize_t get(struct os_inode *i, void *buf, size_t n, uint64_t at)
{
	n = at >= i->size ? 0 : MIN(n, i->size - (size_t)at);
	memcpy(buf, i->data + at, n);
	return (ssize_t)n;
}

/* A death in the middle of it leaves a part. */
static ssize_t put(struct os_inode *i, const void *buf, size_t n, uint64_t at)
{
	size_t first = crash_below(&os.rng, 4) ? n : crash_below(&os.rng, (unsigned)n + 1);

	if (at + first > i->size)
		resize(i, (size_t)at + first);
	if (first)
		memcpy(i->data + at, buf, first);
	os_point(26, OS_CALL_NS);
	if (at + n > i->size)
		resize(i, (size_t)at + n);
	memcpy(i->data + at + first, (const char *)buf + first, n - first);
	return (ssize_t)n;
}

static ssize_t read_special(struct os_file *f, void *buf, size_t n)
{
	struct signalfd_siginfo si = {0};

	if (f->type == OS_SIGNAL) {
		if (!f->proc->signals)
			goto again;
		si.ssi_signo = (uint32_t)__builtin_ctz(f->proc->signals);
		f->proc->signals &= f->proc->signals - 1;
		memcpy(buf, &si, sizeof(si));
		return sizeof(si);
	}
	if (f->type == OS_TIMER ? !f->fired : !f->count)
		goto again;
	if (f->type == OS_TIMER)
		f->count = 1;
	memcpy(buf, &f->count, MIN(n, sizeof(f->count)));
	f->count = 0;
	f->fired = false;
	return 8;
again:
	errno = EAGAIN;
	return -1;
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	struct os_file *f;
	ssize_t got;

	if (!os.cur)
		return __real_read(fd, buf, n);
	os_point(27, OS_CALL_NS);
	f = os_fd(fd);
	if (!f)
		return -1;
	if (f->type == OS_STREAM)
		return __wrap_recv(fd, buf, n, 0);
	if (f->type == OS_TAP)
		return os_tap_read(f, buf, n);
	if (f->type != OS_REG)
		return read_special(f, buf, n);
	got = get(f->ino, buf, n, f->pos);
	f->pos += (uint64_t)got;
	return got;
}

ssize_t __wrap___read_chk(int fd, void *buf, size_t n, size_t room UNUSED) { return __wrap_read(fd, buf, n); }

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	struct os_file *f;
	uint64_t add;

	if (!os.cur || fd < 3)
		return __real_write(fd, buf, n);
	os_point(28, OS_CALL_NS);
	f = os_fd(fd);
	if (!f)
		return -1;
	if (f->type == OS_STREAM)
		return __wrap_send(fd, buf, n, 0);
	if (f->type == OS_TAP)
		return os_tap_write(f, buf, n);
	if (f->type == OS_EVENT) {
		memcpy(&add, buf, sizeof(add));
		f->count += add;
		os_wake();
		return 8;
	}
	f->pos += n;
	return put(f->ino, buf, n, f->pos - n);
}

ssize_t __wrap_pread(int fd, void *buf, size_t n, off_t at)
{
	struct os_file *f = os_fd(fd);

	os_point(29, OS_CALL_NS);
	return f ? get(f->ino, buf, n, (uint64_t)at) : -1;
}

ssize_t __wrap___pread_chk(int fd, void *buf, size_t n, off_t at, size_t room UNUSED) { return __wrap_pread(fd, buf, n, at); }

ssize_t __wrap_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	struct os_file *f = os_fd(fd);

	os_point(30, OS_CALL_NS);
	if (world_mutant == WORLD_LOG_TAIL && at && crash_below(&os.rng, 40) == 0)
		return (ssize_t)n;
	return f ? put(f->ino, buf, n, (uint64_t)at) : -1;
}

/* ---- the rest */

int __wrap_ftruncate(int fd, off_t size);
int __real_ftruncate(int fd, off_t size);
int __wrap_posix_fallocate(int fd, off_t at, off_t len);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_image_size(int fd, uint64_t *bytes);
int __wrap_image_size(int fd UNUSED, uint64_t *bytes UNUSED) { return -ENOSYS; } /* simulated disks keep theirs */

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off);
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off);

int __wrap_ftruncate(int fd, off_t size)
{
	struct os_file *f;

	if (!os.cur)
		return __real_ftruncate(fd, size);
	f = os_fd(fd);
	os_point(31, OS_CALL_NS);
	if (!f)
		return -1;
	if (f->ino->image)
		f->ino->size = (size_t)size; /* its contents are the disk's */
	else
		resize(f->ino, (size_t)size);
	return 0;
}

int __wrap_posix_fallocate(int fd, off_t at, off_t len)
{
	struct os_file *f = os_fd(fd);

	os_point(32, OS_CALL_NS);
	if (!f)
		return EBADF;
	resize(f->ino, MAX(f->ino->size, (size_t)(at + len)));
	return 0;
}

int __wrap_fchown(int fd UNUSED, uid_t uid UNUSED, gid_t gid UNUSED) { return 0; }

int __wrap_fstat(int fd, struct stat *st)
{
	struct os_file *f = os_fd(fd);

	os_point(33, OS_CALL_NS);
	if (!f)
		return -1;
	*st = (struct stat){.st_mode = S_IFREG | 0600, .st_uid = geteuid(), .st_dev = 1};
	if (f->ino) {
		st->st_ino = f->ino->ino;
		st->st_size = (off_t)f->ino->size;
	}
	return 0;
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off)
{
	struct os_file *f;

	if (!os.cur || fd < 0)
		return __real_mmap(at, bytes, prot, flags, fd, off);
	f = os_fd(fd);
	os_point(34, OS_CALL_NS);
	if (!f || !f->ino)
		return MAP_FAILED;
	f->ino->mapped = true;
	return f->ino->data;
}
