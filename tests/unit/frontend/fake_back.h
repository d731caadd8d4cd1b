/* fake_back.h - a provider in this process and a backend that is played by the test, step by step, for tests of the block
 * frontend's data path: no thread, no store. The backend's decoding is written anew here, by offsets, so that a mistake in
 * the frontend's encoding cannot cancel itself out. */
#ifndef BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_BACK_H
#define BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_BACK_H

#include "frontend/blk/blkfront_priv.h"
#include "ring/base/barrier.h"
#include "ring/os/clock.h"
#include "tests/unit/frontend/fake_hv.h"

#include <poll.h>

#define FAKE_DISK (8u << 20)

/* ---- the backend */

struct fake_req {
	uint8_t op, inner, flag;
	uint16_t nsegs;
	uint64_t id, sector, nr;
	struct blkif_request_segment seg[BLKFRONT_SEGS_MAX];
};

struct fake_world {
	struct fake_hv *hv;
	struct blkfront *f;
	struct blkfront_queue *q;
	bool x86_32;
	uint32_t req_cons, rsp_prod;
	char *disk;
};

static inline void fake_up(struct fake_world *w, const struct blkfront_open *o, const struct vbd_offer *offer)
{
	struct hv_open ho = { .role = HV_FRONTEND };

	memset(w, 0, sizeof(*w));
	w->hv = calloc(1, sizeof(*w->hv));
	hv_setup(&w->hv->hv, &fake_ops, &ho, 5);
	w->disk = calloc(1, FAKE_DISK);
	w->f = calloc(1, sizeof(*w->f));
	w->f->hv = &w->hv->hv;
	w->f->protocol = o->protocol ? (enum conn_protocol)o->protocol : CONN_NATIVE;
	w->x86_32 = o->protocol == CONN_X86_32;
	w->f->observer = o->observer;
	pthread_mutex_init(&w->f->hv_lock, NULL);
	blkfront_choose(w->f, o, offer);
	assert_int_equal(blkfront_queue_open(w->f, 0), 0);
	w->f->nqueues = 1;
	w->q = w->f->queue[0];
}

static inline void fake_down(struct fake_world *w)
{
	free(w->disk);
	for (uint32_t i = 0; i < FAKE_GREFS; i++)
		w->hv->gref[i].held = false;
	blkfront_close(w->f);
}

static inline char *fake_page(struct fake_world *w, uint32_t gref, bool writable)
{
	assert_in_range(gref, 1, w->hv->next);
	assert_true(w->hv->gref[gref].granted);
	assert_false(writable && w->hv->gref[gref].ro);
	return w->hv->gref[gref].page;
}

static inline struct blkif_sring *fake_sring(struct fake_world *w) { return w->q->ring_mem; }
static inline char *fake_slot(struct fake_world *w, uint32_t i)
{
	return (char *)w->q->ring_mem + 64 + (i & (w->f->info.depth - 1)) * (w->x86_32 ? 108 : 112);
}

#define FAKE_GET(type, at) ({ type v_; memcpy(&v_, (at), sizeof(v_)); v_; })

static inline void fake_decode(struct fake_world *w, const char *s, struct fake_req *r)
{
	unsigned gap = w->x86_32 ? 0 : 4; /* the padding before 64-bit words */

	r->op = r->inner = (uint8_t)s[0];
	r->id = FAKE_GET(uint64_t, s + 4 + gap);
	r->sector = FAKE_GET(uint64_t, s + 12 + gap);
	if (r->op == 5) {
		r->flag = (uint8_t)s[1];
		r->nr = FAKE_GET(uint64_t, s + 20 + gap);
	} else if (r->op == 6) {
		r->inner = (uint8_t)s[1];
		r->nsegs = FAKE_GET(uint16_t, s + 2);
		assert_in_range(r->nsegs, 1, BLKFRONT_SEGS_MAX);
		for (unsigned i = 0; i < r->nsegs; i++) {
			const char *page = fake_page(w, FAKE_GET(uint32_t, s + 24 + gap + i / 512 * 4), false);

			memcpy(&r->seg[i], page + i % 512 * 8, 8);
		}
	} else {
		r->nsegs = (uint8_t)s[1];
		assert_in_range(r->nsegs, 0, 11);
		memcpy(r->seg, s + 20 + gap, r->nsegs * 8u);
	}
}

