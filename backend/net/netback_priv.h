/* netback_priv.h - one vif inside a stub. Private to backend/net.
 *
 *   netback_tx.c    guest's packets: ring -> journal's slots and private batch -> copied from its pages -> netport -> answers
 *   netback_rx.c    packets for it: netport -> journal's buffers -> its requests -> its pages -> answers
 *   netback_ctrl.c  what it says once: control ring, multicast addresses
 *   netback_steer.c of that, what chooses the queue of a packet for the guest: to where the kernel reads it
 *   netback_start.c taking over
 */
#ifndef BULKHEAD_BACKEND_NET_NETBACK_PRIV_H
#define BULKHEAD_BACKEND_NET_NETBACK_PRIV_H

#include "backend/net/netback.h"
#include "recovery/journal/njrnl_replay.h"
#include "ring/os/clock.h"
#include "ring/proto/netif_back.h"
#include "ring/proto/netif_decode.h"
#include "ring/proto/netif_frame.h"

#define NET_BATCH 32u		     /* guest's packets in hand */
#define NET_ARENA ((size_t)160 << 10) /* their bytes: two of the largest at least */
#define NET_CONVICT 5u		     /* a packet that killed so many stubs is dropped */

/* How a packet in the journal's buffer is told to the guest. */
struct net_in {
	struct netif_offload o;
	uint32_t len;	 /* of the frame */
	uint32_t nslots; /* of the ring, extra info included */
	uint32_t nextras;
	bool hashed;
	uint8_t hash_type;
	uint32_t hash;
};

/* A packet of the guest's between take and sent. */
struct net_out {
	struct netif_pkt pkt;
	uint64_t first;	  /* its first entry */
	uint8_t *mem;	  /* struct virtio_net_hdr, then the frame, in the arena */
	uint32_t copies, ncopies; /* its grants in copy[] */
	bool copied; /* all of them could be made */
};

struct netback_queue {
	struct netback *dev;
	unsigned index;
	struct njrnl_q *j;
	struct netport_queue *np;
	struct hv_port *port_tx, *port_rx;
	struct clock_lately clock;
	uint64_t now;
	/* TX */
	struct netif_back tx;
	uint64_t req_cons, sent, shown; /* njrnl_fmt.h */
	struct net_out *out;		/* NET_BATCH of them, [out_at, nout) in hand */
	uint32_t nout, out_at;
	uint8_t *arena;
	struct hv_copy *copy; /* HV_BATCH_MAX */
	uint32_t ncopies;
	uint64_t taken_at;    /* statistics */
	bool full;	      /* the netport has no room */
	bool rated;	      /* the rate does not let the next one go */
	uint64_t tx_careful;  /* below this index packets go one by one: one of them may be a killer */
	uint64_t tx_convict;  /* the packet that begins there is dropped; UINT64_MAX: none */
	/* RX: packets rx_head <= rx_placed <= rx_next, by sequence number */
	struct netif_back rx;
	uint64_t rx_shown; /* published = used */
	uint64_t rx_cons;  /* behind the last request that a packet has */
	uint64_t rx_head, rx_placed, rx_next;
	bool rx_dry;	   /* the netport had nothing just now: the next turn does not look */
	bool rx_reading;   /* the buffer of rx_next is ready to be read into */
	uint64_t rx_need;  /* requests that the first packet waits for; 0: none waits */
	uint64_t rx_wait_since; /* 0: not waiting */
	bool rx_stalled;
	uint64_t rx_careful, rx_convict; /* as TX's, by sequence number */
	uint8_t rx_dirty[NJRNL_BUFS];	 /* pages of each buffer that are not marked */
	struct net_in in[NJRNL_BUFS];	 /* of the packets placed in this life: from rx_described on */
	uint64_t rx_described;
	bool moved;			 /* the netport is to be kicked */
};

