/* The supervisor and network interfaces, as test_world.c: carrier, rate, the toolstack's script, a store that forgets, the two ends of a
 * pair; over deaths of stub and supervisor. Netports that need no rights. */
#include "fake_stub.h"

#include "world.h"

static int vif_attach(struct guest *g, const char *params)
{
	static struct dev_admin_vif v;
	struct xsc_wait wait = {0};
	int rc;

	memset(&v, 0, sizeof(v));
	g->type = CONN_VIF;
	g->devid = v.devid = 1;
	v.domid = g->domid;
	snprintf(v.wanted.params, sizeof(v.wanted.params), "%s", params);
	memcpy(v.wanted.mac, (const uint8_t[6]){0, 0x16, 0x3e, 0, 0, (uint8_t)g->domid}, 6);
	strcpy(v.wanted.bridge, "xenbr7");
	dev_admin_vif_create(w.xs, &v, xsc_wait_done, &wait);
	rc = xsc_wait(w.xs, &wait);
	xsc_wait_free(&wait);
	snprintf(g->back, sizeof(g->back), "/local/domain/0/backend/vif/%u/1", g->domid);
	snprintf(g->front, sizeof(g->front), "/local/domain/%u/device/vif/1", g->domid);
	return rc;
}

static void set(const char *dir, const char *key, const char *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", dir, key);
	assert_int_equal(xsc_sync_write(w.xs, path, "%s", value), 0);
}

static void set_number(const char *dir, const char *key, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	set(dir, key, text);
}

/* As netfront: from state 1 to 4. */
static void vif_ask(struct guest *g)
{
	struct hv_grant gr[2] = {0};

	assert_int_equal(hv_alloc(g->hv, 2, &g->page), 0);
	gr[0].page = g->page;
	gr[1].page = (char *)g->page + BH_PAGE_SIZE;
	assert_int_equal(hv_grant(g->hv, 0, gr, 2), 0);
	assert_int_equal(hv_port_alloc(g->hv, 0, &g->port), 0);
	set_number(g->front, "tx-ring-ref", gr[0].gref);
	set_number(g->front, "rx-ring-ref", gr[1].gref);
	set_number(g->front, "event-channel", hv_port_number(g->port));
	set_number(g->front, "request-rx-copy", 1);
	set_number(g->front, "feature-sg", 1);
	set_front_state(g, XenbusStateConnected);
}

static struct guest *vif_offered(const char *name, const char *params)
{
	struct guest *g = guest_new(name);

	assert_int_equal(vif_attach(g, params), 0);
	wait_node(g->back, XenbusStateInitWait);
	return g;
}

static struct guest *vif_up(const char *name, const char *params)
{
	struct guest *g = vif_offered(name, params);

	vif_ask(g);
	wait_node(g->back, XenbusStateConnected);
	wait_state(g, CTL_UP, true);
	return g;
}

static void wait_carrier(const struct guest *g, bool on)
{
	uint64_t until = clock_now() + WITHIN_NS;
	struct ctl_dev d = {0};

	while ((!look(g, &d) || d.state != CTL_UP || d.net.carrier != on) && clock_now() < until)
		usleep(2000);
	assert_int_equal(d.net.carrier, on);
}

static void refused(struct guest *g, const char *part)
{
	char path[192], text[256] = "";
	uint64_t until = clock_now() + WITHIN_NS;

	snprintf(path, sizeof(path), "%s/error", g->back);
	while (xsc_sync_read(w.xs, path, text, sizeof(text)) && clock_now() < until)
		usleep(2000);
	if (!strstr(text, part))
		print_message("'%s' does not say '%s'\n", text, part);
	assert_non_null(strstr(text, part));
}

/* By a toolstack that has no patience. What was refused for want of an end would have the next that is free. */
static void vif_forget(struct guest *g)
{
	assert_int_equal(xsc_sync_rm(w.xs, g->back), 0);
	wait_forgotten(g);
}

/* ---- */

