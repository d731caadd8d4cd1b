#include "tests/bench/bench_world.h"

#include "ring/base/check.h"
#include "ring/os/clock.h"
#include "ring/os/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define WAIT_NS (10 * NS_PER_S)

/* ---- programs */

/* In the child: argv with stdin from in, both outputs to out. Ends with the bench, if die. */
static void NORETURN become(const char *const *argv, int in, int out, bool die)
{
	if (die)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int open_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }

static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int bench_run_program(const char *const *argv, char *out, size_t size)
{
	int p[2], null = open_null();
	char dropped[512];
	size_t at = 0;
	ssize_t n;
	pid_t pid;

	if (null < 0 || pipe2(p, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		become(argv, null, p[1], false);
	close(p[1]);
	close(null);
	while ((n = at + 1 < size ? read(p[0], out + at, size - at - 1) : read(p[0], dropped, sizeof(dropped))) > 0)
		at += at + 1 < size ? (size_t)n : 0;
	close(p[0]);
	if (size)
		out[at] = '\0';
	return pid < 0 ? -EAGAIN : status_of(pid);
}

int bench_start_program(const char *const *argv, pid_t *pid)
{
	int null = open_null();

	if (null < 0)
		return -errno;
	*pid = fork();
	if (*pid == 0)
		become(argv, null, null, true);
	close(null);
	return *pid < 0 ? -errno : 0;
}

void bench_stop_program(pid_t pid)
{
	kill(pid, SIGTERM);
	status_of(pid);
}

int bench_wait_socket(const char *path, pid_t pid)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	uint64_t end = clock_now() + WAIT_NS;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	while (clock_now() < end) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&a, sizeof(a));

		close(fd);
		if (rc == 0)
			return 0;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -ECHILD;
		usleep(2000);
	}
	return -ETIMEDOUT;
}

