/* net_verify.h - sends numbered packets from one vif to another and says what became of each, while backends may die.
 *
 * A packet is Ethernet, IPv4, UDP from one vif's MAC to the other's, so it passes a wire, a bridge or a switch; what it carries
 * follows from seed, stream and number, so a changed byte shows. A stream for each queue of each end.
 */
#ifndef BULKHEAD_FRONTEND_NET_NET_VERIFY_H
#define BULKHEAD_FRONTEND_NET_NET_VERIFY_H

#include "frontend/net/netfront.h"

#define NET_VERIFY_SIZE_MIN 82u

struct net_verify_opts {
	unsigned seconds;
	uint64_t rate;	    /* packets a second of each stream; 0: all that the ring takes */
	unsigned size;	    /* of the frame; 0: mixed, up to the MTU */
	uint64_t seed;
	uint64_t outage_ns; /* a gap between packets from which on it counts as an outage */
	bool one_way;	    /* from a to b only */
	const uint32_t *stop; /* not 0 any more: as if the seconds were over. NULL: there is none */
};

/* One direction, all its streams together. */
struct net_verify_way {
	uint64_t sent, refused; /* refused: answered with an error */
	uint64_t received;	/* different ones */
	uint64_t lost, repeated, reordered, corrupted;
	uint64_t lost_longest;	/* in a row */
	uint64_t foreign;	/* not of this test */
	uint64_t bytes;		/* of those received */
	uint64_t outages, outage_p50, outage_p99, gap_max; /* ns */
};

struct net_verify_result {
	struct net_verify_way way[2]; /* a to b, b to a */
	double seconds;		      /* that packets were sent */
	int rc;			      /* why an end ended before the time: -EPEER, -ESHUTDOWN */
};

/* Both must have the same number of queues, which are driven by threads of its own. 0: it ran; -ENOMEM, -EINVAL. */
int net_verify(struct netfront *a, struct netfront *b, const struct net_verify_opts *o, struct net_verify_result *res);

#endif
