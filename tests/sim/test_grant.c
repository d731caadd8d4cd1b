/* Moving data to and from a guest's pages, mapped or copied: what arrives where, what stays mapped, and that a bad page
 * of one request costs nothing but that request. */
#include "backend/blk/blkback_grant.h"
#include "tests/sim/sim_alone.h"
#include "tests/sim/sim_hv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NPAGES 64u
#define LIMIT 32u
#define BAD 4000000u /* no grant */

typedef struct blkif_request_segment seg_t;

static struct sim_hv *w;
static hv_domid_t dom;
static struct hv *fe, *be;
static char *mem; /* the guest's */
static hv_gref_t gref[NPAGES];
static struct blk_grants *g;
static char buf[NPAGES * 4096 + 64];

/* A new process: what the former had mapped ends with it. */
static void open_grants(bool persistent, uint32_t limit)
{
	struct hv_open o = {.role = HV_STUB, .guest = dom};

	if (g)
		blk_grants_close(g);
	hv_close(be);
	assert_int_equal(sim_hv_total(w).mapped, 0);
	assert_int_equal(sim_hv_open(w, &o, &be), 0);
	assert_int_equal(blk_grants_open(be, dom, persistent, limit, &g), 0);
}

static int setup(void **state)
{
	struct hv_open f = {.role = HV_FRONTEND, .domain = "guest"};
	struct hv_grant gr[NPAGES];

	(void)state;
	w = sim_hv_new(512);
	dom = sim_hv_domain(w, "guest");
	assert_int_equal(sim_hv_open(w, &f, &fe), 0);
	assert_int_equal(hv_alloc(fe, NPAGES, (void **)&mem), 0);
	for (unsigned i = 0; i < NPAGES; i++)
		gr[i] = (struct hv_grant){.page = mem + i * BH_PAGE_SIZE};
	assert_int_equal(hv_grant(fe, 0, gr, NPAGES), 0);
	for (unsigned i = 0; i < NPAGES; i++)
		gref[i] = gr[i].gref;
	open_grants(true, LIMIT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sim_hv_fail_after(w, 0, 0);
	blk_grants_close(g);
	g = NULL;
	sim_hv_free(w);
	be = NULL;
	return 0;
}

static void fill_guest(unsigned seed)
{
	for (size_t i = 0; i < NPAGES * BH_PAGE_SIZE; i++)
		mem[i] = (char)(rand_r(&seed) >> 8);
}

static void whole(seg_t *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s[i] = (seg_t){.gref = gref[i], .first_sect = 0, .last_sect = 7};
}

/* ---- what arrives */

static size_t off_of(const seg_t *s) { return s->first_sect * 512u; }
static size_t len_of(const seg_t *s) { return (s->last_sect + 1u) * 512u - off_of(s); }

/* n segments of random pages, the same one perhaps twice, moved and compared byte for byte with what should be. */
static void random_move(unsigned *seed, unsigned n, bool to_guest)
{
	static char want[NPAGES * 4096], guard[64];
	size_t total = 0;
	seg_t s[NPAGES];
	unsigned page[NPAGES];

	for (unsigned i = 0; i < n; i++) {
		uint8_t a = (uint8_t)(rand_r(seed) % 8), b = (uint8_t)(a + rand_r(seed) % (8 - a));

		page[i] = (unsigned)rand_r(seed) % NPAGES;
		s[i] = (seg_t){.gref = gref[page[i]], .first_sect = a, .last_sect = b};
		total += len_of(&s[i]);
	}
	memset(guard, 0x77, sizeof(guard));
	memcpy(want, mem, sizeof(want));
	for (size_t i = 0; i < total; i++)
		buf[i] = (char)rand_r(seed);
	memcpy(buf + total, guard, sizeof(guard));
	assert_int_equal(blk_grants_move(g, s, n, buf, to_guest), 0);
	for (size_t i = 0, at = 0; i < n; at += len_of(&s[i]), i++) {
		if (to_guest)
			memcpy(want + page[i] * BH_PAGE_SIZE + off_of(&s[i]), buf + at, len_of(&s[i]));
		else
			assert_memory_equal(buf + at, mem + page[i] * BH_PAGE_SIZE + off_of(&s[i]), len_of(&s[i]));
	}
	assert_memory_equal(mem, want, sizeof(want));
	assert_memory_equal(buf + total, guard, sizeof(guard));
}

static void test_moves(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)time(NULL);

	(void)state;
	print_message("SEED=%u\n", seed);
	fill_guest(seed);
	for (unsigned mode = 0; mode < 3; mode++) {
		open_grants(mode > 0, mode == 1 ? LIMIT : NPAGES);
		for (unsigned i = 0; i < 600; i++) {
			random_move(&seed, 1 + (unsigned)rand_r(&seed) % LIMIT, i % 2);
			assert_int_equal(hv_usage(be).mapped, blk_grants_mapped(g));
			assert_true(blk_grants_mapped(g) <= (mode == 0 ? 0 : mode == 1 ? LIMIT : NPAGES));
		}
		assert_int_equal(blk_grants_mapped(g), mode == 0 ? 0 : mode == 1 ? LIMIT : NPAGES);
	}
}

