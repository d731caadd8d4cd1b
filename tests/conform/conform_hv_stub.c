/* Part of conform_hv.c: opening, mapping, rings and copies. */

/* ---- opening */

static void open_reports_what_is_wrong(void **state)
{
	struct world *w = *state;
	struct hv *hv;
	struct hv_open nobody = {.role = HV_FRONTEND, .domain = "nobody"};
	struct hv_open gone = {.role = HV_STUB, .guest = 4000};

	if (!P->shared) {
		assert_int_equal(P->open(w->ctx, &nobody, &hv), -ENOENT);
		assert_null(hv);
		assert_int_equal(P->open(w->ctx, &gone, &hv), -ENOENT);
	}
	assert_int_equal(hv_domid(w->fe), w->dom);
	assert_int_equal(hv_domid(w->be), 0);
	hv_close(NULL);
}

static void roles_are_kept_apart(void **state)
{
	struct world *w = *state;
	hv_gref_t g = grant(w, 0, false);
	struct hv_map m = {.gref = g};
	struct hv_copy c = {.gref = g};
	struct hv_grant gr = {.page = w->mem};
	struct hv_port *p;
	void *v;

	assert_int_equal(hv_map(w->fe, w->dom, &m, 1), -EPERM);
	assert_int_equal(m.status, -EPERM);
	assert_int_equal(hv_map(w->sup, w->dom, &m, 1), -EPERM);
	assert_int_equal(hv_copy(w->sup, w->dom, &c, 1), -EPERM);
	assert_int_equal(hv_map_ring(w->sup, w->dom, &g, 1, &v), -EPERM);
	assert_int_equal(hv_alloc(w->be, 1, &v), -EPERM);
	assert_int_equal(hv_grant(w->be, 0, &gr, 1), -EPERM);
	assert_int_equal(hv_ungrant(w->be, &g, 1, NULL), -EPERM);
	assert_int_equal(hv_port_alloc(w->be, 0, &p), -EPERM);
	assert_int_equal(hv_port_bind(w->be, w->dom, 1, &p), -EPERM);
	assert_int_equal(hv_domain_state(w->be, w->dom), -EPERM);
	assert_int_equal(hv_ungrant(w->fe, &g, 1, NULL), 0);
}

/* ---- map */

static void mapped_pages_are_shared(void **state)
{
	struct world *w = *state;
	hv_gref_t a = grant(w, 3, false), b = grant(w, 9, false);
	char *x = map(w, a, false), *y = map(w, b, false);

	assert_int_equal(x[0], 4);
	assert_int_equal(y[BH_PAGE_SIZE - 1], 10);
	x[17] = 77;
	fill(page(w, 9) + 5, 55, 1);
	assert_int_equal(peek(page(w, 3) + 17), 77);
	assert_int_equal(y[5], 55);
	assert_usage(w->be, 2, 0, 0);
	assert_usage(w->fe, 0, 2, 0);
	unmap(w, x);
	unmap(w, y);
	assert_int_equal(hv_unmap(w->be, (void *[]){x}, 1), -EINVAL);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b}, 2, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
	assert_usage(w->fe, 0, 0, 0);
}

