#include "frontend/net/net_tap.h"

#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int net_tap_enter(const char *netns, char *err, size_t size)
{
	char path[128];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_say(err, size, -errno, "no network namespace %s ('ip netns add %s' makes it): %s", netns, netns, err_str(-errno));
	if (setns(fd, CLONE_NEWNET))
		rc = err_say(err, size, -errno, "network namespace %s cannot be entered: %s", netns, err_str(-errno));
	close(fd);
	return rc;
}

static unsigned long offloads(const struct netfront_info *i)
{
	unsigned long o = i->csum4 ? TUN_F_CSUM : 0;

	if (i->gso4)
		o |= TUN_F_TSO4;
	if (i->gso6)
		o |= TUN_F_TSO6;
	return o;
}

static int open_queue(struct net_tap *t, const struct netfront_info *info)
{
	struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (info->queues > 1 ? IFF_MULTI_QUEUE : 0))};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), hdr = sizeof(struct virtio_net_hdr);

	if (fd < 0)
		return -errno;
	t->fd[t->queues++] = fd;
	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	if (ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &hdr))
		return -errno;
	memcpy(t->name, r.ifr_name, sizeof(t->name));
	return 0;
}

/* Of the interface as a whole, its offloads too. */
static int set_link(const struct net_tap *t, const struct netfront_info *info)
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return -errno;
	if (ioctl(t->fd[0], TUNSETOFFLOAD, offloads(info)))
		rc = -errno;
	memcpy(r.ifr_name, t->name, sizeof(r.ifr_name));
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, info->mac, sizeof(info->mac));
	if (!rc && memcmp(info->mac, (const uint8_t[6]){0}, 6) && ioctl(s, SIOCSIFHWADDR, &r))
		rc = -errno;
	r.ifr_mtu = (int)info->mtu;
	if (!rc && ioctl(s, SIOCSIFMTU, &r))
		rc = -errno;
	if (!rc && ioctl(s, SIOCGIFFLAGS, &r))
		rc = -errno;
	r.ifr_flags |= IFF_UP;
	if (!rc && ioctl(s, SIOCSIFFLAGS, &r))
		rc = -errno;
	close(s);
	return rc;
}

int net_tap_open(struct net_tap *t, const char *name, const struct netfront_info *info, char *err, size_t size)
{
	int rc = 0;

	*t = (struct net_tap){0};
	if (name && strlen(name) >= sizeof(t->name))
		return err_say(err, size, -EINVAL, "%s: a name of at most 15 bytes", name);
	snprintf(t->name, sizeof(t->name), "%s", name ? name : "");
	for (unsigned i = 0; !rc && i < info->queues; i++)
		rc = open_queue(t, info);
	if (!rc)
		rc = set_link(t, info);
	if (!rc)
		return 0;
	net_tap_close(t);
	if (rc == -ENOENT)
		return err_say(err, size, rc, "no tap can be made: /dev/net/tun is not there (modprobe tun)");
	if (rc == -EPERM)
		return err_say(err, size, rc, "tap %s cannot be made without root's rights", t->name);
	return err_say(err, size, rc, "tap %s cannot be made: %s", t->name,
		       rc == -EINVAL || rc == -EBUSY ? "the name is taken here; --tap names another" : err_str(rc));
}

int net_tap_set(const struct net_tap *t, const struct netfront_info *info, char *err, size_t size)
{
	int rc = info->queues == t->queues ? set_link(t, info) : -EINVAL;

	if (rc == -EINVAL)
		return err_say(err, size, rc, "the vif has %u queues now, tap %s has %u", info->queues, t->name, t->queues);
	return rc ? err_say(err, size, rc, "tap %s cannot be set up: %s", t->name, err_str(rc)) : 0;
}

void net_tap_close(struct net_tap *t)
{
	while (t->queues > 0)
		close(t->fd[--t->queues]);
}

void net_tap_carrier(const struct net_tap *t, bool on)
{
	unsigned value = on;

	if (ioctl(t->fd[0], TUNSETCARRIER, &value))
		log_warn("tap %s: its carrier cannot be set: %s", t->name, err_str(-errno));
}
