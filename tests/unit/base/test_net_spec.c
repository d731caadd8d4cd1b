/* A vif's filter as text: what is taken, what is refused, and what is written back means the same. */
#include "ring/base/net_spec.h"
#include "ring/base/base.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void good_filters(void **state)
{
	static const struct {
		const char *text, *back;
	} good[] = {{"", ""},
		    {"loss=0", ""},
		    {"loss=1%,delay=5ms", "loss=1,delay=5"},
		    {"delay=60000,reorder=0.5,loss=100", "loss=100,reorder=0.5,delay=60000"},
		    {"seed=7", "seed=7"},
		    {"seed=1,loss=33.3333", "loss=33.3333"},
		    {"loss=99.9999,duplicate=99.9998,reorder=99.9997,delay=59999,seed=4294967295",
		     "loss=99.9999,duplicate=99.9998,reorder=99.9997,delay=59999,seed=4294967295"}};
	char text[NET_FILTER_TEXT];
	struct net_filter f, g;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(net_filter_parse(good[i].text, &f, NULL, 0) >= 0);
		net_filter_format(&f, text);
		assert_string_equal(text, good[i].back);
		assert_true(net_filter_parse(text, &g, NULL, 0) >= 0);
		assert_memory_equal(&f, &g, sizeof(f));
	}
}

static void bad_filters(void **state)
{
	static const char *const bad[] = {"loss=101", "loss=-1", "loss=", "loss=1%%", "loss=nan", "delay=5s", "delay=-5", "delay=60001", "seed=1ms",
					  "seed=x", "colour=red"};
	struct net_filter f;
	char err[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err[0] = '\0';
		assert_int_equal(net_filter_parse(bad[i], &f, err, sizeof(err)), -EINVAL);
		assert_true(strlen(err) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_filters), cmocka_unit_test(bad_filters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
