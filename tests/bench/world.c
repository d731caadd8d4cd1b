#include "tests/bench/world.h"

#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"
#include "ring/os/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int world_do(const struct bench_world *w, char *err, size_t size, const char *fmt, ...)
{
	char libexec[2200], args[512], cmd[3000], line[256], last[256] = "";
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	if (rundir_libexec("bulkhead", libexec, sizeof(libexec))) {
		snprintf(err, size, "the command bulkhead is not beside this program");
		return -ENOENT;
	}
	snprintf(cmd, sizeof(cmd), "'%s/bulkhead' --runtime-dir '%s' %s 2>&1", libexec, w->run, args);
	f = popen(cmd, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		memcpy(last, line, sizeof(last));
	if (pclose(f) == 0)
		return 0;
	last[strcspn(last, "\n")] = '\0';
	snprintf(err, size, "bulkhead %.60s: %.180s", args, last);
	return -EIO;
}

static int follow(struct bench_world *w, char *err, size_t size)
{
	struct ctl_reply reply;
	int rc;

	w->events = ctl_client_open(w->run);
	rc = w->events < 0 ? w->events : ctl_client_events(w->events, 0, &reply);
	if (!rc && fcntl(w->events, F_SETFL, O_NONBLOCK) < 0)
		rc = -errno;
	if (rc)
		snprintf(err, size, "no supervisor answers in %s: %s", w->run, err_str(rc));
	return rc;
}

int world_up(struct bench_world *w, const char *runtime_dir, const char *domain, char *err, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	int rc = 0;

	*w = (struct bench_world){.own = !runtime_dir, .events = -1};
	snprintf(w->dir, sizeof(w->dir), "%.30s/bulkhead-bench.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(w->dir)) {
		snprintf(err, size, "%s: %s", w->dir, strerror(errno));
		w->dir[0] = '\0';
		return -EIO;
	}
	if (runtime_dir && strlen(runtime_dir) >= sizeof(w->run))
		return -ENAMETOOLONG;
	if (runtime_dir)
		strcpy(w->run, runtime_dir);
	else
		snprintf(w->run, sizeof(w->run), "%s/run", w->dir);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* so the daemons are seen to be ours, by whoever keeps the machine quiet for us */
	if (w->own)
		rc = world_do(w, err, size, "start");
	if (!rc)
		rc = world_do(w, err, size, "create %s", domain);
	return rc ? rc : follow(w, err, size);
}

void world_down(struct bench_world *w)
{
	char err[256], cmd[128];

	if (w->events >= 0)
		close(w->events);
	if (w->own)
		world_do(w, err, sizeof(err), "stop");
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->dir);
	if (w->dir[0] && system(cmd))
		fprintf(stderr, "%s is left behind\n", w->dir);
}

int world_status(const struct bench_world *w, const char *vdev, struct ctl_dev *out)
{
	struct ctl_reply reply;
	struct ctl_dev *all;
	int rc = -ENOENT, n, fd = ctl_client_open(w->run);

	if (fd < 0)
		return fd;
	n = ctl_client_status(fd, CTL_ALL, CTL_ALL, &all, &reply);
	close(fd);
	for (int i = 0; i < n; i++)
		if (strcmp(all[i].vdev, vdev) == 0) {
			*out = all[i];
			rc = 0;
		}
	if (n >= 0)
		free(all);
	return n < 0 ? n : rc;
}

int world_event(const struct bench_world *w, int wait_ms, struct ctl_event *e)
{
	struct pollfd p = {.fd = w->events, .events = POLLIN};
	int rc;

	if (wait_ms && poll(&p, 1, wait_ms) == 0)
		return 0;
	rc = ctl_client_event(w->events, e);
	return rc == -ETIMEDOUT ? 0 : rc == 0 ? -EPIPE : rc;
}

int world_image(const struct bench_world *w, const char *name, unsigned mib, char *path, char *err, size_t size)
{
	static char zero[1 << 20];
	int fd, rc = 0;

	snprintf(path, 128, "%s/%s", w->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (unsigned i = 0; fd >= 0 && !rc && i < mib; i++)
		rc = write(fd, zero, sizeof(zero)) == (ssize_t)sizeof(zero) ? 0 : -EIO;
	if (fd < 0 || rc || fsync(fd))
		rc = -EIO;
	if (fd >= 0)
		close(fd);
	if (rc)
		snprintf(err, size, "%s: %s", path, err_str(rc));
	return rc;
}
