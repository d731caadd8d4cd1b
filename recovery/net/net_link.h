/* net_link.h - interfaces, addresses, routes and proxy neighbours through netlink. What is there already is no error to make, what
 * is not there none to remove.
 *
 * Owns: struct net_links owns its socket. Threads: one. Errors: negative errno; -ENODEV: there is no such interface.
 */
#ifndef BULKHEAD_RECOVERY_NET_NET_LINK_H
#define BULKHEAD_RECOVERY_NET_NET_LINK_H

#include "recovery/net/net_vif.h"

struct net_links;
int net_links_open(struct net_links **out);
void net_links_close(struct net_links *n); /* NULL is allowed */

struct net_link {
	int index, master; /* 0: none */
	unsigned mtu;
	int addr_gen; /* IN6_ADDR_GEN_MODE_...; -1: no IPv6 here */
	bool up;
	char type[16]; /* "tun", "bridge", "" ... */
};
int net_link_get(struct net_links *n, const char *dev, struct net_link *out);

/* -1, or 0 for mtu: stays as it is. master: an interface's index; 0: of none. */
struct net_link_change {
	int up, addr_gen, master;
	unsigned mtu;
};
#define NET_LINK_KEEP ((struct net_link_change){-1, -1, -1, 0})
int net_link_change(struct net_links *n, const char *dev, const struct net_link_change *c);
/* Only if it is a tap. */
int net_link_remove(struct net_links *n, const char *dev);

/* Without the time in which IPv6 looks for duplicates. */
int net_addr_add(struct net_links *n, const char *dev, const struct net_ip *ip);
int net_addr_remove(struct net_links *n, const char *dev, const struct net_ip *ip);
/* All of dev. */
int net_addr_flush(struct net_links *n, const char *dev);
/* The first IPv4 address of dev. -ENOENT: it has none. */
int net_addr_first(struct net_links *n, const char *dev, struct net_ip *out);

/* On the link, in the main table. src may be NULL. -EEXIST: the same goes somewhere else already. */
int net_route_add(struct net_links *n, const char *dev, const struct net_ip *dst, const struct net_ip *src, unsigned metric);
int net_route_remove(struct net_links *n, const char *dev, const struct net_ip *dst, unsigned metric);
/* The interface where packets to far away go. -ENETUNREACH. */
int net_route_out(struct net_links *n, int family, char dev[TAP_NAME_MAX]);

/* dev answers for ip (ARP, neighbour discovery). has: 1, 0. */
int net_proxy_add(struct net_links *n, const char *dev, const struct net_ip *ip);
int net_proxy_remove(struct net_links *n, const char *dev, const struct net_ip *ip);
int net_proxy_has(struct net_links *n, const char *dev, const struct net_ip *ip);

#endif
