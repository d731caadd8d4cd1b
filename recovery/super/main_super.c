/* bulkheadd: the supervisor. */
#include "recovery/super/sup.h"
#include "recovery/super/sup_spawn.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/rundir.h"
#include "ring/os/slice.h"
#include "ring/os/xen_host.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/vif_keys.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
	"Usage: bulkheadd [OPTION]...\n"
	"  --runtime-dir DIR      where the daemons of this world meet\n"
	"  --libexec DIR          where bulkhead-blk is (default: beside this program)\n"
	"  --provider auto|local|xen\n"
	"  --disks all|marked     which disks are ours: all, or those with script=" VBD_SCRIPT " (beside the kernel's backend)\n"
	"  --vifs all|marked      the same for network interfaces, script=" VIF_SCRIPT " (default: as --disks)\n"
	"  --placement per-device|per-vm|monolithic\n"
	"  --standby yes|no       a warm standby for each stub (default yes; a disk's own option standby= comes first)\n"
	"  --hang-ms N            a worker that neither moves nor answers for twice this time is hung (default 50)\n"
	"  --uid-base N           as root: stubs of domain D run as user N + D (default 165536; 0: as root)\n"
	"  --log-level error|warn|info|debug\n"
	"SIGTERM ends every connection and then the supervisor; SIGHUP ends the supervisor only, for a successor to adopt.\n";

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "bulkheadd: %s '%s'\n%s", what, value, usage);
	return EXIT_USAGE;
}

static int number(const char *text, unsigned long max, unsigned long *v)
{
	char *end;

	errno = 0;
	*v = strtoul(text, &end, 10);
	return errno || *end || text[0] < '0' || text[0] > '9' || *v > max ? -EINVAL : 0;
}

static int choice(const char *text, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

static const char *const placements[] = {"per-device", "per-vm", "monolithic", NULL};
static const char *const whose[] = {"all", "marked", NULL};
static const char *const yes_no[] = {"no", "yes", NULL};
static const char *const providers[] = {"auto", "local", "xen", NULL};

enum { OPT_DIR = 1, OPT_LIBEXEC, OPT_PROVIDER, OPT_DISKS, OPT_VIFS, OPT_PLACEMENT, OPT_STANDBY, OPT_HANG, OPT_UID, OPT_LEVEL };

struct given {
	struct sup_options o;
	int disks, vifs; /* 1: only those that are marked; vifs -1: as the disks */
	int level;
};

static int take(int c, struct given *g)
{
	struct sup_options *o = &g->o;
	unsigned long v;
	int i;

	switch (c) {
	case OPT_DIR: o->dir = optarg; return 0;
	case OPT_LIBEXEC: o->libexec = optarg; return 0;
	case OPT_PROVIDER:
		o->provider = optarg;
		return choice(optarg, providers) < 0 ? usage_error("--provider:", optarg) : 0;
	case OPT_DISKS:
		g->disks = choice(optarg, whose);
		return g->disks < 0 ? usage_error("--disks:", optarg) : 0;
	case OPT_VIFS:
		g->vifs = choice(optarg, whose);
		return g->vifs < 0 ? usage_error("--vifs:", optarg) : 0;
	case OPT_PLACEMENT:
		i = choice(optarg, placements);
		o->placement = (enum sup_placement)i;
		return i < 0 ? usage_error("--placement:", optarg) : 0;
	case OPT_STANDBY:
		i = choice(optarg, yes_no);
		o->standby = i > 0;
		return i < 0 ? usage_error("--standby:", optarg) : 0;
	case OPT_HANG:
		if (number(optarg, 3600000, &v) || v == 0)
			return usage_error("--hang-ms:", optarg);
		o->hang_ns = v * NS_PER_MS;
		return 0;
	case OPT_UID:
		if (number(optarg, UINT32_MAX - 65536, &v))
			return usage_error("--uid-base:", optarg);
		o->uid_base = (uint32_t)v;
		return 0;
	case OPT_LEVEL:
		g->level = log_level_parse(optarg);
		return g->level < 0 ? usage_error("--log-level:", optarg) : 0;
	default:
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
}

static int parse(int argc, char **argv, struct given *g)
{
	static const struct option longopts[] = {
		{"runtime-dir", required_argument, NULL, OPT_DIR}, {"libexec", required_argument, NULL, OPT_LIBEXEC},
		{"provider", required_argument, NULL, OPT_PROVIDER}, {"disks", required_argument, NULL, OPT_DISKS},
		{"vifs", required_argument, NULL, OPT_VIFS}, {"placement", required_argument, NULL, OPT_PLACEMENT},
		{"standby", required_argument, NULL, OPT_STANDBY}, {"hang-ms", required_argument, NULL, OPT_HANG},
		{"uid-base", required_argument, NULL, OPT_UID}, {"log-level", required_argument, NULL, OPT_LEVEL},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	while (!rc && (c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			exit(EXIT_DONE);
		}
		rc = take(c, g);
	}
	g->o.disks_marked = g->disks > 0;
	g->o.vifs_marked = g->vifs < 0 ? g->o.disks_marked : g->vifs > 0;
	return !rc && optind < argc ? usage_error("what is", argv[optind]) : rc;
}

static void on_term(int signo, void *arg)
{
	(void)signo;
	sup_stop((struct sup *)arg);
}

static void on_hup(int signo, void *arg)
{
	(void)signo;
	log_info("ending; the stubs go on, for a successor to adopt");
	loop_stop((struct loop *)arg);
}

static int run(const struct sup_options *o)
{
	struct loop *l;
	struct sup *s = NULL;
	char err[256] = "";
	int rc = loop_open(&l);

	if (!rc)
		rc = sup_open(l, o, &s, err, sizeof(err));
	if (!rc)
		rc = loop_signal(l, SIGTERM, on_term, s);
	if (!rc)
		rc = loop_signal(l, SIGINT, on_term, s);
	if (!rc)
		rc = loop_signal(l, SIGHUP, on_hup, l);
	if (rc)
		log_error("%s", err[0] ? err : err_str(rc));
	else
		rc = loop_run(l);
	sup_close(s);
	loop_close(l);
	return rc ? EXIT_TEMPORARY : EXIT_DONE;
}

/* Every device costs a dozen descriptors. */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	static char dir[PATH_MAX - 256], libexec[PATH_MAX - 256];
	struct given g = {.o = {.provider = "auto", .standby = true, .hang_ns = 50 * NS_PER_MS, .uid_base = SUP_UID_BASE},
			  .vifs = -1,
			  .level = LOG_LVL_INFO};
	struct sup_options *o = &g.o;
	int rc = parse(argc, argv, &g);

	if (rc)
		return rc;
	log_init("bulkheadd", (enum log_level)g.level);
	rc = sup_spawn_init();
	if (!rc)
		rc = rundir_default(o->dir, dir, sizeof(dir));
	if (!rc)
		rc = rundir_make(dir);
	if (rc) {
		fprintf(stderr, "bulkheadd: %s: %s (a directory of your own that nobody else may write is needed)\n", dir, strerror(-rc));
		return EXIT_USAGE;
	}
	if (!o->libexec && rundir_libexec("bulkhead-blk", libexec, sizeof(libexec)) == 0)
		o->libexec = libexec;
	if (!o->libexec) {
		fprintf(stderr, "bulkheadd: bulkhead-blk is not beside this program: give --libexec DIR\n");
		return EXIT_USAGE;
	}
	o->dir = dir;
	o->provider = xen_host_provider(o->provider);
	raise_limits();
	slice_short();
	signal(SIGPIPE, SIG_IGN);
	return run(o);
}
