/* net_make.h - the things that attaching a vif makes: each writes its line into the record, then does its deed, and can be done
 * again at any time. net_undo() undoes a line, whichever it is.
 *
 * Lines (key, value):
 *   tap                      the interface itself (net_tap_make())
 *   config=TEXT              the vif as it was asked for (net_vif_text()); nothing to undo
 *   mtu=N  addrgen=N         what the interface had before
 *   addr IP/LEN   route IP/LEN METRIC   master   up    of the interface
 *   proxy DEV IP             DEV answers for IP
 *   sysctl PATH=OLD          below /proc/sys, of the interface's own
 *   share PATH               below /proc/sys, of others: the old value is in the shared lines until the last vif goes
 *   nft FAMILY NAME          a table of ours
 *   ovs BRIDGE  flows BRIDGE COOKIE    port and flows in Open vSwitch
 * Threads: one. Errors: negative errno with a line in err.
 */
#ifndef BULKHEAD_RECOVERY_NET_NET_MAKE_H
#define BULKHEAD_RECOVERY_NET_NET_MAKE_H

#include "recovery/net/net_link.h"
#include "recovery/net/net_state.h"

#define NET_CMD_MAX 8192 /* of a text for nft or flows */

/* What is being made, and where errors go. */
struct net_job {
	const struct net_vif *vif;
	struct net_state *state;
	struct net_links *links;
	char *err;
	size_t size;
};

/* rc with a line in err unless there is one: "DEV: WHAT: reason". */
int net_fail(const struct net_job *j, int rc, const char *what);

int net_make_mtu(struct net_job *j, unsigned mtu);
/* No addresses of the kernel's own making; and those there are go. */
int net_make_bare(struct net_job *j);
int net_make_master(struct net_job *j, const char *bridge);
int net_make_up(struct net_job *j);
int net_make_addr(struct net_job *j, const struct net_ip *ip);
int net_make_route(struct net_job *j, const struct net_ip *dst, const struct net_ip *src, unsigned metric);
int net_make_proxy(struct net_job *j, const char *dev, const struct net_ip *ip);
/* path below /proc/sys, with '/'. own: of this interface; else shared with other vifs. -ENOENT: there is no such thing. */
int net_make_sysctl(struct net_job *j, const char *path, const char *value, bool own);
/* As number; -1: not there. */
int net_sysctl_get(const char *path);

/* Tables of nftables (net_nft.c): the guest's packets are its own; and leave this host under the host's address. */
int net_make_antispoof(struct net_job *j);
int net_make_masquerade(struct net_job *j, const struct net_ip *guest, unsigned n, const char *out);
/* Open vSwitch (net_ovs.c), with flows that enforce the same when the vif is to be. */
int net_make_ovs(struct net_job *j);

/* For net_state_undo(); arg: struct net_job, whose vif has a name only. */
int net_undo(void *arg, const char *key, const char *value);
int net_undo_nft(struct net_job *j, const char *what);
int net_undo_ovs(struct net_job *j, const char *bridge);
int net_undo_flows(struct net_job *j, const char *what);

/* The link-local address that the guest has by its MAC. */
struct net_ip net_link_local(const unsigned char mac[6]);

#endif
