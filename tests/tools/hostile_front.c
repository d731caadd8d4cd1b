/* hostile_front - a guest that means harm: connects a vbd by hand and does one named attack (ROBUSTNESS.md 1a, 2a).
 *
 *   hostile_front RUNTIME_DIR DOMAIN VDEV ATTACK        hostile_front list   (a line for each: NAME EXPECTED)
 *
 * EXPECTED says what must have become of the device, and is what this program has checked when it exits with 0:
 *   served   every request was answered once, as the protocol says, and a good request still is
 *   broken   the backend stays Connected, answers nothing more, and has put a text into its node `error`
 *   refused  no connection: the backend is not Connected and has put a text into its node `error`
 *   any      only that the others are unharmed, which is for the caller to see
 * It never closes the connection: whoever uses the disk next has to do 5-6-1. SEED= repeats the random ones.
 */
#include "tests/tools/hostile_guest.h"

#include <pthread.h>
#include <signal.h>

/* ---- attacks on the ring's indices */

static void jump_to(uint32_t prod)
{
	store_relaxed(&h.ring->req_prod, prod);
	hv_port_notify(h.port);
}

static void prod_far(void) { jump_to(h.prod + 1000); }
static void prod_one_over(void) { jump_to(h.prod + RING + 1); }
static void prod_half(void) { jump_to(h.prod + 0x80000000u); }

static void prod_back(void)
{
	good_io();
	jump_to(h.prod - 1);
}

static void prod_moving(void)
{
	for (uint64_t until = clock_now() + NS_PER_S / 2; clock_now() < until;)
		jump_to(chance(2) ? h.prod + chance(64) : (uint32_t)rand_r(&h.seed));
	jump_to(h.prod + 1000);
}

/* ---- requests that are wrong in themselves */

static void unknown_ops(void)
{
	for (unsigned round = 0; round < 300; round++) {
		uint64_t first = h.id;

		for (unsigned i = 0; i < RING; i++) {
			unsigned op = chance(250) + 6;
			union request r = io(op == 6 ? 4 : (uint8_t)op, chance(256), rand_r(&h.seed));

			r.rw.id = h.id++;
			put(&r);
		}
		show();
		wait_answers(RING);
		for (unsigned i = 0; i < RING; i++) {
			int got = take(first + i);

			if (got != BLKIF_RSP_EOPNOTSUPP)
				die("an unknown operation: status %d", got);
		}
	}
}

static void bad_counts(void)
{
	static const unsigned direct[] = {0, 12, 13, 255}, listed[] = {0, 257, 512, 513, 4096, 65535};

	for (uint8_t op = BLKIF_OP_READ; op <= BLKIF_OP_WRITE; op++) {
		for (size_t i = 0; i < ARRAY_LEN(direct); i++) {
			union request r = io(op, direct[i], 0);

			expect(&r, BLKIF_RSP_ERROR, "segments", direct[i]);
		}
		for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
			union request r = indirect(op, listed[i], 0);

			expect(&r, BLKIF_RSP_ERROR, "indirect segments", listed[i]);
		}
	}
}

static void bad_indirect(void)
{
	static const uint8_t inner[] = {BLKIF_OP_INDIRECT, BLKIF_OP_DISCARD, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_WRITE_BARRIER,
					7, 255};
	const uint32_t bad[] = {BOGUS, 0xffffffff, h.gref[FOREIGN]};

	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		union request r = indirect(inner[i], 1, 0);
		int got = ask(&r);

		if (got != BLKIF_RSP_ERROR && got != BLKIF_RSP_EOPNOTSUPP)
			die("indirect operation %u: status %d", inner[i], got);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		union request r = indirect(BLKIF_OP_READ, 4, 0);

		r.ind.indirect_grefs[0] = bad[i];
		expect(&r, BLKIF_RSP_ERROR, "grant of the list", bad[i]);
	}
}

