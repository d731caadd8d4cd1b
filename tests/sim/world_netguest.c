/* A guest's user of a vif: it sends numbered packets by frontend/net, receives the network's, and speaks the control ring. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "tests/sim/world_net.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TRY_NS (20 * NS_PER_MS)

/* A connection. */
struct user {
	struct world_dev *d;
	struct world_vif *v;
	struct netfront *f;
	struct netfront_info info;
	int bell;
	uint64_t again; /* when it sends more */
	uint8_t frame[NETFRONT_FRAME_MAX];
};

static struct netfront_queue *queue_of(const struct user *u, unsigned q) { return netfront_get_queue(u->f, q); }
static bool more(const struct user *u) { return u->v->sent < u->v->want; }

/* ---- sending */

static void note(struct user *u, unsigned q, const struct nc_pkt *p)
{
	struct world_lane *l = u->v->out[q];

	CHECK(l->made < LANE_PKTS);
	l->pkt[l->made] = *p;
	l->end[l->made++] = queue_of(u, q)->tx.put;
}

/* True: it is on the ring. */
static bool send_packet(struct user *u, unsigned q)
{
	struct world_lane *l = u->v->out[q];
	struct nc_pkt p = world_net_choose(u->info.sg, u->info.csum4, u->info.gso4, u->info.gso6);
	struct virtio_net_hdr h;
	uint32_t len = world_net_frame(u->d, false, u->v->connection * WORLD_QUEUES + q, l->made, &p, u->frame, &h);
	int rc = netfront_send(queue_of(u, q), &h, u->frame, len);

	if (rc && rc != -EAGAIN && rc != -ESHUTDOWN && rc != -EPEER)
		world_violation("TX-ERROR", "%s: a packet (%c) of %u bytes can not be sent: %s", u->d->name, p.kind, len, err_str(rc));
	if (rc)
		return false;
	note(u, q, &p);
	u->v->sent++;
	world_out->sent++;
	return true;
}

/* Packets of a group that is left may be dropped from now on, those of one that is joined may come. */
static void group_changes(struct user *u, unsigned g, bool add)
{
	struct world_vif *v = u->v;

	v->group[g] = add ? GROUP_ASKED : GROUP_LEAVING;
	for (unsigned k = 0; k < v->nin; k++)
		for (unsigned n = v->in[k]->next; n < v->in[k]->made; n++)
			if (v->in[k]->pkt[n].kind == 'M' && v->in[k]->pkt[n].arg == g)
				v->in[k]->pkt[n].must = v->in[k]->pkt[n].bad = false;
}

static void send_group(struct user *u, unsigned q)
{
	unsigned g = crash_below(&os.rng, NET_GROUPS);
	const uint8_t mac[6] = {1, 0, 0x5e, 0, 0, (uint8_t)g};
	bool add = u->v->group[g] == GROUP_OFF;
	struct nc_pkt p = {.kind = add ? 'A' : 'D', .arg = g};

	if (!add && u->v->group[g] != GROUP_ON)
		return;
	if (netfront_mcast(queue_of(u, q), mac, add))
		return;
	group_changes(u, g, add);
	world_net_said(u->d);
	note(u, q, &p);
}

static void send_some(struct user *u, unsigned q)
{
	unsigned n = crash_below(&os.rng, 5);

	if (!more(u) || os.now < u->again)
		return;
	if (u->v->pace_us)
		u->again = os.now + crash_below(&os.rng, u->v->pace_us) * NS_PER_US;
	while (n-- && more(u)) {
		if (u->info.mcast && world_chance(15))
			send_group(u, q);
		if (!send_packet(u, q))
			return;
	}
}

/* Who is answered was sent; a group that is confirmed holds. */
static void look_at_answers(struct user *u, unsigned q)
{
	struct world_lane *l = u->v->out[q];
	struct netfront_stats s;
	bool confirmed = false;

	netfront_get_stats(queue_of(u, q), &s);
	if (s.tx_errors && !u->d->check.convicted)
		world_violation("TX-ERROR", "%s: queue %u: %llu packets were answered with an error", u->d->name, q,
				(unsigned long long)s.tx_errors);
	for (; l->answered < l->made && (int32_t)(queue_of(u, q)->tx.taken - l->end[l->answered]) >= 0; l->answered++) {
		const struct nc_pkt *p = &l->pkt[l->answered];

		if (p->kind == 'A')
			u->v->group[p->arg] = GROUP_ON;
		else if (p->kind == 'D')
			u->v->group[p->arg] = GROUP_OFF;
		else if (!p->seen && !u->d->check.convicted)
			world_violation("TX-LOST", "%s: packet %u of queue %u was answered and not sent", u->d->name, l->answered, q);
		confirmed |= strchr("AD", p->kind) != NULL;
	}
	if (confirmed)
		world_net_state(u->d);
}

/* ---- receiving */

