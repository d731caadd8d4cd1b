/* fakexen.so - enough of Xen's libraries for the real xenstored to serve domains on a machine without Xen; preloaded into it.
 *
 * $FAKEXEN holds what the hypervisor would: ring-DOMID, the page of that domain's xenstore ring; `events`, a fifo of the port
 * numbers that were notified (port = DOMID + 1); kick-DOMID, a fifo that xenstored's notifications go to; dead-DOMID while that
 * domain is gone. Domain 0's ring and port, which a kernel would show in /proc/xen, are there too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static int events = -1;

static char *name(char out[512], const char *what, unsigned n)
{
	const char *dir = getenv("FAKEXEN");

	snprintf(out, 512, "%s/%s-%u", dir ? dir : ".", what, n);
	return out;
}

/* The two files by which a kernel shows domain 0's ring. */
static int redirected(const char *path, int flags, mode_t mode)
{
	static int (*real)(const char *, int, ...);
	const char *base = strrchr(path, '/');
	char other[512];

	if (!real)
		real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	if (base && strcmp(base, "/xsd_kva") == 0)
		path = name(other, "ring", 0);
	else if (base && strcmp(base, "/xsd_port") == 0)
		path = name(other, "port", 0);
	return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return redirected(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

xc_interface *xc_interface_open(xentoollog_logger *l, xentoollog_logger *d, unsigned flags)
{
	(void)l, (void)d, (void)flags;
	return (xc_interface *)&events;
}

int xc_interface_close(xc_interface *x) { return x ? 0 : -1; }

int xc_domain_getinfo(xc_interface *x, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
	char path[512];

	(void)x;
	if (max == 0)
		return 0;
	memset(info, 0, sizeof(*info));
	while (first < 8 && (access(name(path, "ring", first), F_OK) || access(name(path, "dead", first), F_OK) == 0))
		first++;
	if (first >= 8)
		return 0;
	info->domid = first;
	info->running = 1;
	return 1;
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *l, unsigned int flags)
{
	const char *dir = getenv("FAKEXEN");
	char path[512];

	(void)l, (void)flags;
	snprintf(path, sizeof(path), "%s/events", dir ? dir : ".");
	events = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return events < 0 ? NULL : (xenevtchn_handle *)&events;
}

xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *l, int fd, unsigned int flags)
{
	(void)l, (void)fd, (void)flags;
	errno = ENOSYS;
	return NULL;
}

int xenevtchn_fd(xenevtchn_handle *x) { return x ? events : -1; }
int xenevtchn_unbind(xenevtchn_handle *x, evtchn_port_t port) { return x && port ? 0 : -1; }
int xenevtchn_unmask(xenevtchn_handle *x, evtchn_port_t port) { return x && port ? 0 : -1; }

int xenevtchn_notify(xenevtchn_handle *x, evtchn_port_t port)
{
	char path[512];
	int fd = open(name(path, "kick", port - 1), O_WRONLY | O_NONBLOCK);

	(void)x;
	if (fd >= 0) {
		if (write(fd, "", 1) < 0)
			errno = 0; /* full: it will look anyway */
		close(fd);
	}
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *x, uint32_t domid, evtchn_port_t remote)
{
	(void)x, (void)remote;
	return (xenevtchn_port_or_error_t)domid + 1;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *x, unsigned int virq)
{
	(void)x, (void)virq;
	return 100;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *x)
{
	uint32_t port;

	(void)x;
	return read(events, &port, sizeof(port)) == sizeof(port) ? (xenevtchn_port_or_error_t)port : -1;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *l, unsigned flags)
{
	(void)l, (void)flags;
	return (xengnttab_handle *)&events;
}

int xengnttab_close(xengnttab_handle *x) { return x ? 0 : -1; }
int xengnttab_set_max_grants(xengnttab_handle *x, uint32_t n) { return x && n ? 0 : -1; }

void *xengnttab_map_grant_ref(xengnttab_handle *x, uint32_t domid, uint32_t ref, int prot)
{
	char path[512];
	int fd = open(name(path, "ring", domid), O_RDWR | O_CLOEXEC);
	void *p;

	(void)x, (void)ref;
	if (fd < 0)
		return NULL;
	p = mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

int xengnttab_unmap(xengnttab_handle *x, void *at, uint32_t count)
{
	(void)x, (void)count;
	return munmap(at, 4096);
}
