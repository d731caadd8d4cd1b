#include "recovery/super/procs.h"

#include "ring/os/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file of /proc whole. Length or a negative errno. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = '\0';
	close(fd);
	return n;
}

/* The parent of a process and whether it is still more than a zombie; 0 when it is gone. */
static pid_t parent_of(pid_t pid)
{
	char path[64], buf[1024], state;
	const char *p;
	int ppid;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (slurp(path, buf, sizeof(buf)) <= 0)
		return 0;
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1, " %c %d", &state, &ppid) != 2 || state == 'Z')
		return 0;
	return ppid;
}

int procs_children(pid_t parent, void (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && parent_of(pid) == parent)
			fn(pid, arg);
	}
	closedir(d);
	return 0;
}

void procs_name(pid_t pid, char *name, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (slurp(path, name, size) <= 0)
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

static uint64_t field_kb(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 10) : 0;
}

uint64_t procs_uss(pid_t pid)
{
	char path[64], buf[2048];
	uint64_t resident, shared;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (slurp(path, buf, sizeof(buf)) > 0)
		return (field_kb(buf, "\nPrivate_Clean:") + field_kb(buf, "\nPrivate_Dirty:")) * 1024;
	/* One that is not dumpable shows that to root only; what is resident and of no file is near to it. */
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (slurp(path, buf, sizeof(buf)) <= 0 || sscanf(buf, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_thread(pid_t pid, int tid, struct procs_sched *out)
{
	char path[96], buf[512];
	uint64_t run, wait;
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, tid);
	if (slurp(path, buf, sizeof(buf)) > 0 && sscanf(buf, "%" SCNu64 " %" SCNu64, &run, &wait) == 2) {
		out->run_ns += run;
		out->wait_ns += wait;
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, tid);
	if (slurp(path, buf, sizeof(buf)) <= 0)
		return;
	state = strrchr(buf, ')'); /* the name before it may hold anything */
	out->runnable |= state && strncmp(state, ") R", 3) == 0;
}

int procs_sched(pid_t pid, struct procs_sched *out)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	*out = (struct procs_sched){0};
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 0)
			add_thread(pid, atoi(e->d_name), out);
	closedir(d);
	return 0;
}

unsigned procs_stolen(uint64_t *ns, unsigned n)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[256];
	unsigned cpu, filled = 0;
	uint64_t ticks;

	/* The lines of CPUs come first; those that are offline are left out. */
	while (f && fgets(line, sizeof(line), f) && strncmp(line, "cpu", 3) == 0) {
		if (sscanf(line, "cpu%u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &cpu, &ticks) != 2 || cpu >= n || cpu < filled)
			continue;
		while (filled < cpu)
			ns[filled++] = 0;
		ns[filled++] = ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
	}
	if (f)
		fclose(f);
	return filled;
}
