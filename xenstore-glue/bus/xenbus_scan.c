/* One scan at a time: the list of domains, then the devices of each in turn, then the difference to what was known. */
#include "xenstore-glue/bus/xenbus_scan.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS (100 * NS_PER_MS)
#define DOMAINS_MAX XS_DOMID_FIRST_RESERVED

struct device {
	uint32_t domid, devid;
};

struct devices {
	size_t n;
	struct device list[XENBUS_SCAN_MAX];
};

struct xenbus_scan {
	struct xsc *xs;
	xenbus_scan_fn *fn;
	void *arg;
	char base[XS_PATH_SIZE];
	struct xsc_watch watch;
	struct loop_timer retry;
	bool closed, telling, settled, busy, again, overflow;
	uint32_t epoch; /* connection of the last whole scan */
	uint32_t ndomains, at;
	struct devices known, found, news;
	uint16_t domains[DOMAINS_MAX];
};

static void scan(struct xenbus_scan *s);

static int compare(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	if (x->domid != y->domid)
		return x->domid < y->domid ? -1 : 1;
	return x->devid == y->devid ? 0 : x->devid < y->devid ? -1 : 1;
}

static struct device *find(struct devices *d, struct device what)
{
	return bsearch(&what, d->list, d->n, sizeof(d->list[0]), compare);
}

/* a without b. */
static void minus(struct devices *out, const struct devices *a, struct devices *b)
{
	out->n = 0;
	for (size_t i = 0; i < a->n; i++)
		if (!find(b, a->list[i]))
			out->list[out->n++] = a->list[i];
}

/* False: the scan was closed. */
static bool tell(struct xenbus_scan *s, enum xenbus_scan_event ev)
{
	for (size_t i = 0; i < s->news.n && !s->closed; i++)
		s->fn(ev, s->news.list[i].domid, s->news.list[i].devid, s->arg);
	return !s->closed;
}

static void finished(struct xenbus_scan *s)
{
	bool lost = s->settled && s->epoch != xsc_epoch(s->xs);

	s->epoch = xsc_epoch(s->xs);
	s->telling = true;
	qsort(s->found.list, s->found.n, sizeof(s->found.list[0]), compare);
	minus(&s->news, &s->known, &s->found);
	if (tell(s, lost ? XENBUS_LOST : XENBUS_VANISHED)) {
		/* What the owner wants to see again is not in known any more. */
		minus(&s->news, &s->found, &s->known);
		s->known = s->found;
		tell(s, XENBUS_APPEARED);
	}
	s->telling = false;
	if (s->closed) {
		free(s);
		return;
	}
	s->settled = true;
	s->busy = false;
	if (s->again)
		scan(s);
}

static void retry_due(struct loop_timer *t)
{
	struct xenbus_scan *s = CONTAINER_OF(t, struct xenbus_scan, retry);

	s->busy = false;
	scan(s);
}

static void failed(struct xenbus_scan *s, int rc)
{
	if (rc != -ECONNRESET && rc != -ETIMEDOUT && rc != -EAGAIN)
		log_peer("%s: cannot be read: %s; trying again", s->base, err_str(rc));
	loop_timer_start(xsc_loop(s->xs), &s->retry, clock_now() + RETRY_NS, retry_due);
}

/* The numbers among names; others are ignored. */
static const char *next_number(struct xenbus_scan *s, const char *name, const char *end, uint32_t max, uint32_t *v)
{
	for (; name < end; name += strlen(name) + 1) {
		if (xs_parse_u32(name, max, v))
			return name + strlen(name) + 1;
		log_peer("%s: \"%.40s\" is no number, ignored", s->base, name);
	}
	return NULL;
}

static void list_next(struct xenbus_scan *s);

static void got_devices(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_scan *s = arg;
	struct device d = {.domid = s->domains[s->at]};

	if (rc && rc != -ENOENT) {
		failed(s, rc);
		return;
	}
	for (const char *p = data; p && (p = next_number(s, p, data + len, UINT32_MAX, &d.devid)) != NULL;) {
		if (s->found.n < XENBUS_SCAN_MAX) {
			s->found.list[s->found.n++] = d;
		} else if (!s->overflow) {
			log_error("%s: more than %u devices, the others are ignored", s->base, XENBUS_SCAN_MAX);
			s->overflow = true;
		}
	}
	s->at++;
	list_next(s);
}

static void list_next(struct xenbus_scan *s)
{
	char path[XS_PATH_SIZE], name[12];

	if (s->at == s->ndomains) {
		finished(s);
		return;
	}
	snprintf(name, sizeof(name), "%u", s->domains[s->at]);
	CHECK(xs_path_join(path, s->base, name) == 0);
	xsc_directory(s->xs, 0, path, got_devices, s);
}

static void got_domains(void *arg, int rc, const char *data, size_t len)
{
	struct xenbus_scan *s = arg;
	uint32_t domid;

	if (rc && rc != -ENOENT) {
		failed(s, rc);
		return;
	}
	for (const char *p = data; p && (p = next_number(s, p, data + len, DOMAINS_MAX - 1, &domid)) != NULL;)
		if (s->ndomains < DOMAINS_MAX)
			s->domains[s->ndomains++] = (uint16_t)domid;
	list_next(s);
}

static void scan(struct xenbus_scan *s)
{
	if (s->busy) {
		s->again = true;
		return;
	}
	s->busy = true;
	s->again = false;
	s->found.n = s->ndomains = s->at = 0;
	xsc_directory(s->xs, 0, s->base, got_domains, s);
}

/* Nodes of a device that is known say nothing about whether it is there. */
static bool matters(struct xenbus_scan *s, const char *path)
{
	const char *below = xs_path_below(s->base, path);
	struct device d;
	char rest;

	if (!below)
		return true; /* a parent of ours was removed */
	if (sscanf(below, "%u/%u%c", &d.domid, &d.devid, &rest) < 3)
		return true;
	return !find(&s->known, d);
}

static void changed(struct xsc_watch *w, const char *path)
{
	struct xenbus_scan *s = CONTAINER_OF(w, struct xenbus_scan, watch);

	if (matters(s, path))
		scan(s);
}

int xenbus_scan_open(struct xsc *xs, uint32_t back_domid, const char *class_name, xenbus_scan_fn *fn, void *arg,
		     struct xenbus_scan **out)
{
	struct xenbus_scan *s;
	int n, rc;

	*out = NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->xs = xs;
	s->fn = fn;
	s->arg = arg;
	s->epoch = xsc_epoch(xs);
	n = snprintf(s->base, sizeof(s->base), "/local/domain/%u/backend/%s", back_domid, class_name);
	rc = n < 0 || (size_t)n >= sizeof(s->base) ? -EINVAL : xsc_watch(xs, &s->watch, s->base, changed);
	if (rc) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void xenbus_scan_close(struct xenbus_scan *s)
{
	if (!s || s->closed)
		return;
	s->closed = true;
	xsc_cancel(s->xs, s);
	xsc_unwatch(s->xs, &s->watch);
	loop_timer_stop(xsc_loop(s->xs), &s->retry);
	if (!s->telling)
		free(s);
}

void xenbus_scan_again(struct xenbus_scan *s, uint32_t domid, uint32_t devid)
{
	struct device *d = find(&s->known, (struct device){domid, devid});
	size_t at;

	if (d) {
		at = (size_t)(d - s->known.list);
		memmove(d, d + 1, (s->known.n - at - 1) * sizeof(*d));
		s->known.n--;
	}
	scan(s);
}

bool xenbus_scan_settled(const struct xenbus_scan *s) { return s->settled; }
