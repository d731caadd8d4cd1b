/* One end of a disk, made by hand: the store's keys and states, pages, grants, ports. */
#include "tests/blkif/suite.h"

#include "ring/base/err.h"
#include "ring/os/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void need(int rc, const char *what)
{
	if (rc < 0)
		case_fails("the suite itself: %s: %s", what, err_str(rc));
}

void nap_us(unsigned us) { nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000l}, NULL); }

unsigned chance(struct disk *d, unsigned n) { return (unsigned)rand_r(&d->seed) % n; }

/* ---- xenstore */

const char *in_dir(const char *dir, const char *key)
{
	static char p[4][256];
	static unsigned turn;

	turn = (turn + 1) % ARRAY_LEN(p);
	snprintf(p[turn], sizeof(p[turn]), "%s/%s", dir, key);
	return p[turn];
}

static unsigned state_of(struct disk *d, const char *dir)
{
	char v[64];

	return xsc_sync_read(d->xs, in_dir(dir, "state"), v, sizeof(v)) ? XenbusStateUnknown : xenbus_state_parse(v);
}

unsigned back_state(struct disk *d) { return state_of(d, d->back); }
unsigned front_state(struct disk *d) { return state_of(d, d->front); }

void set_key(struct disk *d, const char *key, const char *val)
{
	int rc = val ? xsc_sync_write(d->xs, in_dir(d->front, key), "%s", val) : xsc_sync_rm(d->xs, in_dir(d->front, key));

	need(rc == -ENOENT && !val ? 0 : rc, key);
}

void set_state(struct disk *d, unsigned s)
{
	char v[16];

	snprintf(v, sizeof(v), "%u", s);
	set_key(d, "state", v);
}

bool back_gets(struct disk *d, unsigned states, uint64_t ns)
{
	for (uint64_t until = clock_now() + ns;; nap_us(500)) {
		bool late = clock_now() > until;

		if (states & BIT(back_state(d)))
			return true;
		if (late)
			return false;
	}
}

uint64_t back_number(struct disk *d, const char *key)
{
	char v[64];

	return xsc_sync_read(d->xs, in_dir(d->back, key), v, sizeof(v)) ? 0 : strtoull(v, NULL, 10);
}

bool back_has_error(struct disk *d)
{
	char v[512];

	return xsc_sync_read(d->xs, in_dir(d->back, "error"), v, sizeof(v)) == 0 && v[0];
}

static void read_features(struct disk *d)
{
	struct offer *o = &d->offer;

	o->flush = back_number(d, "feature-flush-cache");
	o->barrier = back_number(d, "feature-barrier");
	o->discard = back_number(d, "feature-discard");
	o->secure = back_number(d, "discard-secure");
	o->persistent = back_number(d, "feature-persistent");
	o->max_indirect = back_number(d, "feature-max-indirect-segments");
	o->max_order = back_number(d, "max-ring-page-order");
	o->max_pages = back_number(d, "max-ring-pages");
	o->max_queues = back_number(d, "multi-queue-max-queues");
	o->max_queues = MIN(o->max_queues, (uint64_t)CONN_QUEUES_MAX);
	o->max_order = MIN(o->max_order, 4u);
}

static void read_properties(struct disk *d)
{
	struct offer *o = &d->offer;

	o->sectors = back_number(d, "sectors");
	o->sector_size = back_number(d, "sector-size");
	o->physical_size = back_number(d, "physical-sector-size");
	o->info = back_number(d, "info");
	o->granularity = back_number(d, "discard-granularity");
	o->alignment = back_number(d, "discard-alignment");
	/* Some write their features with these. */
	o->flush |= back_number(d, "feature-flush-cache");
	o->barrier |= back_number(d, "feature-barrier");
	o->discard |= back_number(d, "feature-discard");
	o->secure |= back_number(d, "discard-secure");
}

/* ---- joining */

static int dial(void *arg) { return hv_store_fd(((struct disk *)arg)->hv); }

static void open_local(struct disk *d, struct xsc_cfg *cfg)
{
	const struct hv_open o = {.role = HV_FRONTEND, .runtime_dir = suite.runtime_dir, .domain = suite.domain};

	need(hv_open(suite.provider, &o, &d->hv), "join the domain");
	cfg->dial = dial;
	need(xsc_open(cfg, &d->xs), "store");
}

