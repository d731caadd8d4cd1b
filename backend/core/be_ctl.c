#include "backend/core/be_ctl.h"

#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int be_ctl_open(struct be_ctl *c, int sock)
{
	int flags = fcntl(sock, F_GETFL);

	*c = (struct be_ctl){.sock = sock, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (c->wake_fd < 0 || flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(sock, F_SETFD, FD_CLOEXEC))
		return -errno;
	return -pthread_mutex_init(&c->lock, NULL);
}

/* With the lock: sends what waits, as far as there is room. */
static void send_kept(struct be_ctl *c)
{
	while (c->kept && fdmsg_send(c->sock, &c->msg[c->first], sizeof(c->msg[0]), NULL, 0) != -EAGAIN) {
		c->first = (c->first + 1) % BE_CTL_KEPT;
		c->kept--;
	}
}

void be_ctl_send(struct be_ctl *c, const struct stub_msg *m)
{
	bool kept = false;

	pthread_mutex_lock(&c->lock);
	send_kept(c);
	if (c->kept || fdmsg_send(c->sock, m, sizeof(*m), NULL, 0) == -EAGAIN) {
		kept = c->kept < BE_CTL_KEPT;
		if (kept)
			c->msg[(c->first + c->kept++) % BE_CTL_KEPT] = *m;
		else
			log_peer("nobody reads the control socket: a message of type %u is dropped", m->type);
	}
	pthread_mutex_unlock(&c->lock);
	if (kept)
		be_ctl_wake(c);
}

void be_ctl_wake(struct be_ctl *c)
{
	const uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it is awake 2^64 times over */
}

void be_ctl_sleep(struct be_ctl *c, uint64_t timeout_ns)
{
	struct timespec t = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
	struct pollfd p[2] = {{.fd = c->wake_fd, .events = POLLIN}, {.fd = c->closed ? -1 : c->sock, .events = POLLIN}};
	uint64_t seen;

	pthread_mutex_lock(&c->lock);
	send_kept(c);
	if (c->kept)
		p[1].events |= POLLOUT;
	pthread_mutex_unlock(&c->lock);
	if (ppoll(p, 2, timeout_ns == UINT64_MAX ? NULL : &t, NULL) > 0 && p[0].revents)
		if (read(c->wake_fd, &seen, sizeof(seen)) < 0)
			return; /* somebody's wake-up was counted already */
}

int be_ctl_recv(struct be_ctl *c, struct stub_msg *m)
{
	ssize_t n = c->closed ? 0 : fdmsg_recv(c->sock, m, sizeof(*m), NULL, NULL);

	if (n == sizeof(*m))
		return 1;
	if (n == -EAGAIN)
		return 0;
	if (n > 0 || n == -EMSGSIZE) {
		log_peer("a control message of %zd bytes is dropped", n);
		return 0;
	}
	c->closed = true;
	return -EPIPE;
}