static void deaths_are_repaired(void **state)
{
	struct guest *g;
	struct ctl_dev d, e;

	(void)state;
	need_programs();
	g = vif_up("deaths", "null:60");
	d = wait_state(g, CTL_UP, true);
	assert_string_equal(d.vdev, "vif1");
	for (unsigned i = 1; i <= 4; i++) {
		kill(d.pid, i % 2 ? SIGKILL : SIGSEGV);
		if (i == 3)
			kill_supervisor();
		e = wait_other(g, d.pid);
		assert_int_equal(e.generation, d.generation + 1);
		kill_supervisor();
		d = wait_state(g, CTL_UP, true);
		assert_int_equal(d.pid, e.pid);
	}
	assert_int_equal(node_state(g->back), XenbusStateConnected);
	detach(g);
}

/* What a stub says of its guest holds until it dies, or says otherwise; the rate is followed, and told to the living. */
static void carrier_and_rate(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	g = vif_up("carrier", "null");
	wait_carrier(g, true);
	set(g->back, "rate", "13000,1000");
	wait_carrier(g, false);
	kill_supervisor();
	wait_carrier(g, false);
	set(g->back, "rate", "26000,1000");
	wait_carrier(g, true);
	set(g->back, "rate", "13000,50");
	wait_carrier(g, false);
	d = wait_state(g, CTL_UP, true);
	kill(d.pid, SIGKILL);
	d = wait_other(g, d.pid);
	wait_carrier(g, true);
	set(g->back, "rate", "26000,fast"); /* it stays as it was */
	set(g->back, "rate", "13000,51");
	wait_carrier(g, false);
	detach(g);
}

/* A worker that sleeps beside an event is asked far more often than once a second; here it answers. */
static void work_that_waits_is_seen(void **state)
{
	struct ctl_dev d = {0};
	struct guest *g;
	uint64_t until, first;

	(void)state;
	need_programs();
	g = vif_up("asleep", "null:asleep");
	hv_port_notify(g->port);
	look(g, &d);
	first = d.net.ctrl / 100;
	until = clock_now() + 15 * NS_PER_S;
	while (d.net.ctrl / 100 < first + 20 && clock_now() < until) {
		usleep(20000);
		look(g, &d);
	}
	assert_true(d.net.ctrl / 100 >= first + 20);
	detach(g);
}

static void wait_multicast(const struct guest *g, bool listed)
{
	uint64_t until = clock_now() + WITHIN_NS;
	struct ctl_dev d = {0};

	while ((!look(g, &d) || d.state != CTL_UP || d.net.ctrl % 100 != 10u + listed) && clock_now() < until)
		usleep(2000);
	assert_int_equal(d.net.ctrl % 100, 10 + listed);
}

/* The guest may say at any time whether its list of multicast groups counts: each stub is told. */
static void multicast_by_a_node(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	g = vif_up("multicast", "null");
	has_value(g->back, "feature-dynamic-multicast-control", "1");
	wait_multicast(g, false);
	set(g->front, "request-multicast-control", "1");
	wait_multicast(g, true);
	d = wait_state(g, CTL_UP, true);
	kill(d.pid, SIGKILL);
	wait_other(g, d.pid);
	wait_multicast(g, true);
	kill_supervisor();
	wait_state(g, CTL_UP, true);
	set(g->front, "request-multicast-control", "0");
	wait_multicast(g, false);
	for (int i = 0; i < 200; i++) /* a guest in a hurry */
		set_number(g->front, "request-multicast-control", i % 2);
	wait_multicast(g, true);
	detach(g);
}

static void stays(const struct guest *g, unsigned state)
{
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(node_state(g->back), state);
		usleep(2000);
	}
}

/* State 4 waits for the toolstack's script, over deaths of stub and supervisor. */
static void the_guest_is_told_when_the_script_has_run(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	for (unsigned die = 0; die < 3; die++) {
		char name[16];

		snprintf(name, sizeof(name), "script%u", die);
		g = vif_offered(name, "null");
		set(g->back, "hotplug-status", "");
		vif_ask(g);
		d = wait_state(g, CTL_UP, true);
		stays(g, XenbusStateInitWait);
		if (die == 1)
			kill_supervisor();
		if (die == 2) {
			kill(d.pid, SIGKILL);
			wait_other(g, d.pid);
		}
		wait_state(g, CTL_UP, true);
		set(g->back, "hotplug-status", "error");
		stays(g, XenbusStateInitWait);
		set(g->back, "hotplug-status", "connected");
		wait_node(g->back, XenbusStateConnected);
		detach(g);
	}
}

