/* Connections: bytes in, requests out of them, replies and events back, all within bounds. */
#include "ring/base/check.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/store/srv_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IOV_MAX_ONCE 16

/* While another domain has a transaction open, a guest may write this often, so that it can't make each of its commits
 * conflict for ever (XSA-206). */
#define WRITE_COST_NS (5 * NS_PER_MS)
#define WRITE_BURST_NS (10 * WRITE_COST_NS)

/* ---- output ---- */

void srv_cause_put(struct xs_server *s, struct srv_cause *x)
{
	struct xs_dom *d;

	if (!x || --x->refs)
		return;
	d = xs_store_dom(s->st, x->domid);
	if (d && d->gen == x->gen)
		d->outstanding--;
	free(x);
}

static void out_free(struct srv_conn *c, struct srv_out *o)
{
	struct xs_dom *d = xs_store_dom(c->s->st, c->domid);

	c->unread -= o->len;
	if (c->domid && d)
		d->held -= o->len;
	srv_cause_put(c->s, o->cause);
	free(o);
}

static void mark_dirty(struct srv_conn *c)
{
	if (c->dirty || c->dead)
		return;
	c->dirty = true;
	STAILQ_INSERT_TAIL(&c->s->dirty, c, dirty_link);
	srv_work(c->s);
}

static struct srv_out *out_make(struct srv_conn *c, uint32_t len)
{
	struct srv_out *o = malloc(sizeof(*o) + len);

	if (!o) {
		log_peer("no memory for a message to domain %u: its connection is closed", c->domid);
		srv_conn_close(c);
		return NULL;
	}
	*o = (struct srv_out){.len = len};
	return o;
}

static void out_queue(struct srv_conn *c, struct srv_out *o)
{
	struct xs_dom *d = xs_store_dom(c->s->st, c->domid);

	if (o->cause)
		o->cause->refs++;
	c->unread += o->len;
	if (c->domid)
		d->held += o->len;
	STAILQ_INSERT_TAIL(&c->out, o, link);
	if (c->domid == 0 && c->unread > SRV_UNREAD_MAX) {
		log_peer("a client of domain 0 leaves more than %u MiB unread: it is cut off", SRV_UNREAD_MAX >> 20);
		srv_conn_close(c);
		return;
	}
	mark_dirty(c);
}

void srv_reply(struct srv_conn *c, uint32_t type, const struct xsd_sockmsg *rq, const void *data, uint32_t len)
{
	struct srv_out *o;

	if (c->dead)
		return;
	o = out_make(c, (uint32_t)sizeof(struct xsd_sockmsg) + len);
	if (!o)
		return;
	xs_frame(o->data, type, rq->req_id, rq->tx_id, data, len);
	o->cause = c->s->cause;
	out_queue(c, o);
}

static bool same_event_waits(const struct srv_conn *c, const struct srv_out *o)
{
	const struct srv_out *x;

	STAILQ_FOREACH(x, &c->out, link)
		if (x->event && x->len == o->len && memcmp(x->data, o->data, o->len) == 0)
			return true;
	return false;
}

static void event_timer(struct loop_timer *t)
{
	struct srv_conn *c = CONTAINER_OF(t, struct srv_conn, timer);
	struct srv_out *o, *next;
	uint64_t now = clock_now(), first = 0;
	unsigned dropped = 0;

	for (o = STAILQ_FIRST(&c->out); o; o = next) {
		next = STAILQ_NEXT(o, link);
		if (!o->due || o->sent)
			continue;
		if (o->due > now) {
			first = first ? MIN(first, o->due) : o->due;
			continue;
		}
		STAILQ_REMOVE(&c->out, o, srv_out, link);
		out_free(c, o);
		dropped++;
	}
	if (dropped)
		log_peer("domain %u did not read %u events for 20 s: they are dropped", c->domid, dropped);
	if (first)
		loop_timer_start(c->s->loop, &c->timer, first, event_timer);
	srv_work(c->s);
}

