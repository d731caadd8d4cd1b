/* net_flow.h - ends of a network path, all alike, and what is sent over them: for `bulkhead bench net`.
 *
 * An end is a queue of our frontend, of a netport, or a descriptor that packets are written to and read from (a tap's queue, a
 * packet socket). A packet is a struct virtio_net_hdr and a frame, in one piece.
 * Threads: an end belongs to one thread at a time.
 */
#ifndef BULKHEAD_TESTS_BENCH_NET_FLOW_H
#define BULKHEAD_TESTS_BENCH_NET_FLOW_H

#include "backend/port/port.h"
#include "frontend/net/netfront.h"

#include <pthread.h>

struct flow_end {
	struct netfront_queue *guest; /* one of these three */
	struct netport_queue *port;
	int fd; /* -1: none */
};

/* The frame of a packet of so many bytes in buf (NETPORT_PACKET_MAX), addressed to nobody; gso: a TCP segment of many. How long
 * the packet is. */
size_t flow_packet(uint8_t *buf, uint32_t frame, bool gso);

enum flow_job { FLOW_SEND, FLOW_RECEIVE, FLOW_ECHO };

/* A thread that does its job until it is stopped. */
struct flow {
	enum flow_job job;
	struct flow_end end;
	const uint8_t *packet; /* FLOW_SEND */
	size_t len;
	pthread_t thread;
	uint32_t stop;
	uint64_t count; /* packets sent, received or echoed; other threads may read it */
	int rc;		/* it has ended before the time */
};
void flow_start(struct flow *f);
/* Waits for its end. What was sent and not answered is not counted. */
void flow_stop(struct flow *f);

/* Sends one packet after another, numbered, and waits for each to come back: n answer times in microseconds. 0, -ETIMEDOUT
 * (some never came), or why the end has ended. */
int flow_ping(const struct flow_end *e, uint8_t *packet, size_t len, double *us, size_t n);

#endif