static void open_xen(struct disk *d, struct xsc_cfg *cfg)
{
	struct hv_open o = {.role = HV_FRONTEND};
	char domid[16];

	cfg->path = "/dev/xen/xenbus";
	need(xsc_open(cfg, &d->xs), "store");
	need(xsc_sync_read(d->xs, "domid", domid, sizeof(domid)), "own domid");
	o.self = (hv_domid_t)strtoul(domid, NULL, 10);
	need(hv_open(suite.provider, &o, &d->hv), "grants and events");
}

void disk_open(struct disk *d, const char *front)
{
	struct xsc_cfg cfg = {.arg = d};
	char text[32];

	*d = (struct disk){.seed = suite.seed};
	snprintf(d->front, sizeof(d->front), "%s", front);
	need(loop_open(&d->loop), "loop");
	cfg.loop = d->loop;
	if (strcmp(suite.provider, "xen") == 0)
		open_xen(d, &cfg);
	else
		open_local(d, &cfg);
	need(xsc_sync_read(d->xs, in_dir(front, "backend"), d->back, sizeof(d->back)), in_dir(front, "backend"));
	need(xsc_sync_read(d->xs, in_dir(front, "backend-id"), text, sizeof(text)), "backend-id");
	d->back_id = (hv_domid_t)strtoul(text, NULL, 10);
}

bool disk_reset(struct disk *d)
{
	unsigned back = back_state(d);

	if (front_state(d) != XenbusStateInitialising || back != XenbusStateInitWait) {
		if (back == XenbusStateInitialising)
			back_gets(d, (unsigned)~BIT(XenbusStateInitialising), suite.patience);
		if (back_state(d) != XenbusStateClosed) {
			set_state(d, XenbusStateClosing);
			back_gets(d, BIT(XenbusStateClosing) | BIT(XenbusStateClosed), NS_PER_S);
		}
		set_state(d, XenbusStateClosed);
		back_gets(d, BIT(XenbusStateClosed), suite.patience);
		set_state(d, XenbusStateInitialising);
	}
	if (!back_gets(d, BIT(XenbusStateInitWait), suite.patience))
		return false;
	read_features(d);
	return true;
}

/* ---- pages and ports */

static void make_queue(struct disk *d, struct queue *q, unsigned pages)
{
	void *mem;

	need(hv_alloc(d->hv, pages, &mem), "ring");
	*q = (struct queue){.ring = mem, .entries = blkif_ring_entries(pages, d->abi)};
	for (unsigned i = 0; i < pages; i++) {
		struct hv_grant g = {.page = q->ring + i * BH_PAGE_SIZE, .ro = d->want.ring_ro};

		need(hv_grant(d->hv, d->back_id, &g, 1), "grant the ring");
		q->gref[i] = g.gref;
	}
	*ring_word(q, 1) = *ring_word(q, 3) = 1;
	need(hv_port_alloc(d->hv, d->back_id, &q->port), "port");
}

static void make_data(struct disk *d)
{
	unsigned n = d->ndata + LIST_PAGES + SPECIALS;
	void *mem;

	need(hv_alloc(d->hv, n, &mem), "data");
	d->data = mem;
	for (unsigned i = 0; i < n; i++) {
		struct hv_grant g = {.page = page(d, i), .ro = i == ro_page(d)};
		hv_domid_t to = i == foreign_page(d) ? (hv_domid_t)(hv_domid(d->hv) + 1) : d->back_id;

		need(hv_grant(d->hv, to, &g, 1), "grant a page");
		d->gref[i] = g.gref;
	}
}

void disk_make(struct disk *d, const struct want *w)
{
	d->want = *w;
	d->abi = blkif_abi(w->protocol && strcmp(w->protocol, "x86_32-abi") == 0 ? CONN_X86_32 : CONN_NATIVE);
	d->nqueues = MAX(w->queues, 1u);
	d->ndata = w->data ? w->data : 16;
	for (unsigned i = 0; i < d->nqueues; i++)
		make_queue(d, &d->q[i], 1u << w->order);
	make_data(d);
}

bool disk_release(struct disk *d)
{
	unsigned n = d->ndata + LIST_PAGES + SPECIALS;
	bool ok = true;

	for (unsigned i = 0; i < d->nqueues; i++) {
		hv_port_close(d->q[i].port);
		d->q[i].port = NULL;
		ok &= hv_ungrant(d->hv, d->q[i].gref, 1u << d->want.order, NULL) == 0;
	}
	for (unsigned i = 0; i < n; i++)
		ok &= hv_ungrant(d->hv, &d->gref[i], 1, NULL) == 0;
	return ok;
}

