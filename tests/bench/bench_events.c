#include "tests/bench/bench_events.h"

#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int bench_events_open(const char *runtime_dir, char *err, size_t size)
{
	struct ctl_reply reply;
	int fd = ctl_client_open(runtime_dir), rc = fd;

	if (rc >= 0)
		rc = ctl_client_events(fd, 0, &reply);
	if (rc >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	rc = rc < 0 ? rc : -errno;
	snprintf(err, size, "no supervisor answers in %s: %s", runtime_dir, err_str(rc));
	return rc;
}

int bench_event(int events, int wait_ms, struct ctl_event *e)
{
	struct pollfd p = {.fd = events, .events = POLLIN};
	int rc;

	if (wait_ms && poll(&p, 1, wait_ms) == 0)
		return 0;
	rc = ctl_client_event(events, e);
	if (rc == 1 && e->missed)
		return -EOVERFLOW;
	return rc == -ETIMEDOUT ? 0 : rc == 0 ? -EPIPE : rc;
}

int bench_status(const char *runtime_dir, const char *vdev, struct ctl_dev *out)
{
	struct ctl_reply reply;
	struct ctl_dev *all;
	int rc = -ENOENT, n, fd = ctl_client_open(runtime_dir);

	if (fd < 0)
		return fd;
	n = ctl_client_status(fd, 0, CTL_ALL, CTL_ALL, &all, &reply);
	close(fd);
	for (int i = 0; i < n; i++)
		if (strcmp(all[i].vdev, vdev) == 0) {
			*out = all[i];
			rc = 0;
		}
	if (n >= 0)
		free(all);
	return n < 0 ? n : rc;
}
