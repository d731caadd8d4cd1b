/* fake_net.h - a network backend that is played by the test, step by step: no thread, no store. Its reading of the rings is
 * written anew here, by offsets, so that a mistake in the frontend's encoding cannot cancel itself out. */
#ifndef BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_NET_H
#define BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_NET_H

#include "frontend/net/netfront_priv.h"
#include "ring/os/clock.h"
#include "tests/unit/frontend/fake_hv.h"

#include <poll.h>

#define FAKE_GET(type, at) ({ type v_; memcpy(&v_, (at), sizeof(v_)); v_; })

struct fake_net {
	struct fake_hv *hv;
	struct netfront *f;
	struct netfront_queue *q;
	uint32_t tx_cons, tx_prod, rx_cons; /* rx_cons: buffers used; answered at the same index */
};

/* What a guest sent, as the backend sees it. */
struct fake_sent {
	uint32_t entries, len;
	uint16_t flags, id[32]; /* ids of requests, 0x10000 never: extras have none */
	bool extra[32];
	uint8_t extra_type;
	uint16_t gso_size;
	uint8_t gso_type, mcast[6];
	uint8_t data[1 << 17];
};

static const struct vif_offer fake_all = {.sg = true, .gso4 = true, .gso6 = true, .csum6 = true, .mcast = true,
					  .dynamic_mcast = true, .split = true, .ctrl_ring = true, .xdp = true, .max_queues = 4};

static inline void fake_net_up(struct fake_net *w, const struct netfront_open *o, const struct vif_offer *offer)
{
	struct hv_open ho = {.role = HV_FRONTEND};
	struct vif_told told = {.mac = {2, 1, 2, 3, 4, 5}};

	memset(w, 0, sizeof(*w));
	w->hv = calloc(1, sizeof(*w->hv));
	hv_setup(&w->hv->hv, &fake_ops, &ho, 5);
	w->f = calloc(1, sizeof(*w->f));
	w->f->hv = &w->hv->hv;
	pthread_mutex_init(&w->f->hv_lock, NULL);
	pthread_mutex_init(&w->f->ctrl.lock, NULL);
	netfront_choose(w->f, o, offer, &told);
	if (w->f->info.ctrl)
		assert_int_equal(netfront_ctrl_open(w->f), 0);
	assert_int_equal(netfront_queue_open(w->f, 0), 0);
	w->f->nqueues = 1;
	w->q = w->f->queue[0];
}

static inline void fake_net_down(struct fake_net *w) { netfront_close(w->f); }

static inline char *fake_tx_ring(struct fake_net *w) { return netfront_page(&w->q->rings, 0); }
static inline char *fake_rx_ring(struct fake_net *w) { return netfront_page(&w->q->rings, 1); }
static inline char *fake_tx_entry(struct fake_net *w, uint32_t i) { return fake_tx_ring(w) + 64 + (i & 255) * 12; }
static inline char *fake_rx_entry(struct fake_net *w, uint32_t i) { return fake_rx_ring(w) + 64 + (i & 255) * 8; }
static inline uint32_t *fake_rsp_prod(char *ring) { return (uint32_t *)(void *)(ring + 8); }

static inline char *fake_page(struct fake_net *w, uint32_t gref, bool writable)
{
	assert_in_range(gref, 1, w->hv->next);
	assert_true(w->hv->gref[gref].granted);
	assert_int_equal(w->hv->gref[gref].ro, !writable);
	return w->hv->gref[gref].page;
}

/* Both rings as if so many entries had passed. */
static inline void fake_net_at(struct fake_net *w, uint32_t start)
{
	struct netif_front *rings[2] = {&w->q->tx, &w->q->rx};

	for (int i = 0; i < 2; i++) {
		rings[i]->put = rings[i]->published = rings[i]->taken = start;
		rings[i]->hdr->req_prod = rings[i]->hdr->rsp_prod = start;
		rings[i]->hdr->req_event = rings[i]->hdr->rsp_event = start + 1;
	}
	w->tx_cons = w->tx_prod = w->rx_cons = start;
	netfront_rx_post(w->q);
	netif_front_publish(&w->q->rx);
}

static inline void fake_extra(const char *e, struct fake_sent *s)
{
	s->extra_type = (uint8_t)e[0];
	assert_int_equal(e[1], 0);
	if (e[0] == 1) {
		s->gso_size = FAKE_GET(uint16_t, e + 2);
		s->gso_type = (uint8_t)e[4];
		assert_true(e[5] == 0 && e[6] == 0 && e[7] == 0);
	} else {
		memcpy(s->mcast, e + 2, 6);
	}
}