static void some_of_a_batch_may_fail(void **state)
{
	struct world *w = *state;
	hv_gref_t good = grant(w, 1, false), ro = grant(w, 2, true);
	struct hv_grant other = {.page = page(w, 3)};
	struct hv_map m[5];
	void *addr[3];

	assert_int_equal(hv_grant(w->fe, 77, &other, 1), 0); /* for another domain than the stub's */
	m[0] = (struct hv_map){.gref = good};
	m[1] = (struct hv_map){.gref = 99999};
	m[2] = (struct hv_map){.gref = ro};
	m[3] = (struct hv_map){.gref = other.gref, .ro = true};
	m[4] = (struct hv_map){.gref = ro, .ro = true};
	assert_int_equal(hv_map(w->be, w->dom, m, 5), -EIO);
	assert_int_equal(m[0].status, 0);
	assert_int_equal(m[1].status, -EINVAL);
	assert_int_equal(m[2].status, why(w, -EACCES));
	assert_int_equal(m[3].status, why(w, -EACCES));
	assert_int_equal(m[4].status, 0);
	assert_null(m[1].addr);
	assert_null(m[2].addr);
	assert_int_equal(*(char *)m[0].addr, 2);
	assert_int_equal(*(char *)m[4].addr, 3);
	assert_usage(w->be, 2, 0, 0);
	addr[0] = m[0].addr;
	addr[1] = page(w, 60) + 1; /* not ours: the rest is released all the same */
	addr[2] = m[4].addr;
	assert_int_equal(hv_unmap(w->be, addr, 3), -EINVAL);
	assert_usage(w->be, 0, 0, 0);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){good, ro, other.gref}, 3, NULL), 0);
	for (hv_gref_t g = 0; g < 8 && !P->shared; g++) /* reserved ones and edges; who runs grants some of them */
		assert_int_equal(hv_map(w->be, w->dom, &(struct hv_map){.gref = g}, 1), -EIO);
	assert_int_equal(hv_map(w->be, w->dom, &(struct hv_map){.gref = UINT32_MAX}, 1), -EIO);
}

