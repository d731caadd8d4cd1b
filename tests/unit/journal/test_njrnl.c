/* A vif's journal: what a scan makes of every state that a death leaves, and every single bit of a journal in full work, flipped: it is
 * found, or it changes nothing. The tables say which, member by member and state by state. */
#include "recovery/journal/njrnl_replay.h"
#include "ring/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NR 16u
#define RSP_PROD 5u
#define SENT 7u
#define REQ_CONS 9u
#define RX_PROD 100u
#define FIRST 20u /* packet that lives: it and its next are over */

enum what { FREE, OVER, PLACED, FILLED, READING, NWHAT };

static const enum what packets[] = {OVER, OVER, PLACED, PLACED, FILLED, FILLED, READING};

static struct {
	void *mem;
	size_t bytes;
	struct conn_id conn;
	struct njrnl j;
	struct njrnl_q *q;
	struct njrnl_scan base;
	struct njrnl_net net;
} r;

static void put_packet(uint64_t seq, enum what what, uint64_t *first)
{
	uint32_t n = 1 + (uint32_t)seq % 3;

	njrnl_rx_reading(r.q, seq, 0);
	if (what == READING)
		return;
	njrnl_rx_filled(r.q, seq, 60 + (uint32_t)seq * 100);
	if (what == FILLED)
		return;
	for (uint32_t i = 0; i < n; i++)
		njrnl_rx_req(r.q, seq, i, (seq * 77 + i) << 32 | i);
	njrnl_rx_placed(r.q, seq, *first, n);
	*first += n;
	if (what == OVER)
		njrnl_rx_publish(r.q, *first);
}

static int setup(void **state UNUSED)
{
	uint64_t raw[2] = {0x0007000900000002ull, 0x1234}, first = RX_PROD - 10;

	free(r.mem);
	memset(&r, 0, sizeof(r));
	r.conn = (struct conn_id){.domid = 7, .type = CONN_VIF, .protocol = CONN_NATIVE, .nqueues = 2, .ring_pages = 1, .epoch = 3};
	r.bytes = njrnl_file_bytes(2);
	r.mem = aligned_alloc(JRNL_PAGE, r.bytes);
	assert_non_null(r.mem);
	memset(r.mem, 0x5a, njrnl_queue_offset(0));
	for (unsigned i = 0; i < 2; i++)
		memset((char *)r.mem + njrnl_queue_offset(i), 0x5a, NJRNL_DATA_OFFSET); /* a former life's bytes */
	r.net.mcast_on = 1;
	njrnl_format(r.mem, &r.conn, NR, &r.net, &r.j);
	njrnl_own(&r.j);
	r.q = &r.j.q[0];
	for (uint64_t i = RSP_PROD; i <= REQ_CONS; i++) /* the last one is not taken */
		njrnl_tx_take(r.q, i, i * 0x0101010101ull, (uint32_t)i);
	njrnl_tx_publish(r.q, RSP_PROD);
	njrnl_tx_sent(r.q, SENT);
	njrnl_tx_taken(r.q, REQ_CONS);
	for (unsigned i = 0; i < ARRAY_LEN(packets); i++)
		put_packet(FIRST + i, packets[i], &first);
	r.net.nmcast = 2;
	r.net.mcast[1][3] = 9;
	njrnl_net_set(&r.j, &r.net);
	njrnl_ctrl_take(&r.j, 0, raw);
	njrnl_suspect(&r.q->hdr->tx_suspect, SENT, 3);
	assert_int_equal(njrnl_scan(r.q, &r.base, NULL, 0), 0);
	return 0;
}

static int teardown(void **state UNUSED)
{
	free(r.mem);
	return 0;
}

/* ---- what a scan says */

static void test_what_a_death_left(void **state UNUSED)
{
	const struct njrnl_scan *s = &r.base;
	struct njrnl_net net;
	uint64_t prod;
	bool taken;

	assert_true(s->rsp_prod == RSP_PROD && s->sent == SENT && s->req_cons == REQ_CONS);
	assert_true(s->over == FIRST && s->placed == FIRST + 2 && s->filled == FIRST + 4 && s->next == FIRST + 6 && s->reading);
	assert_int_equal(s->rx_prod, RX_PROD - 10 + 3 + 1); /* packets 20 and 21: 3 requests and 1 */
	assert_int_equal(s->rx_cons, s->rx_prod + 2 + 3);
	assert_int_equal(njrnl_scan_ctrl(&r.j, &prod, &taken, NULL, 0), 0);
	assert_true(prod == 0 && taken);
	assert_int_equal(njrnl_net_get(&r.j, &net), 0);
	assert_memory_equal(&net, &r.net, sizeof(net));
	njrnl_ctrl_publish(&r.j, 1);
	assert_int_equal(njrnl_scan_ctrl(&r.j, &prod, &taken, NULL, 0), 0);
	assert_true(prod == 1 && !taken);
}

