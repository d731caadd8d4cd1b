#include "xenstore-glue/client/xs_conn.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

static int dev_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static ssize_t dev_recv(int fd, void *buf, size_t size)
{
	ssize_t n = read(fd, buf, size);

	return n < 0 ? -errno : n;
}

/* One request a write: the driver takes the first of what it is given, and forgets what follows. It takes it whole. */
static ssize_t dev_send(int fd, const void *buf, size_t len)
{
	struct xsd_sockmsg m;
	ssize_t n;

	if (len > sizeof(m)) {
		memcpy(&m, buf, sizeof(m));
		len = MIN(len, sizeof(m) + m.len);
	}
	n = write(fd, buf, len);
	return n < 0 ? -errno : n;
}

const struct xs_conn_ops xs_conn_dev = {
	.name = "dev",
	.open = dev_open,
	.recv = dev_recv,
	.send = dev_send,
};
