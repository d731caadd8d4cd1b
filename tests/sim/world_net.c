/* The network at the far ends of the simulated world's taps: it sends numbered packets, and judges those that come and those that
 * the guests receive. */
#include "tests/sim/world_net.h"

#include "ring/base/check.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 12u /* packets that wait in a queue of a tap */
#define LONG 9000u
#define RISK_POINTS 60u

/* ---- the plan */

void world_vif_make(struct world_dev *d, unsigned handle)
{
	static const unsigned pace[] = {0, 50, 500, 2000, 8000};
	struct world_vif *v = os_alloc(sizeof(*v));

	d->vif = v;
	d->devid = handle;
	snprintf(d->vdev, sizeof(d->vdev), "vif%u", handle);
	snprintf(d->params, sizeof(d->params), "tap,poll-us=0,queues=%u%s%s", WORLD_QUEUES, world_chance(20) ? ",standby=no" : "",
		 world_chance(30) ? ",hang-ms=5" : "");
	v->sg = world_chance(80);
	v->csum = world_chance(85);
	v->gso = world_chance(80);
	v->split = world_chance(60);
	v->ctrl = world_chance(80);
	v->mcast = world_chance(50);
	v->bridge = world_chance(40);
	v->cut = world_chance(25);
	v->full = world_chance(25);
	v->patient = world_chance(50);
	v->rx_buffers = 32u << crash_below(&os.rng, 3);
	v->headroom = world_chance(25) ? 256 : 0;
	v->want = 8 + crash_below(&os.rng, 120);
	v->msgs = v->ctrl ? crash_below(&os.rng, 20) : 0;
	v->pace_us = pace[crash_below(&os.rng, ARRAY_LEN(pace))];
}

void world_vif_more(struct world_dev *d, unsigned n)
{
	struct world_vif *v = d->vif;

	v->want = MAX(v->want, MAX(v->sent, v->came)) + n;
	world_net_ring(d);
}

void world_net_ring(struct world_dev *d)
{
	if (!d->vif->bell || d->vif->bell->dead)
		return;
	d->vif->bell->count++;
	os_wake();
}

/* ---- frames */

uint32_t world_net_frame(const struct world_dev *d, bool in, unsigned lane, unsigned number, const struct nc_pkt *p, uint8_t *frame,
			 struct virtio_net_hdr *h)
{
	uint32_t len = nc_frame(frame, in | d->index << 1, lane, number, p);

	nc_offload(p, frame, len, h);
	return len;
}

struct nc_pkt world_net_choose(bool sg, bool csum, bool tso4, bool tso6)
{
	static const char kinds[] = "IIIVRXXMMCCCTTW";
	char k = kinds[crash_below(&os.rng, sizeof(kinds) - 1)];
	struct nc_pkt p = {.parts = 1};

	if ((k == 'C' && !csum) || (k == 'T' && !tso4) || (k == 'W' && !tso6))
		k = 'I';
	p.kind = k;
	p.len = (uint16_t)(80 + crash_below(&os.rng, 1400));
	if (strchr("TW", k) || (sg && world_chance(20)))
		p.len = (uint16_t)(1000 + crash_below(&os.rng, LONG - 1000));
	if (k == 'R')
		p.len = 42;
	if (k == 'M') {
		p.len = 64;
		p.arg = crash_below(&os.rng, NET_GROUPS);
	}
	return p;
}

static bool decode(const struct world_dev *d, bool in, const uint8_t *f, unsigned *lane, unsigned *number)
{
	*lane = f[8];
	*number = (unsigned)(f[10] << 8 | f[11]);
	return f[6] == 2 && f[7] == (in | d->index << 1) && f[9] == 0x55 && *number < LANE_PKTS;
}

static bool same(const struct world_dev *d, bool in, unsigned lane, unsigned number, const struct nc_pkt *p, const uint8_t *frame,
		 uint32_t len, const struct virtio_net_hdr *h)
{
	uint8_t want[LONG];
	struct virtio_net_hdr wanted;

	return world_net_frame(d, in, lane, number, p, want, &wanted) == len && memcmp(frame, want, len) == 0 &&
	       memcmp(h, &wanted, sizeof(wanted)) == 0;
}

/* A packet has just left its sender, who does not yet know, or a message its guest: deaths then are worth more than others. */
static void risk(struct os_proc *p, unsigned percent)
{
	if (world_chance(percent))
		world_doom_soon(p, RISK_POINTS);
}

