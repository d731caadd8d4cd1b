/* Keys of a vif: texts, round trips, what xl and Linux write, and every foreign value that must be refused. */
#include "xenstore-glue/bus/vif_keys.h"

#include "ring/base/base.h"
#include "ring/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct xs_kvs kvs;
static char line[256];

static void drop(const char *key)
{
	for (unsigned k = 0; k < kvs.n; k++)
		if (strcmp(kvs.kv[k].key, key) == 0)
			kvs.kv[k] = kvs.kv[--kvs.n];
}

static void macs(void **state)
{
	static const char *const bad[] = {"", "00:16:3e:01:02", "00:16:3e:01:02:0", "00:16:3e:01:02:03:", "00-16-3e-01-02-03",
					  "00:16:3g:01:02:03", "01:16:3e:01:02:03", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff",
					  " 00:16:3e:01:02:0", "00:16:3e:01:02:+3"};
	uint8_t mac[6];
	char text[VIF_MAC_TEXT];

	(void)state;
	assert_int_equal(vif_mac_parse("00:16:3E:aB:02:f3", mac), 0);
	assert_memory_equal(mac, ((const uint8_t[6]){0, 0x16, 0x3e, 0xab, 2, 0xf3}), 6);
	vif_mac_format(mac, text);
	assert_string_equal(text, "00:16:3e:ab:02:f3");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (vif_mac_parse(bad[i], mac) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void rates(void **state)
{
	static const char *const bad[] = {"", "1", "1,", ",1", "0,1", "1,1,1", "-1,1", "1, 1", "x,1", "1,3600000001",
					  "9223372036854775808,1", "111111111111111111111111,1"};
	uint64_t bytes, us;

	(void)state;
	assert_int_equal(vif_rate_parse("20000,50000", &bytes, &us), 0);
	assert_true(bytes == 20000 && us == 50000);
	assert_int_equal(vif_rate_parse("20000,0", &bytes, &us), 0);
	assert_true(bytes == 0 && us == 0);
	assert_int_equal(vif_rate_parse("0,0", &bytes, &us), 0);
	assert_int_equal(vif_rate_parse("9223372036854775807,3600000000", &bytes, &us), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (vif_rate_parse(bad[i], &bytes, &us) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void wanted(void **state)
{
	struct vif_wanted w = {.frontend = "/local/domain/3/device/vif/1", .frontend_id = 3, .online = true, .handle = 1,
			       .mac = {0, 0x16, 0x3e, 1, 2, 3}, .mtu = 9000, .rate_bytes = 625000, .rate_us = 50000,
			       .script = "/etc/xen/scripts/vif-bridge", .type = "vif", .vifname = "web", .bridge = "xenbr1",
			       .gatewaydev = "eth0", .ip = "10.0.0.2 10.0.0.3", .vlan = "10p/20", .mode = VIF_OPENVSWITCH,
			       .antispoof = true, .params = "pair:x,loss=1"},
			  r;

	(void)state;
	kvs.n = 0;
	assert_int_equal(vif_wanted_write(&w, &kvs), 0);
	assert_string_equal(xs_kv_get(&kvs, "rate"), "625000,50000");
	assert_string_equal(xs_kv_get(&kvs, "mode"), "openvswitch");
	assert_string_equal(xs_kv_get(&kvs, "state"), "1");
	assert_int_equal(vif_wanted_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &w, sizeof(w));
}

/* What xl of Xen 4.17 writes for vif=[''], and nothing else. */
static void wanted_of_xl(void **state)
{
	static const char *const of_xl[][2] = {
		{"frontend", "/local/domain/1/device/vif/0"}, {"frontend-id", "1"}, {"online", "1"}, {"state", "1"},
		{"script", "/etc/xen/scripts/vif-bridge"}, {"mac", "00:16:3e:61:d0:3f"}, {"bridge", "xenbr0"}, {"handle", "0"},
		{"type", "vif"}, {"hotplug-status", ""}};
	struct vif_wanted r;

	(void)state;
	kvs.n = 0;
	for (size_t i = 0; i < ARRAY_LEN(of_xl); i++)
		xs_kv_set(&kvs, of_xl[i][0], "%s", of_xl[i][1]);
	assert_int_equal(vif_wanted_read(&kvs, &r, line, sizeof(line)), 0);
	assert_true(r.online && r.mode == VIF_BY_SCRIPT && !r.antispoof && !r.mtu && !r.rate_us && r.mac[5] == 0x3f);
	assert_false(vif_marked(r.script));
	assert_true(vif_marked("/etc/xen/scripts/vif-bulkhead"));
	assert_true(vif_marked("vif-bulkhead-nat"));
	assert_int_equal(vif_mode_of_script("/etc/xen/scripts/vif-bridge"), VIF_BRIDGE);
	assert_int_equal(vif_mode_of_script("vif-route"), VIF_ROUTE);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead"), VIF_BRIDGE);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead-nat"), VIF_NAT);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead-mine"), VIF_BY_SCRIPT);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead-antispoof"), VIF_BRIDGE);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead-antispoof-route"), VIF_ROUTE);
	assert_int_equal(vif_mode_of_script("/x/vif-bulkhead-antispoofing"), VIF_BY_SCRIPT);
	assert_true(vif_antispoof_of_script("/x/vif-bulkhead-antispoof") && vif_antispoof_of_script("vif-bulkhead-antispoof-mine"));
	assert_false(vif_antispoof_of_script("/x/vif-bulkhead-antispoofing") || vif_antispoof_of_script("/x/vif-antispoof") ||
		     vif_antispoof_of_script("/vif-bulkhead-antispoof/vif-nat") || vif_antispoof_of_script(""));
	assert_int_equal(vif_mode_of_script("/x/vif-"), VIF_BY_SCRIPT);
	assert_int_equal(vif_mode_of_script("/vif-nat/colo"), VIF_BY_SCRIPT);
	assert_int_equal(vif_mode_of_script(""), VIF_BY_SCRIPT);
	assert_false(vif_marked("/etc/xen/scripts/vif-bulkheads"));
	assert_false(vif_marked("/vif-bulkhead/vif-nat"));
	assert_false(vif_marked(NULL));
	assert_int_equal(vif_hotplug_read(&kvs), VIF_HOTPLUG_WAIT);
	xs_kv_set(&kvs, "hotplug-status", "connected");
	assert_int_equal(vif_hotplug_read(&kvs), VIF_HOTPLUG_CONNECTED);
	xs_kv_set(&kvs, "hotplug-status", "error");
	assert_int_equal(vif_hotplug_read(&kvs), VIF_HOTPLUG_ERROR);
	drop("hotplug-status");
	assert_int_equal(vif_hotplug_read(&kvs), VIF_HOTPLUG_NONE);
}

static void wrong_wanted(void **state)
{
	static const char *const bad[][2] = {
		{"frontend-id", "99999"}, {"handle", "65536"}, {"handle", "x"}, {"mac", "1"}, {"mac", "01:00:5e:00:00:01"},
		{"mtu", "67"}, {"mtu", "65522"}, {"mtu", "-1"}, {"rate", "fast"}, {"rate", "1"}, {"mode", "macvtap"},
		{"vifname", "a name of more than 15 bytes"}, {"online", "yes"}, {"antispoof", "on"}};
	struct vif_wanted w = {.frontend = "/f", .frontend_id = 3}, r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kvs.n = 0;
		assert_int_equal(vif_wanted_write(&w, &kvs), 0);
		xs_kv_set(&kvs, bad[i][0], "%s", bad[i][1]);
		line[0] = '\0';
		if (vif_wanted_read(&kvs, &r, line, sizeof(line)) != -EINVAL || !line[0] || strchr(line, '\n'))
			fail_msg("%s=%s: \"%s\"", bad[i][0], bad[i][1], line);
	}
	kvs.n = 0;
	xs_kv_set(&kvs, "frontend", "/f");
	assert_int_equal(vif_wanted_read(&kvs, &r, line, sizeof(line)), -EINVAL);
	assert_string_equal(line, "no frontend or frontend-id");
}

