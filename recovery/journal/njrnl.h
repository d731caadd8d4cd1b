/* njrnl.h - the stores to a vif's journal (njrnl_fmt.h), each step one function, in its exact order.
 *
 *   TX  take (each entry) -> taken -> the answers are written into the ring -> sent -> publish
 *   RX  reading -> the port is read -> filled -> req (each) -> placed -> publish -> free
 *   net and ctrl: what the guest says once is stored before it is answered
 *
 * Pure: works on memory that the caller mapped and owns the lock of. Every store goes through pm.h.
 * Threads: a queue belongs to one thread, the control ring's words to one; njrnl_net_set() under the device's lock.
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_NJRNL_H
#define BULKHEAD_RECOVERY_JOURNAL_NJRNL_H

#include "recovery/journal/jrnl_check.h"
#include "recovery/journal/njrnl_fmt.h"
#include "ring/base/barrier.h"
#include "ring/base/pm.h"

#include <stdbool.h>

/* Rules that the crash tests take out one by one, to see that their absence is found. Constant 0 in production. */
enum njrnl_mutant {
	NMUTANT_NONE,
	/* TX */
	NMUTANT_CONS_FIRST,	/* req_cons before the copies */
	NMUTANT_HALF_PACKETS,	/* req_cons moves on entry by entry, not by whole packets */
	NMUTANT_SENT_FIRST,	/* a packet is called sent before the port has it */
	NMUTANT_SENT_LATE,	/* only the last packet of a batch is called sent */
	NMUTANT_ANSWER_LATE,	/* a packet is called sent before its answers stand in the ring */
	NMUTANT_PUBLISH_FIRST,	/* the ring's rsp_prod before the journal's */
	NMUTANT_REREAD_RING,	/* what was taken is judged from the ring again */
	/* RX */
	NMUTANT_TYPE_KEPT,	/* the Ethernet type is not cleared before the port is read */
	NMUTANT_NO_STAMPS,	/* pages are not marked before the port is read */
	NMUTANT_FREE_FIRST,	/* a buffer is free before its packet is published */
	NMUTANT_PLACED_UNSAID,	/* what a packet is put into is not stored */
	NMUTANT_RX_PUBLISH_FIRST, /* the ring's rsp_prod before the journal's */
	NMUTANT_DELIVER_AGAIN,	/* what was published is not forgotten */
	NMUTANT_FILLED_LATE,	/* packets are called filled after all of a batch were read */
	/* what the guest says once */
	NMUTANT_CTRL_LATE,	/* the state is stored after the answer is published */
	NMUTANT_CTRL_NOT_TAKEN, /* the request is not copied before it is answered */
	NMUTANT_NET_IN_PLACE,	/* the state is changed where it is */
	NMUTANT_MCAST_UNSAID,	/* a multicast address is kept in private memory only */
	/* resume */
	NMUTANT_TRUST_RING,	/* rsp_prod is taken from the ring */
	NMUTANT_COUNT_FOREIGN,	/* deaths from outside count as its own faults */
	NMUTANT_NO_UNMASK,	/* the ports are not read empty and unmasked */
	NMUTANT_NO_NOTIFY,	/* no notification */
	NMUTANT_COUNT
};
#ifdef PM_HOOK
extern enum njrnl_mutant njrnl_mutant;
#define NMUTANT(m) (njrnl_mutant == NMUTANT_##m)
#else
#define NMUTANT(m) (0)
#endif

struct njrnl_q {
	struct njrnl_queue *hdr;
	struct njrnl_tx *tx;
	struct njrnl_buf *buf;
	uint8_t *data;
	uint32_t mask; /* of TX indices */
	uint64_t generation;
};

struct njrnl {
	struct jrnl_hdr *hdr;
	struct njrnl_dev *dev;
	uint32_t nqueues;
	struct njrnl_q q[CONN_QUEUES_MAX];
};

/* Clears the memory (njrnl_file_bytes(conn->nqueues)) as far as it is looked at, and writes the header, valid last. nr: entries of each
 * ring, at most NJRNL_RING. net: what the guest has said before it connected; its serial is set. */
void njrnl_format(void *mem, const struct conn_id *conn, uint32_t nr, const struct njrnl_net *net, struct njrnl *out);
/* Looks at what is there; stores nothing. As jrnl_hdr_look(). */
int njrnl_open(void *mem, size_t len, const struct conn_id *conn, uint32_t nr, struct njrnl *out);
/* The first store of a new owner: its generation. Returns it. */
uint64_t njrnl_own(struct njrnl *j);

/* ---- TX */

static inline uint32_t njrnl_tx_check(const struct njrnl_tx *s)
{
	const uint64_t w[2] = {s->raw, s->raw2};

	return jrnl_sum(w, 2, s->index);
}
static inline struct njrnl_tx *njrnl_tx_slot(const struct njrnl_q *q, uint64_t index) { return &q->tx[index & q->mask]; }

