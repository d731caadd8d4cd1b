/* Every single bit of a journal in full work, flipped: it is found, or it changes nothing. The table says which, member
 * by member and state by state; the few flips that are neither are spelled out, with what they do. */
#include "tests/unit/journal/jrnl_rig.h"

#include <errno.h>
#include <stdio.h>

#define N 12u
#define RSP_PROD 8u
#define REQ_CONS 15u

enum what { FREE_NEW, FREE_USED, OVER, ANSWERED, TAKEN, LOADED, LOADED_LIST, STARTED, STARTED_LIST, UNTAKEN, NWHAT };

static struct jrig rig;
static struct jrnl_q *q;
static struct jrnl_scan base;

static const enum what in_slot[N] = {FREE_NEW, FREE_USED,   OVER,    ANSWERED,     TAKEN,   LOADED,
				     LOADED_LIST, STARTED_LIST, STARTED, UNTAKEN, ANSWERED, FREE_NEW};

static int setup(void **state)
{
	(void)state;
	jrig_open(&rig, N, 2);
	q = &rig.j.q[0];
	jrig_begin(q, RSP_PROD, REQ_CONS);
	jrig_start(q, 1, 3, 5);
	jrnl_free(q, 1);
	jrig_done(q, 2, 5, 6, 0);
	jrig_done(q, 3, 9, 9, -1);
	jrig_take(q, 4, 14);
	jrig_load(q, 5, 13, 0);
	jrig_load(q, 6, 11, 16);
	jrig_start(q, 7, 8, 200);
	jrig_start(q, 8, 12, 0);
	jrig_take(q, 9, 15);
	jrig_done(q, 10, 10, 8, 0);
	assert_int_equal(jrnl_scan(q, &base, NULL, 0), 0);
	assert_int_equal(base.nredo, 5);
	assert_int_equal(base.nreanswer, 2);
	assert_int_equal(base.nforget, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	jrig_close(&rig);
	return 0;
}

static void flip(void *at, unsigned bit) { ((uint8_t *)at)[bit / 8] ^= (uint8_t)(1u << bit % 8); }

static bool same(const uint16_t *a, uint32_t n, const uint16_t *b, uint32_t m)
{
	return n == m && !memcmp(a, b, n * sizeof(*a));
}

static bool same_as_base(const struct jrnl_scan *s)
{
	return same(s->redo, s->nredo, base.redo, base.nredo) &&
	       same(s->reanswer, s->nreanswer, base.reanswer, base.nreanswer) &&
	       same(s->forget, s->nforget, base.forget, base.nforget);
}

enum verdict { SAME, FOUND, OTHER };

static enum verdict look(struct jrnl_scan *s)
{
	char err[100];

	if (jrnl_scan(q, s, err, sizeof(err)) == 0)
		return same_as_base(s) ? SAME : OTHER;
	assert_non_null(strstr(err, "slot ") ? err : strstr(err, "sequence number"));
	return FOUND;
}

/* ---- slots */

#define B(w) (1u << (w))
#define DONE_ONES (B(OVER) | B(ANSWERED))
#define LISTS (B(LOADED_LIST) | B(STARTED_LIST))
#define AT_WORK (B(LOADED) | B(STARTED) | LISTS)
#define LIVE (B(TAKEN) | AT_WORK)

/* found: the states in which a flip of this member must be found; in all others it must change nothing. */
static const struct member {
	const char *name;
	size_t at, size;
	unsigned found;
} members[] = {
#define M(m, f) {#m, offsetof(struct jrnl_slot, m), sizeof(((struct jrnl_slot *)0)->m), f}
	M(state, B(NWHAT) - 1),
	M(result, DONE_ONES),
	M(index, LIVE | DONE_ONES),
	M(blame, LIVE), /* but for its generation: at worst a suspect is counted once less, or more */
	M(rsp_idx, DONE_ONES),
	M(check_copy, LIVE | DONE_ONES),
	M(check_list, LISTS),
	M(check_answer, DONE_ONES),
	M(nlist, AT_WORK),
	M(taken_at, 0),
	M(pad, 0),
	M(raw, LIVE | DONE_ONES),
	M(pad2, 0),
#undef M
};

static bool may_be_either(const struct jrnl_slot *s, const struct member *m, enum what w, unsigned bit)
{
	if (m->at == offsetof(struct jrnl_slot, blame))
		return bit < 48;
	/* The request that was not taken seems taken: then its check is asked. */
	if (m->at == offsetof(struct jrnl_slot, index))
		return w == UNTAKEN;
	/* The list seems to be none: it is there all the same, and as long as the request itself says. */
	if (m->at == offsetof(struct jrnl_slot, nlist))
		return s->nlist == 0;
	return false;
}

static void test_slots(void **state)
{
	size_t covered = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(members); k++) {
		const struct member *m = &members[k];

		covered += m->size;
		for (uint32_t i = 0; i < N; i++)
			for (unsigned bit = 0; bit < 8 * m->size; bit++) {
				struct jrnl_scan s;
				char *at = (char *)&q->slot[i] + m->at;
				enum verdict v, want = m->found & B(in_slot[i]) ? FOUND : SAME;

				flip(at, bit);
				v = look(&s);
				if (v != want && !(v != OTHER && may_be_either(&q->slot[i], m, in_slot[i], bit)))
					fail_msg("slot %u, %s, bit %u: verdict %d, not %d", i, m->name, bit, v, want);
				flip(at, bit);
			}
	}
	assert_int_equal(covered, sizeof(struct jrnl_slot));
}

