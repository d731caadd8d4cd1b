/* The supervisor with its real keeper, hub and store, and stubs that serve no ring (fake_stub.h): this program is the stub
 * when it is called bulkhead-blk. */
#include "fake_stub.h"

#include "world.h"

/* ---- what is promised */

static void deaths_are_repaired(void **state)
{
	struct guest *g;
	struct ctl_dev d, e;

	(void)state;
	need_programs();
	g = guest_new("deaths");
	d = bring_up(g, "mem:1M");
	assert_string_equal(d.vdev, "xvda");
	assert_string_equal(d.domain, "deaths");
	assert_int_equal(d.size_bytes, 1 << 20);
	assert_int_equal(d.generation, 1);
	for (unsigned i = 1; i <= 5; i++) {
		static const int sig[] = {SIGKILL, SIGSEGV, SIGSTOP, SIGABRT, SIGKILL};

		d = wait_state(g, CTL_UP, true);
		kill(d.pid, sig[i - 1]);
		e = wait_other(g, d.pid);
		assert_int_equal(e.pid, d.standby_pid);
		assert_int_equal(e.generation, d.generation + 1);
		assert_int_equal(e.restarts, i);
		assert_true(e.last_outage_ns > 0);
	}
	/* Nobody outside saw any of it. */
	assert_int_equal(node_state(g->back), XenbusStateConnected);
}

static void without_a_standby_one_is_started(void **state)
{
	struct guest *g;
	struct ctl_dev d, e;

	(void)state;
	need_programs();
	g = guest_new("alone");
	d = bring_up(g, "mem:1M,standby=no");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(d.standby_pid, 0);
		kill(d.pid, i % 2 ? SIGKILL : SIGSEGV);
		e = wait_other(g, d.pid);
		assert_int_equal(e.generation, d.generation + 1);
		d = e;
	}
}

static void a_deaf_stub_is_hung(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	g = guest_new("deaf");
	d = bring_up(g, "mem:1M,deaf=1,standby=no,hang-ms=20");
	assert_true(wait_other(g, d.pid).generation >= d.generation + 1);
}

static void a_successor_adopts(void **state)
{
	struct guest *g;
	struct ctl_dev d, e;

	(void)state;
	need_programs();
	g = guest_new("adopted");
	d = bring_up(g, "mem:1M");
	kill_supervisor();
	e = wait_state(g, CTL_UP, true);
	assert_int_equal(e.pid, d.pid);
	assert_int_equal(e.standby_pid, d.standby_pid);
	assert_int_equal(e.generation, d.generation);
	/* It can still tell a death, and the standby it did not start takes over. */
	kill(e.pid, SIGKILL);
	assert_int_equal(wait_other(g, e.pid).pid, e.standby_pid);
	/* And both at once. */
	d = wait_state(g, CTL_UP, true);
	kill(d.pid, SIGKILL);
	kill_supervisor();
	assert_int_equal(wait_other(g, d.pid).generation, d.generation + 1);
}

static void close_and_connect_again(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	g = guest_new("again");
	d = bring_up(g, "mem:1M");
	set_front_state(g, XenbusStateClosing);
	wait_node(g->back, XenbusStateClosing);
	set_front_state(g, XenbusStateClosed);
	wait_node(g->back, XenbusStateClosed);
	assert_int_equal(kill(d.pid, 0), -1);
	assert_int_equal(kill(d.standby_pid, 0), -1);
	set_front_state(g, XenbusStateInitialising);
	wait_node(g->back, XenbusStateInitWait);
	ask(g);
	wait_node(g->back, XenbusStateConnected);
	d = wait_state(g, CTL_UP, true);
	assert_int_equal(d.generation, 1);
}

static void detach_lets_go(void **state)
{
	struct guest *g;

	(void)state;
	need_programs();
	g = guest_new("leaves");
	bring_up(g, "mem:1M");
	detach(g);
	assert_int_equal(attach(g, "mem:2M", false), 0);
	wait_node(g->back, XenbusStateInitWait);
}

/* Without a word to the backend, as `xenstore-rm` does. */
static void nodes_that_vanish_end_the_device(void **state)
{
	struct guest *g;
	struct ctl_dev d;
	pid_t pid;

	(void)state;
	need_programs();
	pid = supervisor();
	g = guest_new("vanished");
	d = bring_up(g, "mem:1M");
	assert_int_equal(xsc_sync_rm(w.xs, g->back), 0);
	wait_forgotten(g);
	assert_int_equal(kill(d.pid, 0), -1);
	assert_int_equal(supervisor(), pid);
}

