#include "recovery/net/net_attach.h"

#include "recovery/net/net_make.h"
#include "ring/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define METRIC 2u /* as vif-route's */
#define PATH_MAX_LEN 128

static const struct net_ip gateway6 = {.family = AF_INET6, .addr = {0xfe, 0x80, [15] = 1}, .prefix = 64};

/* ---- what nat and route have in common */

static int dev_sysctl(struct net_job *j, const char *group, const char *name, const char *value)
{
	char path[PATH_MAX_LEN];

	snprintf(path, sizeof(path), "net/%s/%s/%s", group, j->vif->dev, name);
	return net_make_sysctl(j, path, value, true);
}

/* This host answers ARP for everybody else, and at once. */
static int answer_guest(struct net_job *j)
{
	int rc = dev_sysctl(j, "ipv4/conf", "proxy_arp", "1");

	return rc ? rc : dev_sysctl(j, "ipv4/neigh", "proxy_delay", "0");
}

/* Forwarding, for all of the host. A host that forwards IPv6 no longer hears its routers, and forgets its default route, unless it
 * is told to go on listening on the interface in question. */
static int forwarding(struct net_job *j, int family, const char *out)
{
	char path[PATH_MAX_LEN];
	int rc;

	if (family == AF_INET)
		return net_make_sysctl(j, "net/ipv4/ip_forward", "1", false);
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/accept_ra", out);
	if (out[0] && net_sysctl_get(path) == 1) {
		rc = net_make_sysctl(j, path, "2", false);
		if (rc)
			return rc;
	}
	return net_make_sysctl(j, "net/ipv6/conf/all/forwarding", "1", false);
}

/* The way out: as given, or by the default route; "" when there is none. */
static void way_out(const struct net_job *j, int family, char out[TAP_NAME_MAX])
{
	if (j->vif->gatewaydev[0])
		strcpy(out, j->vif->gatewaydev);
	else if (net_route_out(j->links, family, out))
		out[0] = '\0';
}

/* When it is first asked for: what is attached stays so when the way out goes, and may be attached again. */
static int check_way_out(const struct net_job *j)
{
	const struct net_vif *v = j->vif;
	struct net_link out;

	if ((v->mode == NET_NAT || v->mode == NET_ROUTE) && v->gatewaydev[0] && net_link_get(j->links, v->gatewaydev, &out) == -ENODEV)
		return err_say(j->err, j->size, -ENODEV, "%s: there is no interface %s, which is to lead out (gatewaydev=)", v->dev, v->gatewaydev);
	return 0;
}

static bool has(const struct net_vif *v, int family)
{
	for (unsigned i = 0; i < v->nips; i++)
		if (v->ip[i].family == family)
			return true;
	return false;
}

/* The gateway's address on the interface, and routes to the guest's. gateway: IPv4; that of IPv6 is fe80::1. */
static int reach_guest(struct net_job *j, const struct net_ip *gateway, unsigned metric)
{
	const struct net_vif *v = j->vif;
	int rc = 0;

	if (has(v, AF_INET)) {
		rc = net_make_addr(j, gateway);
		if (!rc)
			rc = answer_guest(j);
	}
	if (!rc && has(v, AF_INET6)) {
		rc = dev_sysctl(j, "ipv6/conf", "disable_ipv6", "0");
		if (rc == -ENOENT)
			return net_fail(j, -EAFNOSUPPORT, "this host has no IPv6");
		if (!rc)
			rc = net_make_addr(j, &gateway6);
	}
	for (unsigned i = 0; i < v->nips && !rc; i++)
		rc = net_make_route(j, &v->ip[i], v->ip[i].family == AF_INET ? gateway : NULL, metric);
	return rc;
}

/* ---- modes */

/* vif-nat's: 10.DOMID.HANDLE+1 and, for IPv6, the same in a network of our own. */
static void default_ips(struct net_vif *v)
{
	const unsigned host = v->handle + 1;

	v->ip[0] = (struct net_ip){.family = AF_INET, .prefix = 32,
				   .addr = {10, (unsigned char)(v->domid >> 8), (unsigned char)v->domid, (unsigned char)host}};
	v->ip[1] = (struct net_ip){.family = AF_INET6, .prefix = 128,
				   .addr = {0xfd, 'b', 'u', 'l', 'k', 'h', (unsigned char)(v->domid >> 8), (unsigned char)v->domid,
					    [14] = (unsigned char)(host >> 8), [15] = (unsigned char)host}};
	v->nips = net_sysctl_get("net/ipv6/conf/all/forwarding") < 0 ? 1 : 2;
}

