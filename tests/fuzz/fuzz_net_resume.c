/* A vif's journal and rings that somebody has written into, found by a successor: it takes the journal and keeps every bound, or says that
 * it is broken, or another's, and then has touched neither rings nor journal and never answers. */
#include "tests/fuzz/net_world.h"

static void turn(unsigned i)
{
	if (w.b)
		netback_turn(netback_get_queue(w.b, i), NR);
}

static void network(struct net_q *q, struct input *in)
{
	q->avail = 1 + (unsigned)take(in, 1) % 20;
	q->type = 1;
	q->len = (uint16_t)take(in, 2);
}

/* What a death at any store leaves. */
static void leave_work(struct input *in)
{
	struct be_started s;
	unsigned n = 1 + (unsigned)take(in, 1) % 16;

	prepare();
	CHECK(netback_start(w.b, true, false, &s) == 0);
	w.left = 1 + (unsigned)take(in, 2);
	if (setjmp(w.die) == 0)
		for (volatile unsigned k = 0; k < n && in->left; k++) {
			unsigned what = (unsigned)take(in, 1), i = what & 1;

			w.dying = false;
			if (what & 2)
				post_packet(i, in);
			if (what & 4)
				post_buffers(i, what / 32, what);
			if (what & 8)
				post_message(in);
			if (what & 16)
				network(&w.q[i], in);
			w.dying = true;
			turn(i);
		}
	w.dying = false;
	end_backend();
}

static struct njrnl_q queue_of(unsigned i)
{
	char *at = (char *)w.journal + njrnl_queue_offset(i);

	return (struct njrnl_q){.hdr = (void *)at, .tx = (void *)(at + NJRNL_TX_OFFSET), .buf = (void *)(at + NJRNL_BUF_OFFSET),
				.data = (uint8_t *)at + NJRNL_DATA_OFFSET, .mask = NR - 1};
}

/* Numbers of 56 bits do not come to their end in any life. */
static uint64_t far_from_end(uint64_t n) { return jrnl_seq(n & (UINT64_MAX >> 9)); }

static void change_buffer(struct njrnl_buf *b, struct input *in, unsigned what)
{
	static const uint32_t states[] = {NJRNL_FREE, NJRNL_READING, NJRNL_FILLED, NJRNL_PLACED};
	uint64_t by = (uint64_t)(int8_t)take(in, 1);

	switch (what % 8) {
	case 0:
		b->state = states[by % ARRAY_LEN(states)];
		break;
	case 1:
		b->len = by & 1 ? (uint32_t)take(in, 4) : b->len + (uint32_t)by;
		break;
	case 2:
		b->seq = far_from_end(jrnl_seq_of(b->seq) + by);
		break;
	case 3:
		b->first = by & 1 ? take(in, 8) : b->first + by;
		break;
	case 4:
		b->nreqs += (uint32_t)by;
		break;
	default:
		b->req[by % NJRNL_REQS] = take(in, 8);
	}
	if (what & 0x80)
		return; /* its check words stay as they were */
	b->check_len = njrnl_check_len(b);
	if (b->nreqs <= NJRNL_REQS)
		b->check_place = njrnl_check_place(b);
}

static void change_word(struct njrnl_queue *h, struct input *in, unsigned which)
{
	uint64_t *const words[] = {&h->common.req_cons, &h->common.rsp_prod, &h->sent, &h->rx_prod, &h->tx_suspect, &h->rx_suspect};
	uint64_t *word = words[which % ARRAY_LEN(words)];

	*word = far_from_end(which & 0x80 ? take(in, 7) : jrnl_seq_of(*word) + (uint64_t)(int8_t)take(in, 1));
}

static void change_said(struct input *in)
{
	struct njrnl_dev *d = (void *)((char *)w.journal + JRNL_PAGE);
	unsigned what = (unsigned)take(in, 1), i = jrnl_seq_of(d->now) % 2;

	take_bytes(in, (char *)d + take(in, 2) % (sizeof(*d) - 16), 1 + what % 16);
	if (what & 0x80)
		return;
	d->check[i] = njrnl_check_net(&d->state[i]);
	d->ctrl_check = njrnl_check_ctrl(d);
	d->ctrl_cons = jrnl_seq(jrnl_seq_of(d->ctrl_cons));
}

