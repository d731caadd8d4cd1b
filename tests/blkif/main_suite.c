/* bulkhead-blkif-suite - puts a blkif backend under every case of tests/blkif (docs/conformance.md).
 * It is a guest's program: it acts as the frontend of one disk, and of a second one that must not notice. */
#include "tests/blkif/run.h"

#include "ring/base/err.h"
#include "ring/base/log.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: bulkhead-blkif-suite [options]      as a guest: connects its disk in every right and wrong way\n"
	"  --front PATH       its directory in xenstore (device/vbd/51712); more than once: spare ones, for when one is lost\n"
	"  --canary PATH      another disk, which must work all the time (device/vbd/51728); --canary none\n"
	"  --writable         the first megabytes of both may be overwritten; without it, only reads\n"
	"  --expect bulkhead  what Bulkhead's backend is expected to do, not only what the protocol says\n"
	"  --only PATTERN     of names of cases; --skip PATTERN, any number of times; --from NAME\n"
	"  --list             names and what each rests on\n"
	"  --destroy          the cases too that leave the disk without its directory\n"
	"  --seed N           of what is random\n"
	"  --patience MS      how long an answer may take (3000)\n"
	"  --provider P       local or xen (xen on Xen, else local); on local: --runtime-dir DIR --domain NAME\n";

enum { O_FRONT = 1, O_CANARY, O_WRITABLE, O_EXPECT, O_ONLY, O_SKIP, O_FROM, O_LIST, O_DESTROY, O_SEED, O_PATIENCE, O_PROVIDER,
       O_RUNTIME, O_DOMAIN, O_HELP };
static const struct option longs[] = {{"front", 1, 0, O_FRONT},
				      {"canary", 1, 0, O_CANARY},
				      {"writable", 0, 0, O_WRITABLE},
				      {"expect", 1, 0, O_EXPECT},
				      {"only", 1, 0, O_ONLY},
				      {"skip", 1, 0, O_SKIP},
				      {"from", 1, 0, O_FROM},
				      {"list", 0, 0, O_LIST},
				      {"destroy", 0, 0, O_DESTROY},
				      {"seed", 1, 0, O_SEED},
				      {"patience", 1, 0, O_PATIENCE},
				      {"provider", 1, 0, O_PROVIDER},
				      {"runtime-dir", 1, 0, O_RUNTIME},
				      {"domain", 1, 0, O_DOMAIN},
				      {"help", 0, 0, O_HELP},
				      {0}};

static bool list_one(void *arg UNUSED, const struct test *t)
{
	printf("%-26s %s\n", t->name, t->says);
	return true;
}

static bool set_option(struct run *r, int o, const char *arg)
{
	switch (o) {
	case O_FRONT:
		if (r->nfronts == FRONTS_MAX)
			return false;
		r->front[r->nfronts++] = arg;
		return true;
	case O_CANARY: r->canary = strcmp(arg, "none") == 0 ? NULL : arg; return true;
	case O_WRITABLE: return suite.writable = true;
	case O_EXPECT: return suite.strict = strcmp(arg, "bulkhead") == 0;
	case O_ONLY: r->only = arg; return true;
	case O_SKIP:
		if (r->nskips == ARRAY_LEN(r->skip))
			return false;
		r->skip[r->nskips++] = arg;
		return true;
	case O_FROM: r->from = arg; return true;
	case O_DESTROY: return r->destroy = true;
	case O_SEED: suite.seed = (unsigned)strtoul(arg, NULL, 0); return true;
	case O_PATIENCE: suite.patience = strtoull(arg, NULL, 0) * NS_PER_MS; return suite.patience > 0;
	case O_PROVIDER: suite.provider = arg; return strcmp(arg, "local") == 0 || strcmp(arg, "xen") == 0;
	case O_RUNTIME: suite.runtime_dir = arg; return true;
	case O_DOMAIN: suite.domain = arg; return true;
	default: return false;
	}
}

int main(int argc, char **argv)
{
	struct run r = {.canary = "device/vbd/51728"};
	bool ok;
	int o;

	log_init("bulkhead-blkif-suite", LOG_LVL_ERROR);
	suite = (struct suite){.provider = access("/dev/xen/xenbus", F_OK) == 0 ? "xen" : "local",
			       .runtime_dir = getenv("BULKHEAD_RUNTIME_DIR"),
			       .patience = 3 * NS_PER_S,
			       .seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)clock_now()};
	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o == O_LIST || o == O_HELP) {
			if (o == O_LIST)
				each_test(list_one, NULL);
			else
				fputs(usage_text, stdout);
			return EXIT_DONE;
		}
		if (o == '?' || !set_option(&r, o, optarg)) {
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	if (r.nfronts == 0)
		r.front[r.nfronts++] = "device/vbd/51712";
	printf("SEED=%u\n", suite.seed);
	ok = run_all(&r);
	printf("%u passed, %u failed, %u skipped\n", r.passed, r.failed, r.skipped);
	return ok && r.passed ? EXIT_DONE : 1;
}
