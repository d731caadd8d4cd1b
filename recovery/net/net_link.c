#include "recovery/net/net_link.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>

struct net_links {
	struct nl_sock *sk;
};

/* libnl has numbers of its own. */
static int to_errno(int rc)
{
	static const struct {
		int nl, own;
	} map[] = {{NLE_NODEV, -ENODEV}, {NLE_OBJ_NOTFOUND, -ENOENT}, {NLE_EXIST, -EEXIST}, {NLE_PERM, -EPERM}, {NLE_NOMEM, -ENOMEM},
		   {NLE_NOACCESS, -EACCES}, {NLE_NOADDR, -EADDRNOTAVAIL}, {NLE_BUSY, -EBUSY}, {NLE_OPNOTSUPP, -EOPNOTSUPP},
		   {NLE_RANGE, -ERANGE}, {NLE_FAILURE, -ESRCH}};

	if (rc >= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (map[i].nl == -rc)
			return map[i].own;
	return -EINVAL;
}

static int absent_is_fine(int rc)
{
	return rc == -ENOENT || rc == -ENODEV || rc == -EADDRNOTAVAIL || rc == -ESRCH ? 0 : rc;
}

int net_links_open(struct net_links **out)
{
	struct net_links *n = calloc(1, sizeof(*n));
	int rc;

	*out = NULL;
	if (!n)
		return -ENOMEM;
	n->sk = nl_socket_alloc();
	rc = n->sk ? to_errno(nl_connect(n->sk, NETLINK_ROUTE)) : -ENOMEM;
	if (rc) {
		net_links_close(n);
		return rc;
	}
	*out = n;
	return 0;
}

void net_links_close(struct net_links *n)
{
	if (!n)
		return;
	nl_socket_free(n->sk);
	free(n);
}

/* ---- interfaces */

static int get(struct net_links *n, const char *dev, struct rtnl_link **out)
{
	int rc = to_errno(rtnl_link_get_kernel(n->sk, 0, dev, out));

	return rc == -ENOENT ? -ENODEV : rc;
}

int net_link_get(struct net_links *n, const char *dev, struct net_link *out)
{
	struct rtnl_link *l;
	uint8_t mode;
	const char *type;
	int rc = get(n, dev, &l);

	memset(out, 0, sizeof(*out));
	if (rc)
		return rc;
	type = rtnl_link_get_type(l);
	out->index = rtnl_link_get_ifindex(l);
	out->master = rtnl_link_get_master(l);
	out->mtu = rtnl_link_get_mtu(l);
	out->up = rtnl_link_get_flags(l) & IFF_UP;
	out->addr_gen = rtnl_link_inet6_get_addr_gen_mode(l, &mode) == 0 ? mode : -1;
	strncpy(out->type, type ? type : "", sizeof(out->type) - 1);
	rtnl_link_put(l);
	return 0;
}

int net_link_change(struct net_links *n, const char *dev, const struct net_link_change *c)
{
	struct rtnl_link *l, *to = rtnl_link_alloc();
	int rc = to ? get(n, dev, &l) : -ENOMEM;

	if (rc) {
		rtnl_link_put(to);
		return rc;
	}
	rtnl_link_set_ifindex(to, rtnl_link_get_ifindex(l));
	if (c->mtu)
		rtnl_link_set_mtu(to, c->mtu);
	if (c->up == 1)
		rtnl_link_set_flags(to, IFF_UP);
	else if (c->up == 0)
		rtnl_link_unset_flags(to, IFF_UP);
	if (c->addr_gen >= 0)
		rc = to_errno(rtnl_link_inet6_set_addr_gen_mode(to, (uint8_t)c->addr_gen));
	if (!rc)
		rc = to_errno(rtnl_link_change(n->sk, l, to, 0));
	/* A message of its own, as ip(8) does it: the kernel takes a new master before it takes the flags. */
	if (!rc && c->master > 0)
		rc = to_errno(rtnl_link_enslave_ifindex(n->sk, c->master, rtnl_link_get_ifindex(l)));
	if (!rc && c->master == 0 && rtnl_link_get_master(l))
		rc = to_errno(rtnl_link_release_ifindex(n->sk, rtnl_link_get_ifindex(l)));
	rtnl_link_put(to);
	rtnl_link_put(l);
	return rc;
}

int net_link_remove(struct net_links *n, const char *dev)
{
	struct rtnl_link *l;
	const char *type;
	int rc = get(n, dev, &l);

	if (rc)
		return absent_is_fine(rc);
	type = rtnl_link_get_type(l);
	rc = type && strcmp(type, "tun") == 0 ? absent_is_fine(to_errno(rtnl_link_delete(n->sk, l))) : -EBUSY;
	rtnl_link_put(l);
	return rc;
}

/* ---- addresses */

static struct nl_addr *make_addr(const struct net_ip *ip)
{
	struct nl_addr *a = nl_addr_build(ip->family, ip->addr, ip->family == AF_INET6 ? 16 : 4);

	if (a)
		nl_addr_set_prefixlen(a, (int)ip->prefix);
	return a;
}

static struct rtnl_addr *make_local(const char *dev, const struct net_ip *ip)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = make_addr(ip);

	if (!a || !local || rtnl_addr_set_local(a, local)) {
		rtnl_addr_put(a);
		a = NULL;
	}
	nl_addr_put(local);
	if (!a)
		return NULL;
	rtnl_addr_set_ifindex(a, (int)if_nametoindex(dev));
	if (ip->family == AF_INET6)
		rtnl_addr_set_flags(a, IFA_F_NODAD);
	return a;
}

