/* cli_vif.c - attaching network interfaces, in xenstore, as a toolstack does. */
#include "recovery/cli/cli.h"
#include "recovery/cli/xlspec.h"
#include "ring/base/err.h"
#include "xenstore-glue/bus/dev_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The options belong to the netport, which is a tap where nobody says otherwise. */
static int add_options(struct vif_wanted *w, const char *options)
{
	char port[SPEC_MAX];

	if (!options[0])
		return 0;
	strcpy(port, w->params[0] ? w->params : "tap");
	return (size_t)snprintf(w->params, sizeof(w->params), "%s%s", port, options) < sizeof(w->params) ? 0 : -ENAMETOOLONG;
}

/* In Xen's own range of addresses, as xl does it. */
static int make_mac(uint8_t mac[6])
{
	static const uint8_t none[6];

	if (memcmp(mac, none, sizeof(none)) != 0)
		return 0;
	if (getrandom(mac + 3, 3, 0) != 3)
		return -EIO;
	mac[0] = 0x00;
	mac[1] = 0x16;
	mac[2] = 0x3e;
	mac[3] &= 0x7f;
	return 0;
}

static uint32_t first_free(struct xsc *xs, uint32_t domid)
{
	char node[96], value[16];
	uint32_t devid = 0;

	for (; devid < 65535; devid++) {
		snprintf(node, sizeof(node), "backend/vif/%u/%u/state", domid, devid);
		if (xsc_sync_read(xs, node, value, sizeof(value)) == -ENOENT)
			break;
	}
	return devid;
}

int cli_attach_vif(struct cli *c, int argc, char **argv)
{
	static struct dev_admin_vif v; /* large, and one a process */
	static struct xl_vif given;
	struct cli_specs a = {0};
	struct cli_wait w = {0};
	struct dev_admin_dev dev;
	char err[256], name[16];
	struct xsc *xs;
	int rc, domid;

	if (cli_not_on_xen(c, "attach", "xl network-attach VM mac=...,bridge=..."))
		return CLI_FAILED;
	rc = cli_read_specs(argc, argv, 2, "a network interface's", NULL, &a);
	if (rc)
		return rc;
	if (xlspec_vif(a.n, a.spec, &given, err, sizeof(err)))
		return cli_usage("%s", err);
	v.wanted = given.wanted;
	if (add_options(&v.wanted, a.options))
		return cli_usage("too many options");
	if (make_mac(v.wanted.mac))
		return cli_fail("the kernel gives no random address");
	domid = cli_domid(c, argv[0]);
	xs = domid < 0 ? NULL : cli_store(c);
	if (!xs)
		return CLI_FAILED;
	v.domid = (uint32_t)domid;
	v.devid = given.devid == UINT32_MAX ? first_free(xs, v.domid) : given.devid;
	dev = (struct dev_admin_dev){.domid = v.domid, .devid = v.devid, .class_name = "vif"};
	snprintf(name, sizeof(name), "vif%u", v.devid);
	dev_admin_vif_create(xs, &v, xsc_wait_done, &w.w);
	return cli_offered(xs, &w, &dev, argv[0], "", name);
}
