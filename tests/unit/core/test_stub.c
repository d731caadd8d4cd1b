/* bulkhead-blk itself over a real hub: started, killed, taken over, drained, refused. */
#include "tests/unit/core/stub_world.h"

static const char *const slow_disk = "mem:1M,delay=20";

/* ---- life and death */

static void serves_and_drains(void **state)
{
	struct stub_proc p;
	struct device d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	put_all(&d.q[0], BLKIF_OP_WRITE, 100);
	guest_finish(&d.q[0]);
	expect_all(&d.q[0], 100);
	stub_tell(&p, STUB_DRAIN, NS_PER_S);
	assert_int_equal(stub_says(&p, STUB_DRAINED).arg[0], 0);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_DRAINED);
	device_close(&d);
}

static void a_drain_answers_what_was_taken(void **state)
{
	struct stub_proc p;
	struct device d;

	(void)state;
	device_open(&world, &d, slow_disk, 1);
	start_fresh(&p, &d);
	put_all(&d.q[0], BLKIF_OP_WRITE, 7);
	stub_tell(&p, STUB_DRAIN, 5 * NS_PER_S);
	assert_int_equal(stub_says(&p, STUB_DRAINED).arg[0], 0);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_DRAINED);
	resume(&p, &d);
	assert_int_equal(stub_says(&p, STUB_RESUMED).arg[1], 0); /* nothing was left to be done again */
	guest_finish(&d.q[0]);
	expect_all(&d.q[0], 7);
	stub_kill(&p);
	device_close(&d);
}

static void killed_in_mid_work_it_answers_once(void **state)
{
	struct stub_proc p;
	struct device d;
	struct stub_msg m;
	uint64_t redone = 0;

	(void)state;
	device_open(&world, &d, slow_disk, 2);
	start_fresh(&p, &d);
	for (unsigned round = 0; round < 10; round++) {
		uint64_t until = clock_now() + round * 4 * NS_PER_MS;

		for (unsigned k = 0; k < 2; k++)
			put_all(&d.q[k], BLKIF_OP_WRITE, 1000 * round);
		while (clock_now() < until) {
			guest_take(&d.q[0]);
			pause_briefly();
		}
		stub_kill(&p);
		resume(&p, &d);
		m = stub_says(&p, STUB_RESUMED);
		assert_int_equal(m.generation, round + 2);
		for (unsigned k = 1; k < STUB_STEPS; k++)
			assert_true(m.at[k - 1] && m.at[k - 1] <= m.at[k]);
		assert_true(m.at[STUB_AT_UP] <= clock_now());
		redone += m.arg[1];
		for (unsigned k = 0; k < 2; k++)
			guest_finish(&d.q[k]);
		for (unsigned k = 0; k < 2; k++)
			expect_all(&d.q[k], 1000 * round);
	}
	assert_true(redone > 0);
	stub_kill(&p);
	device_close(&d);
}

/* ---- standby */

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_outages(const char *what, uint64_t *ns, unsigned n)
{
	qsort(ns, n, sizeof(*ns), ascending);
	print_message("%s: kill to first response: median %llu us, max %llu us (n %u)\n", what,
		      (unsigned long long)(ns[n / 2] / NS_PER_US), (unsigned long long)(ns[n - 1] / NS_PER_US), n);
}

/* The guest keeps its ring full and looks all the time, as a busy one does. */
static void refill(struct guest_queue *q)
{
	guest_take(q);
	for (unsigned id = 0; id < SLOTS; id++)
		if (!q->waits[id])
			guest_put(q, BLKIF_OP_READ, id, id);
	guest_push(q);
}

static void keep_busy_for(struct guest_queue *q, uint64_t ns)
{
	uint64_t until = clock_now() + ns;

	while (clock_now() < until)
		refill(q);
}

static uint64_t outage(struct device *d, struct stub_proc *p, struct stub_proc *next)
{
	struct guest_queue *q = &d->q[0];
	uint64_t killed;

	keep_busy_for(q, NS_PER_MS);
	killed = clock_now();
	kill(p->pid, SIGKILL);
	assert_true(readable(p->pidfd, DEADLINE_NS));
	refill(q); /* the dead one answers no more */
	if (next) {
		stub_tell(next, STUB_GO, 0);
	} else {
		stub_end(p);
		resume(p, d);
	}
	while (!guest_take(q) && clock_now() - killed < DEADLINE_NS)
		cpu_relax();
	return clock_now() - killed;
}

#define DEATHS 30u

static void a_standby_takes_over(void **state)
{
	const struct stub_how standby = {.standby = true, .kind = STUB_RESUME};
	uint64_t took[DEATHS];
	struct stub_proc p, next;
	struct device d, *dp = &d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	d.sd.conn.features |= CONN_PERSISTENT; /* as of every real guest */
	start_fresh(&p, &d);
	for (unsigned i = 0; i < DEATHS; i++) {
		stub_start(&next, &dp, 1, &standby);
		stub_says(&next, STUB_READY);
		took[i] = outage(&d, &p, &next);
		assert_int_equal(stub_says(&next, STUB_RESUMED).generation, i + 2);
		guest_finish(&d.q[0]);
		stub_end(&p);
		p = next;
	}
	assert_int_equal(d.q[0].wrong, 0);
	stub_kill(&p);
	print_outages("standby", took, DEATHS);
	device_close(&d);
}

