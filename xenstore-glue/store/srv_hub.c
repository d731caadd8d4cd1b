/* The hub's socket: it tells which domains live, and passes their connections on. */
#include "ring/base/log.h"
#include "ring/hv/hub_wire.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/store/srv_priv.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void hub_close(struct srv_hub *h)
{
	loop_fd_stop(h->s->loop, &h->w);
	close(h->fd);
	LIST_REMOVE(h, link);
	free(h);
}

/* Every living domain has been named by this hub: those that were introduced over a former connection and not named now
 * have died meanwhile. */
static int release_unnamed(struct xs_server *s)
{
	int rc = 0, r;

	for (unsigned i = 1; i < XS_DOMID_FIRST_RESERVED; i++) {
		struct xs_dom *d = xs_store_dom(s->st, i);

		if (!d || !d->by_hub || d->confirmed)
			continue;
		r = srv_release(s, (uint16_t)i);
		rc = rc ? rc : r;
	}
	return rc;
}

/* Takes fd over (-1: none came). */
static int obey(struct xs_server *s, const struct hub_store_msg *m, int fd)
{
	if (m->op == HUB_STORE_CONNECT && fd >= 0 && m->domid != 0 && xs_store_dom(s->st, m->domid))
		return srv_conn_add(s, fd, m->domid);
	if (fd >= 0)
		close(fd);
	switch (m->op) {
	case HUB_STORE_INTRODUCE:
		return srv_introduce(s, m->domid, true);
	case HUB_STORE_CONNECT:
		return fd < 0 ? -EBADF : -ENOENT;
	case HUB_STORE_RELEASE:
		return srv_release(s, m->domid);
	case HUB_STORE_SYNCED:
		return release_unnamed(s);
	default:
		return -ENOSYS;
	}
}

static void on_hub(struct loop_fd *w, uint32_t events)
{
	struct srv_hub *h = CONTAINER_OF(w, struct srv_hub, w);
	struct xs_server *s = h->s;
	struct hub_store_msg m;
	size_t nfds = 1;
	int fd = -1;
	ssize_t n = fdmsg_recv(h->fd, &m, sizeof(m), &fd, &nfds);

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n != (ssize_t)sizeof(m)) {
		if (n > 0 && nfds)
			close(fd);
		if (n != 0)
			log_warn("the hub's connection is closed: %s",
				 n < 0 ? strerror((int)-n) : "a message of a wrong size");
		hub_close(h);
		return;
	}
	m.rc = obey(s, &m, nfds ? fd : -1);
	srv_work(s);
	if (fdmsg_send(h->fd, &m, sizeof(m), NULL, 0) < 0) {
		log_warn("the hub does not take its replies: its connection is closed");
		hub_close(h);
	}
}

static void accepted(struct acceptor *a, int fd)
{
	struct xs_server *s = CONTAINER_OF(a, struct xs_server, hub_clients);
	struct srv_hub *h = calloc(1, sizeof(*h));

	if (!h || loop_fd_start(s->loop, &h->w, fd, EPOLLIN, on_hub) < 0) {
		free(h);
		close(fd);
		return;
	}
	h->s = s;
	h->fd = fd;
	LIST_INSERT_HEAD(&s->hubs, h, link);
	for (size_t i = 0; i < ARRAY_LEN(s->st->dom); i++)
		if (s->st->dom[i])
			s->st->dom[i]->confirmed = false;
}

int srv_hub_listen(struct xs_server *s, const char *dir)
{
	char path[PATH_MAX];
	int rc = rundir_file(dir, HUB_STORE_SOCK, path, sizeof(path));

	if (rc < 0)
		return rc;
	return acceptor_start(&s->hub_clients, s->loop, fdmsg_listen(path, 0600), accepted);
}

void srv_hub_close_all(struct xs_server *s)
{
	struct srv_hub *h;

	while ((h = LIST_FIRST(&s->hubs)) != NULL)
		hub_close(h);
	acceptor_stop(&s->hub_clients);
}
