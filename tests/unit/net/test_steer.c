/* Which queue a packet comes to: the kernel's program against netback's own hash of the same frames, with the state that netback writes.
 * SEED= says where the random ones begin. Without the right to load programs it is skipped. */
#include "backend/net/netback_priv.h"
#include "recovery/net/steer.h"
#include "tests/unit/proto/rss.h"

#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RANDOM_FRAMES 20000
#define RACES 20000

static int map = -1, prog = -1;
static struct netback back; /* only what net_steer() looks at */
static unsigned said;
/* The kernel takes an Ethernet header off what it is given to try; of a packet on its way into a tap it does not. */
static uint8_t given[NETIF_ETH_HLEN + 600], *const f = given + NETIF_ETH_HLEN;
static uint64_t seed;

static void heard(void *arg, enum be_event e, uint64_t value, const char *text)
{
	(void)arg, (void)value, (void)text;
	said += e == BE_STEER;
}

static int set_up(void **state)
{
	(void)state;
	map = steer_map();
	prog = map < 0 ? map : steer_load(map);
	if (prog < 0) {
		printf("skip: no BPF program can be loaded here: %s\n", strerror(-prog));
		return 0;
	}
	back.steer = mmap(NULL, sizeof(*back.steer), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	assert_ptr_not_equal(back.steer, MAP_FAILED);
	back.event = heard;
	return 0;
}

static void needs_bpf(void)
{
	if (prog < 0)
		skip();
}

static uint32_t queue_of(uint32_t len)
{
	union bpf_attr a = {.test = {.prog_fd = (uint32_t)prog, .data_size_in = NETIF_ETH_HLEN + len, .data_in = (uintptr_t)given}};

	assert_int_equal(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &a, sizeof(a)), 0);
	return a.test.retval;
}

static void hash_with(const uint8_t *k, uint32_t flags, uint32_t size)
{
	back.net = (struct njrnl_net){.hash_alg = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, .hash_flags = flags, .key_len = NJRNL_KEY,
				      .mapping_size = size};
	memcpy(back.net.key, k, NJRNL_KEY);
}

static uint32_t make(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return rss_frame(f, src, sport, dst, dport, NETIF_TCP, 0);
}

static void test_vectors(void **state)
{
	(void)state;
	needs_bpf();
	for (size_t i = 0; i < ARRAY_LEN(rss_vectors); i++) {
		const struct rss_vector *v = &rss_vectors[i];
		uint32_t len = make(v->src, v->sport, v->dst, v->dport);

		hash_with(rss_key, NETIF_HASH_FLAGS, 0);
		net_steer(&back);
		assert_int_equal(queue_of(len), v->tcp);
		hash_with(rss_key, STEER_IPV4 | STEER_IPV6, 0);
		net_steer(&back);
		assert_int_equal(queue_of(len), v->alone);
		hash_with(rss_key, NETIF_HASH_FLAGS, 3);
		back.net.mapping[v->tcp % 3] = 5;
		net_steer(&back);
		assert_int_equal(queue_of(len), 5);
	}
}

/* ---- any frame */

static uint32_t dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static uint32_t put16(uint32_t at, uint32_t v)
{
	f[at] = (uint8_t)(v >> 8);
	f[at + 1] = (uint8_t)v;
	return at + 2;
}

