/* What the doctor says of made-up hosts: each thing that can be missing, missing. */
#include "recovery/cli/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/os/made_root.h"

static struct doctor d;

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/bulkhead-doctor.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	file("/sys/hypervisor/type", "xen\n");
	file("/sys/hypervisor/version/major", "4\n");
	file("/sys/hypervisor/version/minor", "17\n");
	file("/sys/hypervisor/version/extra", ".7\n");
	file("/proc/xen/capabilities", "control_d\n");
	file("/dev/xen/gntdev", "");
	file("/dev/xen/evtchn", "");
	file("/dev/xen/privcmd", "");
	file("/dev/xen/xenbus", "");
	file("/sys/module/xen_gntdev/parameters/limit", "65536\n");
	file("/proc/sys/kernel/seccomp/actions_avail", "allow\n");
	file("/etc/passwd", "root:x:0:0::/:/bin/sh\n");
	d = (struct doctor){.root = root, .uid_base = 165536};
	return 0;
}

static void away(const char *path)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "rm -r '%s%s'", root, path);
	assert_int_equal(system(cmd), 0);
}

static const struct doctor_point *point(const char *name)
{
	for (unsigned i = 0; i < d.n; i++)
		if (strcmp(d.point[i].name, name) == 0)
			return &d.point[i];
	fail_msg("no point %s", name);
	return NULL;
}

static void expect(const char *name, enum doctor_verdict v, const char *text, const char *todo)
{
	const struct doctor_point *p = point(name);

	if (p->verdict != v || !strstr(p->text, text) || !strstr(p->todo, todo) || (!*todo && p->todo[0]))
		fail_msg("%s: %s: %s -> %s", name, doctor_verdict_name(p->verdict), p->text, p->todo);
}

static void all_there(void **state)
{
	(void)state;
	doctor_xen(&d);
	assert_true(doctor_fine(&d));
	expect("xen", DOCTOR_OK, "Xen 4.17.7", "");
	expect("domain", DOCTOR_OK, "dom0", "");
	expect("xen-blkback", DOCTOR_OK, "not loaded", "");
	expect("xen-netback", DOCTOR_OK, "not loaded", "");
	expect("gntdev-limit", DOCTOR_OK, "65536", "");
	expect("maptrack", DOCTOR_UNKNOWN, "1024 frames", "xenhypfs");
}

static void no_xen(void **state)
{
	(void)state;
	away("/sys/hypervisor");
	doctor_xen(&d);
	assert_false(doctor_fine(&d));
	expect("xen", DOCTOR_MISSING, "does not run on Xen", "provider local");
	assert_int_equal(d.n, 1);
}

static void not_mounted(void **state)
{
	(void)state;
	away("/proc/xen");
	doctor_xen(&d);
	assert_false(doctor_fine(&d));
	expect("xenfs", DOCTOR_MISSING, "/proc/xen/capabilities", "mount -t xenfs");
}

static void devices(void **state)
{
	(void)state;
	away("/dev/xen");
	doctor_xen(&d);
	assert_false(doctor_fine(&d));
	expect("gntdev", DOCTOR_MISSING, "/dev/xen/gntdev is not there (", "modprobe xen-gntdev");
	expect("evtchn", DOCTOR_MISSING, "/dev/xen/evtchn is not there (", "modprobe xen-evtchn");
	assert_false(point("privcmd")->needed);
	assert_false(point("xenbus")->needed);
}

static void driver_domain(void **state)
{
	(void)state;
	file("/proc/xen/capabilities", "");
	away("/dev/xen/xenbus");
	doctor_xen(&d);
	expect("domain", DOCTOR_OK, "driver domain", "");
	expect("xenbus", DOCTOR_MISSING, "xenstore", "");
	assert_false(doctor_fine(&d));
}

static void kernel_backend(void **state)
{
	(void)state;
	file("/sys/bus/xen-backend/drivers/vbd/vbd-1-51712", "");
	file("/sys/bus/xen-backend/drivers/vbd/bind", "");
	doctor_xen(&d);
	expect("xen-blkback", DOCTOR_OK, "loaded, 1 disks", "");
}

static void seccomp(void **state)
{
	(void)state;
	doctor_kernel(&d);
	expect("seccomp", DOCTOR_OK, "", "");
	d.n = 0;
	away("/proc/sys");
	doctor_kernel(&d);
	expect("seccomp", DOCTOR_MISSING, "can not be confined", "CONFIG_SECCOMP_FILTER");
	assert_false(doctor_fine(&d));
}

static void users(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		doctor_kernel(&d);
		expect("uids", DOCTOR_OK, "not root", "");
		return;
	}
	file("/etc/subuid", "ann:100000:65536\n");
	doctor_kernel(&d);
	expect("uids", DOCTOR_OK, "165536 to 198287", "");
	d.n = 0;
	file("/etc/subuid", "ann:100000:65536\nbob:165536:65536\n");
	doctor_kernel(&d);
	expect("uids", DOCTOR_MISSING, "bob's containers may have 165536", "--uid-base");
	d.n = 0;
	file("/etc/subuid", "");
	file("/etc/passwd", "root:x:0:0::/:/bin/sh\ncarl:x:198287:1::/:/bin/sh\n");
	doctor_kernel(&d);
	expect("uids", DOCTOR_MISSING, "carl is 198287", "--uid-base");
	d.n = 0;
	d.uid_base = 0;
	doctor_kernel(&d);
	expect("uids", DOCTOR_MISSING, "as root", "");
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test_setup_teardown(all_there, set_up, remove_root),
		cmocka_unit_test_setup_teardown(no_xen, set_up, remove_root),
		cmocka_unit_test_setup_teardown(not_mounted, set_up, remove_root),
		cmocka_unit_test_setup_teardown(devices, set_up, remove_root),
		cmocka_unit_test_setup_teardown(driver_domain, set_up, remove_root),
		cmocka_unit_test_setup_teardown(kernel_backend, set_up, remove_root),
		cmocka_unit_test_setup_teardown(seccomp, set_up, remove_root),
		cmocka_unit_test_setup_teardown(users, set_up, remove_root),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
