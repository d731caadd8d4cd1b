/* The network frontend's data path against a backend that the test plays: right packets both ways, and no harm by wrong answers. */
#include "tests/unit/frontend/fake_net.h"

static uint8_t frame[1 << 17], got[1 << 17];
static struct fake_sent sent;
static const struct netfront_open plain = {.queues = 1};

static unsigned seed_of(void)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)clock_now();

	print_message("SEED=%u\n", seed);
	return seed;
}

static int send_plain(struct fake_net *w, uint32_t len)
{
	struct virtio_net_hdr h = {0};

	fake_fill(frame, len, len);
	return netfront_send(w->q, &h, frame, len);
}

/* ---- sending ---- */

static void shuffle(struct fake_sent *s, unsigned *seed)
{
	for (uint32_t i = s->entries; i > 1; i--) {
		uint32_t k = (uint32_t)rand_r(seed) % i;
		uint16_t id = s->id[k];
		bool extra = s->extra[k];

		s->id[k] = s->id[i - 1];
		s->extra[k] = s->extra[i - 1];
		s->id[i - 1] = id;
		s->extra[i - 1] = extra;
	}
}

static void send_random(uint32_t start, const struct netfront_open *o)
{
	unsigned seed = seed_of();
	struct virtio_net_hdr h;
	struct fake_net w;
	uint16_t csum;

	fake_net_up(&w, o, &fake_all);
	fake_net_at(&w, start);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t len = i % 5 ? 60 + (uint32_t)rand_r(&seed) % 1500 : 3000 + (uint32_t)rand_r(&seed) % 62000;
		bool v6 = rand_r(&seed) & 1, gso = len > 3000;

		csum = fake_frame(frame, MAX(len, 90u), v6, 6, i);
		len = MAX(len, 90u);
		h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = csum, .csum_offset = 16};
		if (gso) {
			h.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
			h.gso_size = 1448;
		}
		memcpy(got, frame, len);
		assert_int_equal(netfront_send(w.q, &h, frame, len), 0);
		netfront_poll(w.q);
		assert_true(fake_take_sent(&w, &sent));
		assert_int_equal(sent.len, len);
		assert_memory_equal(sent.data, got, len);
		assert_int_equal(sent.flags & 3, 3);
		assert_int_equal(sent.extra_type, gso ? 1 : 0);
		assert_int_equal(sent.gso_type, gso ? (v6 ? 2 : 1) : 0);
		assert_int_equal(sent.gso_size, gso ? 1448 : 0);
		shuffle(&sent, &seed);
		fake_answer_all(&w, &sent, i % 7 ? 0 : -1);
	}
	netfront_poll(w.q);
	assert_int_equal(netfront_outstanding(w.q), 0);
	assert_int_equal(w.q->stats.tx_packets, 3000);
	assert_int_equal(w.q->stats.tx_errors, 3000 / 7 + 1);
	fake_net_down(&w);
}

static void sent_packets_are_right(void **state)
{
	(void)state;
	send_random(0, &plain);
	send_random(0xffffff80u, &(struct netfront_open){.no_split = true});
}

/* Ones' complement sum over p, which is 0xffff when a checksum in it is right. */
static uint32_t sum_of(const uint8_t *p, uint32_t n)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void checksums_that_nobody_takes_are_completed(void **state)
{
	struct vif_offer offer = fake_all;
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 54, .csum_offset = 16};
	struct fake_net w;

	(void)state;
	offer.csum6 = false;
	fake_net_up(&w, &plain, &offer);
	assert_false(w.f->info.gso6);
	fake_frame(frame, 201, true, 6, 3);
	frame[54 + 16] = frame[54 + 17] = 0;
	assert_int_equal(netfront_send(w.q, &h, frame, 201), 0);
	netfront_poll(w.q);
	assert_true(fake_take_sent(&w, &sent));
	assert_int_equal(sent.flags & 3, 2); /* validated, not blank */
	assert_int_equal(sum_of(sent.data + 54, 201 - 54), 0xffff);
	/* One that the frame's own headers do not lead to. */
	fake_frame(frame, 200, false, 47, 4);
	h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 100, .csum_offset = 16};
	frame[116] = frame[117] = 0;
	assert_int_equal(netfront_send(w.q, &h, frame, 200), 0);
	netfront_poll(w.q);
	assert_true(fake_take_sent(&w, &sent));
	assert_int_equal(sent.flags & 1, 0);
	assert_int_equal(sum_of(sent.data + 100, 100), 0xffff);
	h.csum_start = 199;
	assert_int_equal(netfront_send(w.q, &h, frame, 200), -EINVAL);
	fake_net_down(&w);
}

