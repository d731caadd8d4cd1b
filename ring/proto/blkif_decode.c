#include "ring/proto/blkif_decode.h"

#include "ring/base/check.h"

#include <string.h>

#define SECTORS_PER_PAGE (BH_PAGE_SIZE / 512)

static uint64_t get64(const uint8_t *raw, uint32_t at)
{
	uint64_t v;

	memcpy(&v, raw + at, sizeof(v));
	return v;
}

static uint16_t get16(const uint8_t *raw, uint32_t at)
{
	uint16_t v;

	memcpy(&v, raw + at, sizeof(v));
	return v;
}

void blkif_head(const uint8_t *raw, const struct blkif_abi *abi, uint64_t *id, uint8_t *op)
{
	*id = get64(raw, abi->id);
	*op = raw[0] == BLKIF_OP_INDIRECT ? raw[1] : raw[0];
}

static bool inside(uint64_t sector, uint64_t sectors, const struct blkif_limits *l)
{
	uint64_t end;

	return add_fits_u64(sector, sectors, &end) && end <= l->sectors;
}

static bool aligned(uint64_t sectors, const struct blkif_limits *l) { return (sectors & (l->sector_size / 512 - 1)) == 0; }

static int decode_rw(const uint8_t *raw, const struct blkif_abi *abi, const struct blkif_limits *l, struct blkif_req *r)
{
	r->nsegs = raw[1];
	r->sector = get64(raw, abi->sector);
	if (r->op == BLKIF_OP_WRITE_BARRIER && !l->barrier)
		return BLKIF_RSP_EOPNOTSUPP;
	if (r->op != BLKIF_OP_READ && l->read_only)
		return BLKIF_RSP_ERROR;
	if (r->nsegs > BLKIF_MAX_SEGMENTS_PER_REQUEST || (r->nsegs == 0 && r->op != BLKIF_OP_WRITE_BARRIER))
		return BLKIF_RSP_ERROR;
	memcpy(r->seg, raw + abi->body, r->nsegs * sizeof(r->seg[0]));
	return 0;
}

static int decode_discard(const uint8_t *raw, const struct blkif_abi *abi, const struct blkif_limits *l, struct blkif_req *r)
{
	r->secure = raw[1] & BLKIF_DISCARD_SECURE;
	r->sector = get64(raw, abi->sector);
	r->sectors = get64(raw, abi->body);
	if (!l->discard || (r->secure && !l->secure_discard))
		return BLKIF_RSP_EOPNOTSUPP;
	if (l->read_only || !inside(r->sector, r->sectors, l) || !aligned(r->sector, l) || !aligned(r->sectors, l))
		return BLKIF_RSP_ERROR;
	return 0;
}

static int decode_indirect(const uint8_t *raw, const struct blkif_abi *abi, const struct blkif_limits *l,
			   struct blkif_req *r)
{
	r->indirect = true;
	r->nsegs = get16(raw, 2);
	r->sector = get64(raw, abi->sector);
	memcpy(r->grefs, raw + abi->grefs, sizeof(r->grefs));
	if (l->max_segments == 0)
		return BLKIF_RSP_EOPNOTSUPP;
	if ((r->op != BLKIF_OP_READ && r->op != BLKIF_OP_WRITE) || r->nsegs == 0 ||
	    r->nsegs > MIN(l->max_segments, BLKIF_SEGS_MAX))
		return BLKIF_RSP_ERROR;
	return r->op == BLKIF_OP_WRITE && l->read_only ? BLKIF_RSP_ERROR : 0;
}

int blkif_decode(const uint8_t *raw, const struct blkif_abi *abi, const struct blkif_limits *l, struct blkif_req *out)
{
	memset(out, 0, offsetof(struct blkif_req, grefs));
	blkif_head(raw, abi, &out->id, &out->op);
	switch (raw[0]) {
	case BLKIF_OP_READ:
	case BLKIF_OP_WRITE:
	case BLKIF_OP_WRITE_BARRIER:
		return decode_rw(raw, abi, l, out);
	case BLKIF_OP_FLUSH_DISKCACHE:
		out->nsegs = raw[1];
		if (!l->flush)
			return BLKIF_RSP_EOPNOTSUPP;
		return out->nsegs ? BLKIF_RSP_ERROR : 0; /* data with it would be dropped: says so */
	case BLKIF_OP_DISCARD:
		return decode_discard(raw, abi, l, out);
	case BLKIF_OP_INDIRECT:
		return decode_indirect(raw, abi, l, out);
	default:
		return BLKIF_RSP_EOPNOTSUPP;
	}
}

int blkif_segs(struct blkif_req *r, const struct blkif_request_segment *seg, unsigned n, const struct blkif_limits *l)
{
	uint64_t sectors = 0;

	for (unsigned i = 0; i < n; i++) {
		if (seg[i].first_sect > seg[i].last_sect || seg[i].last_sect >= SECTORS_PER_PAGE)
			return BLKIF_RSP_ERROR;
		if (!aligned(seg[i].first_sect, l) || !aligned(seg[i].last_sect + 1u, l))
			return BLKIF_RSP_ERROR;
		sectors += seg[i].last_sect - seg[i].first_sect + 1u;
	}
	r->sectors = sectors;
	return inside(r->sector, sectors, l) && aligned(r->sector, l) ? 0 : BLKIF_RSP_ERROR;
}
