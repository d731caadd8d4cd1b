#include "ring/os/fdmsg.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(FDMSG_MAX_FDS * sizeof(int))];
};

int fdmsg_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	union control c = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds > FDMSG_MAX_FDS)
		return -EMSGSIZE;
	if (nfds) {
		m.msg_control = c.room;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n == len ? 0 : -EMSGSIZE;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

/* Of the descriptors of a message, in order, keeps the first `keep` in fds and closes the others. */
static size_t take_fds(struct msghdr *m, int *fds, size_t keep)
{
	size_t kept = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (kept < keep)
				fds[kept++] = fd;
			else
				close(fd);
		}
	}
	return kept;
}

static ssize_t receive(int sock, void *buf, size_t size, int *fds, size_t *nfds, int flags)
{
	union control c;
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof(c.room)};
	size_t keep = fds ? *nfds : 0;
	bool cut;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (fds)
		*nfds = 0;
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	cut = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	keep = take_fds(&m, fds, cut || n == 0 ? 0 : keep); /* who sees the end looks for none */
	if (cut)
		return -EMSGSIZE;
	if (fds)
		*nfds = keep;
	return n;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t size, int *fds, size_t *nfds)
{
	return receive(sock, buf, size, fds, nfds, 0);
}

ssize_t fdmsg_peek(int sock, void *buf, size_t size, int *fds, size_t *nfds)
{
	return receive(sock, buf, size, fds, nfds, MSG_PEEK | MSG_DONTWAIT);
}

/* The address of path. When path is too long for it, through *dir, a descriptor of its folder which the caller closes
 * when it has used the address; else -1. */
static int address(const char *path, struct sockaddr_un *a, int *dir)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];
	int n;

	*dir = -1;
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(a->sun_path)) {
		strcpy(a->sun_path, path);
		return path[0] ? 0 : -EINVAL;
	}
	if (!slash || (size_t)(slash - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	*dir = open(folder[0] ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", *dir, slash + 1);
	if (n > 0 && (size_t)n < sizeof(a->sun_path))
		return 0;
	close(*dir);
	*dir = -1;
	return -ENAMETOOLONG;
}

static int dial(const struct sockaddr_un *a, int type)
{
	int rc, s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	do
		rc = connect(s, (const struct sockaddr *)a, sizeof(*a));
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return s;
	rc = -errno;
	close(s);
	return rc;
}

/* Removes a socket file that nobody listens on; what is in use, or no socket, stays and the bind says so. */
static void remove_stale(const struct sockaddr_un *a, int type)
{
	struct stat st;
	int s;

	if (lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	s = dial(a, type | SOCK_NONBLOCK);
	if (s >= 0)
		close(s);
	else if (s == -ECONNREFUSED)
		unlink(a->sun_path);
}

static int listen_on(const char *path, mode_t mode, int type)
{
	struct sockaddr_un a;
	int dir, s, rc = address(path, &a, &dir);

	if (rc)
		return rc;
	remove_stale(&a, type);
	s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Until listen() nobody can connect, so the mode holds from the first moment. */
	if (s < 0 || bind(s, (const struct sockaddr *)&a, sizeof(a)) < 0 || chmod(a.sun_path, mode) < 0 ||
	    listen(s, BACKLOG) < 0)
		rc = -errno;
	if (rc && s >= 0)
		close(s);
	if (dir >= 0)
		close(dir);
	return rc ? rc : s;
}

static int connect_to(const char *path, int type)
{
	struct sockaddr_un a;
	int dir, s, rc = address(path, &a, &dir);

	if (rc)
		return rc;
	s = dial(&a, type);
	if (dir >= 0)
		close(dir);
	return s;
}

int fdmsg_listen(const char *path, mode_t mode) { return listen_on(path, mode, SOCK_SEQPACKET); }
int fdmsg_connect(const char *path) { return connect_to(path, SOCK_SEQPACKET); }
int fdmsg_connect_nonblock(const char *path) { return connect_to(path, SOCK_SEQPACKET | SOCK_NONBLOCK); }
int fdmsg_listen_stream(const char *path, mode_t mode) { return listen_on(path, mode, SOCK_STREAM); }
int fdmsg_connect_stream(const char *path) { return connect_to(path, SOCK_STREAM); }
int fdmsg_dial_stream(const char *path) { return connect_to(path, SOCK_STREAM | SOCK_NONBLOCK); }
