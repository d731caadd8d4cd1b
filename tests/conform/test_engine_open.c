/* What opening promises: the same inode whatever became of its name, clear refusals, filters, and errors of the storage. */
#include "ring/base/log.h"
#include "tests/conform/engine_rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static char dir[256];

static int group_setup(void **state)
{
	(void)state;
	rig_dir(dir, sizeof(dir), false);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static char *in_dir(const char *name)
{
	static char path[4][512];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* ---- the same inode */

enum fate { RENAMED, UNLINKED, REPLACED };

static void check_same_inode(const char *opts, enum fate fate)
{
	char *path = in_dir("image"), spec[600], *buf = rig_buffer(4096);
	struct engine_open o = rig_request(spec);
	struct engine *e;
	struct engine_queue *q;
	struct stat st;
	int keep;

	rig_make_image(path, MIB(1));
	keep = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fstat(keep, &st), 0);
	snprintf(spec, sizeof(spec), "%s%s", path, opts);
	o.fd = fcntl(keep, F_DUPFD_CLOEXEC, 900); /* a number that nothing else gets */
	o.want_dev = st.st_dev;
	o.want_ino = st.st_ino;
	if (fate == RENAMED)
		assert_int_equal(rename(path, in_dir("elsewhere")), 0);
	else
		assert_int_equal(unlink(path), 0);
	if (fate == REPLACED)
		rig_make_image(path, MIB(2));
	rig_open_engine(&o, &e, &q);
	assert_int_equal(fcntl(o.fd, F_GETFD), -1); /* closed */
	assert_int_equal(e->info.sectors, MIB(1) / 512);
	memset(buf, 0x66, 4096);
	assert_int_equal(rig_do(q, ENGINE_WRITE, 4096, buf, 4096), 0);
	memset(buf, 0, 4096);
	assert_int_equal(pread(keep, buf, 4096, 4096), 4096);
	assert_true(rig_all(buf, 4096, 0x66));
	engine_queue_close(q);
	engine_close(e);
	close(keep);
	unlink(path);
	unlink(in_dir("elsewhere"));
	free(buf);
}

static void test_same_inode(void **state)
{
	static const char *const opts[] = {",aio=uring", ",aio=threads", ",direct=off"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opts); i++)
		for (enum fate f = RENAMED; f <= REPLACED; f++)
			check_same_inode(opts[i], f);
}

static void test_stale(void **state)
{
	char *path = in_dir("image"), err[512];
	struct engine_open o = rig_request(path);
	struct engine *e;
	struct stat st;

	(void)state;
	rig_make_image(path, MIB(1));
	assert_int_equal(stat(path, &st), 0);
	o.want_dev = st.st_dev;
	o.want_ino = st.st_ino + 1;
	o.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(engine_open(&o, &e, err, sizeof(err)), -ESTALE);
	assert_null(e);
	assert_int_equal(fcntl(o.fd, F_GETFD), -1); /* closed all the same */
	o.fd = -1;
	assert_int_equal(engine_open(&o, &e, err, sizeof(err)), -ESTALE);
	o.want_ino--;
	assert_int_equal(engine_open(&o, &e, err, sizeof(err)), 0);
	engine_close(e);
	unlink(path);
}

static void test_odd_size(void **state)
{
	char *path = in_dir("image"), err[512];
	struct engine_open o = rig_request(path);
	struct engine_info info;

	(void)state;
	rig_make_image(path, MIB(1) + 700);
	assert_int_equal(engine_probe(&o, &info, err, sizeof(err)), 0);
	assert_int_equal(info.sectors * 512, (MIB(1) + 700) / info.sector_size * info.sector_size);
	assert_true(info.flush && info.discard && !info.read_only && info.write_unit >= info.sector_size);
	assert_int_equal(info.fence, ENGINE_FENCE_LOCK);
	unlink(path);
}

