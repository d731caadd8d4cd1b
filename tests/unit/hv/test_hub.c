/* The rules of the hub under random requests, sound and malformed: after each, what it keeps is counted anew. */
#include "tests/unit/hv/hub_rig.h"

/* ---- random requests */

static unsigned seed;
static uint32_t rnd(uint32_t n) { return (uint32_t)rand_r(&seed) % n; }

/* Numbers that are mostly near what exists, at times far off. */
static uint32_t number(uint32_t near) { return rnd(50) ? rnd(near) : UINT32_MAX - rnd(3); }

static uint32_t random_op(const struct hub_conn *c)
{
	static const uint32_t usual[] = {
		[HUB_FRONTEND] = HUB_GRANT, [HUB_STUB] = HUB_MAP, [HUB_SUPERVISOR] = HUB_PORT_BIND, [HUB_ADMIN] = HUB_DOM_CREATE};

	if (rnd(100) == 0)
		return rnd(100);
	if (!c->role)
		return HUB_HELLO;
	return rnd(4) && c->role != HUB_ADMIN ? HUB_HELLO + 1 + rnd(HUB_OP_COUNT - HUB_HELLO - 1) :
	       rnd(20)			      ? usual[c->role] :
						HUB_DOM_DESTROY + rnd(3);
}

static size_t random_request(const struct hub *h, const struct hub_conn *c, union hub_buf *q)
{
	uint32_t region = rnd(40) ? h->next_region - rnd(12) : number(9);

	memset(&q->m, 0, sizeof(q->m));
	q->m.op = random_op(c);
	if (rnd(2) && c->role == HUB_FRONTEND && c->dom && !LIST_EMPTY(&c->dom->regions))
		region = LIST_FIRST(&c->dom->regions)->number;
	q->m.role = (uint16_t)(rnd(20) ? 1 + rnd(4) : rnd(9));
	q->m.version = rnd(50) ? HUB_VERSION : 7;
	q->m.dom = (uint16_t)(q->m.op == HUB_GRANT || q->m.op == HUB_PORT_ALLOC ? rnd(8) == 0 : h->next_domid - rnd(8));
	q->m.self = rnd(8) == 0;
	q->m.nent = (uint16_t)rnd(rnd(20) ? 4 : HV_BATCH_MAX + 1);
	q->m.arg = rnd(2) ? h->next_region - rnd(12) : number(20);
	if (q->m.op == HUB_REGION)
		q->m.arg = (uint64_t)number(20) * BH_PAGE_SIZE;
	if (q->m.op == HUB_PORT_BIND || q->m.op == HUB_PORT_CLOSE)
		q->m.arg = q->m.op == HUB_PORT_BIND || rnd(2) ? number(12) : h->next_local - rnd(4);
	q->m.name[0] = "ABCDE.\0"[rnd(7)];
	for (uint32_t i = 0; i < q->m.nent; i++)
		q->m.ent[i] = (struct hub_ent){
			.gref = number(24),
			.region = region,
			.page = rnd(30) ? 0 : number(6),
			.ro = (uint16_t)(rnd(60) ? rnd(2) : 2),
		};
	return sizeof(q->m) + q->m.nent * sizeof(q->m.ent[0]);
}

#define CONNS 24

static void one_step(struct hub *h, struct hub_conn *conns[CONNS])
{
	struct hub_conn **c = &conns[rnd(CONNS)];
	static struct hub_reply r;
	static union hub_buf q;
	const struct hub_msg *m;
	size_t len;

	host.fail_in = rnd(30) ? 0 : 1 + (int)rnd(2);
	if (!*c)
		*c = hub_conn_new(h, c);
	if (rnd(100) == 0) { /* its process dies */
		hub_conn_end(h, *c);
		*c = NULL;
		return;
	}
	len = random_request(h, *c, &q);
	if (rnd(100) == 0)
		len -= MIN(len, 1 + rnd(30));
	m = hub_decode(&q, len);
	if (!m || hub_apply(h, *c, m, &r)) {
		hub_conn_end(h, *c);
		*c = NULL;
		return;
	}
	assert_int_equal(r.buf.m.op, m->op);
	assert_true(r.buf.m.rc <= 0 && r.len >= sizeof(struct hub_msg) && r.len <= HUB_MSG_MAX && r.nfds <= HUB_FDS_MAX);
	assert_true(r.buf.m.rc == 0 || r.nfds == 0);
	for (size_t i = 0; i < r.nfds; i++)
		assert_true(host.alive[r.fds[i]]);
	host.ok[m->op] += r.buf.m.rc == 0;
	for (uint32_t i = 0; m->op == HUB_MAP && i < r.buf.m.nent; i++)
		host.mapped += r.buf.m.ent[i].status == 0;
	if (r.give_away)
		t_fd_end(NULL, r.fds[0]);
}

static void random_requests_keep_the_accounts(void **state)
{
	struct hub_conn *conns[CONNS] = {0};
	struct hub *h;
	const char *env = getenv("SEED");

	(void)state;
	seed = env ? (unsigned)atoi(env) : 20240607u;
	print_message("SEED=%u\n", seed);
	host_reset();
	h = hub_new(&t_ops, NULL);
	assert_non_null(h);
	for (int i = 0; i < 200000; i++) {
		one_step(h, conns);
		recount(h);
	}
	for (int op = HUB_HELLO; op < HUB_OP_COUNT; op++) { /* it got everywhere */
		print_message("op %d succeeded %u times\n", op, host.ok[op]);
		assert_true(host.ok[op] >= 10);
	}
	assert_true(host.mapped > 100 && host.drops > 5);
	hub_free(h);
	assert_int_equal(host.open_fds, 0);
}

/* ---- single rules that the suite of hv.h cannot reach */