/* The hash of the next packet, which the library does not hand on. NULL: it has none. */
static const struct netif_extra_info *hash_of(const struct netfront_queue *q, union netif_front_rx *e)
{
	uint32_t at = q->rx.taken;
	bool extra;

	*e = netif_front_rx_answer(&q->rx, at);
	for (extra = e->rsp.flags & NETRXF_extra_info; extra; extra = e->extra.flags & XEN_NETIF_EXTRA_FLAG_MORE) {
		*e = netif_front_rx_answer(&q->rx, ++at);
		if (e->extra.type == XEN_NETIF_EXTRA_TYPE_HASH)
			return &e->extra;
	}
	return NULL;
}

static int receive_some(struct user *u, unsigned q)
{
	struct netfront_queue *nq = queue_of(u, q);
	struct netfront_stats s;
	struct virtio_net_hdr h;
	union netif_front_rx e;
	int n = 0, len;

	while (netif_front_pending(&nq->rx) > 0) {
		const struct netif_extra_info *hash = hash_of(nq, &e);

		len = netfront_recv(nq, &h, u->frame);
		if (len <= 0)
			break;
		world_net_came(u->d, q, &h, u->frame, (uint32_t)len, hash);
		n++;
	}
	netfront_get_stats(nq, &s);
	if ((s.rx_errors && !u->d->check.convicted) || s.rx_bad)
		world_violation("RX-ERROR", "%s: queue %u: %llu packets came with an error, %llu were none", u->d->name, q,
				(unsigned long long)s.rx_errors, (unsigned long long)s.rx_bad);
	return n;
}

/* ---- what it says once */

struct message {
	unsigned type;
	uint32_t data[3];
	uint8_t page[NJRNL_MAPPING * 4];
	size_t len; /* of the page; 0: none */
	int rc;	    /* as it must be answered */
};

static void say_flags(struct message *m, struct njrnl_net *n)
{
	m->type = XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS;
	m->data[0] = crash_below(&os.rng, 17); /* 16: there is no such */
	m->rc = n->hash_alg && m->data[0] < 16 ? 0 : -EINVAL;
	n->hash_flags = m->data[0];
}

static void say_key(struct message *m, struct njrnl_net *n)
{
	m->type = XEN_NETIF_CTRL_TYPE_SET_HASH_KEY;
	m->data[1] = crash_below(&os.rng, NJRNL_KEY + 2);
	m->len = NJRNL_KEY + 1;
	for (unsigned i = 0; i < m->len; i++)
		m->page[i] = (uint8_t)crash_below(&os.rng, 256);
	m->rc = m->data[1] <= NJRNL_KEY ? 0 : -EOVERFLOW;
	n->key_len = m->data[1];
	memset(n->key, 0, sizeof(n->key));
	memcpy(n->key, m->page, MIN(m->data[1], NJRNL_KEY));
}

static void say_size(struct message *m, struct njrnl_net *n)
{
	m->type = XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE;
	m->data[0] = world_chance(10) ? NJRNL_MAPPING + 1 : crash_below(&os.rng, NJRNL_MAPPING + 1);
	m->rc = m->data[0] <= NJRNL_MAPPING ? 0 : -EINVAL;
	n->mapping_size = m->data[0];
	memset(n->mapping, 0, sizeof(n->mapping));
}

static void say_mapping(struct message *m, struct njrnl_net *n, unsigned queues)
{
	uint32_t off = crash_below(&os.rng, n->mapping_size + 1), len = crash_below(&os.rng, n->mapping_size + 1 - off + world_chance(10));
	bool bad = off + len > n->mapping_size;

	m->type = XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING;
	m->data[1] = len;
	m->data[2] = off;
	m->len = sizeof(m->page);
	for (uint32_t i = 0; i < len && !bad; i++) {
		n->mapping[off + i] = crash_below(&os.rng, world_chance(2) ? queues + 1 : queues);
		memcpy(m->page + 4 * i, &n->mapping[off + i], 4);
		bad = n->mapping[off + i] >= queues;
	}
	m->rc = bad ? -EINVAL : 0;
}

static void choose_message(const struct user *u, struct message *m, struct njrnl_net *n)
{
	*m = (struct message){0};
	switch (crash_below(&os.rng, 7)) {
	case 0:
		m->type = XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS;
		m->rc = n->hash_alg ? 0 : -EOPNOTSUPP;
		break;
	case 1:
		m->type = 99; /* there is none */
		m->rc = -EOPNOTSUPP;
		break;
	case 2:
		say_flags(m, n);
		break;
	case 3:
		say_key(m, n);
		break;
	case 4:
		say_size(m, n);
		break;
	case 5:
		say_mapping(m, n, u->info.queues);
		break;
	default:
		m->type = XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM;
		m->data[0] = crash_below(&os.rng, 4) != 0;
		n->hash_alg = m->data[0];
	}
}

