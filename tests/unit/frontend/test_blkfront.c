/* The block frontend's data path against a backend that the test plays: right requests, and no harm by wrong answers. */
#include "tests/unit/frontend/fake_back.h"

static void fill(char *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(rand_r(&seed) >> 7);
}

/* ---- right ---- */

static void random_ios(const struct blkfront_open *o, const struct vbd_offer *offer, unsigned start)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)clock_now();
	uint32_t unit = offer->sector_size;
	struct fake_world w;
	char *model = calloc(1, FAKE_DISK), *buf = malloc(3u << 20);

	print_message("SEED=%u\n", seed);
	fake_up(&w, o, offer);
	w.q->ring.req_put = w.q->ring.req_published = w.q->ring.rsp_taken = start;
	fake_sring(&w)->req_prod = fake_sring(&w)->rsp_prod = w.req_cons = w.rsp_prod = start;
	for (unsigned i = 0; i < 150; i++) {
		uint64_t off = (uint64_t)rand_r(&seed) % (FAKE_DISK / unit) * unit;
		uint64_t max = MIN(FAKE_DISK - off, i % 10 ? 65536u : 3u << 20);
		uint64_t len = ((uint64_t)rand_r(&seed) % (max / unit) + 1) * unit;

		switch (rand_r(&seed) % 4) {
		case 0:
			fill(buf, len, i);
			memcpy(model + off, buf, len);
			assert_int_equal(fake_run(&w, BLKFRONT_WRITE, i % 3 ? 0 : BLKFRONT_FUA, off, len, buf), 0);
			break;
		case 1:
			memset(model + off, 0, len);
			assert_int_equal(fake_run(&w, BLKFRONT_ZERO, 0, off, len, NULL), 0);
			break;
		default:
			assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, off, len, buf), 0);
			assert_memory_equal(buf, model + off, len);
		}
	}
	assert_memory_equal(w.disk, model, FAKE_DISK);
	assert_int_equal(w.q->shadow.live, 0);
	assert_int_equal(blkfront_outstanding(w.q), 0);
	if (w.f->info.persistent)
		assert_int_equal(w.q->pool.nfree, w.q->pool.npages - 1); /* the zero page */
	fake_down(&w);
	free(model);
	free(buf);
}

static void data_is_right_in_every_abi_and_mode(void **state)
{
	struct vbd_offer big = full;

	(void)state;
	random_ios(&plain, &full, 0);
	random_ios(&(struct blkfront_open){ .ring_pages = 4, .protocol = CONN_X86_32 }, &full, 0xfffffff0u);
	random_ios(&(struct blkfront_open){ .ring_pages = 16, .protocol = CONN_X86_64 }, &full, 0xfffffffeu);
	random_ios(&(struct blkfront_open){ .ring_pages = 1, .no_persistent = true }, &full, 0);
	random_ios(&(struct blkfront_open){ .ring_pages = 2, .no_indirect = true }, &full, 0);
	big.sector_size = 4096;
	random_ios(&plain, &big, 0);
}

static void geometry(void **state)
{
	struct fake_world w;
	struct blkfront_info info;

	(void)state;
	fake_up(&w, &(struct blkfront_open){ .queues = 9 }, &full);
	blkfront_get_info(w.f, &info);
	assert_int_equal(info.queues, 4);
	assert_int_equal(info.ring_pages, 16);
	assert_int_equal(info.depth, 512);
	assert_int_equal(info.max_segments, 256);
	assert_int_equal(info.size, FAKE_DISK);
	fake_down(&w);
}

static void large_io_is_cut_in_order(void **state)
{
	size_t len = (2u << 20) + 1536;
	char *buf = malloc(len);
	struct fake_world w;
	struct fake_io t;
	struct fake_req r;
	uint64_t sector = 8, want = 8 + len / 512;
	unsigned n = 0;

	(void)state;
	fill(buf, len, 1);
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_WRITE, 0, 4096, len, buf), 0);
	blkfront_poll(w.q);
	for (; fake_get(&w, &r); n++) {
		assert_int_equal(r.inner, 1);
		assert_int_equal(r.sector, sector);
		assert_int_equal(r.op, r.nsegs > 11 ? 6 : 1);
		for (unsigned i = 0; i < r.nsegs; i++)
			sector += r.seg[i].last_sect - r.seg[i].first_sect + 1u;
		fake_do(&w, &r);
		fake_answer(&w, r.id, r.inner, 0);
		blkfront_poll(w.q);
	}
	assert_int_equal(n, 3);
	assert_int_equal(sector, want);
	assert_int_equal(t.calls, 1);
	assert_memory_equal(w.disk + 4096, buf, len);
	fake_down(&w);
	free(buf);
}