static void a_plain_start_takes_over(void **state)
{
	uint64_t took[DEATHS];
	struct stub_proc p;
	struct device d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	d.sd.conn.features |= CONN_PERSISTENT; /* as of every real guest */
	start_fresh(&p, &d);
	for (unsigned i = 0; i < DEATHS; i++) {
		took[i] = outage(&d, &p, NULL);
		stub_says(&p, STUB_RESUMED);
		guest_finish(&d.q[0]);
	}
	assert_int_equal(d.q[0].wrong, 0);
	stub_kill(&p);
	print_outages("plain start", took, DEATHS);
	device_close(&d);
}

/* Called too early, it waits, says so, and stores nothing until the former one can store no more. */
static void a_standby_waits_for_the_journal(void **state)
{
	const struct stub_how standby = {.standby = true, .kind = STUB_RESUME};
	struct stub_proc p, next;
	struct device d, *dp = &d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	stub_start(&next, &dp, 1, &standby);
	stub_says(&next, STUB_READY);
	stub_tell(&next, STUB_GO, 0);
	stub_says(&next, STUB_FENCING);
	put_all(&d.q[0], BLKIF_OP_WRITE, 5);
	guest_finish(&d.q[0]); /* by the first, which is alive */
	stub_kill(&p);
	assert_true(stub_says(&next, STUB_FENCED).arg[0] > 0);
	assert_int_equal(stub_says(&next, STUB_RESUMED).generation, 2);
	expect_all(&d.q[0], 5);
	stub_kill(&next);
	device_close(&d);
}

/* ---- the supervisor goes away */

static void the_end_of_the_control_socket(void **state)
{
	const struct stub_how standby = {.standby = true, .kind = STUB_RESUME};
	struct stub_proc p, next;
	struct device d, *dp = &d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	stub_start(&next, &dp, 1, &standby);
	stub_says(&next, STUB_READY);
	shutdown(next.ctl, SHUT_RDWR);
	assert_int_equal(stub_exit_status(&next), EXIT_TEMPORARY);
	shutdown(p.ctl, SHUT_RDWR);
	put_all(&d.q[0], BLKIF_OP_WRITE, 3);
	guest_finish(&d.q[0]);
	expect_all(&d.q[0], 3);
	assert_false(readable(p.pidfd, 0));
	stub_kill(&p);
	device_close(&d);
}

static void pokes_are_answered(void **state)
{
	struct stub_proc p;
	struct device d;
	char c;

	(void)state;
	device_open(&world, &d, sync_disk, 2);
	start_fresh(&p, &d);
	for (unsigned i = 0; i < 10; i++)
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(send(p.poke[0][k], "?", 1, 0), 1);
			assert_true(readable(p.poke[0][k], DEADLINE_NS));
			assert_int_equal(recv(p.poke[0][k], &c, 1, 0), 1);
		}
	stub_kill(&p);
	device_close(&d);
}

/* ---- what cannot be served */

static void another_connections_journal_is_left_alone(void **state)
{
	uint64_t bytes = jrnl_file_bytes(SLOTS, 1);
	char *before = malloc(bytes), *after = malloc(bytes);
	struct stub_proc p;
	struct device d;
	int fd;

	(void)state;
	assert_true(before && after);
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	put_all(&d.q[0], BLKIF_OP_WRITE, 3);
	guest_finish(&d.q[0]);
	stub_kill(&p);
	fd = open(d.sd.journal, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, before, bytes, 0), bytes);
	d.sd.conn.epoch++;
	resume(&p, &d);
	stub_says(&p, STUB_MISMATCH);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_MISMATCH);
	assert_int_equal(pread(fd, after, bytes, 0), bytes);
	assert_memory_equal(before, after, bytes);
	close(fd);
	free(before);
	free(after);
	device_close(&d);
}

static void a_broken_ring_halts_its_device_only(void **state)
{
	struct device a, b, *both[] = {&a, &b};
	struct stub_proc p;
	struct stub_msg m;

	(void)state;
	device_open(&world, &a, sync_disk, 1);
	device_open(&world, &b, sync_disk, 1);
	stub_start(&p, both, 2, &(struct stub_how){0});
	stub_says(&p, STUB_CONNECTED);
	stub_says(&p, STUB_CONNECTED);
	a.q[0].req_prod += SLOTS + 1;
	guest_push(&a.q[0]);
	m = stub_says(&p, STUB_BROKEN);
	assert_int_equal(m.serial, a.sd.serial);
	assert_int_equal(m.arg[0], STUB_BROKEN_RING);
	put_all(&b.q[0], BLKIF_OP_WRITE, 9);
	guest_finish(&b.q[0]);
	expect_all(&b.q[0], 9);
	b.q[0].req_prod += 1u << 31;
	guest_push(&b.q[0]);
	assert_int_equal(stub_says(&p, STUB_BROKEN).serial, b.sd.serial);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_BROKEN); /* nothing is left to be served */
	device_close(&a);
	device_close(&b);
}

