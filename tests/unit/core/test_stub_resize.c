/* bulkhead-blk, whose disk grows and shrinks under it: what is served follows when it is told, and whenever a stub begins. */
#include "tests/unit/core/stub_world.h"

#define SECTORS (DISK_BYTES / 512)
#define FAR (DISK_BYTES / BH_PAGE_SIZE) /* the first block behind the end */

static void set_size(struct device *d, uint64_t bytes) { assert_int_equal(ftruncate(d->image, (off_t)bytes), 0); }

static uint64_t resized(struct stub_proc *p)
{
	stub_tell(p, STUB_RESIZE, 0);
	return stub_says(p, STUB_RESIZED).arg[0];
}

/* Whether a write to that block is answered well. */
static bool can_write(struct guest_queue *q, unsigned block)
{
	uint64_t wrong = q->wrong;

	guest_put(q, BLKIF_OP_WRITE, 0, block);
	guest_push(q);
	guest_finish(q);
	return q->wrong == wrong;
}

static void it_grows(void **state)
{
	const struct stub_how standby = {.standby = true, .kind = STUB_RESUME};
	struct stub_proc p, next;
	struct device d, *dp = &d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	stub_start(&next, &dp, 1, &standby);
	stub_says(&next, STUB_READY);
	assert_int_equal(resized(&p), SECTORS);
	set_size(&d, 2 * DISK_BYTES);
	assert_false(can_write(&d.q[0], FAR));
	assert_int_equal(resized(&p), 2 * SECTORS);
	assert_true(can_write(&d.q[0], FAR));
	assert_false(can_write(&d.q[0], 2 * FAR));
	/* The standby has opened it when it was small, and was told nothing. */
	stub_kill(&p);
	stub_tell(&next, STUB_GO, 0);
	assert_int_equal(stub_says(&next, STUB_RESUMED).arg[2], 2 * SECTORS);
	assert_true(can_write(&d.q[0], 2 * FAR - 1));
	stub_kill(&next);
	device_close(&d);
}

/* A request that was fit when it was taken is no mark of a corrupt journal when its disk has become too small for it. */
static void it_shrinks_under_requests(void **state)
{
	unsigned shrunk = 0;
	struct stub_proc p;
	struct device d;

	(void)state;
	device_open(&world, &d, "mem:1M,delay=40", 1);
	start_fresh(&p, &d);
	for (unsigned round = 1; round <= 5; round++) {
		uint64_t wrong = d.q[0].wrong;
		bool half;

		set_size(&d, DISK_BYTES);
		assert_int_equal(resized(&p), SECTORS);
		for (unsigned id = 0; id < SLOTS; id++)
			guest_put(&d.q[0], round % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ, id, id * (FAR / SLOTS));
		guest_push(&d.q[0]);
		for (unsigned i = 0; i < round; i++)
			pause_briefly();
		set_size(&d, DISK_BYTES / 2);
		stub_kill(&p);
		resume(&p, &d);
		half = stub_says(&p, STUB_RESUMED).arg[2] == SECTORS / 2;
		guest_finish(&d.q[0]);
		/* A write that was on its way may have made the store longer again. */
		assert_true(half ? d.q[0].wrong - wrong == SLOTS / 2 : round % 2);
		shrunk += half;
	}
	assert_true(shrunk >= 2);
	stub_kill(&p);
	device_close(&d);
}

/* Too small to be a disk: the former size stays, and what is gone is answered with an error. */
static void it_is_emptied(void **state)
{
	struct stub_proc p;
	struct stub_msg m;
	struct device d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	set_size(&d, 0);
	stub_tell(&p, STUB_RESIZE, 0);
	m = stub_says(&p, STUB_RESIZED);
	assert_int_equal(m.arg[0], SECTORS);
	assert_int_equal(m.arg[1], EINVAL);
	guest_put(&d.q[0], BLKIF_OP_READ, 0, 1);
	guest_push(&d.q[0]);
	guest_finish(&d.q[0]);
	assert_int_equal(d.q[0].wrong, 1);
	stub_kill(&p);
	device_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_grows),
		T(it_shrinks_under_requests),
		T(it_is_emptied),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
