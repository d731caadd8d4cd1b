/* A journal and a ring that somebody has written into, found by a successor: it takes the journal and keeps every bound, or says
 * that it is broken, or another's, and then has touched neither ring nor journal and never answers. */
#include "tests/fuzz/blk_world.h"

/* Requests of both queues, some answered, some in the engine, some only taken: what a death leaves. */
static void leave_work(struct input *in)
{
	unsigned n = 2 + (unsigned)take(in, 1) % 24;

	CHECK(begin(BLKBACK_FRESH, false) == 0);
	for (unsigned k = 0; k < n && !r.events[BLKBACK_BROKEN_RING]; k++) {
		unsigned what = (unsigned)take(in, 1), queue = what & 1;

		post_request(queue, in);
		if (what & 2)
			blkback_turn(blkback_get_queue(r.b, queue), NR);
		if (what & 4)
			finish_one(queue, what >> 4, what & 8 ? -EIO : 0);
	}
	kill_backend();
}

static struct jrnl_q *queue_of(struct jrnl *j, unsigned i)
{
	uint8_t *at = (uint8_t *)r.journal + jrnl_queue_offset(NR, i);

	*j = (struct jrnl){.hdr = r.journal, .nslots = NR, .nqueues = NQ};
	j->q[i] = (struct jrnl_q){.hdr = (void *)at, .slot = (void *)(at + JRNL_PAGE), .nslots = NR,
				  .list = (void *)(at + JRNL_PAGE + NR * sizeof(struct jrnl_slot))};
	return &j->q[i];
}

static void change_slot(struct jrnl_q *q, struct jrnl_slot *s, struct input *in, unsigned what)
{
	static const uint32_t states[] = {JRNL_FREE, JRNL_TAKEN, JRNL_LOADED, JRNL_STARTED, JRNL_DONE, 7};
	uint64_t by = (uint64_t)(int8_t)take(in, 1);

	switch (what % 8) {
	case 0:
		s->state = states[by % ARRAY_LEN(states)];
		break;
	case 1:
		s->index += by;
		break;
	case 2:
		s->rsp_idx += by;
		break;
	case 3:
		s->nlist = by & 1 ? (uint32_t)take(in, 2) : s->nlist + (uint32_t)by;
		break;
	case 4:
		s->blame = JRNL_BLAME(by & 7, JRNL_GENERATION_OF(((struct jrnl_hdr *)r.journal)->generation));
		break;
	case 5:
		s->raw[take(in, 1) % JRNL_RAW] ^= (uint8_t)by;
		break;
	case 6:
		take_bytes(in, &q->list[s - q->slot].seg[by % 8], 8);
		break;
	default:
		s->result = (int32_t)by;
	}
	if (what & 0x80)
		return; /* its check words stay as they were */
	s->check_copy = jrnl_check_copy(s);
	s->check_answer = jrnl_check_answer(s);
	if (s->nlist <= JRNL_SEGS_MAX)
		s->check_list = jrnl_check_list(&q->list[s - q->slot], s->nlist);
}

static void change(struct input *in)
{
	unsigned what = (unsigned)take(in, 1), i = what & 1;
	struct jrnl j;
	struct jrnl_q *q = queue_of(&j, i);

	switch (what / 2 % 8) {
	case 0:
		q->hdr->req_cons = jrnl_seq(jrnl_seq_of(q->hdr->req_cons + (uint64_t)(int8_t)take(in, 1)));
		break;
	case 1:
		q->hdr->rsp_prod = jrnl_seq(jrnl_seq_of(q->hdr->rsp_prod + (uint64_t)(int8_t)take(in, 1)));
		break;
	case 2:
		((uint8_t *)r.journal)[take(in, 2) % JRNL_PAGE] ^= (uint8_t)take(in, 1);
		break;
	case 3:
		take_bytes(in, (uint8_t *)r.journal + take(in, 4) % (r.bytes - 16), 1 + what / 16);
		break;
	case 4:
		take_bytes(in, (uint8_t *)r.ring[i] + take(in, 2) % (BH_PAGE_SIZE - 16), 1 + what / 16);
		break;
	default:
		change_slot(q, &q->slot[take(in, 1) % NR], in, (unsigned)take(in, 1));
	}
}

/* Neither now nor by any turn. */
static void check_untouched(const void *journal, char ring[NQ][BH_PAGE_SIZE])
{
	for (unsigned i = 0; i < NQ; i++)
		if (r.events[BLKBACK_BROKEN_JOURNAL])
			CHECK(blkback_turn(blkback_get_queue(r.b, i), NR) == BLKBACK_HALTED);
	for (unsigned i = 0; i < NQ; i++)
		CHECK(!memcmp(ring[i], r.ring[i], BH_PAGE_SIZE));
	CHECK(!memcmp((const char *)journal + JRNL_PAGE, (char *)r.journal + JRNL_PAGE, r.bytes - JRNL_PAGE));
}

static void serve_on(struct input *in)
{
	for (unsigned k = 0; k < 60; k++)
		for (unsigned i = 0; i < NQ; i++) {
			const struct blkback_queue *q = blkback_get_queue(r.b, i);

			if (in->left && k < 8)
				post_request(i, in);
			finish_one(i, k, 0);
			if (blkback_turn(blkback_get_queue(r.b, i), NR) == BLKBACK_HALTED)
				return;
			CHECK(jrnl_seq_of(q->j->hdr->rsp_prod) <= jrnl_seq_of(q->j->hdr->req_cons));
		}
}

static void take_over(struct input *in)
{
	static char ring[NQ][BH_PAGE_SIZE];
	void *journal = exact(r.bytes);
	unsigned how = (unsigned)take(in, 1);
	int rc;

	memset(r.events, 0, sizeof(r.events));
	memcpy(journal, r.journal, r.bytes);
	for (unsigned i = 0; i < NQ; i++)
		memcpy(ring[i], r.ring[i], BH_PAGE_SIZE);
	r.engine.shut = how & 2;
	rc = begin(BLKBACK_RESUME, how & 1);
	r.engine.shut = false;
	CHECK(rc == 0 || rc == -EBADMSG || rc == -EMISMATCH || rc == -EPEER);
	CHECK((rc == -EBADMSG) == (r.events[BLKBACK_BROKEN_JOURNAL] == 1));
	if (rc)
		check_untouched(journal, ring);
	else
		serve_on(in);
	free(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};
	unsigned changes;

	world_up((unsigned)take(&in, 1));
	leave_work(&in);
	changes = (unsigned)take(&in, 1) % 16;
	while (changes--)
		change(&in);
	take_over(&in);
	world_down();
	return 0;
}
