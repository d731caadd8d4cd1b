/* The rules of the generations' lock bytes, with several descriptions of one file in one process. */
#include "backend/engine/ofd_fence.h"
#include "tests/conform/engine_rig.h"

static char dir[256], path[300];

static int setup(void **state)
{
	(void)state;
	rig_dir(dir, sizeof(dir), false);
	snprintf(path, sizeof(path), "%s/image", dir);
	rig_make_image(path, 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct ofd_fence open_fence(uint64_t base)
{
	struct ofd_fence f = {.fd = open(path, O_RDWR | O_CLOEXEC), .base = base};

	assert_true(f.fd >= 0);
	return f;
}

static void test_one_owner(void **state)
{
	struct ofd_fence a = open_fence(ENGINE_FENCE_BASE), b = open_fence(ENGINE_FENCE_BASE);
	struct ofd_fence other = open_fence(ENGINE_FENCE_BASE + ENGINE_FENCE_GENERATIONS);

	(void)state;
	assert_int_equal(ofd_fence_take(&a, 7, false), 0);
	assert_int_equal(ofd_fence_take(&b, 7, false), -EBUSY);
	assert_int_equal(ofd_fence_take(&b, 1, true), -EAGAIN);
	assert_int_equal(ofd_fence_take(&other, 1, true), 0); /* a range of its own does not care */
	close(a.fd);
	assert_int_equal(ofd_fence_take(&b, 1, true), 0);
	assert_int_equal(ofd_fence_poll(&b), 1);
	close(b.fd);
	close(other.fd);
}

static void test_waits_for_all_before(void **state)
{
	struct ofd_fence g[5];

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		g[i] = open_fence(ENGINE_FENCE_BASE);
		assert_int_equal(ofd_fence_take(&g[i], i, false), 0);
	}
	assert_int_equal(ofd_fence_poll(&g[1]), 1); /* nobody before it */
	assert_int_equal(ofd_fence_poll(&g[4]), 0);
	close(g[3].fd);
	assert_int_equal(ofd_fence_poll(&g[4]), 0); /* 1 and 2 run */
	close(g[1].fd);
	assert_int_equal(ofd_fence_poll(&g[4]), 0); /* 2 runs: dying later than 3 */
	assert_int_equal(ofd_fence_poll(&g[2]), 1);
	assert_int_equal(ofd_fence_poll(&g[4]), 0);
	close(g[2].fd);
	assert_int_equal(ofd_fence_poll(&g[4]), 1);
	assert_int_equal(ofd_fence_poll(&g[4]), 1); /* and stays so */
	g[2] = open_fence(ENGINE_FENCE_BASE);
	assert_int_equal(ofd_fence_take(&g[2], 2, false), -EBUSY); /* started late: too late */
	close(g[2].fd);
	close(g[4].fd);
}

static void test_fresh_gives_back(void **state)
{
	struct ofd_fence a = open_fence(ENGINE_FENCE_BASE), b = open_fence(ENGINE_FENCE_BASE);

	(void)state;
	assert_int_equal(ofd_fence_take(&a, 5, true), 0);
	assert_int_equal(ofd_fence_take(&b, 6, false), 0);
	assert_int_equal(ofd_fence_poll(&b), 0);
	close(a.fd);
	assert_int_equal(ofd_fence_poll(&b), 1);
	close(b.fd);
}

static void test_read_only_cannot_lock(void **state)
{
	struct ofd_fence f = {.fd = open(path, O_RDONLY | O_CLOEXEC), .base = ENGINE_FENCE_BASE};

	(void)state;
	assert_int_equal(ofd_fence_take(&f, 1, false), -EBADF);
	close(f.fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_all_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh_gives_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_cannot_lock, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
