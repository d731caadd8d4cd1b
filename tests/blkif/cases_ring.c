/* The ring itself: indices that lie, words that change while they are read (XSA-155), events without end (XSA-331). */
#include "tests/blkif/suite.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALL (BIT(GOT_OKAY) | BIT(GOT_ERROR) | BIT(GOT_EOPNOTSUPP) | ENDS)

static void works(struct disk *d)
{
	enum got got = good_io(d, &d->q[0]);

	if (got != GOT_OKAY)
		case_fails("before the attack: %s", got_name[got]);
}

static void jump_to(struct disk *d, uint32_t prod)
{
	store_relaxed(ring_word(&d->q[0], 0), prod);
	hv_port_notify(d->q[0].port);
}

static void jump(struct disk *d, uint32_t by)
{
	works(d);
	jump_to(d, d->q[0].prod + by);
	must_have_ended(d, ALL);
}

static void far(struct disk *d) { jump(d, 1000); }
static void one_over(struct disk *d) { jump(d, d->q[0].entries + 1); }
static void half(struct disk *d) { jump(d, 0x80000000u); }
static void back(struct disk *d) { jump(d, UINT32_MAX); }
static void back_a_ring(struct disk *d) { jump(d, 0u - d->q[0].entries); }

static void moving(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (uint64_t until = clock_now() + NS_PER_S / 4; clock_now() < until;)
		jump_to(d, chance(d, 2) ? q->prod + chance(d, 64) : (uint32_t)rand_r(&d->seed));
	jump_to(d, q->prod + 1000);
	for (uint64_t until = clock_now() + suite.patience / 2; clock_now() < until; nap_us(2000))
		if (back_state(d) != XenbusStateConnected || back_has_error(d))
			break;
	did(back_state(d) != XenbusStateConnected ? "closed" : back_has_error(d) ? "stopped" : "silent");
}

/* The backend's own words are the frontend's to write as well. */
static void scribbled(struct disk *d)
{
	struct queue *q = &d->q[0];

	works(d);
	for (unsigned i = 0; i < 50; i++) {
		uint32_t rsp = *ring_word(q, 2);

		store_relaxed(ring_word(q, 2), (uint32_t)rand_r(&d->seed));
		store_relaxed(ring_word(q, 1), (uint32_t)rand_r(&d->seed));
		for (unsigned k = 4; k < 16; k++)
			store_relaxed(ring_word(q, k), (uint32_t)rand_r(&d->seed));
		hv_port_notify(q->port);
		nap_us(200);
		store_relaxed(ring_word(q, 2), rsp);
	}
	still_served(d);
}

/* The disk's data is read over the ring's indices. */
static void as_data(struct disk *d)
{
	union request w = direct(d, BLKIF_OP_WRITE, 1, 16), r = direct(d, BLKIF_OP_READ, 1, 16);

	memset(page(d, 0), 0xa5, BH_PAGE_SIZE);
	if (ask(d, &w) != GOT_OKAY)
		case_fails("a write");
	r.rw.seg[0].gref = d->q[0].gref[0];
	put(d, &d->q[0], &r);
	show(&d->q[0]);
	nap_us(20000);
	jump_to(d, 0xa5a5a5a5);
	for (uint64_t until = clock_now() + suite.patience / 2; clock_now() < until; nap_us(2000))
		if (back_state(d) != XenbusStateConnected || back_has_error(d))
			break;
	did(back_state(d) != XenbusStateConnected ? "closed" : back_has_error(d) ? "stopped" : "silent");
}

static void never_taken(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned i = 0; i < q->entries; i++) {
		union request r = direct(d, BLKIF_OP_READ, 11, 8 + i * 8);

		put(d, q, &r);
	}
	show(q);
	for (uint64_t until = clock_now() + NS_PER_S / 4; clock_now() < until; nap_us(100))
		hv_port_notify(q->port);
	judge(wait_answers(d, q, q->entries), BIT(GOT_OKAY), "a ring whose answers nobody takes", 0);
	q->cons += q->entries;
	still_served(d);
}

