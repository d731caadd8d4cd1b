/* bulkhead-store: the xenstored of the local provider. */
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/store/xs_server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define LOCK_NAME "store.lock"

struct options {
	char dir[PATH_MAX];
	enum log_level level;
	mode_t mode;
};

static const char usage[] =
	"usage: bulkhead-store [--runtime-dir DIR] [--mode OCTAL] [--log-level error|warn|info|debug]\n";

static int parse_level(const char *text, enum log_level *out)
{
	int level = log_level_parse(text);

	if (level < 0)
		fprintf(stderr, "bulkhead-store: --log-level %s: not one of " LOG_LEVEL_NAMES "\n", text);
	else
		*out = (enum log_level)level;
	return MIN(level, 0);
}

static int parse_mode(const char *text, mode_t *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 8);

	if (end == text || *end || v > 0777) {
		fprintf(stderr, "bulkhead-store: --mode %s: not an octal file mode such as 0600\n", text);
		return -EINVAL;
	}
	*out = (mode_t)v;
	return 0;
}

/* 0: go on; otherwise the exit status is in *status. */
static int parse(int argc, char **argv, struct options *o, int *status)
{
	static const struct option longs[] = {
		{"runtime-dir", required_argument, NULL, 'd'},
		{"log-level", required_argument, NULL, 'l'},
		{"mode", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *dir = NULL;
	int c, rc = 0;

	*status = EXIT_USAGE;
	while (rc == 0 && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'd')
			dir = optarg;
		else if (c == 'l')
			rc = parse_level(optarg, &o->level);
		else if (c == 'm')
			rc = parse_mode(optarg, &o->mode);
		else if (c == 'h') {
			fputs(usage, stdout);
			*status = EXIT_DONE;
			return -1;
		} else
			return -1; /* getopt has said what is wrong */
	}
	if (rc == 0 && optind < argc) {
		fprintf(stderr, "bulkhead-store: %s: takes no arguments but options\n", argv[optind]);
		rc = -1;
	}
	if (rc == 0 && rundir_default(dir, o->dir, sizeof(o->dir)) < 0) {
		fprintf(stderr, "bulkhead-store: the name of the runtime directory is too long\n");
		rc = -1;
	}
	return rc;
}

/* The directory, ours alone. A descriptor, or -1 after one line. */
static int enter(const char *dir, int *status)
{
	int rc = rundir_make(dir), fd, lock;

	*status = EXIT_USAGE;
	if (rc < 0) {
		log_error("%s can't be the runtime directory: %s", dir, strerror(-rc));
		return -1;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock = fd < 0 ? -1 : openat(fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0) {
		log_error("%s/" LOCK_NAME ": %s", dir, strerror(errno));
		return -1;
	}
	if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		log_error("another bulkhead-store runs in %s: stop it first, or give another --runtime-dir", dir);
		*status = EXIT_TEMPORARY;
		return -1;
	}
	return fd; /* the lock's descriptor lives as long as the process */
}

static void on_end(int signo, void *arg)
{
	log_debug("signal %d: ending", signo);
	loop_stop(arg);
}

static int serve(const struct options *o, struct xs_store *st, struct xs_log *log)
{
	struct xs_server *s = NULL;
	struct loop *l = NULL;
	int rc = loop_open(&l);

	if (rc == 0)
		rc = loop_signal(l, SIGTERM, on_end, l);
	if (rc == 0)
		rc = loop_signal(l, SIGINT, on_end, l);
	if (rc == 0)
		rc = xs_server_open(&s, l, st, log, o->dir, o->mode);
	if (rc == 0) {
		log_info("serving %s/" XS_SOCK ", %zu nodes", o->dir, st->nodes.count);
		rc = loop_run(l);
	} else {
		log_error("can't serve in %s: %s", o->dir, strerror(-rc));
	}
	xs_server_close(s);
	loop_close(l);
	return rc < 0 ? EXIT_TEMPORARY : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct options o = {.level = LOG_LVL_INFO, .mode = 0600};
	struct xs_store *st = NULL;
	struct xs_log *log = NULL;
	uint64_t seed = 0, dropped;
	int status, dir, rc;

	if (parse(argc, argv, &o, &status) < 0)
		return status;
	log_init("bulkhead-store", o.level);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk to us: -ENOSPC */
	dir = enter(o.dir, &status);
	if (dir < 0)
		return status;
	if (getrandom(&seed, sizeof(seed), 0) < 0)
		log_warn("no random numbers for the hash table: %s", strerror(errno));
	rc = xs_store_open(&st, seed);
	if (rc == 0)
		rc = xs_log_open(&log, dir, st, &dropped);
	if (rc == -EBADMSG)
		log_error("%s/" XS_LOG_NAME " is damaged or of another version: move it away to begin with an empty store",
			  o.dir);
	else if (rc < 0)
		log_error("%s/" XS_LOG_NAME ": %s", o.dir, strerror(-rc));
	if (rc < 0) {
		xs_store_close(st);
		return rc == -EBADMSG ? EXIT_PERMANENT : EXIT_TEMPORARY;
	}
	if (dropped)
		log_info("the log's last %llu bytes are an unfinished record: dropped", (unsigned long long)dropped);
	status = serve(&o, st, log);
	xs_log_close(log);
	xs_store_close(st);
	close(dir);
	return status;
}