static void told(void **state)
{
	struct vif_told t = {.handle = 2, .mac = {2, 1, 1, 1, 1, 1}, .mtu = 9000}, r;

	(void)state;
	kvs.n = 0;
	assert_int_equal(vif_told_write(&t, &kvs), 0);
	assert_int_equal(vif_told_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &t, sizeof(t));
	kvs.n = 0;
	assert_int_equal(vif_told_read(&kvs, &r, line, sizeof(line)), 0);
	assert_true(r.mtu == VIF_MTU && r.trusted && !r.mac[0]);
	xs_kv_set(&kvs, "mac", "no");
	assert_int_equal(vif_told_read(&kvs, &r, line, sizeof(line)), -EINVAL);
	kvs.n = 0;
	assert_true(vif_carrier_read(&kvs));
	xs_kv_set(&kvs, "carrier", "0");
	assert_false(vif_carrier_read(&kvs));
	xs_kv_set(&kvs, "carrier", "1");
	assert_true(vif_carrier_read(&kvs));
}

static const struct vif_offer offer = {.sg = true, .gso4 = true, .gso6 = true, .csum6 = true, .mcast = true,
				       .dynamic_mcast = true, .split = true, .ctrl_ring = true, .xdp = true, .max_queues = 4};

static void offers(void **state)
{
	static const char *const bad[][2] = {{"feature-sg", "yes"}, {"feature-gso-tcpv4", ""}, {"multi-queue-max-queues", "many"},
					     {"feature-rx-copy", "0"}, {"feature-rx-copy", "no"}, {"feature-ctrl-ring", "-1"}};
	struct vif_offer r, none = {.max_queues = 1};

	(void)state;
	kvs.n = 0;
	assert_int_equal(vif_offer_write(&offer, &kvs), 0);
	assert_string_equal(xs_kv_get(&kvs, "feature-rx-flip"), "0");
	assert_int_equal(vif_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &offer, sizeof(r));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kvs.n = 0;
		vif_offer_write(&offer, &kvs);
		xs_kv_set(&kvs, bad[i][0], "%s", bad[i][1]);
		line[0] = '\0';
		if (vif_offer_read(&kvs, &r, line, sizeof(line)) != -EPEER || !line[0] || strchr(line, '\n'))
			fail_msg("%s=%s: \"%s\"", bad[i][0], bad[i][1], line);
	}
	/* qemu's backend offers this and no more; another can do more than we would ask for. */
	kvs.n = 0;
	assert_int_equal(vif_offer_read(&kvs, &r, line, sizeof(line)), -EPEER);
	xs_kv_set(&kvs, "feature-rx-copy", "1");
	assert_int_equal(vif_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &none, sizeof(r));
	xs_kv_set(&kvs, "multi-queue-max-queues", "64");
	assert_int_equal(vif_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_int_equal(r.max_queues, CONN_QUEUES_MAX);
}

