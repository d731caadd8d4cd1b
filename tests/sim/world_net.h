/* world_net.h - vifs of the simulated world: the kernel's taps, the network at their far ends, and the guests' user of them.
 *
 * Whoever sends numbers its packets, so that each end knows what must come; frames and headers are those of the network crash
 * test (ncrash_frame.c). A lane is one way of packets in order: from the guest, one for each queue of its connection; to the
 * guest, one for each queue of the tap that was ever opened, in the order of the openings.
 *
 *   TX-LOST   who is answered was sent          TX-ORDER  in the guest's order, none left out
 *   TX-TWICE  again only the last one, by the successor of who had sent it
 *   TX-DATA   as the guest wrote it             TX-LATE   nothing of a connection that has ended
 *   TX-ERROR, RX-ERROR  nothing sound is answered with an error
 *   RX-LOST   only what its reader has died of before its length was known; all else, once the tap has given it, comes
 *   RX-TWICE, RX-ORDER, RX-DATA, RX-STALE  none again, none overtaken, each as it was, on one queue, none of a former connection
 *   RX-FILTER no multicast group that the guest did not ask for
 *   RX-HASH   a hash where, and as, the guest has last been told
 *   CTRL      each control message is answered, and as it must be; what was confirmed stands in the journal
 *   ATTACHED, CARRIER  a connected vif's tap is in its bridge, and has its carrier
 */
#ifndef BULKHEAD_TESTS_SIM_WORLD_NET_H
#define BULKHEAD_TESTS_SIM_WORLD_NET_H

#include "tests/sim/ncrash.h"
#include "tests/sim/world.h"

#define LANE_PKTS 320u
#define LANES_MAX 128u /* of a vif and a way: a byte of each frame says which */
#define NET_GROUPS 6u  /* multicast groups that there are */

struct world_lane {
	unsigned made;	/* packets: sent by the guest, or that have come to the tap */
	unsigned over;	/* of those for the guest: taken from the tap */
	unsigned next;	/* the next to come has this number at least */
	unsigned answered; /* of those from the guest */
	unsigned errors;
	int queue;	   /* of the guest's that it comes to; -1: not yet known */
	bool cutting;	   /* the kernel copies the last one just now */
	struct os_proc *last; /* who has taken or sent the last one */
	bool excused[LANE_PKTS];
	uint32_t end[LANE_PKTS]; /* ring entries up to its end */
	struct nc_pkt pkt[LANE_PKTS];
};

struct os_tapq {
	struct world_tap *tap;
	unsigned at; /* its lane */
	unsigned long offloads;
};

struct world_vif {
	/* the plan */
	bool sg, gso, csum, split, ctrl, mcast, bridge, cut, full, patient; /* patient: it sends no more before it is answered */
	unsigned rx_buffers, headroom, want, pace_us, msgs;
	/* what has been */
	unsigned sent, came; /* of all connections */
	uint64_t next;	     /* when the network sends again */
	struct world_lane *out[WORLD_QUEUES], *in[LANES_MAX];
	unsigned nin, connection;
	/* what the guest has said in this connection */
	struct njrnl_net net;
	unsigned said, heard;
	enum { GROUP_OFF, GROUP_ASKED, GROUP_ON, GROUP_LEAVING } group[NET_GROUPS];
	char journal[128];	    /* of the stub that serves */
	struct os_file *bell;	    /* wakes the guest */
};

/* ---- world_tap.c: taps by name, as the kernel has them */
struct world_tap;
unsigned world_taps(void); /* how many there are */
/* By the helper: into the bridge, or out of it and gone. -ENOENT. */
int world_tap_attach(const char *name, bool on);
bool world_tap_attached(const struct world_tap *t);
bool world_tap_carrier(const struct world_tap *t);
struct world_tap *world_tap_of(const struct world_dev *d);
unsigned world_tap_queues(const struct world_tap *t);
struct os_tapq *world_tap_queue(const struct world_tap *t, unsigned i);

/* ---- world_net.c */
void world_vif_make(struct world_dev *d, unsigned handle);
void world_vif_more(struct world_dev *d, unsigned n);
uint64_t world_net_tick(void); /* when again */
void world_net_died(struct os_proc *p);
void world_net_serves(struct world_dev *d, const char *journal);
void world_net_check(struct world_dev *d); /* it is up */
/* A queue of d's tap was opened: its lane. It was closed. */
unsigned world_net_lane(struct world_dev *d);
void world_net_closed(struct world_dev *d);
/* The tap's reads and writes. */
ssize_t world_net_read(struct world_dev *d, unsigned lane, void *packet);
ssize_t world_net_write(struct world_dev *d, const uint8_t *packet, size_t len);
void world_net_ring(struct world_dev *d);

/* A packet to send, of a kind that the other end takes. */
struct nc_pkt world_net_choose(bool sg, bool csum, bool tso4, bool tso6);

/* For the guest. */
uint32_t world_net_frame(const struct world_dev *d, bool in, unsigned lane, unsigned number, const struct nc_pkt *p, uint8_t *frame,
			 struct virtio_net_hdr *h);
void world_net_connected(struct world_dev *d);
void world_net_came(struct world_dev *d, unsigned queue, const struct virtio_net_hdr *h, const uint8_t *frame, uint32_t len,
		    const struct netif_extra_info *hash);
/* The guest is about to say something on the control ring, or for the list of groups. */
void world_net_said(const struct world_dev *d);
/* All that the network has sent has come, or is lost for a reason. */
bool world_net_quiet(const struct world_dev *d);
/* What the guest was told stands in the journal. */
void world_net_state(struct world_dev *d);

/* ---- world_helper.c: bulkhead-vif */
int world_helper_main(void *argv);
void world_helper_orphaned(const struct os_proc *super);

/* ---- world_netguest.c */
int world_netguest_main(void *dev);

#endif
