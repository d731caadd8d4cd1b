#include "recovery/net/net_vif.h"

#include "ring/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {[NET_BRIDGE] = "bridge",  [NET_NAT] = "nat", [NET_ROUTE] = "route", [NET_OVS] = "openvswitch",
				    [NET_SCRIPT] = "script"};

int net_ip_parse(const char *text, struct net_ip *out)
{
	char addr[NET_IP_TEXT], *end;
	size_t len = strcspn(text, "/");
	unsigned long prefix, most;

	memset(out, 0, sizeof(*out));
	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	out->family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(out->family, addr, out->addr) != 1)
		return -EINVAL;
	most = out->family == AF_INET6 ? 128 : 32;
	prefix = most;
	if (text[len] == '/') {
		prefix = strtoul(text + len + 1, &end, 10);
		if (end == text + len + 1 || *end || prefix == 0 || prefix > most)
			return -EINVAL;
	}
	out->prefix = (unsigned)prefix;
	return 0;
}

void net_ip_plain(const struct net_ip *ip, char *text) { inet_ntop(ip->family, ip->addr, text, NET_IP_TEXT); }

void net_ip_text(const struct net_ip *ip, char *text)
{
	net_ip_plain(ip, text);
	snprintf(text + strlen(text), NET_IP_TEXT - strlen(text), "/%u", ip->prefix);
}

struct net_ip net_ip_host(const struct net_ip *ip)
{
	struct net_ip host = *ip;

	host.prefix = ip->family == AF_INET6 ? 128 : 32;
	return host;
}

static int set_mode(struct net_vif *v, const char *value)
{
	for (unsigned m = NET_BRIDGE; m < ARRAY_LEN(modes); m++)
		if (strcmp(modes[m], value) == 0) {
			v->mode = (enum net_mode)m;
			return 0;
		}
	return -EINVAL;
}

/* The rest is digits, dots and colons: it goes to ovs-vsctl. */
static int set_bridge(struct net_vif *v, const char *value)
{
	size_t name = strcspn(value, ".:"), rest = strlen(value + name);

	if (name == 0 || name >= sizeof(v->bridge) || rest >= sizeof(v->vlans) || strspn(value + name, ".:0123456789") != rest)
		return -EINVAL;
	memcpy(v->bridge, value, name);
	v->bridge[name] = '\0';
	strcpy(v->vlans, value + name);
	return tap_name_ok(v->bridge) ? 0 : -EINVAL;
}

static int set_mac(struct net_vif *v, const char *value)
{
	unsigned m[6];
	int n = 0;

	if (sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &n) != 6 || value[n] || m[0] & 1)
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++)
		v->mac[i] = (unsigned char)m[i];
	v->has_mac = true;
	return 0;
}

static int set_ips(struct net_vif *v, const char *value)
{
	char list[1024], *save, *one;

	if (strlen(value) >= sizeof(list))
		return -EINVAL;
	strcpy(list, value);
	for (one = strtok_r(list, ", ", &save); one; one = strtok_r(NULL, ", ", &save)) {
		if (v->nips == NET_IPS_MAX || net_ip_parse(one, &v->ip[v->nips]))
			return -EINVAL;
		v->nips++;
	}
	return 0;
}

static int set_number(unsigned *n, const char *value, unsigned long most)
{
	char *end;
	unsigned long x = strtoul(value, &end, 10);

	if (end == value || *end || value[0] == '-' || x > most)
		return -EINVAL;
	*n = (unsigned)x;
	return 0;
}

/* It goes to ovs-vsctl and into the record: no quotes, no controls. */
static int set_text(char *to, size_t size, const char *value)
{
	size_t len = strlen(value);

	if (len >= size)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (value[i] < '!' || value[i] > '~' || strchr("\"'\\", value[i]))
			return -EINVAL;
	strcpy(to, value);
	return 0;
}

static int set_dev(char *to, const char *value)
{
	if (!tap_name_ok(value))
		return -EINVAL;
	strcpy(to, value);
	return 0;
}

