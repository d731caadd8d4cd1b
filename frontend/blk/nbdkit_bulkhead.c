/* nbdkit-bulkhead-plugin: a guest's disk for any NBD client (see nbdkit-bulkhead-plugin(1)).
 *
 * One process is one guest's frontend of one device. nbdkit's worker threads wait in blk_threads_io(); one thread a queue
 * polls. The device is opened after nbdkit has forked into the background, since threads do not survive a fork; what a user
 * can have got wrong is checked before, where there is still somebody to tell.
 */
#include "frontend/blk/blk_threads.h"
#include "frontend/blk/blkfront.h"
#include "ring/base/barrier.h"
#include "ring/base/conn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct {
	char *vm, *vdev, *runtime_dir, *provider;
	unsigned queues, ring_pages, protocol;
	uint64_t timeout_s;
	struct blkfront *f;
	struct blk_threads *threads;
	struct blkfront_info info;
} disk = { .timeout_s = 10 };

static unsigned next_queue; /* connections take turns */

struct handle {
	unsigned queue;
	bool readonly;
};

static void to_nbdkit(enum log_level level, const char *line)
{
	if (level <= LOG_LVL_WARN)
		nbdkit_error("%s", line);
	else
		nbdkit_debug("%s", line);
}

static void bh_load(void)
{
	log_init("bulkhead", LOG_LVL_INFO);
	log_set_sink(to_nbdkit);
}

static int set_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	if (!*to)
		nbdkit_error("out of memory");
	return *to ? 0 : -1;
}

static int set_protocol(const char *value)
{
	static const char *const name[] = { [CONN_NATIVE] = "native", [CONN_X86_32] = "x86_32", [CONN_X86_64] = "x86_64" };

	for (unsigned i = CONN_NATIVE; i <= CONN_X86_64; i++) {
		if (strcmp(value, name[i]) == 0) {
			disk.protocol = i;
			return 0;
		}
	}
	nbdkit_error("protocol=%s: native, x86_32 or x86_64", value);
	return -1;
}

static int bh_config(const char *key, const char *value)
{
	unsigned seconds;

	if (strcmp(key, "vm") == 0)
		return set_text(&disk.vm, value);
	if (strcmp(key, "vdev") == 0)
		return set_text(&disk.vdev, value);
	if (strcmp(key, "runtime-dir") == 0) {
		free(disk.runtime_dir);
		disk.runtime_dir = nbdkit_absolute_path(value);
		return disk.runtime_dir ? 0 : -1;
	}
	if (strcmp(key, "provider") == 0)
		return set_text(&disk.provider, value);
	if (strcmp(key, "queues") == 0)
		return nbdkit_parse_unsigned("queues", value, &disk.queues);
	if (strcmp(key, "ring-pages") == 0)
		return nbdkit_parse_unsigned("ring-pages", value, &disk.ring_pages);
	if (strcmp(key, "protocol") == 0)
		return set_protocol(value);
	if (strcmp(key, "timeout") == 0) {
		if (nbdkit_parse_unsigned("timeout", value, &seconds) || seconds == 0)
			return -1;
		disk.timeout_s = seconds;
		return 0;
	}
	nbdkit_error("unknown parameter %s (vm, vdev, runtime-dir, queues, ring-pages, protocol, provider, timeout)", key);
	return -1;
}

static int bh_config_complete(void)
{
	if (!disk.vm || !disk.vdev) {
		nbdkit_error("vm=NAME and vdev=DEVICE are needed (vm=A vdev=xvda)");
		return -1;
	}
	return 0;
}

static struct blkfront_open options(void)
{
	return (struct blkfront_open){ .provider = disk.provider ? disk.provider : "auto", .runtime_dir = disk.runtime_dir,
				       .domain = disk.vm, .vdev = disk.vdev, .queues = disk.queues,
				       .ring_pages = disk.ring_pages, .protocol = disk.protocol,
				       .timeout_ns = disk.timeout_s * 1000000000ull };
}

static int bh_get_ready(void)
{
	struct blkfront_open o = options();
	char err[300];

	if (blkfront_check(&o, err, sizeof(err)) == 0)
		return 0;
	nbdkit_error("%s", err);
	return -1;
}

static int bh_after_fork(void)
{
	struct blkfront_open o = options();
	char err[300];
	int rc = blkfront_open(&o, &disk.f, err, sizeof(err));

	if (rc) {
		nbdkit_error("%s", err);
		return -1;
	}
	rc = blk_threads_start(disk.f, &disk.threads);
	if (rc) {
		nbdkit_error("threads: %s", err_str(rc));
		return -1;
	}
	blkfront_get_info(disk.f, &disk.info);
	return 0;
}

static void bh_unload(void)
{
	blk_threads_stop(disk.threads);
	blkfront_close(disk.f);
	free(disk.vm);
	free(disk.vdev);
	free(disk.runtime_dir);
	free(disk.provider);
	log_set_sink(NULL);
}