static void what_cannot_be_sent(void **state)
{
	struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 100};
	struct fake_net w;

	(void)state;
	fake_net_up(&w, &(struct netfront_open){.no_sg = true}, &fake_all);
	assert_false(w.f->info.gso4);
	assert_int_equal(send_plain(&w, 4097), -EMSGSIZE);
	assert_int_equal(send_plain(&w, 13), -EMSGSIZE);
	assert_int_equal(netfront_send(w.q, &h, frame, 1000), -EINVAL);
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_int_equal(netfront_send(w.q, &h, frame, 1000), -EINVAL); /* nobody agreed to that */
	assert_int_equal(send_plain(&w, 4096), 0);
	fake_net_down(&w);
	fake_net_up(&w, &plain, &fake_all);
	assert_int_equal(send_plain(&w, 65536), -EMSGSIZE);
	assert_int_equal(send_plain(&w, 65535), 0);
	fake_net_down(&w);
}

static void a_full_ring_says_so_and_when_not(void **state)
{
	struct fake_net w;
	unsigned n = 0;

	(void)state;
	fake_net_up(&w, &plain, &fake_all);
	netfront_poll(w.q);
	while (send_plain(&w, 1000) == 0)
		n++;
	assert_int_equal(n, 255); /* room for extra info is asked for, too */
	assert_int_equal(send_plain(&w, 1000), -EAGAIN);
	netfront_poll(w.q);
	assert_true(fake_net_notified(&w, 0));
	assert_int_equal(netfront_arm(w.q, true), 0);
	while (fake_take_sent(&w, &sent) && w.tx_cons < 62)
		fake_answer_all(&w, &sent, 0);
	assert_int_equal(w.tx_prod, 61);
	assert_int_equal(FAKE_GET(uint32_t, fake_tx_ring(&w) + 12), 63); /* rsp_event: a quarter */
	fake_answer_all(&w, &sent, 0);
	while (fake_take_sent(&w, &sent))
		fake_answer_all(&w, &sent, 0);
	assert_int_equal(netfront_arm(w.q, true), 1);
	assert_int_equal(send_plain(&w, 1000), 0);
	netfront_poll(w.q);
	assert_int_equal(netfront_outstanding(w.q), 1);
	fake_net_down(&w);
}

static void multicast_groups(void **state)
{
	const uint8_t mac[6] = {0x33, 0x33, 0, 0, 0, 9};
	struct fake_net w;

	(void)state;
	fake_net_up(&w, &(struct netfront_open){.mcast = true}, &fake_all);
	assert_true(w.f->ask.mcast);
	for (int add = 0; add < 2; add++) {
		assert_int_equal(netfront_mcast(w.q, mac, add), 0);
		netfront_poll(w.q);
		assert_true(fake_take_sent(&w, &sent));
		assert_int_equal(sent.len, 0);
		assert_int_equal(sent.extra_type, add ? 2 : 3);
		assert_memory_equal(sent.mcast, mac, 6);
		fake_answer_all(&w, &sent, 0);
	}
	netfront_poll(w.q);
	assert_int_equal(netfront_outstanding(w.q), 0);
	fake_net_down(&w);
}

/* ---- receiving ---- */