static void test_a_fresh_one(void **state UNUSED)
{
	struct njrnl_scan s;

	assert_int_equal(njrnl_scan(&r.j.q[1], &s, NULL, 0), 0);
	assert_true(s.rsp_prod == 0 && s.req_cons == 0 && s.rx_prod == 0 && s.over == 1 && s.next == 1 && !s.reading);
}

/* After the last packet was delivered the next one has the next number, or its buffer would be another's. */
static void test_numbers_go_on(void **state UNUSED)
{
	struct njrnl_scan s;

	for (uint64_t seq = FIRST; seq < FIRST + ARRAY_LEN(packets); seq++)
		njrnl_rx_free(r.q, seq);
	assert_int_equal(njrnl_scan(r.q, &s, NULL, 0), 0);
	assert_true(s.over == FIRST + ARRAY_LEN(packets) && s.next == s.over && s.rx_cons == s.rx_prod);
}

static void refused(const char *why)
{
	struct njrnl_scan s;
	char err[100];

	assert_int_equal(njrnl_scan(r.q, &s, err, sizeof(err)), -EBADMSG);
	if (!strstr(err, why))
		fail_msg("\"%s\", not \"%s\"", err, why);
}

static void test_order(void **state UNUSED)
{
	njrnl_rx_free(r.q, FIRST + 3);
	refused("gap");
	setup(NULL);
	njrnl_rx_filled(r.q, FIRST + 3, 100); /* FILLED behind which one is PLACED: no, but two READING */
	njrnl_rx_reading(r.q, FIRST + 5, 0);
	refused("a packet's state");
	setup(NULL);
	njrnl_rx_placed(r.q, FIRST + 3, 500, 2);
	refused("requests have a gap");
	setup(NULL);
	njrnl_rx_placed(r.q, FIRST + 3, r.base.rx_prod + 2, NR);
	refused("more requests");
	setup(NULL);
	njrnl_tx_sent(r.q, REQ_CONS + 1);
	refused("order");
	setup(NULL);
	njrnl_tx_taken(r.q, RSP_PROD + NR + 1);
	refused("order");
	setup(NULL);
	njrnl_rx_filled(r.q, FIRST + 3, NJRNL_DATA + 1);
	refused("length");
}

/* ---- flips */

/* A store that a former life was made to do has put there what is no queue: no successor believes it. */
static void test_no_such_queue(void **state UNUSED)
{
	struct njrnl_net net;

	r.net.mapping_size = 3;
	for (uint32_t i = 0; i < NJRNL_MAPPING; i++) {
		r.net.mapping[i] = r.conn.nqueues - 1;
		njrnl_net_set(&r.j, &r.net);
		assert_int_equal(njrnl_net_get(&r.j, &net), 0);
		r.net.mapping[i] = i % 2 ? r.conn.nqueues : UINT32_MAX;
		njrnl_net_set(&r.j, &r.net);
		assert_int_equal(njrnl_net_get(&r.j, &net), -EBADMSG);
		r.net.mapping[i] = 0;
	}
	memset(r.net.mapping, 0, sizeof(r.net.mapping));
	r.net.mapping_size = NJRNL_MAPPING + 1;
	njrnl_net_set(&r.j, &r.net);
	assert_int_equal(njrnl_net_get(&r.j, &net), -EBADMSG);
	r.net.mapping_size = 0;
}

static void flip(void *at, unsigned bit) { ((uint8_t *)at)[bit / 8] ^= (uint8_t)(1u << bit % 8); }

/* All that a resume looks at. */
static bool found(void)
{
	struct njrnl_scan s;
	struct njrnl_net net;
	uint64_t prod;
	bool taken;
	char err[100];

	if (njrnl_scan(r.q, &s, err, sizeof(err)) || njrnl_scan_ctrl(&r.j, &prod, &taken, err, sizeof(err)) || njrnl_net_get(&r.j, &net))
		return true;
	if (memcmp(&s, &r.base, sizeof(s)) != 0 || prod != 0 || !taken || memcmp(&net, &r.net, sizeof(net)) != 0)
		fail_msg("it is not found and changes something");
	return false;
}

static void flip_all(const char *name, unsigned which, void *at, size_t size, bool must)
{
	for (unsigned bit = 0; bit < 8 * size; bit++) {
		flip(at, bit);
		if (found() != must)
			fail_msg("%s %u, byte %u, bit %u: %s", name, which, bit / 8, bit % 8, must ? "not found" : "found");
		flip(at, bit);
	}
}

#define B(w) (1u << (w))
#define PUT (B(OVER) | B(PLACED))
#define LIVE (PUT | B(FILLED) | B(READING))

