/* The checker of numbered packets: over a wire that the test plays, which loses, repeats, overtakes and changes packets, its
 * books must say exactly that. */
#include "frontend/net/net_verify.h"
#include "tests/unit/frontend/fake_net.h"

#include <pthread.h>

struct wire {
	struct fake_net end[2];
	uint32_t stop;
	/* Every so many packets of direction 0; 0: never. */
	unsigned lose, repeat, change, swap;
	uint64_t n, lost, repeated, changed, swapped;
	struct fake_sent one, kept;
	bool have_kept;
};

static void give(struct fake_net *w, const struct fake_sent *s)
{
	uint32_t at = 0, n;

	while (fake_rx_room(w) < 20 && w->f->ended == 0)
		cpu_relax();
	for (; at < s->len; at += n) {
		n = MIN(s->len - at, 4096u);
		fake_rx_part(w, s->data + at, 0, (int16_t)n, at + n < s->len ? 4 : 0);
	}
	fake_rx_publish(w);
	fake_net_event(w, 1);
}

/* Direction 0, with what the test wants to go wrong. */
static void pass_badly(struct wire *w, struct fake_net *to)
{
	struct fake_sent *s = &w->one;

	w->n++;
	if (w->lose && w->n % w->lose == 0) {
		w->lost++;
		return;
	}
	if (w->change && w->n % w->change == 0) {
		s->data[s->len - 1 - w->n % (s->len - 82)] ^= 4;
		w->changed++;
	}
	if (w->swap && w->n % w->swap == 0 && !w->have_kept) {
		w->kept = *s;
		w->have_kept = true;
		return;
	}
	give(to, s);
	if (w->have_kept) {
		give(to, &w->kept);
		w->have_kept = false;
		w->swapped++;
	}
	if (w->repeat && w->n % w->repeat == 0) {
		w->repeated++;
		give(to, s);
	}
}

static void *wire_main(void *arg)
{
	struct wire *w = arg;

	while (!smp_load_acquire(&w->stop)) { /* pairs with run() */
		bool idle = true;

		for (int side = 0; side < 2; side++) {
			struct fake_net *from = &w->end[side], *to = &w->end[!side];

			if (!fake_take_sent(from, &w->one))
				continue;
			idle = false;
			fake_answer_all(from, &w->one, 0);
			fake_net_event(from, 0);
			if (side == 0)
				pass_badly(w, to);
			else
				give(to, &w->one);
		}
		if (idle)
			sched_yield();
	}
	return NULL;
}

static struct net_verify_result run(struct wire *w, const struct net_verify_opts *o)
{
	struct net_verify_result r;
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		fake_net_up(&w->end[i], &(struct netfront_open){.queues = 1}, &fake_all);
		w->end[i].f->info.mac[5] = (uint8_t)i;
	}
	pthread_create(&thread, NULL, wire_main, w);
	assert_int_equal(net_verify(w->end[0].f, w->end[1].f, o, &r), 0);
	smp_store_release(&w->stop, 1); /* pairs with wire_main() */
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++)
		fake_net_down(&w->end[i]);
	assert_int_equal(r.rc, 0);
	return r;
}

static void a_good_wire(void **state)
{
	static struct wire w;
	struct net_verify_result r = run(&w, &(struct net_verify_opts){.seconds = 1, .rate = 5000, .seed = 7, .outage_ns = 1000000});

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct net_verify_way *y = &r.way[i];

		assert_in_range(y->sent, 100, 5001);
		assert_int_equal(y->received, y->sent);
		assert_int_equal(y->lost + y->repeated + y->reordered + y->corrupted + y->refused + y->foreign, 0);
	}
}

static void a_bad_wire(void **state)
{
	static struct wire w = {.lose = 100, .repeat = 151, .change = 77, .swap = 203};
	struct net_verify_result r = run(&w, &(struct net_verify_opts){.seconds = 1, .rate = 5000, .seed = 9, .outage_ns = 1000000});
	const struct net_verify_way *y = &r.way[0];

	(void)state;
	assert_in_range(w.lost, 1, 1000);
	assert_int_equal(y->sent, w.n);
	assert_in_range(y->corrupted, w.changed, w.changed + w.changed / 2 + 1); /* one of them may have come twice */
	assert_in_range(y->lost, w.lost + w.changed, w.lost + w.changed + w.have_kept);
	assert_in_range(y->repeated, w.repeated - MIN(w.repeated, (y->corrupted - w.changed)), w.repeated);
	assert_in_range(y->reordered, w.swapped - MIN(w.swapped, 2), w.swapped + w.changed);
	assert_true(y->lost_longest >= 1 && y->lost_longest <= 3);
	assert_int_equal(r.way[1].lost + r.way[1].repeated + r.way[1].corrupted, 0);
	assert_int_equal(r.way[1].received, r.way[1].sent);
}

/* At full rate and with large packets nothing is lost that the wire did not lose. */
static void full_rate(void **state)
{
	static struct wire w;
	struct net_verify_result r = run(&w, &(struct net_verify_opts){.seconds = 1, .size = 9000, .seed = 11, .one_way = true});

	(void)state;
	print_message("%llu packets\n", (unsigned long long)r.way[0].sent);
	assert_true(r.way[0].sent > 256);
	assert_int_equal(r.way[0].received, r.way[0].sent);
	assert_int_equal(r.way[1].sent, 0);
}

static void ends_that_do_not_fit(void **state)
{
	struct net_verify_result r;
	struct fake_net a, b;

	(void)state;
	fake_net_up(&a, &(struct netfront_open){.no_sg = true}, &fake_all);
	fake_net_up(&b, &(struct netfront_open){.queues = 1}, &fake_all);
	assert_int_equal(net_verify(a.f, b.f, &(struct net_verify_opts){.size = 4097}, &r), -EINVAL);
	assert_int_equal(net_verify(a.f, b.f, &(struct net_verify_opts){.size = 81}, &r), -EINVAL);
	b.f->info.queues = 2;
	assert_int_equal(net_verify(a.f, b.f, &(struct net_verify_opts){.size = 100}, &r), -EINVAL);
	fake_net_down(&a);
	fake_net_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_wire),
		cmocka_unit_test(a_bad_wire),
		cmocka_unit_test(full_rate),
		cmocka_unit_test(ends_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