/* One packet, cut anywhere, behind headroom, with extra info of all kinds. */
static void deliver(struct fake_net *w, uint32_t len, bool gso, unsigned *seed)
{
	uint16_t off = (uint16_t)(rand_r(seed) % 300), flags = gso ? 3 : (uint16_t)(rand_r(seed) & 1);
	uint32_t at = 0, n, least = (len + 15) / 16 + 300;
	bool extra = gso || rand_r(seed) & 1;

	for (unsigned i = 0; at < len; i++, at += n) {
		n = least + (uint32_t)rand_r(seed) % 2000;
		n = MIN(MIN(n, 4096u - off), len - at);
		fake_rx_part(w, frame + at, off, (int16_t)n, (uint16_t)((i ? 0 : flags | (extra ? 8 : 0)) | (at + n < len ? 4 : 0)));
		if (i == 0 && extra) {
			fake_rx_extra(w, 4, true, (const uint8_t[6]){1, 1, 9, 9, 9, 9});
			if (gso)
				fake_rx_extra(w, 1, true, (const uint8_t[6]){1448 & 255, 1448 >> 8, 1, 0, 0, 0});
			fake_rx_extra(w, 5, false, (const uint8_t[6]){192, 0, 0, 0, 0, 0});
		}
	}
	fake_rx_publish(w);
}

static void receive_random(uint32_t start, const struct netfront_open *o)
{
	unsigned seed = seed_of();
	struct virtio_net_hdr h;
	struct fake_net w;

	fake_net_up(&w, o, &fake_all);
	fake_net_at(&w, start);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t len = i % 5 ? 60 + (uint32_t)rand_r(&seed) % 1500 : 3000 + (uint32_t)rand_r(&seed) % 62000;

		fake_frame(frame, len, false, 6, i);
		deliver(&w, len, len > 3000, &seed);
		assert_int_equal(netfront_recv(w.q, &h, got), len);
		assert_memory_equal(got, frame, len);
		assert_int_equal(h.gso_type, len > 3000 ? VIRTIO_NET_HDR_GSO_TCPV4 : 0);
		if (len > 3000) {
			assert_true(h.gso_size == 1448 && h.csum_start == 34 && h.csum_offset == 16 && h.hdr_len == 54);
			assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		}
		assert_int_equal(netfront_recv(w.q, &h, got), 0);
		netfront_poll(w.q);
		assert_int_equal(fake_rx_room(&w), w.f->info.rx_buffers);
	}
	assert_int_equal(w.q->stats.rx_packets, 3000);
	assert_int_equal(w.q->stats.rx_bad + w.q->stats.rx_errors, 0);
	fake_net_down(&w);
}

static void received_packets_are_right(void **state)
{
	(void)state;
	receive_random(0, &plain);
	receive_random(0xffffff00u, &(struct netfront_open){.rx_buffers = 32, .no_split = true});
}

/* ---- wrong answers ---- */

/* Wrong packets cost themselves only. */
static void wrong_packets_are_dropped_and_counted(void **state)
{
	static const struct {
		uint16_t off, flags;
		int16_t status;
		uint8_t type; /* of extra info; 0: none */
		uint8_t body[6];
		bool error;
	} wrong[] = {
		{4000, 0, 97, 0, {0}, false},	     /* beyond the page */
		{65535, 0, 100, 0, {0}, false},
		{0, 0, 4097, 0, {0}, false},
		{0, 0, 32767, 0, {0}, false},
		{0, 0, 13, 0, {0}, false},	     /* no whole header */
		{0, 0, 0, 0, {0}, false},
		{0, 0, -1, 0, {0}, true},
		{0, 0, -32768, 0, {0}, true},
		{0, 8, 100, 2, {0}, false},	     /* extra info that nobody sends to a guest */
		{0, 8, 100, 0, {0}, false},
		{0, 8, 100, 200, {0}, false},
		{0, 8, 100, 1, {0, 5, 0}, false},    /* segments of no type, of an unknown one, of size 0 */
		{0, 8, 100, 1, {0, 5, 3}, false},
		{0, 8, 100, 1, {0, 0, 1}, false},
		{0, 8, 100, 1, {0, 5, 2}, false},    /* of IPv6, in a frame that is not */
		{0, 2, 20, 0, {0}, false},	     /* blank checksum, no header that has one */
	};
	struct virtio_net_hdr h;
	struct fake_net w;
	unsigned errors = 0;

	(void)state;
	fake_net_up(&w, &plain, &fake_all);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		fake_frame(frame, 100, false, 6, 1);
		fake_rx_part(&w, NULL, wrong[i].off, wrong[i].status, wrong[i].flags);
		memcpy(w.hv->gref[w.q->rx_pages.gref[(w.rx_cons - 1) & 255]].page, frame, 100);
		if (wrong[i].flags & 8)
			fake_rx_extra(&w, wrong[i].type, false, wrong[i].body);
		errors += wrong[i].error;
		fake_rx_part(&w, frame, 64, 100, 1); /* a good one behind it */
		fake_rx_publish(&w);
		assert_int_equal(netfront_recv(w.q, &h, got), 100);
		assert_memory_equal(got, frame, 100);
		if (w.q->stats.rx_bad + w.q->stats.rx_errors != i + 1 || w.q->stats.rx_errors != errors)
			fail_msg("case %zu: %u bad, %u errors", i, (unsigned)w.q->stats.rx_bad, (unsigned)w.q->stats.rx_errors);
		assert_true(netfront_poll(w.q) >= 0);
	}
	fake_net_down(&w);
}