/* found: the states in which a flip of this member must be found; in all others it must change nothing. */
static const struct member {
	const char *name;
	size_t at, size;
	unsigned found;
} members[] = {
#define M(m, f) {#m, offsetof(struct njrnl_buf, m), sizeof(((struct njrnl_buf *)0)->m), f}
	M(state, LIVE | B(FREE)), M(len, PUT | B(FILLED)), M(seq, LIVE), M(check_len, PUT | B(FILLED)), M(check_place, PUT), M(first, PUT),
	M(nreqs, PUT), M(pad, 0), M(pad2, 0),
#undef M
};

static void test_buffers(void **state UNUSED)
{
	size_t covered = sizeof(r.q->buf[0].req);

	for (uint32_t i = 0; i < NJRNL_BUFS; i++) {
		struct njrnl_buf *b = &r.q->buf[i];
		uint64_t n = (i + NJRNL_BUFS - FIRST % NJRNL_BUFS) % NJRNL_BUFS;
		enum what what = n < ARRAY_LEN(packets) ? packets[n] : FREE;

		for (size_t k = 0; k < ARRAY_LEN(members); k++) {
			flip_all(members[k].name, i, (char *)b + members[k].at, members[k].size, members[k].found & B(what));
			covered += i ? 0 : members[k].size;
		}
		for (uint32_t k = 0; k < NJRNL_REQS; k++)
			flip_all("request", i * 100 + k, &b->req[k], sizeof(b->req[k]), (B(what) & PUT) && k < b->nreqs);
	}
	assert_int_equal(covered, sizeof(struct njrnl_buf));
}

static void test_entries(void **state UNUSED)
{
	for (uint32_t i = 0; i < NR; i++) {
		bool taken = i >= RSP_PROD && i < REQ_CONS;

		flip_all("entry", i, &r.q->tx[i], offsetof(struct njrnl_tx, pad), taken);
		flip_all("entry's end", i, &r.q->tx[i].pad, sizeof(r.q->tx[i].pad), false);
	}
}

static void test_queue_words(void **state UNUSED)
{
	struct njrnl_queue *h = r.q->hdr;
	uint64_t *const words[] = {&h->common.req_cons, &h->common.rsp_prod, &h->sent, &h->rx_prod, &h->tx_suspect, &h->rx_suspect};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		flip_all("word", i, words[i], sizeof(*words[i]), true);
	flip_all("work", 0, &h->work, sizeof(h->work), false);
	flip_all("pad", 0, h->pad, sizeof(h->pad), false);
	flip_all("statistics", 0, &h->common.pad, sizeof(h->common) - offsetof(struct jrnl_queue, pad), false);
	flip_all("statistics", 1, &h->net, sizeof(h->net), false);
}

static void test_what_was_said(void **state UNUSED)
{
	struct njrnl_dev *d = r.j.dev;
	unsigned now = jrnl_seq_of(d->now) % 2;

	flip_all("now", 0, &d->now, sizeof(d->now), true);
	flip_all("request of the control ring", 0, &d->ctrl_cons, offsetof(struct njrnl_dev, state) - offsetof(struct njrnl_dev, ctrl_cons), true);
	flip_all("state", now, &d->state[now], sizeof(d->state[now]), true);
	flip_all("state", 1 - now, &d->state[1 - now], sizeof(d->state[0]), false);
	flip_all("check", now, &d->check[now], sizeof(d->check[now]), true);
	flip_all("check", 1 - now, &d->check[1 - now], sizeof(d->check[0]), false);
}

static void test_header(void **state UNUSED)
{
	struct njrnl j;

	for (unsigned bit = 0; bit < 8 * JRNL_PAGE; bit++) {
		int want = bit < 8 * offsetof(struct jrnl_hdr, pad) ? -EBADMSG : 0, rc;

		flip(r.mem, bit);
		rc = njrnl_open(r.mem, r.bytes, &r.conn, NR, &j);
		if (rc != want)
			fail_msg("header, byte %u, bit %u: %d", bit / 8, bit % 8, rc);
		flip(r.mem, bit);
	}
	r.conn.epoch++;
	assert_int_equal(njrnl_open(r.mem, r.bytes, &r.conn, NR, &j), -EMISMATCH);
	r.conn.epoch--;
	assert_int_equal(njrnl_open(r.mem, r.bytes, &r.conn, NR * 2, &j), -EMISMATCH);
	assert_int_equal(njrnl_open(r.mem, r.bytes - 1, &r.conn, NR, &j), -EBADMSG);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_what_a_death_left), T(test_a_fresh_one), T(test_numbers_go_on), T(test_order), T(test_buffers), T(test_entries),
		T(test_queue_words), T(test_what_was_said), T(test_no_such_queue), T(test_header),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
