/* Keys of a vbd: device numbers as Xen counts them, round trips, and every foreign value that must be refused. */
#include "xenstore-glue/bus/vbd_keys.h"

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

static void device_numbers(void **state)
{
	static const struct {
		const char *name;
		uint32_t devid;
	} known[] = {
		{"xvda", 51712},
		{"xvdb", 51728},
		{"xvda1", 51713},
		{"xvdp15", 202 << 8 | 15 << 4 | 15},
		{"xvdq", 1u << 28 | 16 << 8},
		{"xvda16", 1u << 28 | 16},
		{"xvdaa", 1u << 28 | 26 << 8},
		{"xvdaa3", 1u << 28 | 26 << 8 | 3},
		{"xvdzz255", 1u << 28 | 701 << 8 | 255},
		{"hda", 3 << 8},
		{"hdb3", 3 << 8 | 64 | 3},
		{"hdc", 22 << 8},
		{"hdd63", 22 << 8 | 64 | 63},
		{"sda", 8 << 8},
		{"sdp15", 8 << 8 | 15 << 4 | 15},
		{"51712", 51712},
	};
	static const char *const bad[] = {"", "xvd", "xvd1", "xvdA", "xvda01", "xvda256", "xvda1x", "sdq", "sda16", "hde",
					  "hda64", "vda", "-1", "4294967296", "xvda-1", " xvda", "xvdzzzzzz"};
	uint32_t devid;
	char name[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		assert_int_equal(vbd_devid(known[i].name, &devid), 0);
		assert_int_equal(devid, known[i].devid);
		vbd_vdev(devid, name, sizeof(name));
		if (known[i].name[0] > '9')
			assert_string_equal(name, known[i].name);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (vbd_devid(bad[i], &devid) != -EINVAL)
			fail_msg("\"%s\" was taken for %u", bad[i], devid);
}

/* Every number has a name that leads back to it. */
static void every_number_comes_back(void **state)
{
	uint32_t back;
	char name[16];

	(void)state;
	for (uint64_t d = 0; d <= UINT32_MAX; d += d < 70000 || d >> 28 == 1 ? 1 + (d > 1u << 28) * 97 : 9973) {
		vbd_vdev((uint32_t)d, name, sizeof(name));
		if (vbd_devid(name, &back) != 0 || back != d)
			fail_msg("%llu -> %s -> %u", (unsigned long long)d, name, back);
	}
}

static void lists(void **state)
{
	static struct xs_kvs full;
	char key[64];

	(void)state;
	full.n = 0;
	for (int i = 0; i < XS_KV_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(xs_kv_set(&full, key, "%d", i), 0);
	}
	assert_int_equal(xs_kv_set(&full, "one more", "1"), -ENOSPC);
	assert_int_equal(xs_kv_set(&full, "k7", "new"), 0);
	assert_string_equal(xs_kv_get(&full, "k7"), "new");
	assert_null(xs_kv_get(&full, "k"));
	full.n = 0;
	memset(key, 'x', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(xs_kv_set(&full, key, "1"), -ENOSPC);
	assert_int_equal(xs_kv_set(&full, "k", "%0*d", SPEC_MAX, 1), -ENOSPC);
	assert_int_equal(full.n, 0);
}

static void wanted(void **state)
{
	struct vbd_wanted w = {.frontend = "/local/domain/3/device/vbd/51712", .frontend_id = 3, .online = true, .shared = true,
			       .removable = true, .cdrom = true, .bootable = true, .params = "null:1G,a=b", .dev = "xvda",
			       .type = "phy", .script = "/etc/xen/scripts/block"},
			  r;

	(void)state;
	kvs.n = 0;
	assert_int_equal(vbd_wanted_write(&w, &kvs), 0);
	assert_string_equal(xs_kv_get(&kvs, "mode"), "w!");
	assert_string_equal(xs_kv_get(&kvs, "state"), "1");
	assert_int_equal(vbd_wanted_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &w, sizeof(w));
	xs_kv_set(&kvs, "mode", "rw");
	assert_int_equal(vbd_wanted_read(&kvs, &r, line, sizeof(line)), -EINVAL);
	assert_string_equal(line, "mode is \"rw\", not r, w or w!");
	xs_kv_set(&kvs, "mode", "r");
	xs_kv_set(&kvs, "frontend-id", "99999");
	assert_int_equal(vbd_wanted_read(&kvs, &r, line, sizeof(line)), -EINVAL);
	/* What xl writes, and nothing else. */
	kvs.n = 0;
	xs_kv_set(&kvs, "frontend", "/local/domain/1/device/vbd/51712");
	xs_kv_set(&kvs, "frontend-id", "1");
	xs_kv_set(&kvs, "mode", "w");
	assert_int_equal(vbd_wanted_read(&kvs, &r, line, sizeof(line)), 0);
	assert_true(r.online && r.discard_enable && !r.read_only && !r.shared && !r.cdrom);
}

static const struct vbd_offer offer = {.sectors = 1ull << 40, .sector_size = 4096, .physical_size = 8192, .info = 5,
				       .flush = true, .discard = true, .discard_secure = true, .persistent = true,
				       .discard_granularity = 65536, .discard_alignment = 512, .max_indirect = 256,
				       .max_queues = 4, .max_ring_order = 3};

static void offers(void **state)
{
	static const struct {
		const char *key, *val;
	} bad[] = {
		{"sectors", ""},		{"sectors", "x"},	    {"sectors", "-1"},
		{"sectors", "36028797018963968"}, {"sector-size", "0"},	    {"sector-size", "513"},
		{"sector-size", "131072"},	{"sector-size", "256"},	    {"physical-sector-size", "1000"},
		{"info", "4294967296"},		{"feature-discard", "yes"}, {"multi-queue-max-queues", "many"},
	};
	struct vbd_offer r;

	(void)state;
	kvs.n = 0;
	assert_int_equal(vbd_offer_write(&offer, &kvs), 0);
	assert_int_equal(vbd_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_memory_equal(&r, &offer, sizeof(r));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kvs.n = 0;
		vbd_offer_write(&offer, &kvs);
		xs_kv_set(&kvs, bad[i].key, "%s", bad[i].val);
		line[0] = '\0';
		if (vbd_offer_read(&kvs, &r, line, sizeof(line)) != -EPEER || !line[0] || strchr(line, '\n'))
			fail_msg("%s=%s: \"%s\"", bad[i].key, bad[i].val, line);
	}
	/* A plain old backend; and one that can do more than we would ask for. */
	kvs.n = 0;
	assert_int_equal(vbd_offer_read(&kvs, &r, line, sizeof(line)), -EPEER);
	xs_kv_set(&kvs, "sectors", "100");
	assert_int_equal(vbd_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_true(r.sector_size == 512 && r.physical_size == 512 && r.max_queues == 1 && !r.max_ring_order);
	xs_kv_set(&kvs, "multi-queue-max-queues", "64");
	xs_kv_set(&kvs, "max-ring-page-order", "9");
	assert_int_equal(vbd_offer_read(&kvs, &r, line, sizeof(line)), 0);
	assert_true(r.max_queues == CONN_QUEUES_MAX && 1u << r.max_ring_order == CONN_RING_PAGES_MAX);
}

static struct vbd_ask make_ask(uint32_t nqueues, uint32_t ring_pages)
{
	struct vbd_ask a = {.protocol = CONN_X86_64, .nqueues = nqueues, .ring_pages = ring_pages, .persistent = true};
	uint32_t ref = 8;

	for (uint32_t q = 0; q < nqueues; q++) {
		a.q[q].evtchn = 10 + q;
		for (uint32_t p = 0; p < ring_pages; p++)
			a.q[q].gref[p] = ref++;
	}
	return a;
}

static void asks_come_back(void **state)
{
	struct vbd_offer all = offer;
	struct vbd_ask a, r;

	(void)state;
	all.max_queues = CONN_QUEUES_MAX;
	all.max_ring_order = 4;
	for (uint32_t q = 1; q <= CONN_QUEUES_MAX; q++)
		for (uint32_t p = 1; p <= CONN_RING_PAGES_MAX; p *= 2) {
			a = make_ask(q, p);
			kvs.n = 0;
			assert_int_equal(vbd_ask_write(&a, &kvs), 0);
			assert_int_equal(vbd_ask_read(&kvs, &all, &r, line, sizeof(line)), 0);
			assert_memory_equal(&a, &r, sizeof(a));
			assert_int_equal(xs_kv_get(&kvs, "ring-ref") != NULL, q == 1 && p == 1);
			assert_int_equal(xs_kv_get(&kvs, "queue-0/ring-ref0") != NULL, q > 1 && p > 1);
		}
	a = make_ask(1, 3);
	assert_int_equal(vbd_ask_write(&a, &kvs), -EINVAL);
	a = make_ask(1, 1);
	a.protocol = 9;
	assert_int_equal(vbd_ask_write(&a, &kvs), -EINVAL);
}

/* What guests write: Linux of one page, an old one with num-ring-pages, a 32-bit one. */
static void asks_of_guests(void **state)
{
	struct vbd_ask r;

	(void)state;
	kvs.n = 0;
	xs_kv_set(&kvs, "ring-ref", "8");
	xs_kv_set(&kvs, "event-channel", "13");
	assert_int_equal(vbd_ask_read(&kvs, &offer, &r, line, sizeof(line)), 0);
	assert_true(r.protocol == CONN_NATIVE && r.nqueues == 1 && r.ring_pages == 1 && !r.persistent);
	assert_true(r.q[0].gref[0] == 8 && r.q[0].evtchn == 13);
	xs_kv_set(&kvs, "protocol", "x86_32-abi");
	xs_kv_set(&kvs, "num-ring-pages", "2");
	xs_kv_set(&kvs, "ring-ref0", "9");
	xs_kv_set(&kvs, "ring-ref1", "10");
	assert_int_equal(vbd_ask_read(&kvs, &offer, &r, line, sizeof(line)), 0);
	assert_true(r.protocol == CONN_X86_32 && r.ring_pages == 2 && r.q[0].gref[1] == 10);
}

static void hostile_asks(void **state)
{
	/* set (NULL: remove) one key of a good ask of two queues of two pages */
	static const struct {
		const char *key, *val, *says;
	} bad[] = {
		{"queue-1/ring-ref1", NULL, "frontend: queue-1/ring-ref1 is missing"},
		{"queue-1/ring-ref1", "x", "frontend: queue-1/ring-ref1 is \"x\", not a number up to 4294967295"},
		{"queue-1/ring-ref1", "", NULL},
		{"queue-1/ring-ref1", "-1", NULL},
		{"queue-1/ring-ref1", "4294967296", NULL},
		{"queue-1/ring-ref1", "8", "frontend: ring reference 8 is named twice"},
		{"queue-0/ring-ref1", "8", "frontend: ring reference 8 is named twice"},
		{"queue-1/event-channel", NULL, "frontend: queue-1/event-channel is missing"},
		{"queue-1/event-channel", "10", "frontend: event channel 10 is named twice"},
		{"queue-1/event-channel", "0", "frontend: queue-1/event-channel is 0, which is no port"},
		{"multi-queue-num-queues", "0", "frontend: multi-queue-num-queues is 0, 1 to 4 are offered"},
		{"multi-queue-num-queues", "5", "frontend: multi-queue-num-queues is 5, 1 to 4 are offered"},
		{"multi-queue-num-queues", "4294967295", NULL},
		{"multi-queue-num-queues", "99999999999999999999", NULL},
		{"ring-page-order", "4", "frontend: its rings have 16 pages, 1 to 8 (a power of two) are offered"},
		{"ring-page-order", "32", NULL},
		{"ring-page-order", "4294967295", NULL},
		{"ring-page-order", "1 ", NULL},
		{"protocol", "arm", "frontend: protocol \"arm\" is unknown"},
		{"protocol", "", NULL},
		{"feature-persistent", "perhaps", NULL},
	};
	struct vbd_ask a = make_ask(2, 2), r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		kvs.n = 0;
		assert_int_equal(vbd_ask_write(&a, &kvs), 0);
		for (unsigned k = 0; !bad[i].val && k < kvs.n; k++)
			if (strcmp(kvs.kv[k].key, bad[i].key) == 0)
				kvs.kv[k] = kvs.kv[--kvs.n];
		if (bad[i].val)
			xs_kv_set(&kvs, bad[i].key, "%s", bad[i].val);
		line[0] = '\0';
		if (vbd_ask_read(&kvs, &offer, &r, line, sizeof(line)) != -EPEER || !line[0])
			fail_msg("%s=%s was taken", bad[i].key, bad[i].val ? bad[i].val : "(none)");
		if (bad[i].says)
			assert_string_equal(line, bad[i].says);
	}
	/* num-ring-pages alone: no power of two */
	kvs.n = 0;
	xs_kv_set(&kvs, "num-ring-pages", "3");
	assert_int_equal(vbd_ask_read(&kvs, &offer, &r, line, sizeof(line)), -EPEER);
}

/* Whatever is read and taken is in bounds and can be written back and read again. */
static void random_values(void **state)
{
	static const char *const keys[] = {"protocol", "ring-ref", "ring-ref0", "ring-ref1", "event-channel", "ring-page-order",
					   "num-ring-pages", "multi-queue-num-queues", "queue-0/ring-ref", "queue-1/ring-ref",
					   "queue-0/event-channel", "queue-1/event-channel", "feature-persistent"};
	static const char *const vals[] = {"0", "1", "2", "3", "4", "8", "16", "17", "99", "x86_64-abi", "x", ""};
	const char *env = getenv("SEED");
	unsigned seed = env ? (unsigned)strtoul(env, NULL, 0) : (unsigned)time(NULL), taken = 0;
	struct vbd_ask a, b;

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		kvs.n = 0;
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			if (rand() % 3)
				xs_kv_set(&kvs, keys[k], "%s", vals[(size_t)rand() % ARRAY_LEN(vals)]);
		if (vbd_ask_read(&kvs, &offer, &a, line, sizeof(line)) < 0)
			continue;
		taken++;
		assert_true(a.nqueues >= 1 && a.nqueues <= offer.max_queues);
		assert_true(IS_POW2(a.ring_pages) && a.ring_pages <= 8);
		kvs.n = 0;
		assert_int_equal(vbd_ask_write(&a, &kvs), 0);
		assert_int_equal(vbd_ask_read(&kvs, &offer, &b, line, sizeof(line)), 0);
		if (a.protocol == CONN_NATIVE)
			a.protocol = b.protocol; /* one of the others by its name */
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_true(taken > 100);
}

static void marks(void **state)
{
	(void)state;
	assert_true(vbd_marked("/etc/xen/scripts/block-bulkhead"));
	assert_true(vbd_marked("block-bulkhead"));
	assert_false(vbd_marked("/etc/xen/scripts/block"));
	assert_false(vbd_marked("/etc/xen/scripts/not-block-bulkhead"));
	assert_false(vbd_marked("/block-bulkhead/block"));
	assert_false(vbd_marked(""));
	assert_false(vbd_marked(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_numbers), cmocka_unit_test(every_number_comes_back),
		cmocka_unit_test(lists),	  cmocka_unit_test(wanted),
		cmocka_unit_test(offers),	  cmocka_unit_test(asks_come_back),
		cmocka_unit_test(asks_of_guests), cmocka_unit_test(hostile_asks),
		cmocka_unit_test(random_values),  cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
