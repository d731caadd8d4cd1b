/* Memory that ends at every possible place, and logs that end at every possible byte: the store is as before or as after.
 * malloc and its kin are this file's; with a sanitizer they are its own, and these tests are skipped. */
#include "tests/unit/store/store_rig.h"
#include "xenstore-glue/store/xs_log.h"

#include <fcntl.h>
#include <unistd.h>

#ifndef BULKHEAD_SAN
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);

static long countdown = -1; /* this many more succeed; negative: all */

static bool fails(void) { return countdown >= 0 && countdown-- == 0; }
void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return fails() ? NULL : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }

static int swallow(struct xs_recorder *rec, const void *p, size_t len)
{
	(void)rec, (void)p, (void)len;
	return 0;
}

/* Number of nodes and what one of them holds: enough to tell before from after. */
static uint64_t print_of(struct rig *r)
{
	uint64_t sum = r->st->nodes.count;

	for (struct xs_slot *s = xs_table_next(&r->st->nodes, NULL); s; s = xs_table_next(&r->st->nodes, s)) {
		struct xs_node *n = CONTAINER_OF(s, struct xs_entry, slot)->node;

		for (uint32_t i = 0; i < n->datalen; i++)
			sum += s->hash * (uint64_t)(unsigned char)n->data[i];
		sum += s->hash * (n->nperms + n->childlen * 7ull + n->perms[0].domid * 131ull);
	}
	return sum;
}

static int one_op(struct rig *r, int which)
{
	struct xs_txns t;
	struct xs_txn *x;
	int rc;

	switch (which) {
	case 0:
		return rig_do(r, 5, RIG_WRITE, "p/q/r/s", "new");
	case 1:
		return rig_do(r, 5, RIG_RM, "a", NULL);
	case 2:
		return rig_do(r, 5, RIG_PERMS, "a/b", "n5 r6");
	case 3:
		return rig_release(r, 6);
	default:
		xs_txns_init(&t);
		rc = xs_txn_start(&t, r->st, 5, &x);
		if (rc < 0)
			return rc;
		rig_in(r, x, RIG_WRITE, "a/b", "2");
		rig_in(r, x, RIG_RM, "a/c", NULL);
		rig_in(r, x, RIG_WRITE, "t/u", "2");
		return rig_end(r, &t, x, true);
	}
}

static void memory_ends_anywhere(void **state)
{
	struct xs_recorder rec = {swallow};

	(void)state;
	for (int which = 0; which < 5; which++) {
		for (long k = 0;; k++) {
			struct rig r = {0};
			uint64_t before;
			int rc;

			assert_int_equal(xs_store_open(&r.st, 1), 0);
			rig_guest(&r, 5);
			rig_guest(&r, 6);
			rig_do(&r, 5, RIG_WRITE, "a/b", "1");
			rig_do(&r, 5, RIG_WRITE, "a/c/d", "1");
			rig_do(&r, 0, RIG_PERMS, "/tool", "n0 r6");
			r.st->recorder = &rec;
			before = print_of(&r);
			countdown = k;
			rc = one_op(&r, which);
			countdown = -1;
			rig_check(&r);
			assert_int_equal(xs_store_dom(r.st, 5)->held, 0);
			if (rc < 0) {
				assert_int_equal(rc, -ENOMEM);
				assert_true(print_of(&r) == before);
			} else {
				assert_true(print_of(&r) != before);
			}
			r.st->recorder = NULL;
			xs_store_close(r.st);
			if (rc == 0)
				break;
			assert_in_range(k, 0, 500);
		}
	}
}
#else
static void memory_ends_anywhere(void **state)
{
	(void)state;
	print_message("the sanitizer owns malloc\n");
	skip();
}
#endif

static void put_file(int dir, const char *p, size_t len)
{
	int fd = openat(dir, XS_LOG_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, p, len), len);
	close(fd);
}

/* Every prefix of the log, and every bit of its last record turned. */
static void a_log_cut_anywhere(void **state)
{
	char name[] = "/tmp/xs-log-XXXXXX", file[64], buf[8192], was[16] = "";
	int dir = open(mkdtemp(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct rig r = {0};
	uint64_t dropped, whole[5];
	struct xs_log *log;
	ssize_t len;

	(void)state;
	assert_int_equal(xs_store_open(&r.st, 1), 0);
	assert_int_equal(xs_log_open(&log, dir, r.st, &dropped), 0);
	whole[0] = xs_log_size(log);
	for (int i = 1; i < 5; i++) {
		snprintf(was, sizeof(was), "%d", i);
		assert_int_equal(rig_do(&r, 0, RIG_WRITE, "/n/x", was), 0);
		whole[i] = xs_log_size(log);
	}
	fd = openat(dir, XS_LOG_NAME, O_RDONLY | O_CLOEXEC);
	len = read(fd, buf, sizeof(buf));
	close(fd);
	assert_int_equal(len, whole[4]);
	xs_log_close(log);
	xs_store_close(r.st);
	for (size_t cut = whole[0]; cut <= (size_t)len + 64; cut++) {
		bool flip = cut > (size_t)len;
		int records = 0;

		if (flip)
			buf[whole[3] + (cut - (size_t)len)] ^= 0x10;
		put_file(dir, buf, flip ? (size_t)len : cut);
		if (flip)
			buf[whole[3] + (cut - (size_t)len)] ^= 0x10;
		while (records < 4 && whole[records + 1] <= cut)
			records++;
		if (flip)
			records = 3;
		assert_int_equal(xs_store_open(&r.st, 1), 0);
		assert_int_equal(xs_log_open(&log, dir, r.st, &dropped), 0);
		assert_int_equal(dropped, (flip ? (size_t)len : cut) - whole[records]);
		snprintf(was, sizeof(was), "%d", records);
		assert_int_equal(rig_do(&r, 0, RIG_READ, "/n/x", NULL), records ? 0 : -ENOENT);
		if (records)
			assert_string_equal(r.value, was);
		rig_check(&r);
		xs_log_close(log);
		xs_store_close(r.st);
	}
	put_file(dir, "something else altogether", 25);
	assert_int_equal(xs_store_open(&r.st, 1), 0);
	assert_int_equal(xs_log_open(&log, dir, r.st, &dropped), -EBADMSG);
	xs_store_close(r.st);
	snprintf(file, sizeof(file), "%s/" XS_LOG_NAME, name);
	unlink(file);
	rmdir(name);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_ends_anywhere),
		cmocka_unit_test(a_log_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