static struct vif_ask make_ask(uint32_t nqueues, bool split, bool ctrl)
{
	struct vif_ask a = {.nqueues = nqueues, .split = split, .rx_notify = true, .csum6 = true, .sg = true, .gso4 = true,
			    .gso6 = true, .mcast = true, .xdp_headroom = 192, .no_csum = true};
	uint32_t ref = 8;

	for (uint32_t q = 0; q < nqueues; q++)
		a.q[q] = (struct vif_queue){.tx_gref = ref++, .rx_gref = ref++, .evtchn = 10 + q, .evtchn_rx = split ? 50 + q : 0};
	if (ctrl) {
		a.ctrl_gref = ref;
		a.ctrl_evtchn = 99;
	}
	return a;
}

static void asks_come_back(void **state)
{
	struct vif_offer all = offer;
	struct vif_ask a, r;

	(void)state;
	all.max_queues = CONN_QUEUES_MAX;
	for (uint32_t q = 1; q <= CONN_QUEUES_MAX; q++)
		for (int form = 0; form < 4; form++) {
			a = make_ask(q, form & 1, form & 2);
			kvs.n = 0;
			assert_int_equal(vif_ask_write(&a, &kvs), 0);
			assert_int_equal(vif_ask_read(&kvs, &all, &r, line, sizeof(line)), 0);
			assert_memory_equal(&a, &r, sizeof(a));
			assert_int_equal(xs_kv_get(&kvs, "tx-ring-ref") != NULL, q == 1);
			assert_int_equal(xs_kv_get(&kvs, "queue-0/event-channel-rx") != NULL, q > 1 && a.split);
		}
	a = make_ask(0, false, false);
	assert_int_equal(vif_ask_write(&a, &kvs), -EINVAL);
	a = make_ask(1, false, false);
	a.xdp_headroom = VIF_XDP_MAX + 1;
	assert_int_equal(vif_ask_write(&a, &kvs), -EINVAL);
}

