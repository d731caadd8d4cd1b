/* net_attach.h - connects a vif's tap to the host's network, as Xen's vif-bridge, vif-nat, vif-route and vif-openvswitch do, and
 * takes everything back (docs/network.md). bulkhead-vif is the program around it; who must not wait starts that.
 *
 * Crash: everything is recorded in dir before it is made (net_state.h). After a death at any point attach goes on and completes it,
 * and detach undoes it. Both may be called any number of times.
 * Threads: one; may wait for the lock of dir, for netlink and, in mode openvswitch, up to 30 s for its tools.
 * Errors: negative errno with one clear line in err; what was made by then stays recorded.
 */
#ifndef BULKHEAD_RECOVERY_NET_NET_ATTACH_H
#define BULKHEAD_RECOVERY_NET_NET_ATTACH_H

#include "recovery/net/net_vif.h"

/* Where the guest finds its network: what was given, or the defaults of nat. */
struct net_result {
	unsigned mtu;
	struct net_ip guest[2], gateway[2]; /* IPv4, IPv6; family 0: none. Modes nat and route */
};

/* tap_make(), recorded first: net_detach() removes it. The record is not read: it may lack a tap that is there. */
int net_tap_make(const char *dir, const struct tap_conf *c, int *fd, char *err, size_t size);
/* The tap is there. Attached in another way before, it is detached first; attached in this one, whatever is missing is made again. */
int net_attach(const char *dir, const struct net_vif *v, struct net_result *out, char *err, size_t size);
/* Undoes what the record says, the tap included unless keep_tap. What is recorded nowhere is 0, too. An error keeps the record of
 * what could not be undone. */
int net_detach(const char *dir, const char *dev, bool keep_tap, char *err, size_t size);

#endif
