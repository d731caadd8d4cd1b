#include "frontend/core/fe_sleep.h"

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Events without an answer that are let pass before they are looked at less often, and how seldom at most. */
#define SPURIOUS_FREE 8u
#define BACKOFF_MIN_NS (20 * NS_PER_US)
#define BACKOFF_MAX_SHIFT 9u

static int watch(struct fe_sleep *s, int fd, int op)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(s->epfd, op, fd, &ev) ? -errno : 0;
}

static int watch_ports(struct fe_sleep *s, int op)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < s->nports; i++)
		rc = watch(s, hv_port_fd(s->port[i]), op);
	return rc;
}

int fe_sleep_open(struct fe_sleep *s, struct hv_port *const *ports, unsigned nports)
{
	int rc;

	*s = (struct fe_sleep){ .nports = nports };
	for (unsigned i = 0; i < nports; i++)
		s->port[i] = ports[i];
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	s->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epfd < 0 || s->wakefd < 0 || s->timerfd < 0)
		return -errno;
	rc = watch_ports(s, EPOLL_CTL_ADD);
	if (!rc)
		rc = watch(s, s->wakefd, EPOLL_CTL_ADD);
	return rc ? rc : watch(s, s->timerfd, EPOLL_CTL_ADD);
}

void fe_sleep_close(struct fe_sleep *s)
{
	if (!s->nports)
		return;
	if (s->epfd >= 0)
		close(s->epfd);
	if (s->wakefd >= 0)
		close(s->wakefd);
	if (s->timerfd >= 0)
		close(s->timerfd);
	s->nports = 0;
}

void fe_sleep_kick(struct fe_sleep *s)
{
	uint64_t one = 1;

	/* Pairs with the exchange in fe_sleep_wake(): who sees the flag sees what was set before it. */
	smp_store_release(&s->kicked, 1);
	if (write(s->wakefd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("a queue cannot be woken: %s", err_str(-errno));
}

static void backoff_begin(struct fe_sleep *s)
{
	unsigned shift = MIN(s->spurious - SPURIOUS_FREE, BACKOFF_MAX_SHIFT);
	struct itimerspec ts = { .it_value.tv_nsec = (long)(BACKOFF_MIN_NS << shift) };

	if (s->backed_off || watch_ports(s, EPOLL_CTL_DEL))
		return;
	s->backed_off = true;
	timerfd_settime(s->timerfd, 0, &ts, NULL);
}

static int backoff_end(struct fe_sleep *s)
{
	uint64_t n;

	if (read(s->timerfd, &n, sizeof(n)) != sizeof(n))
		return 0;
	s->backed_off = false;
	return watch_ports(s, EPOLL_CTL_ADD);
}

int fe_sleep_wake(struct fe_sleep *s)
{
	uint64_t n;
	int rc, event = 0;

	if (exchange_acq_rel(&s->kicked, 0) && read(s->wakefd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("a queue's wake-up: %s", err_str(-errno));
	if (s->backed_off) {
		rc = backoff_end(s);
		if (rc)
			return rc;
	}
	if (!s->armed || s->backed_off)
		return 0;
	s->armed = false;
	for (unsigned i = 0; i < s->nports; i++)
		event |= hv_port_clear(s->port[i]);
	return event;
}

void fe_sleep_looked(struct fe_sleep *s, bool event, bool found)
{
	if (found)
		s->spurious = 0;
	else if (event && ++s->spurious > SPURIOUS_FREE)
		backoff_begin(s);
}

bool fe_sleep_arm(struct fe_sleep *s)
{
	s->armed = true;
	return load_relaxed(&s->kicked);
}