void world_net_said(const struct world_dev *d)
{
	for (unsigned i = 0; i < os.nprocs; i++)
		if (os.proc[i]->kind == OS_STUB && os.proc[i]->dev == (int)d->index && os.proc[i]->serves && os.proc[i]->state == OS_ALIVE)
			risk(os.proc[i], 25);
}

/* ---- from the guest */

static void judge(struct world_dev *d, const uint8_t *packet, size_t len)
{
	struct world_vif *v = d->vif;
	unsigned at, n;
	struct world_lane *l;
	struct nc_pkt *p;
	struct virtio_net_hdr h;

	if (len < NETPORT_PACKET_MIN || !decode(d, false, packet + NETPORT_HDR, &at, &n)) {
		world_violation("TX-DATA", "%s: %zu bytes that nobody sent", d->name, len);
		return;
	}
	l = v->out[at % WORLD_QUEUES];
	if (at / WORLD_QUEUES != v->connection || !l || n >= l->made) {
		world_violation("TX-LATE", "%s: packet %u of connection %u was sent in connection %u", d->name, n, at / WORLD_QUEUES, v->connection);
		return;
	}
	p = &l->pkt[n];
	if (p->seen && (n + 1 != l->next || l->last == os_self()))
		world_violation("TX-TWICE", "%s: packet %u of queue %u again, after %u", d->name, n, at % WORLD_QUEUES, l->next - 1);
	for (unsigned i = l->next; i < n; i++)
		if (!l->pkt[i].seen && !strchr("AD", l->pkt[i].kind) && !d->check.convicted)
			world_violation("TX-ORDER", "%s: packet %u of queue %u before %u", d->name, n, at % WORLD_QUEUES, i);
	world_out->repeated += p->seen;
	p->seen = 1;
	l->next = MAX(l->next, n + 1);
	l->last = os_self();
	memcpy(&h, packet, sizeof(h));
	if (!same(d, false, at, n, p, packet + NETPORT_HDR, (uint32_t)(len - NETPORT_HDR), &h))
		world_violation("TX-DATA", "%s: packet %u of queue %u, %zu bytes", d->name, n, at % WORLD_QUEUES, len);
}

ssize_t world_net_write(struct world_dev *d, const uint8_t *packet, size_t len)
{
	struct world_tap *t = world_tap_of(d);

	if (d->vif->full && world_chance(12)) {
		errno = EAGAIN;
		return -1;
	}
	if (d->vif->bridge && d->phase != DEV_DESTROYED && !world_tap_attached(t))
		world_violation("ATTACHED", "%s sends, and its tap is in no bridge", d->name);
	if (d->phase != DEV_DESTROYED)
		judge(d, packet, len);
	risk(os_self(), 4);
	os_point(66, OS_CALL_NS);
	return (ssize_t)len;
}

/* ---- to the guest */

unsigned world_net_lane(struct world_dev *d)
{
	struct world_vif *v = d->vif;

	CHECK(v->nin < LANES_MAX);
	v->in[v->nin] = os_alloc(sizeof(*v->in[0]));
	v->in[v->nin]->queue = -1;
	return v->nin++;
}

void world_net_closed(struct world_dev *d) { world_net_ring(d); }

/* One packet comes to a queue of the tap, any one, as the kernel finds right. */
static void send_one(struct world_dev *d, const struct world_tap *t)
{
	const struct os_tapq *q = world_tap_queue(t, crash_below(&os.rng, world_tap_queues(t)));
	struct world_vif *v = d->vif;
	struct world_lane *l = v->in[q->at];
	struct nc_pkt *p = &l->pkt[l->made];
	bool known = d->connected && v->mcast;

	if (l->made == LANE_PKTS || l->made - l->over == DEPTH)
		return;
	*p = world_net_choose(v->sg, q->offloads & TUN_F_CSUM, q->offloads & TUN_F_TSO4, q->offloads & TUN_F_TSO6);
	p->must = p->kind != 'M' || (d->connected && (!v->mcast || v->group[p->arg] == GROUP_ON));
	p->bad = p->kind == 'M' && known && v->group[p->arg] == GROUP_OFF;
	p->said = d->connected && v->said == v->heard ? v->said : UINT_MAX;
	l->made++;
	v->came++;
	os_wake();
}

