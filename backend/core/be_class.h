/* be_class.h - what a kind of device (block, net) gives to the life of a stub; one static table for each kind.
 *
 *   open (with the rights of the start) -> prepare (without them) -> start (journal locked) -> turns of each queue ... drain
 *
 * Threads: a queue's functions in its worker's thread only, once it was started; the rest on the control thread.
 * Lifetime: nothing is given back: a stub ends by its end.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_CLASS_H
#define BULKHEAD_BACKEND_CORE_BE_CLASS_H

#include "ring/hv/hv.h"
#include "ring/os/stub_wire.h"

#include <stdbool.h>

enum be_event { BE_FENCING, BE_FENCED, BE_BROKEN_RING, BE_BROKEN_JOURNAL, BE_POISON, BE_CARRIER, BE_STEER };

enum be_turn {
	BE_IDLE = 0,
	BE_BUSY = 1u << 0,	 /* something was done: turn again */
	BE_POLL_FENCE = 1u << 1, /* turn again soon, even without an event */
	BE_HALTED = 1u << 2,	 /* broken: never turn again */
};

struct be_device; /* the class's own */
struct be_queue;

struct be_prepare {
	const struct conn_id *conn;
	void *journal;
	size_t journal_bytes;
	struct hv *hv;
	void *ring[CONN_QUEUES_MAX];	/* of a vif: TX's page */
	void *ring_rx[CONN_QUEUES_MAX]; /* of a vif: RX's page */
	void *ctrl_ring;		/* of a vif's control ring; NULL: none */
	struct hv_port *port[CONN_QUEUES_MAX];
	struct hv_port *port_rx[CONN_QUEUES_MAX]; /* of a vif with split event channels, else NULL */
	struct hv_port *ctrl_port;
	/* From any thread of the device; does not block. */
	void (*event)(void *arg, enum be_event e, uint64_t value, const char *text);
	void *event_arg;
};

struct be_started {
	uint64_t generation, reanswered, redo;
};

struct be_class {
	uint32_t type; /* enum conn_type */
	/* Length of the journal of such a connection. 0: there is no such connection. */
	uint64_t (*journal_bytes)(const struct conn_id *c);
	/* Opens the storage, or the netport; takes over sd's image_fd and steer_fd, which it closes, and net_fds. sd stays valid. Negative errno
	 * with a line in err. */
	int (*open)(const struct stub_dev *sd, struct be_device **out, char *err, size_t size);
	/* Allocates and maps all that will be needed; io_uring and threads come here. Stores nothing into shared memory. */
	int (*prepare)(struct be_device *d, const struct be_prepare *p);
	/* Looks at the size of the storage again. *sectors: of 512 bytes, what is served from now on, also when the look fails (negative
	 * errno). Requests beyond the end are answered with an error. On the control thread, any time after open. NULL: it has none. */
	int (*resize)(struct be_device *d, uint64_t *sectors);
	/* 0; -EAGAIN (fresh: the storage is still busy for somebody else, call again); -EMISMATCH, -EBADMSG, -EPEER;
	 * another errno. Requests are answered from here on. */
	int (*start)(struct be_device *d, bool fresh, bool own_fault, struct be_started *out);
	struct be_queue *(*queue)(struct be_device *d, unsigned index);
	unsigned (*turn)(struct be_queue *q, unsigned budget); /* enum be_turn */
	int (*arm)(struct be_queue *q);			       /* 1: there is work, do not sleep */
	/* What to wake up for beside ports, asked before each sleep: -1: nothing. *events comes as POLLIN. */
	int (*storage_fd)(struct be_queue *q, short *events);
	/* When to turn at the latest, in monotonic ns, asked before each sleep; UINT64_MAX: no matter. NULL: never matters. */
	uint64_t (*deadline)(struct be_queue *q);
	void (*awake)(struct be_queue *q);
	void (*asleep)(struct be_queue *q);
	void (*drain)(struct be_device *d);
	/* Of a vif: as stub_dev's rate from now on. NULL of others. The queues are woken after it. */
	void (*rate)(struct be_device *d, uint64_t bytes, uint64_t us);
	/* Of a vif: whether of multicast packets its guest wants only those of its list. NULL of others. As rate. */
	void (*multicast)(struct be_device *d, bool listed);
	/* Of a vif: its netport's filter (netport_filter()). NULL of others. As rate. */
	void (*filter)(struct be_device *d, const char *options);
	int (*drained)(struct be_queue *q);
	/* In a process of its own: opens, looks, closes. Takes over image_fd as open does. */
	int (*probe)(const struct stub_dev *sd, struct stub_probe *out, char *err, size_t size);
};

#endif
