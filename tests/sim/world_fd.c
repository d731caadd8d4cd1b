/* Descriptors of the simulated host: tables, readiness, epoll and poll, event, timer and signal descriptors. */
#include "tests/sim/world_os.h"

#include "ring/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PIPE_BYTES 65536u
#define PIPE_MSGS 64u

bool (*os_foreign_readable)(int fd);
static LIST_HEAD(, os_file) timers;

void os_fd_reset(void) { LIST_INIT(&timers); }

/* ---- tables */

struct os_file *os_file_new(enum os_type type)
{
	struct os_file *f = os_alloc(sizeof(*f));

	f->type = type;
	f->refs = 1;
	LIST_INIT(&f->items);
	return f;
}

void os_file_put(struct os_file *f)
{
	if (--f->refs)
		return;
	f->dead = true;
	if (f->ino)
		os_inode_unlock(f->ino, f);
	if (f->timer_listed)
		LIST_REMOVE(f, timer_link);
	os_file_closed_sock(f);
	if (f->tapq)
		os_tap_closed(f);
	os_wake();
}

int os_fd_new(struct os_proc *p, struct os_file *f)
{
	for (int fd = OS_FIRST_FD; fd < OS_FDS; fd++)
		if (!p->fd[fd]) {
			p->fd[fd] = f;
			return fd;
		}
	CHECK(!"too many descriptors");
	return -1;
}

struct os_file *os_fd(int fd)
{
	struct os_file *f = fd >= 0 && fd < OS_FDS ? os_self()->fd[fd] : NULL;

	if (!f)
		errno = EBADF;
	return f;
}

struct os_ref os_ref(int fd)
{
	struct os_ref r = {.port = -1};

	if (fd >= OS_FOREIGN) {
		r.port = fd;
		return r;
	}
	r.f = os_fd(fd);
	if (r.f)
		r.f->refs++;
	return r;
}

int os_ref_fd(struct os_proc *p, struct os_ref r)
{
	if (!r.f)
		return r.port;
	r.f->refs++;
	return os_fd_new(p, r.f);
}

/* ---- readiness */

static uint32_t epoll_ready(const struct os_file *f);

static uint32_t sock_ready(const struct os_file *f)
{
	uint32_t e = 0;

	if (f->rx->msgs || f->rx->no_writer)
		e |= EPOLLIN;
	if (f->rx->no_writer)
		e |= EPOLLHUP;
	if (f->tx->no_reader || (f->type == OS_SEQ ? f->tx->msgs < PIPE_MSGS : f->tx->bytes < PIPE_BYTES))
		e |= EPOLLOUT;
	return e;
}

uint32_t os_ref_poll(const struct os_ref *r)
{
	const struct os_file *f = r->f;

	if (!f)
		return os_foreign_readable(r->port) ? EPOLLIN : 0;
	if (f->dead)
		return 0;
	switch (f->type) {
	case OS_SEQ:
	case OS_STREAM:
		return sock_ready(f);
	case OS_LISTEN:
		return f->nbacklog ? EPOLLIN : 0;
	case OS_EVENT:
		return (f->count ? EPOLLIN : 0u) | EPOLLOUT;
	case OS_TIMER:
		return f->fired ? EPOLLIN : 0;
	case OS_SIGNAL:
		return f->proc->signals ? EPOLLIN : 0;
	case OS_PIDFD:
		return f->proc->state >= OS_ZOMBIE ? EPOLLIN : 0;
	case OS_EPOLL:
		return epoll_ready(f);
	case OS_TAP:
		return os_tap_poll(f);
	case OS_REG:
	case OS_DIR:
		break;
	}
	return EPOLLIN | EPOLLOUT;
}

static uint32_t item_ready(const struct os_item *i)
{
	return os_ref_poll(&i->ref) & (i->events | EPOLLHUP | EPOLLERR);
}

static uint32_t epoll_ready(const struct os_file *f)
{
	const struct os_item *i;

	LIST_FOREACH(i, &f->items, link)
		if (item_ready(i))
			return EPOLLIN;
	return 0;
}

/* ---- epoll */

int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout);

int __wrap_epoll_create1(int flags UNUSED)
{
	os_point(2, OS_CALL_NS);
	return os_fd_new(os_self(), os_file_new(OS_EPOLL));
}

static struct os_item *item_of(struct os_file *ep, int fd)
{
	struct os_item *i;

	LIST_FOREACH(i, &ep->items, link)
		if (i->fd == fd && (!i->ref.f || i->ref.f == os_self()->fd[fd]))
			return i;
	return NULL;
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct os_file *ep = os_fd(epfd);
	struct os_item *i;

	os_point(3, OS_CALL_NS);
	if (!ep || (fd < OS_FOREIGN && !os_fd(fd)))
		return -1;
	i = item_of(ep, fd);
	if (!i != (op == EPOLL_CTL_ADD)) {
		errno = i ? EEXIST : ENOENT;
		return -1;
	}
	if (op == EPOLL_CTL_DEL) {
		LIST_REMOVE(i, link);
		return 0;
	}
	if (!i) {
		i = os_alloc(sizeof(*i));
		i->fd = fd;
		i->ref = (struct os_ref){.f = fd < OS_FOREIGN ? os_fd(fd) : NULL, .port = fd};
		LIST_INSERT_HEAD(&ep->items, i, link);
	}
	i->events = ev->events;
	i->data = ev->data.u64;
	os_wake();
	return 0;
}

static bool epoll_cond(void *arg) { return epoll_ready(arg); }

