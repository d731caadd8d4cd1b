/* main_cli.c - bulkhead(1): the table of commands, and what all of them share. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/bus/vbd_keys.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name, *args, *what;
	int (*fn)(struct cli *c, int argc, char **argv);
} commands[] = {
	{"start", "[BULKHEADD-OPTION...]", "start keeper and supervisor; without Xen a local world's hub and store too", cli_start},
	{"stop", "", "end all of it, and every connection", cli_stop},
	{"create", "VM [--uuid UUID]", "make a domain", cli_create},
	{"destroy", "VM", "end a domain and its devices", cli_destroy},
	{"attach", "VM DISK [-o KEY=VALUE]...", "attach a disk; DISK as in xl.cfg: vdev=xvda,target=/x.img", cli_attach},
	{"attach", "VM vif [KEY=VALUE,...] [-o KEY=VALUE]...", "attach a network interface; as in xl.cfg: mac=,bridge=", cli_attach},
	{"detach", "VM VDEV [--force]", "detach a device: xvda, vif0", cli_detach},
	{"list", "", "domains, their disks and network interfaces", cli_list},
	{"status", "[VM [VDEV]]", "state, generation, restarts, outage, requests, latency, memory", cli_status},
	{"metrics", "", "the same for Prometheus", cli_metrics},
	{"events", "[--past N]", "follow what the supervisor sees and does", cli_events},
	{"kill", "VM VDEV [--signal NAME]", "kill the stub of a device, to see what happens", cli_kill},
	{"stop", "VM VDEV", "freeze the stub of a device, as a hang would", cli_stop},
	{"restart", "VM VDEV", "replace the stub in an orderly way", cli_restart},
	{"resize", "VM VDEV [SIZE]", "look at the size of its storage again; SIZE: of a memory disk", cli_resize},
	{"filter", "VM VDEV KEY=VALUE... | off", "for experiments: loss=, duplicate=, reorder= (%), delay= (ms) of a vif's packets", cli_filter},
	{"doctor", "[--provider NAME] [--uid-base N]", "what this host has and lacks, and what to do", cli_doctor},
	{"reset", "VM VDEV", "end the state broken or failed: a new connection", cli_reset},
};

int cli_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("bulkhead: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_FAILED;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("bulkhead: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (bulkhead --help lists the commands)\n", stderr);
	return EXIT_USAGE;
}

void cli_path(const struct cli *c, const char *name, char *path, size_t size)
{
	if (rundir_file(c->runtime_dir, name, path, size))
		exit(cli_usage("the runtime directory's name is too long"));
}

int cli_device(const char *name, uint32_t *type, uint32_t *devid)
{
	int end = 0, rc;

	*type = CONN_VIF;
	if (sscanf(name, "vif%5u%n", devid, &end) == 1 && !name[end])
		return 0;
	*type = CONN_VBD;
	rc = vbd_devid(name, devid);
	if (rc)
		cli_usage("%s is no virtual device; xvda to xvdp and so on, or vif0", name);
	return rc;
}

int cli_supervisor(const struct cli *c)
{
	int sock = ctl_client_open(c->runtime_dir);

	if (sock < 0)
		cli_fail("no supervisor answers in %s (%s); begin with: bulkhead start", c->runtime_dir, err_str(sock));
	return sock;
}

static struct xsc *xs; /* of this process */

static void close_store(void)
{
	struct loop *l = xsc_loop(xs);

	xsc_close(xs);
	loop_close(l);
}

struct xsc *cli_store(const struct cli *c)
{
	struct xsc_cfg cfg = {.timeout_ns = CLI_DEADLINE_NS / 2};
	char path[256];
	int rc = xsc_path(cli_on_xen(c) ? NULL : c->runtime_dir, path, sizeof(path));

