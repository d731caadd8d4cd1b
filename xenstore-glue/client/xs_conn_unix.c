#include "ring/os/fdmsg.h"
#include "xenstore-glue/client/xs_conn.h"

#include <errno.h>
#include <sys/socket.h>

static ssize_t result(ssize_t n) { return n < 0 ? -errno : n; }

static ssize_t unix_recv(int fd, void *buf, size_t size) { return result(recv(fd, buf, size, MSG_DONTWAIT)); }

static ssize_t unix_send(int fd, const void *buf, size_t len)
{
	return result(send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL));
}

const struct xs_conn_ops xs_conn_unix = {
	.name = "unix",
	.open = fdmsg_dial_stream,
	.recv = unix_recv,
	.send = unix_send,
};
