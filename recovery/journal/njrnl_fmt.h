/* njrnl_fmt.h - the layout in memory of a vif's journal: a file on tmpfs for one connection, as jrnl_fmt.h says.
 *
 *   struct jrnl_hdr                          one page, magic and version of its own
 *   struct njrnl_dev                         one page: what the guest said once, by control ring or multicast requests
 *   per queue: struct njrnl_queue            one page, begins as a block device's does
 *              struct njrnl_tx[ring]         guest's packets on their way out: one for each entry of the ring
 *              struct njrnl_buf[BUFS]        packets on their way to the guest
 *              BUFS times NJRNL_DATA bytes   and their contents
 *
 * A queue's sequence numbers (jrnl_seq()): everything on a netif ring is answered in order and at its own index.
 *   TX  rsp_prod <= sent <= req_cons         published; decided (sent, or judged bad), the answers stand in the ring; taken, whole
 *                                            packets always
 *   RX  rx_prod                              requests below it were used and published
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_NJRNL_FMT_H
#define BULKHEAD_RECOVERY_JOURNAL_NJRNL_FMT_H

#include "recovery/journal/jrnl_fmt.h"

#define NJRNL_MAGIC 0x314c4e524e484c42ull /* "BLHNRNL1" */
#define NJRNL_VERSION 1u
#define NJRNL_RING 256u	      /* entries of a ring of one page, TX and RX */
#define NJRNL_BUFS 16u
#define NJRNL_DATA (17u * JRNL_PAGE) /* struct virtio_net_hdr and the largest frame there is */
#define NJRNL_REQS 22u	      /* of the RX ring, for one packet: 17 pages and one for headroom, extra info */

/* One entry of the TX ring, in the slot of its index. */
struct njrnl_tx {
	uint64_t index;
	uint64_t raw;	   /* the entry as the guest wrote it: 12 bytes */
	uint32_t raw2;
	uint32_t check;	   /* over index, raw and raw2 */
	uint64_t pad;
};

/* Far apart, so that no flipped bit turns one into another. */
enum njrnl_state {
	NJRNL_FREE = 0x00000000,
	NJRNL_READING = 0x52454144, /* the port may have been read: the Ethernet type says whether */
	NJRNL_FILLED = 0x46494c4c,  /* the packet is here */
	NJRNL_PLACED = 0x504c4143,  /* and has requests of the guest's; delivered when they are below rx_prod */
};

struct njrnl_buf {
	uint32_t state;	      /* enum njrnl_state */
	uint32_t len;	      /* with struct virtio_net_hdr; valid from FILLED on */
	uint64_t seq;	      /* jrnl_seq(): of the packet in its queue; buffer seq % NJRNL_BUFS has it. Valid from READING on */
	uint32_t check_len;   /* over len and seq */
	uint32_t check_place; /* over first, nreqs and req; valid when PLACED */
	uint64_t first;	      /* index of its first request */
	uint32_t nreqs;
	uint32_t pad;
	uint64_t req[NJRNL_REQS]; /* requests of the RX ring as the guest wrote them */
	uint64_t pad2[5];
};
static_assert(sizeof(struct njrnl_tx) == 32 && sizeof(struct njrnl_buf) == 256, "whole cache lines");

/* Written at the start of each page of a buffer but the first before it is read into: a page where it still stands was not reached. */
#define NJRNL_STAMP 0x9d3f61c2e58b74a1ull

/* What a generation that died by its own fault had in hand (queue's `work`): the suspect is the first packet that way. */
enum njrnl_work { NJRNL_IDLE = 0, NJRNL_TX = 0x54582121, NJRNL_RX = 0x52582121, NJRNL_CTRL = 0x43524c21 };

/* suspect words: how many stubs the packet of that sequence number (48 bits) has killed. */
#define NJRNL_SUSPECT(seq, count) jrnl_seq(((seq) & 0xffffffffffffull) | (uint64_t)((count) & 0xff) << 48)
#define NJRNL_SUSPECT_COUNT(w) ((uint32_t)((w) >> 48 & 0xff))
#define NJRNL_SUSPECT_SEQ(w) ((w) & 0xffffffffffffull)