static void bad_bounds(void)
{
	for (unsigned n = 0; n < 65536; n += RING) {
		for (unsigned i = n; i < n + RING; i++) {
			union request r = io(BLKIF_OP_READ, 1, 0);

			r.rw.seg[0] = (struct blkif_request_segment){h.gref[0], (uint8_t)(i >> 8), (uint8_t)i};
			r.rw.id = i;
			put(&r);
		}
		show();
		wait_answers(RING);
		for (unsigned i = 0; i < RING; i++) {
			/* Good ones take longer than bad ones: in any order. */
			const struct blkif_response *a = &h.ring->ring[h.cons++ % RING].rsp;
			unsigned first = (unsigned)a->id >> 8, last = a->id & 255;
			int want = first <= last && last < 8 ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;

			if (a->status != want)
				die("segment from %u to %u: status %d", first, last, a->status);
		}
	}
}

static void bad_sectors(void)
{
	const uint64_t at[] = {h.sectors - 7,	 h.sectors,	  h.sectors + 1, UINT64_MAX, UINT64_MAX - 6, UINT64_MAX - 7,
			       UINT64_MAX / 512, 1ull << 63, 1ull << 55,	 (1ull << 55) - 7};

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		union request r[] = {io(BLKIF_OP_READ, 1, at[i]), io(BLKIF_OP_WRITE, 1, at[i]), io(BLKIF_OP_WRITE_BARRIER, 1, at[i]),
				     indirect(BLKIF_OP_READ, 32, at[i]), indirect(BLKIF_OP_WRITE, 32, at[i])};
		union request d = {.dis = {.operation = BLKIF_OP_DISCARD, .sector_number = at[i], .nr_sectors = 8}};

		for (size_t k = 0; k < ARRAY_LEN(r); k++)
			expect(&r[k], BLKIF_RSP_ERROR, "sector", at[i]);
		expect(&d, BLKIF_RSP_ERROR, "discard at", at[i]);
		d.dis.sector_number = 8;
		d.dis.nr_sectors = at[i];
		expect(&d, BLKIF_RSP_ERROR, "discard of", at[i]);
	}
}

/* A bad grant at each place of a direct and of an indirect request; the neighbours are good. */
static void bad_grefs(void)
{
	const hv_gref_t bad[] = {BOGUS, 0xffffffff, h.gref[FOREIGN], h.gref[RO]};
	struct blkif_request_segment *list = (void *)(h.data + LIST * BH_PAGE_SIZE);

	for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
		for (unsigned i = 0; i < 11 + DATA; i++) {
			union request w = i < 11 ? io(BLKIF_OP_WRITE, 11, 0) : indirect(BLKIF_OP_WRITE, DATA, 0), r;

			if (i < 11)
				w.rw.seg[i].gref = bad[b];
			else
				list[i - 11].gref = bad[b];
			r = w;
			*(i < 11 ? &r.rw.operation : &r.ind.indirect_op) = BLKIF_OP_READ;
			expect(&r, BLKIF_RSP_ERROR, "read with a bad grant at", i);
			expect(&w, bad[b] == h.gref[RO] ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR, "write with a bad grant at", i);
			expect(&r, BLKIF_RSP_ERROR, "the same read again, at", i);
		}
		good_io();
	}
}

static void same_ids(void)
{
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < RING; i++) {
			union request r = io(i % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ, 11, chance(64) * 8);

			for (unsigned k = 0; k < 11; k++)
				r.rw.seg[k].gref = h.gref[0];
			r.rw.id = 7;
			put(&r);
		}
		show();
		wait_answers(RING);
		for (unsigned i = 0; i < RING; i++)
			if (take(7) != BLKIF_RSP_OKAY)
				die("one of many with one id failed");
	}
}

static void never_taken(void)
{
	for (unsigned i = 0; i < RING; i++) {
		union request r = io(BLKIF_OP_READ, 11, i * 88);

		put(&r);
	}
	show();
	for (uint64_t until = clock_now() + NS_PER_S / 2; clock_now() < until; nap_us(100))
		hv_port_notify(h.port);
	wait_answers(RING);
	h.cons += RING;
}

/* ---- changed while they are read */

/* Any byte but the lowest of a segment's grant, which could make it name the ring itself: what is read into that is the
 * guest's own misfortune, and another attack. */
static void flip(uint8_t *at, size_t size)
{
	unsigned n = (unsigned)rand_r(&h.seed2) % (unsigned)size;

	if (n % 8 != 0 || n == 0)
		store_relaxed(&at[n], (uint8_t)rand_r(&h.seed2));
}

