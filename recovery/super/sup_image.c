#include "recovery/super/sup_image.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int lock_bytes(int fd, short type, off_t start, off_t len)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int image_close_up(int fd) { return lock_bytes(fd, F_WRLCK, 100, 200); }

static int lock(int fd, enum image_mode mode)
{
	static const off_t readers[] = {100, 201, 203};
	int rc = 0;

	if (mode == IMAGE_SHARED)
		return 0;
	rc = lock_bytes(fd, mode == IMAGE_READ ? F_RDLCK : F_WRLCK, IMAGE_OWN_BYTE, 1);
	if (mode == IMAGE_WRITE && !rc)
		rc = image_close_up(fd);
	for (size_t i = 0; mode == IMAGE_READ && i < sizeof(readers) / sizeof(readers[0]) && !rc; i++)
		rc = lock_bytes(fd, F_RDLCK, readers[i], 1);
	return rc;
}

static int cannot_open(const char *path, int rc, enum image_mode mode, char *err, size_t size)
{
	switch (rc) {
	case -ENOENT:
		return err_say(err, size, rc, "%s: there is no such file: make it first (truncate -s 1G %s)", path, path);
	case -EISDIR:
		return err_say(err, size, rc, "%s is a directory, not a disk image or block device", path);
	case -EACCES:
	case -EPERM:
		return err_say(err, size, rc, "%s: no permission to %s it%s", path, mode == IMAGE_READ ? "read" : "write",
			   mode == IMAGE_READ ? "" : " (mode r would only read)");
	case -EROFS:
		return err_say(err, size, rc, "%s is on a read-only file system: attach it with mode r", path);
	default:
		return err_say(err, size, rc, "%s can not be opened: %s", path, strerror(-rc));
	}
}

/* A block device that the kernel itself uses, which no lock says. Only looked at: to keep it claimed would keep it from its next user
 * for as long as the keeper takes to close it. */
static bool claimed(const char *path)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

int image_reserve(const char *path, enum image_mode mode, struct image *out, char *err, size_t size)
{
	struct stat st;
	int rc, fd;

	*out = (struct image){.fd = -1};
	/* Not blocking: a pipe would wait for its other end. */
	fd = open(path, (mode == IMAGE_READ ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cannot_open(path, -errno, mode, err, size);
	if (fstat(fd, &st) < 0)
		rc = err_say(err, size, -errno, "%s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		rc = cannot_open(path, -EISDIR, mode, err, size);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		rc = err_say(err, size, -EINVAL, "%s is neither a regular file nor a block device", path);
	else if (S_ISBLK(st.st_mode) && (mode == IMAGE_WRITE || mode == IMAGE_YIELD) && claimed(path))
		rc = err_say(err, size, -EBUSY, "%s is in use by this host: mounted, swap, or part of another device", path);
	else
		rc = lock(fd, mode);
	if (rc == -EAGAIN)
		err_say(err, size, rc, "%s is in use by another program, which has locked it", path);
	else if (rc && !err[0])
		err_say(err, size, rc, "%s can not be locked: %s", path, strerror(-rc));
	if (!rc || rc == -EAGAIN) {
		out->dev = st.st_dev;
		out->ino = st.st_ino;
	}
	if (rc)
		close(fd);
	else
		out->fd = fd;
	return rc;
}

void image_release(int fd)
{
	lock_bytes(fd, F_UNLCK, 100, IMAGE_OWN_BYTE + 1 - 100);
	close(fd);
}

int image_memory(const char *path, uint64_t bytes, struct image *out, char *err, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	*out = (struct image){.fd = -1};
	if (fd >= 0 && fstat(fd, &st) == 0 && ((uint64_t)st.st_size == bytes || ftruncate(fd, (off_t)bytes) == 0)) {
		*out = (struct image){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
		return 0;
	}
	err_say(err, size, -errno, "the memory disk of %" PRIu64 " bytes can not be made: %s", bytes, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

int image_size(int fd, uint64_t *bytes)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &sx))
		return -errno;
	*bytes = sx.stx_size;
	return S_ISBLK(sx.stx_mode) && ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
}

bool image_busy(int fd)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)IMAGE_FENCE_BASE};

	fl.l_len = (off_t)IMAGE_FENCE_SPAN;
	return fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}