static void test_extremes(void **state)
{
	static seg_t s[HV_BATCH_MAX + 1];

	(void)state;
	for (unsigned i = 0; i <= HV_BATCH_MAX; i++)
		s[i] = (seg_t){.gref = gref[i % NPAGES], .first_sect = 0, .last_sect = 0};
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		open_grants(persistent, LIMIT);
		assert_int_equal(blk_grants_move(g, s, 0, buf, true), 0);
		assert_int_equal(blk_grants_move(g, s, HV_BATCH_MAX + 1, buf, true), -E2BIG);
		assert_int_equal(blk_grants_mapped(g), 0);
		/* more than may be kept: copied, nothing is mapped */
		assert_int_equal(blk_grants_move(g, s, HV_BATCH_MAX, buf, true), 0);
		assert_int_equal(hv_usage(be).mapped, 0);
	}
}

/* ---- persistent grants */

static void test_what_is_mapped_stays(void **state)
{
	seg_t s[LIMIT];

	(void)state;
	whole(s, LIMIT);
	assert_int_equal(blk_grants_move(g, s, 20, buf, false), 0);
	assert_int_equal(blk_grants_mapped(g), 20);
	sim_hv_fail_after(w, 0, -ENOMEM); /* whoever asks the provider for a page from now on fails */
	for (int i = 0; i < 10; i++)
		assert_int_equal(blk_grants_move(g, s, 20, buf, i % 2), 0);
	assert_int_equal(hv_usage(be).mapped, 20);
	for (unsigned i = 0; i < NPAGES; i++)
		assert_int_equal(sim_hv_mapped(w, dom, gref[i]), i < 20);
}

static void test_one_page_many_times(void **state)
{
	seg_t s[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		s[i] = (seg_t){.gref = gref[3], .first_sect = (uint8_t)i, .last_sect = (uint8_t)i};
	fill_guest(9);
	assert_int_equal(blk_grants_move(g, s, 8, buf, false), 0);
	assert_memory_equal(buf, mem + 3 * BH_PAGE_SIZE, 4096);
	assert_int_equal(hv_usage(be).mapped, 1);
	assert_int_equal(blk_grants_mapped(g), 1);
}

/* The host lets no more be mapped: the rest is copied, for good, and the guest does not notice. */
static void test_no_more_can_be_mapped(void **state)
{
	seg_t s[LIMIT];

	(void)state;
	whole(s, LIMIT);
	assert_int_equal(blk_grants_move(g, s, 20, buf, false), 0);
	sim_hv_fail_after(w, 0, -ENOMEM);
	fill_guest(5);
	for (int i = 0; i < 3; i++) {
		memset(buf, 0, sizeof(buf));
		assert_int_equal(blk_grants_move(g, s, LIMIT, buf, false), 0);
		assert_memory_equal(buf, mem, LIMIT * BH_PAGE_SIZE);
		assert_int_equal(hv_usage(be).mapped, LIMIT - 1);
	}
	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(blk_grants_move(g, s, LIMIT, buf, true), 0);
	assert_memory_equal(buf, mem, LIMIT * BH_PAGE_SIZE);
	assert_int_equal(hv_usage(be).mapped, LIMIT - 1);
}

/* The model: pages by age of last use, oldest first. */
struct model {
	unsigned n, limit, page[NPAGES], missed;
};

static void model_use(struct model *m, unsigned page)
{
	unsigned i;

	for (i = 0; i < m->n && m->page[i] != page; i++)
		;
	if (i == m->n && m->n == m->limit)
		i = 0; /* the oldest goes */
	if (i < m->n) {
		memmove(m->page + i, m->page + i + 1, (m->n - i - 1) * sizeof(m->page[0]));
		m->n--;
	}
	m->page[m->n++] = page;
}

static bool model_has(const struct model *m, unsigned page)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->page[i] == page)
			return true;
	return false;
}

/* Pages that the request has already are used before those that come new: so none of them makes room for another. When all places are
 * taken, only one of BLK_GRANTS_REPLACE gets one. */
