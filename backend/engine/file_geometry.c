/* file_geometry.c - size, units and abilities of an open image or block device. */
#include "backend/engine/file_priv.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAX_WRITE_UNIT (1u << 20)

struct alignment {
	uint32_t sector, buffer; /* sector 0: no direct I/O */
};

int file_size(const struct file *f, uint64_t *bytes)
{
	struct statx sx;

	if (f->block)
		return ioctl(f->fd, BLKGETSIZE64, bytes) ? -errno : 0;
	/* As this host knows it: a stub looks while it takes over, and must not wait for a file server then. */
	if (statx(f->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &sx))
		return -errno;
	*bytes = sx.stx_size;
	return 0;
}

/* A direct read of one sector: false only if the kernel says that the alignment is wrong. */
static bool try_sector(int fd, char *buf, uint32_t sector, off_t at)
{
	return pread(fd, buf, sector, at) >= 0 || errno != EINVAL;
}

/* By reading, where statx does not tell. The buffer is aligned to the sector and no better, to find what suffices; 512
 * is tried at offset 512, which is no multiple of anything larger. */
static struct alignment probe_alignment(int fd)
{
	struct alignment a = {0, 0};
	char *buf = aligned_alloc(ENGINE_MAX_ALIGN, 2 * ENGINE_MAX_ALIGN);

	if (!buf)
		return a;
	if (try_sector(fd, buf + 512, 512, 512))
		a = (struct alignment){512, 512};
	else if (try_sector(fd, buf, ENGINE_MAX_ALIGN, 0))
		a = (struct alignment){ENGINE_MAX_ALIGN, ENGINE_MAX_ALIGN};
	free(buf);
	return a;
}

static struct alignment direct_alignment(const struct file *f)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && sx.stx_mask & STATX_DIOALIGN) {
		struct alignment a = {sx.stx_dio_offset_align, sx.stx_dio_mem_align};

		if (a.sector > ENGINE_MAX_ALIGN || a.buffer > ENGINE_MAX_ALIGN)
			a.sector = 0;
		else if (a.sector)
			a.sector = MAX(a.sector, 512u);
		return a;
	}
#endif
	return probe_alignment(f->fd);
}

/* Whoever only looks says what there is to say, once when a disk is offered; those that serve it come and go. */
static bool says(const struct file *f) { return f->queues == 0; }

void file_not_direct(struct file *f)
{
	f->direct = false;
	if (says(f))
		log_info("%s: its file system has no direct I/O; going through the page cache", f->name);
}

/* Decides between direct and buffered. */
static int find_alignment(struct file *f, bool must_direct, struct alignment *a, struct engine_error *err)
{
	int flags;

	*a = (struct alignment){512, 1};
	if (!f->direct)
		return 0;
	*a = direct_alignment(f);
	if (a->sector)
		return 0;
	if (must_direct)
		return engine_fail(err, -EINVAL, "%s: its file system has no direct I/O: leave out direct=on", f->name);
	flags = fcntl(f->fd, F_GETFL);
	if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_DIRECT))
		return engine_fail(err, -errno, "%s: direct I/O cannot be turned off: %s", f->name, err_str(errno));
	file_not_direct(f);
	*a = (struct alignment){512, 1};
	return 0;
}

/* One number out of a block device's folder in sysfs; a partition's queue is its disk's. */
static bool block_attr(const struct file *f, const char *attr, uint32_t *value)
{
	static const char *const parents[] = {"", "../"};
	struct stat st;

	if (fstat(f->fd, &st))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		char path[128];
		bool ok;
		FILE *file;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s%s", major(st.st_rdev), minor(st.st_rdev),
			 parents[i], attr);
		file = fopen(path, "re");
		if (!file)
			continue;
		ok = fscanf(file, "%" SCNu32, value) == 1;
		fclose(file);
		return ok;
	}
	return false;
}