/* Nothing of a probe, or of a closed engine, keeps a lock or a descriptor. */
static void test_nothing_left(void **state)
{
	char *path = in_dir("image"), err[512];
	struct engine_open o = rig_request(path);
	struct engine_info info;
	int before, after;

	(void)state;
	rig_make_image(path, MIB(1));
	before = dup(0);
	close(before);
	for (int i = 0; i < 5; i++) {
		struct engine *e;
		struct engine_queue *q;

		assert_int_equal(engine_probe(&o, &info, err, sizeof(err)), 0);
		rig_open_engine(&o, &e, &q); /* owns all generations: not granted while a former description lives */
		assert_int_equal(rig_do(q, ENGINE_FLUSH, 0, NULL, 0), 0);
		engine_queue_close(q);
		engine_close(e);
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
	unlink(path);
}

/* ---- refusals: the errno and one line that names the thing */

static void refused(const char *spec, bool read_only, int want, const char *text)
{
	struct engine_open o = rig_request(spec);
	struct engine *e = (struct engine *)&o;
	char err[512] = "";
	int rc;

	o.read_only = read_only;
	rc = engine_open(&o, &e, err, sizeof(err));
	if (rc != want || e || !strstr(err, text) || strchr(err, '\n'))
		fail_msg("%s: %d (wanted %d): \"%s\" (wanted \"%s\")", spec, rc, want, err, text);
}

static void test_bad_specs(void **state)
{
	(void)state;
	refused("", false, -EINVAL, "names no storage");
	refused("disk.img", false, -EINVAL, "names no storage");
	refused("file:disk.img", false, -EINVAL, "must begin with /");
	refused("rbd:pool/image", false, -EINVAL, "no storage engine \"rbd\"");
	refused("null:", false, -EINVAL, "is no size");
	refused("null:12", false, -EINVAL, "is no size");
	refused("mem:0", false, -EINVAL, "is no size");
	refused("mem:64Q", false, -EINVAL, "is no size");
	refused("mem:99999999999T", false, -EINVAL, "is no size");
	refused("null:1M,aio=uring", false, -EINVAL, "\"aio\" is not an option of the engine null");
	refused("/x,cache=none", false, -EINVAL, "\"cache\" is not an option of the engine file");
	refused("/x,aio=native", false, -EINVAL, "must be uring or threads");
	refused("/x,direct=yes", false, -EINVAL, "must be on or off");
	refused("null:1M,delay=soon", false, -EINVAL, "number of milliseconds");
	refused("null:1M,fault-crash=x", false, -EINVAL, "number of a sector");
	refused("null:1M,fault-crash=1:EIO", false, -EINVAL, "not understood");
	refused("null:1M,fault-error=1:EWHAT", false, -EINVAL, "not understood");
}

static void test_bad_files(void **state)
{
	char *fifo = in_dir("fifo"), *empty = in_dir("empty"), *dangling = in_dir("dangling");

	(void)state;
	refused(in_dir("missing"), false, -ENOENT, "missing: No such file");
	refused(dir, false, -EISDIR, "is a directory");
	refused("/dev/null", false, -EINVAL, "is a character device");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	refused(fifo, false, -EINVAL, "is a FIFO");
	refused(fifo, true, -EINVAL, "is a FIFO"); /* and does not wait for a writer */
	unlink(fifo);
	rig_make_image(empty, 0);
	refused(empty, false, -EINVAL, "less than one sector");
	unlink(empty);
	assert_int_equal(symlink("/nonexistent/x", dangling), 0);
	refused(dangling, false, -ENOENT, "dangling");
	unlink(dangling);
}

/* Runs fn in a child; what it returns is its exit status. */
static int in_child(int (*fn)(const char *arg), const char *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* or a failed assertion would go on with the parent's tests */
		_exit(fn(arg));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int open_as_nobody(const char *path)
{
	struct engine_open o = rig_request(path);
	struct engine *e;
	char err[512];

	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 2;
	if (engine_open(&o, &e, err, sizeof(err)) != -EACCES || !strstr(err, "image"))
		return 1;
	return strstr(err, "ermission") ? 0 : 3;
}

static void test_no_permission(void **state)
{
	char *path = in_dir("image");

	(void)state;
	rig_make_image(path, MIB(1));
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(in_child(open_as_nobody, path), 0);
	unlink(path);
}

/* ---- no space left: a tmpfs of 256 KiB in a mount namespace of its own */

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool own_mounts(void)
{
	unsigned uid = geteuid();
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", uid);
	snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER))
		return false;
	if (uid && !(put("/proc/self/setgroups", "deny") && put("/proc/self/uid_map", uids) &&
		     put("/proc/self/gid_map", gids)))
		return false;
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "size=256k") == 0;
}

static int fill(const char *opts)
{
	char spec[600], err[512], *buf = rig_buffer(4096);
	struct engine_open o = rig_request(spec);
	struct engine *e;
	struct engine_queue *q;
	int rc = 0;

	if (!own_mounts())
		return 77;
	rig_make_image(in_dir("image"), MIB(1));
	snprintf(spec, sizeof(spec), "%s%s", in_dir("image"), opts);
	if (engine_open(&o, &e, err, sizeof(err)) || engine_queue_open(e, 0, &q))
		return 2;
	memset(buf, 1, 4096);
	for (uint64_t at = 0; at < MIB(1) && rc == 0; at += 4096)
		rc = rig_do(q, ENGINE_WRITE, at, buf, 4096);
	return rc == -ENOSPC ? 0 : 3;
}

static void test_no_space(void **state)
{
	static const char *const opts[] = {",aio=uring", ",aio=threads", ",direct=off"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opts); i++) {
		int status = in_child(fill, opts[i]);

		if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
			print_message("skipped: no tmpfs can be mounted here\n");
			skip();
		}
		assert_int_equal(status, 0);
	}
}

/* ---- io_uring refused: threads, and a line that says so */

static bool said_threads;

static void listen_for_threads(enum log_level lvl, const char *line)
{
	(void)lvl;
	said_threads |= strstr(line, "using threads") != NULL;
}

