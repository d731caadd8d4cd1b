/* netback.h - the netif protocol over a TX and an RX ring per queue, a control ring, a netport and a journal (DESIGN.md sections 6, 10).
 *
 *   netback_prepare -> (journal's lock taken by the caller) -> netback_start -> each queue: turn, arm, sleep ...
 *
 * Promise: over deaths at any instant a guest's packet is sent at least once, and at most one a death and queue twice; a packet for the
 * guest is delivered at most once, and at most one a death and queue is lost. Nothing is answered twice.
 * Owns: buffers. Journal memory, ring pages, ports, hv and netport are the caller's and outlive it.
 * Threads: prepare and start on the control thread; then each queue in one thread of its own, queue 0's serves the control ring;
 * rate, multicast and drain from any thread.
 * Lifetime: there is no stop: a stub ends by exit or death, both of which are safe at any instant. Tests abandon it.
 * Trust: rings, guest pages, packets and journal are foreign bytes.
 * The data path allocates nothing, never blocks and owns no thread: a queue's work is netback_turn().
 */
#ifndef BULKHEAD_BACKEND_NET_NETBACK_H
#define BULKHEAD_BACKEND_NET_NETBACK_H

#include "backend/core/be_class.h"
#include "backend/port/port.h"
#include "ring/os/steer.h"

struct netback;
struct netback_queue;

struct netback_options {
	struct netport *netport;      /* open, not started */
	uint32_t entries;	      /* of each TX and RX ring; 0: as many as a page holds */
	struct steer_map *steer;      /* mapped: where the guest's mapping goes; the caller's, outlives it. NULL: it moves nothing */
	uint64_t rate_bytes, rate_us; /* of all queues together; rate_us 0: no limit */
	uint32_t drain_ms, stall_ms;  /* guest without buffers: packets for it are dropped after so long, carrier lost; 0: 10 s, 60 s */
};

/* Allocates all that the data path will ever need; stores nothing into shared memory. p as be_class.h says. -ENOMEM, -EINVAL. */
int netback_prepare(const struct be_prepare *p, const struct netback_options *o, struct netback **out);

/* With the journal's lock held. fresh: clears the journal, writes its header. Else compares header and record, takes the next generation,
 * publishes what was answered, and leaves the rest to the turns. Always notifies once a port. 0; -EMISMATCH (nothing touched);
 * -EBADMSG (journal corrupt): the event was called, turns do nothing; what the netport's start says. */
int netback_start(struct netback *b, bool fresh, bool own_fault, struct be_started *out);

struct netback_queue *netback_get_queue(struct netback *b, unsigned index);
/* Control messages; guest's packets out; packets in: at most budget of each; notifies once a ring. enum be_turn. */
unsigned netback_turn(struct netback_queue *q, unsigned budget);
/* Before sleeping: asks guest and netport for events, then looks again. 1: there is work, do not sleep. */
int netback_arm(struct netback_queue *q);
/* As of the last arm: the netport's descriptor (-1: none), and the time to turn at the latest (UINT64_MAX: none). */
int netback_netport_fd(struct netback_queue *q);
uint64_t netback_deadline(struct netback_queue *q);
/* The worker's turn counter (journal statistics): awake when it runs, asleep before it sleeps. */
void netback_awake(struct netback_queue *q);
void netback_asleep(struct netback_queue *q);

void netback_rate(struct netback *b, uint64_t bytes, uint64_t us);
/* From queue 0's next turn on: of multicast packets only those of the guest's list, or all. Also before start. */
void netback_multicast(struct netback *b, bool listed);
/* Take no more from guest or netport from now on. */
void netback_drain(struct netback *b);
/* After drain: 1 when everything that this queue took from the guest was answered. In the queue's thread. */
int netback_drained(struct netback_queue *q);

#ifdef PM_HOOK
/* Crash tests: the process died, at any point of any call; its private memory goes, nothing else is touched. */
void netback_abandon(struct netback *b);
#endif

#endif