static void lie(struct fake_net *w, int which)
{
	uint16_t id;

	switch (which) {
	case 0: /* a second answer */
		fake_tx_answer(w, sent.id[0], 0);
		fake_tx_answer(w, sent.id[0], 0);
		break;
	case 1: /* never sent */
		fake_tx_answer(w, (uint16_t)(sent.id[0] + 1), 0);
		break;
	case 2: /* of the page's last use, while it serves another request */
		fake_tx_answer(w, sent.id[0], 0);
		netfront_poll(w->q);
		send_plain(w, 100);
		netfront_poll(w->q);
		fake_tx_answer(w, sent.id[0], 0);
		break;
	case 3: /* extra info that was not sent */
		fake_tx_answer(w, sent.id[0], 1);
		break;
	case 4:
		*fake_rsp_prod(fake_tx_ring(w)) = w->q->tx.published + 1;
		break;
	case 5:
		*fake_rsp_prod(fake_tx_ring(w)) = w->q->tx.taken - 1;
		break;
	case 6:
		*fake_rsp_prod(fake_rx_ring(w)) = w->q->rx.published + 1;
		break;
	case 7:
		*fake_rsp_prod(fake_rx_ring(w)) = w->q->rx.taken - 1;
		break;
	case 8: /* a buffer of another place */
		fake_rx_part(w, NULL, 0, 100, 0);
		id = (uint16_t)w->rx_cons;
		memcpy(fake_rx_entry(w, w->rx_cons - 1), &id, 2);
		fake_rx_publish(w);
		break;
	case 9: /* a packet without its end, by data and by extra info */
		fake_rx_part(w, NULL, 0, 100, 4);
		fake_rx_publish(w);
		break;
	case 10:
		fake_rx_part(w, NULL, 0, 100, 8);
		fake_rx_publish(w);
		break;
	default: /* one without end */
		for (int i = 0; i < 200; i++)
			fake_rx_part(w, NULL, 0, 1, 4);
		fake_rx_publish(w);
	}
}

static void wrong_answers_end_the_device(void **state)
{
	struct virtio_net_hdr h;
	struct fake_net w;
	int rc;

	(void)state;
	for (int i = 0; i < 12; i++) {
		fake_net_up(&w, &plain, &fake_all);
		assert_int_equal(send_plain(&w, 100), 0);
		assert_int_equal(send_plain(&w, 100), 0);
		netfront_poll(w.q);
		assert_true(fake_take_sent(&w, &sent) && fake_take_sent(&w, &sent));
		lie(&w, i);
		rc = netfront_poll(w.q);
		if (rc >= 0)
			rc = netfront_recv(w.q, &h, got);
		if (rc != -EPEER)
			fail_msg("lie %d: %d", i, rc);
		assert_int_equal(netfront_poll(w.q), -EPEER);
		assert_int_equal(netfront_recv(w.q, &h, got), -EPEER);
		assert_int_equal(send_plain(&w, 100), -EPEER);
		fake_net_down(&w);
	}
}

