/* port_rig.h - a netport and whatever is at its other end, for the contract's tests. */
#ifndef BULKHEAD_TESTS_CONFORM_PORT_RIG_H
#define BULKHEAD_TESTS_CONFORM_PORT_RIG_H

#include "backend/port/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>

#define RIG_QUEUES 2u
#define RIG_WAIT_MS 20000
/* Frames of the tests carry this Ethernet type (for local experiments); a tap's others are passed over. */
#define RIG_TYPE 0x88b5

struct rig {
	struct netport *port;
	struct netport_queue *q;      /* queue 0, started */
	int end[RIG_QUEUES];	      /* what port was opened with, kept to open it again */
	struct netport *other;	      /* pair: the other end */
	int packet_socket, ifindex;   /* tap: on its interface */
};

struct rig_kind {
	const char *name;
	const char *opts;
	bool loops;	/* what one end writes the other gets */
	void (*open)(struct rig *r, const char *spec);
	/* The other end sends a frame; takes one, waiting: its length. Without the virtio header. */
	void (*send)(struct rig *r, const void *frame, size_t len);
	size_t (*receive)(struct rig *r, void *frame);
	void (*close)(struct rig *r);
};

#endif