/* The next packet, if one is published: data linear, ids in order. */
static inline bool fake_take_sent(struct fake_net *w, struct fake_sent *s)
{
	uint32_t prod = FAKE_GET(uint32_t, fake_tx_ring(w)), at, sum = 0, part[32];
	bool more = true;

	memset(s, 0, offsetof(struct fake_sent, data));
	if (prod == w->tx_cons)
		return false;
	for (uint32_t n = 0; more; n++) {
		const char *e = fake_tx_entry(w, w->tx_cons);
		uint16_t flags = FAKE_GET(uint16_t, e + 6);

		assert_true(w->tx_cons != prod);
		s->id[s->entries] = FAKE_GET(uint16_t, e + 8);
		part[s->entries++] = FAKE_GET(uint16_t, e + 10);
		w->tx_cons++;
		if (n == 0) {
			s->flags = flags;
			s->len = FAKE_GET(uint16_t, e + 10);
		}
		if (n == 0 && flags & 8) {
			assert_true(w->tx_cons != prod);
			fake_extra(fake_tx_entry(w, w->tx_cons++), s);
			s->extra[s->entries++] = true;
		}
		more = flags & 4;
	}
	for (uint32_t i = 1; i < s->entries; i++)
		sum += s->extra[i] ? 0 : part[i];
	part[0] = s->len - sum;
	at = 0;
	for (uint32_t i = 0; i < s->entries; i++) {
		const char *e = fake_tx_entry(w, w->tx_cons - s->entries + i);

		if (s->extra[i])
			continue;
		assert_true(FAKE_GET(uint16_t, e + 4) + part[i] <= 4096);
		memcpy(s->data + at, fake_page(w, FAKE_GET(uint32_t, e), false) + FAKE_GET(uint16_t, e + 4), part[i]);
		at += part[i];
	}
	assert_int_equal(at, s->len);
	return true;
}

static inline void fake_tx_answer(struct fake_net *w, uint16_t id, int16_t status)
{
	char *e = fake_tx_entry(w, w->tx_prod++);

	memcpy(e, &id, 2);
	memcpy(e + 2, &status, 2);
	smp_store_release(fake_rsp_prod(fake_tx_ring(w)), w->tx_prod); /* pairs with netif_front_pending() */
}

static inline void fake_answer_all(struct fake_net *w, const struct fake_sent *s, int16_t status)
{
	for (uint32_t i = 0; i < s->entries; i++)
		fake_tx_answer(w, s->id[i], s->extra[i] ? 1 : status);
}

/* ---- what comes to the guest */

static inline uint32_t fake_rx_room(struct fake_net *w) { return FAKE_GET(uint32_t, fake_rx_ring(w)) - w->rx_cons; }

static inline void fake_rx_publish(struct fake_net *w)
{
	smp_store_release(fake_rsp_prod(fake_rx_ring(w)), w->rx_cons); /* pairs with netif_front_pending() */
}

/* Answers the next buffer; data (may be NULL) goes into it. Unpublished. */
static inline void fake_rx_part(struct fake_net *w, const uint8_t *data, uint16_t off, int16_t len, uint16_t flags)
{
	char *e = fake_rx_entry(w, w->rx_cons);
	uint16_t id = FAKE_GET(uint16_t, e);
	char *page = fake_page(w, FAKE_GET(uint32_t, e + 4), true);

	assert_true(fake_rx_room(w) > 0);
	assert_int_equal(id, (uint16_t)w->rx_cons);
	if (data && len > 0)
		memcpy(page + off, data, (size_t)len);
	memcpy(e + 2, &off, 2);
	memcpy(e + 4, &flags, 2);
	memcpy(e + 6, &len, 2);
	w->rx_cons++;
}

static inline void fake_rx_extra(struct fake_net *w, uint8_t type, bool more, const uint8_t body[6])
{
	char *e = fake_rx_entry(w, w->rx_cons++);

	e[0] = (char)type;
	e[1] = more;
	memcpy(e + 2, body, 6);
}

static inline void fake_net_event(struct fake_net *w, int port) { fake_tell(((struct fake_port *)w->q->port[port])->in); }
static inline bool fake_net_notified(struct fake_net *w, int port) { return fake_take(((struct fake_port *)w->q->port[port])->out); }

/* ---- frames */

static inline void fake_fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rand_r(&seed) >> 7);
}

/* Ethernet, IPv4 or IPv6, TCP or UDP, of len bytes in all. The offset of the checksum's start. */
static inline uint16_t fake_frame(uint8_t *p, uint32_t len, bool v6, uint8_t proto, unsigned seed)
{
	uint32_t ip = len - 14, l4 = v6 ? 40 : 20;

	fake_fill(p, len, seed);
	p[12] = v6 ? 0x86 : 0x08;
	p[13] = v6 ? 0xdd : 0;
	p[14] = v6 ? 0x60 : 0x45;
	if (v6) {
		p[18] = (uint8_t)((ip - 40) >> 8);
		p[19] = (uint8_t)(ip - 40);
		p[20] = proto;
	} else {
		p[16] = (uint8_t)(ip >> 8);
		p[17] = (uint8_t)ip;
		p[20] = p[21] = 0;
		p[23] = proto;
	}
	if (proto == 6)
		p[14 + l4 + 12] = 0x50;
	return (uint16_t)(14 + l4);
}

#endif