/* Anything at all on both rings, with indices that are right: nothing but errors may come of it. */
static void random_answers(void **state)
{
	unsigned seed = seed_of(), survived = 0;
	struct virtio_net_hdr h;
	struct fake_net w;
	int rc = -EPEER;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		if (rc < 0) {
			if (i)
				fake_net_down(&w);
			fake_net_up(&w, &(struct netfront_open){.rx_buffers = 64}, &fake_all);
		}
		send_plain(&w, 60 + (uint32_t)rand_r(&seed) % 9000);
		rc = netfront_poll(w.q);
		while (rc >= 0 && w.tx_prod != w.q->tx.published && rand_r(&seed) % 4) {
			uint16_t id = FAKE_GET(uint16_t, fake_tx_entry(&w, w.tx_prod) + 8);

			fake_tx_answer(&w, rand_r(&seed) % 200 ? id : (uint16_t)rand_r(&seed), (int16_t)(rand_r(&seed) % 4 - 2));
		}
		for (unsigned k = rand_r(&seed) % 8; rc >= 0 && k && fake_rx_room(&w); k--) {
			bool wild = rand_r(&seed) % 8 == 0;

			fake_rx_part(&w, frame, 0, 100, 0);
			((uint16_t *)(void *)fake_rx_entry(&w, w.rx_cons - 1))[1] = (uint16_t)(wild ? rand_r(&seed) : rand_r(&seed) % 64);
			((uint16_t *)(void *)fake_rx_entry(&w, w.rx_cons - 1))[2] = (uint16_t)(wild ? rand_r(&seed) : 0);
			((uint16_t *)(void *)fake_rx_entry(&w, w.rx_cons - 1))[3] = (uint16_t)(wild ? rand_r(&seed) : rand_r(&seed) % 4096);
		}
		fake_rx_publish(&w);
		while (rc >= 0 && (rc = netfront_recv(w.q, &h, got)) > 0) {
			assert_in_range(rc, 14, NETFRONT_FRAME_MAX);
			survived++;
		}
	}
	fake_net_down(&w);
	assert_true(survived > 100);
}

/* ---- sleeping ---- */

