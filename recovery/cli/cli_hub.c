/* cli_hub.c - an administrator's conversation with bulkhead-hub. */
#include "recovery/cli/cli.h"
#include "recovery/cli/cli_xen.h"
#include "ring/base/err.h"
#include "ring/hv/hub_client.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_hub(const struct cli *c)
{
	int s = hub_client_open(c->runtime_dir, HUB_ADMIN, NULL, 0, 0, NULL);

	if (s < 0)
		cli_fail("no local world in %s (%s); begin with: bulkhead start", c->runtime_dir, err_str(s));
	return s;
}

int cli_domains(const struct cli *c, struct hub_dom **doms)
{
	union hub_buf *q = malloc(sizeof(*q));
	int s, n = 0, rc = 0;

	*doms = NULL;
	if (cli_on_xen(c)) {
		free(q);
		return cli_xen_domains(c, doms);
	}
	s = q ? cli_hub(c) : -ENOMEM;
	while (s >= 0) {
		q->m = (struct hub_msg){.op = HUB_DOM_LIST, .arg = (uint64_t)n};
		rc = hub_client_call(s, q, NULL, NULL);
		if (rc || q->m.nent == 0)
			break;
		*doms = reallocarray(*doms, (size_t)n + q->m.nent, sizeof(**doms));
		if (!*doms) {
			rc = -ENOMEM;
			break;
		}
		memcpy(*doms + n, q->m.ent, q->m.nent * sizeof(**doms));
		n += q->m.nent;
	}
	free(q);
	if (s < 0)
		return s;
	close(s);
	if (rc)
		cli_fail("can not list the domains: %s", err_str(rc));
	return rc ? rc : n;
}

int cli_domid(const struct cli *c, const char *name)
{
	struct hub_dom *doms;
	int n, found = -ENOENT;
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	bool by_number = *name && !*end;

	/* The supervisor knows what it serves, also while xenstore is away. */
	if (by_number && number < XS_DOMID_FIRST_RESERVED && cli_on_xen(c))
		return (int)number;
	n = cli_domains(c, &doms);
	if (n < 0)
		return n;
	for (int i = 0; i < n && found < 0; i++)
		if (strcmp(doms[i].name, name) == 0 || (by_number && doms[i].domid == number))
			found = doms[i].domid;
	free(doms);
	if (found < 0)
		cli_fail("no domain %s; bulkhead list shows them", name);
	return found;
}