static void the_ring_is_filled_and_no_more(void **state)
{
	static struct fake_io t[100];
	static char buf[512];
	struct fake_world w;
	struct fake_req r;
	unsigned n = 0, over = 0;

	(void)state;
	fake_up(&w, &plain, &full);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(fake_submit(&w, &t[i], BLKFRONT_READ, 0, i * 512, 512, buf), 0);
	blkfront_poll(w.q);
	while (fake_get(&w, &r)) {
		assert_int_equal(r.sector, n);
		n++;
	}
	assert_int_equal(n, 32);
	assert_int_equal(blkfront_outstanding(w.q), 100);
	w.req_cons = 0;
	for (unsigned i = 0; over < 100 && i < 100; i++) {
		fake_serve(&w, true);
		over += (unsigned)blkfront_poll(w.q);
	}
	assert_int_equal(over, 100);
	fake_down(&w);
}

static void fua_is_write_then_flush(void **state)
{
	static char buf[2u << 20];
	struct fake_req r[4], none;
	struct fake_world w;
	struct fake_io t;

	(void)state;
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_WRITE, BLKFRONT_FUA, 0, sizeof(buf), buf), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r[0]) && fake_get(&w, &r[1]));
	assert_false(fake_get(&w, &none));
	fake_answer(&w, r[1].id, 1, 0);
	blkfront_poll(w.q);
	assert_false(fake_get(&w, &none)); /* one write is not answered yet */
	fake_answer(&w, r[0].id, 1, 0);
	assert_int_equal(blkfront_poll(w.q), 0);
	assert_true(fake_get(&w, &r[2]));
	assert_int_equal(r[2].op, BLKIF_OP_FLUSH_DISKCACHE);
	assert_int_equal(t.calls, 0);
	fake_answer(&w, r[2].id, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_ERROR);
	assert_int_equal(blkfront_poll(w.q), 1);
	assert_int_equal(t.rc, -EIO);
	/* A write that fails is not flushed. */
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_WRITE, BLKFRONT_FUA, 0, 512, buf), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r[0]));
	fake_answer(&w, r[0].id, 1, BLKIF_RSP_ERROR);
	assert_int_equal(blkfront_poll(w.q), 1);
	assert_int_equal(t.rc, -EIO);
	assert_false(fake_get(&w, &none));
	fake_down(&w);
}

static void other_operations(void **state)
{
	static char buf[4096];
	struct fake_world w;
	struct fake_req r;
	struct fake_io t;

	(void)state;
	fake_up(&w, &plain, &full);
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_DISCARD, BLKFRONT_SECURE, 4096, 1u << 20, NULL), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r));
	assert_int_equal(r.op, BLKIF_OP_DISCARD);
	assert_int_equal(r.flag, BLKIF_DISCARD_SECURE);
	assert_int_equal(r.sector, 8);
	assert_int_equal(r.nr, 2048);
	fake_answer(&w, r.id, r.op, BLKIF_RSP_EOPNOTSUPP);
	blkfront_poll(w.q);
	assert_int_equal(t.rc, -EOPNOTSUPP);

	assert_int_equal(fake_submit(&w, &t, BLKFRONT_BARRIER, 0, 0, sizeof(buf), buf), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r));
	assert_int_equal(r.op, BLKIF_OP_WRITE_BARRIER);
	assert_int_equal(r.nsegs, 1);
	fake_answer(&w, r.id, r.op, 0);
	assert_int_equal(blkfront_poll(w.q), 1);
	assert_int_equal(fake_run(&w, BLKFRONT_BARRIER, 0, 0, 0, NULL), 0);
	assert_int_equal(fake_run(&w, BLKFRONT_FLUSH, 0, 0, 0, NULL), 0);

	assert_int_equal(fake_submit(&w, &t, BLKFRONT_ZERO, 0, 0, 1u << 20, NULL), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r));
	assert_int_equal(r.nsegs, 256);
	for (unsigned i = 0; i < r.nsegs; i++)
		assert_int_equal(r.seg[i].gref, r.seg[0].gref);
	memset(w.disk, 1, 1u << 20);
	fake_do(&w, &r);
	for (unsigned i = 0; i < 1u << 20; i++)
		assert_int_equal(w.disk[i], 0);
	fake_answer(&w, r.id, r.inner, 0);
	assert_int_equal(blkfront_poll(w.q), 1);
	fake_down(&w);
}

