/* Bytes of a ring's entry, in the three ABIs and under any limits: what is let through must be what a backend may do
 * without another look, and the answer must name the request. */
#include "ring/proto/blkif_decode.h"
#include "tests/fuzz/input.h"

static struct blkif_limits limits(struct input *in)
{
	static const uint32_t sizes[] = {512, 1024, 2048, 4096};
	uint64_t f = take(in, 2);
	struct blkif_limits l = {
		.sector_size = sizes[f & 3], .read_only = f & 4, .flush = f & 8, .barrier = f & 16, .discard = f & 32,
		.secure_discard = f & 64, .max_segments = f & 128 ? (uint32_t)take(in, 2) : 256,
	};

	l.sectors = f & 256 ? take(in, 8) : take(in, 3);
	return l;
}

static bool is_write(const struct blkif_req *r)
{
	return r->op == BLKIF_OP_WRITE || r->op == BLKIF_OP_WRITE_BARRIER || r->op == BLKIF_OP_DISCARD;
}

static void check_place(const struct blkif_req *r, const struct blkif_limits *l)
{
	uint32_t unit = l->sector_size / 512;

	CHECK(r->sectors <= l->sectors && r->sector <= l->sectors - r->sectors);
	CHECK(r->sector % unit == 0 && r->sectors % unit == 0);
}

static void check_segments(struct blkif_req *r, const struct blkif_request_segment *seg, const struct blkif_limits *l)
{
	uint64_t sum = 0;

	if (r->nsegs == 0 || blkif_segs(r, seg, r->nsegs, l))
		return;
	for (unsigned i = 0; i < r->nsegs; i++) {
		CHECK(seg[i].first_sect <= seg[i].last_sect && seg[i].last_sect < 8);
		sum += seg[i].last_sect - seg[i].first_sect + 1u;
	}
	CHECK(sum == r->sectors && sum > 0 && sum <= 8u * BLKIF_SEGS_MAX);
	check_place(r, l);
}

static void check_request(struct blkif_req *r, const struct blkif_limits *l, struct input *in)
{
	struct blkif_request_segment list[BLKIF_SEGS_MAX] = {0};

	CHECK(r->op <= BLKIF_OP_FLUSH_DISKCACHE || r->op == BLKIF_OP_DISCARD);
	CHECK(!is_write(r) || !l->read_only);
	CHECK(!r->secure || (r->op == BLKIF_OP_DISCARD && l->secure_discard));
	if (r->op == BLKIF_OP_FLUSH_DISKCACHE) {
		CHECK(l->flush && r->nsegs == 0 && !r->indirect);
	} else if (r->op == BLKIF_OP_DISCARD) {
		CHECK(l->discard && r->nsegs == 0 && !r->indirect);
		check_place(r, l);
	} else if (r->indirect) {
		CHECK(r->op != BLKIF_OP_WRITE_BARRIER && r->nsegs > 0);
		CHECK(r->nsegs <= MIN(l->max_segments, BLKIF_SEGS_MAX));
		memcpy(list, in->at, MIN(in->left, sizeof(list)));
		check_segments(r, list, l);
	} else {
		CHECK(r->nsegs <= BLKIF_MAX_SEGMENTS_PER_REQUEST);
		CHECK(r->op == BLKIF_OP_WRITE_BARRIER ? l->barrier : r->nsegs > 0);
		check_segments(r, r->seg, l);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	const struct blkif_abi *abi = blkif_abi(CONN_NATIVE + (uint32_t)take(&in, 1) % 3);
	struct blkif_limits l = limits(&in);
	uint8_t *raw = calloc(1, abi->req_size); /* no longer: reading behind it shows */
	struct blkif_req r;
	uint64_t id;
	uint8_t op;
	int rc;

	CHECK(raw);
	take_bytes(&in, raw, abi->req_size);
	memset(&r, 0x5a, sizeof(r));
	rc = blkif_decode(raw, abi, &l, &r);
	blkif_head(raw, abi, &id, &op);
	CHECK(r.id == id && r.op == op);
	CHECK(rc == BLKIF_RSP_OKAY || rc == BLKIF_RSP_ERROR || rc == BLKIF_RSP_EOPNOTSUPP);
	if (rc == 0)
		check_request(&r, &l, &in);
	free(raw);
	return 0;
}
