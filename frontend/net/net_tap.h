/* net_tap.h - a tap in a network namespace, which is what a "guest" of a vif has for an interface.
 *
 * Owns: its descriptors; the interface is gone with them. Threads: open and close from one; each queue's descriptor is its thread's.
 */
#ifndef BULKHEAD_FRONTEND_NET_NET_TAP_H
#define BULKHEAD_FRONTEND_NET_NET_TAP_H

#include "frontend/net/netfront.h"

#define NET_TAP_QUEUES_MAX 16u

struct net_tap {
	char name[16];
	unsigned queues;
	int fd[NET_TAP_QUEUES_MAX]; /* non-blocking; packets begin with a struct virtio_net_hdr */
};

/* Enters the namespace `ip netns add` has made: the calling thread, and threads that it makes later. 0 or negative errno, with a line. */
int net_tap_enter(const char *netns, char *err, size_t size);
/* Makes it in the namespace of the calling thread, with the address, MTU, queues and offloads of info, and up. name: NULL or "":
 * the kernel's next free tapN. 0 or negative errno, with a line. */
int net_tap_open(struct net_tap *t, const char *name, const struct netfront_info *info, char *err, size_t size);
/* The same address, MTU and offloads for one that is there: of another connection, with as many queues. 0, or as above. */
int net_tap_set(const struct net_tap *t, const struct netfront_info *info, char *err, size_t size);
void net_tap_close(struct net_tap *t);
/* The interface shows the link as up or down. */
void net_tap_carrier(const struct net_tap *t, bool on);

#endif