int __wrap_epoll_wait(int epfd, struct epoll_event *ev, int max, int timeout)
{
	struct os_file *ep = os_fd(epfd);
	struct os_item *i;
	unsigned n = 0, skip;

	os_point(4, OS_CALL_NS);
	if (!ep)
		return -1;
	if (timeout && !os_wait(epoll_cond, ep, timeout < 0 ? UINT64_MAX : os.now + (uint64_t)timeout * NS_PER_MS))
		return 0;
	LIST_FOREACH(i, &ep->items, link)
		if (item_ready(i) && n < (unsigned)max)
			ev[n++] = (struct epoll_event){.events = item_ready(i), .data.u64 = i->data};
	/* In any order. */
	skip = n > 1 ? crash_below(&os.rng, n) : 0;
	for (unsigned k = 0; k < skip; k++) {
		struct epoll_event e = ev[0];

		memmove(ev, ev + 1, (n - 1) * sizeof(e));
		ev[n - 1] = e;
	}
	return (int)n;
}

/* ---- poll */

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms);
int __wrap_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask);
int __wrap___ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask, size_t size);
int __real_poll(struct pollfd *p, nfds_t n, int timeout_ms);

struct polled {
	struct pollfd *p;
	nfds_t n;
};

static unsigned look(struct polled *s)
{
	unsigned any = 0;

	for (nfds_t i = 0; i < s->n; i++) {
		struct os_ref r = {.port = s->p[i].fd};

		s->p[i].revents = 0;
		if (s->p[i].fd < 0)
			continue;
		if (r.port < OS_FOREIGN)
			r.f = os_self()->fd[r.port];
		if (!r.f && r.port < OS_FOREIGN)
			s->p[i].revents = POLLNVAL;
		else
			s->p[i].revents = (short)(os_ref_poll(&r) & ((uint32_t)s->p[i].events | EPOLLHUP));
		any += s->p[i].revents != 0;
	}
	return any;
}

/* Asked for by the scheduler: the process that runs is another. */
struct waiting {
	struct polled s;
	struct os_ref ref[8];
};

static bool poll_cond(void *arg)
{
	struct waiting *w = arg;

	for (nfds_t i = 0; i < w->s.n; i++)
		if (w->s.p[i].fd >= 0 && (os_ref_poll(&w->ref[i]) & ((uint32_t)w->s.p[i].events | EPOLLHUP)))
			return true;
	return false;
}

static int do_poll(struct pollfd *p, nfds_t n, uint64_t until)
{
	struct waiting w = {.s = {p, n}};
	unsigned any;

	os_point(5, OS_CALL_NS);
	CHECK(n <= 8);
	any = look(&w.s);
	if (any || until <= os.now)
		return (int)any;
	for (nfds_t i = 0; i < n; i++)
		w.ref[i] = (struct os_ref){.f = p[i].fd >= 0 && p[i].fd < OS_FOREIGN ? os_fd(p[i].fd) : NULL, .port = p[i].fd};
	os_wait(poll_cond, &w, until);
	return (int)look(&w.s);
}

int __wrap_ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask UNUSED)
{
	return do_poll(p, n, t ? os.now + (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec : UINT64_MAX);
}

int __wrap___ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask, size_t size UNUSED)
{
	return __wrap_ppoll(p, n, t, mask);
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	if (!os.cur)
		return __real_poll(p, n, timeout_ms);
	return do_poll(p, n, timeout_ms < 0 ? UINT64_MAX : os.now + (uint64_t)timeout_ms * NS_PER_MS);
}

/* ---- event, timer and signal descriptors */

int __wrap_eventfd(unsigned count, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags);

int __wrap_eventfd(unsigned count, int flags)
{
	struct os_file *f = os_file_new(OS_EVENT);

	os_point(6, OS_CALL_NS);
	f->count = count;
	f->nonblock = flags & EFD_NONBLOCK;
	return os_fd_new(os_self(), f);
}

int __wrap_timerfd_create(int clock UNUSED, int flags UNUSED)
{
	os_point(7, OS_CALL_NS);
	return os_fd_new(os_self(), os_file_new(OS_TIMER));
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old UNUSED)
{
	struct os_file *f = os_fd(fd);
	uint64_t at = (uint64_t)new->it_value.tv_sec * NS_PER_S + (uint64_t)new->it_value.tv_nsec;

	os_point(8, OS_CALL_NS);
	if (!f)
		return -1;
	if (f->timer_listed)
		LIST_REMOVE(f, timer_link);
	f->fired = false;
	f->timer_listed = at != 0;
	if (!at)
		return 0;
	f->due = flags & TFD_TIMER_ABSTIME ? at : os.now + at;
	LIST_INSERT_HEAD(&timers, f, timer_link);
	return 0;
}

/* Those that are due fire; when the next one is. */
uint64_t os_timers_next(void)
{
	struct os_file *f, *next;
	uint64_t at = UINT64_MAX;

	for (f = LIST_FIRST(&timers); f; f = next) {
		next = LIST_NEXT(f, timer_link);
		if (f->due > os.now) {
			at = MIN(at, f->due);
			continue;
		}
		LIST_REMOVE(f, timer_link);
		f->timer_listed = false;
		f->fired = true;
		os_wake();
	}
	return at;
}

int __wrap_signalfd(int fd, const sigset_t *mask UNUSED, int flags UNUSED)
{
	struct os_file *f;

	os_point(9, OS_CALL_NS);
	if (fd >= 0)
		return fd;
	f = os_file_new(OS_SIGNAL);
	f->proc = os_self();
	return os_fd_new(os_self(), f);
}