/* Says something, and waits for the answer. */
static void say(struct user *u)
{
	struct world_vif *v = u->v;
	struct njrnl_net n = v->net;
	struct message m;
	int rc;

	v->msgs--;
	choose_message(u, &m, &n);
	v->said++;
	world_net_said(u->d);
	rc = netfront_ctrl(u->f, m.type, m.data, m.len ? m.page : NULL, m.len, NULL);
	if (rc == -ESHUTDOWN || rc == -EPEER)
		return;
	if (rc != m.rc)
		world_violation("CTRL", "%s: message %u of type %u was answered by %d, not %d", u->d->name, v->said, m.type, rc, m.rc);
	if (rc == 0)
		v->net = n;
	v->heard++;
	world_out->said++;
	world_net_state(u->d);
}

/* ---- its course */

static bool unanswered(const struct user *u)
{
	for (unsigned q = 0; q < u->info.queues; q++)
		if (u->v->out[q]->answered < u->v->out[q]->made)
			return true;
	return false;
}

static bool busy(const struct user *u)
{
	return more(u) || u->v->came < u->v->want || unanswered(u) || !world_net_quiet(u->d);
}

/* A turn of all queues: 0, 1 (something was done), or how the device ended. */
static int turn(struct user *u)
{
	int did = 0;

	for (unsigned q = 0; q < u->info.queues; q++) {
		int rc;

		send_some(u, q);
		did |= receive_some(u, q) > 0;
		rc = netfront_poll(queue_of(u, q));
		if (rc < 0)
			return rc;
		did |= rc > 0;
		look_at_answers(u, q);
	}
	if (u->v->msgs && world_chance(5))
		say(u);
	return did;
}

static void sleep_for_work(struct user *u)
{
	struct pollfd p[WORLD_QUEUES + 1] = {{.fd = u->bell, .events = POLLIN}};
	struct timespec t = {.tv_nsec = (long)(u->again > os.now ? u->again - os.now : 20 * NS_PER_US)};
	bool now = false;
	uint64_t n;

	for (unsigned q = 0; q < u->info.queues; q++) {
		p[q + 1] = (struct pollfd){.fd = netfront_fd(queue_of(u, q)), .events = POLLIN};
		now |= netfront_arm(queue_of(u, q), true);
	}
	if (now)
		return;
	ppoll(p, u->info.queues + 1, more(u) && !(u->v->patient && unanswered(u)) ? &t : NULL, NULL);
	if (p[0].revents && read(u->bell, &n, sizeof(n)) < 0)
		log_debug("%s: its bell rang for nothing", u->d->name);
}

static bool asked(const struct world_dev *d) { return d->close || d->reopen; }

static bool called(void *arg)
{
	const struct user *u = arg;

	return asked(u->d) || busy(u);
}

/* Until all is done and more is wanted, or it may go, or it must connect anew. */
static int use(struct user *u)
{
	struct world_dev *d = u->d;
	int rc = 0;

	while (rc >= 0 && !d->reopen && busy(u)) {
		rc = turn(u);
		if (rc == 0 && busy(u))
			sleep_for_work(u);
	}
	if (rc >= 0 && !busy(u)) {
		d->phase = DEV_DONE;
		while (rc >= 0 && d->phase == DEV_DONE && !os_wait(called, u, os.now + 5 * NS_PER_MS))
			rc = turn(u);
	}
	if (rc < 0 && d->phase != DEV_DESTROYED)
		world_violation("STATE", "%s: the frontend was told that its device has ended: %s", d->name, err_str(rc));
	return rc;
}

static bool connect_it(struct user *u)
{
	struct world_dev *d = u->d;
	struct world_vif *v = u->v;
	const struct netfront_open o = {.provider = "local", .runtime_dir = WORLD_DIR, .domain = world->dev[d->domain].name,
					.handle = d->devid, .queues = d->nqueues, .rx_buffers = v->rx_buffers,
					.xdp_headroom = v->headroom, .no_sg = !v->sg, .no_gso = !v->gso, .no_csum = !v->csum,
					.no_split = !v->split, .no_ctrl = !v->ctrl, .mcast = v->mcast, .timeout_ns = 2 * NS_PER_S};
	char err[256] = "";

	if (netfront_open(&o, &u->f, err, sizeof(err))) {
		log_debug("%s", err);
		os_wait(NULL, NULL, os.now + TRY_NS);
		return false;
	}
	netfront_get_info(u->f, &u->info);
	world_net_connected(d);
	d->connections++;
	d->connected = true;
	d->reopen = false;
	d->phase = d->phase < DEV_RUNS ? DEV_RUNS : d->phase;
	return true;
}

int world_netguest_main(void *dev)
{
	struct world_dev *d = dev;
	struct user *u = os_alloc(sizeof(*u));

	u->d = d;
	u->v = d->vif;
	u->bell = eventfd(0, EFD_NONBLOCK);
	d->vif->bell = os_fd(u->bell);
	while (!d->close || d->phase < DEV_CLOSED) {
		if (!connect_it(u))
			continue;
		while (use(u) >= 0 && !asked(d))
			;
		d->connected = false;
		netfront_close(u->f);
		if (d->close)
			d->phase = DEV_CLOSED;
	}
	return 0;
}