static void a_ring_that_was_not_granted_breaks_its_device_only(void **state)
{
	struct device a, b, *both[] = {&a, &b};
	struct stub_proc p;
	struct stub_msg m;

	(void)state;
	device_open(&world, &a, sync_disk, 1);
	device_open(&world, &b, sync_disk, 1);
	a.sd.conn.q[0].gref[0] = 4000000;
	stub_start(&p, both, 2, &(struct stub_how){0});
	m = stub_says(&p, STUB_BROKEN);
	assert_int_equal(m.serial, a.sd.serial);
	assert_int_equal(m.arg[0], STUB_BROKEN_RING);
	assert_non_null(strstr(m.text, "grant reference 4000000"));
	assert_int_equal(stub_says(&p, STUB_CONNECTED).serial, b.sd.serial);
	put_all(&b.q[0], BLKIF_OP_WRITE, 9);
	guest_finish(&b.q[0]);
	expect_all(&b.q[0], 9);
	b.q[0].req_prod += 1u << 31;
	guest_push(&b.q[0]);
	assert_int_equal(stub_says(&p, STUB_BROKEN).serial, b.sd.serial);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_BROKEN);
	device_close(&a);
	device_close(&b);
}

/* Fails to start: the text says why. */
static void refused(struct device *d, const char *word)
{
	struct stub_proc p;
	struct stub_msg m;

	stub_start(&p, &d, 1, &(struct stub_how){0});
	m = stub_says(&p, STUB_FAILED);
	if (!strstr(m.text, word))
		fail_msg("\"%s\" does not say \"%s\"", m.text, word);
	assert_int_equal(m.serial, d->sd.serial);
	assert_true(m.arg[0] > 0);
	assert_int_equal(stub_exit_status(&p), STUB_EXIT_FAILED);
}

static void what_cannot_start_says_why(void **state)
{
	struct device d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	d.sd.want_ino = 12345;
	d.sd.want_dev = 1;
	refused(&d, "another file");
	d.sd.want_ino = d.sd.want_dev = 0;
	snprintf(d.sd.spec, sizeof(d.sd.spec), "mem:2");
	refused(&d, "mem");
	snprintf(d.sd.spec, sizeof(d.sd.spec), "%s", sync_disk);
	d.sd.conn.domid++;
	refused(&d, "");
	d.sd.conn.domid--;
	d.sd.conn.type = CONN_VIF;
	refused(&d, "type");
	d.sd.conn.type = CONN_VBD;
	assert_int_equal(chmod(d.sd.journal, 0620), 0);
	refused(&d, "written by others");
	assert_int_equal(chmod(d.sd.journal, 0600), 0);
	assert_int_equal(truncate(d.sd.journal, 4096), 0);
	refused(&d, "size");
	unlink(d.sd.journal);
	refused(&d, "journal");
	assert_int_equal(symlink("/dev/zero", d.sd.journal), 0);
	refused(&d, "journal");
	device_close(&d);
}

/* ---- probe */

static void probe_tells_the_geometry(void **state)
{
	struct stub_proc p;
	struct stub_probe got;
	struct device d, *dp = &d;

	(void)state;
	device_open(&world, &d, sync_disk, 1);
	stub_start(&p, &dp, 1, &(struct stub_how){.arg = "--probe"});
	assert_true(readable(p.ctl, DEADLINE_NS));
	assert_int_equal(recv(p.ctl, &got, sizeof(got), 0), sizeof(got));
	assert_int_equal(got.sectors, DISK_BYTES / 512);
	assert_int_equal(got.sector_size, 512);
	assert_int_equal(stub_exit_status(&p), EXIT_DONE);
	snprintf(d.sd.spec, sizeof(d.sd.spec), "mem:3");
	stub_start(&p, &dp, 1, &(struct stub_how){.arg = "--probe"});
	assert_true(strlen(stub_says(&p, STUB_FAILED).text) > 0);
	assert_int_equal(stub_exit_status(&p), EXIT_USAGE);
	device_close(&d);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		T(serves_and_drains),
		T(a_drain_answers_what_was_taken),
		T(killed_in_mid_work_it_answers_once),
		T(a_standby_takes_over),
		T(a_plain_start_takes_over),
		T(a_standby_waits_for_the_journal),
		T(the_end_of_the_control_socket),
		T(pokes_are_answered),
		T(another_connections_journal_is_left_alone),
		T(a_broken_ring_halts_its_device_only),
		T(a_ring_that_was_not_granted_breaks_its_device_only),
		T(what_cannot_start_says_why),
		T(probe_tells_the_geometry),
	};

	return cmocka_run_group_tests(t, open_world, close_world);
}
