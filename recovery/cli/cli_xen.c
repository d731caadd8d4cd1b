#include "recovery/cli/cli_xen.h"

#include "ring/base/err.h"
#include "ring/hv/hub_wire.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cli_on_xen(const struct cli *c)
{
	char hub[256];

	cli_path(c, HUB_SOCK, hub, sizeof(hub));
	return access(hub, F_OK) != 0 && xen_host_here("");
}

int cli_not_on_xen(const struct cli *c, const char *what, const char *instead)
{
	return cli_on_xen(c) ? cli_fail("%s is for the local provider; on Xen: %s", what, instead) : CLI_OK;
}

int cli_xen_domains(const struct cli *c, struct hub_dom **doms)
{
	struct xsc *xs = cli_store(c);
	struct xsc_wait w = {0};
	int n = 0, rc;

	*doms = NULL;
	if (!xs)
		return -ENOENT;
	/* A driver domain may see those only that it serves, and not their names. */
	xsc_directory(xs, 0, xen_host_control("") ? "/local/domain" : "backend/vbd", xsc_wait_done, &w);
	rc = xsc_wait(xs, &w);
	if (rc && rc != -ENOENT) {
		cli_fail("xenstore's list of domains can not be read: %s", err_str(rc));
		xsc_wait_free(&w);
		return rc;
	}
	for (const char *p = w.data; p < w.data + w.len; p += strlen(p) + 1) {
		struct hub_dom *more = reallocarray(*doms, (size_t)n + 1, sizeof(**doms));
		char path[64];

		if (!more)
			break;
		*doms = more;
		more[n] = (struct hub_dom){.domid = (uint16_t)strtoul(p, NULL, 10)};
		snprintf(path, sizeof(path), "/local/domain/%u/name", more[n].domid);
		if (xsc_sync_read(xs, path, more[n].name, sizeof(more[n].name)))
			snprintf(more[n].name, sizeof(more[n].name), "%u", more[n].domid);
		n++;
	}
	xsc_wait_free(&w);
	return n;
}
