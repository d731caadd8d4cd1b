/* fake_hv.h - a provider in this process for tests of frontends: memory, grants and ports without hub or thread. */
#ifndef BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_HV_H
#define BULKHEAD_TESTS_UNIT_FRONTEND_FAKE_HV_H

#include "ring/base/err.h"
#include "ring/hv/hv_ops.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define FAKE_GREFS 16384u

/* ---- the provider */

struct fake_gref {
	char *page;
	bool ro, granted, held; /* held: as if the backend had it mapped */
};

struct fake_hv {
	struct hv hv;
	uint32_t next, ports;
	struct fake_gref gref[FAKE_GREFS];
};

struct fake_port {
	struct hv_port p;
	int in, out; /* events for the frontend, for the backend */
};

static inline void fake_close(struct hv *hv) { free(hv); }

static inline int fake_alloc(struct hv *hv, size_t npages, void **out)
{
	(void)hv;
	*out = mmap(NULL, npages * BH_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return *out == MAP_FAILED ? -ENOMEM : 0;
}

static inline int fake_free(struct hv *hv, void *mem, size_t npages)
{
	struct fake_hv *h = (struct fake_hv *)hv;

	for (uint32_t i = 1; i <= h->next; i++) {
		char *page = h->gref[i].page;

		if (h->gref[i].granted && page >= (char *)mem && page < (char *)mem + npages * BH_PAGE_SIZE)
			return -EBUSY;
	}
	munmap(mem, npages * BH_PAGE_SIZE);
	return 0;
}

static inline int fake_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n)
{
	struct fake_hv *h = (struct fake_hv *)hv;

	assert_int_equal(dom, 0);
	for (size_t i = 0; i < n; i++) {
		uint32_t at = 1;

		while (at < FAKE_GREFS && h->gref[at].granted)
			at++;
		if (at == FAKE_GREFS)
			return -ENOSPC;
		g[i].gref = at;
		h->next = MAX(h->next, at);
		h->gref[at] = (struct fake_gref){ .page = g[i].page, .ro = g[i].ro, .granted = true };
	}
	return 0;
}

static inline int fake_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	struct fake_hv *h = (struct fake_hv *)hv;

	for (size_t i = 0; i < n; i++) {
		struct fake_gref *g = &h->gref[grefs[i]];

		assert_true(g->granted);
		status[i] = g->held ? -EBUSY : 0;
		g->granted = g->held;
	}
	return 0;
}

static inline int fake_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	struct fake_port *p = calloc(1, sizeof(*p));

	(void)dom;
	p->in = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->out = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->p.hv = hv;
	p->p.number = ++((struct fake_hv *)hv)->ports;
	*out = &p->p;
	return 0;
}

static inline int fake_take(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static inline void fake_tell(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static inline int fake_port_fd(const struct hv_port *p) { return ((const struct fake_port *)p)->in; }
static inline int fake_port_clear(struct hv_port *p) { return fake_take(((struct fake_port *)p)->in); }
static inline int fake_port_notify(struct hv_port *p)
{
	fake_tell(((struct fake_port *)p)->out);
	return 0;
}
static inline void fake_port_close(struct hv_port *port)
{
	struct fake_port *p = (struct fake_port *)port;

	close(p->in);
	close(p->out);
	free(p);
}

static const struct hv_ops fake_ops = {
	.name = "fake", .close = fake_close, .alloc = fake_alloc, .free = fake_free, .grant = fake_grant,
	.ungrant = fake_ungrant, .port_alloc = fake_port_alloc, .port_fd = fake_port_fd, .port_clear = fake_port_clear,
	.port_notify = fake_port_notify, .port_close = fake_port_close,
};

#endif