int net_addr_add(struct net_links *n, const char *dev, const struct net_ip *ip)
{
	struct rtnl_addr *a = make_local(dev, ip);
	int rc = a ? to_errno(rtnl_addr_add(n->sk, a, 0)) : -ENOMEM;

	rtnl_addr_put(a);
	return rc == -EEXIST ? 0 : rc;
}

int net_addr_remove(struct net_links *n, const char *dev, const struct net_ip *ip)
{
	struct rtnl_addr *a;
	int rc;

	if (!if_nametoindex(dev))
		return 0;
	a = make_local(dev, ip);
	rc = a ? to_errno(rtnl_addr_delete(n->sk, a, 0)) : -ENOMEM;
	rtnl_addr_put(a);
	return absent_is_fine(rc);
}

static int addresses(struct net_links *n, struct nl_cache **out) { return to_errno(rtnl_addr_alloc_cache(n->sk, out)); }

int net_addr_flush(struct net_links *n, const char *dev)
{
	struct nl_cache *all;
	int index = (int)if_nametoindex(dev), rc = addresses(n, &all);

	if (rc)
		return rc;
	for (struct nl_object *o = nl_cache_get_first(all); o && !rc; o = nl_cache_get_next(o))
		if (rtnl_addr_get_ifindex((struct rtnl_addr *)o) == index)
			rc = absent_is_fine(to_errno(rtnl_addr_delete(n->sk, (struct rtnl_addr *)o, 0)));
	nl_cache_free(all);
	return rc;
}

int net_addr_first(struct net_links *n, const char *dev, struct net_ip *out)
{
	struct nl_cache *all;
	int index = (int)if_nametoindex(dev), rc = addresses(n, &all);

	if (rc)
		return rc;
	rc = -ENOENT;
	for (struct nl_object *o = nl_cache_get_first(all); o && rc; o = nl_cache_get_next(o)) {
		struct rtnl_addr *a = (struct rtnl_addr *)o;

		if (rtnl_addr_get_ifindex(a) != index || rtnl_addr_get_family(a) != AF_INET)
			continue;
		*out = (struct net_ip){.family = AF_INET, .prefix = 32};
		memcpy(out->addr, nl_addr_get_binary_addr(rtnl_addr_get_local(a)), 4);
		rc = 0;
	}
	nl_cache_free(all);
	return rc;
}

/* ---- routes */

static struct rtnl_route *make_route(const char *dev, const struct net_ip *dst, const struct net_ip *src, unsigned metric)
{
	struct rtnl_route *r = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *to = make_addr(dst), *from = src ? make_addr(src) : NULL;
	bool ok = r && hop && to && (!src || from) && rtnl_route_set_dst(r, to) == 0;