static void batches_have_a_limit(void **state)
{
	static struct hv_map m[HV_BATCH_MAX + 1];
	static struct hv_grant g[HV_BATCH_MAX + 1];
	static struct hv_copy c[HV_BATCH_MAX + 1];
	static void *addr[HV_BATCH_MAX + 1];
	static hv_gref_t grefs[HV_BATCH_MAX + 1];
	struct world *w = *state;
	char *many = pages(w->fe, HV_BATCH_MAX + 1, 1);

	for (size_t i = 0; i <= HV_BATCH_MAX; i++)
		g[i].page = many + i * BH_PAGE_SIZE;
	assert_int_equal(hv_grant(w->fe, 0, g, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_grant(w->fe, 0, g, HV_BATCH_MAX), 0);
	for (size_t i = 0; i < HV_BATCH_MAX; i++)
		m[i].gref = c[i].gref = grefs[i] = g[i].gref;
	assert_int_equal(hv_map(w->be, w->dom, m, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(m[0].status, -E2BIG);
	assert_int_equal(hv_copy(w->be, w->dom, c, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_map(w->be, w->dom, m, HV_BATCH_MAX), 0);
	for (size_t i = 0; i < HV_BATCH_MAX; i++) {
		addr[i] = m[i].addr;
		assert_int_equal(*(char *)addr[i], (char)(1 + i));
	}
	assert_int_equal(hv_unmap(w->be, addr, HV_BATCH_MAX + 1), -E2BIG);
	assert_int_equal(hv_unmap(w->be, addr, HV_BATCH_MAX), 0);
	assert_int_equal(hv_ungrant(w->fe, grefs, HV_BATCH_MAX + 1, NULL), -E2BIG);
	assert_int_equal(hv_ungrant(w->fe, grefs, HV_BATCH_MAX, NULL), 0);
	assert_int_equal(hv_map(w->be, w->dom, m, 0), 0);
	assert_int_equal(hv_copy(w->be, w->dom, c, 0), 0);
	assert_int_equal(hv_unmap(w->be, addr, 0), 0);
	assert_int_equal(hv_grant(w->fe, 0, g, 0), 0);
	assert_int_equal(hv_ungrant(w->fe, grefs, 0, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
}

static void another_domain_cannot_be_mapped(void **state)
{
	struct world *w = *state;
	hv_domid_t other;
	struct hv *fe;
	struct hv_grant g = {0};
	struct hv_map m = {0};
	hv_gref_t mine;

	if (P->shared)
		skip(); /* there is no other */
	other = P->domain(w->ctx, "other");
	fe = open_as(w, HV_FRONTEND, 0, "other");
	g.page = pages(fe, 1, 99);
	assert_int_equal(hv_grant(fe, 0, &g, 1), 0);
	m.gref = g.gref;
	assert_int_equal(hv_map(w->be, other, &m, 1), -EPERM);
	/* The same number in the stub's own guest is another page, or none. */
	assert_int_equal(hv_map(w->be, w->dom, &m, 1), -EIO);
	assert_int_equal(m.status, -EINVAL);
	mine = grant(w, 0, false);
	assert_int_equal(mine, g.gref);
	assert_int_equal(*(char *)map(w, mine, true), 1);
	/* Nor can one guest use the pages of another, or end its grants. */
	assert_int_equal(hv_grant(fe, 0, &(struct hv_grant){.page = w->mem}, 1), -EINVAL);
	hv_close(fe);
}

static void one_page_may_be_mapped_often(void **state)
{
	struct world *w = *state;
	hv_gref_t a = grant(w, 5, false), b, c;
	struct hv_grant twice[2] = {{.page = page(w, 6)}, {.page = page(w, 6)}};
	void *a1, *a2, *b1, *c1;
	int16_t st[3];

	if (!has(w, HV_FEAT_REGRANT)) {
		assert_int_equal(hv_grant(w->fe, 0, &(struct hv_grant){.page = page(w, 5)}, 1), -EBUSY);
		assert_int_equal(hv_grant(w->fe, 0, twice, 2), -EBUSY);
		a1 = map(w, a, false);
		a2 = map(w, a, true);
		*(char *)a1 = 42;
		assert_int_equal(*(char *)a2, 42);
		assert_int_equal(peek(page(w, 5)), 42);
		return;
	}
	b = grant(w, 5, false);
	c = grant(w, 5, true);
	assert_int_not_equal(a, b);
	a1 = map(w, a, false);
	a2 = map(w, a, false);
	b1 = map(w, b, false);
	c1 = map(w, c, true);
	assert_ptr_not_equal(a1, b1);
	assert_ptr_not_equal(a1, c1);
	*(char *)b1 = 42;
	assert_int_equal(*(char *)a1, 42);
	assert_int_equal(*(char *)c1, 42);
	unmap(w, a1);
	unmap(w, c1);
	/* a is mapped once more, b as well, c is not. */
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b, c}, 3, st), -EBUSY);
	assert_int_equal(st[0], -EBUSY);
	assert_int_equal(st[1], -EBUSY);
	assert_int_equal(st[2], 0);
	unmap(w, a2);
	unmap(w, b1);
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){a, b}, 2, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
	assert_usage(w->fe, 0, 0, 0);
}

/* ---- rings */

static void rings_are_contiguous_over_scattered_pages(void **state)
{
	static const size_t order[4] = {40, 3, 4, 17};
	struct world *w = *state;
	char *elsewhere = pages(w->fe, 2, 100), *ring;
	hv_gref_t g[6];
	struct hv_grant e = {.page = elsewhere + BH_PAGE_SIZE};
	void *v, *data;

	for (int i = 0; i < 4; i++)
		g[i] = grant(w, order[i], false);
	assert_int_equal(hv_grant(w->fe, 0, &e, 1), 0);
	g[4] = e.gref;
	g[5] = grant(w, 63, false);
	data = map(w, g[1], false); /* may be mapped as data besides */
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 6, &v), 0);
	ring = v;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(ring[i * BH_PAGE_SIZE], i < 4 ? (int)order[i] + 1 : i == 4 ? 101 : 64);
	/* Over the seam of two pages, as a struct in a multi-page ring lies. */
	memset(ring + BH_PAGE_SIZE - 4, 9, 8);
	assert_int_equal(peek(page(w, 40) + BH_PAGE_SIZE - 1), 9);
	assert_int_equal(peek(page(w, 3) + 3), 9);
	assert_int_equal(peek(page(w, 3) + 4), 4);
	assert_int_equal(((char *)data)[0], 9);
	assert_usage(w->be, 7, 0, 0);
	assert_int_equal(hv_unmap_ring(w->be, ring, 5), -EINVAL);
	assert_int_equal(hv_unmap(w->be, &v, 1), -EINVAL);
	if (has(w, HV_FEAT_BUSY))
		assert_int_equal(hv_ungrant(w->fe, &g[5], 1, NULL), -EBUSY);
	assert_int_equal(hv_unmap_ring(w->be, ring, 6), 0);
	assert_int_equal(hv_unmap_ring(w->be, ring, 6), -EINVAL);
	unmap(w, data);
	assert_int_equal(hv_ungrant(w->fe, g, 6, NULL), 0);
	assert_usage(w->be, 0, 0, 0);
}

