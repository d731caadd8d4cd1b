/* ctl_wire.h - what bulkhead(1) and others ask of the supervisor, and how it answers (DESIGN.md section 8).
 *
 * SOCK_SEQPACKET at RUNTIME/ctl.sock, owner only. One request; the reply is one struct ctl_reply, followed for
 * CTL_STATUS by `count` packets of struct ctl_dev, and for CTL_EVENTS by packets of struct ctl_event for as long as the
 * client stays (a client that does not read is dropped, the events it missed are counted in its last one).
 * Attaching and detaching is not here: that is done in xenstore, by anybody.
 */
#ifndef BULKHEAD_RECOVERY_CTL_CTL_WIRE_H
#define BULKHEAD_RECOVERY_CTL_CTL_WIRE_H

#include "ring/base/spec.h"

#include <stdint.h>

#define BULKHEAD_VERSION "bulkhead 0.1"
#define CTL_SOCK "ctl.sock"
#define CTL_VERSION 4u

/* States of a device: the one list for status, events and docs. */
#define CTL_STATES(X)                                                                   \
	X(WAITING, "waiting", "offered; the frontend has not connected yet")             \
	X(CONNECTING, "connecting", "a fresh stub is being started")                     \
	X(UP, "up", "a stub serves the ring")                                            \
	X(RESUMING, "resuming", "the stub died; its successor is taking over")           \
	X(FENCING, "fencing", "waits for the storage to let go the former generation")   \
	X(SUSPENDED, "suspended", "the domain is suspended; nothing is taken")           \
	X(DRAINING, "draining", "closing: what was taken is being answered")             \
	X(BROKEN, "broken", "the guest broke the ring, or the journal is corrupt: halted") \
	X(FAILED, "failed", "given up after too many deaths, or its storage can not be opened") \
	X(CLOSED, "closed", "no connection")
enum ctl_state {
#define X(sym, name, what) CTL_##sym,
	CTL_STATES(X)
#undef X
	CTL_STATE_COUNT
};
const char *ctl_state_name(enum ctl_state s);

#define CTL_EVENTS_LIST(X)                 \
	X(STARTED, "started")              \
	X(ADOPTED, "adopted")              \
	X(OFFERED, "offered")              \
	X(CONNECTED, "connected")          \
	X(DIED, "died")                    \
	X(HUNG, "hung")                    \
	X(RESUMED, "resumed")              \
	X(FENCING, "fencing")              \
	X(FENCED, "fenced")                \
	X(STANDBY, "standby-ready")        \
	X(POISON, "poison")                \
	X(BROKEN, "broken")                \
	X(FAILED, "failed")                \
	X(DRAINED, "drained")              \
	X(CLOSED, "closed")                \
	X(REMOVED, "removed")              \
	X(STORE_LOST, "store-lost")        \
	X(STORE_BACK, "store-back")        \
	X(NOTE, "note")                    \
	X(RESIZED, "resized")
enum ctl_event_kind {
#define X(sym, name) CTL_EV_##sym,
	CTL_EVENTS_LIST(X)
#undef X
	CTL_EV_COUNT
};
const char *ctl_event_name(enum ctl_event_kind k);

/* The steps of a takeover, in monotonic ns, in this order; the supervisor's own and what the new stub says of itself. The kill
 * comes before them, the first answer after them; both are the guest's to see. */
#define CTL_STEPS_LIST(X)                                                                               \
	X(NOTICED, "noticed", "the supervisor has read the death's pidfd")                               \
	X(GO, "go", "the standby is told; without one: a new stub is about to be started")               \
	X(BEGUN, "begun", "the standby is awake; without one: the new stub's program runs")              \
	X(READY, "ready", "all is open, mapped and narrowed; a standby: as begun")                       \
	X(LOCKED, "locked", "the journal is the new stub's: the kernel has fenced the former one from it") \
	X(UP, "up", "the journal is replayed, requests are taken")
enum ctl_step {
#define X(sym, name, what) CTL_AT_##sym,
	CTL_STEPS_LIST(X)
#undef X
	CTL_STEPS
};
const char *ctl_step_name(enum ctl_step s);

/* Why a vif has dropped packets: of its guest (tx), or to it (rx). */
#define CTL_DROPS_LIST(X)                                                          \
	X(TX_BAD, "tx_bad", "its guest's, malformed")                              \
	X(TX_COPY, "tx_copy", "its guest's, from memory that it had not granted")  \
	X(TX_REFUSED, "tx_refused", "its guest's, refused by the netport")         \
	X(RX_QUEUE, "rx_queue", "by the tap's own queue: not taken in time")       \
	X(RX_NO_ROOM, "rx_no_room", "its guest had posted no buffers for too long") \
	X(RX_UNFIT, "rx_unfit", "its guest takes none of that kind or size")       \
	X(RX_COPY, "rx_copy", "to memory that its guest had not granted")          \
	X(RX_MULTICAST, "rx_multicast", "of a group that its guest is not in")     \
	X(RX_LOST, "rx_lost", "in the hands of a stub that died")