static bool readable(struct fake_net *w)
{
	struct pollfd p = {.fd = netfront_fd(w->q), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void events_wake_and_a_storm_of_them_does_not(void **state)
{
	struct virtio_net_hdr h;
	struct fake_net w;
	unsigned woken = 0;

	(void)state;
	fake_net_up(&w, &plain, &fake_all);
	assert_int_equal(netfront_arm(w.q, false), 0);
	assert_false(readable(&w));
	fake_rx_part(&w, frame, 0, 100, 0);
	fake_rx_publish(&w);
	fake_net_event(&w, 1);
	assert_true(readable(&w));
	w.q->rx.hdr->req_event = w.q->rx.published + 1;
	assert_int_equal(netfront_poll(w.q), 1);
	assert_int_equal(netfront_recv(w.q, &h, got), 100);
	assert_int_equal(netfront_poll(w.q), 0); /* the buffer is posted again */
	assert_true(fake_net_notified(&w, 1));
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(netfront_arm(w.q, false), 0);
		fake_net_event(&w, 0);
		woken += readable(&w);
		assert_int_equal(netfront_poll(w.q), 0);
	}
	assert_in_range(woken, 5, 60);
	netfront_cancel(w.f);
	assert_true(readable(&w));
	assert_int_equal(netfront_poll(w.q), -ESHUTDOWN);
	fake_net_down(&w);
}

/* Answers that a send takes itself, for it needs the room, are what their event was for. */
static void events_of_answers_that_a_send_takes_are_no_storm(void **state)
{
	struct fake_net w;

	(void)state;
	fake_net_up(&w, &plain, &fake_all);
	for (unsigned i = 0; i < 100; i++) {
		while (send_plain(&w, 100) == 0)
			;
		netfront_poll(w.q);
		assert_int_equal(netfront_arm(w.q, true), 0);
		while (fake_take_sent(&w, &sent))
			fake_answer_all(&w, &sent, 0);
		fake_net_event(&w, 0);
		assert_true(readable(&w));
	}
	fake_net_down(&w);
}

/* ---- the control ring ---- */

struct ctrl_back {
	struct fake_net *w;
	uint16_t id_off;
	uint32_t status;
	uint32_t seen[4];
	char page[8];
};

static void *ctrl_backend(void *arg)
{
	struct ctrl_back *b = arg;
	char *ring = netfront_page(&b->w->f->ctrl.pages, 0), *e;
	uint32_t at = *fake_rsp_prod(ring);
	uint16_t id;

	while (smp_load_acquire((uint32_t *)(void *)ring) == at) /* pairs with netif_front_publish() */
		cpu_relax();
	e = ring + 64 + (at & 127) * 16;
	b->seen[0] = FAKE_GET(uint16_t, e + 2);
	for (int i = 0; i < 3; i++)
		b->seen[i + 1] = FAKE_GET(uint32_t, e + 4 + 4 * i);
	if (b->seen[0] == XEN_NETIF_CTRL_TYPE_SET_HASH_KEY)
		memcpy(b->page, b->w->hv->gref[b->seen[1]].page, sizeof(b->page));
	id = (uint16_t)(FAKE_GET(uint16_t, e) + b->id_off);
	memcpy(e, &id, 2);
	memcpy(e + 4, &b->status, 4);
	memcpy(e + 8, &(uint32_t){77}, 4);
	smp_store_release(fake_rsp_prod(ring), at + 1); /* pairs with netif_front_pending() */
	fake_tell(((struct fake_port *)b->w->f->ctrl.port)->in);
	return NULL;
}

static int ctrl(struct ctrl_back *b, unsigned type, const void *page, uint32_t *answer)
{
	pthread_t thread;
	int rc;

	pthread_create(&thread, NULL, ctrl_backend, b);
	rc = netfront_ctrl(b->w->f, type, (const uint32_t[3]){5, 6, 7}, page, page ? 8 : 0, answer);
	pthread_join(thread, NULL);
	return rc;
}

static void control_requests(void **state)
{
	static const int rc_of[] = {0, -EOPNOTSUPP, -EINVAL, -EOVERFLOW, -EINVAL};
	struct fake_net w;
	struct ctrl_back b = {.w = &w};
	uint32_t answer = 0;

	(void)state;
	fake_net_up(&w, &plain, &fake_all);
	for (unsigned i = 0; i < ARRAY_LEN(rc_of); i++) {
		b.status = i;
		assert_int_equal(ctrl(&b, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, NULL, &answer), rc_of[i]);
		assert_int_equal(answer, 77);
		assert_true(b.seen[0] == 1 && b.seen[1] == 5 && b.seen[2] == 6 && b.seen[3] == 7);
	}
	b.status = 0;
	assert_int_equal(ctrl(&b, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, "a key!!", NULL), 0);
	assert_string_equal(b.page, "a key!!");
	b.id_off = 1;
	assert_int_equal(ctrl(&b, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, NULL, NULL), -EPEER);
	assert_int_equal(netfront_poll(w.q), -EPEER);
	fake_net_down(&w);
	fake_net_up(&w, &(struct netfront_open){.no_ctrl = true}, &fake_all);
	assert_int_equal(netfront_ctrl(w.f, 1, (const uint32_t[3]){0}, NULL, 0, NULL), -ENOTSUP);
	fake_net_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sent_packets_are_right),
		cmocka_unit_test(checksums_that_nobody_takes_are_completed),
		cmocka_unit_test(what_cannot_be_sent),
		cmocka_unit_test(a_full_ring_says_so_and_when_not),
		cmocka_unit_test(multicast_groups),
		cmocka_unit_test(received_packets_are_right),
		cmocka_unit_test(wrong_packets_are_dropped_and_counted),
		cmocka_unit_test(wrong_answers_end_the_device),
		cmocka_unit_test(random_answers),
		cmocka_unit_test(events_wake_and_a_storm_of_them_does_not),
		cmocka_unit_test(events_of_answers_that_a_send_takes_are_no_storm),
		cmocka_unit_test(control_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
