/* Sockets of the simulated host: pairs, listeners by name, streams that come in pieces, and fdmsg.h. */
#include "tests/sim/world_os.h"

#include "ring/base/check.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIPE_BYTES 65536u
#define PIPE_MSGS 64u
#define LISTENERS 256
#define RECV_WAIT_NS (2 * NS_PER_S)

static struct os_file *listeners[LISTENERS];
static unsigned nlisteners;

void os_sock_reset(void) { nlisteners = 0; }

void os_pair(enum os_type type, struct os_file **a, struct os_file **b)
{
	struct os_pipe *p = os_alloc(sizeof(*p)), *q = os_alloc(sizeof(*q));

	STAILQ_INIT(&p->q);
	STAILQ_INIT(&q->q);
	*a = os_file_new(type);
	*b = os_file_new(type);
	(*a)->rx = (*b)->tx = p;
	(*a)->tx = (*b)->rx = q;
}

static void drop_refs(struct os_msg *m)
{
	for (unsigned i = 0; i < m->nrefs; i++)
		if (m->ref[i].f)
			os_file_put(m->ref[i].f);
	m->nrefs = 0;
}

void os_file_closed_sock(struct os_file *f)
{
	struct os_msg *m;

	for (unsigned i = 0; i < f->nbacklog; i++)
		os_file_put(f->backlog[i]);
	f->nbacklog = 0;
	if (!f->rx)
		return;
	f->rx->no_reader = f->tx->no_writer = true;
	STAILQ_FOREACH(m, &f->rx->q, link)
		drop_refs(m);
}

static struct os_msg *push(struct os_pipe *p, const void *data, size_t len, const struct os_ref *refs, size_t nrefs)
{
	struct os_msg *m = os_alloc(sizeof(*m) + len);

	memcpy(m->data, data, len);
	m->len = len;
	m->nrefs = (unsigned)nrefs;
	if (nrefs)
		memcpy(m->ref, refs, nrefs * sizeof(*refs));
	STAILQ_INSERT_TAIL(&p->q, m, link);
	p->bytes += len;
	p->msgs++;
	os_wake();
	return m;
}

static void pop(struct os_pipe *p)
{
	STAILQ_REMOVE_HEAD(&p->q, link);
	p->msgs--;
	os_wake();
}

/* ---- bytes */

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap___recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

static ssize_t fail(int err)
{
	errno = err;
	return -1;
}

/* Sometimes less than there is or fits: who relies on more is wrong. */
static size_t piece(size_t n) { return n > 1 && crash_below(&os.rng, 8) == 0 ? 1 + crash_below(&os.rng, (unsigned)n) : n; }

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags UNUSED)
{
	struct os_file *f = os_fd(fd);
	size_t got = 0;
	struct os_msg *m;

	os_point(40, OS_CALL_NS);
	if (!f)
		return -1;
	if (!f->rx->msgs)
		return f->rx->no_writer ? 0 : fail(EAGAIN);
	n = piece(n);
	while (got < n && (m = STAILQ_FIRST(&f->rx->q))) {
		size_t k = MIN(n - got, m->len - m->at);

		memcpy((char *)buf + got, m->data + m->at, k);
		got += k;
		m->at += k;
		f->rx->bytes -= k;
		if (m->at == m->len)
			pop(f->rx);
	}
	os_wake();
	return (ssize_t)got;
}

ssize_t __wrap___recv_chk(int fd, void *buf, size_t n, size_t room UNUSED, int flags) { return __wrap_recv(fd, buf, n, flags); }

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags UNUSED)
{
	struct os_file *f = os_fd(fd);

	os_point(41, OS_CALL_NS);
	if (!f)
		return -1;
	if (f->tx->no_reader)
		return fail(EPIPE);
	if (f->tx->bytes >= PIPE_BYTES)
		return fail(EAGAIN);
	n = piece(MIN(n, PIPE_BYTES - f->tx->bytes));
	push(f->tx, buf, n, NULL, 0);
	return (ssize_t)n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t sum = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++) {
		const struct iovec *v = &m->msg_iov[i];
		ssize_t n = v->iov_len ? __wrap_send(fd, v->iov_base, v->iov_len, flags) : 0;

		if (n < 0)
			return sum ? sum : n;
		sum += n;
		if ((size_t)n < v->iov_len)
			break;
	}
	return sum;
}

/* ---- pairs and listeners */

int __wrap_socketpair(int domain, int type, int protocol, int out[2]);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *len, int flags);
int __wrap_getsockopt(int fd, int level, int opt, void *val, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int opt, const void *val, socklen_t len);

int __wrap_socketpair(int domain UNUSED, int type, int protocol UNUSED, int out[2])
{
	struct os_file *a, *b;

	os_point(42, OS_CALL_NS);
	os_pair((type & 0xf) == SOCK_STREAM ? OS_STREAM : OS_SEQ, &a, &b);
	a->nonblock = b->nonblock = type & SOCK_NONBLOCK;
	out[0] = os_fd_new(os_self(), a);
	out[1] = os_fd_new(os_self(), b);
	return 0;
}

