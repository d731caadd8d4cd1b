/* Both ends of a disk on a real bulkhead-store: connect, close, reset, detach, nodes that vanish, guests that misbehave. */
#include "tests/unit/bus/bus_world.h"

static void connect_close_connect(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	assert_string_equal(value(w, w->bpath, "state"), "4");
	assert_string_equal(value(w, w->bpath, "sectors"), "2048");
	assert_string_equal(value(w, w->fpath, "queue-1/ring-ref1"), "103");
	assert_memory_equal(&w->back.ask, &w->front.ask, sizeof(w->back.ask));
	xenbus_end_shut(w->front.end);
	UNTIL(w, w->front.calls[XENBUS_ACT_RELEASE] == 1);
	UNTIL(w, at(&w->back, XENBUS_B_CLOSED));
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	xenbus_end_reopen(w->front.end);
	UNTIL(w, both_connected(w));
	assert_int_equal(w->back.calls[XENBUS_ACT_PREPARE], 2);
	assert_int_equal(w->back.calls[XENBUS_ACT_CONNECT], 2);
}

/* The guest's process dies and another begins on what it left: 5, 6, 1. */
static void frontend_process_dies(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	xenbus_end_close(w->front.end);
	w->front.end = NULL;
	settle(w);
	assert_true(at(&w->back, XENBUS_B_MET));
	open_front(w);
	UNTIL(w, w->back.calls[XENBUS_ACT_CONNECT] == 2);
	UNTIL(w, both_connected(w));
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	/* kexec's way, by hand: each step waits for the backend's 5, 6, 2. */
	xenbus_end_close(w->front.end);
	w->front.end = NULL;
	put(w, w->fpath, "state", "5");
	UNTIL(w, at(&w->back, XENBUS_B_CLOSING));
	assert_string_equal(value(w, w->bpath, "state"), "5");
	put(w, w->fpath, "state", "6");
	UNTIL(w, at(&w->back, XENBUS_B_CLOSED));
	assert_string_equal(value(w, w->bpath, "state"), "6");
	put(w, w->fpath, "state", "1");
	UNTIL(w, at(&w->back, XENBUS_B_WAIT));
	assert_string_equal(value(w, w->bpath, "state"), "2");
}

/* Closed is written only when the owner has let go. */
static void slow_owner(void **state)
{
	struct world *w = world(state);

	w->back.keeps = true;
	connect_both(w);
	xenbus_end_shut(w->front.end);
	UNTIL(w, w->back.calls[XENBUS_ACT_DISCONNECT] == 1);
	UNTIL(w, w->front.calls[XENBUS_ACT_TIMEOUT] >= 1);
	assert_string_equal(value(w, w->bpath, "state"), "5");
	assert_int_equal(w->front.calls[XENBUS_ACT_RELEASE], 0);
	xenbus_end_down(w->back.end);
	UNTIL(w, w->front.calls[XENBUS_ACT_RELEASE] == 1);
	assert_string_equal(value(w, w->bpath, "state"), "6");
}

static void detach(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	w->back.close_on_removed = w->front.close_on_removed = true;
	assert_int_equal(remove_vbd(w, PATIENCE, false), 0);
	UNTIL(w, w->back.calls[XENBUS_ACT_REMOVED] == 1 && w->front.calls[XENBUS_ACT_REMOVED] == 1);
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	assert_int_equal(w->front.calls[XENBUS_ACT_DISCONNECT], 1);
	settle(w);
	/* Nobody brings removed nodes back. */
	assert_string_equal(value(w, w->bpath, "state"), "(No such file or directory)");
	assert_string_equal(value(w, w->fpath, "state"), "(No such file or directory)");
	assert_int_equal(create_vbd(w), 0);
}

static void nodes_vanish(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	w->back.keeps = true;
	assert_int_equal(xsc_sync_rm(w->xs, w->fpath), 0);
	UNTIL(w, w->back.calls[XENBUS_ACT_DISCONNECT] == 1 && w->front.calls[XENBUS_ACT_REMOVED] == 1);
	assert_int_equal(xsc_sync_rm(w->xs, w->bpath), 0);
	UNTIL(w, xenbus_end_phase(w->back.end) == XENBUS_B_GONE_DRAIN);
	assert_int_equal(w->back.calls[XENBUS_ACT_REMOVED], 0);
	xenbus_end_down(w->back.end);
	UNTIL(w, w->back.calls[XENBUS_ACT_REMOVED] == 1);
	settle(w);
	assert_string_equal(value(w, w->bpath, "state"), "(No such file or directory)");
}

static void put_in(struct xsc_batch *b, const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	xsc_batch_write(b, path, "%s", text);
}

