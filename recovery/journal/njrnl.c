#include "recovery/journal/njrnl.h"

#include "recovery/journal/jrnl_hdr.h"
#include "ring/base/check.h"

#include <errno.h>
#include <string.h>

static struct jrnl_form form(const struct conn_id *conn, uint32_t nr)
{
	return (struct jrnl_form){.magic = NJRNL_MAGIC, .version = NJRNL_VERSION, .nslots = nr,
				  .size = njrnl_file_bytes(conn->nqueues)};
}

static void lay_out(struct njrnl *j, void *mem, uint32_t nr, uint32_t nqueues)
{
	memset(j, 0, sizeof(*j));
	j->hdr = mem;
	j->dev = (struct njrnl_dev *)((char *)mem + JRNL_PAGE);
	j->nqueues = nqueues;
	for (uint32_t i = 0; i < nqueues; i++) {
		char *at = (char *)mem + njrnl_queue_offset(i);

		j->q[i].hdr = (struct njrnl_queue *)at;
		j->q[i].tx = (struct njrnl_tx *)(at + NJRNL_TX_OFFSET);
		j->q[i].buf = (struct njrnl_buf *)(at + NJRNL_BUF_OFFSET);
		j->q[i].data = (uint8_t *)at + NJRNL_DATA_OFFSET;
		j->q[i].mask = nr - 1;
	}
}

static void format_queue(struct njrnl_q *q)
{
	pm_store64(&q->hdr->common.req_cons, 0);
	pm_store64(&q->hdr->common.rsp_prod, 0);
	pm_store64(&q->hdr->sent, 0);
	pm_store64(&q->hdr->rx_prod, 0);
	pm_store64(&q->hdr->tx_suspect, 0);
	pm_store64(&q->hdr->rx_suspect, 0);
	njrnl_work(q, NJRNL_IDLE);
	memset(&q->hdr->common.stats, 0, sizeof(q->hdr->common.stats));
	memset(&q->hdr->net, 0, sizeof(q->hdr->net));
	for (uint32_t i = 0; i < NJRNL_BUFS; i++) {
		pm_store64(&q->buf[i].seq, 0);
		njrnl_rx_free(q, i);
	}
}

void njrnl_format(void *mem, const struct conn_id *conn, uint32_t nr, const struct njrnl_net *net, struct njrnl *out)
{
	const struct jrnl_form f = form(conn, nr);
	struct njrnl_net first = *net;

	CHECK(IS_POW2(nr) && nr <= NJRNL_RING && conn->nqueues > 0 && conn->nqueues <= CONN_QUEUES_MAX);
	lay_out(out, mem, nr, conn->nqueues);
	jrnl_hdr_begin(out->hdr);
	for (uint32_t i = 0; i < conn->nqueues; i++)
		format_queue(&out->q[i]);
	pm_store64(&out->dev->ctrl_cons, 0);
	pm_store64(&out->dev->ctrl_prod, 0);
	pm_store64(&out->dev->ctrl_suspect, 0);
	pm_store64(&out->dev->now, 0);
	njrnl_net_set(out, &first);
	jrnl_hdr_finish(out->hdr, &f, conn);
}

int njrnl_open(void *mem, size_t len, const struct conn_id *conn, uint32_t nr, struct njrnl *out)
{
	const struct jrnl_form f = form(conn, nr);
	int rc = jrnl_hdr_look(mem, len, &f, conn);

	if (!rc)
		lay_out(out, mem, nr, conn->nqueues);
	return rc;
}

uint64_t njrnl_own(struct njrnl *j)
{
	uint64_t g = jrnl_hdr_own(j->hdr);

	for (uint32_t i = 0; i < j->nqueues; i++)
		j->q[i].generation = g;
	return g;
}

void njrnl_rx_reading(struct njrnl_q *q, uint64_t seq, uint32_t dirty)
{
	struct njrnl_buf *b = njrnl_buf_of(q, seq);
	uint8_t *data = njrnl_data_of(q, seq);

	for (uint32_t i = 1; i <= dirty && !NMUTANT(NO_STAMPS); i++)
		pm_store64((uint64_t *)(void *)(data + i * JRNL_PAGE), NJRNL_STAMP);
	if (!NMUTANT(TYPE_KEPT))
		pm_store16((uint16_t *)(void *)(data + NJRNL_TYPE_AT), 0);
	pm_store64(&b->seq, jrnl_seq(seq));
	pm_store32(&b->state, NJRNL_READING);
}

uint64_t njrnl_check_net(const struct njrnl_net *n)
{
	static_assert(sizeof(*n) / 8 <= JRNL_CHECK_WORDS, "what the check is good for");
	return jrnl_sum((const uint64_t *)(const void *)n, sizeof(*n) / 8, 0);
}

void njrnl_net_set(struct njrnl *j, struct njrnl_net *net)
{
	unsigned to;

	net->serial = jrnl_seq_of(j->dev->now) + 1;
	to = NMUTANT(NET_IN_PLACE) ? 0 : net->serial % 2;
	pm_copy(&j->dev->state[to], net, sizeof(*net));
	pm_store64(&j->dev->check[to], njrnl_check_net(net));
	pm_store64(&j->dev->now, jrnl_seq(net->serial));
}

int njrnl_net_get(const struct njrnl *j, struct njrnl_net *out)
{
	uint64_t now = j->dev->now;
	unsigned at = NMUTANT(NET_IN_PLACE) ? 0 : now % 2;

	*out = j->dev->state[at];
	if (!jrnl_seq_sound(now) || out->serial != jrnl_seq_of(now) || j->dev->check[at] != njrnl_check_net(out))
		return -EBADMSG;
	if (out->key_len > NJRNL_KEY || out->mapping_size > NJRNL_MAPPING || out->nmcast > NJRNL_MCAST)
		return -EBADMSG;
	for (uint32_t i = 0; i < NJRNL_MAPPING; i++)
		if (out->mapping[i] >= j->nqueues)
			return -EBADMSG;
	return 0;
}

void njrnl_ctrl_take(struct njrnl *j, uint64_t index, const uint64_t raw[2])
{
	struct njrnl_dev *d = j->dev;

	pm_store64(&d->ctrl_index, index);
	pm_store64(&d->ctrl_raw[0], raw[0]);
	pm_store64(&d->ctrl_raw[1], raw[1]);
	pm_store64(&d->ctrl_check, njrnl_check_ctrl(d));
	if (!NMUTANT(CTRL_NOT_TAKEN))
		pm_store64(&d->ctrl_cons, jrnl_seq(index + 1));
}