/* Mostly as frames are, up to the header behind IP's, with all that may stand between; then perhaps a little wrong, or cut short. */
static uint32_t random_frame(void)
{
	static const uint8_t between[] = {0, 43, 44, 60};
	uint8_t l4 = dice(3) ? NETIF_TCP : dice(2) ? NETIF_UDP : (uint8_t)dice(256);
	uint32_t at = 12, l3;
	bool v6 = dice(2);

	for (uint32_t i = 0; i < sizeof(given) - NETIF_ETH_HLEN; i++)
		f[i] = (uint8_t)dice(256);
	for (uint32_t tags = dice(3) ? 0 : dice(4); tags; tags--)
		at = put16(at, dice(2) ? 0x8100 : 0x88a8) + 2;
	l3 = put16(at, v6 ? NETIF_IPV6 : NETIF_IPV4);
	f[l3] = v6 ? 0x60 : (uint8_t)(0x45 + (dice(4) ? 0 : dice(11)));
	at = l3 + (v6 ? 40 : (f[l3] & 15u) * 4);
	if (v6) {
		uint32_t n = dice(2) ? 0 : dice(10), next = l3 + 6;

		put16(l3 + 4, 20 + dice(500));
		for (; n; n--, at += 8 + 8u * f[at + 1]) {
			f[next] = between[dice(20) ? dice(2) * 3 : dice(4)];
			next = at;
			f[at + 1] = (uint8_t)dice(2);
		}
		f[next] = l4;
	} else {
		put16(l3 + 2, 40 + dice(500));
		put16(l3 + 6, dice(4) ? 0x4000 : dice(2) ? 0x2000 : dice(65536)); /* a first fragment; any */
		f[l3 + 9] = l4;
	}
	f[at + 12] = (uint8_t)(0x50 + (dice(4) ? 0 : dice(256)));
	if (!dice(4))
		f[dice(at + 20)] = (uint8_t)dice(256);
	return dice(3) ? at + 20 + dice(80) : NETIF_ETH_HLEN + dice(at + 20 - NETIF_ETH_HLEN);
}

static void test_any_frame(void **state)
{
	unsigned hashed = 0, tcp = 0;

	(void)state;
	needs_bpf();
	for (unsigned i = 0; i < RANDOM_FRAMES; i++) {
		uint64_t before = seed;
		uint32_t len = random_frame(), hash, plain, queue, want;
		uint8_t type = 0, k[NJRNL_KEY];
		bool has;

		memset(&back.net, 0, sizeof(back.net));
		net_steer(&back);
		plain = queue_of(len);
		for (unsigned b = 0; b < NJRNL_KEY; b++)
			k[b] = (uint8_t)dice(256);
		hash_with(k, dice(16), dice(4) ? dice(NJRNL_MAPPING + 1) : 0);
		for (uint32_t m = 0; m < back.net.mapping_size; m++)
			back.net.mapping[m] = dice(CONN_QUEUES_MAX);
		net_steer(&back);
		queue = queue_of(len);
		has = netif_frame_hash(f, len, back.net.hash_flags, k, NJRNL_KEY, &hash, &type);
		want = !has ? plain : back.net.mapping_size ? back.net.mapping[hash % back.net.mapping_size] : hash;
		if (queue != want)
			fail_msg("frame %u, SEED=%llu: %x, and by netback %x (hashed %d, type %u, size %u)", i, (unsigned long long)before,
				 queue, want, has, type, back.net.mapping_size);
		hashed += has;
		tcp += has && type & 1;
	}
	/* Otherwise it shows nothing. */
	assert_in_range(hashed, RANDOM_FRAMES / 5, RANDOM_FRAMES);
	assert_in_range(tcp, RANDOM_FRAMES / 20, RANDOM_FRAMES);
}

/* Without the guest's say, flows go to all queues alike, and each stays where it is. */
static void test_spread(void **state)
{
	unsigned n[4] = {0};

	(void)state;
	needs_bpf();
	memset(&back.net, 0, sizeof(back.net));
	net_steer(&back);
	for (unsigned i = 0; i < 4000; i++) {
		uint32_t len = make(i % 2 ? "10.0.0.1" : "fe80::1", (uint16_t)(32768 + i), i % 2 ? "10.0.0.2" : "fe80::2", 443), q;

		f[i % 2 ? 23 : 20] = i % 3 ? NETIF_TCP : NETIF_UDP;
		q = queue_of(len);
		f[len++] = 1;
		assert_int_equal(queue_of(len), q);
		n[q % ARRAY_LEN(n)]++;
	}
	for (unsigned i = 0; i < ARRAY_LEN(n); i++)
		assert_in_range(n[i], 800, 1200);
}

/* ---- while it changes */