uint64_t world_net_tick(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < world->ndevs; i++) {
		struct world_dev *d = &world->dev[i];
		struct world_tap *t = d->vif && d->phase == DEV_RUNS && d->vif->came < d->vif->want ? world_tap_of(d) : NULL;

		if (!t || !world_tap_queues(t) || (d->vif->bridge && !world_tap_attached(t)))
			continue;
		if (d->vif->next <= os.now) {
			for (unsigned n = crash_below(&os.rng, 4); n && d->vif->came < d->vif->want; n--)
				send_one(d, t);
			d->vif->next = os.now + (5 + crash_below(&os.rng, d->vif->pace_us + 1)) * NS_PER_US;
		}
		next = MIN(next, d->vif->next);
	}
	return next;
}

ssize_t world_net_read(struct world_dev *d, unsigned lane, void *packet)
{
	struct world_lane *l = d->vif->in[lane];
	uint8_t frame[NETPORT_HDR + LONG];
	struct virtio_net_hdr h;
	unsigned n = l->over;
	uint32_t len;

	if (l->over == l->made) {
		errno = EAGAIN;
		return -1;
	}
	len = world_net_frame(d, true, lane, n, &l->pkt[n], frame + NETPORT_HDR, &h) + (uint32_t)NETPORT_HDR;
	memcpy(frame, &h, sizeof(h));
	l->over++;
	l->last = os_self();
	l->cutting = d->vif->cut;
	for (uint32_t at = 0; at < len; at += BH_PAGE_SIZE) {
		memcpy((uint8_t *)packet + at, frame + at, MIN(len - at, (uint32_t)BH_PAGE_SIZE));
		if (d->vif->cut)
			os_point(67, OS_STORE_NS);
	}
	l->cutting = false;
	if (!l->pkt[n].must) /* nobody may hear of it */
		world_net_ring(d);
	risk(os_self(), 4);
	os_point(68, OS_CALL_NS);
	return (ssize_t)len;
}

/* Headers of IP and ARP say how long a packet is; a read's length goes with its reader. */
void world_net_died(struct os_proc *p)
{
	for (unsigned i = 0; i < world->ndevs; i++) {
		struct world_vif *v = world->dev[i].vif;

		for (unsigned k = 0; v && k < v->nin; k++) {
			struct world_lane *l = v->in[k];

			if (l->last != p || l->over <= l->next)
				continue;
			l->excused[l->over - 1] |= l->cutting || l->pkt[l->over - 1].kind == 'X';
			l->cutting = false;
			world_net_ring(&world->dev[i]);
		}
	}
}

static bool may_miss(const struct world_dev *d, const struct world_lane *l, unsigned n)
{
	return l->pkt[n].seen || l->excused[n] || !l->pkt[n].must || d->check.convicted;
}

bool world_net_quiet(const struct world_dev *d)
{
	const struct world_tap *t = world_tap_of(d);

	if (!t || !world_tap_queues(t))
		return false;
	for (unsigned i = 0; i < world_tap_queues(t); i++) {
		const struct world_lane *l = d->vif->in[world_tap_queue(t, i)->at];

		if (l->over < l->made)
			return false;
		for (unsigned n = l->next; n < l->made; n++)
			if (!may_miss(d, l, n))
				return false;
	}
	return true;
}

static void check_hash(struct world_dev *d, const struct nc_pkt *p, const uint8_t *frame, uint32_t len, const struct netif_extra_info *e)
{
	const struct njrnl_net *n = &d->vif->net;
	bool on = n->hash_alg == XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ && n->hash_flags;
	uint32_t hash = 0;
	uint8_t type = 0;
	bool must;

	if (p->said != d->vif->said)
		return;
	must = on && netif_frame_hash(frame, len, n->hash_flags, n->key, sizeof(n->key), &hash, &type);
	if (must != (e != NULL) || (e && (e->u.hash.type != type || memcmp(e->u.hash.value, &hash, sizeof(hash)) != 0)))
		world_violation("RX-HASH", "%s: a packet %s, and the guest was told so by message %u", d->name,
				!e ? "has no hash" : must ? "has another hash" : "has a hash", p->said);
}

