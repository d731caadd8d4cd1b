/* netfront_priv.h - state of a network frontend, shared by netfront.c (life), netfront_xs.c (its keys), netfront_queue.c
 * (rings, ports), netfront_tx.c, netfront_rx.c and netfront_ctrl.c.
 *
 * Threads: `ended` and `closing` are set by any thread and read by all; a queue is its thread's; the watcher thread belongs
 * to fe_xs.c. The hv is shared under hv_lock.
 */
#ifndef BULKHEAD_FRONTEND_NET_NETFRONT_PRIV_H
#define BULKHEAD_FRONTEND_NET_NETFRONT_PRIV_H

#include "frontend/core/fe_sleep.h"
#include "frontend/core/fe_xs.h"
#include "frontend/net/netfront.h"
#include "ring/proto/netif_front.h"
#include "xenstore-glue/bus/vif_keys.h"

#define NETFRONT_FRAGS_MAX ((NETFRONT_FRAME_MAX + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE)

/* Pages that are granted as long as the device is connected. */
struct netfront_pages {
	void *mem;
	uint32_t n, granted;
	hv_gref_t *gref;
};

/* What is known of a request on the TX ring. Its id is the page's number and, above it, how often that was used. */
struct netfront_tx_slot {
	uint8_t serial;
	bool live, head;
	uint16_t next_free;
};
#define NETFRONT_NO_SLOT NETIF_RING

struct netfront_queue {
	struct netfront *f;
	unsigned index;
	struct netfront_pages rings, tx_pages, rx_pages; /* rings: TX, RX */
	struct netif_front tx, rx;
	struct hv_port *port[2]; /* TX or both; RX with split event channels */
	struct fe_sleep sleep;
	struct netfront_tx_slot slot[NETIF_RING];
	uint16_t free_head;
	uint32_t extras; /* entries without a page, on the TX ring: answered by XEN_NETIF_RSP_NULL */
	uint32_t busy;	 /* TX entries not answered, for the watcher to read */
	bool got;	 /* something was taken since the last poll */
	struct netfront_stats stats;
};

struct netfront_ctrl {
	pthread_mutex_t lock;
	struct netfront_pages pages; /* the ring, and what goes along with a request */
	struct netif_front ring;
	struct hv_port *port;
	uint16_t id;
};

struct netfront {
	struct hv *hv;
	pthread_mutex_t hv_lock;
	hv_domid_t back_domid;
	struct netfront_info info;
	struct vif_ask ask; /* its features; references and ports are filled in when the queues are there */
	int ended;	    /* 0, -EPEER or -ESHUTDOWN */
	uint32_t closing;   /* the backend wants to go: nothing new is sent */
	uint32_t carrier;
	unsigned nqueues;
	struct netfront_queue *queue[CONN_QUEUES_MAX];
	struct netfront_ctrl ctrl;
	struct fe_xs *xs;
	const struct netfront_open *wanted; /* during the open only */
};

/* What to use of an offer. */
void netfront_choose(struct netfront *f, const struct netfront_open *o, const struct vif_offer *offer, const struct vif_told *told);
/* Rings, ports, pages, sleeping. 0 or negative errno; netfront_queue_close() in either case. */
int netfront_queue_open(struct netfront *f, unsigned index);
void netfront_queue_close(struct netfront_queue *q);
void netfront_end(struct netfront *f, int reason);

/* Zeroed memory of n pages, granted. 0 or negative errno; netfront_pages_close() in either case. */
int netfront_pages_open(struct netfront *f, struct netfront_pages *p, uint32_t n, bool ro);
void netfront_pages_close(struct netfront *f, struct netfront_pages *p);
static inline void *netfront_page(const struct netfront_pages *p, uint32_t i) { return (char *)p->mem + (size_t)i * BH_PAGE_SIZE; }

void netfront_tx_init(struct netfront_queue *q);
/* Answers to what was sent: how many, or -EPEER. */
int netfront_tx_take(struct netfront_queue *q);
/* Posts every buffer that is free. */
void netfront_rx_post(struct netfront_queue *q);

int netfront_ctrl_open(struct netfront *f);
void netfront_ctrl_close(struct netfront *f);

/* The device's keys. */
extern const struct fe_xs_ops netfront_xs_ops;

#endif