struct netback {
	struct conn_id conn;
	struct hv *hv;
	struct netport *netport;
	void *journal;
	size_t journal_bytes;
	struct njrnl jrnl;
	uint32_t entries;
	void (*event)(void *arg, enum be_event e, uint64_t value, const char *text);
	void *event_arg;
	uint64_t drain_ns, stall_ns;
	/* The control ring: queue 0's thread. */
	struct netif_back ctrl;
	struct hv_port *ctrl_port; /* NULL: there is none */
	uint64_t ctrl_cons, ctrl_shown;
	bool ctrl_convict; /* the message at hand is answered with an error */
	struct steer_map *steer; /* NULL: there is none */
	bool steer_said;
	/* Shared by the queues' threads, by barrier.h only. */
	uint32_t broken, draining;
	uint32_t net_word;  /* NET_*: whether a packet for the guest needs a look at net */
	uint32_t mcast_wish; /* NET_WISH_*: what queue 0 has to make of net.mcast_on */
	uint32_t stalled;   /* queues */
	uint32_t lock;	    /* of all below */
	struct njrnl_net net;
	uint64_t rate_bytes, rate_us, credit, credit_at;
	struct netback_queue q[CONN_QUEUES_MAX];
};

enum { NET_MCAST = 1u << 0, NET_HASH = 1u << 1 };
enum { NET_WISH_NONE, NET_WISH_ALL, NET_WISH_LISTED };

/* netback.c */
void net_lock(struct netback *b);
void net_unlock(struct netback *b);
void net_break(struct netback *b, enum be_event e, const char *text);
void net_poison(struct netback_queue *q, const char *what, uint64_t which);
/* The rate: whether so many bytes may go now. */
bool net_pay(struct netback_queue *q, uint32_t bytes);
/* hv_copy of n entries. What is not the guest's fault ends the process. */
void net_copy(struct netback *b, struct hv_copy *c, uint32_t n);

/* netback_tx.c. True: something was done. */
bool net_tx_turn(struct netback_queue *q, unsigned budget);
void net_tx_publish(struct netback_queue *q, bool always_notify);
/* How many packets a former generation took and did not send; -EBADMSG when they are not whole. Stores nothing. */
int net_tx_check(const struct netback_queue *q, const struct njrnl_scan *s);

/* netback_rx.c: packets from the netport into buffers, and what a death left of the last. */
bool net_rx_read(struct netback_queue *q, unsigned budget);
void net_rx_salvage(struct netback_queue *q);
/* netback_place.c: from there to the guest. */
bool net_rx_place(struct netback_queue *q);
/* 0; -EINVAL: the guest did not ask for such packets. */
int net_rx_describe(const struct netback_queue *q, uint64_t seq, struct net_in *in);

/* netback_ctrl.c */
bool net_ctrl_turn(struct netback *b);
void net_ctrl_publish(struct netback *b, uint64_t prod, bool always_notify);
/* What netback_multicast() has asked for. */
void net_mcast_obey(struct netback *b);
/* The guest wants, or no longer wants, a multicast address. 0, or -ENOSPC. */
int net_mcast(struct netback *b, bool add, const uint8_t mac[6]);
bool net_mcast_wanted(struct netback *b, const uint8_t *frame);
/* Sets in's hash; whatever the guest wants by now, if it must have one. */
void net_hash(struct netback *b, const uint8_t *frame, uint32_t len, bool must, struct net_in *in);
/* net was set: what the data path looks at first. */
void net_show_word(struct netback *b);

/* netback_steer.c: net holds, and the journal has it. Doing it again changes nothing. */
void net_steer(struct netback *b);

/* What a batch adds to the statistics, which are in shared memory. */
struct net_sums {
	uint64_t done, errors, packets, bytes;
};

#define NET_STAT(q, member) ((q)->j->hdr->member)
#define NET_COUNT(q, member, n) pm_stat64(&NET_STAT(q, member), NET_STAT(q, member) + (uint64_t)(n))

#endif