void world_net_came(struct world_dev *d, unsigned queue, const struct virtio_net_hdr *h, const uint8_t *frame, uint32_t len,
		    const struct netif_extra_info *hash)
{
	struct world_vif *v = d->vif;
	struct world_lane *l;
	unsigned at, n;

	if (!decode(d, true, frame, &at, &n) || at >= v->nin || n >= v->in[at]->over) {
		world_violation("RX-DATA", "%s: %u bytes that nobody sent", d->name, len);
		return;
	}
	l = v->in[at];
	if (l->queue < 0)
		l->queue = (int)queue;
	if (l->queue != (int)queue)
		world_violation("RX-STALE", "%s: packet %u of lane %u came to queue %u, others to %d", d->name, n, at, queue, l->queue);
	if (l->pkt[n].seen)
		world_violation("RX-TWICE", "%s: packet %u of lane %u", d->name, n, at);
	else if (n < l->next)
		world_violation("RX-ORDER", "%s: packet %u of lane %u after %u", d->name, n, at, l->next - 1);
	for (unsigned i = l->next; i < n; i++) {
		if (!may_miss(d, l, i))
			world_violation("RX-LOST", "%s: packet %u of lane %u (%c) has not come, %u has", d->name, i, at, l->pkt[i].kind, n);
		world_out->lost += l->excused[i];
	}
	l->pkt[n].seen = 1;
	l->next = MAX(l->next, n + 1);
	if (l->pkt[n].bad)
		world_violation("RX-FILTER", "%s: packet %u of lane %u is for group %u", d->name, n, at, l->pkt[n].arg);
	if (!same(d, true, at, n, &l->pkt[n], frame, len, h))
		world_violation("RX-DATA", "%s: packet %u of lane %u (%c), %u bytes", d->name, n, at, l->pkt[n].kind, len);
	check_hash(d, &l->pkt[n], frame, len, hash);
	world_out->received++;
}

/* ---- what the guest has said */

void world_net_connected(struct world_dev *d)
{
	struct world_vif *v = d->vif;

	v->connection = d->connections % (LANES_MAX / WORLD_QUEUES);
	for (unsigned q = 0; q < WORLD_QUEUES; q++)
		v->out[q] = os_alloc(sizeof(*v->out[q]));
	v->net = (struct njrnl_net){.mcast_on = v->mcast};
	v->said = v->heard = 0;
	for (unsigned g = 0; g < NET_GROUPS; g++)
		v->group[g] = GROUP_OFF;
}

int __real_njrnl_net_get(const struct njrnl *j, struct njrnl_net *out);

void world_net_state(struct world_dev *d)
{
	struct world_vif *v = d->vif;
	struct os_inode *i = os_inode_find(v->journal);
	struct njrnl j = {.nqueues = d->nqueues};
	struct njrnl_net is, want = v->net;

	if (!d->connected || v->said != v->heard || !v->journal[0] || !i || i->size <= 2 * JRNL_PAGE)
		return;
	j.dev = (struct njrnl_dev *)(void *)(i->data + JRNL_PAGE);
	if (__real_njrnl_net_get(&j, &is)) {
		world_violation("CTRL", "%s: what the guest has said stands in no sound way in its journal", d->name);
		return;
	}
	for (unsigned g = 0; g < NET_GROUPS; g++) {
		const uint8_t mac[6] = {1, 0, 0x5e, 0, 0, (uint8_t)g};
		unsigned at = 0;

		while (at < is.nmcast && memcmp(is.mcast[at], mac, 6) != 0)
			at++;
		if ((v->group[g] == GROUP_ON && at == is.nmcast) || (v->group[g] == GROUP_OFF && at < is.nmcast))
			world_violation("CTRL", "%s: group %u is %sin the journal", d->name, g, at < is.nmcast ? "" : "not ");
	}
	want.serial = is.serial;
	memcpy(want.mcast, is.mcast, sizeof(want.mcast));
	want.nmcast = is.nmcast;
	if (memcmp(&is, &want, sizeof(is)) != 0)
		world_violation("CTRL", "%s: the journal has another state than was confirmed by message %u", d->name, v->heard);
}

void world_net_serves(struct world_dev *d, const char *journal)
{
	snprintf(d->vif->journal, sizeof(d->vif->journal), "%s", journal);
	world_net_state(d);
}

void world_net_check(struct world_dev *d)
{
	const struct world_tap *t = world_tap_of(d);

	if (!t || !world_tap_carrier(t))
		world_violation("CARRIER", "%s is up, and its tap %s", d->name, t ? "has no carrier" : "is not there");
	else if (d->vif->bridge && !world_tap_attached(t))
		world_violation("ATTACHED", "%s is up, and its tap is in no bridge", d->name);
}
