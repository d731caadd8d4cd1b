/* A guest that is the input, on the running backend: requests nearly sound or of any bytes, indirect lists that change under
 * it, indices of any value, grants that end, an engine that fails, deaths with and without blame. What reaches the engine keeps
 * every bound, the journal stays one that a successor takes, and never is more answered than was taken. */
#include "tests/fuzz/blk_world.h"

static bool broken(void) { return r.events[BLKBACK_BROKEN_RING] != 0; }

static void check_journal(void)
{
	for (unsigned i = 0; i < NQ; i++) {
		const struct blkback_queue *q = blkback_get_queue(r.b, i);
		uint64_t cons = jrnl_seq_of(q->j->hdr->req_cons), prod = jrnl_seq_of(q->j->hdr->rsp_prod);

		CHECK(prod <= cons && cons - prod <= NR);
		CHECK(q->running >= hold_q(i)->nheld); /* what is over may not have been reaped */
	}
	CHECK(!r.events[BLKBACK_BROKEN_JOURNAL]);
}

static void resume(bool own_fault)
{
	kill_backend();
	sim_hv_fail_after(r.w, 1u << 30, 0); /* a stub whose ring can't be mapped does not start */
	CHECK(begin(BLKBACK_RESUME, own_fault) == 0);
}

static void end_grant(struct input *in)
{
	unsigned page = (unsigned)take(in, 1) % NDATA;
	int16_t status;

	hv_ungrant(r.fe, &r.gref[page], 1, &status); /* -EBUSY while it is mapped */
}

/* Words and bytes of the guest's pages. */
static void scribble(unsigned queue, struct input *in)
{
	struct blkif_sring *s = r.ring[queue];
	unsigned where = (unsigned)take(in, 1);
	uint32_t v = (uint32_t)take(in, 1);

	switch (where % 6) {
	case 0:
		s->req_event = v & 0x80 ? (uint32_t)take(in, 4) : s->req_prod + v;
		break;
	case 1:
		s->rsp_event = v & 0x80 ? (uint32_t)take(in, 4) : s->rsp_prod + v;
		break;
	case 2:
		s->rsp_prod = v & 0x80 ? (uint32_t)take(in, 4) : v;
		break;
	case 3:
		if (where & 0x80)
			s->req_prod += v;
		break;
	case 4:
		take_bytes(in, slot_of(queue, v), 1 + where / 8);
		break;
	default:
		take_bytes(in, r.data + take(in, 1) % NDATA * BH_PAGE_SIZE + v * 8, 8);
	}
}

static void step(struct input *in)
{
	static const int results[] = {0, 0, 0, -EIO, -EOPNOTSUPP, -ENOSPC};
	unsigned what = (unsigned)take(in, 1), queue = what >> 7;

	switch (what % 8) {
	case 0:
	case 1:
		post_request(queue, in);
		break;
	case 2:
		scribble(queue, in);
		break;
	case 3:
		finish_one(queue, what / 8 % 4, results[take(in, 1) % ARRAY_LEN(results)]);
		break;
	case 4:
		end_grant(in);
		break;
	case 5:
		if (!broken() && what & 0x40)
			resume(what & 0x20);
		break;
	case 6:
		r.engine.shut = what & 0x40;
		if (what & 0x20)
			sim_hv_fail_after(r.w, what / 8 % 4, -ENOMEM);
		break;
	default:
		blkback_turn(blkback_get_queue(r.b, queue), 1 + what / 8 % 8);
		blkback_arm(blkback_get_queue(r.b, queue));
	}
	check_journal();
}

/* All that it has is answered, unless the ring is broken. */
static void finish_all(void)
{
	r.engine.shut = false;
	sim_hv_fail_after(r.w, 1u << 30, 0);
	for (unsigned k = 0; k < 400 && !broken(); k++)
		for (unsigned i = 0; i < NQ; i++) {
			finish_one(i, 0, 0);
			blkback_turn(blkback_get_queue(r.b, i), NR);
		}
	for (unsigned i = 0; i < NQ && !broken(); i++) {
		const struct blkback_queue *q = blkback_get_queue(r.b, i);

		CHECK(q->running == 0 && TAILQ_EMPTY(&q->todo) && TAILQ_EMPTY(&q->live));
		CHECK(q->j->hdr->req_cons == q->j->hdr->rsp_prod);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};

	world_up((unsigned)take(&in, 1));
	CHECK(begin(BLKBACK_FRESH, false) == 0);
	while (in.left)
		step(&in);
	finish_all();
	if (!broken())
		resume(true);
	world_down();
	return 0;
}