static void test_lists(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		unsigned used = B(in_slot[i]) & LISTS ? q->slot[i].nlist : 0;

		for (unsigned bit = 0; bit < 64 * JRNL_SEGS_MAX; bit++) {
			struct jrnl_scan s;
			enum verdict v;

			flip(&q->list[i], bit);
			v = look(&s);
			if (v != (bit / 64 < used ? FOUND : SAME))
				fail_msg("list %u, segment %u, bit %u: verdict %d", i, bit / 64, bit % 64, v);
			flip(&q->list[i], bit);
		}
	}
}

/* ---- a queue's own words */

static void test_sequence_numbers(void **state)
{
	uint64_t *const words[] = {&q->hdr->req_cons, &q->hdr->rsp_prod};

	(void)state;
	for (unsigned w = 0; w < ARRAY_LEN(words); w++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			struct jrnl_scan s;

			flip(words[w], bit);
			assert_int_equal(look(&s), FOUND);
			flip(words[w], bit);
		}
	}
}

static void test_statistics_and_padding(void **state)
{
	(void)state;
	for (unsigned bit = 8 * offsetof(struct jrnl_queue, pad); bit < 8 * JRNL_PAGE; bit++) {
		struct jrnl_scan s;

		flip(q->hdr, bit);
		assert_int_equal(look(&s), SAME);
		flip(q->hdr, bit);
	}
}

static void test_another_queue(void **state)
{
	char *other = (char *)rig.j.q[1].hdr;
	struct jrnl_scan s;

	(void)state;
	for (size_t at = 0; at < jrnl_queue_bytes(N); at += 7)
		flip(other, (unsigned)(8 * at + at % 8));
	assert_int_equal(look(&s), SAME);
}

/* ---- header */

static void check_header_flips(void)
{
	struct jrnl j;

	for (unsigned bit = 0; bit < 8 * JRNL_PAGE; bit++) {
		bool counts = bit < 8 * offsetof(struct jrnl_hdr, pad);
		int rc;

		flip(rig.mem, bit);
		rc = jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j);
		if (rc != (counts ? -EBADMSG : 0))
			fail_msg("header, byte %u, bit %u: %d", bit / 8, bit % 8, rc);
		flip(rig.mem, bit);
	}
	assert_int_equal(jrnl_open(rig.mem, rig.bytes, &rig.conn, N, &j), 0);
}

static void test_header(void **state)
{
	(void)state;
	check_header_flips();
	for (int i = 0; i < 254; i++)
		jrnl_own(&rig.j); /* generation 255: one more and many bits change */
	check_header_flips();
	jrnl_flush_failed(&rig.j);
	check_header_flips();
}

/* Bits of two neighbours, here and there: not all can be found, but nothing may run out of its bounds. */
static void test_noise(void **state)
{
	size_t len = jrnl_queue_bytes(N), slots = JRNL_PAGE + N * sizeof(struct jrnl_slot);
	unsigned seed = 7;
	void *keep = malloc(len);

	(void)state;
	memcpy(keep, q->hdr, len);
	for (unsigned round = 0; round < 20000; round++) {
		struct jrnl_scan s;

		for (unsigned n = 0; n < 1 + round % 20; n++) {
			size_t at = (size_t)rand_r(&seed) % (round % 2 ? len : slots);

			((uint8_t *)q->hdr)[at] = (uint8_t)rand_r(&seed);
		}
		if (look(&s) != FOUND)
			assert_true(s.nredo + s.nreanswer + s.nforget <= N);
		memcpy(q->hdr, keep, len);
	}
	free(keep);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_slots), T(test_lists), T(test_sequence_numbers), T(test_statistics_and_padding),
		T(test_another_queue), T(test_header), T(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