void srv_event(struct srv_conn *c, const char *path, const char *token, bool caused)
{
	size_t plen = strlen(path) + 1, tlen = strlen(token) + 1;
	struct xs_dom *d = xs_store_dom(c->s->st, c->domid);
	struct xsd_sockmsg hdr = {.type = XS_WATCH_EVENT, .len = (uint32_t)(plen + tlen)};
	struct srv_out *o;

	if (c->dead || plen + tlen > XENSTORE_PAYLOAD_MAX)
		return;
	if (c->domid && d->node_bytes + d->held + plen + tlen > c->s->st->quota.memory)
		return;
	o = out_make(c, (uint32_t)sizeof(hdr) + hdr.len);
	if (!o)
		return;
	memcpy(o->data, &hdr, sizeof(hdr));
	memcpy(o->data + sizeof(hdr), path, plen);
	memcpy(o->data + sizeof(hdr) + plen, token, tlen);
	if (path[0] != '@' && same_event_waits(c, o)) {
		free(o);
		return;
	}
	o->event = true;
	o->cause = caused ? c->s->cause : NULL;
	if (c->domid) {
		o->due = clock_now() + SRV_EVENT_TIMEOUT_NS;
		if (!c->timer.active)
			loop_timer_start(c->s->loop, &c->timer, o->due, event_timer);
	}
	out_queue(c, o);
}

static void written(struct srv_conn *c, size_t n)
{
	struct srv_out *o;

	while ((o = STAILQ_FIRST(&c->out)) != NULL) {
		size_t part = MIN(n, (size_t)(o->len - o->sent));

		o->sent += (uint32_t)part;
		n -= part;
		if (o->sent < o->len)
			return;
		STAILQ_REMOVE_HEAD(&c->out, link);
		out_free(c, o);
	}
}

static void flush(struct srv_conn *c)
{
	while (!c->dead && !STAILQ_EMPTY(&c->out)) {
		struct iovec iov[IOV_MAX_ONCE];
		struct msghdr m = {.msg_iov = iov};
		struct srv_out *o;
		ssize_t n;

		STAILQ_FOREACH(o, &c->out, link) {
			if (m.msg_iovlen == IOV_MAX_ONCE)
				break;
			iov[m.msg_iovlen++] = (struct iovec){o->data + o->sent, o->len - o->sent};
		}
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				srv_conn_close(c);
			return;
		}
		written(c, (size_t)n);
	}
}

/* ---- input ---- */

static int64_t credit(struct xs_dom *d)
{
	uint64_t now = clock_now();

	d->credit_ns += (int64_t)MIN(now - d->credit_at, (uint64_t)WRITE_BURST_NS * 2);
	d->credit_ns = MIN(d->credit_ns, (int64_t)WRITE_BURST_NS);
	d->credit_at = now;
	return d->credit_ns;
}

static void credit_back(struct loop_timer *t)
{
	srv_work(CONTAINER_OF(t, struct xs_server, credit_timer));
}

void srv_pay_for_write(struct srv_conn *c)
{
	struct xs_server *s = c->s;
	struct xs_dom *d = xs_store_dom(s->st, c->domid);
	struct srv_conn *x;

	if (c->domid == 0)
		return;
	TAILQ_FOREACH(x, &s->conns, link)
		if (!x->dead && x->domid != c->domid && x->txns.count)
			break;
	if (!x)
		return;
	credit(d);
	d->credit_ns -= (int64_t)WRITE_COST_NS;
}

/* Not to be read at the moment. */
static bool must_wait(struct srv_conn *c)
{
	struct xs_store *st = c->s->st;
	struct xs_dom *d = xs_store_dom(st, c->domid);

	if (c->domid == 0)
		return c->unread > SRV_UNREAD_STOP;
	if (d->outstanding >= st->quota.outstanding || d->node_bytes + d->held >= st->quota.memory)
		return true;
	if (d->credit_ns >= 0 || credit(d) >= 0)
		return false;
	if (!c->s->credit_timer.active)
		loop_timer_start(c->s->loop, &c->s->credit_timer, clock_now() + (uint64_t)-d->credit_ns, credit_back);
	return true;
}