/* ---- the keys of a connection: written one after the other, without waiting, as one connection does them in this order */

struct keys {
	struct disk *d;
	struct xsc_wait last;
	int rc;
};

static void key_done(void *arg, int rc, const char *data UNUSED, size_t len UNUSED)
{
	struct keys *k = arg;

	if (k->rc == 0 && rc != -ENOENT)
		k->rc = rc;
}

static void key_line(struct keys *k, const char *key, const char *val)
{
	if (!k->d->want.key || strcmp(k->d->want.key, key) != 0)
		xsc_write(k->d->xs, 0, in_dir(k->d->front, key), val, strlen(val), key_done, k);
}

static void key_number(struct keys *k, const char *dir, const char *name, uint32_t val)
{
	char key[64], text[16];

	snprintf(key, sizeof(key), "%s%s", dir, name);
	snprintf(text, sizeof(text), "%u", val);
	key_line(k, key, text);
}

static bool is_old(const char *name)
{
	static const char *const whole[] = {"ring-page-order", "num-ring-pages", "multi-queue-num-queues", "event-channel", "protocol",
					    "feature-persistent"};

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (strcmp(name, whole[i]) == 0)
			return true;
	return strncmp(name, "ring-ref", 8) == 0 || strncmp(name, "queue-", 6) == 0;
}

/* Of a connection before this one. */
static void remove_old(struct keys *k)
{
	struct xsc_wait w = {0};

	xsc_directory(k->d->xs, 0, k->d->front, xsc_wait_done, &w);
	need(xsc_wait(k->d->xs, &w), "own keys");
	for (size_t at = 0; at < w.len; at += strlen(w.data + at) + 1)
		if (is_old(w.data + at))
			xsc_rm(k->d->xs, 0, in_dir(k->d->front, w.data + at), key_done, k);
	xsc_wait_free(&w);
}

static void queue_keys(struct keys *k, unsigned i)
{
	const struct disk *d = k->d;
	const struct queue *q = &d->q[i];
	char dir[32] = "", name[32];

	if (d->nqueues > 1)
		snprintf(dir, sizeof(dir), "queue-%u/", i);
	key_number(k, dir, "event-channel", hv_port_number(q->port));
	if (d->want.order == 0)
		key_number(k, dir, "ring-ref", q->gref[0]);
	for (unsigned p = 0; d->want.order && p < 1u << d->want.order; p++) {
		snprintf(name, sizeof(name), "ring-ref%u", p);
		key_number(k, dir, name, q->gref[p]);
	}
}

void disk_write_keys(struct disk *d, const struct want *w)
{
	struct keys k = {.d = d};

	d->want.key = w->key;
	d->want.val = w->val;
	remove_old(&k);
	if (!w->no_protocol)
		key_line(&k, "protocol", w->protocol ? w->protocol : "x86_64-abi");
	if (w->order && w->old_key)
		key_number(&k, "", "num-ring-pages", 1u << w->order);
	else if (w->order)
		key_number(&k, "", "ring-page-order", w->order);
	if (d->nqueues > 1)
		key_number(&k, "", "multi-queue-num-queues", d->nqueues);
	for (unsigned i = 0; i < d->nqueues; i++)
		queue_keys(&k, i);
	if (w->key && w->val)
		xsc_write(d->xs, 0, in_dir(d->front, w->key), w->val, strlen(w->val), key_done, &k);
	key_number(&k, "", "feature-persistent", w->persistent);
	/* An answer to this comes behind those to all before it. */
	xsc_read(d->xs, 0, in_dir(d->front, "state"), xsc_wait_done, &k.last);
	xsc_wait(d->xs, &k.last);
	xsc_wait_free(&k.last);
	need(k.rc, "keys");
}

void disk_ask(struct disk *d, const struct want *w)
{
	disk_write_keys(d, w);
	set_state(d, XenbusStateInitialised);
}

void disk_connect(struct disk *d, const struct want *w)
{
	disk_make(d, w);
	disk_ask(d, w);
	if (!back_gets(d, BIT(XenbusStateConnected), suite.patience))
		case_fails("no connection: the backend is in state %u", back_state(d));
	set_state(d, XenbusStateConnected);
	read_properties(d);
}

bool disk_close(struct disk *d)
{
	set_state(d, XenbusStateClosing);
	back_gets(d, BIT(XenbusStateClosing) | BIT(XenbusStateClosed), suite.patience);
	set_state(d, XenbusStateClosed);
	return back_gets(d, BIT(XenbusStateClosed), suite.patience);
}