static void *flip_ring(void *arg UNUSED)
{
	while (!load_relaxed(&h.stop))
		flip((uint8_t *)&h.ring->ring[(unsigned)rand_r(&h.seed2) % RING], sizeof(struct blkif_request));
	return NULL;
}

/* One place between two values, so that a look and a second look differ as often as possible. */
static void *flip_count(void *arg UNUSED)
{
	while (!load_relaxed(&h.stop))
		for (unsigned i = 0; i < RING; i++) {
			uint8_t *n = &h.ring->ring[i].req.nr_segments;

			store_relaxed(n, (uint8_t)(load_relaxed(n) == 1 ? 255 : 1));
		}
	return NULL;
}

static void *flip_list(void *arg UNUSED)
{
	uint8_t *list = h.data + LIST * BH_PAGE_SIZE;

	while (!load_relaxed(&h.stop)) {
		unsigned i = (unsigned)rand_r(&h.seed2) % DATA * 8;
		uint8_t old = list[i + 1], last = list[i + 5];

		store_relaxed(&list[i + 1], (uint8_t)~old);
		store_relaxed(&list[i + 5], (uint8_t)rand_r(&h.seed2));
		store_relaxed(&list[i + 1], old);
		store_relaxed(&list[i + 5], last);
	}
	return NULL;
}

/* Keeps the ring full while another thread spoils what is on it. Answers are only counted: they are spoilt as well. */
static void spoil(void *(*fn)(void *), bool listed)
{
	pthread_t t;

	must(-pthread_create(&t, NULL, fn, NULL), "thread");
	for (uint64_t until = clock_now() + 2 * NS_PER_S; clock_now() < until;) {
		unsigned n = chance(RING) + 1;

		for (unsigned i = 0; i < n; i++) {
			uint8_t op = chance(2) ? BLKIF_OP_READ : BLKIF_OP_WRITE;
			union request r = io(op, 11, chance(1000));

			if (listed)
				r = (union request){.ind = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op, .nr_segments = DATA,
							    .sector_number = chance(1000), .indirect_grefs = {h.gref[LIST]}}};
			put(&r);
		}
		show();
		wait_answers(n);
		h.cons += n;
	}
	store_relaxed(&h.stop, 1);
	pthread_join(t, NULL);
}

static void flipped_requests(void) { spoil(flip_ring, false); }
static void flipped_counts(void) { spoil(flip_count, false); }

static void flipped_list(void)
{
	indirect(BLKIF_OP_READ, DATA, 0);
	spoil(flip_list, true);
}

static void grants_ended(void)
{
	unsigned ended = 0;

	for (unsigned round = 0; round < 200; round++) {
		union request r[] = {io(BLKIF_OP_WRITE, 11, 0), io(BLKIF_OP_READ, 11, 0)};

		for (unsigned i = 0; i < 16; i++)
			put(&r[i % 2]);
		show();
		for (unsigned i = 2; i < 11; i++) {
			int16_t rc = (int16_t)hv_ungrant(h.hv, &h.gref[i], 1, NULL);
			struct hv_grant g = {.page = h.data + i * BH_PAGE_SIZE};

			if (rc != 0 && rc != -EBUSY)
				die("the end of a grant in use: %s", err_str(rc));
			ended += rc == 0;
			must(rc ? 0 : hv_grant(h.hv, 0, &g, 1), "grant again");
			h.gref[i] = rc ? h.gref[i] : g.gref;
		}
		wait_answers(16);
		h.cons += 16;
	}
	if (hv_ungrant(h.hv, &h.ring_gref, 1, NULL) != -EBUSY)
		die("the ring's grant could be ended while it is mapped");
	printf("%u grants ended in the middle of I/O\n", ended);
}

/* The disk's data is read over the ring's indices. */
static void ring_as_data(void)
{
	union request w = io(BLKIF_OP_WRITE, 1, 0), r = io(BLKIF_OP_READ, 1, 0);

	memset(h.data, 0xa5, BH_PAGE_SIZE);
	expect(&w, BLKIF_RSP_OKAY, "a write", 0);
	r.rw.seg[0].gref = h.ring_gref;
	put(&r);
	show();
	nap_us(20000);
	jump_to(0xa5a5a5a5);
}