/* vif-nat's as well: 127 further on; kept within the byte. */
static struct net_ip nat_gateway(const struct net_vif *v)
{
	struct net_ip gw = {0};

	for (unsigned i = 0; i < v->nips && !gw.family; i++)
		if (v->ip[i].family == AF_INET)
			gw = net_ip_host(&v->ip[i]);
	gw.addr[3] = (unsigned char)(gw.addr[3] + 127 > 254 ? gw.addr[3] - 127 : gw.addr[3] + 127);
	return gw;
}

static int attach_nat(struct net_job *j, struct net_result *out)
{
	const struct net_vif *v = j->vif;
	struct net_ip gateway = nat_gateway(v);
	char dev[TAP_NAME_MAX], through[TAP_NAME_MAX + 8];
	int rc = net_make_bare(j);

	if (!rc)
		rc = net_make_up(j);
	if (!rc)
		rc = reach_guest(j, &gateway, 0);
	for (unsigned i = 0; i < 2 && !rc; i++) {
		int family = i ? AF_INET6 : AF_INET;

		way_out(j, family, dev);
		rc = has(v, family) ? forwarding(j, family, dev) : 0;
	}
	if (v->gatewaydev[0])
		snprintf(through, sizeof(through), "\"%s\"", v->gatewaydev);
	else
		strcpy(through, "!= \"vif*\""); /* guests among themselves need none */
	out->gateway[0] = gateway;
	return rc ? rc : net_make_masquerade(j, v->ip, v->nips, through);
}

/* The networks around the way out find the guest's addresses there. */
static int answer_for_guest(struct net_job *j, const char *out, int family)
{
	const struct net_vif *v = j->vif;
	char path[PATH_MAX_LEN];
	int rc = 0;

	if (!out[0])
		return 0;
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/proxy_ndp", out);
	if (family == AF_INET6)
		rc = net_make_sysctl(j, path, "1", false);
	for (unsigned i = 0; i < v->nips && !rc; i++)
		if (v->ip[i].family == family && v->ip[i].prefix == net_ip_host(&v->ip[i]).prefix)
			rc = net_make_proxy(j, out, &v->ip[i]);
	return rc;
}

static int attach_route(struct net_job *j, struct net_result *out)
{
	const struct net_vif *v = j->vif;
	char dev[2][TAP_NAME_MAX];
	struct net_ip gateway = {0};
	int rc;

	way_out(j, AF_INET, dev[0]);
	way_out(j, AF_INET6, dev[1]);
	if (has(v, AF_INET) && (!dev[0][0] || net_addr_first(j->links, dev[0], &gateway)))
		return err_say(j->err, j->size, -ENETUNREACH, "%s: %s has no IPv4 address: name another with gatewaydev=", v->dev,
			       dev[0][0] ? dev[0] : "no interface leads out of here, or it");
	rc = net_make_bare(j);
	if (!rc)
		rc = net_make_up(j);
	if (!rc)
		rc = reach_guest(j, &gateway, METRIC);
	for (unsigned i = 0; i < 2 && !rc; i++) {
		int family = i ? AF_INET6 : AF_INET;

		rc = has(v, family) ? forwarding(j, family, dev[i]) : 0;
		if (!rc && has(v, family))
			rc = answer_for_guest(j, dev[i], family);
	}
	out->gateway[0] = gateway;
	return rc;
}

static int attach_switch(struct net_job *j)
{
	const struct net_vif *v = j->vif;
	struct net_link bridge;
	int rc = net_make_bare(j);

	if (!rc && !v->mtu && net_link_get(j->links, v->bridge, &bridge) == 0)
		rc = net_make_mtu(j, bridge.mtu);
	if (!rc)
		rc = v->mode == NET_BRIDGE ? net_make_master(j, v->bridge) : net_make_ovs(j);
	return rc ? rc : net_make_up(j);
}

/* ---- the whole */

static void mask(struct net_ip *ip)
{
	for (unsigned b = 0; b < 16; b++) {
		unsigned bits = ip->prefix > 8 * b ? MIN(ip->prefix - 8 * b, 8u) : 0;

		ip->addr[b] &= (unsigned char)(0xff00u >> bits);
	}
}

/* As it is made: a length means a network in route mode only; elsewhere it is the guest's mask. */
static void settle(struct net_vif *v)
{
	for (unsigned i = 0; i < v->nips; i++)
		if (v->mode == NET_ROUTE)
			mask(&v->ip[i]);
		else
			v->ip[i] = net_ip_host(&v->ip[i]);
	if (v->mode == NET_NAT && !v->nips)
		default_ips(v);
}