static void model_request(struct model *m, const unsigned *page, unsigned n)
{
	struct model new = {.limit = NPAGES};
	unsigned had = m->n;

	for (unsigned i = 0; i < n; i++) {
		if (model_has(m, page[i]))
			model_use(m, page[i]);
		else if (!model_has(&new, page[i]) && (had + new.n < m->limit || m->missed++ % BLK_GRANTS_REPLACE == 0))
			model_use(&new, page[i]);
	}
	for (unsigned i = 0; i < new.n; i++)
		model_use(m, new.page[i]);
	for (unsigned i = 0; i < n; i++)
		if (model_has(m, page[i]))
			model_use(m, page[i]);
}

static void test_least_recently_used_goes(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 0) : (unsigned)time(NULL);
	struct model m = {.limit = 8};

	(void)state;
	print_message("SEED=%u\n", seed);
	open_grants(true, m.limit);
	for (unsigned round = 0; round < 4000; round++) {
		unsigned n = 1 + (unsigned)rand_r(&seed) % m.limit, page[NPAGES];
		seg_t s[8];

		for (unsigned i = 0; i < n; i++) {
			page[i] = (unsigned)rand_r(&seed) % (round % 3 ? 14 : NPAGES);
			s[i] = (seg_t){.gref = gref[page[i]], .first_sect = 0, .last_sect = 0};
		}
		model_request(&m, page, n);
		assert_int_equal(blk_grants_move(g, s, n, buf, false), 0);
		assert_int_equal(blk_grants_mapped(g), m.n);
		for (unsigned i = 0; i < NPAGES; i++)
			if (sim_hv_mapped(w, dom, gref[i]) != model_has(&m, i))
				fail_msg("round %u: page %u is %smapped", round, i, model_has(&m, i) ? "not " : "");
	}
}

/* ---- what the guest may do wrong */

/* A bad page at each place of a request, in each mode and direction: an error, nothing stays that should not, and the
 * next good request is done. */
static void with_bad_pages(hv_gref_t bad, bool even_from_guest)
{
	seg_t s[LIMIT];

	for (unsigned mode = 0; mode < 4; mode++) {
		bool persistent = mode & 1, to_guest = mode & 2;

		for (unsigned k = 0; k < LIMIT; k++) {
			int want = to_guest || even_from_guest ? -EIO : 0;

			open_grants(persistent, LIMIT);
			whole(s, LIMIT);
			s[k].gref = bad;
			assert_int_equal(blk_grants_move(g, s, LIMIT, buf, to_guest), want);
			assert_int_equal(hv_usage(be).mapped, blk_grants_mapped(g));
			assert_true(blk_grants_mapped(g) <= (persistent ? LIMIT : 0));
			assert_int_equal(sim_hv_mapped(w, dom, bad), want == 0 && persistent);
			whole(s, LIMIT);
			assert_int_equal(blk_grants_move(g, s, LIMIT, buf, to_guest), 0);
			assert_int_equal(hv_usage(be).mapped, persistent ? LIMIT : 0);
		}
	}
}

static void test_no_such_grant(void **state)
{
	(void)state;
	with_bad_pages(BAD, true);
	with_bad_pages(0, true);
	with_bad_pages(UINT32_MAX, true);
}

static void test_anothers_grant(void **state)
{
	struct hv_open o = {.role = HV_FRONTEND, .domain = "other"};
	struct hv_grant gr[3 * NPAGES];
	struct hv *other;
	char *page;
	hv_domid_t od = sim_hv_domain(w, "other");

	(void)state;
	assert_int_equal(sim_hv_open(w, &o, &other), 0);
	assert_int_equal(hv_alloc(other, 1, (void **)&page), 0);
	memset(page, 0x11, BH_PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_LEN(gr); i++)
		gr[i] = (struct hv_grant){.page = page};
	assert_int_equal(hv_grant(other, 0, gr, ARRAY_LEN(gr)), 0);
	with_bad_pages(gr[ARRAY_LEN(gr) - 1].gref, true); /* a number that our guest has not given out */
	gr[0] = (struct hv_grant){.page = mem};
	assert_int_equal(hv_grant(fe, od, gr, 1), 0);
	with_bad_pages(gr[0].gref, true); /* our guest's page, but for somebody else */
	for (unsigned i = 0; i < BH_PAGE_SIZE; i++)
		assert_int_equal(page[i], 0x11);
}

