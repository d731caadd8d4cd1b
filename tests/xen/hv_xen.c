/* The provider xen keeps the contract of hv.h: run in dom0 of the emulated machine (tests/xen/cases/conform.sh).
 *   hv_xen            dom0 is both ends at once: it grants its pages to itself (gntalloc) and binds its own ports
 *   hv_xen TTY DOMID  the frontend is that domain, where hv_agent.c does what it is told over its console */
#include "tests/conform/conform_hv.c"
#include "tests/xen/hv_far.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static hv_domid_t guest; /* 0: dom0 itself */

static void *begin(void) { return &guest; }
static void end(void *ctx) { (void)ctx; }

static hv_domid_t domain(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return guest;
}

static int open_xen(void *ctx, const struct hv_open *o, struct hv **out)
{
	struct hv_open here = *o;

	(void)ctx;
	here.domain = NULL;
	if (o->role != HV_FRONTEND || !guest)
		return hv_open("xen", &here, out);
	here.self = guest;
	return hv_far_open(&here, out);
}

static void end_xen(void *ctx, struct hv *hv)
{
	(void)ctx;
	hv_close(hv);
}

static bool is_pending(void *ctx, const struct hv_port *p)
{
	(void)ctx;
	return hv_far_pending(p);
}

static struct conform_hv xen = {
	.name = "xen",
	.threads = true,
	.real_fds = true,
	.shared = true,
	.begin = begin,
	.end = end,
	.domain = domain,
	.open = open_xen,
	.kill = end_xen,
	.pending = is_pending,
};

/* ---- what only this provider has */

/* An event that somebody read stays masked over his death: nothing wakes his successor until it has cleared the port. */
static void an_event_read_by_the_dead_is_unmasked(void **state)
{
	struct world *w = *state;
	struct hv_port *fe, *be, *next;
	int fds[HV_PORT_FDS];
	uint32_t port;
	pid_t pid;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	be = bound(w, fe);
	assert_int_equal(hv_port_fds(be, fds), 1);
	assert_int_equal(hv_port_notify(fe), 0);
	assert_true(pending(w, be, true));
	pid = fork();
	if (pid == 0)
		_exit(read(fds[0], &port, sizeof(port)) != sizeof(port));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fds[0] = dup(fds[0]);
	assert_int_equal(hv_port_adopt(w->be, fds, 1, hv_port_number(be), &next), 0);
	assert_int_equal(hv_port_notify(fe), 0);
	assert_false(pending(w, next, false));
	hv_port_clear(next);
	assert_int_equal(hv_port_notify(fe), 0);
	assert_true(pending(w, next, true));
}

static void a_killed_stub_leaves_the_pages_whole(void **state)
{
	struct world *w = *state;
	hv_gref_t g[2] = {grant(w, 0, false), grant(w, 1, false)};
	int ready[2];
	void *again;
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct hv *be = open_as(w, HV_STUB, w->dom, NULL);
		struct hv_map m = {.gref = g[0]};
		void *ring;

		if (hv_map(be, w->dom, &m, 1) || hv_map_ring(be, w->dom, &g[1], 1, &ring))
			_exit(1);
		*(char *)m.addr = *(char *)ring = 99;
		_exit(write(ready[1], "x", 1) == 1 && pause() ? 2 : 3);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(hv_map_ring(w->be, w->dom, &g[1], 1, &again), 0); /* a standby has the ring at the same time */
	assert_int_equal(*(char *)again, 99);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	*(char *)again = 98;
	assert_int_equal(peek(page(w, 0)), 99);
	assert_int_equal(peek(page(w, 1)), 98);
	close(ready[0]);
	close(ready[1]);
}

/* Xen says something else of a domain behind the last one than of one between two. */
static void a_domain_that_is_not_there_is_gone(void **state)
{
	struct world *w = *state;

	for (hv_domid_t dom = 0x7f00; dom < 0x7f04; dom++)
		assert_int_equal(hv_domain_state(w->sup, dom), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest t[] = {
		T(a_domain_that_is_not_there_is_gone),
		T(an_event_read_by_the_dead_is_unmasked),
		T(a_killed_stub_leaves_the_pages_whole),
	};
	int failed;

	if (argc == 3) {
		guest = (hv_domid_t)atoi(argv[2]);
		xen.peek = hv_far_peek;
		xen.fill = hv_far_fill;
		if (hv_far_connect(argv[1])) {
			perror(argv[1]);
			return 1;
		}
	}
	failed = conform_hv_run(&xen) + cmocka_run_group_tests_name("xen's own", t, NULL, NULL);
	if (guest)
		hv_far_end();
	return failed;
}
