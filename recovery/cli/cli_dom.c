/* cli_dom.c - domains of the local provider: create, destroy, list. */
#include "recovery/cli/cli.h"
#include "ring/base/err.h"
#include "ring/hv/hub_client.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool uuid_ok(const char *u)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(u) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == '-' ? u[i] != '-' : !strchr("0123456789abcdefABCDEF", u[i]))
			return false;
	return true;
}

static int random_uuid(char uuid[37])
{
	int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, uuid, 36);

	if (fd >= 0)
		close(fd);
	uuid[36] = '\0';
	return n == 36 ? 0 : -EIO;
}

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n > 0 && n < HV_NAME_MAX && name[n] == '\0' && strspn(name, "0123456789") < n;
}

/* One request to the hub about one domain. 0, its domid, or a negative errno. */
static int hub_domain(const struct cli *c, enum hub_op op, const char *name, int domid)
{
	union hub_buf q = {.m = {.op = op, .dom = (uint16_t)domid}};
	int s = cli_hub(c), rc;

	if (s < 0)
		return s;
	snprintf(q.m.name, sizeof(q.m.name), "%s", name);
	rc = hub_client_call(s, &q, NULL, NULL);
	close(s);
	if (rc)
		cli_fail(rc == -EEXIST ? "a domain %s is there already" : "%s: %s", name, err_str(rc));
	return rc ? rc : q.m.dom;
}

/* The hub tells the store of a new domain; until the store knows it, permissions that name it mean nothing. */
static int wait_introduced(struct xsc *xs, uint32_t domid)
{
	uint64_t deadline = clock_now() + CLI_DEADLINE_NS;

	while (clock_now() < deadline) {
		struct xsc_wait w = {0};
		int rc;

		xsc_is_introduced(xs, domid, xsc_wait_done, &w);
		rc = xsc_wait(xs, &w);
		if (rc == 0 && w.data[0] == 'T')
			rc = 1;
		xsc_wait_free(&w);
		if (rc)
			return rc < 0 ? rc : 0;
		loop_once(xsc_loop(xs), NS_PER_MS);
	}
	return -ETIMEDOUT;
}

int cli_create(struct cli *c, int argc, char **argv)
{
	struct dev_admin_domain d = {0};
	struct cli_wait w = {0};
	struct xsc *xs;
	int domid, rc;

	if (cli_not_on_xen(c, "create", "xl create"))
		return CLI_FAILED;
	if (argc == 3 && strcmp(argv[1], "--uuid") == 0) {
		if (!uuid_ok(argv[2]))
			return cli_usage("%s is no UUID", argv[2]);
		snprintf(d.uuid, sizeof(d.uuid), "%s", argv[2]);
	} else if (argc != 1) {
		return cli_usage("create takes VM [--uuid UUID]");
	} else if (random_uuid(d.uuid)) {
		return cli_fail("the kernel gives no random UUID");
	}
	if (!name_ok(argv[0]))
		return cli_usage("a VM's name has letters, digits, '.', '_' and '-', is shorter than %d, and is no number",
				 HV_NAME_MAX);
	xs = cli_store(c);
	if (!xs)
		return CLI_FAILED;
	domid = hub_domain(c, HUB_DOM_CREATE, argv[0], 0);
	if (domid < 0)
		return CLI_FAILED;
	d.domid = (uint32_t)domid;
	snprintf(d.name, sizeof(d.name), "%s", argv[0]);
	rc = wait_introduced(xs, d.domid);
	if (rc == 0) {
		dev_admin_domain_create(xs, &d, xsc_wait_done, &w.w);
		rc = cli_store_wait(xs, &w);
	}
	if (rc) {
		hub_domain(c, HUB_DOM_DESTROY, argv[0], domid);
		return cli_fail("%s: %s", argv[0], w.text[0] ? w.text : err_str(rc));
	}
	printf("%s is domain %d\n", argv[0], domid);
	return CLI_OK;
}

