#include "ring/hv/hub_client.h"

#include "ring/os/fdmsg.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int hub_client_call(int sock, union hub_buf *q, int *fds, size_t *nfds)
{
	size_t len = sizeof(q->m) + q->m.nent * sizeof(q->m.ent[0]);
	uint32_t op = q->m.op;
	uint16_t nent = q->m.nent;
	ssize_t n;

	if (fdmsg_send(sock, q, len, NULL, 0))
		return -ECONNRESET;
	n = fdmsg_recv(sock, q, sizeof(*q), fds, nfds);
	if (n >= (ssize_t)sizeof(q->m) && q->m.op == op) {
		if (q->m.rc || !q->m.nent || op == HUB_DOM_LIST || (q->m.nent == nent && (size_t)n == len))
			return q->m.rc;
	}
	for (size_t i = 0; fds && i < *nfds; i++)
		close(fds[i]);
	if (fds)
		*nfds = 0;
	return -ECONNRESET;
}

int hub_client_open(const char *runtime_dir, enum hub_role role, const char *name, hv_domid_t self, hv_domid_t guest,
		    hv_domid_t *domid)
{
	union hub_buf q = {.m = {.op = HUB_HELLO, .version = HUB_VERSION, .role = (uint16_t)role}};
	char path[PATH_MAX];
	int sock, rc;

	if (snprintf(path, sizeof(path), "%s/" HUB_SOCK, runtime_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (name && strlen(name) >= sizeof(q.m.name))
		return -ENOENT;
	q.m.self = self;
	q.m.dom = guest;
	if (name)
		strcpy(q.m.name, name);
	sock = fdmsg_connect(path);
	if (sock < 0)
		return sock;
	rc = hub_client_call(sock, &q, NULL, NULL);
	if (domid)
		*domid = q.m.dom;
	if (!rc)
		return sock;
	close(sock);
	return rc == -ECONNRESET ? -EACCES : rc; /* the hub hangs up on whom it does not want */
}
