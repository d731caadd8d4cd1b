/* hub_rig.h - for tests: the hub's rules over resources that are only counted, and a recount of all that it keeps. Include once:
 * it holds the hub itself. */
#ifndef BULKHEAD_TESTS_UNIT_HV_HUB_RIG_H
#define BULKHEAD_TESTS_UNIT_HV_HUB_RIG_H

#include "ring/hv/hub.c"
#include "ring/hv/hub_mem.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- resources that are only counted */

struct host {
	int open_fds, next_fd;
	unsigned char alive[1 << 20];
	int fail_in; /* the so manieth resource from now fails; 0: none */
	unsigned born, gone, drops;
	unsigned ok[HUB_OP_COUNT], mapped; /* requests that succeeded, maps among their entries */
};
static struct host host;

static void host_reset(void)
{
	memset(host.alive, 0, (size_t)host.next_fd);
	memset((char *)&host + offsetof(struct host, fail_in), 0, sizeof(host) - offsetof(struct host, fail_in));
	host.open_fds = 0;
	host.next_fd = 1;
}

static bool refuses(void) { return host.fail_in && --host.fail_in == 0; }

static int new_fd(void)
{
	assert_true(host.next_fd < (int)sizeof(host.alive));
	host.alive[host.next_fd] = 1;
	host.open_fds++;
	return host.next_fd++;
}

static int t_region_new(void *ctx, uint64_t bytes, int fd[2])
{
	(void)ctx;
	assert_true(bytes && bytes <= HV_REGION_MAX && bytes % BH_PAGE_SIZE == 0);
	if (refuses())
		return -EMFILE;
	fd[0] = new_fd();
	fd[1] = new_fd();
	return 0;
}

static int t_table_new(void *ctx, uint64_t **words, int *fd)
{
	(void)ctx;
	if (refuses())
		return -ENOMEM;
	*words = calloc(1, HUB_TABLE_BYTES);
	assert_non_null(*words);
	*fd = new_fd();
	return 0;
}

static void t_fd_end(void *ctx, int fd);
static void t_table_end(void *ctx, uint64_t *words, int fd)
{
	free(words);
	t_fd_end(ctx, fd);
}

static int t_event_new(void *ctx, int *fd)
{
	(void)ctx;
	if (refuses())
		return -EMFILE;
	*fd = new_fd();
	return 0;
}

static void t_fd_end(void *ctx, int fd)
{
	(void)ctx;
	assert_true(fd > 0 && host.alive[fd]);
	host.alive[fd] = 0;
	host.open_fds--;
}

static int t_store_conn(void *ctx, hv_domid_t dom, int *fd)
{
	(void)ctx;
	(void)dom;
	if (refuses())
		return -EAGAIN;
	*fd = new_fd();
	return 0;
}

static void t_domain(void *ctx, hv_domid_t dom, bool born)
{
	(void)ctx;
	assert_true(dom > 0 && dom <= DOMID_LAST);
	host.born += born;
	host.gone += !born;
}

static void t_drop(void *ctx, void *owner)
{
	(void)ctx;
	(void)owner;
	host.drops++;
}

static const struct hub_ops t_ops = {
	.region_new = t_region_new,
	.table_new = t_table_new,
	.table_end = t_table_end,
	.event_new = t_event_new,
	.fd_end = t_fd_end,
	.store_conn = t_store_conn,
	.domain = t_domain,
	.drop = t_drop,
};

/* ---- the recount */

static void recount_domain(struct hub *h, const struct hub_domain *d, int *fds)
{
	uint32_t used = 0, nfree = 0, regions = 0, ports = 0;
	uint64_t bytes = 0;
	const struct hub_region *g;
	const struct hub_port *p;
	const struct hub_conn *c;
	unsigned conns = 0;

	for (uint32_t i = d->free_grant; i != NO_GRANT; i = d->grants[i].next_free) {
		assert_true(i < d->grants_room && d->grants[i].state == GRANT_FREE);
		assert_true(++nfree <= d->grants_room);
	}
	for (uint32_t i = 0; i < d->grants_room; i++) {
		const struct hub_grant *t = &d->grants[i];
		uint64_t maps = 0;

		LIST_FOREACH(c, &h->conns, link)
			if (c->dom == d && i < c->maps_room)
				maps += c->maps[i];
		assert_int_equal(t->maps, maps);
		used += t->state != GRANT_FREE;
		assert_true(t->state != GRANT_FREE || !maps);
		assert_true(t->state != GRANT_ENDED || maps);
		assert_true(t->state != GRANT_LIVE || t->page < t->region->npages);
		assert_int_equal(d->table[i], t->state == GRANT_LIVE ? hub_word(t->region->number, t->page, t->dom, t->ro) : 0);
	}
	assert_int_equal(used, d->ngrants);
	assert_int_equal(used + nfree, d->grants_room);
	LIST_FOREACH(g, &d->regions, link) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < d->grants_room; i++)
			n += d->grants[i].state == GRANT_LIVE && d->grants[i].region == g;
		assert_int_equal(n, g->ngrants);
		assert_true(g->owner->dom == d);
		regions++;
		bytes += (uint64_t)g->npages << BH_PAGE_SHIFT;
	}
	LIST_FOREACH(p, &d->ports, link) {
		assert_true(p->owner->dom == d);
		assert_true(!p->bind || p->bind->port == p);
		ports++;
	}
	LIST_FOREACH(c, &h->conns, link)
		conns += c->dom == d;
	assert_int_equal(conns, d->conns);
	assert_true(d->gone ? conns > 0 && !regions && !ports : true);
	assert_int_equal(regions, d->nregions);
	assert_int_equal(ports, d->nports);
	assert_int_equal(bytes, d->bytes);
	assert_true(bytes <= HUB_DOM_BYTES);
	*fds += (int)(1 + 2 * regions + 2 * ports); /* 1: the table's */
}

static void recount(struct hub *h)
{
	const struct hub_domain *d, *e;
	unsigned n = 0;
	int fds = 0;

	TAILQ_FOREACH(d, &h->doms, link) {
		recount_domain(h, d, &fds);
		assert_false(d->gone);
		for (e = TAILQ_NEXT(d, link); e; e = TAILQ_NEXT(e, link))
			assert_true(e->domid != d->domid && strcmp(e->name, d->name) != 0);
		n++;
	}
	TAILQ_FOREACH(d, &h->gone, link)
		recount_domain(h, d, &fds);
	assert_int_equal(n, h->ndoms);
	assert_int_equal(host.born - host.gone, n);
	assert_int_equal(fds, host.open_fds); /* no descriptor leaks, none is closed too early */
}

#endif