static void rings_are_all_or_nothing(void **state)
{
	struct world *w = *state;
	hv_gref_t g[3] = {grant(w, 1, false), grant(w, 2, true), grant(w, 3, false)}, many[HV_RING_PAGES_MAX + 1];
	void *v = w;

	assert_int_equal(hv_map_ring(w->be, w->dom, g, 3, &v), why(w, -EACCES)); /* one is for reading only */
	assert_null(v);
	assert_usage(w->be, 0, 0, 0);
	assert_int_equal(hv_ungrant(w->fe, g, 3, NULL), 0); /* nothing stayed mapped */
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 3, &v), -EINVAL);
	assert_int_equal(hv_map_ring(w->be, w->dom, g, 0, &v), -EINVAL);
	assert_int_equal(hv_map_ring(w->be, 4711, g, 1, &v), -EPERM);
	for (size_t i = 0; i <= HV_RING_PAGES_MAX; i++)
		many[i] = grant(w, i, false);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, HV_RING_PAGES_MAX + 1, &v), -E2BIG);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, HV_RING_PAGES_MAX, &v), 0);
	assert_int_equal(hv_unmap_ring(w->be, v, HV_RING_PAGES_MAX), 0);
	assert_int_equal(hv_map_ring(w->be, w->dom, many, 1, &v), 0);
	assert_int_equal(*(char *)v, 1);
	assert_int_equal(hv_unmap_ring(w->be, v, 1), 0);
}

/* ---- copy */

static void copies_go_both_ways_inside_a_page(void **state)
{
	struct world *w = *state;
	hv_gref_t rw = grant(w, 10, false), ro = grant(w, 11, true);
	char buf[BH_PAGE_SIZE], out[64];
	struct hv_copy c[6] = {
		{.gref = rw, .off = 100, .len = 50, .to_guest = true, .local = out},
		{.gref = ro, .off = 0, .len = BH_PAGE_SIZE, .local = buf},
		{.gref = ro, .off = 0, .len = 1, .to_guest = true, .local = out},
		{.gref = rw, .off = 1, .len = BH_PAGE_SIZE, .local = buf},
		{.gref = 12345, .off = 0, .len = 1, .local = buf},
		{.gref = rw, .off = BH_PAGE_SIZE - 1, .len = 1, .to_guest = true, .local = out},
	};

	memset(out, 7, sizeof(out));
	assert_int_equal(hv_copy(w->be, w->dom, c, 6), -EIO);
	assert_int_equal(c[0].status, 0);
	assert_int_equal(c[1].status, 0);
	assert_int_equal(c[2].status, why(w, -EACCES));
	assert_int_equal(c[3].status, -EINVAL); /* runs out of the page */
	assert_int_equal(c[4].status, -EINVAL);
	assert_int_equal(c[5].status, 0);
	assert_int_equal(peek(page(w, 10) + 99), 11);
	assert_int_equal(peek(page(w, 10) + 100), 7);
	assert_int_equal(peek(page(w, 10) + 149), 7);
	assert_int_equal(peek(page(w, 10) + 150), 11);
	assert_int_equal(peek(page(w, 10) + BH_PAGE_SIZE - 1), 7);
	assert_int_equal(peek(page(w, 11)), 12);
	assert_int_equal(buf[BH_PAGE_SIZE - 1], 12);
	assert_int_equal(hv_copy(w->be, w->dom, c, 2), 0);
	assert_int_equal(hv_copy(w->be, 4711, c, 1), -EPERM);
	assert_int_equal(c[0].status, -EPERM);
	assert_usage(w->be, 0, 0, 0);
	/* A copy leaves nothing mapped, and an ended grant is not copied from. */
	assert_int_equal(hv_ungrant(w->fe, (hv_gref_t[]){rw, ro}, 2, NULL), 0);
	assert_int_equal(hv_copy(w->be, w->dom, c, 2), -EIO);
	assert_int_equal(c[0].status, -EINVAL);
}