/* The kernel looks at the ability before it looks at the range, so a range that no device accepts asks without doing. */
static bool block_can(const struct file *f, unsigned long request)
{
	uint64_t range[2] = {1, 0};

	return ioctl(f->fd, request, range) == 0 || errno == EINVAL;
}

static int block_geometry(struct file *f, const struct alignment *a, struct engine_error *err)
{
	struct engine_info *i = &f->e.info;
	uint32_t v, logical, physical;

	if (ioctl(f->fd, BLKSSZGET, &logical) || ioctl(f->fd, BLKPBSZGET, &physical))
		return engine_fail(err, -errno, "%s: its sector size cannot be had: %s", f->name, err_str(errno));
	if (logical > ENGINE_MAX_ALIGN)
		return engine_fail(err, -EINVAL, "%s: its sectors have %" PRIu32 " bytes; at most %u are served", f->name,
				   logical, ENGINE_MAX_ALIGN);
	i->sector_size = MAX(logical, a->sector);
	i->physical_size = MAX(physical, i->sector_size);
	/* A write command rewrites its own sectors: what a drive with larger physical sectors does inside is its own
	 * affair and invisible to other commands. Through the page cache, whole pages go out. */
	i->write_unit = f->direct ? i->sector_size : MAX(i->sector_size, 4096u);
	i->removable = block_attr(f, "removable", &v) && v;
	if (i->read_only)
		return 0;
	i->discard = block_can(f, BLKDISCARD);
	i->secure_discard = block_can(f, BLKSECDISCARD);
	if (block_attr(f, "queue/discard_granularity", &v))
		i->discard_granularity = v;
	if (block_attr(f, "discard_alignment", &v))
		i->discard_alignment = v;
	return 0;
}

static uint32_t fs_block(const struct file *f)
{
	struct statfs s;

	if (fstatfs(f->fd, &s) || !IS_POW2(s.f_bsize))
		return 4096;
	return (uint32_t)MIN(MAX((uint64_t)s.f_bsize, 512u), MAX_WRITE_UNIT);
}

static int regular_geometry(struct file *f, const struct alignment *a, uint64_t bytes)
{
	struct engine_info *i = &f->e.info;
	uint32_t block = fs_block(f);

	i->sector_size = a->sector;
	i->physical_size = MAX(a->sector, MIN(block, ENGINE_MAX_ALIGN));
	/* A write smaller than a block of the file system makes the kernel zero the rest of the block when it was a hole,
	 * read it into the page cache when buffered, and a punched hole zeroes the ends of its blocks the same way: what is
	 * written to storage in the end is the block. */
	i->write_unit = MAX(block, i->sector_size);
	i->discard_granularity = block;
	if (!i->read_only) /* beyond the end there is nothing to lose: this asks only whether it can be done */
		i->discard = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       (off_t)(bytes + block) & ~(off_t)(block - 1), (off_t)block) == 0;
	return 0;
}

int file_geometry(struct file *f, bool must_direct, struct engine_error *err)
{
	struct engine_info *i = &f->e.info;
	struct alignment a;
	uint64_t bytes;
	int rc = file_size(f, &bytes);

	if (rc)
		return engine_fail(err, rc, "%s: its size cannot be had: %s", f->name, err_str(rc));
	rc = find_alignment(f, must_direct, &a, err);
	if (rc)
		return rc;
	i->buffer_align = MAX(a.buffer, 1u);
	i->flush = true;
	rc = f->block ? block_geometry(f, &a, err) : regular_geometry(f, &a, bytes);
	if (rc)
		return rc;
	if (bytes < i->sector_size)
		return engine_fail(err, -EINVAL, "%s: has %" PRIu64 " bytes, less than one sector of %" PRIu32, f->name,
				   bytes, i->sector_size);
	if (bytes % i->sector_size && says(f))
		log_warn("%s: its last %" PRIu64 " bytes are not offered: the size is no multiple of the sector (%" PRIu32 ")",
			 f->name, bytes % i->sector_size, i->sector_size);
	i->sectors = bytes / i->sector_size * (i->sector_size / 512);
	return 0;
}