/* ---- events, states, deaths */

static void event_storm(void)
{
	unsigned long kicks = 0;

	for (uint64_t until = clock_now() + 2 * NS_PER_S; clock_now() < until; kicks++)
		hv_port_notify(h.port);
	printf("%lu events sent\n", kicks);
}

static void state_flood(void)
{
	for (unsigned i = 0; i < 10000; i++)
		xsc_write(h.xs, 0, path(h.front, "state"), "4", 1, NULL, NULL);
	if (state(h.front) != XenbusStateConnected)
		die("the last of many writes is not what stands in the store");
}

static void state_flapping(void)
{
	static const unsigned to[] = {3, 5, 6, 1, 3};

	for (unsigned i = 0; i < 200; i++) {
		set_state(to[chance(ARRAY_LEN(to))]);
		nap_us(chance(2000));
	}
}

/* States that a connected frontend has no business in, but which are no wish to end. */
static void state_ignored(void)
{
	static const unsigned to[] = {3, 7, 8, 3, 4};

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		set_state(to[i]);
		good_io();
	}
}

static void state_nonsense(void)
{
	static const char *const to[] = {"9", "-1", "4294967300", "", "four", "4 ", "0x4", "0", "1", "2", "99999999999999999999"};

	for (unsigned i = 0; i < 100; i++)
		must(xsc_sync_write(h.xs, path(h.front, "state"), "%s", to[chance(ARRAY_LEN(to))]), "state");
}

static void dies(void)
{
	uint64_t until = clock_now() + (5 + chance(20)) * NS_PER_MS;

	for (;;) {
		for (; h.prod - h.cons < RING; h.id++) {
			union request r = io(BLKIF_OP_WRITE, 11, chance(64) * 88);

			r.rw.id = h.id;
			put(&r);
		}
		show();
		wait_answers(1);
		h.cons++;
		if (clock_now() > until)
			kill(getpid(), SIGKILL);
	}
}

/* ---- the table */

enum expected { SERVED, BROKEN, REFUSED, ANY };
static const char *const expected_name[] = {"served", "broken", "refused", "any"};

