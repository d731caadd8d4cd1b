#include "recovery/net/tap.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)

int tap_name_ok(const char *name)
{
	static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len < TAP_NAME_MAX && strspn(name, rest) == len && strcspn(name, rest + 52) > 0;
}

static struct ifreq request(const char *name)
{
	struct ifreq r = {0};

	memcpy(r.ifr_name, name, strlen(name));
	return r;
}

/* A queue more, of the tap that is there or is made by this. */
static int open_queue(const char *name)
{
	struct ifreq r = request(name);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return -errno;
	r.ifr_flags = (short)TAP_FLAGS;
	if (ioctl(fd, TUNSETIFF, &r) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int set_link(const struct tap_conf *c)
{
	static const unsigned char mac[6] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ifreq hw = request(c->name), mtu = request(c->name), qlen = request(c->name);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (s < 0)
		return -errno;
	hw.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(hw.ifr_hwaddr.sa_data, mac, sizeof(mac));
	mtu.ifr_mtu = (int)c->mtu;
	qlen.ifr_qlen = (int)c->txqueuelen;
	if (ioctl(s, SIOCSIFHWADDR, &hw) || (c->mtu && ioctl(s, SIOCSIFMTU, &mtu)) ||
	    (c->txqueuelen && ioctl(s, SIOCSIFTXQLEN, &qlen)))
		rc = -errno;
	close(s);
	return rc;
}

/* What belongs to the tap as a whole, through any of its queues; persistent last, so that a death before leaves nothing. */
static int set_tap(const struct tap_conf *c, int fd)
{
	int hdr = sizeof(struct virtio_net_hdr), none = -1, rc = set_link(c);

	if (rc)
		return rc;
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) || ioctl(fd, TUNSETOFFLOAD, 0ul) ||
	    (c->owner && ioctl(fd, TUNSETOWNER, (unsigned long)c->owner)))
		return -errno;
	if (ioctl(fd, TUNSETSTEERINGEBPF, &none) && errno != EINVAL) /* a kernel that has no such thing */
		return -errno;
	return ioctl(fd, TUNSETPERSIST, 1ul) ? -errno : 0;
}

int tap_make(const struct tap_conf *c, int *fd, char *err, size_t size)
{
	unsigned n = 0;
	int rc = 0;

	if (!tap_name_ok(c->name))
		return err_say(err, size, -EINVAL, "\"%.32s\" can be no interface's name", c->name);
	if (c->queues == 0 || c->queues > TAP_QUEUES_MAX)
		return err_say(err, size, -EINVAL, "tap %s can't have %u queues: 1 to %u are meant", c->name, c->queues, TAP_QUEUES_MAX);
	for (; n < c->queues && !rc; n++) {
		fd[n] = open_queue(c->name);
		rc = fd[n] < 0 ? fd[n] : 0;
	}
	if (rc)
		n--;
	else if (c->index && if_nametoindex(c->name) != c->index)
		rc = -ESTALE; /* what was made by this goes with its descriptors */
	else
		rc = set_tap(c, fd[0]);
	if (!rc)
		return 0;
	while (n--)
		close(fd[n]);
	if (rc == -ENOENT || rc == -ENODEV)
		return err_say(err, size, rc, "no tap can be made: /dev/net/tun is not there (modprobe tun)");
	if (rc == -EPERM || rc == -EACCES)
		return err_say(err, size, rc, "tap %s can't be made without root's rights", c->name);
	return err_say(err, size, rc, "tap %s can't be made: %s", c->name,
		       rc == -EINVAL ? "another interface has its name" : err_str(rc));
}

int tap_remove(const char *name)
{
	int fd = tap_name_ok(name) ? open_queue(name) : -EINVAL, rc = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, TUNSETPERSIST, 0ul))
		rc = -errno;
	close(fd);
	return rc;
}

int tap_carrier(int fd, bool on)
{
	int carrier = on;

	return ioctl(fd, TUNSETCARRIER, &carrier) ? -errno : 0;
}
