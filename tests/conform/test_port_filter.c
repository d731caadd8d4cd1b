/* The filter of a netport: what is lost, doubled, overtaken and delayed, in both directions, and changed while it runs. */
#include "tests/conform/port_rig.h"

#define COUNT 1000u

static struct rig r;
static unsigned seen[COUNT], order[2 * COUNT], came;

static int setup(void **state)
{
	char opts[40];

	(void)state;
	snprintf(opts, sizeof(opts), ",loss=0,seed=%u", (unsigned)rand());
	rig_open(&r, RIG_PAIR, opts);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&r);
	return 0;
}

static void arm(const char *options)
{
	char err[200];

	if (netport_filter(r.port, options, err, sizeof(err)))
		fail_msg("%s", err);
}

static void note(const char *packet, ssize_t n)
{
	uint32_t number = rig_number(packet);

	assert_true(number < COUNT && came < 2 * COUNT);
	rig_expect(packet, (size_t)n, number, 64 + number % 50);
	seen[number]++;
	order[came++] = number;
}

/* Whatever is there at the far end, or ours. */
static void take_all(bool in)
{
	ssize_t n;

	while ((n = in ? rig_read(&r, r.buf) : rig_take(&r, r.buf)) > 0)
		note(r.buf, n);
	assert_int_equal(n, -EAGAIN);
	netport_kick(in ? r.q : r.other_q);
}

static void pass(bool in)
{
	memset(seen, 0, sizeof(seen));
	came = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		size_t len = rig_fill(r.buf, i, 64 + i % 50);

		assert_int_equal(netport_write(in ? r.other_q : r.q, r.buf, len), 0);
		if (i % 16 == 0) {
			netport_kick(in ? r.other_q : r.q);
			take_all(in);
		}
	}
	netport_kick(in ? r.other_q : r.q);
	take_all(in);
	netport_arm(r.q, NETPORT_IN); /* or what is to be read is not due */
	while (netport_due(r.q) != UINT64_MAX) {
		rig_sleep(r.q, NETPORT_IN, 5);
		netport_kick(r.q);
		take_all(in);
	}
}

static unsigned how_often(unsigned times)
{
	unsigned n = 0;

	for (unsigned i = 0; i < COUNT; i++)
		n += seen[i] == times;
	return n;
}

static unsigned out_of_order(void)
{
	unsigned n = 0;

	for (unsigned i = 1; i < came; i++)
		n += order[i] < order[i - 1];
	return n;
}

static void test_chances(void **state)
{
	(void)state;
	for (unsigned in = 0; in < 2; in++) {
		arm("");
		pass(in);
		assert_int_equal(how_often(1), COUNT);
		assert_int_equal(out_of_order(), 0);
		arm("loss=100");
		pass(in);
		assert_int_equal(came, 0);
		arm("loss=10");
		pass(in);
		assert_in_range(how_often(0), COUNT / 20, COUNT / 5);
		assert_int_equal(how_often(0) + how_often(1), COUNT);
		assert_int_equal(out_of_order(), 0);
		arm("duplicate=100");
		pass(in);
		assert_int_equal(how_often(2), COUNT);
		arm("duplicate=20");
		pass(in);
		assert_in_range(how_often(2), COUNT / 8, COUNT / 3);
		assert_int_equal(how_often(1) + how_often(2), COUNT);
		arm("reorder=20");
		pass(in);
		assert_int_equal(how_often(1), COUNT);
		assert_in_range(out_of_order(), COUNT / 10, COUNT / 3);
		arm("loss=5,duplicate=5,reorder=5");
		pass(in);
		assert_in_range(how_often(0), 1, COUNT / 5);
		assert_in_range(how_often(2), 1, COUNT / 5);
	}
}