int __wrap_accept4(int fd, struct sockaddr *a UNUSED, socklen_t *len UNUSED, int flags)
{
	struct os_file *f = os_fd(fd), *c;

	os_point(43, OS_CALL_NS);
	if (!f)
		return -1;
	if (!f->nbacklog)
		return (int)fail(EAGAIN);
	c = f->backlog[0];
	f->nbacklog--;
	memmove(f->backlog, f->backlog + 1, f->nbacklog * sizeof(c));
	c->nonblock = flags & SOCK_NONBLOCK;
	os_wake();
	return os_fd_new(os_self(), c);
}

int __wrap_getsockopt(int fd, int level UNUSED, int opt UNUSED, void *val, socklen_t *len)
{
	struct os_file *f = os_fd(fd);
	struct ucred u = {.pid = f ? f->peer : 0};

	if (!f)
		return -1;
	memcpy(val, &u, MIN(*len, (socklen_t)sizeof(u)));
	return 0;
}

int __wrap_setsockopt(int fd UNUSED, int level UNUSED, int opt UNUSED, const void *val UNUSED, socklen_t len UNUSED) { return 0; }

static int listen_on(const char *path)
{
	struct os_file *f;

	os_point(44, OS_CALL_NS);
	for (unsigned i = 0; i < nlisteners; i++)
		if (!listeners[i]->dead && strcmp(listeners[i]->path, path) == 0)
			return -EADDRINUSE;
	f = os_file_new(OS_LISTEN);
	f->nonblock = true;
	f->peer = os_self()->pid;
	snprintf(f->path, sizeof(f->path), "%s", path);
	CHECK(nlisteners < LISTENERS);
	listeners[nlisteners++] = f;
	return os_fd_new(os_self(), f);
}

static int connect_to(const char *path, enum os_type type, bool nonblock)
{
	struct os_file *a, *b, *l = NULL;

	os_point(45, OS_CALL_NS);
	for (unsigned i = 0; i < nlisteners; i++)
		if (!listeners[i]->dead && strcmp(listeners[i]->path, path) == 0)
			l = listeners[i];
	if (!l)
		return -ECONNREFUSED;
	if (l->nbacklog == ARRAY_LEN(l->backlog))
		return -EAGAIN;
	os_pair(type, &a, &b);
	a->nonblock = nonblock;
	a->peer = l->peer;
	l->backlog[l->nbacklog++] = b;
	os_wake();
	return os_fd_new(os_self(), a);
}

int fdmsg_listen(const char *path, mode_t mode UNUSED) { return listen_on(path); }
int fdmsg_listen_stream(const char *path, mode_t mode UNUSED) { return listen_on(path); }
int fdmsg_connect(const char *path) { return connect_to(path, OS_SEQ, false); }
int fdmsg_connect_nonblock(const char *path) { return connect_to(path, OS_SEQ, true); }
int fdmsg_connect_stream(const char *path) { return connect_to(path, OS_STREAM, false); }
int fdmsg_dial_stream(const char *path) { return connect_to(path, OS_STREAM, true); }

/* ---- whole messages */

void (*os_message)(struct os_proc *from, const void *data, size_t len);

static bool room(void *arg)
{
	struct os_file *f = arg;

	return f->tx->no_reader || f->tx->msgs < PIPE_MSGS;
}

int fdmsg_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	struct os_file *f = os_fd(sock);
	struct os_ref refs[64];

	os_point(46, OS_CALL_NS);
	if (!f)
		return -EBADF;
	if (!room(f)) {
		if (f->nonblock)
			return -EAGAIN;
		os_wait(room, f, UINT64_MAX);
	}
	if (f->tx->no_reader)
		return -EPIPE;
	CHECK(nfds <= ARRAY_LEN(refs));
	for (size_t i = 0; i < nfds; i++) {
		refs[i] = os_ref(fds[i]);
		if (!refs[i].f && refs[i].port < 0)
			return -EBADF;
	}
	push(f->tx, buf, len, refs, nfds);
	if (os_message)
		os_message(os_self(), buf, len);
	return 0;
}

static bool something(void *arg)
{
	struct os_file *f = arg;

	return f->rx->msgs || f->rx->no_writer;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t size, int *fds, size_t *nfds)
{
	struct os_file *f = os_fd(sock);
	size_t want = nfds ? *nfds : 0;
	struct os_msg *m;
	size_t len;

	os_point(47, OS_CALL_NS);
	if (!f)
		return -EBADF;
	if (!f->nonblock && !os_wait(something, f, os.now + RECV_WAIT_NS))
		return -EAGAIN;
	m = STAILQ_FIRST(&f->rx->q);
	if (nfds)
		*nfds = 0;
	if (!m)
		return f->rx->no_writer ? 0 : -EAGAIN;
	len = m->len;
	if (len <= size) {
		memcpy(buf, m->data, len);
		for (size_t i = 0; i < m->nrefs && i < want; i++, (*nfds)++)
			fds[i] = os_ref_fd(os_self(), m->ref[i]);
	}
	drop_refs(m);
	f->rx->bytes -= len;
	pop(f->rx);
	return len <= size ? (ssize_t)len : -EMSGSIZE;
}

/* No wire is made in the simulated world. */
ssize_t fdmsg_peek(int sock UNUSED, void *buf UNUSED, size_t size UNUSED, int *fds UNUSED, size_t *nfds UNUSED) { return -ENOSYS; }