/* The next request, if one is published. */
static inline bool fake_get(struct fake_world *w, struct fake_req *r)
{
	if (w->req_cons == smp_load_acquire(&fake_sring(w)->req_prod))
		return false;
	memset(r, 0, sizeof(*r));
	fake_decode(w, fake_slot(w, w->req_cons++), r);
	return true;
}

static inline void fake_answer(struct fake_world *w, uint64_t id, uint8_t op, int16_t status)
{
	char *s = fake_slot(w, w->rsp_prod++);

	memset(s, 0, 12);
	memcpy(s, &id, 8);
	s[8] = (char)op;
	memcpy(s + 10, &status, 2);
	smp_store_release(&fake_sring(w)->rsp_prod, w->rsp_prod); /* pairs with fe_ring_take() */
}

/* Does it on the disk. */
static inline void fake_do(struct fake_world *w, const struct fake_req *r)
{
	char *at = w->disk + r->sector * 512;

	if (r->inner == 5)
		memset(at, 0, r->nr * 512);
	for (unsigned i = 0; i < r->nsegs; i++) {
		unsigned off = r->seg[i].first_sect * 512u, len = (r->seg[i].last_sect + 1u) * 512u - off;
		char *page = fake_page(w, r->seg[i].gref, r->inner == 0);

		assert_in_range(r->seg[i].last_sect, r->seg[i].first_sect, 7);
		assert_true(at + len <= w->disk + FAKE_DISK);
		if (r->inner == 0)
			memcpy(page + off, at, len);
		else
			memcpy(at, page + off, len);
		at += len;
	}
}

/* Serves everything that is on the ring; answers the later requests first if so wanted. How many. */
static inline unsigned fake_serve(struct fake_world *w, bool backwards)
{
	static struct fake_req r[1024];
	unsigned n = 0;

	while (n < ARRAY_LEN(r) && fake_get(w, &r[n]))
		fake_do(w, &r[n++]);
	for (unsigned i = 0; i < n; i++) {
		const struct fake_req *one = &r[backwards ? n - 1 - i : i];

		fake_answer(w, one->id, one->inner, 0);
	}
	return n;
}

static inline void fake_event(struct fake_world *w) { fake_tell(((struct fake_port *)w->q->port)->in); }
static inline bool fake_notified(struct fake_world *w) { return fake_take(((struct fake_port *)w->q->port)->out); }

/* A backend that offers everything, and a frontend that asks for a ring of one page. */
static const struct vbd_offer full = {
	.sectors = FAKE_DISK / 512, .sector_size = 512, .physical_size = 512, .flush = true, .barrier = true, .discard = true,
	.discard_secure = true, .persistent = true, .max_indirect = 256, .max_queues = 4, .max_ring_order = 4,
};
static const struct blkfront_open plain = { .ring_pages = 1 };

/* ---- ios */

struct fake_io {
	struct blkfront_io io;
	unsigned calls;
	int rc;
};

static inline void fake_done(struct blkfront_io *io, int rc)
{
	struct fake_io *t = CONTAINER_OF(io, struct fake_io, io);

	t->calls++;
	t->rc = rc;
}

static inline int fake_submit(struct fake_world *w, struct fake_io *t, enum blkfront_op op, unsigned flags, uint64_t off,
			      uint64_t len, void *buf)
{
	*t = (struct fake_io){ .io = { .op = op, .flags = flags, .off = off, .len = len, .buf = buf, .done = fake_done } };
	return blkfront_submit(w->q, &t->io);
}

/* Submits and serves until it is over. Its rc. */
static inline int fake_run(struct fake_world *w, enum blkfront_op op, unsigned flags, uint64_t off, uint64_t len, void *buf)
{
	struct fake_io t;
	int rc = fake_submit(w, &t, op, flags, off, len, buf);

	if (rc)
		return rc;
	for (unsigned i = 0; !t.calls; i++) {
		assert_in_range(i, 0, 10000);
		blkfront_poll(w->q);
		fake_serve(w, i & 1);
	}
	assert_int_equal(t.calls, 1);
	return t.rc;
}

#endif
