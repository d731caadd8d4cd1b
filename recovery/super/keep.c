#include "recovery/super/keep.h"

#include "ring/base/base.h"
#include "ring/base/log.h"
#include "ring/os/acceptor.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct held {
	LIST_ENTRY(held) link;
	char name[KEEP_NAME_MAX];
	unsigned nfds;
	int fds[KEEP_FDS_MAX];
};

struct client {
	struct keep *keep;
	struct loop_fd watch; /* fd -1: free */
	int fd;
};

struct keep {
	struct loop *loop;
	struct acceptor acceptor;
	unsigned n;
	LIST_HEAD(, held) names;
	struct client client[KEEP_CLIENTS_MAX];
	void (*stop)(void *arg);
	void *arg;
};

static struct held *find(struct keep *k, const char *name)
{
	struct held *h;

	LIST_FOREACH(h, &k->names, link)
		if (strcmp(h->name, name) == 0)
			return h;
	return NULL;
}

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void drop(struct keep *k, struct held *h)
{
	close_fds(h->fds, h->nfds);
	LIST_REMOVE(h, link);
	free(h);
	k->n--;
}

/* Takes the descriptors over when it succeeds. */
static int put(struct keep *k, const char *name, const int *fds, size_t n)
{
	struct held *h = find(k, name);

	if (!name[0] || n == 0 || n > KEEP_FDS_MAX)
		return -EINVAL;
	if (h) {
		close_fds(h->fds, h->nfds);
	} else {
		if (k->n == KEEP_NAMES_MAX)
			return -ENOSPC;
		h = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
		strcpy(h->name, name);
		LIST_INSERT_HEAD(&k->names, h, link);
		k->n++;
	}
	memcpy(h->fds, fds, n * sizeof(*fds));
	h->nfds = (unsigned)n;
	return 0;
}

/* The name that comes after `skip` others. */
static struct held *nth(struct keep *k, uint64_t skip)
{
	struct held *h;

	LIST_FOREACH(h, &k->names, link)
		if (skip-- == 0)
			return h;
	return NULL;
}

static void client_end(struct client *c)
{
	loop_fd_stop(c->keep->loop, &c->watch);
	close(c->fd);
	c->fd = -1;
}

/* Answers m; the descriptors that came with it are the keeper's or closed afterwards. */
static void serve(struct client *c, struct keep_msg *m, int *fds, size_t nfds)
{
	struct keep *k = c->keep;
	struct held *h = NULL;
	bool stop = false;

	m->name[KEEP_NAME_MAX - 1] = '\0';
	m->rc = 0;
	switch (m->op) {
	case KEEP_PUT:
		m->rc = put(k, m->name, fds, nfds);
		if (m->rc == 0)
			nfds = 0;
		break;
	case KEEP_GET:
		h = find(k, m->name);
		m->rc = h ? 0 : -ENOENT;
		break;
	case KEEP_DROP:
		if ((h = find(k, m->name)))
			drop(k, h);
		h = NULL;
		break;
	case KEEP_LIST:
		h = nth(k, m->arg);
		m->rc = h ? 0 : -ENOENT;
		m->arg = k->n;
		if (h)
			strcpy(m->name, h->name);
		h = NULL;
		break;
	case KEEP_STOP:
		stop = true;
		break;
	default:
		m->rc = -EINVAL;
	}
	close_fds(fds, nfds);
	if (fdmsg_send(c->fd, m, sizeof(*m), h ? h->fds : NULL, h ? h->nfds : 0))
		client_end(c);
	if (stop)
		k->stop(k->arg);
}

static void client_ready(struct loop_fd *w, uint32_t events)
{
	struct client *c = CONTAINER_OF(w, struct client, watch);
	int fds[KEEP_FDS_MAX];
	size_t nfds = KEEP_FDS_MAX;
	struct keep_msg m;
	ssize_t n;

	(void)events;
	n = fdmsg_recv(c->fd, &m, sizeof(m), fds, &nfds);
	if (n == -EAGAIN)
		return;
	if (n == (ssize_t)sizeof(m)) {
		serve(c, &m, fds, nfds);
		return;
	}
	if (n > 0)
		close_fds(fds, nfds);
	client_end(c);
}

static void client_new(struct acceptor *a, int fd)
{
	struct keep *k = CONTAINER_OF(a, struct keep, acceptor);
	struct client *c = k->client, *end = k->client + KEEP_CLIENTS_MAX;

	while (c < end && c->fd >= 0)
		c++;
	if (c == end) {
		log_warn("more than %d clients of the keeper at once: one turned away", KEEP_CLIENTS_MAX);
		close(fd);
		return;
	}
	c->keep = k;
	c->fd = fd;
	if (loop_fd_start(k->loop, &c->watch, fd, EPOLLIN, client_ready)) {
		close(fd);
		c->fd = -1;
	}
}

int keep_open(struct loop *l, const char *path, void (*stop)(void *arg), void *arg, struct keep **out)
{
	struct keep *k = calloc(1, sizeof(*k));
	int rc;

	*out = NULL;
	if (!k)
		return -ENOMEM;
	k->loop = l;
	k->stop = stop;
	k->arg = arg;
	LIST_INIT(&k->names);
	for (unsigned i = 0; i < KEEP_CLIENTS_MAX; i++)
		k->client[i].fd = -1;
	rc = acceptor_start(&k->acceptor, l, fdmsg_listen(path, 0600), client_new);
	if (rc) {
		keep_close(k);
		return rc;
	}
	*out = k;
	return 0;
}

void keep_close(struct keep *k)
{
	struct held *h;

	if (!k)
		return;
	for (unsigned i = 0; i < KEEP_CLIENTS_MAX; i++)
		if (k->client[i].fd >= 0)
			client_end(&k->client[i]);
	while ((h = LIST_FIRST(&k->names)))
		drop(k, h);
	acceptor_stop(&k->acceptor);
	free(k);
}

unsigned keep_names(const struct keep *k) { return k->n; }