	if (ok && from)
		ok = rtnl_route_set_pref_src(r, from) == 0;
	nl_addr_put(to);
	nl_addr_put(from);
	if (!ok) {
		rtnl_route_nh_free(hop);
		rtnl_route_put(r);
		return NULL;
	}
	rtnl_route_nh_set_ifindex(hop, (int)if_nametoindex(dev));
	rtnl_route_add_nexthop(r, hop);
	rtnl_route_set_priority(r, metric);
	rtnl_route_set_table(r, RT_TABLE_MAIN);
	rtnl_route_set_protocol(r, RTPROT_BOOT);
	rtnl_route_set_scope(r, dst->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
	return r;
}

int net_route_add(struct net_links *n, const char *dev, const struct net_ip *dst, const struct net_ip *src, unsigned metric)
{
	struct rtnl_route *r = make_route(dev, dst, src, metric);
	int rc = r ? to_errno(rtnl_route_add(n->sk, r, NLM_F_EXCL)) : -ENOMEM;

	if (rc == -EEXIST && rtnl_route_delete(n->sk, r, 0) == 0) /* only if it is dev's */
		rc = to_errno(rtnl_route_add(n->sk, r, NLM_F_EXCL));
	rtnl_route_put(r);
	return rc;
}

int net_route_remove(struct net_links *n, const char *dev, const struct net_ip *dst, unsigned metric)
{
	struct rtnl_route *r;
	int rc;

	if (!if_nametoindex(dev))
		return 0;
	r = make_route(dev, dst, NULL, metric);
	rc = r ? to_errno(rtnl_route_delete(n->sk, r, 0)) : -ENOMEM;
	rtnl_route_put(r);
	return absent_is_fine(rc);
}

int net_route_out(struct net_links *n, int family, char dev[TAP_NAME_MAX])
{
	/* Of the networks for documentation, which nobody has a route to of its own. */
	const char *far = family == AF_INET6 ? "2001:db8::1" : "192.0.2.1";
	struct net_ip ip;
	struct rtnl_route *r = NULL;
	struct nl_addr *a;
	int rc;

	net_ip_parse(far, &ip);
	a = make_addr(&ip);
	rc = a ? rtnl_route_lookup(n->sk, a, &r) : -NLE_NOMEM;
	nl_addr_put(a);
	if (rc < 0 || !r || rtnl_route_get_nnexthops(r) == 0) {
		rtnl_route_put(r);
		return -ENETUNREACH;
	}
	rc = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(r, 0));
	rtnl_route_put(r);
	return if_indextoname((unsigned)rc, dev) && strcmp(dev, "lo") != 0 ? 0 : -ENETUNREACH;
}

/* ---- proxy neighbours */

static struct rtnl_neigh *make_proxy(const char *dev, const struct net_ip *ip)
{
	struct rtnl_neigh *e = rtnl_neigh_alloc();
	struct net_ip host = net_ip_host(ip);
	struct nl_addr *a = make_addr(&host);

	if (e && a && rtnl_neigh_set_dst(e, a) == 0) {
		rtnl_neigh_set_ifindex(e, (int)if_nametoindex(dev));
		rtnl_neigh_set_flags(e, NTF_PROXY);
	} else {
		rtnl_neigh_put(e);
		e = NULL;
	}
	nl_addr_put(a);
	return e;
}

int net_proxy_add(struct net_links *n, const char *dev, const struct net_ip *ip)
{
	struct rtnl_neigh *e = make_proxy(dev, ip);
	int rc = e ? to_errno(rtnl_neigh_add(n->sk, e, NLM_F_CREATE)) : -ENOMEM;

	rtnl_neigh_put(e);
	return rc == -EEXIST ? 0 : rc;
}

int net_proxy_remove(struct net_links *n, const char *dev, const struct net_ip *ip)
{
	struct rtnl_neigh *e;
	int rc;

	if (!if_nametoindex(dev))
		return 0;
	e = make_proxy(dev, ip);
	rc = e ? to_errno(rtnl_neigh_delete(n->sk, e, 0)) : -ENOMEM;
	rtnl_neigh_put(e);
	return absent_is_fine(rc);
}

struct sought {
	const struct net_ip *ip;
	int index, found;
};

static int look(struct nl_msg *m, void *arg)
{
	struct sought *s = arg;
	struct ndmsg *d = nlmsg_data(nlmsg_hdr(m));
	struct nlattr *dst = nlmsg_find_attr(nlmsg_hdr(m), sizeof(*d), NDA_DST);
	int len = s->ip->family == AF_INET6 ? 16 : 4;

	if (d->ndm_flags & NTF_PROXY && d->ndm_ifindex == s->index && dst && nla_len(dst) == len &&
	    memcmp(nla_data(dst), s->ip->addr, (size_t)len) == 0)
		s->found = 1;
	return NL_OK;
}

int net_proxy_has(struct net_links *n, const char *dev, const struct net_ip *ip)
{
	struct ndmsg d = {.ndm_family = (unsigned char)ip->family, .ndm_flags = NTF_PROXY};
	struct sought s = {ip, (int)if_nametoindex(dev), 0};
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = cb ? nl_send_simple(n->sk, RTM_GETNEIGH, NLM_F_DUMP, &d, sizeof(d)) : -NLE_NOMEM;

	if (rc >= 0) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, look, &s);
		rc = nl_recvmsgs(n->sk, cb);
	}
	nl_cb_put(cb);
	return rc < 0 ? to_errno(rc) : s.found;
}