static void update_mask(struct srv_conn *c)
{
	uint32_t mask = (c->stalled ? 0 : (uint32_t)EPOLLIN) | (STAILQ_EMPTY(&c->out) ? 0 : (uint32_t)EPOLLOUT);

	if (!c->dead && mask != c->mask && loop_fd_change(c->s->loop, &c->watch_fd, mask) == 0)
		c->mask = mask;
}

static void run(struct srv_conn *c)
{
	size_t used;
	int rc;

	while (!c->dead && c->in_at < c->in_len) {
		c->stalled = must_wait(c);
		if (c->stalled)
			return;
		rc = xs_reader_feed(&c->reader, c->in + c->in_at, c->in_len - c->in_at, &used);
		c->in_at += used;
		if (rc < 0) {
			log_peer("domain %u sent a message with a length of %u: its connection is closed", c->domid,
				 c->reader.hdr.len);
			srv_conn_close(c);
		} else if (rc == 1) {
			srv_handle(c);
		}
	}
	if (!c->dead)
		c->stalled = must_wait(c);
}

static void readable(struct srv_conn *c)
{
	ssize_t n;

	if (c->in_at < c->in_len || c->stalled)
		return;
	n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		srv_conn_close(c);
		return;
	}
	c->in_at = 0;
	c->in_len = (size_t)n;
	run(c);
}

static void on_conn(struct loop_fd *w, uint32_t events)
{
	struct srv_conn *c = CONTAINER_OF(w, struct srv_conn, watch_fd);

	if (events & EPOLLOUT)
		mark_dirty(c);
	if (events & EPOLLIN)
		readable(c);
	else if (events & (EPOLLERR | EPOLLHUP))
		srv_conn_close(c);
	update_mask(c);
	srv_work(c->s);
}

/* ---- after each callback ---- */

static void work(struct loop_work *w)
{
	struct xs_server *s = CONTAINER_OF(w, struct xs_server, work);
	struct srv_conn *c;
	int rc;

	while ((c = STAILQ_FIRST(&s->dirty)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->dirty, dirty_link);
		c->dirty = false;
		flush(c);
		update_mask(c);
	}
	TAILQ_FOREACH(c, &s->conns, link) {
		if (c->dead || !c->stalled || must_wait(c))
			continue;
		c->stalled = false;
		run(c);
		update_mask(c);
	}
	rc = s->log ? xs_log_tidy(s->log) : 0;
	if (rc < 0)
		log_warn("the log can't be compacted (%s); it goes on growing", strerror(-rc));
	srv_conn_reap(s);
}

void srv_work(struct xs_server *s)
{
	if (!s->work.queued)
		loop_defer(s->loop, &s->work, work);
}

/* ---- beginning and end ---- */

int srv_conn_add(struct xs_server *s, int fd, uint16_t domid)
{
	struct srv_conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->s = s;
	c->fd = fd;
	c->domid = domid;
	c->mask = EPOLLIN;
	xs_reader_init(&c->reader);
	STAILQ_INIT(&c->out);
	xs_txns_init(&c->txns);
	xs_watches_init(&c->watches, s->st, domid);
	rc = loop_fd_start(s->loop, &c->watch_fd, fd, EPOLLIN, on_conn);
	if (rc < 0) {
		close(fd);
		free(c);
		return rc;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	return 0;
}

void srv_conn_close(struct srv_conn *c)
{
	struct srv_out *o;

	if (c->dead)
		return;
	c->dead = true;
	loop_fd_stop(c->s->loop, &c->watch_fd);
	loop_timer_stop(c->s->loop, &c->timer);
	close(c->fd);
	while ((o = STAILQ_FIRST(&c->out)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->out, link);
		out_free(c, o);
	}
	xs_txns_drop(&c->txns);
	xs_watches_drop(&c->watches);
	if (c->dirty)
		STAILQ_REMOVE(&c->s->dirty, c, srv_conn, dirty_link);
	c->dirty = false;
	srv_work(c->s);
}

void srv_conn_close_domain(struct xs_server *s, uint16_t domid)
{
	struct srv_conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
		if (c->domid == domid)
			srv_conn_close(c);
}

void srv_conn_reap(struct xs_server *s)
{
	struct srv_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->dead) {
			TAILQ_REMOVE(&s->conns, c, link);
			free(c);
		}
	}
}