/* Enough for a write of the guest's; a read must not get through to the page, mapped before or not. */
static void test_read_only_grant(void **state)
{
	struct hv_grant gr = {.ro = true};
	char *page;
	seg_t s = {.first_sect = 0, .last_sect = 7};

	(void)state;
	assert_int_equal(hv_alloc(fe, 1, (void **)&page), 0);
	memset(page, 0x33, BH_PAGE_SIZE);
	gr.page = page;
	assert_int_equal(hv_grant(fe, 0, &gr, 1), 0);
	with_bad_pages(gr.gref, false);
	s.gref = gr.gref;
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		open_grants(persistent, LIMIT);
		for (int i = 0; i < 3; i++) {
			memset(buf, 0x44, BH_PAGE_SIZE);
			assert_int_equal(blk_grants_move(g, &s, 1, buf, true), -EIO);
			assert_int_equal(page[0] + page[4095], 2 * 0x33);
			assert_int_equal(blk_grants_move(g, &s, 1, buf, false), 0);
			assert_memory_equal(buf, page, BH_PAGE_SIZE);
		}
		assert_int_equal(blk_grants_mapped(g), persistent);
	}
}

/* A page that could not be mapped for writing at first: for a write of the guest's it is mapped for reading. When the guest lets it be
 * written to after all, a read gets there. */
static void test_granted_in_between(void **state)
{
	seg_t s;

	(void)state;
	whole(&s, 1);
	sim_hv_fail_after(w, 0, -EINVAL);
	assert_int_equal(blk_grants_move(g, &s, 1, buf, false), 0);
	assert_int_equal(blk_grants_mapped(g), 1);
	memset(buf, 0x66, BH_PAGE_SIZE);
	assert_int_equal(blk_grants_move(g, &s, 1, buf, true), 0);
	assert_memory_equal(mem, buf, BH_PAGE_SIZE);
}

/* A guess meets a number that the guest grants in the next moment: it is not kept as one for reading only. */
static void test_a_guess_comes_too_early(void **state)
{
	seg_t s;

	(void)state;
	whole(&s, 1);
	sim_hv_fail_after(w, 0, -EINVAL);
	blk_grants_ahead(g, &s, 1);
	assert_int_equal(blk_grants_mapped(g), 0);
	assert_int_equal(blk_grants_move(g, &s, 1, buf, true), 0);
	assert_int_equal(blk_grants_mapped(g), 1);
	blk_grants_ahead(g, &s, 1);
	assert_int_equal(blk_grants_mapped(g), 1);
}

/* The provider has no memory at the k-th step. */
static void test_the_kth_step_fails(void **state)
{
	seg_t s[LIMIT];

	(void)state;
	whole(s, LIMIT);
	for (unsigned mode = 0; mode < 4; mode++)
		for (unsigned k = 0; k < LIMIT; k++) {
			open_grants(mode & 1, LIMIT);
			sim_hv_fail_after(w, k, -ENOMEM);
			assert_int_equal(blk_grants_move(g, s, LIMIT, buf, mode & 2), mode & 1 ? 0 : -EIO);
			assert_int_equal(hv_usage(be).mapped, mode & 1 ? LIMIT - 1 : 0);
			assert_int_equal(blk_grants_move(g, s, LIMIT, buf, mode & 2), 0);
			assert_int_equal(hv_usage(be).mapped, mode & 1 ? LIMIT - 1 : 0);
		}
}

/* ---- lists of indirect requests */

static void test_fetch(void **state)
{
	static const size_t lengths[] = {8, 800, 4088, 4096, 4104, 8192, 5 * 4096 - 8, 8 * 4096};
	static char got[9 * 4096];

	(void)state;
	fill_guest(4);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		unsigned pages = (unsigned)((lengths[i] + 4095) / 4096);

		memset(got, 0x66, sizeof(got));
		assert_int_equal(blk_grants_fetch(g, gref + 7, pages, lengths[i], got), 0);
		assert_memory_equal(got, mem + 7 * BH_PAGE_SIZE, lengths[i]);
		for (size_t k = lengths[i]; k < sizeof(got); k++)
			assert_int_equal(got[k], 0x66);
		for (unsigned k = 0; k < pages; k++) {
			uint32_t refs[8];

			memcpy(refs, gref, sizeof(refs));
			refs[k] = BAD;
			assert_int_equal(blk_grants_fetch(g, refs, pages, lengths[i], got), -EIO);
		}
	}
	assert_int_equal(hv_usage(be).mapped, 0); /* copied, in any mode */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_moves),
		T(test_extremes),
		T(test_what_is_mapped_stays),
		T(test_no_more_can_be_mapped),
		T(test_one_page_many_times),
		T(test_least_recently_used_goes),
		T(test_no_such_grant),
		T(test_anothers_grant),
		T(test_read_only_grant),
		T(test_granted_in_between),
		T(test_a_guess_comes_too_early),
		T(test_the_kth_step_fails),
		T(test_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
