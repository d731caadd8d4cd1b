/* netback_start.c - taking over: a fresh journal, or what the former generation left. */
#include "backend/net/netback_priv.h"

static int start_ports(struct netback *b)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < b->conn.nqueues; i++)
		rc = netport_start(b->q[i].np);
	return rc;
}

/* Whatever the former generation had still to say may have died with it. */
static void greet(struct netback *b)
{
	for (unsigned i = 0; i < b->conn.nqueues; i++) {
		struct netback_queue *q = &b->q[i];

		q->now = clock_now();
		q->taken_at = q->now;
		if (!NMUTANT(NO_UNMASK)) {
			hv_port_clear(q->port_tx);
			if (q->port_rx != q->port_tx)
				hv_port_clear(q->port_rx);
		}
		if (!NMUTANT(NO_NOTIFY)) {
			net_tx_publish(q, true);
			if (q->port_rx != q->port_tx)
				hv_port_notify(q->port_rx); /* what is placed is not yet delivered */
		}
	}
	if (!b->ctrl_port)
		return;
	if (!NMUTANT(NO_UNMASK))
		hv_port_clear(b->ctrl_port);
	if (!NMUTANT(NO_NOTIFY))
		net_ctrl_publish(b, b->ctrl_shown, true);
}

static int start_fresh(struct netback *b, struct be_started *out)
{
	b->net = (struct njrnl_net){.mcast_on = (b->conn.features & CONN_NET_MCAST) != 0};
	njrnl_format(b->journal, &b->conn, b->entries, &b->net, &b->jrnl);
	out->generation = njrnl_own(&b->jrnl);
	net_show_word(b);
	net_steer(b);
	for (unsigned i = 0; i < b->conn.nqueues; i++) {
		struct netback_queue *q = &b->q[i];

		q->j = &b->jrnl.q[i];
		q->rx_head = q->rx_placed = q->rx_next = 1;
		q->tx_convict = q->rx_convict = UINT64_MAX;
	}
	greet(b);
	return 0;
}

/* ---- what a death left */

/* Looks at everything before anything is stored: from a corrupt journal nothing is answered, on no queue. redo: packets of each queue
 * that were taken and not sent. */
static int scan_all(struct netback *b, struct njrnl_scan *scans, bool *ctrl_taken, int *redo)
{
	char text[128];
	int rc = njrnl_scan_ctrl(&b->jrnl, &b->ctrl_shown, ctrl_taken, text, sizeof(text));

	for (unsigned i = 0; !rc && i < b->conn.nqueues; i++) {
		struct netback_queue *q = &b->q[i];

		q->j = &b->jrnl.q[i];
		rc = njrnl_scan(q->j, &scans[i], text, sizeof(text));
		if (rc)
			break;
		redo[i] = net_tx_check(q, &scans[i]);
		if (redo[i] < 0) {
			net_break(b, BE_BROKEN_JOURNAL, "what was taken are no packets");
			return redo[i];
		}
	}
	if (rc) {
		net_break(b, BE_BROKEN_JOURNAL, text);
		return rc;
	}
	rc = njrnl_net_get(&b->jrnl, &b->net);
	if (rc)
		net_break(b, BE_BROKEN_JOURNAL, "what the guest said once");
	return rc;
}

/* How often the first packet of a direction has killed by now. Stored only when that has changed. */
static uint32_t count_deaths(uint64_t *word, uint64_t which, bool blamed)
{
	uint32_t n = NJRNL_SUSPECT_SEQ(*word) == which ? NJRNL_SUSPECT_COUNT(*word) : 0;

	if (!blamed)
		return n;
	n = MIN(n + 1, NET_CONVICT);
	njrnl_suspect(word, which, n);
	return n;
}

/* When a generation died by its own fault, the first packet of the direction that it was at is suspected, and what follows is done again
 * packet by packet, so that the next death says which one it is. */
