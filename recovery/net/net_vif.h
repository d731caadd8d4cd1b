/* net_vif.h - how a vif is to be attached to this host's network. Pure.
 *
 * As "key=value" (bulkhead-vif, the record of what was done):
 *   mode=bridge|nat|route|openvswitch|script   script: somebody else attaches it, what is left is antispoof
 *   bridge=NAME           openvswitch: NAME[.TAG][:TRUNK:TRUNK...] as vif-openvswitch has it
 *   mac=XX:XX:XX:XX:XX:XX the guest's
 *   ip=ADDR[/LEN],...     the guest's addresses, IPv4 and IPv6; in route mode also networks behind it. Spaces do as well
 *   gatewaydev=DEV        nat, route: the way out; by default where the default route goes
 *   mtu=N  domid=N  handle=N  vm=NAME  uuid=UUID  antispoof=0|1
 */
#ifndef BULKHEAD_RECOVERY_NET_NET_VIF_H
#define BULKHEAD_RECOVERY_NET_NET_VIF_H

#include "recovery/net/tap.h"

#include <stdbool.h>

#define NET_IPS_MAX 16u
#define NET_TEXT_MAX 1536 /* of a vif as text */

enum net_mode { NET_NO_MODE, NET_BRIDGE, NET_NAT, NET_ROUTE, NET_OVS, NET_SCRIPT };

struct net_ip {
	int family; /* AF_INET, AF_INET6 */
	unsigned char addr[16];
	unsigned prefix;
};

struct net_vif {
	char dev[TAP_NAME_MAX];
	enum net_mode mode;
	char bridge[TAP_NAME_MAX];
	char vlans[128]; /* openvswitch: what stood behind the bridge's name: ".TAG:TRUNK..." or "" */
	unsigned char mac[6];
	bool has_mac, antispoof;
	struct net_ip ip[NET_IPS_MAX];
	unsigned nips;
	char gatewaydev[TAP_NAME_MAX];
	unsigned mtu, domid, handle;
	char vm[64], uuid[40];
};

/* Takes one key. 0, or -EINVAL with a line in err. */
int net_vif_set(struct net_vif *v, const char *key, const char *value, char *err, size_t size);
/* All keys are there: does it make sense? 0, or -EINVAL with a line in err. */
int net_vif_check(const struct net_vif *v, char *err, size_t size);
/* As text, the same for the same vif. text has NET_TEXT_MAX bytes. */
void net_vif_text(const struct net_vif *v, char *text);

/* "10.0.0.1/32" and without the length; text has NET_IP_TEXT bytes. */
#define NET_IP_TEXT 56
void net_ip_text(const struct net_ip *ip, char *text);
void net_ip_plain(const struct net_ip *ip, char *text);
/* One address, with or without "/LEN" (default: all of it). 0 or -EINVAL. */
int net_ip_parse(const char *text, struct net_ip *out);
/* The whole address, as if it had been written without a length. */
struct net_ip net_ip_host(const struct net_ip *ip);

#endif