/* The domain ends, and its nodes with it, while there is no supervisor. */
static void what_ends_unseen_is_let_go(void **state)
{
	char image[128];
	struct guest *g, *other;
	pid_t pid;
	int fd;

	(void)state;
	need_programs();
	snprintf(image, sizeof(image), "%s/unseen.img", w.dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	g = guest_new("unseen");
	bring_up(g, image);
	pid = supervisor();
	assert_int_equal(kill(w.keep, SIGSTOP), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	destroy(g);
	assert_int_equal(xsc_sync_rm(w.xs, g->back), 0);
	assert_int_equal(kill(w.keep, SIGCONT), 0);
	wait_forgotten(g);
	other = guest_new("heir");
	assert_int_equal(attach(other, image, false), 0);
	wait_node(other->back, XenbusStateInitWait);
}

static void what_is_detached_unseen_is_let_go(void **state)
{
	struct guest *g;

	(void)state;
	need_programs();
	g = guest_new("unseen2");
	bring_up(g, "mem:1M");
	detach_unseen(g);
}

/* Both ends are put back as they were, by whoever is the supervisor then, and mean what they did. */
static void a_store_that_forgets_is_told(void **state)
{
	struct ctl_dev d;
	struct guest *g;

	(void)state;
	need_programs();
	g = guest_new("forgotten");
	d = bring_up(g, "mem:1M");
	for (int i = 0; i < 3; i++) {
		forget_store(i == 1);
		ends_are_back(g, d.pid);
		has_value(g->back, "params", "mem:1M");
		has_value(g->back, "sectors", "2048");
	}
	/* It can be connected anew ... */
	wait_introduced(g->domid);
	set_front_state(g, XenbusStateClosing);
	wait_node(g->back, XenbusStateClosing);
	set_front_state(g, XenbusStateClosed);
	wait_node(g->back, XenbusStateClosed);
	set_front_state(g, XenbusStateInitialising);
	wait_node(g->back, XenbusStateInitWait);
	ask(g);
	wait_node(g->back, XenbusStateConnected);
	/* ... and taken away, or goes with its domain. */
	forget_store(false);
	wait_node(g->back, XenbusStateConnected);
	detach(g);
	for (int first = 0; first < 2; first++) { /* what goes first: the domain, or its nodes, as with xl */
		g = guest_new(first ? "forgotten3" : "forgotten2");
		bring_up(g, "mem:1M");
		forget_store(false);
		wait_node(g->back, XenbusStateConnected);
		if (first) {
			assert_int_equal(xsc_sync_rm(w.xs, g->front), 0);
			wait_node(g->back, XenbusStateClosed);
		}
		destroy(g);
		wait_forgotten(g);
		assert_int_equal(node_state(g->back), 0);
	}
}

static bool fence_byte(int fd, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)1 << 40, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static bool reserved(const char *image)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 200};
	int fd = open(image, O_RDWR | O_CLOEXEC);
	bool is = fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;

	close(fd);
	return is;
}

/* Reaped is not fenced: a dead stub's I/O, here a lock of ours, keeps the image from others, over a supervisor's death too. */
static void an_image_stays_reserved_until_its_io_has_ended(void **state)
{
	uint64_t until = clock_now() + WITHIN_NS;
	char image[128], path[192], text[256] = "";
	struct guest *g, *heir;
	int fd;

	(void)state;
	need_programs();
	snprintf(image, sizeof(image), "%s/late.img", w.dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	g = guest_new("late");
	bring_up(g, image);
	assert_true(fence_byte(fd, F_WRLCK));
	assert_int_equal(xsc_sync_rm(w.xs, g->back), 0);
	wait_forgotten(g);
	assert_true(reserved(image));
	kill_supervisor();
	heir = guest_new("heir2");
	assert_int_equal(attach(heir, image, false), 0);
	snprintf(path, sizeof(path), "%s/error", heir->back);
	while (xsc_sync_read(w.xs, path, text, sizeof(text)) && clock_now() < until)
		usleep(2000);
	assert_non_null(strstr(text, "dead stub"));
	assert_true(reserved(image));
	assert_int_equal(node_state(heir->back), XenbusStateInitialising);
	assert_true(fence_byte(fd, F_UNLCK));
	wait_node(heir->back, XenbusStateInitWait);
	close(fd);
}

static void bad_storage_is_said_in_one_line(void **state)
{
	static const struct {
		const char *params, *part;
	} bad[] = {
		{"/nowhere/at/all.img", "no such file"}, {"/tmp", "directory"},	   {"mem:lots", "size"},
		{"mem:bad1", "size"},			 {"relative.img", "PATH"}, {"mem:1M,standby=perhaps", "yes or no"},
		{"mem:1M,hang-ms=soon", "whole number"}, {"null:bad", "does not like"},
	};
	(void)state;
	need_programs();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char name[16], path[192], text[256] = "";
		uint64_t until = clock_now() + WITHIN_NS;
		struct guest *g;

		snprintf(name, sizeof(name), "bad%zu", i);
		g = guest_new(name);
		assert_int_equal(attach(g, bad[i].params, false), 0);
		snprintf(path, sizeof(path), "%s/error", g->back);
		while (xsc_sync_read(w.xs, path, text, sizeof(text)) && clock_now() < until)
			usleep(2000);
		if (!strstr(text, bad[i].part))
			print_message("%s: '%s' does not say '%s'\n", bad[i].params, text, bad[i].part);
		assert_non_null(strstr(text, bad[i].part));
		assert_int_equal(wait_state(g, CTL_FAILED, false).pid, 0);
	}
}

