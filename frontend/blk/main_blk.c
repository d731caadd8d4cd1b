/* bulkhead-blkfront: a guest's disk by hand and for tests: information, reading, writing, checking under faults. */
#include "frontend/blk/blk_threads.h"
#include "frontend/blk/blk_verify.h"
#include "frontend/blk/blkfront.h"
#include "ring/base/conn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/base/spec.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 20)

enum { EXIT_FAILED = 1 };

static struct {
	struct blkfront_open open;
	struct blk_verify_opts verify;
} opt;

static const char usage_text[] =
	"usage: bulkhead-blkfront [OPTION...] VM VDEV COMMAND\n"
	"  info                   geometry and features\n"
	"  read OFFSET LENGTH     to standard output\n"
	"  write OFFSET           from standard input, then flush\n"
	"  verify                 write and read stamps at random, check every sector (DESTROYS the data)\n"
	"Options: --runtime-dir DIR --provider NAME --queues N --ring-pages N --protocol native|x86_32|x86_64\n"
	"  --no-persistent --no-indirect --timeout SECONDS\n"
	"of verify: --seconds N (10) --depth N (32) --seed N --size-limit SIZE (64M) --outage-us N (300) --stall SECONDS (60)\n"
	"  --no-discard --no-flush\n"
	"OFFSET, LENGTH, SIZE: bytes, or 4K, 1M, 2G. verify exits with 0 only without an error, a wrong sector or a stall.\n";

static int usage(const char *what)
{
	fprintf(stderr, "bulkhead-blkfront: %s\n%s", what, usage_text);
	return EXIT_USAGE;
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "bulkhead-blkfront: %s: %s\n", what, err_str(rc));
	return EXIT_FAILED;
}

/* ---- commands */

static int cmd_info(struct blkfront *f)
{
	static const char *const yes[] = { "no", "yes" };
	struct blkfront_info i;

	blkfront_get_info(f, &i);
	printf("size: %llu\nsector_size: %u\nphysical_size: %u\nqueues: %u\nring_pages: %u\ndepth: %u\nmax_segments: %u\n",
	       (unsigned long long)i.size, i.sector_size, i.physical_size, i.queues, i.ring_pages, i.depth, i.max_segments);
	printf("read_only: %s\nflush: %s\nbarrier: %s\ndiscard: %s\ndiscard_granularity: %u\nsecure_discard: %s\npersistent: %s\n",
	       yes[i.read_only], yes[i.flush], yes[i.barrier], yes[i.discard], i.discard_granularity, yes[i.secure_discard],
	       yes[i.persistent]);
	return EXIT_DONE;
}

static int cmd_read(struct blk_threads *t, uint64_t off, uint64_t len)
{
	char *buf = malloc(CHUNK);

	if (!buf)
		return failed("read", -ENOMEM);
	while (len > 0) {
		size_t n = MIN(len, CHUNK);
		int rc = blk_threads_io(t, 0, BLKFRONT_READ, 0, off, n, buf);

		if (rc || fwrite(buf, 1, n, stdout) != n) {
			free(buf);
			return failed("read", rc ? rc : -errno);
		}
		off += n;
		len -= n;
	}
	free(buf);
	return fflush(stdout) ? failed("read", -errno) : EXIT_DONE;
}

static int cmd_write(struct blkfront *f, struct blk_threads *t, uint64_t off)
{
	char *buf = malloc(CHUNK);
	struct blkfront_info info;
	size_t n;
	int rc = 0;

	if (!buf)
		return failed("write", -ENOMEM);
	blkfront_get_info(f, &info);
	while (!rc && (n = fread(buf, 1, CHUNK, stdin)) > 0) {
		if (n % info.sector_size) {
			fprintf(stderr, "bulkhead-blkfront: write: the input is not whole sectors of %u bytes: nothing was written "
				"from offset %llu on\n", info.sector_size, (unsigned long long)off);
			free(buf);
			return EXIT_FAILED;
		}
		rc = blk_threads_io(t, 0, BLKFRONT_WRITE, 0, off, n, buf);
		off += n;
	}
	free(buf);
	if (!rc && ferror(stdin))
		rc = -EIO;
	if (!rc && (info.flush || info.barrier))
		rc = blk_threads_io(t, 0, BLKFRONT_FLUSH, 0, 0, 0, NULL);
	return rc ? failed("write", rc) : EXIT_DONE;
}

