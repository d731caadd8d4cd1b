/* ncrash.h - one simulated run of a vif: a guest, a netport, a control ring, and a network backend that dies where the plan says.
 *
 * The process under test is netback_prepare, netback_start and netback_turn of each queue, in virtual time. It may die before each store
 * to rings and journal (a copy: before each of its words), on each side of every write to and read from the netport, in the middle of a
 * read (between two pages, which a kernel may do where memory is missing), before each notification, between the read of an event and
 * the port's unmasking, and at the supervisor's steps. Dying is longjmp out of the code; what it leaves is what shared memory holds.
 * Guest and netport are written against <xen/io/netif.h> and port.h alone.
 *
 * Invariants, each the name of a failure:
 *   TX-LOST     every sound packet reached the netport             TX-TWICE  at most one a death and queue did so twice
 *   TX-ORDER    in the guest's order, but for the one repeated     TX-DATA   as the guest wrote it, headers and offloads too
 *   TX-BAD      an unsound one never did                           ANSWER    every entry is answered once, in its place, with its id
 *   RX-LOST     at most one a death and queue; none whose headers say its length, when reads are not cut
 *   RX-TWICE, RX-ORDER, RX-DATA   none delivered again, none overtaken, each as it was, extra info too
 *   RX-FILTER   none that the guest did not ask for
 *   CTRL        every message is answered once, and holds from then on
 *   NO-LATE     a page is not touched after its answer             CONSERVE  at the end nothing is in hand or mapped
 *   LIVENESS    all of that comes to an end                        BROKEN, CHECK, INNOCENT  nobody says that anything is broken or to blame
 */
#ifndef BULKHEAD_TESTS_SIM_NCRASH_H
#define BULKHEAD_TESTS_SIM_NCRASH_H

#include "backend/net/netback_priv.h"
#include "tests/sim/crash_hv.h"
#include "tests/sim/crash_rng.h"

#include <setjmp.h>

#define NC_QUEUES 2u
#define NC_PKTS 64u   /* of a queue and direction */
#define NC_KILLS 10u
#define NC_LIVES 40u  /* more is a backend that dies for ever */
#define NC_RING 32u   /* the largest */
#define NC_FRAME 9000u
#define NC_CTRL 32u

/* Packets: see nc_parse(). */
struct nc_workload {
	const char *name;
	const char *tx[NC_QUEUES], *rx[NC_QUEUES], *ctrl;
	unsigned nr, batch, posted; /* entries of a ring; packets posted at once; RX requests kept posted, 0: all */
	uint32_t features;
	uint16_t headroom;
	bool split, fickle;
	bool cut;  /* reads may be cut short between pages */
	bool full; /* the netport has no room now and then */
	bool pairs; /* every death is followed by one at every point of the start after it, not by some */
	unsigned tx_killer, rx_killer; /* number of a packet of queue 0 that kills, from 1; 0: none */
	unsigned ctrl_killer; /* of a control message with a page, as those */
	uint64_t base; /* TX and RX indices of a connection that is not new */
};

struct nc_plan {
	uint64_t seed;
	unsigned nkills, kill[NC_KILLS]; /* points after the start of each incarnation */
	bool poller, own_fault;
};

struct nc_outcome {
	const char *invariant; /* NULL: none was violated */
	char text[200];
	unsigned incarnations, points[NC_KILLS + 1], start_points[NC_KILLS + 1];
	unsigned derived, lost, repeated;
};

struct nc_pkt {
	char kind;
	uint16_t len;
	unsigned parts;	  /* of a guest's packet */
	unsigned arg;	  /* number of a multicast address */
	bool bad;	  /* the guest's: must not be sent */
	unsigned seen;	  /* times at the netport, or at the guest */
	bool posted, given, must;
	unsigned said;	  /* control messages posted when it was given; UINT_MAX: some were not answered */
};

struct nc_entry { /* of a ring, as the guest remembers it */
	bool used, extra;
	uint16_t id;
	hv_gref_t gref; /* 0: none */
	unsigned pkt;
};

struct nc_queue {
	struct netif_tx_sring *tx;
	struct netif_rx_sring *rx;
	hv_gref_t tx_gref, rx_gref;
	struct hv_port *port, *port_rx; /* the guest's ends */
	char *tx_pages, *rx_pages;
	uint32_t tx_prod, tx_cons, rx_prod, rx_cons;
	unsigned ntx, nrx, next_tx, next_rx;
	unsigned sent, delivered; /* numbers that the next one must have at least */
	unsigned repeated;
	struct nc_pkt txp[NC_PKTS], rxp[NC_PKTS];
	struct nc_entry te[NC_RING], re[NC_RING];
	bool woken_tx, woken_rx;
	/* of the netport */
	struct netport_queue np;
	unsigned index, avail, want;
	bool no_room;
};

struct nc_msg {
	struct netif_ctrl req;
	uint32_t status, data;
	bool answered;
};

struct nc_stub {
	struct hv *hv;
	struct netback *back; /* NULL: there is none */
	struct hv_port *port[NC_QUEUES][2], *ctrl;
	bool asleep[NC_QUEUES];
};

struct nc_world {
	const struct nc_workload *wl;
	const struct nc_plan *plan;
	struct crash_rng rng;
	const char *invariant;
	char text[200];
	unsigned nqueues;
	struct nc_queue q[NC_QUEUES];
	struct netport netport;
	struct xen_netif_ctrl_sring *ctrl;
	hv_gref_t ctrl_gref, page_gref;
	uint8_t *ctrl_page; /* key or mapping */
	struct hv_port *ctrl_port;
	unsigned nmsgs, said, heard;
	struct nc_msg msg[NC_CTRL];
	struct njrnl_net net; /* as the messages that were posted have made it */
	uint8_t mcast_posted[8], mcast_gone[8], mcast_answered[8];
	struct hv *guest, *sup;
	struct hv_port *sup_port[NC_QUEUES][2], *sup_ctrl;
	struct conn_id conn;
	void *journal;
	struct nc_stub cur;
	bool connected, inside, own, last_own, down_one;
	unsigned number, points, start_points, kill_at, down, convicted, derived;
	uint64_t time;
	jmp_buf die;
	struct netback *grave[NC_LIVES + 2];
	unsigned ngraves;
};

void nc_run(const struct nc_workload *wl, const struct nc_plan *plan, struct nc_outcome *out);
void nc_violation(struct nc_world *w, const char *invariant, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The backend may die here. */
void nc_point(void);

/* ncrash_guest.c */
void nc_guest_open(struct nc_world *w);
void nc_guest_step(struct nc_world *w);
bool nc_guest_done(const struct nc_world *w);
void nc_guest_end(struct nc_world *w);

/* ncrash_port.c */
void nc_port_open(struct nc_world *w);
void nc_port_step(struct nc_world *w);
bool nc_port_event(const struct nc_queue *q);
/* What a host would steer by; new for each stub. */
extern struct steer_map nc_steer;

/* ncrash_frame.c: the frame of a packet; its length. dir: 0 the guest's, 1 for it. */
uint32_t nc_frame(uint8_t *f, unsigned dir, unsigned queue, unsigned number, const struct nc_pkt *p);
/* Which one it is, or NC_PKTS. */
unsigned nc_number(const uint8_t *f, unsigned dir, unsigned queue, unsigned n);
unsigned nc_parse(const char *script, struct nc_pkt *p);
void nc_offload(const struct nc_pkt *p, const uint8_t *frame, uint32_t len, struct virtio_net_hdr *h);
uint64_t nc_lost(const struct nc_world *w, unsigned queue);

#endif
