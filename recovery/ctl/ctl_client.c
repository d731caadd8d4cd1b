#include "recovery/ctl/ctl_client.h"

#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int deadline(int fd, long ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ? -errno : 0;
}

/* A whole packet of that size. 1, 0 at the end, or a negative errno. */
static int get(int fd, void *buf, size_t size)
{
	ssize_t n = fdmsg_recv(fd, buf, size, NULL, NULL);

	if (n == -EAGAIN)
		return -ETIMEDOUT;
	if (n <= 0)
		return (int)n;
	return (size_t)n == size ? 1 : -EPROTO;
}

int ctl_client_open(const char *dir)
{
	char path[PATH_MAX];
	int fd, rc = rundir_file(dir, CTL_SOCK, path, sizeof(path));

	if (rc)
		return rc;
	fd = fdmsg_connect(path);
	if (fd < 0)
		return fd;
	rc = deadline(fd, CTL_CLIENT_MS);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

int ctl_client_ask(int fd, const struct ctl_req *req, struct ctl_reply *r)
{
	struct ctl_req q = *req;
	int rc;

	memset(r, 0, sizeof(*r));
	q.version = CTL_VERSION;
	rc = fdmsg_send(fd, &q, sizeof(q), NULL, 0);
	if (!rc)
		rc = get(fd, r, sizeof(*r));
	if (rc != 1) {
		memset(r, 0, sizeof(*r)); /* of a packet that is none, bytes may have come */
		return rc ? rc : -EPIPE;
	}
	r->text[sizeof(r->text) - 1] = '\0';
	return r->rc;
}

int ctl_client_status(int fd, uint32_t type, uint32_t domid, uint32_t devid, struct ctl_dev **out, struct ctl_reply *r)
{
	struct ctl_req q = {.op = CTL_STATUS, .type = type, .domid = domid, .devid = devid};
	int rc = ctl_client_ask(fd, &q, r);

	*out = NULL;
	if (rc < 0)
		return rc;
	if (r->count > CTL_DEVS_MAX)
		return -EPROTO;
	*out = calloc(r->count + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->count; i++) {
		rc = get(fd, &(*out)[i], sizeof(**out));
		if (rc != 1) {
			free(*out);
			*out = NULL;
			return rc ? rc : -EPIPE;
		}
	}
	return (int)r->count;
}

int ctl_client_events(int fd, uint64_t past, struct ctl_reply *r)
{
	struct ctl_req q = {.op = CTL_EVENTS, .arg = past};
	int rc = ctl_client_ask(fd, &q, r);

	return rc ? rc : deadline(fd, 0);
}

int ctl_client_event(int fd, struct ctl_event *e) { return get(fd, e, sizeof(*e)); }