static int without_io_uring(const char *path)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};
	struct engine_open o = rig_request(path);
	struct engine *e;
	struct engine_queue *q;
	char *buf = rig_buffer(4096);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 77;
	log_set_sink(listen_for_threads);
	rig_open_engine(&o, &e, &q);
	memset(buf, 1, 4096);
	if (rig_do(q, ENGINE_WRITE, 0, buf, 4096) || rig_do(q, ENGINE_READ, 4096, buf, 4096) || !rig_all(buf, 4096, 0))
		return 2;
	engine_queue_close(q);
	engine_close(e);
	return said_threads ? 0 : 3;
}

static void test_io_uring_refused(void **state)
{
	char *path = in_dir("image");
	int status;

	(void)state;
	rig_make_image(path, MIB(1));
	status = in_child(without_io_uring, path);
	unlink(path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: no seccomp filter can be set here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* ---- filters */

static void test_fault_error(void **state)
{
	struct engine_open o = rig_request("mem:1M,fault-error=10:ENOSPC");
	struct engine *e;
	struct engine_queue *q;
	char *buf = rig_buffer(4096);

	(void)state;
	rig_open_engine(&o, &e, &q);
	memset(buf, 1, 4096);
	assert_int_equal(rig_do(q, ENGINE_WRITE, 4096, buf, 4096), -ENOSPC); /* sectors 8 to 15 */
	assert_int_equal(rig_do(q, ENGINE_READ, 9 * 512, buf, 1024), -ENOSPC);
	assert_int_equal(rig_do(q, ENGINE_WRITE, 9 * 512, buf, 512), 0);
	assert_int_equal(rig_do(q, ENGINE_WRITE, 11 * 512, buf, 512), 0);
	assert_int_equal(rig_do(q, ENGINE_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(rig_do(q, ENGINE_DISCARD, 0, NULL, 65536), -ENOSPC);
	engine_queue_close(q);
	engine_close(e);
	free(buf);
}

static int touch_sector_8(const char *spec)
{
	struct engine_open o = rig_request(spec);
	struct engine *e;
	struct engine_queue *q;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	rig_open_engine(&o, &e, &q);
	if (rig_do(q, ENGINE_READ, 0, rig_buffer(4096), 4096))
		return 1;
	ualarm(200000, 0);
	rig_do(q, ENGINE_READ, 4096, rig_buffer(4096), 4096);
	return 2;
}

static void test_fault_crash_and_hang(void **state)
{
	int status;

	(void)state;
	status = in_child(touch_sector_8, "null:1M,fault-crash=8");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	status = in_child(touch_sector_8, "null:1M,fault-hang=15");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_delay(void **state)
{
	struct engine_open o = rig_request("null:1M,delay=50");
	struct engine *e;
	struct engine_queue *q;
	char *buf = rig_buffer(4096);
	double from = now_ms();

	(void)state;
	rig_open_engine(&o, &e, &q);
	assert_int_equal(rig_do(q, ENGINE_READ, 0, buf, 4096), 0);
	assert_true(now_ms() - from >= 50);
	engine_queue_close(q);
	engine_close(e);
	free(buf);
}

/* A store kept by somebody else, as the supervisor does for mem. */
static void test_mem_store(void **state)
{
	struct engine_open o = rig_request("mem:1M");
	char *path, shm[256], err[512], *buf = rig_buffer(4096);
	struct engine *e;
	struct engine_queue *q;
	int keep;

	(void)state;
	rig_dir(shm, sizeof(shm), true);
	path = in_dir("unused");
	snprintf(path, 512, "%s/store", shm);
	rig_make_image(path, 0);
	keep = open(path, O_RDWR | O_CLOEXEC);
	for (int round = 0; round < 2; round++) {
		o.fd = dup(keep);
		rig_open_engine(&o, &e, &q);
		assert_int_equal(rig_do(q, ENGINE_READ, 8192, buf, 4096), 0);
		assert_true(rig_all(buf, 4096, round ? 0x11 : 0));
		memset(buf, 0x11, 4096);
		assert_int_equal(rig_do(q, ENGINE_WRITE, 8192, buf, 4096), 0);
		engine_queue_close(q);
		engine_close(e);
	}
	o.spec = "mem:2M";
	o.fd = dup(keep);
	assert_int_equal(engine_open(&o, &e, err, sizeof(err)), 0); /* it was resized since it was made: what is there counts */
	assert_int_equal(e->info.sectors, MIB(1) / 512);
	engine_close(e);
	assert_int_equal(ftruncate(keep, 100), 0);
	o.fd = dup(keep);
	assert_int_equal(engine_open(&o, &e, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "100 bytes"));
	close(keep);
	unlink(path);
	rmdir(shm);
	free(buf);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_inode),    cmocka_unit_test(test_stale),
		cmocka_unit_test(test_odd_size),      cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_bad_specs),     cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_no_permission), cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_fault_error),   cmocka_unit_test(test_fault_crash_and_hang),
		cmocka_unit_test(test_delay),	      cmocka_unit_test(test_mem_store),
		cmocka_unit_test(test_io_uring_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
