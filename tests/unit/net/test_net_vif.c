/* A vif as text: what is taken, what is refused with which words, and that its own text gives it back. */
#include "recovery/net/net_vif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static int set_all(struct net_vif *v, const char *text, char *err, size_t size)
{
	char copy[2000], *save, *one;
	int rc = 0;

	memset(v, 0, sizeof(*v));
	strcpy(v->dev, "vif1.0");
	strcpy(copy, text);
	for (one = strtok_r(copy, " ", &save); one && !rc; one = strtok_r(NULL, " ", &save)) {
		char *value = strchr(one, '=');

		assert_non_null(value);
		*value++ = '\0';
		rc = net_vif_set(v, one, value, err, size);
	}
	return rc ? rc : net_vif_check(v, err, size);
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"mode=bridge bridge=xenbr0 mtu=0 domid=0 handle=0 antispoof=0",
		"mode=bridge bridge=br0 mac=00:16:3e:0a:0b:0c ip=10.0.0.1/24,fd00::1/128 mtu=9000 domid=7 handle=1 antispoof=1",
		"mode=nat gatewaydev=eth0 mtu=0 domid=300 handle=2 antispoof=0",
		"mode=route ip=192.0.2.0/28 mtu=0 domid=1 handle=0 antispoof=0 vm=web uuid=8f3c5a52-0000-4000-8000-000000000001",
		"mode=openvswitch bridge=ovs0.5:6:7 mtu=0 domid=1 handle=0 antispoof=0",
	};
	char err[200], text[NET_TEXT_MAX];
	struct net_vif v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(set_all(&v, texts[i], err, sizeof(err)), 0);
		net_vif_text(&v, text);
		assert_string_equal(text, texts[i]);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"mode=hub", "mode=hub is not understood"},
		{"bridge=br0", "mode=bridge, nat, route or openvswitch is missing"},
		{"mode=bridge", "bridge=NAME is missing"},
		{"mode=bridge bridge=br0.5", "VLANs are for openvswitch"},
		{"mode=bridge bridge=br0;reboot", "not understood"},
		{"mode=bridge bridge=0123", "not understood"},
		{"mode=bridge bridge=abcdefghijklmnop", "not understood"},
		{"mode=openvswitch bridge=ovs0.5x", "not understood"},
		{"mode=bridge bridge=br0 mac=00:16:3e:00:00", "not understood"},
		{"mode=bridge bridge=br0 mac=00:16:3e:00:00:01x", "not understood"},
		{"mode=bridge bridge=br0 mac=01:16:3e:00:00:01", "not understood"}, /* many stations' */
		{"mode=route", "needs ip="},
		{"mode=route ip=10.0.0.256", "not understood"},
		{"mode=route ip=10.0.0.1/33", "not understood"},
		{"mode=route ip=10.0.0.1/0", "not understood"},
		{"mode=route ip=fd00::1/129", "not understood"},
		{"mode=route ip=fd00::1/x", "not understood"},
		{"mode=nat antispoof=1", "needs mac="},
		{"mode=nat antispoof=2", "not understood"},
		{"mode=nat mtu=20", "too small"},
		{"mode=nat mtu=65536", "not understood"},
		{"mode=nat domid=-1", "not understood"},
		{"mode=nat gatewaydev=eth0/../x", "not understood"},
		{"mode=nat vm=a\"b", "not understood"},
		{"mode=nat colour=red", "\"colour\" is no option"},
		{"mode=nat ip=1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
		 "1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1", "not understood"},
	};
	char err[200];
	struct net_vif v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err[0] = '\0';
		if (set_all(&v, bad[i].text, err, sizeof(err)) != -EINVAL || !strstr(err, bad[i].says))
			fail_msg("%s: %s", bad[i].text, err);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_true(tap_name_ok("vif1.0"));
	assert_true(tap_name_ok("a"));
	assert_true(tap_name_ok("web_front-end.0"));
	assert_false(tap_name_ok(""));
	assert_false(tap_name_ok("1vif"));
	assert_false(tap_name_ok(".."));
	assert_false(tap_name_ok("vif 1"));
	assert_false(tap_name_ok("vif/1"));
	assert_false(tap_name_ok("vif%d"));
	assert_false(tap_name_ok("sixteen-letters."));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("net_vif", tests, NULL, NULL);
}