static void *bh_open(int readonly)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h) {
		nbdkit_error("out of memory");
		return NULL;
	}
	h->queue = fetch_add_relaxed(&next_queue, 1);
	h->readonly = readonly || disk.info.read_only;
	return h;
}

static void bh_close(void *handle) { free(handle); }

static int64_t bh_get_size(void *handle)
{
	struct blkfront_info info;

	(void)handle;
	blkfront_get_info(disk.f, &info);
	return (int64_t)info.size;
}

static int bh_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = disk.info.sector_size;
	*preferred = MAX(MAX(disk.info.physical_size, disk.info.sector_size), 4096u);
	*maximum = 32u << 20;
	return 0;
}

static bool can_flush(void) { return disk.info.flush || disk.info.barrier; }

static int bh_can_write(void *handle) { return !((struct handle *)handle)->readonly; }
static int bh_can_flush(void *handle) { return (void)handle, can_flush(); }
static int bh_can_trim(void *handle) { return (void)handle, disk.info.discard; }
static int bh_can_zero(void *handle) { return (void)handle, 1; }
/* A request for a fast zero is refused at once: blkif has none. That helps clients which then choose otherwise. */
static int bh_can_fast_zero(void *handle) { return (void)handle, 1; }
static int bh_can_fua(void *handle) { return (void)handle, can_flush() ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE; }
/* A flush is the device's, whatever connection the writes came by. */
static int bh_can_multi_conn(void *handle) { return (void)handle, 1; }
static int bh_is_rotational(void *handle) { return (void)handle, 0; }

static int run(void *handle, enum blkfront_op op, uint32_t flags, uint64_t off, uint64_t len, void *buf)
{
	const struct handle *h = handle;
	int rc = blk_threads_io(disk.threads, h->queue, op, flags & NBDKIT_FLAG_FUA ? BLKFRONT_FUA : 0, off, len, buf);

	if (rc == 0)
		return 0;
	if (rc == -EINVAL)
		nbdkit_error("offset %llu, length %llu: not inside the disk, or not in whole sectors of %u bytes "
			     "(--filter=blocksize helps)", (unsigned long long)off, (unsigned long long)len,
			     disk.info.sector_size);
	else
		nbdkit_error("offset %llu, length %llu: %s", (unsigned long long)off, (unsigned long long)len, err_str(rc));
	nbdkit_set_error(rc == -EPEER ? EIO : -rc);
	return -1;
}

static int bh_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	return run(handle, BLKFRONT_READ, flags, offset, count, buf);
}

static int bh_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	/* blkfront_io has one buffer for both directions; a write only reads it. */
	return run(handle, BLKFRONT_WRITE, flags, offset, count, (void *)(uintptr_t)buf);
}

static int bh_flush(void *handle, uint32_t flags) { return (void)flags, run(handle, BLKFRONT_FLUSH, 0, 0, 0, NULL); }

static int bh_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	return run(handle, BLKFRONT_DISCARD, flags, offset, count, NULL);
}

/* Always written: blkif does not promise that what was discarded reads as zeros, so MAY_TRIM changes nothing. */
static int bh_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	if (flags & NBDKIT_FLAG_FAST_ZERO) {
		nbdkit_set_error(EOPNOTSUPP);
		return -1;
	}
	return run(handle, BLKFRONT_ZERO, flags, offset, count, NULL);
}

static struct nbdkit_plugin plugin = {
	.name = "bulkhead",
	.longname = "a virtual machine's disk, served by Bulkhead",
	.description = "The guest's end (blkfront) of a virtual disk of Bulkhead, for any NBD client.",
	.magic_config_key = "vm",
	.config_help = "vm=NAME          (required) the virtual machine whose disk it is\n"
		       "vdev=DEVICE      (required) xvda, xvdb, ...\n"
		       "runtime-dir=DIR  where its daemons meet (default: as bulkhead(1))\n"
		       "queues=N         rings wanted (default 1)\n"
		       "ring-pages=N     size of each: 1, 2, 4, 8, 16 (default: what is offered)\n"
		       "protocol=ABI     native, x86_32, x86_64\n"
		       "timeout=SECONDS  for connecting (default 10)",
	.load = bh_load,
	.unload = bh_unload,
	.config = bh_config,
	.config_complete = bh_config_complete,
	.get_ready = bh_get_ready,
	.after_fork = bh_after_fork,
	.open = bh_open,
	.close = bh_close,
	.get_size = bh_get_size,
	.block_size = bh_block_size,
	.can_write = bh_can_write,
	.can_flush = bh_can_flush,
	.can_trim = bh_can_trim,
	.can_zero = bh_can_zero,
	.can_fast_zero = bh_can_fast_zero,
	.can_fua = bh_can_fua,
	.can_multi_conn = bh_can_multi_conn,
	.is_rotational = bh_is_rotational,
	.pread = bh_pread,
	.pwrite = bh_pwrite,
	.flush = bh_flush,
	.trim = bh_trim,
	.zero = bh_zero,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