static void what_cannot_be_is_refused_at_once(void **state)
{
	static char buf[8192];
	struct vbd_offer o = full;
	struct fake_world w;

	(void)state;
	o.sector_size = 4096;
	o.flush = o.barrier = o.discard = false;
	fake_up(&w, &plain, &o);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, 512, 4096, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, 0, 512, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, 0, 0, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, FAKE_DISK, 4096, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, FAKE_DISK - 4096, 8192, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, UINT64_MAX - 4095, 8192, buf), -EINVAL);
	assert_int_equal(fake_run(&w, BLKFRONT_WRITE, BLKFRONT_FUA, 0, 4096, buf), -EOPNOTSUPP);
	assert_int_equal(fake_run(&w, BLKFRONT_FLUSH, 0, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(fake_run(&w, BLKFRONT_BARRIER, 0, 0, 0, NULL), -EOPNOTSUPP);
	assert_int_equal(fake_run(&w, BLKFRONT_DISCARD, 0, 0, 4096, NULL), -EOPNOTSUPP);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, FAKE_DISK - 4096, 4096, buf), 0);
	fake_down(&w);
	o.info = VDISK_READONLY;
	fake_up(&w, &plain, &o);
	assert_int_equal(fake_run(&w, BLKFRONT_WRITE, 0, 0, 4096, buf), -EROFS);
	assert_int_equal(fake_run(&w, BLKFRONT_ZERO, 0, 0, 4096, NULL), -EROFS);
	assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, 0, 4096, buf), 0);
	fake_down(&w);
}

/* ---- wrong answers ---- */

typedef void misdeed_fn(struct fake_world *w, const struct fake_req *r);

static void twice(struct fake_world *w, const struct fake_req *r)
{
	fake_answer(w, r[0].id, 0, 0);
	fake_answer(w, r[0].id, 0, 0);
}
static void unknown_slot(struct fake_world *w, const struct fake_req *r) { fake_answer(w, r[0].id + 31, 0, 0); }
static void far_slot(struct fake_world *w, const struct fake_req *r) { fake_answer(w, r[0].id | 0xffffffff, 0, 0); }
static void old_serial(struct fake_world *w, const struct fake_req *r) { fake_answer(w, r[0].id - (1ull << 32), 0, 0); }
static void wrong_op(struct fake_world *w, const struct fake_req *r) { fake_answer(w, r[0].id, 1, 0); }
static void too_many(struct fake_world *w, const struct fake_req *r)
{
	fake_answer(w, r[0].id, 0, 0);
	w->rsp_prod += 2;
	fake_sring(w)->rsp_prod = w->rsp_prod;
}
static void backwards(struct fake_world *w, const struct fake_req *r)
{
	(void)r;
	fake_sring(w)->rsp_prod = w->rsp_prod - 1;
}

static void wrong_answers_end_the_device(void **state)
{
	static misdeed_fn *const misdeeds[] = { twice, unknown_slot, far_slot, old_serial, wrong_op, too_many, backwards };
	static char buf[3][512];

	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(misdeeds); m++) {
		struct fake_world w;
		struct fake_io t[3];
		struct fake_req r[2];

		fake_up(&w, &plain, &full);
		assert_int_equal(fake_run(&w, BLKFRONT_READ, 0, 0, 512, buf[0]), 0);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(fake_submit(&w, &t[i], BLKFRONT_READ, 0, i * 512, 512, buf[i]), 0);
		assert_int_equal(blkfront_poll(w.q), 0);
		assert_true(fake_get(&w, &r[0]) && fake_get(&w, &r[1]));
		assert_int_equal(fake_submit(&w, &t[2], BLKFRONT_READ, 0, 0, 512, buf[2]), 0);
		misdeeds[m](&w, r);
		assert_int_equal(blkfront_poll(w.q), -EPEER);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(t[i].calls, 1);
		assert_int_equal(t[1].rc, -EPEER);
		assert_int_equal(t[2].rc, -EPEER);
		assert_int_equal(blkfront_outstanding(w.q), 0);
		assert_int_equal(fake_submit(&w, &t[0], BLKFRONT_READ, 0, 0, 512, buf[0]), -EPEER);
		assert_int_equal(blkfront_poll(w.q), -EPEER);
		assert_int_equal(blkfront_arm(w.q), 0); /* and no busy loop */
		fake_down(&w);
	}
}

static void never_answered_is_called_back_at_the_close(void **state)
{
	static char buf[4u << 20];
	static struct fake_io t[3];
	struct fake_world w;

	(void)state;
	fake_up(&w, &plain, &full);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_submit(&w, &t[i], BLKFRONT_WRITE, BLKFRONT_FUA, 0, i ? sizeof(buf) : 512, buf), 0);
	blkfront_poll(w.q);
	fake_down(&w);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(t[i].calls, 1);
		assert_int_equal(t[i].rc, -ESHUTDOWN);
	}
}

static void detach_lets_requests_end(void **state)
{
	static char buf[512];
	static struct fake_io t[40];
	struct fake_world w;
	unsigned ok = 0;

	(void)state;
	fake_up(&w, &plain, &full);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(fake_submit(&w, &t[i], BLKFRONT_READ, 0, 0, 512, buf), 0);
	blkfront_poll(w.q);
	w.f->closing = 1;
	assert_int_equal(blkfront_submit(w.q, &t[0].io), -ESHUTDOWN);
	assert_int_equal(blkfront_poll(w.q), 8); /* those that were not on the ring */
	assert_int_equal(w.q->busy, 32);
	fake_serve(&w, false);
	assert_int_equal(blkfront_poll(w.q), 32);
	assert_int_equal(w.q->busy, 0);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(t[i].calls, 1);
		ok += t[i].rc == 0;
	}
	assert_int_equal(ok, 32);
	fake_down(&w);
}