static const struct attack {
	const char *name;
	enum expected expected;
	void (*fn)(void); /* NULL: the connecting is the attack */
	bool copy;	  /* without persistent grants */
	bool ring_ro;
	const char *key, *val; /* of the frontend's keys, replaced; without a value left out */
} attacks[] = {
	{.name = "prod_far", .expected = BROKEN, .fn = prod_far},
	{.name = "prod_one_over", .expected = BROKEN, .fn = prod_one_over},
	{.name = "prod_half", .expected = BROKEN, .fn = prod_half},
	{.name = "prod_back", .expected = BROKEN, .fn = prod_back},
	{.name = "prod_moving", .expected = BROKEN, .fn = prod_moving},
	{.name = "ring_as_data", .expected = BROKEN, .fn = ring_as_data},
	{.name = "unknown_ops", .expected = SERVED, .fn = unknown_ops},
	{.name = "bad_counts", .expected = SERVED, .fn = bad_counts},
	{.name = "bad_indirect", .expected = SERVED, .fn = bad_indirect},
	{.name = "bad_indirect_copy", .expected = SERVED, .fn = bad_indirect, .copy = true},
	{.name = "bad_bounds", .expected = SERVED, .fn = bad_bounds},
	{.name = "bad_sectors", .expected = SERVED, .fn = bad_sectors},
	{.name = "bad_grefs", .expected = SERVED, .fn = bad_grefs},
	{.name = "bad_grefs_copy", .expected = SERVED, .fn = bad_grefs, .copy = true},
	{.name = "same_ids", .expected = SERVED, .fn = same_ids},
	{.name = "same_ids_copy", .expected = SERVED, .fn = same_ids, .copy = true},
	{.name = "never_taken", .expected = SERVED, .fn = never_taken},
	{.name = "flipped_requests", .expected = SERVED, .fn = flipped_requests},
	{.name = "flipped_counts", .expected = SERVED, .fn = flipped_counts},
	{.name = "flipped_list", .expected = SERVED, .fn = flipped_list},
	{.name = "grants_ended", .expected = SERVED, .fn = grants_ended},
	{.name = "grants_ended_copy", .expected = SERVED, .fn = grants_ended, .copy = true},
	{.name = "event_storm", .expected = SERVED, .fn = event_storm},
	{.name = "state_flood", .expected = SERVED, .fn = state_flood},
	{.name = "state_ignored", .expected = SERVED, .fn = state_ignored},
	{.name = "state_nonsense", .expected = ANY, .fn = state_nonsense},
	{.name = "state_flapping", .expected = ANY, .fn = state_flapping},
	{.name = "dies", .expected = ANY, .fn = dies},
	{.name = "dies_copy", .expected = ANY, .fn = dies, .copy = true},
	{.name = "ring_read_only", .expected = REFUSED, .ring_ro = true},
	{.name = "ring_bogus", .expected = REFUSED, .key = "ring-ref", .val = "3735928559"},
	{.name = "ring_zero", .expected = REFUSED, .key = "ring-ref", .val = "0"},
	{.name = "ring_missing", .expected = REFUSED, .key = "ring-ref"},
	{.name = "ring_text", .expected = REFUSED, .key = "ring-ref", .val = "eight"},
	{.name = "ring_huge", .expected = REFUSED, .key = "ring-ref", .val = "18446744073709551616"},
	{.name = "order_20", .expected = REFUSED, .key = "ring-page-order", .val = "20"},
	{.name = "order_4", .expected = REFUSED, .key = "ring-page-order", .val = "4"},
	{.name = "queues_99", .expected = REFUSED, .key = "multi-queue-num-queues", .val = "99"},
	{.name = "queues_0", .expected = REFUSED, .key = "multi-queue-num-queues", .val = "0"},
	{.name = "queues_2", .expected = REFUSED, .key = "multi-queue-num-queues", .val = "2"},
	{.name = "protocol_unknown", .expected = REFUSED, .key = "protocol", .val = "sparc-abi"},
	{.name = "port_missing", .expected = REFUSED, .key = "event-channel"},
	{.name = "port_zero", .expected = REFUSED, .key = "event-channel", .val = "0"},
	{.name = "port_none", .expected = REFUSED, .key = "event-channel", .val = "4000"},
	{.name = "port_huge", .expected = REFUSED, .key = "event-channel", .val = "4294967295"},
};

static bool has_error(char *text, size_t size)
{
	return xsc_sync_read(h.xs, path(h.back, "error"), text, size) == 0 && text[0];
}

static void check_error(const struct attack *a)
{
	uint64_t until = clock_now() + PATIENCE_NS;
	char text[512];

	while (!has_error(text, sizeof(text))) {
		if (clock_now() > until)
			die("no text in the backend's node error (state %u)", state(h.back));
		nap_us(500);
	}
	if ((state(h.back) == XenbusStateConnected) != (a->expected == BROKEN))
		die("the backend is in state %u; error: %s", state(h.back), text);
	printf("%s\n", text);
}

int main(int argc, char **argv)
{
	const char *seed = getenv("SEED");
	const struct attack *a = attacks;

	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
			printf("%s %s\n", attacks[i].name, expected_name[attacks[i].expected]);
		return 0;
	}
	while (argc == 5 && a < attacks + ARRAY_LEN(attacks) && strcmp(a->name, argv[4]) != 0)
		a++;
	if (argc != 5 || a == attacks + ARRAY_LEN(attacks)) {
		fprintf(stderr, "usage: hostile_front list | RUNTIME_DIR DOMAIN VDEV ATTACK\n");
		return EXIT_USAGE;
	}
	log_init("hostile_front", LOG_LVL_ERROR);
	h.seed = seed ? (unsigned)strtoul(seed, NULL, 0) : (unsigned)clock_now();
	h.seed2 = ~h.seed;
	fprintf(stderr, "SEED=%u\n", h.seed);
	join(argv[1], argv[2], argv[3]);
	make_pages(a->ring_ro);
	ask_for(!a->copy, a->key, a->val);
	if (a->fn) {
		wait_back(XenbusStateConnected, XenbusStateConnected);
		set_state(XenbusStateConnected);
		good_io();
		a->fn();
	}
	if (a->expected == SERVED)
		good_io();
	else if (a->expected != ANY)
		check_error(a);
	return 0;
}