/* Answers that were not taken, and requests over them: more than a ring's worth is outstanding, by rsp_prod as we count it. */
static void over_answers(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < q->entries; i++) {
			union request r = direct(d, BLKIF_OP_READ, 1, 8);

			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, q->entries), BIT(GOT_OKAY) | ENDS, "a round", round);
		q->cons = *ring_word(q, 2);
	}
	still_served(d);
}

/* ---- changed while it is read */

static struct racer {
	struct disk *d;
	unsigned seed;
	uint32_t stop;
} race;

/* Any byte but the lowest of a segment's grant, which could make it name the ring itself: what is read into that is the
 * guest's own misfortune, and another case. */
static void *flip_ring(void *arg UNUSED)
{
	while (!load_relaxed(&race.stop)) {
		uint8_t *slot = ring_slot(race.d, &race.d->q[0], (uint32_t)rand_r(&race.seed));
		unsigned n = (unsigned)rand_r(&race.seed) % 112;

		if (n % 8 != 0 || n == 0)
			store_relaxed(&slot[n], (uint8_t)rand_r(&race.seed));
	}
	return NULL;
}

/* One place between two values, so that a look and a second look differ as often as possible. */
static void *flip_count(void *arg UNUSED)
{
	while (!load_relaxed(&race.stop))
		for (unsigned i = 0; i < race.d->q[0].entries; i++) {
			uint8_t *n = ring_slot(race.d, &race.d->q[0], i) + 1;

			store_relaxed(n, (uint8_t)(load_relaxed(n) == 1 ? 255 : 1));
		}
	return NULL;
}

static void *flip_bounds(void *arg UNUSED)
{
	uint32_t at = race.d->abi->body + 4;

	while (!load_relaxed(&race.stop))
		for (unsigned i = 0; i < race.d->q[0].entries; i++) {
			uint8_t *b = ring_slot(race.d, &race.d->q[0], i) + at;

			store_relaxed(b, (uint8_t)(load_relaxed(b) ^ 0xff));
			store_relaxed(b + 1, (uint8_t)(load_relaxed(b + 1) ^ 0xf8));
		}
	return NULL;
}

static void *flip_list(void *arg UNUSED)
{
	uint8_t *list = (void *)list_of(race.d);

	while (!load_relaxed(&race.stop)) {
		unsigned i = (unsigned)rand_r(&race.seed) % 16 * 8;
		uint8_t old = list[i + 1], last = list[i + 5];

		store_relaxed(&list[i + 1], (uint8_t)~old);
		store_relaxed(&list[i + 5], (uint8_t)rand_r(&race.seed));
		store_relaxed(&list[i + 1], old);
		store_relaxed(&list[i + 5], last);
	}
	return NULL;
}

/* Keeps the ring full while another thread spoils what is on it. Answers are only counted: they are spoilt as well. */
static void spoil(struct disk *d, void *(*fn)(void *), bool listed)
{
	struct queue *q = &d->q[0];
	pthread_t t;

	race = (struct racer){.d = d, .seed = d->seed ^ 0xabcdef};
	need(-pthread_create(&t, NULL, fn, NULL), "thread");
	for (uint64_t until = clock_now() + NS_PER_S * 2 / 5; clock_now() < until;) {
		unsigned n = chance(d, q->entries) + 1;

		for (unsigned i = 0; i < n; i++) {
			uint8_t op = chance(d, 2) && suite.writable ? BLKIF_OP_WRITE : BLKIF_OP_READ;
			union request r = direct(d, op, 11, chance(d, 1000));

			if (listed)
				r = (union request){.ind = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op, .nr_segments = 16,
							    .sector_number = chance(d, 1000), .indirect_grefs = {d->gref[d->ndata]}}};
			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, n), BIT(GOT_OKAY) | ENDS, "requests that change while they are read", n);
		q->cons += n;
	}
	store_relaxed(&race.stop, 1);
	pthread_join(t, NULL);
	still_served(d);
}

