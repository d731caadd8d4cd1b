/* bulkhead-keep: parent of a world's daemons and holder of what must outlive the supervisor. */
#include "recovery/super/keep.h"
#include "recovery/super/keep_serv.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/rundir.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char usage[] =
	"Usage: bulkhead-keep [--runtime-dir DIR] [--libexec DIR] [--provider auto|local|xen] [--log-level LEVEL]\n"
	"                     [-- options of bulkheadd]\n"
	"Runs in the foreground: starts bulkhead-hub and bulkhead-store (provider local) or bulkhead-autoprobe (xen), and bulkheadd, starts them\n"
	"again when they die, and holds the descriptors that must outlive them. SIGTERM stops all.\n";

struct options {
	const char *dir, *libexec, *provider, *level;
	char **rest;
};

struct world {
	struct servs servs; /* first: done() gets its address */
	struct loop *loop;
	char dir[PATH_MAX - 64], libexec[PATH_MAX - 64];
	char file[SERV_MAX][PATH_MAX];
};

static void stop_asked(void *arg) { servs_stop(&((struct world *)arg)->servs); }
static void on_term(int signo, void *arg)
{
	log_info("signal %d: stopping", signo);
	stop_asked(arg);
}
static void all_stopped(struct servs *s) { loop_stop(s->loop); }

static int usage_error(const char *what)
{
	fprintf(stderr, "bulkhead-keep: %s\n%s", what, usage);
	return EXIT_USAGE;
}

/* keep.pid is locked for as long as we live: two keepers of one world can not be. The descriptor, or -1. */
static int lock_world(const struct world *w)
{
	char path[PATH_MAX], pid[32];
	int fd, n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (rundir_file(w->dir, "keep.pid", path, sizeof(path)))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		fprintf(stderr, "bulkhead-keep: %s: %s\n", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		fprintf(stderr, "bulkhead-keep: another one runs in %s: stop it first, or give another --runtime-dir\n", w->dir);
		close(fd);
		return -1;
	}
	if (ftruncate(fd, 0) < 0 || write(fd, pid, (size_t)n) != n)
		log_warn("%s can not be written", path);
	return fd;
}

static struct serv *add(struct world *w, const char *name, bool vital)
{
	struct serv *v = &w->servs.serv[w->servs.n];

	snprintf(w->file[w->servs.n], PATH_MAX, "%s/%s", w->libexec, name);
	v->name = name;
	v->file = w->file[w->servs.n++];
	v->vital = vital;
	v->argv[0] = name;
	v->argv[1] = "--runtime-dir";
	v->argv[2] = w->dir;
	return v;
}

static bool local_provider(const struct options *o) { return strcmp(o->provider, "local") == 0; }

/* bulkheadd's options --disks and --vifs are another program's as well. */
static const char *given(const struct options *o, const char *name, const char *absent)
{
	size_t n = strlen(name);

	for (char **a = o->rest; *a; a++) {
		if (strncmp(*a, name, n) == 0 && (*a)[n] == '=')
			return *a + n + 1;
		if (strcmp(*a, name) == 0 && a[1])
			return a[1];
	}
	return absent;
}

static void plan_autoprobe(struct world *w, const struct options *o)
{
	struct serv *v = add(w, "bulkhead-autoprobe", false);

	v->argv[3] = "--disks";
	v->argv[4] = given(o, "--disks", "all");
	v->argv[5] = "--vifs";
	v->argv[6] = given(o, "--vifs", v->argv[4]);
	v->argv[7] = "--log-level";
	v->argv[8] = o->level;
}

static int plan(struct world *w, const struct options *o)
{
	struct serv *v;
	unsigned n = 3;

	if (local_provider(o)) {
		add(w, "bulkhead-hub", true);
		add(w, "bulkhead-store", false);
	} else if (access(XEN_BACKEND_BUS, F_OK) == 0) {
		plan_autoprobe(w, o); /* before the supervisor, until after it */
	}
	v = add(w, "bulkheadd", false);
	v->argv[n++] = "--libexec";
	v->argv[n++] = w->libexec;
	v->argv[n++] = "--provider";
	v->argv[n++] = o->provider;
	v->argv[n++] = "--log-level";
	v->argv[n++] = o->level;
	for (char **a = o->rest; *a; a++) {
		if (n == SERV_ARGS_MAX - 1)
			return -E2BIG;
		v->argv[n++] = *a;
	}
	return 0;
}