enum ctl_drop {
#define X(sym, name, what) CTL_DROP_##sym,
	CTL_DROPS_LIST(X)
#undef X
	CTL_DROPS
};
const char *ctl_drop_name(enum ctl_drop d);

enum ctl_op {
	CTL_HELLO = 1, /* reply: text = version, arg = pid */
	CTL_STATUS,    /* type or 0; domid, devid, or CTL_ALL */
	CTL_EVENTS,    /* arg = how many of the past ones first (at most CTL_EVENTS_PAST) */
	CTL_KILL,      /* arg = signal (9, 11, 19 = hang): to the stub, for trying things out */
	CTL_RESTART,   /* planned: drain, then resume in a new stub; also ends failed */
	CTL_RESET,     /* ends broken or failed: fence, forget the connection, state 6, offer anew */
	CTL_RESIZE,    /* looks at the storage's size; arg = bytes of a memory disk, or 0. The event RESIZED, or NOTE, tells what came of
			  it, unless the reply's text says why it is not now */
	CTL_FILTER,    /* text: what is done to a vif's packets from now on, "loss=1,delay=5"; "": nothing */
};
#define CTL_ALL UINT32_MAX
#define CTL_EVENTS_PAST 256u
#define CTL_DEVS_MAX 65536u /* of one CTL_STATUS: more are a broken reply */

struct ctl_req {
	uint32_t version, op;
	uint32_t domid, devid;
	uint32_t type; /* enum conn_type; 0: any, of one that is meant: a disk */
	uint32_t pad;
	uint64_t arg;
	char text[128];
};

struct ctl_reply {
	int32_t rc;
	uint32_t count;
	uint64_t arg;
	char text[240]; /* one clear line when rc < 0; of RESIZE, also otherwise */
};

/* Who chooses the queue of a packet that comes to a vif. */
enum ctl_steer {
	CTL_STEER_PORT,	   /* the netport, as it likes */
	CTL_STEER_GUEST,   /* the guest, by its hash mapping */
	CTL_STEER_REFUSED, /* the netport, whatever the guest's mapping says: this host has no BPF for it */
};
const char *ctl_steer_name(enum ctl_steer s);

/* Of a vif. */
struct ctl_net {
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* tx: from the guest */
	uint64_t drop[CTL_DROPS];
	uint64_t stalls; /* times that the carrier went since the guest took nothing */
	uint64_t ctrl;	 /* messages of its control ring */
	uint64_t rated;	 /* times that the rate made the guest wait */
	uint64_t replayed; /* taken from the guest by a stub that died, and judged again; at most one a death and queue was sent already */
	uint32_t carrier;
	uint8_t mac[8]; /* 6 of them */
	char port[16];	/* the interface, "": none */
	char mode[16], bridge[16];
	uint32_t steer;	/* enum ctl_steer */
	char filter[96]; /* what is done to its packets, "": nothing */
};

struct ctl_dev {
	uint32_t domid, devid;
	uint32_t type;	/* enum conn_type */
	uint32_t state; /* enum ctl_state */
	int32_t pid, standby_pid; /* 0: none */
	uint32_t nqueues, ring_pages;
	uint32_t read_only, restarts_window;
	uint64_t generation, restarts; /* restarts: deaths repaired, of this attachment */
	uint64_t last_outage_ns;       /* from the death's notice to RESUMED */
	uint64_t up_since;	       /* monotonic ns */
	uint64_t requests, errors, bytes_read, bytes_written, replayed, inflight;
	uint64_t lat_p50_us, lat_p99_us, lat_max_us; /* upper bounds of histogram buckets */
	uint64_t uss_bytes, standby_uss_bytes;	     /* private memory */
	uint64_t size_bytes;
	uint64_t grants_mapped, grants_max; /* the guest's pages that its stub has mapped now, at most */
	struct ctl_net net;
	char vdev[16], domain[64];
	char spec[256];	    /* cut with "..." when longer */
	char text[160];	    /* why, in states broken, failed, fencing */
	char confinement[16]; /* full, reduced */
};

struct ctl_event {
	uint64_t wall_ns, mono_ns;
	uint32_t kind; /* enum ctl_event_kind */
	uint32_t domid, devid, missed;
	uint64_t generation;
	uint64_t outage_ns; /* RESUMED: from the notice to the first request; FENCED: waited for the storage */
	uint64_t at[CTL_STEPS]; /* RESUMED */
	int32_t pid, signal;
	char vdev[16];
	char text[160];
};

#endif
