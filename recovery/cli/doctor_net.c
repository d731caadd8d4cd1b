/* What network interfaces need of this host. Disks need none of it. */
#include "recovery/cli/doctor.h"
#include "recovery/net/steer.h"
#include "ring/base/err.h"

#include <stdio.h>
#include <unistd.h>

static void tun(struct doctor *d)
{
	struct doctor_point *p;

	if (!doctor_has(d, "/dev/net/tun")) {
		p = doctor_say(d, "tun", DOCTOR_MISSING, false, "no /dev/net/tun: network interfaces can have no tap");
		snprintf(p->todo, sizeof(p->todo), "modprobe tun; in a container: --device /dev/net/tun");
	} else if (geteuid() != 0) {
		doctor_say(d, "tun", DOCTOR_MISSING, false, "not root: network interfaces with params=pair:NAME or null only");
	} else {
		doctor_say(d, "tun", DOCTOR_OK, false, "network interfaces get taps");
	}
}

/* Most modules come when they are first asked for, which is not done here. */
static void module(struct doctor *d, const char *point, const char *name, const char *what)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (doctor_has(d, path))
		doctor_say(d, point, DOCTOR_OK, false, "%s", what);
	else
		doctor_say(d, point, DOCTOR_UNKNOWN, false, "%s; %s is not loaded, perhaps not yet", what, name);
}

static void openvswitch(struct doctor *d)
{
	struct doctor_point *p;

	if (doctor_has(d, "/usr/bin/ovs-vsctl") || doctor_has(d, "/usr/local/bin/ovs-vsctl")) {
		doctor_say(d, "openvswitch", DOCTOR_OK, false, "ovs-vsctl is there, for mode=openvswitch");
		return;
	}
	p = doctor_say(d, "openvswitch", DOCTOR_MISSING, false, "no ovs-vsctl: mode=openvswitch can not be had");
	snprintf(p->todo, sizeof(p->todo), "apt-get install openvswitch-switch");
}

static void steering(struct doctor *d)
{
	int rc = geteuid() == 0 ? steer_possible() : 0;
	struct doctor_point *p;

	if (rc) {
		p = doctor_say(d, "steering", DOCTOR_MISSING, false, "BPF is refused (%s): VMs do not choose the queues of what they receive", err_str(rc));
		snprintf(p->todo, sizeof(p->todo), "a kernel with CONFIG_BPF_SYSCALL; in a container: CAP_BPF and CAP_NET_ADMIN");
	} else if (geteuid() == 0) {
		doctor_say(d, "steering", DOCTOR_OK, false, "VMs may choose the queues of what they receive (BPF)");
	}
}

void doctor_net(struct doctor *d)
{
	tun(d);
	steering(d);
	module(d, "bridge", "bridge", "for mode=bridge");
	module(d, "nftables", "nf_tables", "for mode=nat and antispoof=1");
	openvswitch(d);
}