/* When no hub lives, no domain does: a world begins, and what a former one left in the store is not its. */
static void begin_world(const struct world *w)
{
	char path[PATH_MAX];
	int fd;

	if (rundir_file(w->dir, "hub.lock", path, sizeof(path)))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (rundir_file(w->dir, "store.log", path, sizeof(path)) == 0 && unlink(path) && errno != ENOENT)
		log_warn("%s of a former world can not be removed: %s", path, strerror(errno));
}

static int run(struct world *w)
{
	struct keep *keep = NULL;
	char sock[PATH_MAX];
	int rc = loop_open(&w->loop);

	w->servs.loop = w->loop;
	w->servs.done = all_stopped;
	if (!rc)
		rc = rundir_file(w->dir, KEEP_SOCK, sock, sizeof(sock));
	if (!rc)
		rc = keep_open(w->loop, sock, stop_asked, w, &keep);
	if (!rc)
		rc = loop_signal(w->loop, SIGTERM, on_term, w);
	if (!rc)
		rc = loop_signal(w->loop, SIGINT, on_term, w);
	if (!rc)
		rc = servs_start(&w->servs);
	if (!rc)
		rc = loop_run(w->loop);
	if (rc)
		log_error("%s: %s", w->dir, err_str(rc));
	keep_close(keep);
	loop_close(w->loop);
	return rc ? EXIT_TEMPORARY : w->servs.status;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longopts[] = {
		{"runtime-dir", required_argument, NULL, 'd'}, {"libexec", required_argument, NULL, 'x'},
		{"provider", required_argument, NULL, 'p'},    {"log-level", required_argument, NULL, 'l'},
		{"foreground", no_argument, NULL, 'f'},	       {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.provider = "auto", .level = "info"};
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (c) {
		case 'd': o->dir = optarg; break;
		case 'x': o->libexec = optarg; break;
		case 'p': o->provider = optarg; break;
		case 'l': o->level = optarg; break;
		case 'f': break;
		case 'h': fputs(usage, stdout); exit(0);
		default: return usage_error("see above");
		}
	}
	o->rest = argv + optind;
	if (strcmp(o->provider, "auto") && strcmp(o->provider, "local") && strcmp(o->provider, "xen"))
		return usage_error("--provider: auto, local or xen");
	o->provider = xen_host_provider(o->provider);
	if (log_level_parse(o->level) < 0)
		return usage_error("--log-level: " LOG_LEVEL_NAMES);
	return 0;
}

int main(int argc, char **argv)
{
	static struct world w;
	struct options o;
	char why[256];
	int lock, rc = parse(argc, argv, &o);

	if (rc)
		return rc;
	log_init("bulkhead-keep", (enum log_level)log_level_parse(o.level));
	rc = rundir_default(o.dir, w.dir, sizeof(w.dir));
	if (!rc)
		rc = rundir_make(w.dir);
	if (rc) {
		fprintf(stderr, "bulkhead-keep: %s: %s (a directory of your own that nobody else may write is needed)\n", w.dir,
			strerror(-rc));
		return EXIT_USAGE;
	}
	if (o.libexec ? snprintf(w.libexec, sizeof(w.libexec), "%s", o.libexec) >= (int)sizeof(w.libexec)
		      : rundir_libexec("bulkheadd", w.libexec, sizeof(w.libexec)) != 0)
		return usage_error("bulkheadd is not beside this program: give --libexec DIR");
	if (!local_provider(&o) && xen_host_check("", why, sizeof(why))) {
		log_error("%s", why);
		return EXIT_PERMANENT;
	}
	lock = lock_world(&w);
	if (lock < 0)
		return EXIT_TEMPORARY;
	if (local_provider(&o))
		begin_world(&w);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		log_warn("can not adopt orphans: %s", strerror(errno));
	if (plan(&w, &o))
		return usage_error("too many options for bulkheadd");
	signal(SIGPIPE, SIG_IGN);
	return run(&w);
}
