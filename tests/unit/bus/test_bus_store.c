/* The toolstack's side and the scan on a real bulkhead-store; and all of it while the store is killed. */
#include "tests/unit/bus/bus_world.h"

static void assert_perms(struct world *w, const char *path, const char *want)
{
	struct xsc_wait wait = {0};
	char text[64] = "";
	size_t n = 0;

	xsc_get_perms(w->xs, 0, path, xsc_wait_done, &wait);
	assert_int_equal(xsc_wait(w->xs, &wait), 0);
	for (size_t i = 0; i < wait.len && n < sizeof(text) - 1; i++)
		text[n++] = wait.data[i] ? wait.data[i] : ' ';
	text[n] = '\0';
	xsc_wait_free(&wait);
	assert_string_equal(text, want);
}

static void toolstack(void **state)
{
	struct world *w = world(state);
	char path[160];

	assert_int_equal(create_domain(w), -EEXIST);
	assert_string_equal(value(w, "/vm/" UUID, "name"), "guest");
	assert_string_equal(value(w, "/local/domain/3", "vm"), "/vm/" UUID);
	assert_perms(w, "/local/domain/3/device", "n0 r3 ");
	assert_perms(w, "/local/domain/3/data", "n3 ");
	assert_int_equal(create_vbd(w), 0);
	assert_int_equal(create_vbd(w), -EEXIST);
	assert_string_equal(value(w, w->bpath, "params"), "/img,aio=threads");
	assert_string_equal(value(w, w->bpath, "frontend"), w->fpath);
	assert_string_equal(value(w, w->bpath, "online"), "1");
	assert_string_equal(value(w, w->bpath, "state"), "1");
	assert_string_equal(value(w, w->bpath, "dev"), "xvda");
	assert_string_equal(value(w, w->fpath, "backend"), w->bpath);
	assert_string_equal(value(w, w->fpath, "virtual-device"), "51712");
	snprintf(path, sizeof(path), "%s/state", w->bpath);
	assert_perms(w, path, "n0 r3 ");
	snprintf(path, sizeof(path), "%s/state", w->fpath);
	assert_perms(w, path, "n3 r0 ");
	/* Nobody answers: with force it goes, without it stays. */
	assert_int_equal(remove_vbd(w, 20 * NS_PER_MS, false), -ETIMEDOUT);
	assert_string_equal(value(w, w->bpath, "state"), "5");
	assert_int_equal(remove_vbd(w, 20 * NS_PER_MS, true), 0);
	assert_int_equal(xsc_sync_read(w->xs, path, path, sizeof(path)), -ENOENT);
	assert_int_equal(remove_vbd(w, 20 * NS_PER_MS, true), -ENOENT);
}

static void a_domain_ends(void **state)
{
	struct world *w = world(state);
	struct xsc_wait wait = {0};

	connect_both(w);
	w->back.close_on_removed = w->front.close_on_removed = true;
	dev_admin_domain_destroy(w->xs, 0, DOM, PATIENCE, xsc_wait_done, &wait);
	assert_int_equal(wait_rc(w, &wait), 0);
	UNTIL(w, w->back.calls[XENBUS_ACT_REMOVED] == 1);
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	assert_string_equal(value(w, "/local/domain/3", "vm"), "(No such file or directory)");
	assert_string_equal(value(w, "/vm/" UUID, "name"), "(No such file or directory)");
	assert_string_equal(value(w, w->bpath, "state"), "(No such file or directory)");
	assert_int_equal(create_domain(w), 0);
}

