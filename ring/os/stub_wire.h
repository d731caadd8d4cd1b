/* stub_wire.h - how the supervisor starts a stub and talks with it (DESIGN.md sections 3, 6, 8).
 *
 * Start: exec of the stub's program with three arguments of note: none. It inherits
 *   fd STUB_FD_RECORD   a sealed memfd with struct stub_start
 *   fd STUB_FD_CTL      its end of a SOCK_SEQPACKET pair, non-blocking on the supervisor's side
 * and the descriptors whose numbers stand in the record: ports, poke sockets, the reservation. It closes everything else.
 * Then: open, map, narrow itself, and, for each device, say what became of it. Messages are fixed structs, one a packet.
 * Trust: the supervisor treats every message as foreign (a stub may be hostile); a stub trusts its record.
 */
#ifndef BULKHEAD_RING_OS_STUB_WIRE_H
#define BULKHEAD_RING_OS_STUB_WIRE_H

#include "ring/base/conn.h"
#include "ring/base/spec.h"

#define STUB_FD_RECORD 3
#define STUB_FD_CTL 4
#define STUB_MAGIC 0x54535542u
#define STUB_VERSION 4u
#define STUB_DEVS_MAX 64u
#define STUB_PATH_MAX 256

enum stub_kind {
	STUB_FRESH = 1, /* clear the journal, write its header, start at index 0 */
	STUB_RESUME,	/* compare header with record, continue where it stands */
};

struct stub_port {
	int32_t fd[2];	/* hv_port_adopt(); -1: unused */
	uint32_t nfds;	/* 0: there is no such port */
	uint32_t local; /* its number in this domain */
};

struct stub_queue {
	struct stub_port port;	  /* of a vif with split event channels: TX's */
	struct stub_port port_rx; /* of such a vif */
	int32_t poke_fd;	  /* the worker's end of its socketpair: it answers each byte with one byte */
	int32_t net_fd;		  /* of a vif: this queue's end of the netport (a tap's queue); -1: none */
};

struct stub_dev {
	uint32_t kind;		/* enum stub_kind; a standby's is always RESUME */
	uint32_t own_fault;	/* the last generation died by its own fault (section 6, poison); a standby's comes by GO */
	struct conn_id conn;
	char journal[STUB_PATH_MAX]; /* opened by name by the stub alone */
	char spec[SPEC_MAX];	/* the engine's part of params; of a vif: its netport ("tap", "null", "pair"), with its filters */
	int32_t image_fd;	/* of the reservation, -1: none (null) */
	uint32_t read_only;
	uint64_t want_dev, want_ino;
	uint64_t fence_base;	/* engine.h */
	uint64_t serial;	/* the supervisor's number of this device, echoed in messages */
	uint32_t poll_us;	/* longest adaptive poll before sleeping; 0: never polls */
	uint32_t drain_ms, stall_ms; /* of a vif whose guest posts no buffers: so late its packets are dropped, its carrier goes */
	int32_t steer_fd;	/* of a vif: the map by which the guest's mapping moves packets (ring/os/steer.h); -1: it does not */
	uint64_t rate_bytes, rate_us; /* of a vif: the guest may send so many bytes in so many microseconds; rate_us 0: any */
	struct stub_port ctrl;	/* of a vif's control ring: queue 0's worker serves it */
	struct stub_queue q[CONN_QUEUES_MAX];
};

struct stub_start {
	uint32_t magic, version;
	uint32_t standby;	/* 1: open and map, say READY, wait for GO before the journal's lock */
	uint32_t ndevs;
	uint32_t uid, gid;	/* to become, when started as root; 0: stay */
	uint32_t provider_local;/* 1: "local", 0: "xen" */
	uint32_t self_domid;
	char runtime_dir[STUB_PATH_MAX]; /* where the hub's socket is */
	struct stub_dev dev[];
};
static inline size_t stub_start_bytes(uint32_t ndevs)
{
	return sizeof(struct stub_start) + ndevs * sizeof(struct stub_dev);
}

/* A stub may also be started as a blank one: `bulkhead-blk --blank`, with STUB_FD_CTL alone. It says STUB_BLANK and waits; what it
 * is given then is this, with nfds descriptors: the record's, then those that stand in the record under number[1], [2] and so on
 * (number[0] means nothing). From there on it is a stub like any other. */
