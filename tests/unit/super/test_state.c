/* State files, names in the keeper, and the device table. */
#include "recovery/super/sup_fsm.h"
#include "recovery/super/sup_state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bulkhead-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void round_trip(void **state)
{
	struct saved_dev a, b;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	a.id = (struct dev_id){CONN_VBD, 7, 51712};
	assert_int_equal(sup_state_write(dir, &a), 0);
	assert_int_equal(sup_state_read(dir, a.id, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	a.epoch++;
	assert_int_equal(sup_state_write(dir, &a), 0);
	assert_int_equal(sup_state_read(dir, a.id, &b), 0);
	assert_int_equal(b.epoch, a.epoch);
	sup_state_remove(dir, a.id);
	assert_int_equal(sup_state_read(dir, a.id, &b), -ENOENT);
}

static void damage_is_seen(void **state)
{
	struct saved_dev a = {.id = {CONN_VIF, 1, 2}}, b;
	char path[128];
	int fd;

	(void)state;
	assert_int_equal(sup_state_write(dir, &a), 0);
	snprintf(path, sizeof(path), "%s/vif-1-2", dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, sizeof(a) / 2), 1);
	assert_int_equal(sup_state_read(dir, a.id, &b), -EBADMSG);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(sup_state_read(dir, a.id, &b), -EBADMSG);
	close(fd);
	sup_state_remove(dir, a.id);
}

static void count(struct dev_id id, void *arg) { *(unsigned *)arg += id.type * 10000 + id.domid * 1000 + id.devid; }

static void all_files_are_found(void **state)
{
	struct saved_dev a = {.id = {CONN_VBD, 1, 2}}, b = {.id = {CONN_VIF, 1, 2}};
	unsigned sum = 0;
	char path[128];

	(void)state;
	assert_int_equal(sup_state_write(dir, &a), 0);
	assert_int_equal(sup_state_write(dir, &b), 0);
	a.id.domid = 3;
	assert_int_equal(sup_state_write(dir, &a), 0);
	snprintf(path, sizeof(path), "%s/vbd-9-9.new", dir); /* a write that was cut off */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(sup_state_each(dir, count, &sum), 0);
	assert_int_equal(sum, 11002 + 21002 + 13002);
	unlink(path);
	sup_state_remove(dir, a.id);
	a.id.domid = 1;
	sup_state_remove(dir, a.id);
	sup_state_remove(dir, b.id);
}

static void names_are_read_back(void **state)
{
	char name[KEEP_NAME_MAX];
	struct dev_id id;
	uint64_t serial;

	(void)state;
	sup_name_store(name, (struct dev_id){CONN_VBD, 4294967295u, 51712});
	assert_true(sup_name_device(name, &id));
	assert_true(id.type == CONN_VBD && id.domid == 4294967295u && id.devid == 51712);
	assert_false(sup_name_serial(name, &serial));
	sup_name_ports(name, (struct dev_id){CONN_VIF, 1, 2});
	assert_true(sup_name_device(name, &id));
	assert_true(id.type == CONN_VIF && id.domid == 1 && id.devid == 2);
	assert_false(sup_name_device("ports.vxd-1-2", &id));
	assert_false(sup_name_device("ports.vif-1", &id));
	sup_name_proc(name, UINT64_MAX);
	assert_true(sup_name_serial(name, &serial));
	assert_true(serial == UINT64_MAX);
	assert_false(sup_name_device(name, &id));
	sup_name_pokes(name, 5, 63);
	assert_true(sup_name_serial(name, &serial));
	assert_int_equal(serial, 5);
}

/* A stub's death must never close a connection, and every state must have a way out. */
static void the_table_keeps_its_promises(void **state)
{
	(void)state;
	for (int s = 0; s < CTL_STATE_COUNT; s++) {
		const struct sup_edge *died = sup_fsm((enum ctl_state)s, SUP_EV_DIED);
		const struct sup_edge *close = sup_fsm((enum ctl_state)s, SUP_EV_CLOSE);

		if (died)
			assert_true(died->next == CTL_RESUMING || died->next == CTL_CONNECTING);
		assert_true(s == CTL_DRAINING || (close && close->next == CTL_DRAINING));
	}
	assert_int_equal(sup_fsm(CTL_BROKEN, SUP_EV_RESET)->next, CTL_DRAINING);
	assert_int_equal(sup_fsm(CTL_FAILED, SUP_EV_RESTART)->next, CTL_RESUMING);
	assert_null(sup_fsm(CTL_BROKEN, SUP_EV_DIED));
	assert_null(sup_fsm(CTL_FAILED, SUP_EV_DIED));
	/* Nothing but that its domain runs brings a stub to one that is suspended. */
	for (int e = 0; e < SUP_EVENT_COUNT; e++) {
		const struct sup_edge *edge = sup_fsm(CTL_SUSPENDED, (enum sup_event)e);

		if (edge)
			assert_true((edge->next == CTL_RESUMING) == (e == SUP_EV_RUNS));
	}
	assert_int_equal(sup_fsm(CTL_UP, SUP_EV_STOPPED)->next, CTL_SUSPENDED);
	assert_int_equal(sup_fsm(CTL_RESUMING, SUP_EV_STOPPED)->next, CTL_SUSPENDED);
	assert_int_equal(sup_fsm(CTL_FENCING, SUP_EV_STOPPED)->next, CTL_SUSPENDED);
	assert_string_equal(sup_event_name(SUP_EV_DIED), "DIED");
}

static void names_of_states(void **state)
{
	(void)state;
	assert_string_equal(ctl_state_name(CTL_FENCING), "fencing");
	assert_string_equal(ctl_event_name(CTL_EV_STANDBY), "standby-ready");
	assert_string_equal(ctl_state_name(CTL_STATE_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),	       cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(all_files_are_found), cmocka_unit_test(names_are_read_back),
		cmocka_unit_test(the_table_keeps_its_promises), cmocka_unit_test(names_of_states),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
