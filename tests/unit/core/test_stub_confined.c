/* bulkhead-blk itself: what it gave up when it serves, and how much memory it keeps. */
#include "tests/unit/core/stub_world.h"

#include <dirent.h>

#ifdef BULKHEAD_SAN
static const bool in_sanitizer = true; /* stays dumpable */
#else
static const bool in_sanitizer = false;
#endif

static void read_text(char *text, size_t size, const char *fmt, pid_t pid, const char *rest)
{
	char path[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), fmt, pid, rest);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, text, size - 1);
	assert_true(n > 0);
	text[n] = '\0';
	close(fd);
}

static void every_thread_is_powerless(pid_t pid, uint32_t uid)
{
	char path[64], text[8192], ids[64];
	unsigned threads = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	snprintf(ids, sizeof(ids), "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		read_text(text, sizeof(text), "/proc/%d/task/%s/status", pid, e->d_name);
		if (!strstr(text, ids) || !strstr(text, "CapPrm:\t0000000000000000") ||
		    !strstr(text, "CapEff:\t0000000000000000") || !strstr(text, "NoNewPrivs:\t1"))
			fail_msg("thread %s has rights left:\n%s", e->d_name, text);
		threads++;
	}
	closedir(dir);
	assert_true(threads >= 2);
}

/* Nothing that the record did not name: no terminal's, no test's descriptor. */
static void no_descriptor_of_ours(pid_t pid)
{
	char path[64], target[256];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		if (strstr(target, "stray"))
			fail_msg("descriptor %s is %s", e->d_name, target);
	}
	closedir(dir);
}

/* options: NULL for a disk in memory, else of one in a file. */
static void confined(const char *options, uint32_t uid)
{
	int stray = memfd_create("stray", 0); /* not close-on-exec: somebody's mistake */
	struct stub_proc p;
	struct device d, *dp = &d;
	struct stat st;
	char path[64];

	device_open(&world, &d, sync_disk, 1);
	if (options)
		snprintf(d.sd.spec, sizeof(d.sd.spec), "file:%s,%s", d.image_path, options);
	stub_start(&p, &dp, 1, &(struct stub_how){.uid = uid});
	stub_says(&p, STUB_CONNECTED);
	if (geteuid() == 0) {
		every_thread_is_powerless(p.pid, uid);
		no_descriptor_of_ours(p.pid);
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", p.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_true(in_sanitizer || st.st_uid == 0); /* as of a process that is not dumpable, whoever it belongs to */
	put_all(&d.q[0], BLKIF_OP_WRITE, 77);
	guest_finish(&d.q[0]);
	expect_all(&d.q[0], 77);
	stub_kill(&p);
	close(stray);
	device_close(&d);
}

#define STUB_UID 61234u

static void powerless_whoever_starts_it(void **state)
{
	(void)state;
	confined(NULL, 0);
}

static void of_a_user_of_its_own(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can start a stub as another user\n");
		skip();
	}
	confined(NULL, STUB_UID);
	confined("aio=uring,direct=off", STUB_UID); /* the io_uring's own thread as well */
	confined("aio=threads,direct=off", STUB_UID);
}

static unsigned kib_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	assert_non_null(at);
	return (unsigned)strtoul(at + strlen(key), NULL, 10);
}

/* What it alone keeps in memory, after some work; the program's text it shares with its standby and all other stubs. */
static void an_idle_stub_is_small(void **state)
{
	const struct stub_how standby = {.standby = true, .kind = STUB_RESUME};
	struct stub_proc p, next;
	struct device d, *dp = &d;
	char text[4096];
	unsigned uss;

	(void)state;
	if (geteuid() != 0 || in_sanitizer) {
		print_message("skipped: a stub's memory is seen by root only, and is a sanitizer's own in its builds\n");
		skip();
	}
	device_open(&world, &d, sync_disk, 1);
	start_fresh(&p, &d);
	put_all(&d.q[0], BLKIF_OP_WRITE, 1);
	guest_finish(&d.q[0]);
	expect_all(&d.q[0], 1);
	stub_start(&next, &dp, 1, &standby);
	stub_says(&next, STUB_READY);
	read_text(text, sizeof(text), "/proc/%d/%s", p.pid, "smaps_rollup");
	uss = kib_of(text, "Private_Clean:") + kib_of(text, "Private_Dirty:");
	print_message("private memory of an idle stub: %u KiB, of that dirty %u KiB\n", uss, kib_of(text, "Private_Dirty:"));
	assert_true(uss < 1024);
	stub_kill(&next);
	stub_kill(&p);
	device_close(&d);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		T(powerless_whoever_starts_it),
		T(of_a_user_of_its_own),
		T(an_idle_stub_is_small),
	};

	return cmocka_run_group_tests(t, open_world, close_world);
}