static void a_store_that_forgets_is_told(void **state)
{
	struct ctl_dev d;
	struct guest *g;

	(void)state;
	need_programs();
	g = vif_up("forgotten", "null,queues=2");
	d = wait_state(g, CTL_UP, true);
	set(g->back, "rate", "13000,1000");
	set(g->front, "request-multicast-control", "1");
	wait_multicast(g, true);
	for (int i = 0; i < 2; i++) {
		forget_store(i == 1);
		ends_are_back(g, d.pid);
		has_value(g->back, "params", "null,queues=2");
		has_value(g->back, "bridge", "xenbr7");
		has_value(g->back, "feature-sg", "1");
		has_value(g->back, "multi-queue-max-queues", "2");
		has_value(g->front, "request-rx-copy", "1");
		has_value(g->back, "rate", "13000,1000");
		has_value(g->front, "request-multicast-control", "1");
		wait_multicast(g, true);
	}
	wait_introduced(g->domid);
	detach(g);
}

/* A wire has two ends, whoever comes and goes, and whatever the supervisor remembers by itself. */
static void a_wire_has_two_ends(void **state)
{
	struct guest *a, *b, *c;

	(void)state;
	need_programs();
	a = vif_up("end-a", "pair:x,queues=2");
	c = guest_new("end-c");
	assert_int_equal(vif_attach(c, "pair:x,queues=1"), 0);
	refused(c, "queues=2 is needed");
	vif_forget(c);
	b = vif_up("end-b", "pair:x,queues=2");
	kill_supervisor();
	wait_state(a, CTL_UP, true);
	wait_state(b, CTL_UP, true);
	c = guest_new("end-d");
	assert_int_equal(vif_attach(c, "pair:x,queues=2"), 0);
	refused(c, "both its ends attached");
	vif_forget(c);
	detach(a);
	kill_supervisor();
	wait_state(b, CTL_UP, true);
	a = vif_up("end-e", "pair:x,queues=2"); /* the end that is free */
	c = guest_new("end-f");
	assert_int_equal(vif_attach(c, "pair:x,queues=2"), 0);
	refused(c, "both its ends attached");
	vif_forget(c);
	detach(a);
	detach(b);
	a = vif_up("end-g", "pair:x"); /* another wire: the former went with its last end */
	detach(a);
}

static void bad_options_are_said_in_one_line(void **state)
{
	static const struct {
		const char *params, *part;
	} bad[] = {{"wire:x", "no netport"}, {"null,queues=17", "whole number up to 16"}, {"null,stall-ms=soon", "whole number"},
		   {"null,standby=perhaps", "yes or no"}};

	(void)state;
	need_programs();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char name[16];
		struct guest *g;

		snprintf(name, sizeof(name), "bad%zu", i);
		g = guest_new(name);
		assert_int_equal(vif_attach(g, bad[i].params), 0);
		refused(g, bad[i].part);
		assert_int_equal(wait_state(g, CTL_FAILED, false).pid, 0);
	}
}

static void what_is_detached_unseen_is_let_go(void **state)
{
	(void)state;
	need_programs();
	detach_unseen(vif_up("unseen", "pair:y"));
	detach(vif_up("unseen-heir", "pair:y,queues=2"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deaths_are_repaired),
		cmocka_unit_test(carrier_and_rate),
		cmocka_unit_test(work_that_waits_is_seen),
		cmocka_unit_test(multicast_by_a_node),
		cmocka_unit_test(the_guest_is_told_when_the_script_has_run),
		cmocka_unit_test(a_store_that_forgets_is_told),
		cmocka_unit_test(a_wire_has_two_ends),
		cmocka_unit_test(bad_options_are_said_in_one_line),
		cmocka_unit_test(what_is_detached_unseen_is_let_go),
	};
	int status;

	if (fake_stub_main(argc, argv, &status))
		return status;
	alarm(240);
	if (getenv("TEST"))
		cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, up_per_device, world_down);
}
