#include "recovery/journal/njrnl_replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct verdict {
	const struct njrnl_q *q;
	struct njrnl_scan *out;
	char *err;
	size_t size;
};

static int corrupt(const struct verdict *v, const char *what, uint64_t which)
{
	snprintf(v->err, v->size, "%s (%llu)", what, (unsigned long long)which);
	return -EBADMSG;
}

static int scan_tx(const struct verdict *v)
{
	const struct njrnl_queue *h = v->q->hdr;
	struct njrnl_scan *o = v->out;

	if (!jrnl_seq_sound(h->common.req_cons) || !jrnl_seq_sound(h->common.rsp_prod) || !jrnl_seq_sound(h->sent))
		return corrupt(v, "a sequence number of the queue", 0);
	o->rsp_prod = jrnl_seq_of(h->common.rsp_prod);
	o->sent = jrnl_seq_of(h->sent);
	o->req_cons = jrnl_seq_of(h->common.req_cons);
	if (o->rsp_prod > o->sent || o->sent > o->req_cons || o->req_cons - o->rsp_prod > v->q->mask + 1ull)
		return corrupt(v, "the order of the queue's sequence numbers", o->sent);
	for (uint64_t i = o->rsp_prod; i < o->req_cons; i++) {
		const struct njrnl_tx *s = njrnl_tx_slot(v->q, i);

		if (s->index != i || s->check != njrnl_tx_check(s))
			return corrupt(v, "check word of an entry", i);
	}
	return 0;
}

static bool live(const struct njrnl_buf *b) { return b->state != NJRNL_FREE; }

static int check_buf(const struct verdict *v, uint32_t i)
{
	const struct njrnl_buf *b = &v->q->buf[i];

	if (b->state != NJRNL_READING && b->state != NJRNL_FILLED && b->state != NJRNL_PLACED)
		return corrupt(v, "no such state", i);
	if (!jrnl_seq_sound(b->seq) || jrnl_seq_of(b->seq) % NJRNL_BUFS != i)
		return corrupt(v, "number of a packet", i);
	if (b->state == NJRNL_READING)
		return 0;
	if (b->check_len != njrnl_check_len(b) || b->len > NJRNL_DATA || b->len <= NJRNL_TYPE_AT)
		return corrupt(v, "length of a packet", i);
	if (b->state == NJRNL_PLACED && (b->nreqs == 0 || b->nreqs > NJRNL_REQS || b->check_place != njrnl_check_place(b)))
		return corrupt(v, "requests of a packet", i);
	return 0;
}

/* The numbers that live packets have: one after the other, or it is corrupt. *n of them from *from on. */
static int find_packets(const struct verdict *v, uint64_t *from, uint64_t *n)
{
	uint64_t lo = UINT64_MAX, hi = 0, seen = 0;

	*n = 0;
	for (uint32_t i = 0; i < NJRNL_BUFS; i++) {
		const struct njrnl_buf *b = &v->q->buf[i];
		uint64_t seq = jrnl_seq_of(b->seq);
		int rc = live(b) ? check_buf(v, i) : 0;

		if (rc)
			return rc;
		if (jrnl_seq_sound(b->seq))
			seen = MAX(seen, seq);
		if (!live(b))
			continue;
		lo = MIN(lo, seq);
		hi = MAX(hi, seq);
		(*n)++;
	}
	if (*n && hi - lo + 1 != *n)
		return corrupt(v, "the packets have a gap", lo);
	*from = *n ? lo : seen + 1;
	return 0;
}

/* In the order of the packets: delivered, placed, filled, at most one in reading. */
static int order_packets(const struct verdict *v, uint64_t from, uint64_t n)
{
	struct njrnl_scan *o = v->out;
	uint64_t at = from, end = from + n;

	o->over = from;
	o->rx_cons = o->rx_prod;
	for (; at < end && njrnl_buf_of(v->q, at)->state == NJRNL_PLACED; at++) {
		const struct njrnl_buf *b = njrnl_buf_of(v->q, at);

		if (b->first + b->nreqs > o->rx_prod || NMUTANT(DELIVER_AGAIN))
			break;
	}
	for (o->placed = at; at < end && njrnl_buf_of(v->q, at)->state == NJRNL_PLACED; at++) {
		const struct njrnl_buf *b = njrnl_buf_of(v->q, at);

		if (b->first != o->rx_cons && !NMUTANT(DELIVER_AGAIN))
			return corrupt(v, "the packets' requests have a gap", at);
		o->rx_cons += b->nreqs;
	}
	if (o->rx_cons - o->rx_prod > v->q->mask + 1ull)
		return corrupt(v, "more requests than the ring has", o->rx_cons);
	for (o->filled = at; at < end && njrnl_buf_of(v->q, at)->state == NJRNL_FILLED; at++)
		;
	o->next = at;
	o->reading = at < end && njrnl_buf_of(v->q, at)->state == NJRNL_READING;
	return at + o->reading == end ? 0 : corrupt(v, "a packet's state", at);
}

static int scan_rx(const struct verdict *v)
{
	uint64_t from = 0, n = 0;
	int rc;

	if (!jrnl_seq_sound(v->q->hdr->rx_prod))
		return corrupt(v, "a sequence number of the queue", 1);
	v->out->rx_prod = jrnl_seq_of(v->q->hdr->rx_prod);
	rc = find_packets(v, &from, &n);
	return rc ? rc : order_packets(v, from, n);
}

int njrnl_scan(const struct njrnl_q *q, struct njrnl_scan *out, char *err, size_t size)
{
	const struct verdict v = {.q = q, .out = out, .err = err, .size = size};
	int rc;

	memset(out, 0, sizeof(*out));
	if (!jrnl_seq_sound(q->hdr->tx_suspect) || !jrnl_seq_sound(q->hdr->rx_suspect))
		return corrupt(&v, "a suspect", 0);
	rc = scan_tx(&v);
	return rc ? rc : scan_rx(&v);
}

int njrnl_scan_ctrl(const struct njrnl *j, uint64_t *prod, bool *taken, char *err, size_t size)
{
	const struct njrnl_dev *d = j->dev;
	const struct verdict v = {.err = err, .size = size};
	uint64_t cons = jrnl_seq_of(d->ctrl_cons);

	if (!jrnl_seq_sound(d->ctrl_cons) || !jrnl_seq_sound(d->ctrl_prod) || !jrnl_seq_sound(d->ctrl_suspect))
		return corrupt(&v, "a sequence number of the control ring", 0);
	*prod = jrnl_seq_of(d->ctrl_prod);
	*taken = cons > *prod;
	if (cons != *prod && cons != *prod + 1 && !NMUTANT(CTRL_NOT_TAKEN))
		return corrupt(&v, "the order of the control ring's sequence numbers", cons);
	if (*taken && (d->ctrl_index != *prod || d->ctrl_check != njrnl_check_ctrl(d)))
		return corrupt(&v, "check word of a control request", *prod);
	return 0;
}
