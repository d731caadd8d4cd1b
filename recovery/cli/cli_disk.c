/* cli_disk.c - attaching and detaching disks, in xenstore, as a toolstack does. */
#include "recovery/cli/cli.h"
#include "recovery/cli/xlspec.h"
#include "ring/base/err.h"
#include "xenstore-glue/bus/dev_admin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int cli_attach(struct cli *c, int argc, char **argv)
{
	struct cli_specs a = {0};
	struct cli_wait w = {0};
	static struct dev_admin_vbd vbd; /* large, and one a process */
	struct dev_admin_vbd *v = &vbd;
	struct dev_admin_dev dev;
	struct xl_disk disk;
	char err[256];
	uint32_t type;
	struct xsc *xs;
	int rc, domid;

	if (argc > 1 && strcmp(argv[1], "vif") == 0)
		return cli_attach_vif(c, argc, argv);
	if (argc > 1 && sscanf(argv[1], "vif%u", &type) == 1)
		return cli_usage("a network interface is attached by: attach %s vif devid=%u,...", argv[0], type);
	if (cli_not_on_xen(c, "attach", "xl block-attach VM vdev=xvda,script=block-bulkhead,target=..."))
		return CLI_FAILED;
	rc = cli_read_specs(argc, argv, 1, "a disk", &v->wanted.shared, &a);
	if (rc)
		return rc;
	if (!a.n)
		return cli_usage("attach takes VM DISK, as in xl.cfg: vdev=xvda,target=/x.img; or VM vif, and bridge=br0 and so on");
	if (xlspec_disk(a.n, a.spec, &disk, err, sizeof(err)))
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
	v->wanted.cdrom = disk.cdrom;
	v->wanted.removable = disk.removable;
	v->wanted.discard_enable = disk.discard;
	v->wanted.bootable = true;
	strcpy(v->wanted.type, "phy");
	strcpy(v->wanted.script, disk.script);
	vbd_vdev(v->devid, v->wanted.dev, sizeof(v->wanted.dev));
	dev = (struct dev_admin_dev){.domid = v->domid, .devid = v->devid, .class_name = "vbd"};
	dev_admin_vbd_create(xs, v, xsc_wait_done, &w.w);
	return cli_offered(xs, &w, &dev, argv[0], "disk ", v->wanted.dev);
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
