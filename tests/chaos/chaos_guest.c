/* chaos_guest - a guest that uses its disk and believes nothing: random stamps, every read compared (blk_verify.h), every
 * answer on the ring compared with what was asked (recorder.h), until SIGTERM.
 *
 *   chaos_guest RUNTIME_DIR VM VDEV SEED [queues=N] [pages=N] [depth=N] [limit=BYTES] [round=SECONDS] [idle=MS]
 *               [stall=SECONDS] [anew] [noflush]
 *
 * In rounds: writes and reads for `round` seconds, reads everything once, then looks for `idle` ms whether anything
 * comes that nobody asked for. anew: each round on a new connection. stall: a request that waits for so long is lost.
 * noflush: no flushes, which on a real disk are most of the time.
 * Prints "name=value" lines; exit 0 only if nothing was wrong.
 */
#include "frontend/blk/blk_verify.h"
#include "ring/base/base.h"
#include "ring/base/conn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "tests/chaos/lived.h"
#include "tests/chaos/recorder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct {
	struct blkfront_open open;
	struct blk_verify_opts verify;
	unsigned idle_ms;
	bool anew;
} opt = {.verify = {.seconds = 2, .depth = 16, .size_limit = 8u << 20, .outage_ns = 300000, .stall_s = 60},
	 .idle_ms = 100};

static struct recorder *rec;
static struct blk_verify_result sum;
static unsigned rounds, unasked; /* unasked: the device ended, or something ended, while nothing was under way */
static volatile sig_atomic_t end_asked;

static void on_term(int signo)
{
	(void)signo;
	end_asked = 1;
}

static void set(const char *arg)
{
	unsigned long long n = strchr(arg, '=') ? strtoull(strchr(arg, '=') + 1, NULL, 0) : 0;

	if (strncmp(arg, "queues=", 7) == 0)
		opt.open.queues = (unsigned)n;
	else if (strncmp(arg, "pages=", 6) == 0)
		opt.open.ring_pages = (unsigned)n;
	else if (strncmp(arg, "depth=", 6) == 0)
		opt.verify.depth = (unsigned)n;
	else if (strncmp(arg, "limit=", 6) == 0)
		opt.verify.size_limit = n;
	else if (strncmp(arg, "round=", 6) == 0)
		opt.verify.seconds = (unsigned)n;
	else if (strncmp(arg, "idle=", 5) == 0)
		opt.idle_ms = (unsigned)n;
	else if (strncmp(arg, "stall=", 6) == 0)
		opt.verify.stall_s = (unsigned)n;
	else if (strcmp(arg, "anew") == 0)
		opt.anew = true;
	else if (strcmp(arg, "noflush") == 0)
		opt.verify.no_flush = true;
	else
		exit(EXIT_USAGE);
}

/* Nothing is under way: whatever comes now was not asked for. */
static void idle(struct blkfront *f)
{
	uint64_t until = clock_now() + opt.idle_ms * NS_PER_MS;
	struct blkfront_info info;

	blkfront_get_info(f, &info);
	while (clock_now() < until) {
		for (unsigned i = 0; i < info.queues; i++)
			unasked += blkfront_poll(blkfront_get_queue(f, i)) != 0;
		poll(NULL, 0, 5);
	}
}

static int one_round(struct blkfront *f)
{
	struct blk_verify_result r;
	int rc;

	opt.verify.seed++;
	rc = blk_verify(f, &opt.verify, &r);
	if (rc)
		return rc;
	rounds++;
	if (r.wrong && !sum.wrong)
		sum.first_wrong = r.first_wrong;
	sum.ios += r.ios;
	sum.errors += r.errors;
	sum.wrong += r.wrong;
	sum.checked += r.checked;
	sum.outages += r.outages;
	sum.stalled = r.stalled;
	if (!r.rc)
		idle(f);
	return r.rc;
}

static int run(void)
{
	struct blkfront *f = NULL;
	char err[256];
	int rc = 0;

	while (!rc && !end_asked) {
		if (!f)
			rc = blkfront_open(&opt.open, &f, err, sizeof(err));
		if (rc) {
			fprintf(stderr, "chaos_guest: %s\n", err);
			return rc;
		}
		rc = one_round(f);
		if (rc || opt.anew || end_asked) {
			recorder_settle(rec);
			blkfront_close(f);
			f = NULL;
		}
	}
	if (f)
		blkfront_close(f);
	return rc;
}

static void report(int rc)
{
	const struct recorder_count *c = recorder_get(rec);
	const struct {
		const char *name;
		uint64_t value;
	} line[] = {
		{"requests", c->requests}, {"answers", c->answers}, {"errors", MAX(c->errors, sum.errors)}, {"wrong", sum.wrong},
		{"missing", c->missing}, {"repeated", c->repeated}, {"invented", c->invented + unasked}, {"wrong_op", c->wrong_op},
		{"disorder", c->disorder}, {"checked", sum.checked}, {"rounds", rounds}, {"outages", sum.outages},
		{"gap_us", c->gap_ns / NS_PER_US}, {"stalled", sum.stalled},
	};

	for (size_t i = 0; i < ARRAY_LEN(line); i++)
		printf("%s=%llu\n", line[i].name, (unsigned long long)line[i].value);
	if (rc)
		fprintf(stderr, "chaos_guest: %s\n", err_str(rc));
	if (sum.wrong)
		fprintf(stderr, "chaos_guest: the first wrong sector is %llu\n", (unsigned long long)sum.first_wrong);
	if (recorder_faults(rec))
		recorder_print(rec, 80, stderr);
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 5) {
		fprintf(stderr, "usage: chaos_guest RUNTIME_DIR VM VDEV SEED [name=value ...]\n");
		return EXIT_USAGE;
	}
	log_init("chaos_guest", LOG_LVL_WARN);
	opt.open.runtime_dir = argv[1];
	opt.open.domain = argv[2];
	opt.open.vdev = argv[3];
	opt.open.timeout_ns = 60 * NS_PER_S;
	opt.verify.seed = strtoull(argv[4], NULL, 0);
	for (int i = 5; i < argc; i++)
		set(argv[i]);
	signal(SIGTERM, on_term);
	rec = recorder_open();
	if (!rec || lived_start())
		return EXIT_TEMPORARY;
	opt.open.observer = recorder_observer(rec);
	rc = run();
	recorder_settle(rec);
	report(rc);
	rc = rc || sum.wrong || unasked || recorder_faults(rec);
	recorder_close(rec);
	return rc;
}