/* The one private copy. Not looked at before req_cons passes it. */
static inline void njrnl_tx_take(struct njrnl_q *q, uint64_t index, uint64_t raw, uint32_t raw2)
{
	struct njrnl_tx *s = njrnl_tx_slot(q, index);
	const uint64_t w[2] = {raw, raw2};

	pm_store_pair(s, (pm_pair){index, raw});
	pm_store64((uint64_t *)(void *)&s->raw2, raw2 | (uint64_t)jrnl_sum(w, 2, index) << 32);
}
static inline void njrnl_tx_taken(struct njrnl_q *q, uint64_t req_cons) { pm_store64(&q->hdr->common.req_cons, jrnl_seq(req_cons)); }
/* After the answers stand in the ring, in their places: a successor publishes them as they are. */
static inline void njrnl_tx_sent(struct njrnl_q *q, uint64_t sent) { pm_store64(&q->hdr->sent, jrnl_seq(sent)); }
static inline void njrnl_tx_publish(struct njrnl_q *q, uint64_t rsp_prod)
{
	pm_store64(&q->hdr->common.rsp_prod, jrnl_seq(rsp_prod));
}

/* ---- RX */

static inline struct njrnl_buf *njrnl_buf_of(const struct njrnl_q *q, uint64_t seq) { return &q->buf[seq % NJRNL_BUFS]; }
/* A struct virtio_net_hdr, then the frame. */
static inline uint8_t *njrnl_data_of(const struct njrnl_q *q, uint64_t seq) { return q->data + seq % NJRNL_BUFS * NJRNL_DATA; }

static inline uint32_t njrnl_check_len(const struct njrnl_buf *b)
{
	const uint64_t w[2] = {b->len, b->seq};

	return jrnl_sum(w, 2, 0);
}
static inline uint32_t njrnl_check_place(const struct njrnl_buf *b)
{
	return jrnl_sum(b->req, b->nreqs, b->first ^ (uint64_t)b->nreqs << 56);
}

/* Whether a packet was read into it since: the Ethernet type behind the headers' bytes (10 and 12). */
#define NJRNL_TYPE_AT 22u

/* Before the port is read into the buffer of seq. dirty: its pages but the first that a packet may have reached since they were marked. */
void njrnl_rx_reading(struct njrnl_q *q, uint64_t seq, uint32_t dirty);
static inline void njrnl_rx_filled(struct njrnl_q *q, uint64_t seq, uint32_t len)
{
	struct njrnl_buf *b = njrnl_buf_of(q, seq);

	pm_store32(&b->len, len);
	pm_store32(&b->check_len, njrnl_check_len(b));
	pm_store32(&b->state, NJRNL_FILLED);
}
static inline void njrnl_rx_req(struct njrnl_q *q, uint64_t seq, uint32_t i, uint64_t raw)
{
	pm_store64(&njrnl_buf_of(q, seq)->req[i], raw);
}
static inline void njrnl_rx_placed(struct njrnl_q *q, uint64_t seq, uint64_t first, uint32_t nreqs)
{
	struct njrnl_buf *b = njrnl_buf_of(q, seq);

	pm_store64(&b->first, first);
	pm_store32(&b->nreqs, nreqs);
	pm_store32(&b->check_place, njrnl_check_place(b));
	if (!NMUTANT(PLACED_UNSAID))
		pm_store32(&b->state, NJRNL_PLACED);
}
static inline void njrnl_rx_publish(struct njrnl_q *q, uint64_t rx_prod) { pm_store64(&q->hdr->rx_prod, jrnl_seq(rx_prod)); }
static inline void njrnl_rx_free(struct njrnl_q *q, uint64_t seq) { pm_store32(&njrnl_buf_of(q, seq)->state, NJRNL_FREE); }

/* ---- who is to blame */

static inline void njrnl_work(struct njrnl_q *q, enum njrnl_work w) { pm_store64(&q->hdr->work, w); }
/* word: tx_suspect, rx_suspect or ctrl_suspect; which: TX index, RX sequence number, or index of the control ring. */
static inline void njrnl_suspect(uint64_t *word, uint64_t which, uint32_t count) { pm_store64(word, NJRNL_SUSPECT(which, count)); }

/* ---- what the guest says once */

uint64_t njrnl_check_net(const struct njrnl_net *n);
/* net is what holds from now on; sets its serial. */
void njrnl_net_set(struct njrnl *j, struct njrnl_net *net);
/* 0, or -EBADMSG: damaged, or a length or a queue of the mapping is out of range. */
int njrnl_net_get(const struct njrnl *j, struct njrnl_net *out);

static inline uint64_t njrnl_check_ctrl(const struct njrnl_dev *d) { return jrnl_sum(d->ctrl_raw, 2, d->ctrl_index); }
/* A request is the journal's from here on. */
void njrnl_ctrl_take(struct njrnl *j, uint64_t index, const uint64_t raw[2]);
static inline void njrnl_ctrl_publish(struct njrnl *j, uint64_t prod) { pm_store64(&j->dev->ctrl_prod, jrnl_seq(prod)); }

#endif
