/* blk_world.h - for fuzzers: the block backend on the simulated provider (tests/sim/turn_rig.h), a guest that is the input, and an
 * engine that says whether what it is given keeps the bounds that storage relies on. Include once. */
#ifndef BULKHEAD_TESTS_FUZZ_BLK_WORLD_H
#define BULKHEAD_TESTS_FUZZ_BLK_WORLD_H

#include "tests/fuzz/input.h"
#include "tests/sim/turn_rig.h"

static struct hold_queue *hold_q(unsigned i) { return &r.engine.q[i]; }

/* Sound, inside the disk, of the right length, and no write or discard over another that is not over. */
static void check_engine_req(const struct engine_req *e)
{
	CHECK(e->op == ENGINE_FLUSH || (e->off % 512 == 0 && e->len % 512 == 0 && e->len > 0));
	CHECK(e->off <= SECTORS * 512ull && e->len <= SECTORS * 512ull - e->off);
	CHECK(e->op != ENGINE_WRITE || !(r.conn.features & CONN_READ_ONLY));
	if (e->op == ENGINE_READ || e->op == ENGINE_WRITE)
		CHECK(e->iovcnt == 1 && e->iov[0].iov_len == e->len && e->iov[0].iov_base);
	if (e->op != ENGINE_WRITE && e->op != ENGINE_DISCARD)
		return;
	for (unsigned i = 0; i < NQ; i++) {
		const struct engine_req *o;

		STAILQ_FOREACH(o, &hold_q(i)->held, link)
			if (o != e && (o->op == ENGINE_WRITE || o->op == ENGINE_DISCARD))
				CHECK(o->off >= e->off + e->len || e->off >= o->off + o->len);
	}
}

/* As a disk would: what is read fills the buffer, what is written is read from it. */
static void do_io(const struct engine_req *e)
{
	static char disk[BLKIF_SEGS_MAX * BH_PAGE_SIZE];

	if (e->op == ENGINE_READ)
		memset(e->iov[0].iov_base, 0x3c, e->iov[0].iov_len);
	if (e->op == ENGINE_WRITE)
		memcpy(disk, e->iov[0].iov_base, e->iov[0].iov_len);
}

static void fuzz_submit(struct engine_queue *eq, struct engine_req *e)
{
	check_engine_req(e);
	do_io(e);
	hold_submit(eq, e);
}

static struct engine_ops fuzz_ops;

/* The engine's n-th held request of a queue is over. */
static void finish_one(unsigned queue, unsigned n, int result)
{
	struct hold_queue *q = hold_q(queue);
	struct engine_req *e;

	if (q->nheld == 0)
		return;
	e = STAILQ_FIRST(&q->held);
	for (n %= q->nheld; n; n--)
		e = STAILQ_NEXT(e, link);
	e->result = result;
	STAILQ_REMOVE(&q->held, e, engine_req, link);
	STAILQ_INSERT_TAIL(&q->done, e, link);
	q->nheld--;
}

/* A guest and a journal; the backend is not begun. */
static void world_up(unsigned how)
{
	memset(&r, 0, sizeof(r));
	make_guest();
	r.conn = (struct conn_id){.domid = r.dom, .devid = 51712, .type = CONN_VBD, .protocol = CONN_NATIVE + how % 3,
				  .nqueues = NQ, .ring_pages = 1, .max_segments = 256, .epoch = 1,
				  .features = CONN_INDIRECT | CONN_DISCARD | CONN_FLUSH | CONN_BARRIER};
	if (how & 0x80)
		r.conn.features |= CONN_PERSISTENT;
	if (how & 0x40)
		r.conn.features |= CONN_READ_ONLY;
	r.bytes = jrnl_file_bytes(NR, NQ);
	r.journal = aligned_alloc(JRNL_PAGE, r.bytes);
	CHECK(r.journal);
	memset(r.journal, 0, r.bytes);
	fuzz_ops = hold_ops;
	fuzz_ops.submit = fuzz_submit;
	r.engine.e = (struct engine){.ops = &fuzz_ops, .depth = NR,
				     .info = {.sectors = SECTORS, .sector_size = 512, .physical_size = 512,
					      .write_unit = 4096, .buffer_align = 512, .flush = true, .discard = true}};
}

static void world_down(void)
{
	if (r.b)
		blkback_abandon(r.b);
	sim_hv_free(r.w);
	free(r.journal);
}

/* The process dies; what it had in the engine is gone with it. */
static void kill_backend(void)
{
	die();
	for (unsigned i = 0; i < NQ; i++)
		*hold_q(i) = (struct hold_queue){.nheld = 0};
}

/* ---- the guest */

static uint8_t *slot_of(unsigned queue, uint32_t index)
{
	const struct blkif_abi *abi = blkif_abi(r.conn.protocol);

	return (uint8_t *)r.ring[queue] + RING_HDR + (size_t)(index % NR) * abi->stride;
}

/* A request that is nearly sound, in the guest's layout: a direct one, a discard, or one with its list in a data page. */
static void post_request(unsigned queue, struct input *in)
{
	const struct blkif_abi *abi = blkif_abi(r.conn.protocol);
	uint8_t op = (uint8_t)take(in, 1) % 7, raw[112] = {0}, n = (uint8_t)take(in, 1), *p = raw;
	uint64_t sector = take(in, 2) * 8, id = take(in, 1);
	unsigned page = (unsigned)take(in, 1) % NDATA;
	struct blkif_request_segment s = {.gref = r.gref[page], .last_sect = 7};

	memcpy(p + abi->id, &id, sizeof(id));
	memcpy(p + abi->sector, &sector, sizeof(sector));
	p[0] = op;
	p[1] = n % 12;
	if (op == BLKIF_OP_DISCARD) {
		p[1] = n & 1;
		memcpy(p + abi->body, &(uint64_t){n * 8ull}, 8);
	} else if (op == BLKIF_OP_INDIRECT) {
		p[1] = n & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE;
		memcpy(p + 2, &(uint16_t){(uint16_t)(n * 2)}, 2);
		memcpy(p + abi->grefs, &r.gref[page], sizeof(r.gref[page]));
		for (unsigned i = 0; i < 512; i++)
			memcpy(r.data + page * BH_PAGE_SIZE + i * 8,
			       &(struct blkif_request_segment){.gref = r.gref[i % NDATA], .last_sect = 7}, 8);
	} else {
		for (unsigned i = 0; i < 11; i++, s.gref = r.gref[(page + i) % NDATA])
			memcpy(p + abi->body + i * sizeof(s), &s, sizeof(s));
	}
	if (take(in, 1) & 1)
		take_bytes(in, raw + take(in, 1) % 96, take(in, 1) % 16);
	memcpy(slot_of(queue, r.ring[queue]->req_prod), raw, abi->req_size);
	r.ring[queue]->req_prod++;
}

#endif