	if (xs)
		return xs;
	if (!rc)
		rc = access(path, W_OK) ? -errno : loop_open(&cfg.loop);
	cfg.path = path;
	if (!rc)
		rc = xsc_open(&cfg, &xs);
	if (!rc && atexit(close_store) == 0)
		return xs;
	cli_fail("no xenstore at %s (%s)%s", path, err_str(rc), cli_on_xen(c) ? "" : "; begin with: bulkhead start");
	return NULL;
}

int cli_store_wait(struct xsc *store, struct cli_wait *w)
{
	int rc = xsc_wait(store, &w->w);

	snprintf(w->text, sizeof(w->text), "%s", w->w.data && w->w.len ? w->w.data : rc ? err_str(rc) : "");
	xsc_wait_free(&w->w);
	memset(&w->w, 0, sizeof(w->w));
	return rc;
}

static char *slot(void)
{
	static char slots[16][24];
	static unsigned next;

	return slots[next++ % ARRAY_LEN(slots)];
}

const char *cli_bytes(uint64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)n;
	unsigned u = 0;
	char *s = slot();

	while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
		v /= 1024;
		u++;
	}
	snprintf(s, 24, u == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return s;
}

const char *cli_time_us(uint64_t us)
{
	char *s = slot();

	if (us < 1000)
		snprintf(s, 24, "%llu us", (unsigned long long)us);
	else if (us < 10 * 1000 * 1000)
		snprintf(s, 24, "%.2f ms", (double)us / 1e3);
	else
		snprintf(s, 24, "%.1f s", (double)us / 1e6);
	return s;
}

static void help(void)
{
	puts("usage: bulkhead [--runtime-dir DIR] [--json] COMMAND ...\n\n"
	     "Per-VM block and network backends for Xen that may die at any instant without the guest noticing.\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char head[64];

		snprintf(head, sizeof(head), "%s %s", commands[i].name, commands[i].args);
		printf("  %-40s %s\n", head, commands[i].what);
	}
	printf("  %-40s %s\n", "bench NAME", "measure rings, disks, the network, recovery: bulkhead-bench(1)");
	puts("\nThe manual is bulkhead(1). Exit status: 0 done, 1 failed, 100 wrong usage.");
}

/* A command that is not known is run from libexec as bulkhead-NAME, as git does. */
static int run_external(const char *name, char **argv)
{
	char dir[2200], prog[2300];

	snprintf(prog, sizeof(prog), "bulkhead-%s", name);
	if (strchr(name, '/') || rundir_libexec(prog, dir, sizeof(dir)))
		return cli_usage("no command %s", name);
	snprintf(prog, sizeof(prog), "%s/bulkhead-%s", dir, name);
	execv(prog, argv);
	return cli_fail("can not run %s: %s", prog, strerror(errno));
}

/* --json is welcome behind the command as well. The new argc. */
static int take_json(struct cli *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0) {
			c->json = true;
			memmove(&argv[i], &argv[i + 1], (size_t)(argc-- - i) * sizeof(*argv));
			i--;
		}
	return argc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"runtime-dir", required_argument, NULL, 'd'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'V'},
						{0}};
	const char *dir = NULL;
	struct cli c = {0};
	int o;

	log_init("bulkhead", LOG_LVL_WARN);
	while ((o = getopt_long(argc, argv, "+d:jhV", options, NULL)) != -1) {
		switch (o) {
		case 'd': dir = optarg; break;
		case 'j': c.json = true; break;
		case 'h': help(); return CLI_OK;
		case 'V': puts(BULKHEAD_VERSION); return CLI_OK;
		default: return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		help();
		return EXIT_USAGE;
	}
	if (rundir_default(dir, c.runtime_dir, sizeof(c.runtime_dir)))
		return cli_usage("the runtime directory's name is too long");
	argc -= optind;
	argv += optind;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[0], commands[i].name) == 0) {
			argc = take_json(&c, argc, argv);
			return commands[i].fn(&c, argc - 1, argv + 1);
		}
	if (c.json) { /* in the place of what stood before the command */
		argv--;
		argv[0] = argv[1];
		argv[1] = (char *)"--json";
	}
	return run_external(argv[0], argv);
}
