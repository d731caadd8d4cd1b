/* Requests: cutting, copying, answers. */
#include "frontend/blk/blkfront_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <string.h>
#include <xen/io/blkif.h>

#define SECTOR 512u
#define INDIRECT_PAGES(nsegs) \
	((nsegs) <= BLKIF_MAX_SEGMENTS_PER_REQUEST ? 0 : ((nsegs) + BLKIF_SEGS_PER_PAGE - 1) / BLKIF_SEGS_PER_PAGE)

/* ---- lists of ios ---- */

static void list_push(struct blkfront_list *l, struct blkfront_io *io)
{
	io->next = NULL;
	*l->tail = io;
	l->tail = &io->next;
}

static struct blkfront_io *list_pop(struct blkfront_list *l)
{
	struct blkfront_io *io = l->head;

	if (io) {
		l->head = io->next;
		if (!l->head)
			l->tail = &l->head;
	}
	return io;
}

/* ---- the life of an io ---- */

static void io_end(struct blkfront_queue *q, struct blkfront_io *io)
{
	q->nios--;
	q->over++;
	io->done(io, io->rc);
}

/* FUA whose data is written: the flush comes now. next_off beyond len says that it was asked for. */
static bool io_wants_flush(const struct blkfront_io *io)
{
	return (io->flags & BLKFRONT_FUA) && io->rc == 0 && io->next_off == io->len && io->op != BLKFRONT_FLUSH &&
	       io->op != BLKFRONT_READ;
}

/* A request of the io is over. */
static void io_part_over(struct blkfront_queue *q, struct blkfront_io *io, int rc)
{
	CHECK(io->parts_left > 0);
	io->parts_left--;
	if (rc && !io->rc)
		io->rc = rc;
	if (io->parts_left > 0)
		return;
	if (io_wants_flush(io)) {
		io->next_off = io->len + 1;
		list_push(&q->fua, io);
		return;
	}
	/* Still waiting to be cut further: the pump goes on with it, or ends it if it failed. */
	if (io->next_off < io->len && q->waiting.head == io)
		return;
	io_end(q, io);
}

static int check_submit(const struct blkfront *f, const struct blkfront_io *io)
{
	bool can_flush = f->info.flush || f->info.barrier;
	uint64_t size = load_relaxed(&f->size);
	int ended = load_relaxed(&f->ended);

	if (ended || load_relaxed(&f->closing))
		return ended ? ended : -ESHUTDOWN;
	if (io->op > BLKFRONT_ZERO || !io->done || (io->flags & ~(unsigned)(BLKFRONT_FUA | BLKFRONT_SECURE)))
		return -EINVAL;
	if (io->op == BLKFRONT_FLUSH)
		return can_flush ? 0 : -EOPNOTSUPP;
	if (io->op == BLKFRONT_BARRIER && !f->info.barrier)
		return -EOPNOTSUPP;
	if (io->off % f->info.sector_size || io->len % f->info.sector_size || io->off > size || io->len > size - io->off)
		return -EINVAL;
	if (io->op == BLKFRONT_BARRIER && io->len > BLKIF_MAX_SEGMENTS_PER_REQUEST * BH_PAGE_SIZE)
		return -EINVAL;
	if (io->len == 0 && io->op != BLKFRONT_BARRIER)
		return -EINVAL;
	if (!io->buf && io->len > 0 && io->op <= BLKFRONT_BARRIER)
		return -EINVAL;
	if (io->op != BLKFRONT_READ && io->len > 0 && f->info.read_only)
		return -EROFS;
	if (io->op == BLKFRONT_DISCARD && !f->info.discard)
		return -EOPNOTSUPP;
	if (io->op == BLKFRONT_DISCARD && (io->flags & BLKFRONT_SECURE) && !f->info.secure_discard)
		return -EOPNOTSUPP;
	if (io->op != BLKFRONT_READ && (io->flags & BLKFRONT_FUA) && !can_flush)
		return -EOPNOTSUPP;
	return 0;
}

int blkfront_submit(struct blkfront_queue *q, struct blkfront_io *io)
{
	int rc = check_submit(q->f, io);

	if (rc)
		return rc;
	io->parts_left = 0;
	io->rc = 0;
	io->next_off = 0;
	if (io->op == BLKFRONT_FLUSH)
		io->off = io->len = 0;
	list_push(&q->waiting, io);
	q->nios++;
	return 0;
}

