/* What runs: xenstore, libxenctrl's fit, Bulkhead's own programs. */
#include "recovery/cli/doctor.h"
#include "recovery/ctl/ctl_client.h"
#include "recovery/super/keep_wire.h"
#include "ring/base/err.h"
#include "ring/hv/hv.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORE_NS (2 * NS_PER_S)

static void xenstore(struct doctor *d)
{
	struct xsc_cfg cfg = {.timeout_ns = STORE_NS};
	char path[256] = "", id[16];
	struct xsc *xs = NULL;
	struct doctor_point *p;
	int rc = xsc_path(NULL, path, sizeof(path));

	cfg.path = path;
	if (!rc && access(path, R_OK | W_OK))
		rc = -errno;
	if (!rc)
		rc = loop_open(&cfg.loop);
	if (!rc)
		rc = xsc_open(&cfg, &xs);
	if (!rc)
		rc = xsc_sync_read(xs, "domid", id, sizeof(id));
	if (rc == 0) {
		doctor_say(d, "xenstore", DOCTOR_OK, true, "answers at %s: this is domain %s", path, id);
	} else if (xs && rc == -ENOENT) {
		p = doctor_say(d, "xenstore", DOCTOR_MISSING, true, "answers at %s, but does not know this domain", path);
		snprintf(p->todo, sizeof(p->todo), "xen-init-dom0");
	} else {
		p = doctor_say(d, "xenstore", DOCTOR_MISSING, true, "no answer at %s: %s", path, err_str(rc));
		snprintf(p->todo, sizeof(p->todo), "start xenstored: systemctl start xenstored (Debian: xen)");
	}
	xsc_close(xs);
	loop_close(cfg.loop);
}

/* By asking it of domain 0, which lives. */
static void libxenctrl(struct doctor *d)
{
	const struct hv_open o = {.role = HV_SUPERVISOR};
	struct doctor_point *p;
	struct hv *hv;
	int rc = hv_open("xen", &o, &hv);

	if (!rc)
		rc = hv_domain_state(hv, 0);
	hv_close(hv);
	if (rc == 1) {
		doctor_say(d, "libxenctrl", DOCTOR_OK, false, "fits this Xen");
		return;
	}
	p = doctor_say(d, "libxenctrl", DOCTOR_MISSING, false, "does not say whether a domain runs (%s): xenstore does", err_str(rc));
	if (xen_host_control(d->root))
		snprintf(p->todo, sizeof(p->todo), "build Bulkhead with this Xen's libxen-dev");
}

static void programs(struct doctor *d)
{
	static const char *const names[] = {"bulkhead-keep", "bulkheadd", "bulkhead-blk", "bulkhead-net", "bulkhead-vif"};
	char dir[2200];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (rundir_libexec(names[i], dir, sizeof(dir))) {
			doctor_say(d, "programs", DOCTOR_MISSING, true, "%s is not beside this program", names[i]);
			return;
		}
	doctor_say(d, "programs", DOCTOR_OK, true, "in %.150s", dir);
}

/* Two backends would serve one ring. */
static void autoprobe(struct doctor *d)
{
	struct doctor_point *p;
	char on[8];

	doctor_read(d, XEN_BACKEND_BUS "/drivers_autoprobe", on, sizeof(on));
	if (strcmp(on, "1") != 0) {
		doctor_say(d, "autoprobe", DOCTOR_OK, true, "the kernel's drivers get backend devices from bulkhead-autoprobe only");
		return;
	}
	p = doctor_say(d, "autoprobe", DOCTOR_MISSING, true, "bulkhead-autoprobe does not work: the kernel could take every new disk and vif");
	snprintf(p->todo, sizeof(p->todo), "see the log of bulkhead-keep; echo 0 >" XEN_BACKEND_BUS "/drivers_autoprobe");
}

/* True: it runs. */
static bool keeper(struct doctor *d, const struct cli *c)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	struct doctor_point *p;
	char path[256];
	int s;

	cli_path(c, KEEP_SOCK, path, sizeof(path));
	s = fdmsg_connect(path);
	if (s >= 0 && getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
		doctor_say(d, "keeper", DOCTOR_OK, false, "runs, pid %d", (int)peer.pid);
	} else {
		p = doctor_say(d, "keeper", DOCTOR_MISSING, false, "none runs in %s", c->runtime_dir);
		snprintf(p->todo, sizeof(p->todo), "bulkhead start, or systemctl start bulkhead");
	}
	if (s < 0)
		return false;
	close(s);
	return true;
}

static void supervisor(struct doctor *d, const struct cli *c)
{
	struct ctl_req req = {.op = CTL_HELLO};
	struct ctl_reply r = {0};
	struct doctor_point *p;
	int s = ctl_client_open(c->runtime_dir);
	int rc = s < 0 ? s : ctl_client_ask(s, &req, &r);

	if (s >= 0)
		close(s);
	if (rc) {
		doctor_say(d, "supervisor", DOCTOR_MISSING, false, "none answers in %s: %s", c->runtime_dir, err_str(rc));
		return;
	}
	p = doctor_say(d, "supervisor", strcmp(r.text, BULKHEAD_VERSION) == 0 ? DOCTOR_OK : DOCTOR_MISSING, false,
		       "%.60s runs, pid %llu; this command is " BULKHEAD_VERSION, r.text, (unsigned long long)r.arg);
	if (p->verdict != DOCTOR_OK)
		snprintf(p->todo, sizeof(p->todo), "systemctl reload bulkhead: the new one adopts the stubs");
}

void doctor_world(struct doctor *d, const struct cli *c, bool xen)
{
	if (xen) {
		xenstore(d);
		if (doctor_has(d, "/dev/xen/privcmd"))
			libxenctrl(d);
	}
	programs(d);
	if (keeper(d, c) && xen)
		autoprobe(d);
	supervisor(d, c);
}
