#include "recovery/super/keep_client.h"

#include "ring/base/base.h"
#include "ring/base/log.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int keep_client_open(struct loop *l, const char *path, void (*lost)(struct keep_client *k), struct keep_client *k)
{
	struct timeval tv = {.tv_sec = KEEP_DEADLINE_MS / 1000, .tv_usec = KEEP_DEADLINE_MS % 1000 * 1000};
	int fd;

	*k = (struct keep_client){.loop = l, .fd = -1, .lost = lost};
	fd = fdmsg_connect(path);
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	k->fd = fd;
	return 0;
}

void keep_client_close(struct keep_client *k)
{
	if (k->fd < 0)
		return;
	loop_fd_stop(k->loop, &k->watch);
	close(k->fd);
	k->fd = -1;
}

pid_t keep_client_pid(const struct keep_client *k)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	if (k->fd < 0 || getsockopt(k->fd, SOL_SOCKET, SO_PEERCRED, &u, &len) < 0)
		return -ENOTCONN;
	return u.pid;
}

static void tell_lost(struct loop_work *w)
{
	struct keep_client *k = CONTAINER_OF(w, struct keep_client, work);

	k->lost(k);
}

static void lose(struct keep_client *k)
{
	keep_client_close(k);
	loop_defer(k->loop, &k->work, tell_lost);
}

static int send_op(struct keep_client *k, uint32_t op, const char *name, uint64_t arg, const int *fds, size_t nfds)
{
	struct keep_msg m = {.op = op, .arg = arg};

	if (strlen(name) >= sizeof(m.name))
		return -ENAMETOOLONG;
	strcpy(m.name, name);
	return fdmsg_send(k->fd, &m, sizeof(m), fds, nfds);
}

static void post(struct keep_client *k, uint32_t op, const char *name, const int *fds, size_t nfds)
{
	int rc;

	if (k->fd < 0)
		return;
	rc = send_op(k, op, name, 0, fds, nfds);
	if (rc) {
		log_error("the keeper does not take %s: %s", name, strerror(-rc));
		lose(k);
	}
}

void keep_put(struct keep_client *k, const char *name, const int *fds, size_t nfds) { post(k, KEEP_PUT, name, fds, nfds); }
void keep_drop(struct keep_client *k, const char *name) { post(k, KEEP_DROP, name, NULL, 0); }

/* One reply, waited for. Passed over are those of former puts and drops, and late ones of what was given up: name, unless it
 * is NULL, is what was asked for. */
static int await(struct keep_client *k, uint32_t op, const char *name, struct keep_msg *m, int *fds, size_t *nfds)
{
	size_t room = nfds ? *nfds : 0;
	ssize_t n;

	for (;;) {
		if (nfds)
			*nfds = room;
		n = fdmsg_recv(k->fd, m, sizeof(*m), fds, nfds);
		if (n == -EAGAIN)
			return -ETIMEDOUT;
		if (n != (ssize_t)sizeof(*m))
			return n < 0 ? (int)n : -EPIPE;
		m->name[KEEP_NAME_MAX - 1] = '\0';
		if (m->op == op && (!name || strcmp(m->name, name) == 0))
			return m->rc;
		for (size_t i = 0; nfds && i < *nfds; i++)
			close(fds[i]);
	}
}

int keep_get(struct keep_client *k, const char *name, int *fds, size_t *nfds)
{
	struct keep_msg m;
	int rc;

	if (k->fd < 0)
		return -ENOENT;
	rc = send_op(k, KEEP_GET, name, 0, NULL, 0);
	return rc ? rc : await(k, KEEP_GET, name, &m, fds, nfds);
}

int keep_list(struct keep_client *k, uint64_t skip, char name[KEEP_NAME_MAX])
{
	struct keep_msg m;
	int rc;

	if (k->fd < 0)
		return -ENOENT;
	rc = send_op(k, KEEP_LIST, "", skip, NULL, 0);
	if (!rc)
		rc = await(k, KEEP_LIST, NULL, &m, NULL, NULL);
	if (!rc)
		strcpy(name, m.name);
	return rc;
}

static void reply_ready(struct loop_fd *w, uint32_t events)
{
	struct keep_client *k = CONTAINER_OF(w, struct keep_client, watch);
	struct keep_msg m;
	ssize_t n = fdmsg_recv(k->fd, &m, sizeof(m), NULL, NULL);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n != (ssize_t)sizeof(m)) {
		lose(k);
		return;
	}
	m.name[KEEP_NAME_MAX - 1] = '\0';
	if (m.rc)
		log_error("the keeper refuses %s: %s", m.name, strerror(-m.rc));
}

int keep_client_watch(struct keep_client *k)
{
	if (k->fd < 0)
		return 0;
	if (fcntl(k->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return loop_fd_start(k->loop, &k->watch, k->fd, EPOLLIN, reply_ready);
}