static void change(struct input *in)
{
	unsigned what = (unsigned)take(in, 1), i = what & 1;
	struct njrnl_q q = queue_of(i);
	struct njrnl_tx *s = &q.tx[what / 16];

	switch (what / 2 % 8) {
	case 0:
		change_word(q.hdr, in, (unsigned)take(in, 1));
		break;
	case 1:
		((uint8_t *)w.journal)[take(in, 2) % JRNL_PAGE] ^= (uint8_t)take(in, 1);
		break;
	case 2:
		take_bytes(in, (char *)q.hdr + take(in, 4) % (NJRNL_DATA_OFFSET - 16), 1 + what / 16);
		break;
	case 3:
		take_bytes(in, q.data + what / 16 * NJRNL_DATA + take(in, 1), 16);
		break;
	case 4:
		take_bytes(in, (char *)(what & 0x10 ? w.q[i].tx : w.q[i].rx) + take(in, 2) % (BH_PAGE_SIZE - 16), 1 + what / 16);
		break;
	case 5:
		change_said(in);
		break;
	case 6:
		take_bytes(in, &s->raw, 12);
		s->check = njrnl_tx_check(s);
		break;
	default:
		change_buffer(&q.buf[take(in, 1) % NJRNL_BUFS], in, what / 16 << 4 | (unsigned)take(in, 1) % 8);
	}
}

static void check_untouched(const char *journal, char pages[2 * NQ + 1][BH_PAGE_SIZE])
{
	for (unsigned i = 0; i < NQ; i++)
		if (w.events[BE_BROKEN_JOURNAL])
			CHECK(netback_turn(netback_get_queue(w.b, i), NR) == BE_HALTED);
	for (unsigned i = 0; i < NQ; i++) {
		CHECK(!memcmp(pages[2 * i], w.q[i].tx, BH_PAGE_SIZE) && !memcmp(pages[2 * i + 1], w.q[i].rx, BH_PAGE_SIZE));
		CHECK(!memcmp(journal + njrnl_queue_offset(i), (char *)w.journal + njrnl_queue_offset(i), NJRNL_DATA_OFFSET));
	}
	CHECK(!memcmp(pages[2 * NQ], w.ctrl, BH_PAGE_SIZE) && !memcmp(journal, w.journal, 2 * JRNL_PAGE));
}

static void take_over(struct input *in)
{
	static char pages[2 * NQ + 1][BH_PAGE_SIZE], *journal;
	bool own_fault = take(in, 1) & 1;
	struct be_started s;
	int rc;

	if (!journal)
		journal = exact(njrnl_file_bytes(NQ));
	memcpy(journal, w.journal, 2 * JRNL_PAGE);
	for (unsigned i = 0; i < NQ; i++) {
		memcpy(journal + njrnl_queue_offset(i), (char *)w.journal + njrnl_queue_offset(i), NJRNL_DATA_OFFSET);
		memcpy(pages[2 * i], w.q[i].tx, BH_PAGE_SIZE);
		memcpy(pages[2 * i + 1], w.q[i].rx, BH_PAGE_SIZE);
		w.q[i].next = 0; /* what was sent already is the journal's to know */
	}
	memcpy(pages[2 * NQ], w.ctrl, BH_PAGE_SIZE);
	memset(w.events, 0, sizeof(w.events));
	w.deaths = UINT32_MAX;
	prepare();
	rc = netback_start(w.b, false, own_fault, &s);
	CHECK(rc == 0 || rc == -EBADMSG || rc == -EMISMATCH);
	CHECK((rc == -EBADMSG) == (w.events[BE_BROKEN_JOURNAL] == 1));
	if (rc) {
		check_untouched(journal, pages);
		return;
	}
	for (unsigned k = 0; k < 20 && !broken(); k++) {
		if (k == 4)
			post_buffers(k % NQ, NR / 2, 4);
		turn(k % NQ);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};
	unsigned changes;

	world_up((unsigned)take(&in, 1) | ((unsigned)take(&in, 1) & 1) << 8);
	leave_work(&in);
	changes = (unsigned)take(&in, 1) % 16;
	if (!broken())
		while (changes--)
			change(&in);
	if (!broken())
		take_over(&in);
	world_down();
	return 0;
}