/* ---- what the backend can see ---- */

/* Every byte of every page that was ever granted, the rings apart, is zero or was in a request. */
static unsigned canaries(struct fake_world *w)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= w->hv->next; i++) {
		const char *page = w->hv->gref[i].page;

		for (unsigned b = 0; page && b < BH_PAGE_SIZE; b++)
			n += page[b] == 0x5a;
	}
	return n;
}

static void no_unrelated_byte_is_granted(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 2; mode++) {
		struct blkfront_open o = { .ring_pages = 1, .no_persistent = mode };
		char *mem = malloc(64 << 10), *mid = mem + 10000;
		struct fake_world w;
		struct fake_io t;
		struct fake_req r;

		memset(mem, 0x5a, 64 << 10);
		memset(mid, 0x11, 512);
		fake_up(&w, &o, &full);
		assert_int_equal(fake_submit(&w, &t, BLKFRONT_WRITE, 0, 0, 512, mid), 0);
		blkfront_poll(w.q);
		assert_true(fake_get(&w, &r));
		assert_int_equal(r.seg[0].last_sect, 0);
		assert_int_equal(canaries(&w), 0);
		fake_answer(&w, r.id, 1, 0);
		blkfront_poll(w.q);
		/* What a read's buffer held before is not shown either. */
		assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 32768, mem), 0);
		blkfront_poll(w.q);
		assert_true(fake_get(&w, &r));
		assert_int_equal(canaries(&w), 0);
		fake_do(&w, &r);
		fake_answer(&w, r.id, r.inner, 0);
		assert_int_equal(blkfront_poll(w.q), 1);
		if (mode) { /* the ring's page is all that stays granted */
			unsigned granted = 0;

			for (uint32_t i = 1; i <= w.hv->next; i++)
				granted += w.hv->gref[i].granted;
			assert_int_equal(granted, 2); /* and the page of zeros */
		}
		fake_down(&w);
		free(mem);
	}
}

static void a_page_still_mapped_is_never_used_again(void **state)
{
	struct blkfront_open o = { .ring_pages = 1, .no_persistent = true };
	static char buf[4096];
	struct fake_world w;
	struct fake_io t;
	struct fake_req r;
	char *held;
	uint32_t had;
	int rc;

	(void)state;
	fake_up(&w, &o, &full);
	had = w.q->pool.nfree;
	assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 4096, buf), 0);
	blkfront_poll(w.q);
	assert_true(fake_get(&w, &r));
	held = w.hv->gref[r.seg[0].gref].page;
	w.hv->gref[r.seg[0].gref].held = true;
	fake_answer(&w, r.id, 0, 0);
	assert_int_equal(blkfront_poll(w.q), 1);
	assert_int_equal(t.rc, 0);
	assert_int_equal(w.q->pool.nfree, had - 1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 4096, buf), 0);
		blkfront_poll(w.q);
		assert_true(fake_get(&w, &r));
		assert_ptr_not_equal(w.hv->gref[r.seg[0].gref].page, held);
		fake_answer(&w, r.id, 0, 0);
		assert_int_equal(blkfront_poll(w.q), 1);
	}
	/* A backend that keeps them all gets errors, not a hang. */
	for (unsigned i = 0; (rc = fake_submit(&w, &t, BLKFRONT_READ, 0, 0, 4096, buf)) == 0; i++) {
		assert_in_range(i, 0, had);
		blkfront_poll(w.q);
		if (!fake_get(&w, &r))
			break;
		w.hv->gref[r.seg[0].gref].held = true;
		fake_answer(&w, r.id, 0, 0);
		blkfront_poll(w.q);
	}
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.rc, -ENOMEM);
	fake_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_right_in_every_abi_and_mode),
		cmocka_unit_test(geometry),
		cmocka_unit_test(large_io_is_cut_in_order),
		cmocka_unit_test(the_ring_is_filled_and_no_more),
		cmocka_unit_test(fua_is_write_then_flush),
		cmocka_unit_test(other_operations),
		cmocka_unit_test(what_cannot_be_is_refused_at_once),
		cmocka_unit_test(wrong_answers_end_the_device),
		cmocka_unit_test(never_answered_is_called_back_at_the_close),
		cmocka_unit_test(detach_lets_requests_end),
		cmocka_unit_test(no_unrelated_byte_is_granted),
		cmocka_unit_test(a_page_still_mapped_is_never_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