/* What was not offered is not asked for, whatever stands there; segmentation needs scatter-gather. */
static void asks_are_masked(void **state)
{
	const struct vif_offer none = {.max_queues = 4};
	struct vif_offer some = offer;
	struct vif_ask a = make_ask(2, false, true), r;

	(void)state;
	kvs.n = 0;
	assert_int_equal(vif_ask_write(&a, &kvs), 0);
	assert_int_equal(vif_ask_read(&kvs, &none, &r, line, sizeof(line)), 0);
	assert_false(r.csum6 || r.sg || r.gso4 || r.gso6 || r.mcast || r.xdp_headroom || r.ctrl_evtchn);
	assert_true(r.rx_notify && r.no_csum);
	some.sg = false;
	assert_int_equal(vif_ask_read(&kvs, &some, &r, line, sizeof(line)), 0);
	assert_false(r.sg || r.gso4 || r.gso6);
	assert_true(vif_mcast_read(xs_kv_get(&kvs, VIF_MCAST)));
	assert_false(vif_mcast_read("0"));
	assert_false(vif_mcast_read("yes"));
	assert_false(vif_mcast_read(NULL));
}

/* Linux's netfront with one queue; an old one without split event channels; one with half of them. */
static void asks_of_guests(void **state)
{
	static const char *const linux_keys[][2] = {
		{"tx-ring-ref", "768"}, {"rx-ring-ref", "769"}, {"event-channel-tx", "9"}, {"event-channel-rx", "10"},
		{"request-rx-copy", "1"}, {"feature-rx-notify", "1"}, {"feature-sg", "1"}, {"feature-gso-tcpv4", "1"},
		{"feature-gso-tcpv6", "1"}, {"feature-ipv6-csum-offload", "1"}, {"handle", "0"}, {"mac", "00:16:3e:61:d0:3f"}};
	struct vif_ask r;

	(void)state;
	kvs.n = 0;
	for (size_t i = 0; i < ARRAY_LEN(linux_keys); i++)
		xs_kv_set(&kvs, linux_keys[i][0], "%s", linux_keys[i][1]);
	assert_int_equal(vif_ask_read(&kvs, &offer, &r, line, sizeof(line)), 0);
	assert_true(r.nqueues == 1 && r.split && r.q[0].tx_gref == 768 && r.q[0].rx_gref == 769);
	assert_true(r.q[0].evtchn == 9 && r.q[0].evtchn_rx == 10 && !r.ctrl_evtchn && !r.no_csum && r.gso6);
	drop("event-channel-rx");
	assert_int_equal(vif_ask_read(&kvs, &offer, &r, line, sizeof(line)), -EPEER);
	assert_string_equal(line, "frontend: event-channel is missing");
	xs_kv_set(&kvs, "event-channel", "12");
	assert_int_equal(vif_ask_read(&kvs, &offer, &r, line, sizeof(line)), 0);
	assert_true(!r.split && r.q[0].evtchn == 12 && r.q[0].evtchn_rx == 0);
}

