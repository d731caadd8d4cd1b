#include "ring/os/acceptor.h"

#include "ring/base/base.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_NS (100 * NS_PER_MS)

static void listen_again(struct loop_timer *t)
{
	struct acceptor *a = CONTAINER_OF(t, struct acceptor, again);

	loop_fd_change(a->loop, &a->watch, EPOLLIN);
}

static void ready(struct loop_fd *w, uint32_t events)
{
	struct acceptor *a = CONTAINER_OF(w, struct acceptor, watch);
	int fd = accept4(a->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		a->fn(a, fd);
		return;
	}
	if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
		return;
	log_peer("no client can be taken at the moment: %s", err_str(errno));
	loop_fd_change(a->loop, w, 0);
	loop_timer_start(a->loop, &a->again, clock_now() + AGAIN_NS, listen_again);
}

int acceptor_start(struct acceptor *a, struct loop *l, int sock, void (*fn)(struct acceptor *a, int fd))
{
	int rc;

	*a = (struct acceptor){.loop = l, .sock = sock, .fn = fn};
	if (sock < 0)
		return sock;
	rc = loop_fd_start(l, &a->watch, sock, EPOLLIN, ready);
	if (rc)
		acceptor_stop(a);
	return rc;
}

void acceptor_stop(struct acceptor *a)
{
	if (!a->loop)
		return;
	loop_fd_stop(a->loop, &a->watch);
	loop_timer_stop(a->loop, &a->again);
	if (a->sock >= 0)
		close(a->sock);
	a->sock = -1;
}
