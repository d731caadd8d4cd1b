/* The frontend's library against the whole of backend/net: numbered packets over a pair between two guests, both ways at once. */
#include "tests/bench/net_rig.h"

#include "frontend/net/net_verify.h"
#include "ring/os/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void pass(unsigned queues, unsigned size, uint64_t rate)
{
	const char *seed = getenv("SEED");
	struct net_verify_opts o = {.seconds = 1, .rate = rate, .size = size, .outage_ns = 1000000};
	int near[2], far[2], end[2];
	struct net_rig *a, *b;
	struct net_verify_result r;
	char err[200] = "";

	o.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	print_message("SEED=%llu\n", (unsigned long long)o.seed);
	for (unsigned i = 0; i < queues; i++) {
		assert_int_equal(wire_make(WIRE_BYTES_MIN, end), 0);
		near[i] = end[0];
		far[i] = end[1];
	}
	if (net_rig_open("pair", near, queues, 20, &a, err, sizeof(err)) || net_rig_open("pair", far, queues, 20, &b, err, sizeof(err)))
		fail_msg("%s", err);
	assert_int_equal(net_verify(net_rig_front(a), net_rig_front(b), &o, &r), 0);
	assert_int_equal(r.rc, 0);
	for (int i = 0; i < 2; i++) {
		assert_true(r.way[i].sent > 50);
		assert_int_equal(r.way[i].received, r.way[i].sent);
		assert_int_equal(r.way[i].lost + r.way[i].repeated + r.way[i].corrupted + r.way[i].foreign + r.way[i].refused, 0);
	}
	net_rig_close(a);
	net_rig_close(b);
}

static void packets_of_all_sizes(void **state)
{
	(void)state;
	pass(1, 0, 10000);
}

static void large_packets_on_two_queues(void **state)
{
	(void)state;
	pass(2, 60000, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_all_sizes),
		cmocka_unit_test(large_packets_on_two_queues),
	};
	int failed;

	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed); /* a backend gives nothing back before its process ends: nobody is to look for leaks */
}
