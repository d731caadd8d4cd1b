/* xen_host.h - what of Xen this machine has, as far as files say it. No library of Xen's is needed, and no privilege.
 *
 * root: "" on a machine; a test's folder with a made-up /proc, /sys and /dev. Threads: any.
 */
#ifndef BULKHEAD_RING_OS_XEN_HOST_H
#define BULKHEAD_RING_OS_XEN_HOST_H

#include <stdbool.h>
#include <stddef.h>

/* Xen's interface to user programs is mounted: what provider "auto" goes by. */
bool xen_host_here(const char *root);
/* What "auto" means here, "xen" or "local"; anything else is returned as it is. */
const char *xen_host_provider(const char *asked);
/* This is the control domain (dom0), not a driver domain or a guest. */
bool xen_host_control(const char *root);
/* The kernel runs on Xen, whether or not its interface is mounted. */
bool xen_host_below(const char *root);

#define XEN_BACKEND_BUS "/sys/bus/xen-backend"
/* A driver of the kernel's has this device of XEN_BACKEND_BUS, "vbd-1-51712". */
bool xen_host_bound(const char *root, const char *device);

/* A device of Xen's, "gntdev": 0, or -errno and one clear line that says what to do. */
int xen_host_device(const char *root, const char *name, char *err, size_t size);
/* All that a supervisor and its stubs need before they can begin: 0, or -errno and one clear line. -EPERM: not root; -ENODEV:
 * no Xen, or not its interface; else as xen_host_device(). */
int xen_host_check(const char *root, char *err, size_t size);

#endif
