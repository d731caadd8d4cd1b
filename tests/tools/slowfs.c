/* slowfs - storage that is slow and reorders: one file "f", kept in BACKING, as a FUSE file system.
 *
 *   slowfs BACKING CONTROL LOG MOUNTPOINT [fuse options]
 *
 * A write reaches BACKING a while after it arrived, by a time drawn from CONTROL ("MIN MAX", in ms; read when the write
 * arrives), so later ones overtake earlier ones, as two writes in flight may on any disk. LOG has a line for each event:
 * "A off len" arrived, "L off len" landed. Nothing is cached here, and nothing ends a write that has arrived.
 */
#define FUSE_USE_VERSION 35
#include <fuse3/fuse.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int backing = -1, logfd = -1;
static const char *control;
static atomic_uint draw = 12345;

static void say(char what, off_t off, size_t len)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%c %lld %zu\n", what, (long long)off, len);

	if (write(logfd, line, (size_t)n) != n)
		abort();
}

static void delay(void)
{
	char text[64] = "";
	unsigned min = 0, max = 0, ms;
	struct timespec t;
	int fd = open(control, O_RDONLY);

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0 && sscanf(text, "%u %u", &min, &max) != 2)
		max = min = 0;
	close(fd);
	if (max == 0)
		return;
	ms = min + (atomic_fetch_add(&draw, 1) * 2654435761u >> 8) % (max - min + 1);
	t = (struct timespec){ms / 1000, ms % 1000 * 1000000l};
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int slow_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, "/f") != 0)
		return -ENOENT;
	if (fstat(backing, st))
		return -errno;
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	return 0;
}

static int slow_open(const char *path, struct fuse_file_info *fi)
{
	(void)fi;
	return strcmp(path, "/f") == 0 ? 0 : -ENOENT;
}

static int slow_read(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pread(backing, buf, len, off);

	(void)path;
	(void)fi;
	return n < 0 ? -errno : (int)n;
}

static int slow_write(const char *path, const char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	ssize_t n;

	(void)path;
	(void)fi;
	say('A', off, len);
	delay();
	n = pwrite(backing, buf, len, off);
	if (n < 0)
		return -errno;
	say('L', off, len);
	return (int)n;
}

static int slow_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path;
	(void)data;
	(void)fi;
	return 0;
}

static void *slow_init(struct fuse_conn_info *c, struct fuse_config *cfg)
{
	c->want |= c->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ);
	c->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
	c->max_background = 128;
	c->congestion_threshold = 128;
	cfg->attr_timeout = 1000;
	cfg->entry_timeout = 1000;
	return NULL;
}

static const struct fuse_operations ops = {
	.getattr = slow_getattr,
	.open = slow_open,
	.read = slow_read,
	.write = slow_write,
	.fsync = slow_fsync,
	.init = slow_init,
};

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: slowfs BACKING CONTROL LOG MOUNTPOINT [fuse options]\n");
		return 100;
	}
	backing = open(argv[1], O_RDWR | O_CLOEXEC);
	control = argv[2];
	logfd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (backing < 0 || logfd < 0) {
		perror("slowfs");
		return 111;
	}
	argv[3] = argv[0];
	return fuse_main(argc - 3, argv + 3, &ops, NULL);
}