static void decode_takes_whole_frames_only(void **state)
{
	union hub_buf q = {.m = {.op = HUB_MAP, .nent = 2}};
	size_t len = sizeof(q.m) + 2 * sizeof(q.m.ent[0]);

	(void)state;
	assert_ptr_equal(hub_decode(&q, len), &q.m);
	assert_null(hub_decode(&q, len - 1));
	assert_null(hub_decode(&q, len + 1));
	assert_null(hub_decode(&q, 3));
	assert_null(hub_decode(&q, 0));
	q.m.op = HUB_OP_COUNT;
	assert_null(hub_decode(&q, len));
	q.m.op = 0;
	assert_null(hub_decode(&q, len));
	q.m.op = HUB_MAP;
	q.m.nent = HV_BATCH_MAX + 1;
	assert_null(hub_decode(&q, sizeof(q)));
	q.m.nent = 2;
	memset(q.m.name, 'x', sizeof(q.m.name));
	assert_null(hub_decode(&q, len));
}

static int ask(struct hub *h, struct hub_conn *c, struct hub_msg m)
{
	static struct hub_reply r;
	union hub_buf q = {.m = m};
	int rc = hub_apply(h, c, &q.m, &r);

	if (!rc && r.give_away)
		t_fd_end(NULL, r.fds[0]);
	return rc ? rc : r.buf.m.rc ? r.buf.m.rc : (int)r.buf.m.dom;
}

static struct hub_conn *join(struct hub *h, enum hub_role role, hv_domid_t dom)
{
	struct hub_conn *c = hub_conn_new(h, NULL);

	assert_true(ask(h, c, (struct hub_msg){.op = HUB_HELLO, .role = (uint16_t)role, .dom = dom, .version = HUB_VERSION,
					       .name = "A"}) >= 0);
	return c;
}

static void each_role_has_its_requests(void **state)
{
	/* frontend, stub, supervisor, admin: may they? */
	static const char may[HUB_OP_COUNT][5] = {
		[HUB_REGION] = "f",	   [HUB_REGION_FREE] = "f", [HUB_GRANT] = "f",	     [HUB_UNGRANT] = "f",
		[HUB_MAP] = "s",	   [HUB_UNMAP] = "s",	    [HUB_COPY] = "s",	     [HUB_FORGET] = "s",
		[HUB_PORT_ALLOC] = "f",	   [HUB_PORT_BIND] = "v",   [HUB_PORT_CLOSE] = "fv", [HUB_STORE] = "f",
		[HUB_DOM_CREATE] = "a",	   [HUB_DOM_DESTROY] = "a", [HUB_DOM_LIST] = "va",   [HUB_DOM_STATE] = "va",
		[HUB_DOM_WATCH] = "v",	   [HUB_TABLE] = "s",
	};
	struct hub *h;
	struct hub_conn *c, *fresh;

	(void)state;
	host_reset();
	h = hub_new(&t_ops, NULL);
	c = join(h, HUB_ADMIN, 0);
	assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_DOM_CREATE, .name = "A"}), 1);
	for (uint16_t role = HUB_FRONTEND; role <= HUB_ADMIN; role++) {
		c = join(h, role, 1);
		for (uint32_t op = HUB_HELLO + 1; op < HUB_OP_COUNT; op++) {
			bool allowed = strchr(may[op], "-fsva"[role]) != NULL;

			/* Of domain 999, so that an allowed one does no harm. */
			assert_int_equal(ask(h, c, (struct hub_msg){.op = op, .dom = 999}) == -EPERM, !allowed);
		}
		assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_HELLO, .role = role, .version = HUB_VERSION}), -EPEER);
	}
	fresh = hub_conn_new(h, NULL);
	assert_int_equal(ask(h, fresh, (struct hub_msg){.op = HUB_DOM_LIST}), -EPEER);
	assert_int_equal(ask(h, fresh, (struct hub_msg){.op = HUB_HELLO, .role = HUB_ADMIN, .version = HUB_VERSION + 1}), -EPROTO);
	assert_int_equal(ask(h, fresh, (struct hub_msg){.op = HUB_HELLO, .role = 9, .version = HUB_VERSION}), -EINVAL);
	assert_false(hub_conn_said_hello(fresh));
	recount(h);
	hub_free(h);
}

static void names_and_numbers_of_domains(void **state)
{
	static const char *const bad[] = {"", ".", "-x", "a/b", "a b", "\xff"};
	struct hub *h;
	struct hub_conn *c;
	int first, n;

	(void)state;
	host_reset();
	h = hub_new(&t_ops, NULL);
	c = join(h, HUB_ADMIN, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct hub_msg m = {.op = HUB_DOM_CREATE};

		strcpy(m.name, bad[i]);
		assert_int_equal(ask(h, c, m), -EINVAL);
	}
	first = ask(h, c, (struct hub_msg){.op = HUB_DOM_CREATE, .name = "keeps-1.x_+"});
	assert_int_equal(first, 1);
	assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_DOM_CREATE, .name = "keeps-1.x_+"}), -EEXIST);
	/* All numbers are used before one comes back, and a living one never does. */
	for (n = 2; n <= DOMID_LAST; n++) {
		assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_DOM_CREATE, .name = "B"}), n);
		assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_DOM_DESTROY, .dom = (uint16_t)n}), 0);
	}
	assert_int_equal(ask(h, c, (struct hub_msg){.op = HUB_DOM_CREATE, .name = "B"}), 2);
	recount(h);
	hub_free(h);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(random_requests_keep_the_accounts),
		cmocka_unit_test(decode_takes_whole_frames_only),
		cmocka_unit_test(each_role_has_its_requests),
		cmocka_unit_test(names_and_numbers_of_domains),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