#define STUB_BLANK_ARG "--blank"
#define STUB_ADOPT_FDS 128
struct stub_adopt {
	uint32_t nfds;
	int32_t number[STUB_ADOPT_FDS];
};

enum stub_msg_type {
	/* stub -> supervisor */
	STUB_READY = 1,	/* standby: everything open and mapped */
	STUB_CONNECTED,	/* fresh: header written, taking requests; state 4 may be written. arg[2] sectors, as in RESIZED */
	STUB_RESUMED,	/* resumed: taking requests. arg[0] re-answered, arg[1] to be redone, arg[2] sectors, at[] */
	STUB_FENCING,	/* waits for the storage to let go the former generation; arg[0] requests that wait */
	STUB_FENCED,	/* it did; arg[0] ns it took */
	STUB_BROKEN,	/* the guest's fault or a corrupted journal: halted, nothing is answered. arg[0] enum stub_broken, text */
	STUB_MISMATCH,	/* journal and record differ: nothing touched; it exits */
	STUB_POISON,	/* a request was answered with an error because it kills; text says which */
	STUB_FAILED,	/* cannot start (image gone...): text; it exits. arg[0] errno */
	STUB_DRAINED,	/* after DRAIN: all that was taken is answered (or time was up); it exits */
	STUB_BLANK,	/* blank: ready to be given a record */
	STUB_CARRIER,	/* of a vif: arg[0] 0: its guest has posted no buffers for stall_ms, 1: it has again */
	STUB_STEER,	/* of a vif: its guest has a say in which queue a packet comes to, from now on; once in a stub's life */
	STUB_RESIZED,	/* after RESIZE: arg[0] sectors of 512 that are served from now on; arg[1] errno: why they are the former ones, text */
	/* supervisor -> stub */
	STUB_GO = 32,	/* standby: take over. arg[0] bit per device index: own_fault */
	STUB_DRAIN,	/* take no more, answer what was taken within arg[0] ns, exit */
	STUB_RATE,	/* of a vif, dev: arg[0] rate_bytes, arg[1] rate_us from now on; to a standby, too */
	STUB_RESIZE,	/* to the active one, of device dev: look at the storage's size again */
	STUB_MULTICAST,	/* of a vif, dev: arg[0] 1: of multicast packets its guest wants only those of its list, 0: all; to a standby, too */
	STUB_FILTER,	/* of a vif, dev: text: its netport's filter from now on ("loss=1,delay=5", "": none); to a standby, too */
};

/* The way of a stub to its first request, in monotonic ns: what an outage is made of. */
enum stub_step {
	STUB_AT_BEGUN,	/* its program runs; a standby: it has its GO */
	STUB_AT_READY,	/* everything open, mapped and narrowed; a standby: as BEGUN */
	STUB_AT_LOCKED, /* the journal is its own: the former generation can store no more */
	STUB_AT_UP,	/* the journal is replayed: it takes requests */
	STUB_STEPS
};

enum stub_broken { STUB_BROKEN_RING = 1, STUB_BROKEN_JOURNAL = 2 };

struct stub_msg {
	uint32_t type; /* enum stub_msg_type */
	uint32_t dev;  /* index in the record */
	uint64_t serial;
	uint64_t generation;
	uint64_t arg[4];
	uint64_t at[STUB_STEPS]; /* of RESUMED */
	char text[168]; /* NUL-terminated */
};
static_assert(sizeof(struct stub_msg) == 256, "stub_msg");

/* bulkhead-blk --probe SPEC-ON-STDIN-FREE: `bulkhead-blk --probe`, same descriptors, one device in the record; it writes
 * this to STUB_FD_CTL and exits 0, or STUB_FAILED as a stub_msg and exits 100. */
struct stub_probe {
	uint64_t sectors; /* of 512 */
	uint32_t sector_size, physical_size;
	uint32_t discard_granularity, discard_alignment;
	uint32_t flush, discard, secure_discard, read_only, removable, pad;
};

/* Exit statuses beside those of err.h: all of them count as deaths to be repaired, but for these. */
enum stub_exit { STUB_EXIT_DRAINED = 0, STUB_EXIT_BROKEN = 20, STUB_EXIT_MISMATCH = 21, STUB_EXIT_FAILED = 22 };

#endif