/* Removed and made anew between two looks: the old connection is let go, the owner is told. */
static void replaced_at_once(void **state)
{
	struct world *w = world(state);
	struct xsc_batch *b = xsc_batch_new();

	connect_both(w);
	xenbus_end_close(w->front.end);
	w->front.end = NULL;
	xsc_batch_rm(b, w->bpath);
	xsc_batch_rm(b, w->fpath);
	put_in(b, w->bpath, "frontend", w->fpath);
	put_in(b, w->bpath, "online", "1");
	put_in(b, w->bpath, "state", "1");
	put_in(b, w->fpath, "state", "1");
	assert_int_equal(xsc_sync_commit(w->xs, b), 0);
	UNTIL(w, w->back.calls[XENBUS_ACT_REMOVED] == 1);
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
}

static void bad_keys(void **state)
{
	struct world *w = world(state);

	w->front.refuses = true;
	assert_int_equal(create_vbd(w), 0);
	open_back(w, false);
	open_front(w);
	UNTIL(w, w->front.calls[XENBUS_ACT_RELEASE] == 1);
	assert_string_equal(value(w, w->bpath, "error"), "frontend: multi-queue-num-queues is 9, 1 to 4 are offered");
	/* It behaves now, and the device works. */
	w->front.refuses = false;
	xenbus_end_reopen(w->front.end);
	UNTIL(w, both_connected(w));
	assert_string_equal(value(w, w->bpath, "error"), "(No such file or directory)");
}

static void resize(void **state)
{
	struct world *w = world(state);
	struct xs_kvs *kvs = calloc(1, sizeof(*kvs));

	connect_both(w);
	assert_non_null(kvs);
	assert_int_equal(w->front.calls[XENBUS_ACT_CHANGED], 0);
	assert_int_equal(xs_kv_set(kvs, "sectors", "%u", 4096), 0);
	xenbus_end_rewrite(w->back.end, kvs);
	UNTIL(w, w->front.offer.sectors == 4096);
	assert_true(both_connected(w));
	free(kvs);
}

/* XSA-349: a guest that writes its state all the time costs one look at a time, and the last value counts. */
static void storm(void **state)
{
	struct world *w = world(state);
	char path[160];

	connect_both(w);
	xenbus_end_close(w->front.end);
	w->front.end = NULL;
	snprintf(path, sizeof(path), "%s/state", w->fpath);
	for (int i = 0; i < 5000; i++) {
		xsc_write(w->guest, 0, path, i % 2 ? "7" : "4", 1, NULL, NULL);
		if (i % 50 == 0)
			loop_once(w->loop, 0);
	}
	xsc_write(w->guest, 0, path, "6", 1, NULL, NULL);
	UNTIL(w, at(&w->back, XENBUS_B_CLOSED));
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	/* Nonsense is as good as nothing. */
	put(w, w->fpath, "state", "4 and more");
	settle(w);
	assert_true(at(&w->back, XENBUS_B_CLOSED));
}

/* A guest was resumed: Connected, then Initialised, with a new ring. */
static void frontend_resumes(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	xenbus_end_close(w->front.end);
	w->front.end = NULL;
	put(w, w->fpath, "queue-0/event-channel", "77");
	put(w, w->fpath, "state", "3");
	UNTIL(w, at(&w->back, XENBUS_B_CONNECTED));
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
	assert_int_equal(w->back.calls[XENBUS_ACT_PREPARE], 2);
	assert_int_equal(w->back.calls[XENBUS_ACT_CONNECT], 2);
	assert_int_equal(w->back.ask.q[0].evtchn, 77);
	assert_string_equal(value(w, w->bpath, "state"), "4");
}

/* The supervisor dies and comes back over a living connection, or over an offer. */
static void backend_owner_restarts(void **state)
{
	struct world *w = world(state);

	connect_both(w);
	xenbus_end_close(w->back.end);
	memset(&w->back, 0, sizeof(w->back));
	open_back(w, true);
	UNTIL(w, both_connected(w));
	settle(w);
	assert_int_equal(w->back.calls[XENBUS_ACT_CONNECT] + w->back.calls[XENBUS_ACT_DISCONNECT], 0);
	/* The guest closed while nobody was there to see it. */
	xenbus_end_close(w->back.end);
	memset(&w->back, 0, sizeof(w->back));
	xenbus_end_shut(w->front.end);
	UNTIL(w, at(&w->front, XENBUS_F_STOPPED));
	open_back(w, true);
	UNTIL(w, w->front.calls[XENBUS_ACT_RELEASE] == 1);
	assert_int_equal(w->back.calls[XENBUS_ACT_DISCONNECT], 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connect_close_connect),
		T(frontend_process_dies),
		T(slow_owner),
		T(detach),
		T(nodes_vanish),
		T(replaced_at_once),
		T(bad_keys),
		T(resize),
		T(storm),
		T(frontend_resumes),
		T(backend_owner_restarts),
	};

	log_init("test_xenbus_end", getenv("TEST_DEBUG") ? LOG_LVL_DEBUG : LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