/* ---- putting requests on the ring ---- */

static uint32_t request_begin(struct blkfront_queue *q, struct blkfront_io *io, uint8_t op, uint64_t *id)
{
	uint32_t slot;
	struct blkfront_req *r;

	*id = fe_shadow_take(&q->shadow, &slot);
	r = &q->req[slot];
	*r = (struct blkfront_req){ .io = io, .op = op, .data = FE_PAGE_NONE, .indirect = FE_PAGE_NONE };
	r->index = q->req_index++;
	io->parts_left++;
	store_relaxed(&q->busy, q->shadow.live);
	return slot;
}

static void request_seen(struct blkfront_queue *q, const struct blkfront_req *r, uint64_t id, uint64_t nsect)
{
	const struct blkfront_observer *obs = q->f->observer;

	if (obs && obs->submitted)
		obs->submitted(obs->arg, q->index, r->index, id, r->op, r->sector, (uint32_t)nsect);
}

static void put_flush(struct blkfront_queue *q, struct blkfront_io *io)
{
	struct fe_request req = { 0 };
	uint8_t op = q->f->info.flush && io->op != BLKFRONT_BARRIER ? BLKIF_OP_FLUSH_DISKCACHE : BLKIF_OP_WRITE_BARRIER;
	uint32_t slot = request_begin(q, io, op, &req.id);

	req.op = op;
	req.handle = (uint16_t)q->f->devid;
	fe_ring_put(&q->ring, &req);
	request_seen(q, &q->req[slot], req.id, 0);
}

static void put_discard(struct blkfront_queue *q, struct blkfront_io *io)
{
	struct fe_request req = { 0 };
	uint64_t len = MIN(io->len - io->next_off, BLKFRONT_DISCARD_MAX);
	uint32_t slot = request_begin(q, io, BLKIF_OP_DISCARD, &req.id);
	struct blkfront_req *r = &q->req[slot];

	r->sector = (io->off + io->next_off) / SECTOR;
	req.op = BLKIF_OP_DISCARD;
	req.handle = (uint16_t)q->f->devid;
	req.secure = io->flags & BLKFRONT_SECURE;
	req.sector = r->sector;
	req.nr_sectors = len / SECTOR;
	io->next_off += len;
	fe_ring_put(&q->ring, &req);
	request_seen(q, r, req.id, req.nr_sectors);
}

/* The segments of a request: page after page, each from its first byte; of the last only what is needed. */
static unsigned fill_segs(const struct blkfront_queue *q, const struct blkfront_req *r, bool zero,
			  struct blkif_request_segment *seg)
{
	uint32_t page = r->data, left = r->bytes;
	unsigned n = 0;

	for (; left > 0; n++) {
		uint32_t bytes = MIN(left, (uint32_t)BH_PAGE_SIZE);

		seg[n].gref = q->pool.page[zero ? q->zero : page].gref;
		seg[n].first_sect = 0;
		seg[n].last_sect = (uint8_t)(bytes / SECTOR - 1);
		left -= bytes;
		if (!zero)
			page = q->pool.page[page].next;
	}
	return n;
}

static void copy_pages(struct blkfront_queue *q, uint32_t page, void *buf, uint32_t bytes, bool in)
{
	char *at = buf;

	while (bytes > 0) {
		uint32_t n = MIN(bytes, (uint32_t)BH_PAGE_SIZE);

		if (in)
			memcpy(q->pool.page[page].addr, at, n);
		else
			memcpy(at, q->pool.page[page].addr, n);
		at += n;
		bytes -= n;
		page = q->pool.page[page].next;
	}
}