static void an_image_has_one_writer(void **state)
{
	char image[128], path[192], text[256] = "";
	uint64_t until = clock_now() + WITHIN_NS;
	struct guest *a, *b;

	(void)state;
	need_programs();
	snprintf(image, sizeof(image), "%s/disk.img", w.dir);
	close(open(image, O_CREAT | O_RDWR, 0666));
	assert_int_equal(truncate(image, 1 << 20), 0);
	a = guest_new("owner");
	b = guest_new("other");
	assert_int_equal(attach(a, image, false), 0);
	wait_node(a->back, XenbusStateInitWait);
	assert_int_equal(attach(b, image, true), 0);
	snprintf(path, sizeof(path), "%s/error", b->back);
	while (xsc_sync_read(w.xs, path, text, sizeof(text)) && clock_now() < until)
		usleep(2000);
	assert_non_null(strstr(text, "in use as xvda of owner"));
}

static void a_broken_ring_halts_and_ends_by_561(void **state)
{
	struct guest *g;
	struct ctl_dev d;

	(void)state;
	need_programs();
	g = guest_new("broken");
	assert_int_equal(attach(g, "mem:1M,broken=1", false), 0);
	wait_node(g->back, XenbusStateInitWait);
	ask(g);
	d = wait_state(g, CTL_BROKEN, false);
	assert_non_null(strstr(d.text, "said by the fake stub"));
	assert_int_equal(d.pid, 0);
	wait_node(g->back, XenbusStateConnected);
	set_front_state(g, XenbusStateClosing);
	wait_node(g->back, XenbusStateClosing);
	set_front_state(g, XenbusStateClosed);
	wait_node(g->back, XenbusStateClosed);
	set_front_state(g, XenbusStateInitialising);
	wait_node(g->back, XenbusStateInitWait);
}

static void operators_wishes(void **state)
{
	struct ctl_req q = {.op = CTL_RESTART, .devid = DEVID};
	struct ctl_reply r;
	struct guest *g;
	struct ctl_dev d, e;
	int fd;

	(void)state;
	need_programs();
	g = guest_new("operator");
	d = bring_up(g, "mem:1M");
	q.domid = g->domid;
	fd = ctl();
	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	e = wait_other(g, d.pid);
	assert_int_equal(e.restarts, 0); /* planned: no death */
	assert_int_equal(e.generation, d.generation + 1);
	e = wait_state(g, CTL_UP, true);
	q.op = CTL_KILL;
	q.arg = SIGSEGV;
	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	e = wait_other(g, e.pid);
	assert_int_equal(e.restarts, 1);
	q.arg = 63;
	assert_int_equal(ctl_client_ask(fd, &q, &r), -EINVAL);
	assert_true(r.text[0]);
	q.op = CTL_RESET;
	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	wait_node(g->back, XenbusStateClosed);
	set_front_state(g, XenbusStateInitialising);
	wait_node(g->back, XenbusStateInitWait);
	q.devid = 1;
	assert_int_equal(ctl_client_ask(fd, &q, &r), -ENOENT);
	close(fd);
}

static void one_stub_for_all(void **state)
{
	struct guest *a, *b;
	struct ctl_dev d, e;

	(void)state;
	need_programs();
	a = guest_new("first");
	b = guest_new("second");
	bring_up(a, "mem:1M");
	d = bring_up(b, "mem:1M");
	e = wait_state(a, CTL_UP, true);
	assert_int_equal(e.pid, d.pid);
	kill(d.pid, SIGKILL);
	d = wait_other(a, d.pid);
	e = wait_other(b, e.pid);
	assert_int_equal(e.pid, d.pid);
	/* One of them leaves; the other is served on. */
	set_front_state(b, XenbusStateClosed);
	wait_node(b->back, XenbusStateClosed);
	wait_state(a, CTL_UP, true);
	assert_int_equal(node_state(a->back), XenbusStateConnected);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deaths_are_repaired),
		cmocka_unit_test(without_a_standby_one_is_started),
		cmocka_unit_test(a_deaf_stub_is_hung),
		cmocka_unit_test(a_successor_adopts),
		cmocka_unit_test(close_and_connect_again),
		cmocka_unit_test(detach_lets_go),
		cmocka_unit_test(nodes_that_vanish_end_the_device),
		cmocka_unit_test(what_ends_unseen_is_let_go),
		cmocka_unit_test(what_is_detached_unseen_is_let_go),
		cmocka_unit_test(a_store_that_forgets_is_told),
		cmocka_unit_test(an_image_stays_reserved_until_its_io_has_ended),
		cmocka_unit_test(bad_storage_is_said_in_one_line),
		cmocka_unit_test(an_image_has_one_writer),
		cmocka_unit_test(a_broken_ring_halts_and_ends_by_561),
		cmocka_unit_test(operators_wishes),
	};
	const struct CMUnitTest shared[] = {cmocka_unit_test(one_stub_for_all)};
	int status;

	if (fake_stub_main(argc, argv, &status))
		return status;
	alarm(240);
	if (getenv("TEST"))
		cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, up_per_device, world_down) +
	       cmocka_run_group_tests(shared, up_monolithic, world_down);
}