static void test_delay(void **state)
{
	(void)state;
	arm("delay=30");
	for (unsigned in = 0; in < 2; in++) {
		uint64_t start = clock_now();
		ssize_t n;

		assert_int_equal(netport_write(in ? r.other_q : r.q, r.buf, rig_fill(r.buf, 1, 100)), 0);
		netport_kick(in ? r.other_q : r.q);
		assert_int_equal(in ? rig_read(&r, r.buf) : rig_take(&r, r.buf), -EAGAIN);
		assert_int_equal(netport_arm(r.q, NETPORT_IN), 0);
		assert_in_range(netport_due(r.q), start + 30 * NS_PER_MS, clock_now() + 30 * NS_PER_MS);
		do {
			rig_sleep(r.q, in ? NETPORT_IN : 0, 5);
			netport_kick(r.q);
			n = in ? rig_read(&r, r.buf) : rig_take(&r, r.buf);
		} while (n == -EAGAIN && clock_now() < start + RIG_WAIT_MS * NS_PER_MS);
		rig_expect(r.buf, (size_t)n, 1, 100);
		assert_true(clock_now() - start >= 30 * NS_PER_MS);
	}
}

/* One that is to be overtaken, and nothing comes: it goes on after a while. */
static void test_reorder_alone(void **state)
{
	(void)state;
	arm("reorder=100");
	assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, 1, 100)), 0);
	assert_int_equal(rig_take(&r, r.buf), -EAGAIN);
	while (netport_due(r.q) != UINT64_MAX) {
		rig_sleep(r.q, 0, 5);
		netport_kick(r.q);
	}
	rig_expect(r.buf, (size_t)rig_take(&r, r.buf), 1, 100);
}

/* What waits is bounded; and what was delayed stays so when the filter is disarmed, in its order. */
static void test_bound(void **state)
{
	unsigned n = 0;

	(void)state;
	arm("delay=20");
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, i, 100)), 0);
	arm("");
	while (netport_due(r.q) != UINT64_MAX) {
		rig_sleep(r.q, 0, 5);
		netport_kick(r.q);
	}
	while (rig_take(&r, r.buf) > 0)
		assert_int_equal(rig_number(r.buf), n++);
	assert_int_equal(n, NETPORT_HELD);
}

static void test_full_device(void **state)
{
	unsigned n = 0, sent = 0;

	(void)state;
	arm("duplicate=100");
	for (; sent < 40; sent++)
		assert_int_equal(netport_write(r.q, r.buf, rig_fill(r.buf, sent, 60000)), 0);
	assert_int_equal(netport_arm(r.q, 0), 0);
	assert_int_equal(netport_due(r.q), UINT64_MAX); /* waits for room, not for time */
	while (n < 2 * sent) {
		ssize_t len = rig_take(&r, r.buf);

		if (len > 0) {
			rig_expect(r.buf, (size_t)len, n++ / 2, 60000);
			continue;
		}
		netport_kick(r.other_q);
		assert_int_equal(poll(&(struct pollfd){.fd = netport_fd(r.q), .events = POLLIN}, 1, RIG_WAIT_MS), 1);
		netport_kick(r.q);
		netport_arm(r.q, 0);
	}
}

static void test_refused(void **state)
{
	char err[200];

	(void)state;
	assert_int_equal(netport_filter(r.port, "loss=200", err, sizeof(err)), -EINVAL);
	assert_int_equal(netport_filter(r.port, "colour=red", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "colour"));
}

/* Any netport has one, and the same seed throws the same dice, whenever it is given. */
static void test_seed(void **state)
{
	unsigned first[COUNT];

	(void)state;
	rig_close(&r);
	rig_open(&r, RIG_PAIR, "");
	pass(false);
	assert_int_equal(came, COUNT);
	for (unsigned i = 0; i < 3; i++) {
		arm("loss=50%,seed=8");
		arm(i == 1 ? "loss=50,seed=9" : "loss=50,seed=7");
		pass(false);
		assert_in_range(came, COUNT / 3, COUNT - COUNT / 3);
		if (i == 0)
			memcpy(first, seen, sizeof(first));
		else
			assert_int_equal(memcmp(first, seen, sizeof(first)) == 0, i == 2);
		arm("seed=8"); /* nothing is done, and nobody throws */
		pass(false);
		assert_int_equal(came, COUNT);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chances, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reorder_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
	};

	rig_seed();
	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
