#include "recovery/net/net_make.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_MAX 256

int net_fail(const struct net_job *j, int rc, const char *what)
{
	if (rc >= 0 || (j->size && j->err[0]))
		return rc;
	return err_say(j->err, j->size, rc, "%s: %s: %s", j->vif->dev, what, err_str(rc));
}

static int record(struct net_job *j, const char *key, const char *value)
{
	return net_fail(j, net_state_add(j->state, key, value), "its record can't be written");
}

static int mark(struct net_job *j, const char *key) { return record(j, key, ""); }

static int record_number(struct net_job *j, const char *key, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return record(j, key, text);
}

static int change(struct net_job *j, const struct net_link_change *c, const char *what)
{
	return net_fail(j, net_link_change(j->links, j->vif->dev, c), what);
}

static int look(struct net_job *j, struct net_link *out)
{
	return net_fail(j, net_link_get(j->links, j->vif->dev, out), "it can't be looked at");
}

int net_make_mtu(struct net_job *j, unsigned mtu)
{
	struct net_link_change c = NET_LINK_KEEP;
	struct net_link now;
	int rc = look(j, &now);

	if (rc || now.mtu == mtu)
		return rc;
	rc = record_number(j, "mtu", now.mtu);
	c.mtu = mtu;
	return rc ? rc : change(j, &c, "its MTU can't be set");
}

int net_make_bare(struct net_job *j)
{
	struct net_link_change c = NET_LINK_KEEP;
	struct net_link now;
	int rc = look(j, &now);

	if (!rc && now.addr_gen >= 0 && now.addr_gen != IN6_ADDR_GEN_MODE_NONE) {
		c.addr_gen = IN6_ADDR_GEN_MODE_NONE;
		rc = record_number(j, "addrgen", (unsigned)now.addr_gen);
		if (!rc)
			rc = change(j, &c, "IPv6 can't be kept from it");
	}
	if (rc || net_state_get(j->state, "up")) /* what it has now we gave it */
		return rc;
	return net_fail(j, net_addr_flush(j->links, j->vif->dev), "its addresses can't be taken away");
}

int net_make_master(struct net_job *j, const char *bridge)
{
	struct net_link_change c = NET_LINK_KEEP;
	struct net_link b, now;
	int rc = net_link_get(j->links, bridge, &b);

	if (rc == -ENODEV || (!rc && strcmp(b.type, "bridge") != 0))
		return err_say(j->err, j->size, -ENODEV, "%s: there is no bridge %s", j->vif->dev, bridge);
	if (!rc)
		rc = look(j, &now);
	if (rc || now.master == b.index)
		return net_fail(j, rc, bridge);
	rc = mark(j, "master");
	c.master = b.index;
	return rc ? rc : change(j, &c, "it can't be put into its bridge");
}

int net_make_up(struct net_job *j)
{
	struct net_link_change c = NET_LINK_KEEP;
	int rc = mark(j, "up");

	c.up = 1;
	return rc ? rc : change(j, &c, "it can't be brought up");
}

int net_make_addr(struct net_job *j, const struct net_ip *ip)
{
	char key[KEY_MAX], text[NET_IP_TEXT];
	int rc;

	net_ip_text(ip, text);
	snprintf(key, sizeof(key), "addr %s", text);
	rc = mark(j, key);
	return rc ? rc : net_fail(j, net_addr_add(j->links, j->vif->dev, ip), key);
}

int net_make_route(struct net_job *j, const struct net_ip *dst, const struct net_ip *src, unsigned metric)
{
	char key[KEY_MAX], text[NET_IP_TEXT];
	int rc;

	net_ip_text(dst, text);
	snprintf(key, sizeof(key), "route %s %u", text, metric);
	rc = mark(j, key);
	if (rc)
		return rc;
	rc = net_route_add(j->links, j->vif->dev, dst, src, metric);
	if (rc == -EEXIST)
		return err_say(j->err, j->size, rc, "%s: %s is reached by another interface already", j->vif->dev, text);
	return net_fail(j, rc, key);
}

int net_make_proxy(struct net_job *j, const char *dev, const struct net_ip *ip)
{
	char key[KEY_MAX], text[NET_IP_TEXT];
	int rc;

	net_ip_plain(ip, text);
	snprintf(key, sizeof(key), "proxy %s %s", dev, text);
	if (!net_state_get(j->state, key) && net_proxy_has(j->links, dev, ip) == 1)
		return 0; /* somebody else's */
	rc = mark(j, key);
	return rc ? rc : net_fail(j, net_proxy_add(j->links, dev, ip), key);
}

/* ---- /proc/sys */