/* Pages for a request of at most *nsegs segments. 0 with *nsegs perhaps fewer; -EAGAIN: when answers have come. */
static int take_pages(struct blkfront_queue *q, struct blkfront_req *r, uint32_t *nsegs, bool zero, bool ro)
{
	uint32_t nind = (uint32_t)INDIRECT_PAGES(*nsegs), want = zero ? 0 : *nsegs;
	int rc;

	if (q->pool.nfree < want + nind) {
		if (q->shadow.live > 1) /* another one than this */
			return -EAGAIN;
		nind = 0;
		*nsegs = MIN(*nsegs, (uint32_t)BLKIF_MAX_SEGMENTS_PER_REQUEST);
		if (!zero)
			*nsegs = MIN(*nsegs, q->pool.nfree);
		want = zero ? 0 : *nsegs;
		if (*nsegs == 0)
			return -ENOMEM; /* every page is lost to a backend that keeps them mapped */
	}
	rc = fe_pool_take(&q->pool, want, ro, &r->data);
	if (rc)
		return rc;
	rc = fe_pool_take(&q->pool, nind, true, &r->indirect);
	if (rc) {
		fe_pool_put(&q->pool, r->data);
		r->data = FE_PAGE_NONE;
	}
	return rc;
}

static void fill_indirect(struct blkfront_queue *q, struct blkfront_req *r, const struct blkif_request_segment *seg,
			  unsigned nsegs, struct fe_request *req)
{
	uint32_t page = r->indirect;

	req->indirect = true;
	for (unsigned done = 0, i = 0; done < nsegs; i++) {
		unsigned n = MIN(nsegs - done, (unsigned)BLKIF_SEGS_PER_PAGE);

		memcpy(q->pool.page[page].addr, seg + done, n * sizeof(*seg));
		req->page[i] = q->pool.page[page].gref;
		done += n;
		page = q->pool.page[page].next;
	}
}

static uint8_t wire_op(const struct blkfront_io *io)
{
	switch (io->op) {
	case BLKFRONT_READ:
		return BLKIF_OP_READ;
	case BLKFRONT_BARRIER:
		return BLKIF_OP_WRITE_BARRIER;
	default:
		return BLKIF_OP_WRITE;
	}
}

