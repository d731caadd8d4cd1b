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
#include "ring/base/conn.h"

#include <pthread.h>

struct flow_end {
	struct netfront_queue *guest; /* one of these three */
	struct netport_queue *port;
	int fd; /* -1: none */
	bool socket; /* takes many packets in one call */
};

/* The frame of a packet of so many bytes in buf (NETPORT_PACKET_MAX), addressed to nobody; gso: a TCP segment of many; stream: of
 * which connection. How long the packet is. */
size_t flow_packet(uint8_t *buf, uint32_t frame, bool gso, unsigned stream);

/* Where a packet of 64 bytes and more has room for a number of 8 bytes. */
#define FLOW_NUMBER_AT (NETPORT_HDR + 42u)

enum flow_job { FLOW_SEND, FLOW_RECEIVE, FLOW_ECHO };

#define FLOW_STRIDE 66048u
static_assert(FLOW_STRIDE >= NETPORT_PACKET_MAX && FLOW_STRIDE % 64 == 0, "packets one behind the other");

/* What is done at one end until it is stopped. */
struct flow {
	enum flow_job job;
	struct flow_end end;
	const uint8_t *packet; /* FLOW_SEND; a socket sends several in turns, if there are, each FLOW_STRIDE behind the one before */
	size_t len;
	unsigned packets;
	uint64_t count; /* packets sent, received or echoed; other threads may read it */
	int rc;		/* it has ended before the time */
};

/* A thread that does the jobs of some flows in turns: where it has one it sleeps when there is nothing to do, else, and when it fills a
 * socket, it looks again. */
#define FLOW_CREW_MAX (2 * CONN_QUEUES_MAX)
struct flow_crew {
	struct flow *flow[FLOW_CREW_MAX];
	unsigned n;
	int cpu; /* -1: any */
	pthread_t thread;
	uint32_t stop;
};
static inline void flow_join(struct flow_crew *c, struct flow *f) { c->flow[c->n++] = f; }
/* Of no flow: nothing. */
void flow_start(struct flow_crew *c);
/* Waits for its end. */
void flow_stop(struct flow_crew *c);
/* Processors that threads are spread over; the i-th of them, over and over. */
int flow_cpu(unsigned i);
void flow_pin(pthread_t t, int cpu);

/* One packet. give: 0; -EAGAIN: there is no room; take: its length, 0: none is there. Another: why the end has ended. */
int flow_give(const struct flow_end *e, const uint8_t *packet, size_t len);
int flow_take(const struct flow_end *e, uint8_t *packet);

/* Sends one packet after another, numbered, and waits for each to come back: n answer times in microseconds. 0, -ETIMEDOUT
 * (some never came), or why the end has ended. */
int flow_ping(const struct flow_end *e, uint8_t *packet, size_t len, double *us, size_t n);

#endif
