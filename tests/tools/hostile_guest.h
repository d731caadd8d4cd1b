/* hostile_guest.h - a guest's disk connected by hand, so that every word of it can be wrong: hostile_front rests on it.
 *
 * One guest in one process (`h`); included by one program. Whatever goes wrong on our side ends it with a line.
 */
#ifndef BULKHEAD_TESTS_TOOLS_HOSTILE_GUEST_H
#define BULKHEAD_TESTS_TOOLS_HOSTILE_GUEST_H

#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/hv/hv.h"
#include "ring/os/clock.h"
#include "ring/os/loop.h"
#include "ring/proto/blkif_abi.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/client/xs_sync.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DATA 32u	   /* pages of data */
#define LIST DATA	   /* the page of an indirect request's segments */
#define RO (DATA + 1)	   /* granted for reading only */
#define FOREIGN (DATA + 2) /* granted to another domain */
#define PAGES (DATA + 3)
#define BOGUS 0xdeadbeefu  /* no grant at all */
#define RING 32u	   /* entries of a ring of one page */
#define PATIENCE_NS (5 * NS_PER_S)

union request {
	struct blkif_request rw;
	struct blkif_request_indirect ind;
	struct blkif_request_discard dis;
	uint64_t word[sizeof(struct blkif_request) / 8];
};

static struct {
	struct hv *hv;
	struct loop *loop;
	struct xsc *xs;
	uint32_t devid;
	char front[128], back[128];
	uint64_t sectors;
	struct blkif_sring *ring;
	struct hv_port *port;
	uint8_t *data;
	hv_gref_t ring_gref, gref[PAGES];
	uint32_t prod, cons;
	uint64_t id;
	uint32_t stop; /* for the second thread */
	unsigned seed, seed2; /* seed2: of the second thread */
} h;

static void NORETURN PRINTF_LIKE(1, 2) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("hostile_front: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc < 0)
		die("%s: %s", what, err_str(rc));
}

static void nap_us(unsigned us) { nanosleep(&(struct timespec){0, us * 1000l}, NULL); }
static unsigned chance(unsigned n) { return (unsigned)rand_r(&h.seed) % n; }

/* ---- xenstore */

static const char *path(const char *dir, const char *key)
{
	static char p[2][256];
	static unsigned turn;

	turn ^= 1;
	snprintf(p[turn], sizeof(p[turn]), "%s/%s", dir, key);
	return p[turn];
}

static unsigned state(const char *dir)
{
	char v[64];

	return xsc_sync_read(h.xs, path(dir, "state"), v, sizeof(v)) ? 0 : xenbus_state_parse(v);
}

static void set_state(unsigned s) { must(xsc_sync_write(h.xs, path(h.front, "state"), "%u", s), "state"); }

static bool back_gets(unsigned a, unsigned b, uint64_t ns)
{
	for (uint64_t until = clock_now() + ns; clock_now() < until; nap_us(500)) {
		unsigned s = state(h.back);

		if (s == a || s == b)
			return true;
	}
	return false;
}

static void wait_back(unsigned a, unsigned b)
{
	if (!back_gets(a, b, PATIENCE_NS))
		die("the backend is in state %u, not %u", state(h.back), a);
}

/* Both ends to where a connection begins. */
static void begin(void)
{
	if (state(h.front) != XenbusStateInitialising || state(h.back) != XenbusStateInitWait) {
		if (state(h.back) != XenbusStateClosed) {
			set_state(XenbusStateClosing);
			back_gets(XenbusStateClosing, XenbusStateClosed, NS_PER_S);
			set_state(XenbusStateClosed);
			wait_back(XenbusStateClosed, XenbusStateClosed);
		}
		set_state(XenbusStateInitialising);
	}
	wait_back(XenbusStateInitWait, XenbusStateInitWait);
}

static int dial(void *arg UNUSED) { return hv_store_fd(h.hv); }

static void join(const char *dir, const char *domain, const char *vdev)
{
	const struct hv_open o = {.role = HV_FRONTEND, .runtime_dir = dir, .domain = domain};
	struct xsc_cfg cfg = {.dial = dial};
	char text[32];

	must(vbd_devid(vdev, &h.devid), vdev);
	must(hv_open("local", &o, &h.hv), "join the domain");
	must(loop_open(&h.loop), "loop");
	cfg.loop = h.loop;
	must(xsc_open(&cfg, &h.xs), "store");
	vbd_front_path(h.front, sizeof(h.front), hv_domid(h.hv), h.devid);
	vbd_back_path(h.back, sizeof(h.back), 0, hv_domid(h.hv), h.devid);
	begin();
	must(xsc_sync_read(h.xs, path(h.back, "sectors"), text, sizeof(text)), "sectors");
	h.sectors = strtoull(text, NULL, 10);
}

static void make_pages(bool ring_ro)
{
	struct hv_grant g = {.ro = ring_ro};
	void *mem;

	must(hv_alloc(h.hv, 1, &mem), "ring");
	h.ring = mem;
	h.ring->req_event = h.ring->rsp_event = 1;
	g.page = mem;
	must(hv_grant(h.hv, 0, &g, 1), "grant the ring");
	h.ring_gref = g.gref;
	must(hv_alloc(h.hv, PAGES, &mem), "data");
	h.data = mem;
	for (unsigned i = 0; i < PAGES; i++) {
		g = (struct hv_grant){.page = h.data + i * BH_PAGE_SIZE, .ro = i == RO};
		must(hv_grant(h.hv, i == FOREIGN ? hv_domid(h.hv) + 1 : 0, &g, 1), "grant a page");
		h.gref[i] = g.gref;
	}
	must(hv_port_alloc(h.hv, 0, &h.port), "port");
}

