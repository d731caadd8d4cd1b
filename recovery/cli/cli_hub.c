/* cli_hub.c - an administrator's conversation with bulkhead-hub. */
#include "recovery/cli/cli.h"
#include "ring/base/err.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int cli_hub_call(int sock, struct hub_msg *m, size_t room)
{
	uint32_t op = m->op;
	ssize_t n;
	int rc = fdmsg_send(sock, m, sizeof(*m), NULL, 0);

	if (rc)
		return rc;
	n = fdmsg_recv(sock, m, room, NULL, NULL);
	if (n < 0)
		return (int)n;
	if ((size_t)n < sizeof(*m) || m->op != op)
		return -EPROTO;
	return m->rc;
}

int cli_hub(const struct cli *c)
{
	struct hub_msg hello = {.op = HUB_HELLO, .role = HUB_ADMIN, .version = HUB_VERSION};
	struct timeval tv = {.tv_sec = (time_t)(CLI_DEADLINE_NS / 1000000000ull)};
	char path[256];
	int s, rc;

	cli_path(c, HUB_SOCK, path, sizeof(path));
	s = fdmsg_connect(path);
	if (s < 0) {
		cli_fail("no local world in %s (%s); begin with: bulkhead start", c->runtime_dir, err_str(s));
		return s;
	}
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	rc = cli_hub_call(s, &hello, sizeof(hello));
	if (rc) {
		close(s);
		cli_fail("bulkhead-hub refuses: %s", err_str(rc));
		return rc;
	}
	return s;
}

int cli_domains(const struct cli *c, struct hub_dom **doms)
{
	size_t room = sizeof(struct hub_msg) + HV_BATCH_MAX * sizeof(struct hub_dom);
	struct hub_msg *m = malloc(room);
	int s = m ? cli_hub(c) : -ENOMEM, n = 0, rc = 0;

	*doms = NULL;
	while (s >= 0) {
		memset(m, 0, sizeof(*m));
		m->op = HUB_DOM_LIST;
		m->arg = (uint64_t)n;
		rc = cli_hub_call(s, m, room);
		if (rc || m->nent == 0)
			break;
		*doms = reallocarray(*doms, (size_t)n + m->nent, sizeof(**doms));
		if (!*doms) {
			rc = -ENOMEM;
			break;
		}
		memcpy(*doms + n, m->ent, m->nent * sizeof(**doms));
		n += m->nent;
	}
	free(m);
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
	int n = cli_domains(c, &doms), found = -ENOENT;
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	bool by_number = *name && !*end;

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
