#include "recovery/ctl/ctl_client.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DEADLINE_S 10

int ctl_client_ask(const char *runtime_dir, const struct ctl_req *req, struct ctl_reply *reply)
{
	struct timeval tv = {.tv_sec = DEADLINE_S};
	char path[4096];
	ssize_t n;
	int rc, s;

	rc = rundir_file(runtime_dir, CTL_SOCK, path, sizeof(path));
	if (rc)
		return rc;
	s = fdmsg_connect(path);
	if (s < 0)
		return s;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	rc = fdmsg_send(s, req, sizeof(*req), NULL, 0);
	n = rc ? rc : fdmsg_recv(s, reply, sizeof(*reply), NULL, NULL);
	if (n == sizeof(*reply))
		return s;
	close(s);
	return n == -EAGAIN ? -ETIMEDOUT : n < 0 ? (int)n : -EPROTO;
}

int ctl_client_status(const char *runtime_dir, uint32_t domid, uint32_t devid, struct ctl_dev **devs)
{
	struct ctl_req req = {.version = CTL_VERSION, .op = CTL_STATUS, .domid = domid, .devid = devid};
	struct ctl_reply reply;
	int s = ctl_client_ask(runtime_dir, &req, &reply), rc;

	*devs = NULL;
	if (s < 0)
		return s;
	rc = reply.rc;
	if (rc == 0 && reply.count) {
		*devs = calloc(reply.count, sizeof(**devs));
		rc = *devs ? 0 : -ENOMEM;
	}
	for (uint32_t i = 0; rc == 0 && i < reply.count; i++)
		if (fdmsg_recv(s, &(*devs)[i], sizeof(**devs), NULL, NULL) != sizeof(**devs))
			rc = -ECONNRESET;
	close(s);
	if (rc == 0)
		return (int)reply.count;
	free(*devs);
	*devs = NULL;
	return rc;
}

int ctl_client_act(const char *runtime_dir, enum ctl_op op, uint32_t domid, uint32_t devid, uint64_t arg, char *err,
		   size_t size)
{
	struct ctl_req req = {.version = CTL_VERSION, .op = op, .domid = domid, .devid = devid, .arg = arg};
	struct ctl_reply reply;
	int s = ctl_client_ask(runtime_dir, &req, &reply);

	if (s < 0) {
		snprintf(err, size, "the supervisor does not answer in %s", runtime_dir);
		return s;
	}
	close(s);
	if (reply.rc)
		snprintf(err, size, "%.*s", (int)sizeof(reply.text), reply.text);
	return reply.rc;
}

int ctl_client_events(const char *runtime_dir, unsigned past, int (*fn)(const struct ctl_event *e, void *arg), void *arg)
{
	struct ctl_req req = {.version = CTL_VERSION, .op = CTL_EVENTS, .arg = past};
	struct timeval for_ever = {0};
	struct ctl_reply reply;
	struct ctl_event e;
	int s = ctl_client_ask(runtime_dir, &req, &reply), rc;

	if (s < 0)
		return s;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
	rc = reply.rc;
	while (rc == 0)
		rc = fdmsg_recv(s, &e, sizeof(e), NULL, NULL) == sizeof(e) ? fn(&e, arg) : -ECONNRESET;
	close(s);
	return rc;
}
