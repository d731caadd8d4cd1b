/* ring/os/acceptor: connections come through; without descriptors they wait, and the loop sleeps meanwhile. */
#include "ring/base/base.h"
#include "ring/base/log.h"
#include "ring/os/acceptor.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	char dir[64], path[80];
	struct loop *loop;
	struct acceptor a;
	unsigned n;
};

static void taken(struct acceptor *a, int fd)
{
	CONTAINER_OF(a, struct rig, a)->n++;
	close(fd);
}

static int setup(void **state)
{
	static struct rig r;

	r = (struct rig){.dir = "/tmp/bulkhead-acceptor.XXXXXX"};
	log_init("test", LOG_LVL_ERROR);
	assert_non_null(mkdtemp(r.dir));
	snprintf(r.path, sizeof(r.path), "%s/sock", r.dir);
	assert_int_equal(loop_open(&r.loop), 0);
	assert_int_equal(acceptor_start(&r.a, r.loop, fdmsg_listen(r.path, 0600), taken), 0);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	acceptor_stop(&r->a);
	acceptor_stop(&r->a);
	loop_close(r->loop);
	unlink(r->path);
	rmdir(r->dir);
	return 0;
}

static void each_connection_is_handed_out(void **state)
{
	struct rig *r = *state;
	int a = fdmsg_connect(r->path), b = fdmsg_connect(r->path);

	while (r->n < 2)
		assert_int_equal(loop_once(r->loop, NS_PER_S), 0);
	close(a);
	close(b);
}

/* Room for no descriptor more: one round finds that out, the next ones sleep until the timer. */
static void without_descriptors_it_rests(void **state)
{
	struct rig *r = *state;
	int c = fdmsg_connect(r->path), lowest = dup(c);
	struct rlimit was, none;
	uint64_t begin;

	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_once(r->loop, NS_PER_S);
	begin = clock_now();
	loop_once(r->loop, 20 * NS_PER_MS);
	assert_true(clock_now() - begin >= 19 * NS_PER_MS);
	assert_int_equal(r->n, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	while (r->n < 1)
		assert_int_equal(loop_once(r->loop, NS_PER_S), 0);
	close(c);
}

static void an_error_in_place_of_a_socket_comes_back(void **state)
{
	struct rig *r = *state;
	struct acceptor a = {0};

	acceptor_stop(&a);
	assert_int_equal(acceptor_start(&a, r->loop, -13, taken), -13);
	acceptor_stop(&a);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test_setup_teardown(each_connection_is_handed_out, setup, teardown),
		cmocka_unit_test_setup_teardown(without_descriptors_it_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(an_error_in_place_of_a_socket_comes_back, setup, teardown),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