static void suspect(struct netback_queue *q, const struct njrnl_scan *s, bool own_fault)
{
	bool blame = own_fault || NMUTANT(COUNT_FOREIGN);
	uint64_t work = q->j->hdr->work;
	uint32_t tx = count_deaths(&q->j->hdr->tx_suspect, s->sent, blame && work == NJRNL_TX);
	uint32_t rx = count_deaths(&q->j->hdr->rx_suspect, s->placed, blame && work == NJRNL_RX);

	q->tx_careful = tx ? s->req_cons + 1 : 0;
	q->rx_careful = rx ? s->next + 1 : 0;
	q->tx_convict = tx >= NET_CONVICT ? s->sent : UINT64_MAX;
	q->rx_convict = rx >= NET_CONVICT ? s->placed : UINT64_MAX;
	if (rx >= NET_CONVICT)
		net_poison(q, "packet for the guest", s->placed);
}

static void suspect_ctrl(struct netback *b, bool taken, bool own_fault)
{
	bool blamed = taken && (own_fault || NMUTANT(COUNT_FOREIGN)) && b->q[0].j->hdr->work == NJRNL_CTRL;

	b->ctrl_convict = count_deaths(&b->jrnl.dev->ctrl_suspect, b->ctrl_shown, blamed) >= NET_CONVICT && taken;
	if (b->ctrl_convict)
		net_poison(&b->q[0], "control message", b->ctrl_shown);
}

/* The answers that the guest may not have seen stand in their places; greet() publishes them. How many. */
static uint64_t resume_tx(struct netback_queue *q, const struct njrnl_scan *s, int redo)
{
	NET_COUNT(q, common.stats.replayed, redo);
	NET_COUNT(q, net.tx_again, redo);
	q->shown = NMUTANT(TRUST_RING) ? READ_ONCE_U32(&q->tx.hdr->rsp_prod) : s->rsp_prod;
	q->sent = s->sent;
	q->req_cons = s->req_cons;
	pm_store32(&q->tx.hdr->rsp_prod, (uint32_t)q->shown);
	NET_COUNT(q, common.stats.reanswered, s->sent - s->rsp_prod);
	return s->sent - s->rsp_prod;
}

static void resume_rx(struct netback_queue *q, const struct njrnl_scan *s)
{
	q->rx_shown = NMUTANT(TRUST_RING) ? READ_ONCE_U32(&q->rx.hdr->rsp_prod) : s->rx_prod;
	q->rx_cons = s->rx_cons;
	q->rx_head = s->placed;
	q->rx_placed = q->rx_described = s->filled;
	q->rx_next = s->next;
	pm_store32(&q->rx.hdr->rsp_prod, (uint32_t)q->rx_shown);
	for (uint64_t seq = s->over; seq < s->placed; seq++)
		njrnl_rx_free(q->j, seq);
	if (s->reading)
		net_rx_salvage(q);
}

static int start_resume(struct netback *b, bool own_fault, struct be_started *out)
{
	struct njrnl_scan scans[CONN_QUEUES_MAX];
	int redo[CONN_QUEUES_MAX], rc = njrnl_open(b->journal, b->journal_bytes, &b->conn, b->entries, &b->jrnl);
	bool ctrl_taken = false;

	if (rc == -EBADMSG)
		net_break(b, BE_BROKEN_JOURNAL, "its header is damaged");
	if (!rc)
		rc = scan_all(b, scans, &ctrl_taken, redo);
	if (rc)
		return rc;
	out->generation = njrnl_own(&b->jrnl);
	net_show_word(b);
	net_steer(b);
	b->ctrl_cons = b->ctrl_shown + ctrl_taken;
	suspect_ctrl(b, ctrl_taken, own_fault);
	for (unsigned i = 0; i < b->conn.nqueues; i++) {
		struct netback_queue *q = &b->q[i];

		suspect(q, &scans[i], own_fault);
		out->redo += (uint64_t)redo[i];
		out->reanswered += resume_tx(q, &scans[i], redo[i]);
		resume_rx(q, &scans[i]);
	}
	if (b->ctrl_port)
		pm_store32(&b->ctrl.hdr->rsp_prod, (uint32_t)b->ctrl_shown);
	greet(b);
	/* Of the former generation's stalls the supervisor knows; ours begin anew. */
	b->event(b->event_arg, BE_CARRIER, 1, NULL);
	return 0;
}

int netback_start(struct netback *b, bool fresh, bool own_fault, struct be_started *out)
{
	int rc = start_ports(b);

	*out = (struct be_started){0};
	if (rc)
		return rc;
	return fresh ? start_fresh(b, out) : start_resume(b, own_fault, out);
}