int net_vif_set(struct net_vif *v, const char *key, const char *value, char *err, size_t size)
{
	unsigned yes;
	int rc;

	if (strcmp(key, "mode") == 0)
		rc = set_mode(v, value);
	else if (strcmp(key, "bridge") == 0)
		rc = set_bridge(v, value);
	else if (strcmp(key, "mac") == 0)
		rc = set_mac(v, value);
	else if (strcmp(key, "ip") == 0)
		rc = set_ips(v, value);
	else if (strcmp(key, "gatewaydev") == 0)
		rc = set_dev(v->gatewaydev, value);
	else if (strcmp(key, "mtu") == 0)
		rc = set_number(&v->mtu, value, 65535);
	else if (strcmp(key, "domid") == 0)
		rc = set_number(&v->domid, value, 65535);
	else if (strcmp(key, "handle") == 0)
		rc = set_number(&v->handle, value, 65535);
	else if (strcmp(key, "vm") == 0)
		rc = set_text(v->vm, sizeof(v->vm), value);
	else if (strcmp(key, "uuid") == 0)
		rc = set_text(v->uuid, sizeof(v->uuid), value);
	else if (strcmp(key, "antispoof") == 0) {
		rc = set_number(&yes, value, 1);
		v->antispoof = !rc && yes;
	} else
		return err_say(err, size, -EINVAL, "\"%.32s\" is no option of a vif", key);
	return rc ? err_say(err, size, rc, "%s=%.80s is not understood", key, value) : 0;
}

int net_vif_check(const struct net_vif *v, char *err, size_t size)
{
	if (!tap_name_ok(v->dev))
		return err_say(err, size, -EINVAL, "\"%.32s\" is no name of an interface", v->dev);
	if (v->mode == NET_NO_MODE)
		return err_say(err, size, -EINVAL, "%s: mode=bridge, nat, route or openvswitch is missing", v->dev);
	if ((v->mode == NET_BRIDGE || v->mode == NET_OVS) && !v->bridge[0])
		return err_say(err, size, -EINVAL, "%s: bridge=NAME is missing", v->dev);
	if (v->mode != NET_OVS && v->vlans[0])
		return err_say(err, size, -EINVAL, "%s: bridge=%s%s: VLANs are for openvswitch", v->dev, v->bridge, v->vlans);
	if (v->mode == NET_ROUTE && !v->nips)
		return err_say(err, size, -EINVAL, "%s: mode=route needs ip=, the guest's addresses", v->dev);
	if (v->antispoof && !v->has_mac)
		return err_say(err, size, -EINVAL, "%s: antispoof=1 needs mac=", v->dev);
	if (v->mtu && v->mtu < 68)
		return err_say(err, size, -EINVAL, "%s: mtu=%u is too small", v->dev, v->mtu);
	return 0;
}

static void PRINTF_LIKE(2, 3) add(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, NET_TEXT_MAX - len, fmt, ap);
	va_end(ap);
}

void net_vif_text(const struct net_vif *v, char *text)
{
	char ip[NET_IP_TEXT];

	text[0] = '\0';
	add(text, "mode=%s", modes[v->mode] ? modes[v->mode] : "none");
	if (v->bridge[0])
		add(text, " bridge=%s%s", v->bridge, v->vlans);
	if (v->has_mac)
		add(text, " mac=%02x:%02x:%02x:%02x:%02x:%02x", v->mac[0], v->mac[1], v->mac[2], v->mac[3], v->mac[4], v->mac[5]);
	for (unsigned i = 0; i < v->nips; i++) {
		net_ip_text(&v->ip[i], ip);
		add(text, "%s%s", i ? "," : " ip=", ip);
	}
	if (v->gatewaydev[0])
		add(text, " gatewaydev=%s", v->gatewaydev);
	add(text, " mtu=%u domid=%u handle=%u antispoof=%d", v->mtu, v->domid, v->handle, v->antispoof);
	if (v->vm[0])
		add(text, " vm=%s", v->vm);
	if (v->uuid[0])
		add(text, " uuid=%s", v->uuid);
}