int cli_destroy(struct cli *c, int argc, char **argv)
{
	struct cli_wait w = {0};
	struct xsc *xs;
	int domid, rc;

	if (cli_not_on_xen(c, "destroy", "xl destroy"))
		return CLI_FAILED;
	if (argc != 1)
		return cli_usage("destroy takes VM");
	domid = cli_domid(c, argv[0]);
	xs = domid < 0 ? NULL : cli_store(c);
	if (!xs)
		return CLI_FAILED;
	/* As libxl does it: the domain first, so that nobody uses the disks any more; then what is left of them. */
	rc = hub_domain(c, HUB_DOM_DESTROY, argv[0], domid);
	if (rc < 0)
		return CLI_FAILED;
	dev_admin_domain_destroy(xs, 0, (uint32_t)domid, CLI_DEADLINE_NS / 2, xsc_wait_done, &w.w);
	rc = cli_store_wait(xs, &w);
	return rc && rc != -ENOENT ? cli_fail("%s: %s", argv[0], w.text) : CLI_OK;
}

/* The names of the devices of a class that this domain serves to another, "xvda xvdb", behind the n characters of text. How many
 * there are then. */
static size_t add_devices(struct xsc *xs, const char *class, uint32_t domid, char *text, size_t size, size_t n)
{
	struct xsc_wait w = {0};
	char path[64], vdev[16];

	snprintf(path, sizeof(path), "backend/%s/%u", class, domid);
	xsc_directory(xs, 0, path, xsc_wait_done, &w);
	if (xsc_wait(xs, &w) == 0) {
		for (const char *p = w.data; p < w.data + w.len; p += strlen(p) + 1) {
			if (strcmp(class, "vif") == 0)
				snprintf(vdev, sizeof(vdev), "vif%.8s", p);
			else
				vbd_vdev((uint32_t)strtoul(p, NULL, 10), vdev, sizeof(vdev));
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? " " : "", vdev);
			if (n >= size)
				break;
		}
	}
	xsc_wait_free(&w);
	return MIN(n, size - 1);
}

static void devices_of(struct xsc *xs, uint32_t domid, char *text, size_t size)
{
	text[0] = '\0';
	add_devices(xs, "vif", domid, text, size, add_devices(xs, "vbd", domid, text, size, 0));
}

int cli_list(struct cli *c, int argc, char **argv)
{
	json_t *all = c->json ? json_array() : NULL;
	struct hub_dom *doms;
	char disks[256];
	struct xsc *xs;
	int n;

	(void)argv;
	if (argc)
		return cli_usage("list takes nothing");
	n = cli_domains(c, &doms);
	xs = n < 0 ? NULL : cli_store(c);
	if (!xs)
		return CLI_FAILED;
	if (!all && cli_on_xen(c))
		printf("%-20s %6s  %s\n", "VM", "DOMID", "DEVICES");
	else if (!all)
		printf("%-20s %6s %10s %7s %6s  %s\n", "VM", "DOMID", "MEMORY", "GRANTS", "PORTS", "DEVICES");
	for (int i = 0; i < n; i++) {
		const struct hub_dom *d = &doms[i];

		devices_of(xs, d->domid, disks, sizeof(disks));
		if (all)
			json_array_append_new(all, json_pack("{s:s, s:i, s:I, s:i, s:i, s:s}", "name", d->name, "domid",
							     (int)d->domid, "bytes", (json_int_t)d->bytes, "grants",
							     (int)d->ngrants, "ports", (int)d->nports, "disks", disks));
		else if (cli_on_xen(c))
			printf("%-20s %6u  %s\n", d->name, d->domid, disks);
		else
			printf("%-20s %6u %10s %7u %6u  %s\n", d->name, d->domid, cli_bytes(d->bytes), d->ngrants,
			       d->nports, disks);
	}
	if (all) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
	}
	free(doms);
	return CLI_OK;
}