static void scanning(void **state)
{
	struct world *w = world(state);

	assert_int_equal(create_vbd(w), 0);
	assert_int_equal(xenbus_scan_open(w->xs, 0, "vbd", scan_cb, w, &w->scan), 0);
	UNTIL(w, w->appeared == 1);
	assert_true(w->domid == DOM && w->devid == DEV);
	UNTIL(w, xenbus_scan_settled(w->scan));
	put(w, "/local/domain/0/backend/vbd/7/51728", "state", "1");
	put(w, "/local/domain/0/backend/vbd/7/rubbish", "state", "1");
	put(w, "/local/domain/0/backend/vbd/99999/1", "state", "1");
	UNTIL(w, w->appeared == 2);
	assert_true(w->domid == 7 && w->devid == 51728);
	assert_int_equal(xsc_sync_rm(w->xs, "/local/domain/0/backend/vbd/7"), 0);
	UNTIL(w, w->vanished == 1);
	put(w, w->bpath, "anything", "1");
	settle(w);
	assert_true(w->appeared == 2 && w->vanished == 1);
	xenbus_scan_again(w->scan, DOM, DEV);
	UNTIL(w, w->appeared == 3);
	/* A store that comes back with everything changes nothing; one that has forgotten is no toolstack. */
	real_store_kill(&w->store);
	real_store_start(&w->store);
	settle(w);
	UNTIL(w, xsc_up(w->xs));
	put(w, "/local/domain/0/backend/vbd/7/1", "state", "1");
	UNTIL(w, w->appeared == 4);
	assert_int_equal(w->vanished + w->lost, 1);
	real_store_kill(&w->store);
	real_store_forget(&w->store);
	real_store_start(&w->store);
	UNTIL(w, w->lost == 2);
	assert_int_equal(w->vanished, 1);
}

/* The store dies at every stage; both ends go on, and nobody lets go of a connection. */
static void store_dies(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	for (int i = 0; i < 5; i++) {
		real_store_kill(&w->store);
		settle(w);
		real_store_start(&w->store);
		UNTIL(w, xsc_up(w->xs) && xsc_up(w->guest));
		settle(w);
		assert_true(both_connected(w));
	}
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT] + w->back.calls[XENBUS_ACT_LOST], 0);
	/* In the middle of a close: what was asked while it was away is done when it is back. */
	real_store_kill(&w->store);
	xenbus_end_shut(w->front.end);
	settle(w);
	real_store_start(&w->store);
	UNTIL(w, w->front.calls[XENBUS_ACT_RELEASE] == 1);
	xenbus_end_reopen(w->front.end);
	for (int i = 0; i < 10 && !both_connected(w); i++) {
		real_store_kill(&w->store);
		real_store_start(&w->store);
		for (int k = 0; k < 4 * i; k++)
			loop_once(w->loop, NS_PER_MS);
	}
	UNTIL(w, both_connected(w));
}

/* It comes back and knows nothing: the owner is told so, and nothing is torn down. */
static void store_forgets(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	real_store_kill(&w->store);
	real_store_forget(&w->store);
	real_store_start(&w->store);
	UNTIL(w, w->back.calls[XENBUS_ACT_LOST] == 1 && w->front.calls[XENBUS_ACT_LOST] == 1);
	settle(w);
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT] + w->back.calls[XENBUS_ACT_REMOVED], 0);
	assert_int_equal(w->front.calls[XENBUS_ACT_DISCONNECT] + w->front.calls[XENBUS_ACT_REMOVED], 0);
	assert_int_equal(xenbus_end_phase(w->back.end), XENBUS_B_MET);
}

/* Requests all the time while the store is killed and restarted: each is answered once, within its deadline. */
static unsigned answered, failed;
static void count_cb(void *arg, int rc, const char *data, size_t len)
{
	(void)arg, (void)data, (void)len;
	answered++;
	if (rc && rc != -ENOENT)
		failed++;
}

static void kill_under_load(void **state)
{
	struct world *w = world(state);
	unsigned asked = 0;

	answered = failed = 0;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 100; i++, asked++) {
			if (i % 10 == 0)
				xsc_write(w->xs, 0, "/load/n", "1", 1, count_cb, w);
			else
				xsc_read(w->xs, 0, "/load/n", count_cb, w);
			loop_once(w->loop, 0);
			if (i == 37) {
				real_store_kill(&w->store);
				real_store_start(&w->store);
			}
		}
	}
	UNTIL(w, answered == asked);
	settle(w);
	assert_int_equal(answered, asked);
	print_message("%u requests over 20 deaths, %u writes with an unknown outcome\n", asked, failed);
	assert_true(failed <= 200);
	assert_string_equal(value(w, "/load", "n"), "1");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(toolstack),
		T(a_domain_ends),
		T(scanning),
		T(store_dies),
		T(store_forgets),
		T(kill_under_load),
	};

	log_init("test_bus_store", getenv("TEST_DEBUG") ? LOG_LVL_DEBUG : LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
