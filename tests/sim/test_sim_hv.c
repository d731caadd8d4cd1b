/* The simulated provider keeps the contract of hv.h, and what it adds: deaths, the notify hook, failures. */
#include "tests/conform/conform_hv.c"
#include "tests/sim/sim_hv.h"

static void *begin(void) { return sim_hv_new(4096); }
static void end(void *ctx) { sim_hv_free(ctx); }
static hv_domid_t domain(void *ctx, const char *name) { return sim_hv_domain(ctx, name); }
static void destroy(void *ctx, hv_domid_t dom) { sim_hv_destroy(ctx, dom); }
static int open_sim(void *ctx, const struct hv_open *o, struct hv **out) { return sim_hv_open(ctx, o, out); }

static void kill_sim(void *ctx, struct hv *hv)
{
	(void)ctx;
	sim_hv_kill(hv);
}

static bool is_pending(void *ctx, const struct hv_port *p)
{
	(void)ctx;
	return sim_hv_pending(p);
}

static struct hv_usage total(void *ctx, hv_domid_t dom)
{
	(void)dom;
	return sim_hv_total(ctx);
}

static const struct conform_hv sim = {
	.name = "sim",
	.begin = begin,
	.end = end,
	.domain = domain,
	.destroy = destroy,
	.open = open_sim,
	.kill = kill_sim,
	.pending = is_pending,
	.total = total,
};

struct woken {
	hv_domid_t dom;
	hv_evtchn_t port;
	int calls;
	jmp_buf *die;
};

static void on_notify(void *arg, hv_domid_t dom, hv_evtchn_t port)
{
	struct woken *k = arg;

	k->dom = dom;
	k->port = port;
	k->calls++;
	if (k->die)
		longjmp(*k->die, 1);
}

static void the_hook_hears_of_each_wakeup(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be;
	struct woken k = {0};

	sim_hv_on_notify(w->ctx, on_notify, &k);
	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	hv_port_notify(be);
	hv_port_notify(be); /* absorbed */
	assert_int_equal(k.calls, 1);
	assert_int_equal(k.dom, w->dom);
	assert_int_equal(k.port, hv_port_number(fe));
	hv_port_notify(fe);
	assert_int_equal(k.calls, 2);
	assert_int_equal(k.dom, 0);
	assert_int_equal(k.port, hv_port_number(be));
	hv_port_close(fe);
	assert_int_equal(hv_port_notify(be), -EPIPE);
}

static void a_death_inside_a_call(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be, *adopted;
	struct woken k = {0};
	jmp_buf die;
	hv_gref_t g = grant(w, 5, false);
	int fds[HV_PORT_FDS];
	size_t n;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &be), 0);
	n = hv_port_fds(be, fds);
	assert_int_equal(hv_port_adopt(w->be, fds, n, hv_port_number(be), &adopted), 0);
	map(w, g, false);
	assert_int_equal(sim_hv_mapped(w->ctx, w->dom, g), 1);
	assert_ptr_equal(sim_hv_page(w->ctx, w->dom, g), page(w, 5));
	sim_hv_on_notify(w->ctx, on_notify, &k);
	k.die = &die;
	if (!setjmp(die)) {
		hv_port_notify(adopted);
		fail();
	}
	sim_hv_kill(w->be);
	k.die = NULL;
	assert_int_equal(sim_hv_mapped(w->ctx, w->dom, g), 0);
	assert_true(sim_hv_pending(fe)); /* it had happened */
	assert_int_equal(hv_ungrant(w->fe, &g, 1, NULL), 0);
	assert_null(sim_hv_page(w->ctx, w->dom, g));
	w->be = open_as(w, HV_STUB, w->dom, NULL);
	assert_int_equal(hv_port_adopt(w->be, fds, n, hv_port_number(be), &adopted), 0);
	assert_int_equal(hv_port_adopt(w->be, (int[]){3, 4}, 2, 1, &adopted), -EBADF);
}

static void failures_come_when_ordered(void **state)
{
	struct world *w = *state;
	hv_gref_t g[3] = {grant(w, 0, false), grant(w, 1, false), grant(w, 2, false)};
	struct hv_map m[3] = {{.gref = g[0]}, {.gref = g[1]}, {.gref = g[2]}};
	void *v;

	sim_hv_fail_after(w->ctx, 1, -ENOMEM);
	assert_int_equal(hv_map(w->be, w->dom, m, 3), -EIO);
	assert_int_equal(m[0].status, 0);
	assert_int_equal(m[1].status, -ENOMEM);
	assert_int_equal(m[2].status, 0);
	assert_usage(w->be, 2, 0, 0);
	sim_hv_fail_after(w->ctx, 0, -ENOMEM);
	assert_int_equal(hv_alloc(w->fe, 1, &v), -ENOMEM);
	assert_int_equal(hv_alloc(w->fe, 1, &v), 0);
}

static void a_shut_down_domain_says_so(void **state)
{
	struct world *w = *state;

	assert_int_equal(hv_domain_state(w->sup, w->dom), 1);
	sim_hv_shutdown(w->ctx, w->dom);
	assert_int_equal(hv_domain_state(w->sup, w->dom), -ESHUTDOWN);
	sim_hv_resume(w->ctx, w->dom);
	assert_int_equal(hv_domain_state(w->sup, w->dom), 1);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		T(the_hook_hears_of_each_wakeup),
		T(a_death_inside_a_call),
		T(failures_come_when_ordered),
		T(a_shut_down_domain_says_so),
	};

	return conform_hv_run(&sim) + cmocka_run_group_tests_name("sim's own", t, NULL, NULL);
}