static void flipped_requests(struct disk *d) { spoil(d, flip_ring, false); }
static void flipped_counts(struct disk *d) { spoil(d, flip_count, false); }
static void flipped_bounds(struct disk *d) { spoil(d, flip_bounds, false); }

static void flipped_lists(struct disk *d)
{
	indirect(d, BLKIF_OP_READ, 16, 0);
	spoil(d, flip_list, true);
}

/* ---- events */

static void storm(struct disk *d)
{
	for (uint64_t until = clock_now() + NS_PER_S * 3 / 4; clock_now() < until;)
		for (unsigned i = 0; i < 100; i++)
			hv_port_notify(d->q[0].port);
	still_served(d);
}

static void storm_of_bad(struct disk *d)
{
	struct queue *q = &d->q[0];

	for (uint64_t until = clock_now() + NS_PER_S / 2; clock_now() < until;) {
		for (unsigned i = 0; i < q->entries; i++) {
			union request r = direct(d, 200, 255, UINT64_MAX);

			put(d, q, &r);
		}
		show(q);
		judge(wait_answers(d, q, q->entries), BIT(GOT_OKAY) | ENDS, "a ring of requests that are none", 0);
		q->cons += q->entries;
	}
	still_served(d);
}

static void port_closed(struct disk *d)
{
	struct queue *q = &d->q[0];

	works(d);
	hv_port_close(q->port);
	for (unsigned i = 0; i < 8; i++) {
		union request r = direct(d, BLKIF_OP_READ, 1, 8);

		put(d, q, &r);
	}
	smp_store_release(ring_word(q, 0), q->prod); /* pairs with the backend's barrier after it read req_prod */
	nap_us(20000);
	did("b%u", back_state(d));
}

static const struct test tests[] = {
	{"ring.prod_far", "ring.h: req_prod is at most a ring's size ahead", "stopped", .run = far},
	{"ring.prod_one_over", "ring.h: RING_REQUEST_PROD_OVERFLOW, by one", "stopped", .run = one_over},
	{"ring.prod_half", "req_prod half the numbers ahead", "stopped", .run = half},
	{"ring.prod_back", "req_prod goes back by one", "stopped", .run = back},
	{"ring.prod_back_ring", "req_prod goes back by a ring's size", "stopped", .run = back_a_ring},
	{"ring.prod_moving", "req_prod changes all the time", "stopped", .run = moving},
	{"ring.scribbled", "rsp_prod, req_event and the rest of the header are the backend's: it keeps its own count", "served",
	 .run = scribbled},
	{"ring.as_data", "The ring's page as a read's", "stopped", .needs = NEED_WRITABLE, .run = as_data},
	{"ring.never_taken", "Answers may be left on the ring", "okay+served", .run = never_taken},
	{"ring.over_answers", "A frontend that asks as fast as it is answered", "okay+served", .run = over_answers},
	{"ring.flipped_requests", "XSA-155: a request is read once", "okay+served", .run = flipped_requests},
	{"ring.flipped_counts", "XSA-155: nr_segments between 1 and 255", "okay+served", .run = flipped_counts},
	{"ring.flipped_bounds", "XSA-155: first_sect and last_sect", "okay+served", .run = flipped_bounds},
	{"ring.flipped_lists", "XSA-155: an indirect list is read once", "okay+served", .needs = NEED_INDIRECT, .run = flipped_lists},
	{"ring.flipped_persistent", "The same of requests on pages that stay mapped", "okay+served", .want = {.persistent = true},
	 .run = flipped_requests},
	{"ring.storm", "XSA-331: events without end cost others nothing", "served", .run = storm},
	{"ring.storm_of_bad", "Requests that are none, as fast as they are answered", "okay+served", .run = storm_of_bad},
	{"ring.port_closed", "An event channel that is closed while the disk is connected", "b4", .run = port_closed},
};
const struct topic topic_ring = {tests, ARRAY_LEN(tests)};
