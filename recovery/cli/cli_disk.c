/* cli_disk.c - attaching and detaching disks, in xenstore, as a toolstack does. */
#include "recovery/cli/cli.h"
#include "recovery/cli/xlspec.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/bus/xenbus.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct attach_args {
	const char *specs[16];
	int nspecs;
	char options[SPEC_MAX]; /* ",key=value" for each -o */
	bool shared;
};

static int read_args(int argc, char **argv, struct attach_args *a)
{
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
			n += (size_t)snprintf(a->options + n, sizeof(a->options) - n, ",%s", argv[++i]);
			if (n >= sizeof(a->options))
				return cli_usage("too many options");
		} else if (strcmp(argv[i], "--shared") == 0) {
			a->shared = true;
		} else if (argv[i][0] == '-') {
			return cli_usage("attach does not know %s", argv[i]);
		} else if (a->nspecs == (int)ARRAY_LEN(a->specs)) {
			return cli_usage("too many parts of a disk specification");
		} else {
			a->specs[a->nspecs++] = argv[i];
		}
	}
	return a->nspecs ? 0 : cli_usage("attach takes VM DISK, where DISK is as in xl.cfg: vdev=xvda,target=/x.img");
}

/* A relative path is the user's own; xenstore's must be absolute. Engines are left alone. */
static int make_params(const struct xl_disk *d, const char *options, char *params, size_t size)
{
	char cwd[PATH_MAX] = "";
	size_t arg = strcspn(d->target, ":,/");
	bool relative = d->target[0] != '/' && d->target[arg] != ':';

	if (relative && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	if ((size_t)snprintf(params, size, "%s%s%s%s", cwd, relative ? "/" : "", d->target, options) >= size)
		return -ENAMETOOLONG;
	return 0;
}

int cli_wait_offered(struct xsc *xs, const char *path, char *text, size_t size)
{
	uint64_t deadline = clock_now() + CLI_DEADLINE_NS;
	char node[160], value[16];
	int rc;

	for (;;) {
		snprintf(node, sizeof(node), "%s/state", path);
		rc = xsc_sync_read(xs, node, value, sizeof(value));
		/* After the state: they are written together. */
		snprintf(node, sizeof(node), "%s/error", path);
		if (xsc_sync_read(xs, node, text, size) == 0)
			return -EIO;
		if (rc == 0 && strtoul(value, NULL, 10) >= XenbusStateInitWait)
			return 0;
		if (rc && rc != -ENOENT)
			return snprintf(text, size, "xenstore: %s", err_str(rc)), rc;
		if (clock_now() > deadline)
			return snprintf(text, size, "bulkheadd does not react; see the log"), -ETIMEDOUT;
		loop_once(xsc_loop(xs), 2 * NS_PER_MS);
	}
}

static int attach(struct xsc *xs, const char *vm, const struct dev_admin_vbd *v)
{
	struct dev_admin_dev dev = {.back_domid = v->back_domid, .domid = v->domid, .devid = v->devid, .class_name = "vbd"};
	struct cli_wait w = {0};
	char text[256], path[128];
	int rc;

	dev_admin_vbd_create(xs, v, xsc_wait_done, &w.w);
	rc = cli_store_wait(xs, &w);
	if (rc == -EEXIST)
		return cli_fail("%s has a disk %s already", vm, v->wanted.dev);
	if (rc)
		return cli_fail("%s %s: %s", vm, v->wanted.dev, w.text);
	vbd_back_path(path, sizeof(path), v->back_domid, v->domid, v->devid);
	if (cli_wait_offered(xs, path, text, sizeof(text)) == 0) {
		printf("%s of %s is offered\n", v->wanted.dev, vm);
		return CLI_OK;
	}
	dev_admin_remove(xs, &dev, CLI_DEADLINE_NS / 2, true, xsc_wait_done, &w.w);
	cli_store_wait(xs, &w);
	return cli_fail("%s of %s: %s", v->wanted.dev, vm, text);
}

int cli_attach(struct cli *c, int argc, char **argv)
{
	struct attach_args a = {0};
	static struct dev_admin_vbd vbd; /* large, and one a process */
	struct dev_admin_vbd *v = &vbd;
	struct xl_disk disk;
	char err[256];
	uint32_t type;
	struct xsc *xs;
	int rc, domid;

	if (argc > 1 && strcmp(argv[1], "vif") == 0)
		return cli_attach_vif(c, argc, argv);
	if (cli_not_on_xen(c, "attach", "xl block-attach VM vdev=xvda,script=block-bulkhead,target=..."))
		return CLI_FAILED;
	rc = read_args(argc, argv, &a);
	if (rc)
		return rc;
	if (xlspec_disk(a.nspecs, a.specs, &disk, err, sizeof(err)))
		return cli_usage("%s", err);
	if (cli_device(disk.vdev, &type, &v->devid))
		return EXIT_USAGE;
	if (make_params(&disk, a.options, v->wanted.params, sizeof(v->wanted.params)))
		return cli_usage("the target is too long");
	domid = cli_domid(c, argv[0]);
	xs = domid < 0 ? NULL : cli_store(c);
	if (!xs)
		return CLI_FAILED;
	v->domid = (uint32_t)domid;
	v->wanted.read_only = disk.read_only;
	v->wanted.shared = a.shared;
	v->wanted.cdrom = disk.cdrom;
	v->wanted.removable = disk.removable;
	v->wanted.discard_enable = disk.discard;
	v->wanted.bootable = true;
	strcpy(v->wanted.type, "phy");
	strcpy(v->wanted.script, disk.script);
	vbd_vdev(v->devid, v->wanted.dev, sizeof(v->wanted.dev));
	return attach(xs, argv[0], v);
}

int cli_detach(struct cli *c, int argc, char **argv)
{
	struct dev_admin_dev dev = {0};
	bool force = argc == 3 && strcmp(argv[2], "--force") == 0;
	struct cli_wait w = {0};
	struct xsc *xs;
	uint32_t type;
	int domid, rc;

	if (cli_not_on_xen(c, "detach", "xl block-detach VM VDEV, xl network-detach VM NUMBER"))
		return CLI_FAILED;
	if (argc != 2 && !force)
		return cli_usage("detach takes VM VDEV [--force]");
	if (cli_device(argv[1], &type, &dev.devid))
		return EXIT_USAGE;
	strcpy(dev.class_name, type == CONN_VIF ? "vif" : "vbd");
	domid = cli_domid(c, argv[0]);
	xs = domid < 0 ? NULL : cli_store(c);
	if (!xs)
		return CLI_FAILED;
	dev.domid = (uint32_t)domid;
	dev_admin_remove(xs, &dev, CLI_DEADLINE_NS, force, xsc_wait_done, &w.w);
	rc = cli_store_wait(xs, &w);
	if (rc == -ENOENT)
		return cli_fail("%s has no %s", argv[0], argv[1]);
	if (rc == -ETIMEDOUT)
		return cli_fail("%s does not let %s go; --force takes it away all the same", argv[0], argv[1]);
	return rc ? cli_fail("%s of %s: %s", argv[1], argv[0], w.text) : CLI_OK;
}