/* Statistics, beside those that all devices have: reads are packets to the guest, writes its own. */
struct njrnl_stats {
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* bytes of frames */
	uint64_t tx_bad;	/* judged bad: answered with an error */
	uint64_t tx_copy;	/* their pages could not be read */
	uint64_t tx_refused;	/* the port can not send them */
	uint64_t tx_again;	/* taken by a generation that died, and judged again: at most one of each was sent already */
	uint64_t rx_no_room;	/* dropped since the guest posted nothing for too long */
	uint64_t rx_unfit;	/* what the guest did not ask for: too large, other offloads, odd */
	uint64_t rx_copy;	/* its pages could not be written */
	uint64_t rx_multicast;	/* not in its list */
	uint64_t rx_derived;	/* a packet whose read a death cut short, found whole */
	uint64_t rx_lost;	/* one that was not */
	uint64_t gso_fixed;	/* guest's large packets whose checksum was not blank */
	uint64_t stalls;	/* carrier lost */
	uint64_t ctrl;		/* control messages answered */
	uint64_t rated;		/* times that the rate made it wait */
};

struct njrnl_queue {
	struct jrnl_queue common; /* req_cons and rsp_prod are those of TX */
	uint64_t sent;
	uint64_t rx_prod;
	uint64_t tx_suspect, rx_suspect; /* NJRNL_SUSPECT() */
	uint64_t work;			 /* enum njrnl_work, not checked: at worst the wrong one is suspected */
	uint64_t pad[3];
	struct njrnl_stats net;
};

#define NJRNL_KEY 40u
#define NJRNL_MAPPING 128u
#define NJRNL_MCAST 64u

/* What the guest said once. */
struct njrnl_net {
	uint64_t serial;     /* counts the changes: state[serial % 2] is this one */
	uint32_t hash_alg, hash_flags, key_len, mapping_size;
	uint8_t key[NJRNL_KEY];
	uint32_t mapping[NJRNL_MAPPING];
	uint32_t mcast_on, nmcast;
	uint8_t mcast[NJRNL_MCAST][6];
};
static_assert(sizeof(struct njrnl_net) % 8 == 0, "whole words");

struct njrnl_dev {
	uint64_t now;	      /* jrnl_seq(): the serial that holds */
	uint64_t ctrl_cons;   /* jrnl_seq(): of the control ring; at most one more than ctrl_prod */
	uint64_t ctrl_prod;
	uint64_t ctrl_index;  /* of the request below */
	uint64_t ctrl_raw[2]; /* as the guest wrote it */
	uint64_t ctrl_check;  /* over both */
	uint64_t ctrl_suspect; /* NJRNL_SUSPECT(), by ctrl_index */
	struct njrnl_net state[2];
	uint64_t check[2];    /* of each state */
};
static_assert(sizeof(struct njrnl_queue) <= JRNL_PAGE && sizeof(struct njrnl_dev) <= JRNL_PAGE, "a page each");

/* Offsets in the file: pure arithmetic, for those who only pread. */
#define NJRNL_TX_OFFSET JRNL_PAGE /* in a queue */
#define NJRNL_BUF_OFFSET (NJRNL_TX_OFFSET + NJRNL_RING * sizeof(struct njrnl_tx))
#define NJRNL_DATA_OFFSET (NJRNL_BUF_OFFSET + NJRNL_BUFS * sizeof(struct njrnl_buf))
#define NJRNL_QUEUE_BYTES (NJRNL_DATA_OFFSET + (uint64_t)NJRNL_BUFS * NJRNL_DATA)
static_assert(NJRNL_DATA_OFFSET % JRNL_PAGE == 0, "contents begin at a page");

static inline uint64_t njrnl_queue_offset(uint32_t queue) { return 2 * JRNL_PAGE + queue * NJRNL_QUEUE_BYTES; }
static inline uint64_t njrnl_file_bytes(uint32_t nqueues) { return njrnl_queue_offset(nqueues); }

#endif