/* A frontend without split event channels and control ring, in the directory of one that had both. */
static void what_a_former_frontend_left(void **state)
{
	static struct xs_kvs former;
	struct vif_ask old = make_ask(2, true, true), a = make_ask(2, false, false), r;

	(void)state;
	former.n = 0;
	assert_int_equal(vif_ask_write(&old, &former), 0);
	kvs.n = 0;
	assert_int_equal(vif_ask_write(&a, &kvs), 0);
	vif_ask_blank(&former, &kvs);
	for (unsigned i = 0; i < kvs.n; i++)
		xs_kv_set(&former, kvs.kv[i].key, "%s", kvs.kv[i].val);
	assert_int_equal(vif_ask_read(&former, &offer, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &a, sizeof(a));
}

static void hostile_asks(void **state)
{
	/* set (NULL: remove) one key of a good ask of two queues with split event channels and a control ring */
	static const struct {
		const char *key, *val, *says;
	} bad[] = {
		{"queue-1/tx-ring-ref", NULL, "frontend: queue-1/tx-ring-ref is missing"},
		{"queue-1/rx-ring-ref", NULL, "frontend: queue-1/rx-ring-ref is missing"},
		{"queue-1/rx-ring-ref", "x", "frontend: queue-1/rx-ring-ref is \"x\", not a number up to 4294967295"},
		{"queue-1/rx-ring-ref", "", NULL},
		{"queue-1/rx-ring-ref", "4294967296", NULL},
		{"queue-1/rx-ring-ref", "8", "frontend: ring reference 8 is named twice"},
		{"queue-0/rx-ring-ref", "8", "frontend: ring reference 8 is named twice"},
		{"ctrl-ring-ref", "9", "frontend: ring reference 9 is named twice"},
		{"ctrl-ring-ref", "-9", NULL},
		{"queue-1/event-channel-rx", NULL, "frontend: queue-1/event-channel-rx is missing"},
		{"queue-1/event-channel-rx", "10", "frontend: event channel 10 is named twice"},
		{"queue-1/event-channel-rx", "11", "frontend: event channel 11 is named twice"},
		{"queue-1/event-channel-tx", "0", "frontend: queue-1/event-channel-tx is 0, which is no port"},
		{"queue-0/event-channel-tx", NULL, "frontend: queue-0/event-channel is missing"},
		{"event-channel-ctrl", "50", "frontend: event channel 50 is named twice"},
		{"event-channel-ctrl", NULL, "frontend: event-channel-ctrl is missing"},
		{"event-channel-ctrl", "0", NULL},
		{"multi-queue-num-queues", "0", "frontend: multi-queue-num-queues is 0, 1 to 4 are offered"},
		{"multi-queue-num-queues", "5", "frontend: multi-queue-num-queues is 5, 1 to 4 are offered"},
		{"multi-queue-num-queues", "3", "frontend: queue-2/tx-ring-ref is missing"},
		{"multi-queue-num-queues", "1", "frontend: tx-ring-ref is missing"},
		{"multi-queue-num-queues", "99999999999999999999", NULL},
		{"request-rx-copy", NULL, "frontend: it does not ask for request-rx-copy, the only way to receive"},
		{"request-rx-copy", "0", NULL},
		{"xdp-headroom", "32768", NULL},
		{"feature-sg", "perhaps", NULL},
	};
	struct vif_ask a = make_ask(2, true, true), r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kvs.n = 0;
		assert_int_equal(vif_ask_write(&a, &kvs), 0);
		if (bad[i].val)
			xs_kv_set(&kvs, bad[i].key, "%s", bad[i].val);
		else
			drop(bad[i].key);
		line[0] = '\0';
		if (vif_ask_read(&kvs, &offer, &r, line, sizeof(line)) != -EPEER || !line[0])
			fail_msg("%s=%s was taken", bad[i].key, bad[i].val ? bad[i].val : "(none)");
		if (bad[i].says)
			assert_string_equal(line, bad[i].says);
	}
}

/* Whatever is read and taken is in bounds and can be written back and read again. */
static void random_values(void **state)
{
	static const char *const keys[] = {"tx-ring-ref", "rx-ring-ref", "event-channel", "event-channel-tx", "event-channel-rx",
					   "multi-queue-num-queues", "queue-0/tx-ring-ref", "queue-1/tx-ring-ref",
					   "queue-0/rx-ring-ref", "queue-1/rx-ring-ref", "queue-0/event-channel",
					   "queue-1/event-channel", "ctrl-ring-ref", "event-channel-ctrl", "feature-sg",
					   "xdp-headroom"};
	static const char *const vals[] = {"0", "1", "2", "3", "4", "5", "6", "7", "17", "99", "x", ""};
	const char *env = getenv("SEED");
	unsigned seed = env ? (unsigned)strtoul(env, NULL, 0) : (unsigned)time(NULL), taken = 0;
	struct vif_ask a, b;

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		kvs.n = 0;
		xs_kv_set(&kvs, "request-rx-copy", "1");
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			if (rand() % 3)
				xs_kv_set(&kvs, keys[k], "%s", vals[(size_t)rand() % (ARRAY_LEN(vals) - (rand() % 8 ? 4 : 0))]);
		if (vif_ask_read(&kvs, &offer, &a, line, sizeof(line)) < 0)
			continue;
		taken++;
		assert_true(a.nqueues >= 1 && a.nqueues <= offer.max_queues);
		kvs.n = 0;
		assert_int_equal(vif_ask_write(&a, &kvs), 0);
		assert_int_equal(vif_ask_read(&kvs, &offer, &b, line, sizeof(line)), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_true(taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macs),		   cmocka_unit_test(rates),	     cmocka_unit_test(wanted),
		cmocka_unit_test(wanted_of_xl),	   cmocka_unit_test(wrong_wanted),   cmocka_unit_test(told),
		cmocka_unit_test(offers),	   cmocka_unit_test(asks_come_back), cmocka_unit_test(asks_are_masked),
		cmocka_unit_test(asks_of_guests),  cmocka_unit_test(what_a_former_frontend_left), cmocka_unit_test(hostile_asks),   cmocka_unit_test(random_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
