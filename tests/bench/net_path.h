/* net_path.h - the ways that packets go in `bulkhead bench net`: through our frontend, backend and a netport; a tap; a veth pair.
 *
 * Owns: interfaces, descriptors, the backend's threads, for one measurement. Threads: open and close from one.
 */
#ifndef BULKHEAD_TESTS_BENCH_NET_PATH_H
#define BULKHEAD_TESTS_BENCH_NET_PATH_H

#include "tests/bench/net_flow.h"
#include "tests/bench/net_rig.h"

enum net_way { WAY_NULL, WAY_PAIR, WAY_TAP, WAY_BARE_TAP, WAY_VETH, WAY_DPDK };

/* A socket for an interface's packets, each behind a struct virtio_net_hdr; receives: IPv4, else it only sends. -ENOSYS with a line. */
int net_path_socket(const char *ifname, bool receives, char *err, size_t size);
/* Brings an interface up and waits until it runs. */
int net_path_up(const char *ifname);

struct net_path {
	struct net_rig *rig;
	struct netport *far; /* of a pair: its other end */
	int tap[CONN_QUEUES_MAX], sock;
	unsigned queues;
	bool veth, world_takes; /* world_takes: the world's end receives what comes, rather than letting the kernel drop it */
};

/* frame: of what a null gives; 0: nothing. -ENOSYS with a line in err: not possible here. net_path_close() in either case. */
int net_path_open(struct net_path *p, enum net_way way, unsigned queues, uint32_t frame, bool world_takes, char *err, size_t size);
void net_path_close(struct net_path *p);
/* The guest's side, and the world's. */
struct flow_end net_path_near(const struct net_path *p, unsigned q);
struct flow_end net_path_far(const struct net_path *p, unsigned q);

#endif