/* key and value replace what a good frontend would say; no value: leaves it out. */
static void ask_for(bool persistent, const char *key, const char *val)
{
	static const char *const old[] = {"ring-ref",	     "ring-page-order", "num-ring-pages", "multi-queue-num-queues",
					  "event-channel",   "protocol",	"feature-persistent"};
	struct vbd_ask ask = {.protocol = CONN_NATIVE, .nqueues = 1, .ring_pages = 1, .persistent = persistent};
	struct xs_kvs *kvs = calloc(1, sizeof(*kvs));
	struct xsc_batch *b = xsc_batch_new();
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		xsc_batch_rm(b, path(h.front, old[i]));
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++) {
		snprintf(name, sizeof(name), "ring-ref%u", i);
		xsc_batch_rm(b, path(h.front, name));
		snprintf(name, sizeof(name), "queue-%u", i);
		xsc_batch_rm(b, path(h.front, name));
	}
	ask.q[0].evtchn = hv_port_number(h.port);
	ask.q[0].gref[0] = h.ring_gref;
	must(kvs ? vbd_ask_write(&ask, kvs) : -ENOMEM, "keys");
	if (key && val)
		must(xs_kv_set(kvs, key, "%s", val), key);
	for (unsigned i = 0; i < kvs->n; i++)
		if (!key || val || strcmp(kvs->kv[i].key, key) != 0)
			xsc_batch_write(b, path(h.front, kvs->kv[i].key), "%s", kvs->kv[i].val);
	xsc_batch_write(b, path(h.front, "state"), "%u", (unsigned)XenbusStateInitialised);
	must(xsc_sync_commit(h.xs, b), "keys");
	free(kvs);
}

/* ---- the ring */

static void put(const union request *r)
{
	uint64_t *slot = (uint64_t *)(void *)&h.ring->ring[h.prod++ % RING];

	for (size_t i = 0; i < ARRAY_LEN(r->word); i++)
		store_relaxed(&slot[i], r->word[i]);
}

static void show(void)
{
	smp_store_release(&h.ring->req_prod, h.prod); /* pairs with the backend's barrier after it read req_prod */
	hv_port_notify(h.port);
}

/* Waits until n more answers are there; h.cons is left for the caller to move. */
static void wait_answers(unsigned n)
{
	uint64_t until = clock_now() + PATIENCE_NS;
	uint32_t there;

	while ((there = smp_load_acquire(&h.ring->rsp_prod) - h.cons) < n) {
		if (clock_now() > until)
			die("%u of %u answers after %llu s", there, n, PATIENCE_NS / NS_PER_S);
		nap_us(50);
	}
	if (there > h.prod - h.cons)
		die("%u answers to %u requests", there, h.prod - h.cons);
}

static int take(uint64_t id)
{
	const struct blkif_response *r = &h.ring->ring[h.cons++ % RING].rsp;

	if (r->id != id)
		die("answered is %llx, asked was %llx", (unsigned long long)r->id, (unsigned long long)id);
	return r->status;
}

static int ask(union request *r)
{
	r->rw.id = h.id++; /* at the same place in all of them */
	put(r);
	show();
	wait_answers(1);
	return take(r->rw.id);
}

static void expect(union request *r, int want, const char *what, unsigned long long n)
{
	int got = ask(r);

	if (got != want)
		die("%s %llu: status %d, not %d", what, n, got, want);
}

static union request io(uint8_t op, unsigned nsegs, uint64_t sector)
{
	union request r = {.rw = {.operation = op, .nr_segments = (uint8_t)nsegs, .sector_number = sector}};

	for (unsigned i = 0; i < MIN(nsegs, 11u); i++)
		r.rw.seg[i] = (struct blkif_request_segment){h.gref[i], 0, 7};
	return r;
}

static union request indirect(uint8_t op, unsigned nsegs, uint64_t sector)
{
	struct blkif_request_segment *list = (void *)(h.data + LIST * BH_PAGE_SIZE);
	union request r = {.ind = {.operation = BLKIF_OP_INDIRECT, .indirect_op = op, .nr_segments = (uint16_t)nsegs}};

	r.ind.sector_number = sector;
	for (unsigned i = 0; i < 8; i++)
		r.ind.indirect_grefs[i] = h.gref[LIST];
	for (unsigned i = 0; i < 512; i++)
		list[i] = (struct blkif_request_segment){h.gref[i % DATA], 0, 7};
	return r;
}

static void good_io(void)
{
	union request w = io(BLKIF_OP_WRITE, 1, 8), r = io(BLKIF_OP_READ, 1, 8);

	r.rw.seg[0].gref = h.gref[1];
	memset(h.data, (int)chance(255) + 1, BH_PAGE_SIZE);
	memset(h.data + BH_PAGE_SIZE, 0, BH_PAGE_SIZE);
	expect(&w, BLKIF_RSP_OKAY, "a good write afterwards", 0);
	expect(&r, BLKIF_RSP_OKAY, "a good read afterwards", 0);
	if (memcmp(h.data, h.data + BH_PAGE_SIZE, BH_PAGE_SIZE) != 0)
		die("what was written is not what is read");
}

#endif