static uint32_t over;
static uint8_t other_key[NJRNL_KEY];
static uint32_t by_key, by_other; /* entries of the mapping that the frame goes by */

/* Best effort: the two must run at the same time, or there is no race. */
static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

/* In each of the places by turns: a key and a mapping of which one entry is queue 1; others, one of them queue 2. */
static void *change(void *arg)
{
	pin(1);
	for (unsigned i = 0; !load_relaxed(&over); i++) {
		bool first = i / STEER_STATES % 2;

		hash_with(first ? rss_key : other_key, NETIF_HASH_FLAGS, NJRNL_MAPPING);
		for (unsigned m = 0; m < NJRNL_MAPPING; m++)
			back.net.mapping[m] = 7;
		back.net.mapping[first ? by_key : by_other] = first ? 1 : 2;
		net_steer(&back);
	}
	return arg;
}

static void test_never_half(void **state)
{
	uint32_t len = make("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766), n[8] = {0}, hash, plain;
	uint8_t type;
	pthread_t t;

	(void)state;
	needs_bpf();
	pin(0);
	for (unsigned i = 0; i < NJRNL_KEY; i++)
		other_key[i] = (uint8_t)~rss_key[NJRNL_KEY - 1 - i];
	netif_frame_hash(f, len, NETIF_HASH_FLAGS, rss_key, NJRNL_KEY, &hash, &type);
	by_key = hash % NJRNL_MAPPING;
	netif_frame_hash(f, len, NETIF_HASH_FLAGS, other_key, NJRNL_KEY, &hash, &type);
	by_other = hash % NJRNL_MAPPING;
	memset(&back.net, 0, sizeof(back.net));
	net_steer(&back);
	plain = queue_of(len);
	assert_int_equal(pthread_create(&t, NULL, change, NULL), 0);
	while (!n[1] || !n[2]) /* until both have been */
		n[queue_of(len) % 8]++;
	memset(n, 0, sizeof(n));
	for (unsigned i = 0; i < RACES; i++) {
		uint32_t queue = queue_of(len);

		if (queue != plain) /* it was held up, and does not believe what it has read */
			n[queue % 8]++;
	}
	store_relaxed(&over, 1);
	pthread_join(t, NULL);
	assert_int_equal(n[0] + n[3] + n[4] + n[5] + n[6] + n[7], 0);
}

/* Who wrote it has died in the middle; or is hostile. */
static void test_a_death(void **state)
{
	uint32_t len = make("66.9.149.187", 2794, "161.142.100.80", 1766);

	(void)state;
	needs_bpf();
	hash_with(rss_key, NETIF_HASH_FLAGS, 1);
	back.net.mapping[0] = 1;
	net_steer(&back);
	memset(&back.steer->state[(back.steer->now + 1) % STEER_STATES], 0xff, sizeof(back.steer->state[0]));
	assert_int_equal(queue_of(len), 1);
	back.net.mapping[0] = 0;
	net_steer(&back); /* the successor */
	assert_int_equal(queue_of(len), 0);
	memset(back.steer, 0xff, sizeof(*back.steer));
	queue_of(len);
}

static void test_said_once(void **state)
{
	(void)state;
	needs_bpf();
	said = 0;
	back.steer_said = false;
	memset(&back.net, 0, sizeof(back.net));
	net_steer(&back);
	hash_with(rss_key, 0, 4);
	net_steer(&back);
	assert_int_equal(said, 0);
	assert_false(steer_in_use(map));
	for (unsigned i = 0; i < 3; i++) {
		hash_with(rss_key, i % 2 ? 0 : STEER_IPV4, 4);
		net_steer(&back);
		assert_int_equal(said, 1);
		assert_int_equal(steer_in_use(map), i % 2 == 0);
	}
	assert_true(steer_is_map(map));
	assert_false(steer_is_map(prog));
	assert_false(steer_is_map(0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_any_frame),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_never_half),
		cmocka_unit_test(test_a_death),
		cmocka_unit_test(test_said_once),
	};
	const char *text = getenv("SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u;
	printf("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("steer", tests, set_up, NULL);
}
