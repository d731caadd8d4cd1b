#include "recovery/ctl/ctl_server.h"

#include "ring/base/base.h"
#include "ring/base/log.h"
#include "ring/os/acceptor.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct client {
	struct ctl_server *server;
	struct loop_fd watch;
	int fd; /* -1: free */
	bool events;
	uint64_t next; /* event to send */
	struct ctl_dev *devs;
	unsigned ndevs, sent;
};

struct ctl_server {
	struct loop *loop;
	struct acceptor acceptor;
	const struct ctl_ops *ops;
	void *arg;
	uint64_t nevents; /* in all */
	struct ctl_event past[CTL_EVENTS_PAST];
	struct client client[CTL_CLIENTS_MAX];
};

static void client_end(struct client *c)
{
	loop_fd_stop(c->server->loop, &c->watch);
	close(c->fd);
	free(c->devs);
	*c = (struct client){.fd = -1};
}

/* One packet of an event; steps over those that are gone. */
static int send_event(struct client *c)
{
	struct ctl_server *s = c->server;
	struct ctl_event e;
	uint64_t oldest = s->nevents > CTL_EVENTS_PAST ? s->nevents - CTL_EVENTS_PAST : 0;
	uint64_t at = MAX(c->next, oldest);
	int rc;

	e = s->past[at % CTL_EVENTS_PAST];
	e.missed = (uint32_t)MIN(at - c->next, (uint64_t)UINT32_MAX);
	rc = fdmsg_send(c->fd, &e, sizeof(e), NULL, 0);
	if (!rc)
		c->next = at + 1;
	return rc;
}

/* Sends what the client waits for, as far as its socket takes it. */
static void flush(struct client *c)
{
	int rc = 0;

	while (!rc && c->sent < c->ndevs) {
		rc = fdmsg_send(c->fd, &c->devs[c->sent], sizeof(c->devs[0]), NULL, 0);
		if (!rc)
			c->sent++;
	}
	while (!rc && c->events && c->next < c->server->nevents)
		rc = send_event(c);
	if (rc && rc != -EAGAIN) {
		client_end(c);
		return;
	}
	if (c->sent == c->ndevs) {
		free(c->devs);
		c->devs = NULL;
		c->ndevs = c->sent = 0;
	}
	loop_fd_change(c->server->loop, &c->watch, rc ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void serve(struct client *c, const struct ctl_req *req)
{
	struct ctl_server *s = c->server;
	struct ctl_reply r = {0};
	int n;

	if (req->version != CTL_VERSION) {
		r.rc = -EPROTO;
		strcpy(r.text, "this program and the running supervisor are of different versions");
	} else if (req->op == CTL_HELLO) {
		r.arg = (uint64_t)getpid();
		strncpy(r.text, s->ops->version, sizeof(r.text) - 1);
	} else if (req->op == CTL_STATUS && !c->devs) {
		n = s->ops->status(s->arg, req, &c->devs, r.text, sizeof(r.text));
		r.rc = MIN(n, 0);
		r.count = c->ndevs = (unsigned)MAX(n, 0);
		c->sent = 0;
	} else if (req->op == CTL_EVENTS) {
		uint64_t past = MIN(MIN(req->arg, (uint64_t)CTL_EVENTS_PAST), s->nevents);

		c->events = true;
		c->next = s->nevents - past;
	} else if (req->op >= CTL_KILL && req->op <= CTL_FILTER) {
		r.rc = s->ops->act(s->arg, req, r.text, sizeof(r.text));
	} else {
		r.rc = -EINVAL;
		strcpy(r.text, "not a request that the supervisor knows");
	}
	if (fdmsg_send(c->fd, &r, sizeof(r), NULL, 0))
		client_end(c);
	else
		flush(c);
}

static void client_ready(struct loop_fd *w, uint32_t events)
{
	struct client *c = CONTAINER_OF(w, struct client, watch);
	struct ctl_req req;
	ssize_t n;

	if (events & EPOLLOUT) {
		flush(c);
		return;
	}
	n = fdmsg_recv(c->fd, &req, sizeof(req), NULL, NULL);
	if (n == -EAGAIN)
		return;
	req.text[sizeof(req.text) - 1] = '\0';
	if (n == (ssize_t)sizeof(req))
		serve(c, &req);
	else
		client_end(c);
}

static void client_new(struct acceptor *a, int fd)
{
	struct ctl_server *s = CONTAINER_OF(a, struct ctl_server, acceptor);
	struct client *c = s->client, *end = s->client + CTL_CLIENTS_MAX;

	while (c < end && c->fd >= 0)
		c++;
	if (c == end) {
		log_warn("more than %d control connections at once: one turned away", CTL_CLIENTS_MAX);
		close(fd);
		return;
	}
	*c = (struct client){.server = s, .fd = fd};
	if (loop_fd_start(s->loop, &c->watch, fd, EPOLLIN, client_ready)) {
		close(fd);
		c->fd = -1;
	}
}

int ctl_server_open(struct loop *l, const char *path, const struct ctl_ops *ops, void *arg, struct ctl_server **out)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->ops = ops;
	s->arg = arg;
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		s->client[i].fd = -1;
	rc = acceptor_start(&s->acceptor, l, fdmsg_listen(path, 0600), client_new);
	if (rc) {
		ctl_server_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void ctl_server_close(struct ctl_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		if (s->client[i].fd >= 0)
			client_end(&s->client[i]);
	acceptor_stop(&s->acceptor);
	free(s);
}

void ctl_server_event(struct ctl_server *s, struct ctl_event *e)
{
	e->wall_ns = clock_wall();
	e->mono_ns = clock_now();
	e->missed = 0;
	s->past[s->nevents++ % CTL_EVENTS_PAST] = *e;
	for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++)
		if (s->client[i].fd >= 0 && s->client[i].events)
			flush(&s->client[i]);
}
