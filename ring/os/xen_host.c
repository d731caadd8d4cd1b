#include "ring/os/xen_host.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *at(const char *root, const char *path, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s%s", root, path);
	return buf;
}

static bool holds(const char *root, const char *path, const char *word)
{
	char buf[PATH_MAX], text[256] = "";
	int fd = open(at(root, path, buf), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strstr(text, word) != NULL;
}

bool xen_host_here(const char *root)
{
	char buf[PATH_MAX];

	return access(at(root, "/proc/xen/capabilities", buf), F_OK) == 0;
}

const char *xen_host_provider(const char *asked)
{
	if (strcmp(asked, "auto") != 0)
		return asked;
	return xen_host_here("") ? "xen" : "local";
}

bool xen_host_control(const char *root) { return holds(root, "/proc/xen/capabilities", "control_d"); }
bool xen_host_below(const char *root) { return holds(root, "/sys/hypervisor/type", "xen"); }

bool xen_host_bound(const char *root, const char *device)
{
	char path[128], buf[PATH_MAX];

	snprintf(path, sizeof(path), XEN_BACKEND_BUS "/devices/%.64s/driver", device);
	return access(at(root, path, buf), F_OK) == 0;
}

int xen_host_device(const char *root, const char *name, char *err, size_t size)
{
	char path[32], buf[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	if (access(at(root, path, buf), R_OK | W_OK) == 0)
		return 0;
	rc = -errno;
	if (rc == -ENOENT && strcmp(name, "xenbus") == 0) /* is in every kernel that knows Xen */
		return err_say(err, size, rc, "%s is not there", path);
	if (rc == -ENOENT)
		return err_say(err, size, rc, "%s is not there: modprobe xen-%s", path, name);
	return err_say(err, size, rc, "%s can not be opened: %s", path, strerror(-rc));
}

int xen_host_check(const char *root, char *err, size_t size)
{
	static const char *const devices[] = {"gntdev", "evtchn"};
	int rc = 0;

	if (!xen_host_here(root) && !xen_host_below(root))
		return err_say(err, size, -ENODEV, "this machine does not run on Xen (provider local needs none)");
	if (!xen_host_here(root))
		return err_say(err, size, -ENODEV,
			       "/proc/xen/capabilities is not there: modprobe xenfs; mount -t xenfs xenfs /proc/xen");
	if (geteuid() != 0)
		return err_say(err, size, -EPERM, "Xen's devices are root's: start this as root");
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]) && !rc; i++)
		rc = xen_host_device(root, devices[i], err, size);
	return rc;
}