static int cmd_verify(struct blkfront *f)
{
	struct blk_verify_result r;
	int rc = blk_verify(f, &opt.verify, &r);

	if (rc)
		return failed("verify", rc);
	printf("requests: %llu\nerrors: %llu\nwrong: %llu\nchecked: %llu\n", (unsigned long long)r.ios,
	       (unsigned long long)r.errors, (unsigned long long)r.wrong, (unsigned long long)r.checked);
	printf("bytes_read: %llu\nbytes_written: %llu\n", (unsigned long long)r.bytes_read, (unsigned long long)r.bytes_written);
	printf("outages: %llu\noutage_p50_us: %llu\noutage_p99_us: %llu\ngap_max_us: %llu\n", (unsigned long long)r.outages,
	       (unsigned long long)r.outage_p50 / 1000, (unsigned long long)r.outage_p99 / 1000,
	       (unsigned long long)r.gap_max / 1000);
	printf("seed: %llu\n", (unsigned long long)opt.verify.seed);
	if (r.wrong)
		fprintf(stderr, "bulkhead-blkfront: verify: %llu wrong sectors, the first is %llu\n", (unsigned long long)r.wrong,
			(unsigned long long)r.first_wrong);
	if (r.stalled)
		fprintf(stderr, "bulkhead-blkfront: verify: a request was not answered within %u s\n", opt.verify.stall_s);
	else if (r.rc)
		fprintf(stderr, "bulkhead-blkfront: verify: %llu errors, the first: %s\n", (unsigned long long)r.errors,
			err_str(r.rc));
	return r.wrong || r.errors || r.rc || r.stalled ? EXIT_FAILED : EXIT_DONE;
}

static int with_threads(struct blkfront *f, char **argv, uint64_t off, uint64_t len)
{
	struct blk_threads *t;
	int rc = blk_threads_start(f, &t);

	if (rc)
		return failed("threads", rc);
	rc = argv[0][0] == 'r' ? cmd_read(t, off, len) : cmd_write(f, t, off);
	blk_threads_stop(t);
	return rc;
}

static int command(int argc, char **argv)
{
	uint64_t off = 0, len = 0;
	struct blkfront *f;
	char err[300];
	bool read = strcmp(argv[0], "read") == 0, write = strcmp(argv[0], "write") == 0;
	bool info = strcmp(argv[0], "info") == 0, verify = strcmp(argv[0], "verify") == 0;
	int rc;

	if (!read && !write && !info && !verify)
		return usage("unknown command");
	if (argc != (read ? 3 : write ? 2 : 1))
		return usage("wrong number of arguments");
	if ((read || write) && spec_size(argv[1], &off))
		return usage("OFFSET is no size");
	if (read && spec_size(argv[2], &len))
		return usage("LENGTH is no size");
	if (blkfront_open(&opt.open, &f, err, sizeof(err))) {
		fprintf(stderr, "bulkhead-blkfront: %s\n", err);
		return EXIT_FAILED;
	}
	rc = info ? cmd_info(f) : verify ? cmd_verify(f) : with_threads(f, argv, off, len);
	blkfront_close(f);
	return rc;
}

/* ---- options */

enum { O_DIR = 256, O_PROVIDER, O_QUEUES, O_PAGES, O_PROTOCOL, O_NO_PERS, O_NO_IND, O_TIMEOUT, O_SECONDS, O_DEPTH, O_SEED,
       O_LIMIT, O_OUTAGE, O_STALL, O_NO_DISCARD, O_NO_FLUSH, O_HELP };

