/* What a host is told to lack, one thing after the other, on made-up trees of /proc, /sys and /dev. */
#include "ring/os/xen_host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/os/made_root.h"

static char root[64], err[256];

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/bulkhead-host.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static void no_xen(void **state)
{
	(void)state;
	assert_false(xen_host_here(root) || xen_host_control(root) || xen_host_below(root));
	assert_int_equal(xen_host_check(root, err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, "does not run on Xen"));
}

static void not_mounted(void **state)
{
	(void)state;
	file("/sys/hypervisor/type", "xen\n");
	assert_true(xen_host_below(root));
	assert_false(xen_host_here(root));
	assert_int_equal(xen_host_check(root, err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, "mount -t xenfs xenfs /proc/xen"));
}

static void other_hypervisor(void **state)
{
	(void)state;
	file("/sys/hypervisor/type", "other\n");
	assert_false(xen_host_below(root));
}

static void control_and_driver_domain(void **state)
{
	(void)state;
	file("/proc/xen/capabilities", "");
	assert_true(xen_host_here(root));
	assert_false(xen_host_control(root));
	file("/proc/xen/capabilities", "control_d\n");
	assert_true(xen_host_control(root));
}

static void devices(void **state)
{
	(void)state;
	file("/proc/xen/capabilities", "control_d\n");
	if (geteuid() != 0) {
		assert_int_equal(xen_host_check(root, err, sizeof(err)), -EPERM);
		assert_non_null(strstr(err, "as root"));
	} else {
		assert_int_equal(xen_host_check(root, err, sizeof(err)), -ENOENT);
		assert_string_equal(err, "/dev/xen/gntdev is not there: modprobe xen-gntdev");
		file("/dev/xen/gntdev", "");
		assert_int_equal(xen_host_check(root, err, sizeof(err)), -ENOENT);
		assert_string_equal(err, "/dev/xen/evtchn is not there: modprobe xen-evtchn");
		file("/dev/xen/evtchn", "");
		assert_int_equal(xen_host_check(root, err, sizeof(err)), 0);
	}
	assert_int_equal(xen_host_device(root, "privcmd", err, sizeof(err)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test_setup_teardown(no_xen, set_up, remove_root),
		cmocka_unit_test_setup_teardown(not_mounted, set_up, remove_root),
		cmocka_unit_test_setup_teardown(other_hypervisor, set_up, remove_root),
		cmocka_unit_test_setup_teardown(control_and_driver_domain, set_up, remove_root),
		cmocka_unit_test_setup_teardown(devices, set_up, remove_root),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
