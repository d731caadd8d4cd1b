/* Everything that two ends may agree on: layouts, ring sizes, queues, persistent grants, indirect requests. */
#include "tests/blkif/verify.h"

#include <string.h>

/* Enough requests to go around the ring three times, on each queue, verified. */
static void around(struct disk *d)
{
	for (unsigned k = 0; k < d->nqueues; k++) {
		struct queue *q = &d->q[k];
		unsigned total = MIN(3 * q->entries, 400u);

		if (suite.writable && !(d->offer.info & VDISK_READONLY))
			for (unsigned i = 0; i < 8; i++)
				write_and_read(d, q, i + 1, 8 * chance(d, 64), false);
		for (unsigned i = 0; i < total;) {
			unsigned n = MIN(total - i, q->entries);

			for (unsigned j = 0; j < n; j++, i++) {
				union request r = direct(d, BLKIF_OP_READ, 1 + chance(d, 11), 8 * chance(d, 64));

				r.rw.id = ++d->id;
				put(d, q, &r);
			}
			show(q);
			judge(wait_answers(d, q, n), BIT(GOT_OKAY), "reads on queue", k);
			for (unsigned j = 0; j < n; j++)
				judge(got_of(&(struct blkif_response){.status = take(d, q).status}), BIT(GOT_OKAY), "a read on queue", k);
		}
	}
	still_served(d);
}

/* Which layout is taken without the key, by what becomes of an id. Linux's blkback takes the 32-bit one, for the sake of guests that
 * are older than the key. */
static void unspecified(struct disk *d)
{
	const uint64_t id = 0x1111111122222222;
	union request r = direct(d, BLKIF_OP_READ, 1, 8);
	uint64_t answered;

	r.rw.id = id;
	put(d, &d->q[0], &r);
	show(&d->q[0]);
	judge(wait_answers(d, &d->q[0], 1), BIT(GOT_OKAY), "a read", 0);
	answered = take(d, &d->q[0]).id;
	did(answered == id ? "64-bit" : answered == id << 32 ? "32-bit" : "neither");
}

/* As many pages, or queues, as are offered. */
static void largest_ring(struct disk *d)
{
	struct want w = d->want;

	w.order = (unsigned)d->offer.max_order;
	disk_connect(d, &w);
	did("order-%u", w.order);
	around(d);
}

static void most_queues(struct disk *d)
{
	struct want w = {.queues = (unsigned)d->offer.max_queues};

	disk_connect(d, &w);
	did("queues-%u", w.queues);
	around(d);
}

static void most_of_all(struct disk *d)
{
	struct want w = {.queues = (unsigned)d->offer.max_queues, .order = (unsigned)d->offer.max_order, .persistent = true,
			 .protocol = "x86_32-abi"};

	disk_connect(d, &w);
	did("queues-%u+order-%u", w.queues, w.order);
	around(d);
}

static void order_1_to_max(struct disk *d)
{
	for (unsigned order = 0; order <= d->offer.max_order; order++) {
		struct want w = {.order = order};

		disk_connect(d, &w);
		if (good_io(d, &d->q[0]) != GOT_OKAY)
			case_fails("a ring of order %u does not work", order);
		if (!disk_close(d))
			case_fails("a ring of order %u is not closed", order);
		disk_release(d);
		set_state(d, XenbusStateInitialising);
		if (!back_gets(d, BIT(XenbusStateInitWait), suite.patience))
			case_fails("no InitWait after a ring of order %u", order);
	}
	did("okay");
}

/* By indirect requests: about every size at which something changes. */
static void sizes(struct disk *d)
{
	static const unsigned n[] = {1, 2, 10, 11, 12, 31, 32, 33, 64, 127, 128, 255, 256};
	unsigned max = (unsigned)MIN(d->offer.max_indirect, d->ndata);

	for (size_t i = 0; i < ARRAY_LEN(n) && n[i] <= max; i++) {
		if (suite.writable && !(d->offer.info & VDISK_READONLY)) {
			write_and_read(d, &d->q[0], n[i], 8 * chance(d, 64), true);
		} else {
			union request r = indirect(d, BLKIF_OP_READ, n[i], 8);

			allow(d, &r, BIT(GOT_OKAY), "an indirect read of pages", n[i]);
		}
	}
	did("max-%llu", (unsigned long long)d->offer.max_indirect);
	still_served(d);
}

/* More pages in turn than a backend is likely to keep mapped. */
static void many_pages(struct disk *d)
{
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < d->ndata; i++) {
			union request r = direct(d, BLKIF_OP_READ, 1, 8 * (i % 64));

			r.rw.seg[0].gref = d->gref[i];
			allow(d, &r, BIT(GOT_OKAY), "a read into page", i);
		}
	still_served(d);
}

static const struct test tests[] = {
	{"feature.unspecified", "protocol: absent is XEN_IO_PROTO_ABI_NATIVE", "okay+64-bit", .want = {.no_protocol = true},
	 .run = unspecified},
	{"feature.x86_64", "protocol: x86_64-abi", "okay+served", .want = {.protocol = "x86_64-abi"}, .run = around},
	{"feature.x86_32", "protocol: x86_32-abi", "okay+served", .want = {.protocol = "x86_32-abi"}, .run = around},
	{"feature.x86_32_persistent", "The same with feature-persistent", "okay+served",
	 .want = {.protocol = "x86_32-abi", .persistent = true}, .run = around},
	{"feature.orders", "ring-page-order: each from 0 to max-ring-page-order", "okay", .needs = NEED_RING_2, .bare = true,
	 .run = order_1_to_max},
	{"feature.largest_ring", "ring-page-order: as max-ring-page-order says", "order-4+okay+served", .needs = NEED_RING_2,
	 .bare = true, .run = largest_ring},
	{"feature.largest_x86_32", "The same in the 32-bit layout", "order-4+okay+served", .needs = NEED_RING_2, .bare = true,
	 .want = {.protocol = "x86_32-abi"}, .run = largest_ring},
	{"feature.old_pages", "num-ring-pages, where max-ring-pages is offered", "okay+served", .needs = NEED_OLD_PAGES,
	 .want = {.order = 1, .old_key = true}, .run = around},
	{"feature.two_queues", "Multiple queues", "okay+served", .needs = NEED_QUEUE_2, .want = {.queues = 2}, .run = around},
	{"feature.most_queues", "Multiple queues: as many as multi-queue-max-queues says", NULL, .needs = NEED_QUEUE_2, .bare = true,
	 .run = most_queues},
	{"feature.most_of_all", "Queues, pages, persistent grants, the 32-bit layout, together", NULL,
	 .needs = NEED_QUEUE_2 | NEED_RING_2, .bare = true, .run = most_of_all},
	{"feature.indirect", "BLKIF_OP_INDIRECT: up to feature-max-indirect-segments", "max-256+served", .needs = NEED_INDIRECT,
	 .want = {.data = DATA_MAX}, .run = sizes},
	{"feature.indirect_persistent", "The same with feature-persistent", "max-256+served", .needs = NEED_INDIRECT,
	 .want = {.data = DATA_MAX, .persistent = true}, .run = sizes},
	{"feature.indirect_x86_32", "The same in the 32-bit layout", "max-256+served", .needs = NEED_INDIRECT,
	 .want = {.data = DATA_MAX, .protocol = "x86_32-abi"}, .run = sizes},
	{"feature.many_pages", "Note 7: a backend may keep as many pages mapped as it likes", "okay+served",
	 .want = {.data = DATA_MAX, .persistent = true}, .run = many_pages},
};
const struct topic topic_feature = {tests, ARRAY_LEN(tests)};
