/* bench_ring_blkback.c - the whole of backend/blk over an engine that answers at once: reads of one sector into a page that
 * stays mapped. The provider is one page and the rig's eventfds. */
#include "backend/blk/blkback.h"
#include "recovery/journal/jrnl_fmt.h"
#include "ring/base/check.h"
#include "ring/hv/hv_ops.h"
#include "tests/bench/bench_ring_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BUDGET 64u

static char page[BH_PAGE_SIZE] __attribute__((aligned(BH_PAGE_SIZE)));

static struct {
	struct hv hv;
	struct hv_port port;
	struct ring_end *end;
	struct engine *engine;
	struct blkback *b;
	struct blkback_queue *q;
} back __attribute__((aligned(RING_LINE)));

static int map_page(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n)
{
	(void)hv, (void)dom;
	for (size_t i = 0; i < n; i++) {
		m[i].status = 0;
		m[i].addr = page;
	}
	return 0;
}

static size_t unmap_page(struct hv *hv, void *const *addr, size_t n)
{
	(void)hv, (void)addr;
	return n;
}

static int notify(struct hv_port *p)
{
	(void)p;
	if (back.end->mode != RING_POLLED)
		ring_wake_other(back.end);
	return 0;
}

static int clear(struct hv_port *p)
{
	(void)p;
	return 0;
}

static const struct hv_ops ops = {.name = "bench", .map = map_page, .unmap = unmap_page, .port_notify = notify, .port_clear = clear};

static void event(void *arg, enum blkback_event e, uint64_t value, const char *text)
{
	(void)arg, (void)value;
	fprintf(stderr, "bulkhead bench ring: the backend says %d: %s\n", (int)e, text ? text : "");
}

static int blkback_open_rig(struct ring_rig *r, char *err, size_t size)
{
	const struct conn_id conn = {.domid = 1, .protocol = CONN_NATIVE, .nqueues = 1, .ring_pages = r->pages, .type = CONN_VBD,
				     .features = CONN_PERSISTENT | CONN_FLUSH};
	const struct engine_open eo = {.spec = "null:1M", .fd = -1, .fence_base = ENGINE_FENCE_BASE, .queues = 1, .depth = r->entries};
	const struct hv_open ho = {.role = HV_STUB, .guest = 1};
	struct blkback_open o = {.conn = &conn, .journal = r->journal, .journal_bytes = jrnl_file_bytes(RING_DEPTH_MAX, 1),
				 .hv = &back.hv, .event = event};
	struct blkback_started started;
	int rc;

	ring_front_open(r);
	back.end = &r->back;
	hv_setup(&back.hv, &ops, &ho, 0);
	back.port = (struct hv_port){.hv = &back.hv, .number = 1};
	rc = engine_open(&eo, &back.engine, err, size);
	if (rc)
		return rc;
	o.engine = back.engine;
	o.ring[0] = r->ring;
	o.port[0] = &back.port;
	rc = blkback_prepare(&o, &back.b);
	rc = rc ? rc : blkback_start(back.b, BLKBACK_FRESH, false, &started);
	if (rc) {
		snprintf(err, size, "the backend does not start");
		return rc;
	}
	back.q = blkback_get_queue(back.b, 0);
	return 0;
}

/* A backend has no end but that of its process: the memory of this one stays. */
static void blkback_close_rig(struct ring_rig *r) { ring_front_close(r); }

static bool blkback_arm_rig(struct ring_rig *r)
{
	(void)r;
	return blkback_arm(back.q);
}

static unsigned blkback_turn_rig(struct ring_rig *r)
{
	unsigned did = blkback_turn(back.q, BUDGET);

	(void)r;
	CHECK(!(did & BLKBACK_HALTED));
	return did & BLKBACK_BUSY;
}

const struct ring_kind ring_blkback = {blkback_open_rig, blkback_close_rig, ring_front_put, ring_front_get, ring_front_arm,
				       blkback_turn_rig, blkback_arm_rig};
