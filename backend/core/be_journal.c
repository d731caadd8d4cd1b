#include "backend/core/be_journal.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is wrong with the file, or NULL. */
static const char *unfit(const struct stat *st, uint64_t bytes, uid_t uid)
{
	if (!S_ISREG(st->st_mode))
		return "is not a regular file";
	if (st->st_uid != geteuid() && st->st_uid != uid)
		return "belongs to somebody else";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "may be written by others";
	if (st->st_size < 0 || (uint64_t)st->st_size != bytes)
		return "has not the size that its connection needs";
	return NULL;
}

int be_journal_open(struct be_journal *j, const char *path, uint64_t bytes, uid_t uid, char *err, size_t size)
{
	const char *why;
	struct stat st;
	int rc;

	j->bytes = (size_t)bytes;
	j->mem = MAP_FAILED;
	j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (j->fd >= 0 && fstat(j->fd, &st) == 0) {
		why = unfit(&st, bytes, uid);
		if (why) {
			snprintf(err, size, "journal %s %s", path, why);
			close(j->fd);
			return -EINVAL;
		}
		j->mem = mmap(NULL, j->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
	}
	if (j->mem != MAP_FAILED)
		return 0;
	rc = -errno;
	snprintf(err, size, "journal %s: %s", path, err_str(rc));
	if (j->fd >= 0)
		close(j->fd);
	return rc;
}

int be_journal_lock(struct be_journal *j)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(j->fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}
