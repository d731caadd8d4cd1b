/* What Xen's side of a host says of itself, in files. */
#include "recovery/cli/doctor.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPTRACK_DEFAULT 1024u /* frames, Xen's own default */
#define MAPTRACK_PER_FRAME 256u

/* False: there is none, and nothing else is worth a look. */
static bool hypervisor(struct doctor *d)
{
	char major[16], minor[16], extra[32];
	struct doctor_point *p;

	if (!xen_host_below(d->root)) {
		p = doctor_say(d, "xen", DOCTOR_MISSING, true, "this machine does not run on Xen");
		snprintf(p->todo, sizeof(p->todo), "boot Xen; provider local works on any machine");
		return false;
	}
	doctor_say(d, "xen", DOCTOR_OK, true, "Xen %s.%s%s",
		   doctor_read(d, "/sys/hypervisor/version/major", major, sizeof(major)),
		   doctor_read(d, "/sys/hypervisor/version/minor", minor, sizeof(minor)),
		   doctor_read(d, "/sys/hypervisor/version/extra", extra, sizeof(extra)));
	return true;
}

static void interface(struct doctor *d)
{
	struct doctor_point *p;

	if (!xen_host_here(d->root)) {
		p = doctor_say(d, "xenfs", DOCTOR_MISSING, true, "/proc/xen/capabilities is not there");
		snprintf(p->todo, sizeof(p->todo), "modprobe xenfs; mount -t xenfs xenfs /proc/xen");
		return;
	}
	doctor_say(d, "xenfs", DOCTOR_OK, true, "/proc/xen is mounted");
	doctor_say(d, "domain", DOCTOR_OK, false, "this is %s",
		   xen_host_control(d->root) ? "the control domain (dom0)" : "no control domain: a driver domain, or a guest");
}

static void device(struct doctor *d, const char *name, bool needed, const char *what)
{
	char err[160], *todo;
	struct doctor_point *p;
	int rc = xen_host_device(d->root, name, err, sizeof(err));

	if (rc == 0) {
		doctor_say(d, name, DOCTOR_OK, needed, "/dev/xen/%s: %s", name, what);
		return;
	}
	todo = strstr(err, ": modprobe");
	p = doctor_say(d, name, DOCTOR_MISSING, needed, "%.*s (%s)", (int)(todo ? todo - err : (long)strlen(err)), err, what);
	snprintf(p->todo, sizeof(p->todo), "%s", todo ? todo + 2 : rc == -EACCES ? "run this as root" : "");
}

/* A backend of the kernel's own. It gets no device of ours while Bulkhead runs; what it has bound already stays its. */
static void kernel_backend(struct doctor *d, const char *module, const char *driver, const char *what)
{
	char pattern[300];
	glob_t g = {0};

	snprintf(pattern, sizeof(pattern), XEN_BACKEND_BUS "/drivers/%s", driver);
	if (!doctor_has(d, pattern)) {
		doctor_say(d, module, DOCTOR_OK, false, "not loaded; should it be, it binds nothing while Bulkhead runs");
		return;
	}
	snprintf(pattern, sizeof(pattern), "%s" XEN_BACKEND_BUS "/drivers/%s/%s-*", d->root, driver, driver);
	if (glob(pattern, 0, NULL, &g))
		g.gl_pathc = 0;
	doctor_say(d, module, DOCTOR_OK, false, "loaded, %zu %s are its own; it binds no other by itself while Bulkhead runs", g.gl_pathc, what);
	globfree(&g);
}

/* Xen tells it in its own file system only, and only the control domain. 0: it can not be read. */
static unsigned long maptrack_frames(const struct doctor *d)
{
	FILE *f = d->root[0] ? NULL : popen("xenhypfs cat /params/gnttab_max_maptrack_frames 2>/dev/null", "re");
	unsigned long n = 0;

	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		pclose(f);
	return n;
}

static void maptrack(struct doctor *d)
{
	unsigned long n = maptrack_frames(d);
	struct doctor_point *p;

	if (n) {
		doctor_say(d, "maptrack", DOCTOR_OK, false,
			   "%lu frames: this domain may map %lu pages (%lu MiB) of guests; what is more is copied (MAPPED in bulkhead status)", n,
			   n * MAPTRACK_PER_FRAME, n * MAPTRACK_PER_FRAME / 256);
		return;
	}
	p = doctor_say(d, "maptrack", DOCTOR_UNKNOWN, false,
		       "how many grants this domain may map is Xen's to say: by default %u frames, %u pages (%u MiB) in all",
		       MAPTRACK_DEFAULT, MAPTRACK_DEFAULT * MAPTRACK_PER_FRAME, MAPTRACK_DEFAULT * MAPTRACK_PER_FRAME / 256);
	snprintf(p->todo, sizeof(p->todo), "ask: xenhypfs cat /params/gnttab_max_maptrack_frames; more by Xen's option of that name");
}

static void limits(struct doctor *d)
{
	char limit[32];

	doctor_read(d, "/sys/module/xen_gntdev/parameters/limit", limit, sizeof(limit));
	if (limit[0])
		doctor_say(d, "gntdev-limit", strtoul(limit, NULL, 10) >= HV_RING_PAGES_MAX ? DOCTOR_OK : DOCTOR_MISSING, true,
			   "at most %s grants in one call; a ring needs up to %u", limit, HV_RING_PAGES_MAX);
	else
		doctor_say(d, "gntdev-limit", DOCTOR_UNKNOWN, false, "xen_gntdev says no limit of its own");
	maptrack(d);
}

void doctor_xen(struct doctor *d)
{
	bool control = xen_host_control(d->root);

	if (!hypervisor(d))
		return;
	interface(d);
	device(d, "gntdev", true, "stubs map guests' pages by it");
	device(d, "evtchn", true, "event channels");
	device(d, "privcmd", false, "whether a domain has ended; without it xenstore says so");
	device(d, "xenbus", !control, control ? "xenstore for other domains; here its socket is used" : "xenstore");
	kernel_backend(d, "xen-blkback", "vbd", "disks");
	kernel_backend(d, "xen-netback", "vif", "network interfaces");
	limits(d);
}