/* 1 put, 0 not now, negative: this io fails. */
static int put_rw(struct blkfront_queue *q, struct blkfront_io *io)
{
	struct blkif_request_segment seg[BLKFRONT_SEGS_MAX];
	struct fe_request req = { 0 };
	uint64_t left = io->len - io->next_off;
	uint32_t max = io->op == BLKFRONT_BARRIER ? BLKIF_MAX_SEGMENTS_PER_REQUEST : q->f->info.max_segments;
	uint32_t nsegs = (uint32_t)MIN((left + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE, (uint64_t)max);
	bool zero = io->op == BLKFRONT_ZERO, write = io->op != BLKFRONT_READ;
	uint32_t slot = request_begin(q, io, wire_op(io), &req.id);
	struct blkfront_req *r = &q->req[slot];
	int rc = take_pages(q, r, &nsegs, zero, write);

	if (rc) {
		q->req_index--;
		io->parts_left--;
		fe_shadow_free(&q->shadow, slot);
		store_relaxed(&q->busy, q->shadow.live);
		return rc == -EAGAIN ? 0 : rc;
	}
	r->bytes = (uint32_t)MIN(left, (uint64_t)nsegs * BH_PAGE_SIZE);
	r->sector = (io->off + io->next_off) / SECTOR;
	r->buf = zero ? NULL : (char *)io->buf + io->next_off;
	if (write && !zero)
		copy_pages(q, r->data, r->buf, r->bytes, true);
	io->next_off += r->bytes;

	req.op = r->op;
	req.handle = (uint16_t)q->f->devid;
	req.sector = r->sector;
	req.nr_segments = (uint16_t)fill_segs(q, r, zero, seg);
	if (r->indirect != FE_PAGE_NONE)
		fill_indirect(q, r, seg, req.nr_segments, &req);
	else
		memcpy(req.seg, seg, req.nr_segments * sizeof(*seg));
	fe_ring_put(&q->ring, &req);
	request_seen(q, r, req.id, r->bytes / SECTOR);
	return 1;
}

/* One request of the io. As put_rw(). */
static int put_next(struct blkfront_queue *q, struct blkfront_io *io)
{
	if (io->op == BLKFRONT_FLUSH || (io->op == BLKFRONT_BARRIER && io->len == 0)) {
		put_flush(q, io);
		return 1;
	}
	if (io->op == BLKFRONT_DISCARD) {
		put_discard(q, io);
		return 1;
	}
	return put_rw(q, io);
}

static void pump_fua(struct blkfront_queue *q)
{
	while (q->fua.head && !fe_shadow_full(&q->shadow))
		put_flush(q, list_pop(&q->fua));
}

void blkfront_pump(struct blkfront_queue *q)
{
	pump_fua(q);
	while (q->waiting.head && !fe_shadow_full(&q->shadow)) {
		struct blkfront_io *io = q->waiting.head;
		int rc = io->rc;

		if (!rc)
			rc = put_next(q, io);
		if (rc == 0)
			return;
		if (rc > 0 && io->next_off < io->len)
			continue;
		list_pop(&q->waiting);
		if (rc > 0)
			continue;
		io->rc = rc;
		io->next_off = io->len; /* nothing more of it */
		if (io->parts_left == 0)
			io_end(q, io);
	}
}

/* ---- answers ---- */

static int status_errno(int16_t status)
{
	switch (status) {
	case BLKIF_RSP_OKAY:
		return 0;
	case BLKIF_RSP_EOPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

static void request_end(struct blkfront_queue *q, uint32_t slot)
{
	fe_pool_put(&q->pool, q->req[slot].data);
	fe_pool_put(&q->pool, q->req[slot].indirect);
	fe_shadow_free(&q->shadow, slot);
	store_relaxed(&q->busy, q->shadow.live);
}

/* 0 or -EPEER. */
static int take_answer(struct blkfront_queue *q, const struct fe_response *rsp)
{
	const struct blkfront_observer *obs = q->f->observer;
	struct blkfront_req *r;
	struct blkfront_io *io;
	uint32_t slot;
	int rc;

	if (obs && obs->answered)
		obs->answered(obs->arg, q->index, q->rsp_index, rsp->id, rsp->op, rsp->status);
	if (fe_shadow_find(&q->shadow, rsp->id, &slot)) {
		log_peer("queue %u: the backend answered id %#llx, which is not outstanding", q->index,
			 (unsigned long long)rsp->id);
		return -EPEER;
	}
	r = &q->req[slot];
	if (rsp->op != r->op) {
		log_peer("queue %u: the backend answered operation %u to a request of operation %u", q->index, rsp->op, r->op);
		return -EPEER;
	}
	rc = status_errno(rsp->status);
	if (rc == 0 && r->op == BLKIF_OP_READ)
		copy_pages(q, r->data, r->buf, r->bytes, false);
	io = r->io;
	request_end(q, slot);
	io_part_over(q, io, rc);
	return 0;
}

int blkfront_take_answers(struct blkfront_queue *q)
{
	struct fe_response rsp;
	int rc;

	while ((rc = fe_ring_take(&q->ring, &rsp)) > 0) {
		rc = take_answer(q, &rsp);
		if (rc)
			return rc;
		q->rsp_index++;
	}
	if (rc < 0)
		log_peer("queue %u: the backend's response index is out of range", q->index);
	return rc;
}

/* ---- the end ---- */

void blkfront_refuse_waiting(struct blkfront_queue *q)
{
	struct blkfront_io *io;

	while ((io = list_pop(&q->waiting))) {
		if (!io->rc)
			io->rc = -ESHUTDOWN;
		io->next_off = io->len;
		if (io->parts_left == 0)
			io_end(q, io);
	}
}

void blkfront_fail_all(struct blkfront_queue *q, int rc)
{
	struct blkfront_list all = { .tail = &all.head };
	struct blkfront_io *io;

	/* Each io once: a waiting one may have requests on the ring as well. */
	while ((io = list_pop(&q->waiting))) {
		if (io->parts_left == 0)
			list_push(&all, io);
	}
	while ((io = list_pop(&q->fua)))
		list_push(&all, io);
	for (uint32_t i = 0; i < q->shadow.n; i++) {
		if (!q->shadow.slot[i].live)
			continue;
		io = q->req[i].io;
		request_end(q, i);
		if (--io->parts_left == 0)
			list_push(&all, io);
	}
	while ((io = list_pop(&all))) {
		if (!io->rc)
			io->rc = rc;
		io_end(q, io);
	}
}

unsigned blkfront_outstanding(const struct blkfront_queue *q) { return q->nios; }
