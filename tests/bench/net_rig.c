#include "tests/bench/net_rig.h"

#include "backend/net/net_class.h"
#include "frontend/net/netfront_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/hv/hv_ops.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define GREFS 16384u
#define BUDGET 32u
#define SLEEP_MS 100 /* at most, so that an end is noticed */

/* ---- the provider: both ends' */

struct rig_hv {
	struct hv hv; /* of one end */
	void **page;  /* by gref; shared */
	uint32_t *next;
	uint32_t ports;
};

struct rig_port {
	struct hv_port p;
	int in, out;
};

static int rig_alloc(struct hv *hv UNUSED, size_t npages, void **out)
{
	*out = mmap(NULL, npages * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return *out == MAP_FAILED ? -ENOMEM : 0;
}

static int rig_free(struct hv *hv UNUSED, void *mem, size_t npages) { return munmap(mem, npages * BH_PAGE_SIZE); }

static int rig_grant(struct hv *hv, hv_domid_t dom UNUSED, struct hv_grant *g, size_t n)
{
	struct rig_hv *h = (struct rig_hv *)hv;

	for (size_t i = 0; i < n; i++) {
		CHECK(*h->next < GREFS);
		g[i].gref = (*h->next)++;
		h->page[g[i].gref] = g[i].page;
	}
	return 0;
}

static int rig_ungrant(struct hv *hv UNUSED, const hv_gref_t *grefs UNUSED, size_t n, int16_t *status)
{
	memset(status, 0, n * sizeof(*status));
	return 0;
}

static int rig_copy(struct hv *hv, hv_domid_t dom UNUSED, struct hv_copy *c, size_t n)
{
	struct rig_hv *h = (struct rig_hv *)hv;

	for (size_t i = 0; i < n; i++) {
		char *page = h->page[c[i].gref % GREFS];

		c[i].status = 0;
		if (c[i].to_guest)
			memcpy(page + c[i].off, c[i].local, c[i].len);
		else
			memcpy(c[i].local, page + c[i].off, c[i].len);
	}
	return 0;
}

static struct rig_port *new_port(struct hv *hv)
{
	struct rig_port *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->p.hv = hv;
	p->p.number = ++((struct rig_hv *)hv)->ports;
	p->in = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->out = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return p;
}

static int rig_port_alloc(struct hv *hv, hv_domid_t dom UNUSED, struct hv_port **out)
{
	*out = &new_port(hv)->p;
	return 0;
}

/* The other end of a frontend's port. */
static struct hv_port *other_end(struct hv *hv, const struct hv_port *front)
{
	const struct rig_port *f = (const struct rig_port *)front;
	struct rig_port *p = calloc(1, sizeof(*p));

	CHECK(p);
	*p = (struct rig_port){.p.hv = hv, .p.number = front->number, .in = dup(f->out), .out = dup(f->in)};
	return &p->p;
}

static int rig_port_fd(const struct hv_port *p) { return ((const struct rig_port *)p)->in; }

static int rig_port_notify(struct hv_port *p)
{
	uint64_t one = 1;

	return write(((struct rig_port *)p)->out, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -EPIPE;
}

static int rig_port_clear(struct hv_port *p)
{
	uint64_t n;

	return read(((struct rig_port *)p)->in, &n, sizeof(n)) == sizeof(n);
}

static void rig_port_close(struct hv_port *port)
{
	struct rig_port *p = (struct rig_port *)port;

	close(p->in);
	close(p->out);
	free(p);
}

static void rig_close(struct hv *hv) { free(hv); }

static const struct hv_ops rig_ops = {
	.name = "bench", .close = rig_close, .copy = rig_copy, .alloc = rig_alloc, .free = rig_free, .grant = rig_grant,
	.ungrant = rig_ungrant, .port_alloc = rig_port_alloc, .port_fd = rig_port_fd, .port_notify = rig_port_notify,
	.port_clear = rig_port_clear, .port_close = rig_port_close,
};

/* ---- the backend's threads */

struct rig_worker {
	struct net_rig *rig;
	struct be_queue *q;
	struct hv_port *port[3];
	unsigned nports;
	pthread_t thread;
};

struct net_rig {
	struct netfront *f;
	struct rig_hv *front, *back;
	void *page[GREFS];
	uint32_t next;
	struct be_device *dev;
	struct conn_id conn;
	struct be_prepare prepare;
	unsigned nqueues, poll_us;
	uint32_t stop;
	struct rig_worker worker[CONN_QUEUES_MAX];
};

static void sleep_until_work(struct rig_worker *w)
{
	uint64_t now = clock_now(), due = net_class.deadline(w->q);
	struct pollfd p[4];
	unsigned n = 0;
	int ms = due <= now ? 0 : (int)MIN((due - now) / NS_PER_MS + 1, (uint64_t)SLEEP_MS);

	for (; n < w->nports; n++)
		p[n] = (struct pollfd){.fd = hv_port_fd(w->port[n]), .events = POLLIN};
	p[n].events = POLLIN;
	p[n].fd = net_class.storage_fd(w->q, &p[n].events);
	poll(p, n + 1, ms);
	for (unsigned i = 0; i < w->nports; i++)
		if (p[i].revents)
			hv_port_clear(w->port[i]);
}

static void *worker_main(void *arg)
{
	struct rig_worker *w = arg;
	uint64_t idle_since = 0;

	net_class.awake(w->q);
	while (!load_relaxed(&w->rig->stop)) {
		unsigned did = net_class.turn(w->q, BUDGET);

		CHECK(!(did & BE_HALTED));
		if (did & BE_BUSY) {
			idle_since = 0;
			continue;
		}
		if (!idle_since)
			idle_since = clock_now();
		if (clock_now() - idle_since < w->rig->poll_us * NS_PER_US) {
			cpu_relax();
			continue;
		}
		if (net_class.arm(w->q))
			continue;
		net_class.asleep(w->q);
		sleep_until_work(w);
		net_class.awake(w->q);
		idle_since = 0;
	}
	return NULL;
}

static void event(void *arg UNUSED, enum be_event e, uint64_t value UNUSED, const char *text)
{
	fprintf(stderr, "bulkhead bench net: the backend says %d: %s\n", (int)e, text ? text : "");
}

/* ---- both ends together */

static int open_front(struct net_rig *r, unsigned queues)
{
	const struct vif_offer offer = {.sg = true, .gso4 = true, .gso6 = true, .csum6 = true, .split = true, .ctrl_ring = true,
					.max_queues = CONN_QUEUES_MAX};
	const struct netfront_open o = {.queues = queues};
	const struct vif_told told = {.mac = {2, 0, 0, 0, 0, 1}, .mtu = VIF_MTU};
	struct netfront *f = calloc(1, sizeof(*f));
	int rc = 0;

	CHECK(f);
	r->f = f;
	f->hv = &r->front->hv;
	pthread_mutex_init(&f->hv_lock, NULL);
	pthread_mutex_init(&f->ctrl.lock, NULL);
	netfront_choose(f, &o, &offer, &told);
	rc = netfront_ctrl_open(f);
	for (unsigned i = 0; !rc && i < queues; i++) {
		rc = netfront_queue_open(f, i);
		f->nqueues = i + 1;
	}
	return rc;
}

/* The connection record as the supervisor makes it. */
static void make_conn(struct net_rig *r, struct conn_id *c)
{
	*c = (struct conn_id){.domid = 1, .type = CONN_VIF, .protocol = CONN_NATIVE, .nqueues = r->nqueues, .ring_pages = 1,
			      .features = CONN_NET_SG | CONN_NET_GSO4 | CONN_NET_GSO6 | CONN_NET_CSUM4 | CONN_NET_CSUM6 |
					  CONN_NET_RX_NOTIFY,
			      .epoch = 1, .ctrl_gref = r->f->ctrl.pages.gref[0], .ctrl_evtchn = r->f->ctrl.port->number,
			      .mac = {2, 0, 0, 0, 0, 1}};
	for (unsigned i = 0; i < r->nqueues; i++) {
		const struct netfront_queue *q = r->f->queue[i];

		c->q[i] = (struct conn_queue){.evtchn = q->port[0]->number, .evtchn_rx = q->port[1]->number,
					      .gref = {q->rings.gref[0], q->rings.gref[1]}};
	}
}

static int open_back(struct net_rig *r, const char *spec, const int *fd, char *err, size_t size)
{
	struct stub_dev *sd = calloc(1, sizeof(*sd));
	struct be_prepare *p = &r->prepare;
	struct be_started started;
	int rc;

	CHECK(sd);
	make_conn(r, &r->conn);
	sd->conn = r->conn;
	sd->steer_fd = -1;
	snprintf(sd->spec, sizeof(sd->spec), "%s", spec);
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++)
		sd->q[i].net_fd = fd && i < r->nqueues ? fd[i] : -1;
	rc = net_class.open(sd, &r->dev, err, size);
	free(sd);
	if (rc)
		return rc;
	*p = (struct be_prepare){.conn = &r->conn, .journal_bytes = net_class.journal_bytes(&r->conn), .hv = &r->back->hv,
				 .ctrl_ring = netfront_page(&r->f->ctrl.pages, 0), .event = event};
	rig_alloc(NULL, (p->journal_bytes + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE, &p->journal);
	p->ctrl_port = other_end(&r->back->hv, r->f->ctrl.port);
	for (unsigned i = 0; i < r->nqueues; i++) {
		struct netfront_queue *q = r->f->queue[i];

		p->ring[i] = netfront_page(&q->rings, 0);
		p->ring_rx[i] = netfront_page(&q->rings, 1);
		p->port[i] = other_end(&r->back->hv, q->port[0]);
		p->port_rx[i] = other_end(&r->back->hv, q->port[1]);
	}
	rc = net_class.prepare(r->dev, p);
	if (!rc)
		rc = net_class.start(r->dev, true, false, &started);
	return rc ? err_say(err, size, rc, "the backend does not start: %s", err_str(rc)) : 0;
}

static struct rig_hv *new_hv(struct net_rig *r, enum hv_role role)
{
	const struct hv_open o = {.role = role, .guest = 1};
	struct rig_hv *h = calloc(1, sizeof(*h));

	CHECK(h);
	hv_setup(&h->hv, &rig_ops, &o, role == HV_FRONTEND ? 1 : 0);
	h->page = r->page;
	h->next = &r->next;
	return h;
}

int net_rig_open(const char *spec, const int *fd, unsigned queues, unsigned poll_us, struct net_rig **out, char *err, size_t size)
{
	struct net_rig *r = calloc(1, sizeof(*r));
	int rc;

	CHECK(r);
	*out = r;
	r->next = 1;
	r->nqueues = queues;
	r->poll_us = poll_us;
	r->front = new_hv(r, HV_FRONTEND);
	r->back = new_hv(r, HV_STUB);
	rc = open_front(r, queues);
	if (!rc)
		rc = open_back(r, spec, fd, err, size);
	for (unsigned i = 0; !rc && i < queues; i++) {
		struct rig_worker *w = &r->worker[i];

		*w = (struct rig_worker){.rig = r, .q = net_class.queue(r->dev, i), .nports = i ? 2 : 3,
					 .port = {r->prepare.port[i], r->prepare.port_rx[i], r->prepare.ctrl_port}};
		CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0);
	}
	return rc;
}

struct netfront *net_rig_front(struct net_rig *r) { return r->f; }
pthread_t net_rig_thread(const struct net_rig *r, unsigned queue) { return r->worker[queue].thread; }

void net_rig_close(struct net_rig *r)
{
	store_relaxed(&r->stop, 1);
	for (unsigned i = 0; i < r->nqueues; i++)
		if (r->worker[i].thread)
			pthread_join(r->worker[i].thread, NULL);
	netfront_close(r->f);
}
