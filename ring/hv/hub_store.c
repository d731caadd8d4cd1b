#include "ring/hv/hub_store.h"

#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_NS (100 * NS_PER_MS)

struct hub_note {
	STAILQ_ENTRY(hub_note) link;
	struct hub_store_msg msg;
};

static void try_connect(struct loop_timer *t);

static void forget_queue(struct hub_store *s)
{
	struct hub_note *n;

	while ((n = STAILQ_FIRST(&s->queue))) {
		STAILQ_REMOVE_HEAD(&s->queue, link);
		free(n);
	}
}

static void cut(struct hub_store *s)
{
	if (s->sock >= 0) {
		loop_fd_stop(s->loop, &s->watch);
		close(s->sock);
		s->sock = -1;
	}
	forget_queue(s); /* the next link begins anew */
	loop_timer_start(s->loop, &s->retry, clock_now() + RETRY_NS, try_connect);
}

/* Sends what waits, until the socket is full. */
static void pump(struct hub_store *s)
{
	struct hub_note *n;

	while ((n = STAILQ_FIRST(&s->queue))) {
		int rc = fdmsg_send(s->sock, &n->msg, sizeof(n->msg), NULL, 0);

		if (rc == -EAGAIN)
			break;
		if (rc) {
			log_warn("the store is gone (%s)", err_str(rc));
			cut(s);
			return;
		}
		STAILQ_REMOVE_HEAD(&s->queue, link);
		free(n);
	}
	loop_fd_change(s->loop, &s->watch, EPOLLIN | (n ? EPOLLOUT : 0u));
}

static bool enqueue(struct hub_store *s, enum hub_store_op op, hv_domid_t dom)
{
	struct hub_note *n = calloc(1, sizeof(*n));

	if (!n)
		return false;
	n->msg = (struct hub_store_msg){.op = op, .domid = dom};
	STAILQ_INSERT_TAIL(&s->queue, n, link);
	return true;
}

static void on_reply(struct hub_store *s)
{
	struct hub_store_msg m;
	ssize_t n = fdmsg_recv(s->sock, &m, sizeof(m), NULL, NULL);

	if (n == -EAGAIN)
		return;
	if (n != sizeof(m)) {
		log_warn("the store is gone (%s)", n < 0 ? err_str((int)n) : "end of the connection");
		cut(s);
	} else if (m.rc) {
		log_warn("the store refused operation %u on domain %u: %s", m.op, m.domid, err_str(m.rc));
	}
}

static void ready(struct loop_fd *w, uint32_t events)
{
	struct hub_store *s = CONTAINER_OF(w, struct hub_store, watch);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_reply(s);
	if (s->sock >= 0 && events & EPOLLOUT)
		pump(s);
}

static void try_connect(struct loop_timer *t)
{
	struct hub_store *s = CONTAINER_OF(t, struct hub_store, retry);
	struct hub_dom d;
	bool ok = true;

	s->sock = fdmsg_connect_nonblock(s->path);
	if (s->sock < 0 || loop_fd_start(s->loop, &s->watch, s->sock, EPOLLIN, ready)) {
		if (s->sock >= 0)
			close(s->sock);
		s->sock = -1;
		cut(s);
		return;
	}
	for (size_t i = 0; ok && hub_domain_at(s->hub, i, &d); i++)
		ok = enqueue(s, HUB_STORE_INTRODUCE, d.domid);
	if (!ok || !enqueue(s, HUB_STORE_SYNCED, 0)) {
		cut(s);
		return;
	}
	log_info("the store is there");
	pump(s);
}

void hub_store_start(struct hub_store *s, struct loop *l, struct hub *h, const char *path)
{
	*s = (struct hub_store){.loop = l, .hub = h, .path = path, .sock = -1};
	STAILQ_INIT(&s->queue);
	try_connect(&s->retry);
}

void hub_store_stop(struct hub_store *s)
{
	cut(s);
	loop_timer_stop(s->loop, &s->retry);
}

void hub_store_domain(struct hub_store *s, hv_domid_t dom, bool born)
{
	if (s->sock < 0)
		return;
	if (enqueue(s, born ? HUB_STORE_INTRODUCE : HUB_STORE_RELEASE, dom))
		pump(s);
	else
		cut(s);
}

int hub_store_connect(struct hub_store *s, hv_domid_t dom, int *fd)
{
	const struct hub_store_msg m = {.op = HUB_STORE_CONNECT, .domid = dom};
	int pair[2], rc;

	/* Never before the store knows the domain. */
	if (s->sock < 0 || !STAILQ_EMPTY(&s->queue))
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	rc = fdmsg_send(s->sock, &m, sizeof(m), &pair[1], 1);
	close(pair[1]);
	if (!rc) {
		*fd = pair[0];
		return 0;
	}
	close(pair[0]);
	if (rc != -EAGAIN)
		cut(s);
	return -EAGAIN;
}