static void report(struct net_job *j, struct net_result *out)
{
	struct net_link now;

	if (net_link_get(j->links, j->vif->dev, &now) == 0)
		out->mtu = now.mtu;
	for (unsigned i = j->vif->nips; i-- > 0;)
		out->guest[j->vif->ip[i].family == AF_INET6] = j->vif->ip[i];
	out->gateway[1] = gateway6;
	for (unsigned i = 0; i < 2; i++)
		if (!out->guest[i].family || (j->vif->mode != NET_NAT && j->vif->mode != NET_ROUTE))
			out->gateway[i].family = 0;
}

static int make(struct net_job *j, struct net_result *out)
{
	const struct net_vif *v = j->vif;
	struct net_link now;
	int rc = net_fail(j, net_link_get(j->links, v->dev, &now), "it can't be looked at");

	if (!rc && v->mtu)
		rc = net_make_mtu(j, v->mtu);
	if (!rc && v->antispoof && v->mode != NET_OVS)
		rc = net_make_antispoof(j);
	if (rc)
		return rc;
	if (v->mode == NET_NAT)
		rc = attach_nat(j, out);
	else if (v->mode == NET_ROUTE)
		rc = attach_route(j, out);
	else if (v->mode != NET_SCRIPT)
		rc = attach_switch(j);
	return net_fail(j, rc, "it can't be attached");
}

static int begin(struct net_job *j, const char *dir, const char *dev, bool create)
{
	int rc = net_state_open(dir, dev, create, &j->state);

	if (!rc)
		rc = net_links_open(&j->links);
	return rc;
}

static void end(struct net_job *j)
{
	net_links_close(j->links);
	net_state_close(j->state);
}

/* All but, if it is to stay, the tap. */
struct undoing {
	struct net_job *job;
	bool keep_tap, kept;
};

static int undo(void *arg, const char *key, const char *value)
{
	struct undoing *u = arg;

	if (!u->keep_tap || strcmp(key, "tap") != 0)
		return net_undo(u->job, key, value);
	u->kept = true;
	return -EBUSY;
}

static int undo_all(struct net_job *j, bool keep_tap)
{
	struct undoing u = {j, keep_tap, false};
	int rc = net_state_undo(j->state, undo, &u);

	return u.kept && rc == -EBUSY ? 0 : rc;
}

int net_tap_make(const char *dir, const struct tap_conf *c, int *fd, char *err, size_t size)
{
	struct net_state *s;
	int rc = tap_name_ok(c->name) ? net_state_open(dir, c->name, true, &s) : -EINVAL;

	if (rc)
		return err_say(err, size, rc, "%.32s: %s: %s", c->name, dir, err_str(rc));
	rc = net_state_add(s, "tap", "");
	if (rc)
		err_say(err, size, rc, "%s: its record can't be written: %s", c->name, err_str(rc));
	else
		rc = tap_make(c, fd, err, size);
	net_state_close(s);
	return rc;
}

int net_attach(const char *dir, const struct net_vif *asked, struct net_result *out, char *err, size_t size)
{
	struct net_vif v = *asked;
	struct net_job j = {.vif = &v, .err = err, .size = size};
	char text[NET_TEXT_MAX];
	const char *before;
	int rc;

	memset(out, 0, sizeof(*out));
	if (size)
		err[0] = '\0';
	rc = net_vif_check(asked, err, size);
	if (rc)
		return rc;
	settle(&v);
	net_vif_text(&v, text);
	rc = begin(&j, dir, v.dev, true);
	before = rc ? NULL : net_state_get(j.state, "config");
	if (!rc && (!before || strcmp(before, text) != 0))
		rc = check_way_out(&j);
	if (!rc && before && strcmp(before, text) != 0)
		rc = undo_all(&j, true);
	if (!rc)
		rc = net_state_add(j.state, "config", text);
	if (!rc)
		rc = make(&j, out);
	if (!rc)
		report(&j, out);
	net_fail(&j, rc, dir);
	end(&j);
	return rc;
}

int net_detach(const char *dir, const char *dev, bool keep_tap, char *err, size_t size)
{
	struct net_vif v = {0};
	struct net_job j = {.vif = &v, .err = err, .size = size};
	int rc;

	if (size)
		err[0] = '\0';
	if (!tap_name_ok(dev))
		return err_say(err, size, -EINVAL, "\"%.32s\" is no name of an interface", dev);
	strcpy(v.dev, dev);
	rc = begin(&j, dir, dev, false);
	if (!rc)
		rc = undo_all(&j, keep_tap);
	else if (rc == -ENOENT)
		rc = 0;
	net_fail(&j, rc, dir);
	end(&j);
	return rc;
}