static const struct option longs[] = {
	{ "runtime-dir", 1, NULL, O_DIR }, { "provider", 1, NULL, O_PROVIDER }, { "queues", 1, NULL, O_QUEUES },
	{ "ring-pages", 1, NULL, O_PAGES }, { "protocol", 1, NULL, O_PROTOCOL }, { "no-persistent", 0, NULL, O_NO_PERS },
	{ "no-indirect", 0, NULL, O_NO_IND }, { "timeout", 1, NULL, O_TIMEOUT }, { "seconds", 1, NULL, O_SECONDS },
	{ "depth", 1, NULL, O_DEPTH }, { "seed", 1, NULL, O_SEED }, { "size-limit", 1, NULL, O_LIMIT },
	{ "outage-us", 1, NULL, O_OUTAGE }, { "stall", 1, NULL, O_STALL }, { "no-discard", 0, NULL, O_NO_DISCARD },
	{ "no-flush", 0, NULL, O_NO_FLUSH },
	{ "help", 0, NULL, O_HELP }, { NULL, 0, NULL, 0 },
};

static bool number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *out <= max;
}

static bool protocol(const char *text)
{
	static const char *const name[] = { [CONN_NATIVE] = "native", [CONN_X86_32] = "x86_32", [CONN_X86_64] = "x86_64" };

	for (unsigned i = CONN_NATIVE; i <= CONN_X86_64; i++) {
		if (strcmp(text, name[i]) == 0)
			opt.open.protocol = i;
	}
	return opt.open.protocol != 0;
}

static bool set_number(int o, uint64_t n)
{
	switch (o) {
	case O_QUEUES:
		opt.open.queues = (unsigned)n;
		return n <= CONN_QUEUES_MAX;
	case O_PAGES:
		opt.open.ring_pages = (unsigned)n;
		return n <= CONN_RING_PAGES_MAX;
	case O_TIMEOUT:
		opt.open.timeout_ns = n * 1000000000ull;
		return n > 0 && n < 100000;
	case O_SECONDS:
		opt.verify.seconds = (unsigned)n;
		return n <= 1000000;
	case O_DEPTH:
		opt.verify.depth = (unsigned)n;
		return n > 0 && n <= 4096;
	case O_SEED:
		opt.verify.seed = n;
		return true;
	case O_OUTAGE:
		opt.verify.outage_ns = n * 1000;
		return n <= 100000000;
	default: /* O_STALL */
		opt.verify.stall_s = (unsigned)n;
		return n > 0 && n <= 100000;
	}
}

static bool set_option(int o, const char *arg)
{
	uint64_t n;

	switch (o) {
	case O_DIR:
		opt.open.runtime_dir = arg;
		return true;
	case O_PROVIDER:
		opt.open.provider = arg;
		return true;
	case O_PROTOCOL:
		return protocol(arg);
	case O_NO_PERS:
		return opt.open.no_persistent = true;
	case O_NO_IND:
		return opt.open.no_indirect = true;
	case O_NO_DISCARD:
		return opt.verify.no_discard = true;
	case O_NO_FLUSH:
		return opt.verify.no_flush = true;
	case O_LIMIT:
		return spec_size(arg, &opt.verify.size_limit) == 0;
	default:
		return number(arg, UINT64_MAX, &n) && set_number(o, n);
	}
}

int main(int argc, char **argv)
{
	int o, at;

	log_init("bulkhead-blkfront", LOG_LVL_WARN);
	opt.verify = (struct blk_verify_opts){ .seconds = 10, .depth = 32, .outage_ns = 300000, .stall_s = 60 };
	opt.verify.seed = (uint64_t)time(NULL);
	while ((o = getopt_long(argc, argv, "h", longs, &at)) != -1) {
		if (o == O_HELP || o == 'h') {
			fputs(usage_text, stdout);
			return EXIT_DONE;
		}
		if (o == '?')
			return usage("unknown option");
		if (!set_option(o, optarg)) {
			fprintf(stderr, "bulkhead-blkfront: --%s %s: not possible (see --help)\n", longs[at].name, optarg ? optarg : "");
			return EXIT_USAGE;
		}
	}
	if (argc - optind < 3)
		return usage("VM, VDEV and a command are needed");
	opt.open.domain = argv[optind];
	opt.open.vdev = argv[optind + 1];
	return command(argc - optind - 2, argv + optind + 2);
}
