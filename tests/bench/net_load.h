/* net_load.h - a steady stream of packets through one vif of a local world, to its guest or from it, inside the bench.
 *
 * The guest is ours, and so is the world, by a socket on the vif's tap; on a null, packets come by themselves. Numbered packets are
 * counted when they never come, or twice; what the tap's queue does not take was not sent.
 * Threads: one. It polls, it never sleeps. Errors: negative errno; -EBADMSG: more were lost or came twice than may.
 */
#ifndef BULKHEAD_TESTS_BENCH_NET_LOAD_H
#define BULKHEAD_TESTS_BENCH_NET_LOAD_H

#include "tests/bench/net_flow.h"

struct net_load {
	struct netfront *f;
	struct flow_end from, to;
	int sock;
	uint64_t next;	       /* when the next one is sent; 0: they come by themselves */
	uint64_t sent, number; /* number: the next that may come */
	uint64_t came, lost, twice;
	bool from_guest;
	uint8_t packet[FLOW_STRIDE] __attribute__((aligned(8))), came_in[FLOW_STRIDE] __attribute__((aligned(8)));
};

/* Connects vif 0 of the domain. ifname: of its tap; NULL: a null. err: one clear line. Closed by net_load_close, also after a failure. */
int net_load_open(struct net_load *l, const char *runtime_dir, const char *domain, const char *ifname, bool from_guest, char *err,
		  size_t size);
/* One look: how many packets came, or why it has ended. now: the time of the look. */
int net_load_poll(struct net_load *l, uint64_t now);
/* After so many deaths: 0, or what was found. To the guest one packet a death may be lost, from it one may come twice. */
int net_load_check(const struct net_load *l, unsigned deaths);
void net_load_close(struct net_load *l);

#endif