double bench_cpu_seconds(pid_t pid)
{
	char path[64], line[1024];
	unsigned long user, sys;
	const char *at;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return NAN;
	ok = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	at = ok ? strrchr(line, ')') : NULL;
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		return NAN;
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- the world */

static int say(char *err, size_t size, int rc, const char *what, const char *detail)
{
	snprintf(err, size, "%s: %.*s", what, (int)strcspn(detail, "\n"), detail);
	return rc;
}

/* `bulkhead ARGS`; its first line in err when it fails. */
static int command(struct bench_world *w, const char *const *args, char *out, size_t osize, char *err, size_t size)
{
	const char *argv[BENCH_ARGS_MAX] = {w->bulkhead, "--runtime-dir", w->runtime};
	char text[512] = "";
	unsigned n = 3;
	int rc;

	while (*args && n + 1 < ARRAY_LEN(argv))
		argv[n++] = *args++;
	rc = bench_run_program(argv, out ? out : text, out ? osize : sizeof(text));
	return rc ? say(err, size, -EIO, argv[3], out ? out : text) : 0;
}

static void find_programs(struct bench_world *w)
{
	char dir[400];

	if (rundir_libexec("bulkhead", dir, sizeof(dir))) {
		snprintf(w->bulkhead, sizeof(w->bulkhead), "bulkhead"); /* installed: the command is not in libexec */
		snprintf(w->plugin, sizeof(w->plugin), "bulkhead");
		return;
	}
	snprintf(w->bulkhead, sizeof(w->bulkhead), "%s/bulkhead", dir);
	snprintf(w->plugin, sizeof(w->plugin), "%s/../lib/nbdkit-bulkhead-plugin.so", dir);
}

/* A shell that waits for the end of its input, which is the bench's own end at the latest. */
static int guard(struct bench_world *w, bool own)
{
	const char *argv[] = {"sh", "-c", "read x; if [ \"$4\" = 1 ]; then \"$1\" --runtime-dir \"$2\" stop; else \"$1\" --runtime-dir \"$2\" destroy "
			      BENCH_DOMAIN "; fi; rm -rf \"$3\"", "sh", w->bulkhead, w->runtime, w->folder, own ? "1" : "0", NULL};
	int p[2], null = open_null();

	if (null < 0 || pipe2(p, O_CLOEXEC))
		return -errno;
	w->guardian = fork();
	if (w->guardian == 0) {
		setsid();
		become(argv, p[0], null, false);
	}
	close(p[0]);
	close(null);
	w->guard_fd = p[1];
	return w->guardian < 0 ? -errno : 0;
}

int bench_world_start(struct bench_world *w, const struct bench_opts *o, char *err, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	int rc = 0;

	*w = (struct bench_world){.guard_fd = -1};
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* the daemons stay our descendants: whoever limits or quiets us does it to them, too */
	find_programs(w);
	snprintf(w->folder, sizeof(w->folder), "%s/bulkhead-bench.XXXXXX", tmp ? tmp : "/var/tmp");
	if (!mkdtemp(w->folder) || chmod(w->folder, 0755))
		return say(err, size, -errno, w->folder, strerror(errno));
	snprintf(w->runtime, sizeof(w->runtime), "%s", o->runtime_dir ? o->runtime_dir : w->folder);
	if (!o->runtime_dir)
		strcat(w->runtime, "/run");
	rc = guard(w, !o->runtime_dir);
	if (rc)
		return say(err, size, rc, "fork", strerror(-rc));
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* the daemons stay our descendants, for whoever looks whose they are */
	if (!o->runtime_dir)
		rc = command(w, (const char *const[]){"start", NULL}, NULL, 0, err, size);
	if (!rc)
		rc = command(w, (const char *const[]){"create", BENCH_DOMAIN, NULL}, NULL, 0, err, size);
	if (rc)
		bench_world_stop(w);
	return rc;
}

void bench_world_stop(struct bench_world *w)
{
	close(w->guard_fd);
	status_of(w->guardian);
}

/* "attach DOMAIN", what, and the options one by one. */
static int attach(struct bench_world *w, const char *first, const char *second, const char *options, char *err, size_t size)
{
	const char *args[16] = {"attach", BENCH_DOMAIN, first};
	char opts[200], *save = NULL;
	unsigned n = 3;

	snprintf(opts, sizeof(opts), "%s", options);
	if (second)
		args[n++] = second;
	for (char *o = strtok_r(opts, ",", &save); o && n + 3 < ARRAY_LEN(args); o = strtok_r(NULL, ",", &save)) {
		args[n++] = "-o";
		args[n++] = o;
	}
	return command(w, args, NULL, 0, err, size);
}

int bench_world_attach(struct bench_world *w, const char *vdev, const char *target, const char *options, char *err, size_t size)
{
	char disk[600];

	snprintf(disk, sizeof(disk), "vdev=%s,target=%s", vdev, target);
	return attach(w, disk, NULL, options, err, size);
}

int bench_world_attach_vif(struct bench_world *w, const char *keys, const char *options, char *err, size_t size)
{
	return attach(w, "vif", keys, options, err, size);
}

int bench_world_detach(struct bench_world *w, const char *vdev, char *err, size_t size)
{
	return command(w, (const char *const[]){"detach", BENCH_DOMAIN, vdev, NULL}, NULL, 0, err, size);
}

pid_t bench_world_stub(struct bench_world *w, const char *vdev)
{
	char text[8192], err[100];
	json_t *j;
	json_int_t pid;

	if (command(w, (const char *const[]){"status", BENCH_DOMAIN, vdev, "--json", NULL}, text, sizeof(text), err, sizeof(err)))
		return -EIO;
	j = json_loads(text, 0, NULL);
	pid = json_integer_value(json_object_get(json_array_get(j, 0), "pid"));
	json_decref(j);
	return pid > 0 ? (pid_t)pid : -ESRCH;
}

int bench_world_image(struct bench_world *w, const char *name, uint64_t bytes, char *path, size_t psize, char *err, size_t size)
{
	void *buf = NULL;
	int fd, rc = 0;

	snprintf(path, psize, "%s/%s", w->folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return say(err, size, -errno, path, strerror(errno));
	CHECK(posix_memalign(&buf, 4096, MIB) == 0);
	memset(buf, 0x5a, MIB);
	for (uint64_t at = 0; !rc && at < bytes; at += MIB)
		rc = pwrite(fd, buf, MIB, (off_t)at) == (ssize_t)MIB ? 0 : -errno;
	if (!rc && fsync(fd))
		rc = -errno;
	free(buf);
	close(fd);
	return rc ? say(err, size, rc, path, strerror(-rc)) : 0;
}