static int sysctl_read(const char *path, char *value, size_t size)
{
	char full[KEY_MAX + 16];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, value, size - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	value[n] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

static int sysctl_write(const char *path, const char *value)
{
	char full[KEY_MAX + 16];
	int fd, rc;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int net_sysctl_get(const char *path)
{
	char value[32];

	return sysctl_read(path, value, sizeof(value)) ? -1 : atoi(value);
}

int net_make_sysctl(struct net_job *j, const char *path, const char *value, bool own)
{
	char key[KEY_MAX], old[64];
	int rc = sysctl_read(path, old, sizeof(old));

	if (rc)
		return rc == -ENOENT ? rc : net_fail(j, rc, path);
	snprintf(key, sizeof(key), "%s %s", own ? "sysctl" : "share", path);
	if (!own)
		rc = mark(j, key); /* also when it is set already: it must stay so while this vif is here */
	if (rc || strcmp(old, value) == 0)
		return rc;
	rc = own ? record(j, key, old) : net_fail(j, net_shared_add(j->state, path, old), "its record can't be written");
	return rc ? rc : net_fail(j, sysctl_write(path, value), path);
}

/* ---- undo */

static int undo_sysctl(const char *path, const char *old)
{
	int rc = sysctl_write(path, old);

	return rc == -ENOENT ? 0 : rc; /* with its interface */
}

static int undo_share(struct net_job *j, const char *key, const char *path)
{
	const char *old = net_shared_get(j->state, path);
	int rc;

	if (!old || net_state_others(j->state, key))
		return 0;
	rc = undo_sysctl(path, old);
	return rc ? rc : net_shared_forget(j->state, path);
}

static int undo_link(struct net_job *j, struct net_link_change c)
{
	int rc = net_link_change(j->links, j->vif->dev, &c);

	return rc == -ENODEV ? 0 : rc;
}

static int undo_number(struct net_job *j, const char *key, const char *value)
{
	struct net_link_change c = NET_LINK_KEEP;

	if (strcmp(key, "mtu") == 0)
		c.mtu = (unsigned)atoi(value);
	else if (strcmp(key, "addrgen") == 0)
		c.addr_gen = atoi(value);
	else if (strcmp(key, "master") == 0)
		c.master = 0;
	else
		c.up = 0;
	return undo_link(j, c);
}

/* what: the key behind its first word. */
static int undo_ip(struct net_job *j, const char *kind, const char *what)
{
	char a[64], b[64] = "";
	struct net_ip ip;
	bool proxy = strcmp(kind, "proxy") == 0;

	if (sscanf(what, "%63s %63s", a, b) < 1 || net_ip_parse(proxy ? b : a, &ip))
		return -EBADMSG;
	if (proxy)
		return net_proxy_remove(j->links, a, &ip);
	if (strcmp(kind, "addr") == 0)
		return net_addr_remove(j->links, j->vif->dev, &ip);
	return net_route_remove(j->links, j->vif->dev, &ip, (unsigned)atoi(b));
}

int net_undo(void *arg, const char *key, const char *value)
{
	struct net_job *j = arg;
	char kind[16];
	size_t len = strcspn(key, " ");
	const char *what = key[len] ? key + len + 1 : "";
	int rc;

	snprintf(kind, sizeof(kind), "%.*s", (int)len, key);
	if (strcmp(kind, "config") == 0)
		rc = 0;
	else if (strcmp(kind, "tap") == 0)
		rc = net_link_remove(j->links, j->vif->dev);
	else if (strcmp(kind, "sysctl") == 0)
		rc = undo_sysctl(what, value);
	else if (strcmp(kind, "share") == 0)
		rc = undo_share(j, key, what);
	else if (strcmp(kind, "nft") == 0)
		rc = net_undo_nft(j, what);
	else if (strcmp(kind, "ovs") == 0)
		rc = net_undo_ovs(j, what);
	else if (strcmp(kind, "flows") == 0)
		rc = net_undo_flows(j, what);
	else if (strcmp(kind, "addr") == 0 || strcmp(kind, "route") == 0 || strcmp(kind, "proxy") == 0)
		rc = undo_ip(j, kind, what);
	else if (strcmp(kind, "mtu") == 0 || strcmp(kind, "addrgen") == 0 || strcmp(kind, "master") == 0 || strcmp(kind, "up") == 0)
		rc = undo_number(j, kind, value);
	else
		rc = -EBADMSG;
	return net_fail(j, rc, key);
}

struct net_ip net_link_local(const unsigned char mac[6])
{
	const unsigned char a[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
	struct net_ip ip = {.family = AF_INET6, .prefix = 128};

	memcpy(ip.addr, a, sizeof(a));
	return ip;
}
