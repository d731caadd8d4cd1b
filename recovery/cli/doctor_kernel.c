/* What Linux offers to stubs: memory that outlives them, their confinement, their limits. */
#include "recovery/cli/doctor.h"
#include "recovery/super/sup.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DOMIDS 32752u /* numbers that domains can have */
#define FDS_PER_DISK 12u

static void release(struct doctor *d)
{
	struct utsname u;
	unsigned major = 0, minor = 0;
	bool new;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	new = major > 5 || (major == 5 && minor >= 11);
	doctor_say(d, "linux", new ? DOCTOR_OK : DOCTOR_MISSING, true, "Linux %s%s", u.release, new ? "" : "; 5.11 is needed");
}

/* Of the directory of the world, or, before there is one, of what it will be made in. */
static void journals(struct doctor *d)
{
	struct statfs f;
	char path[300];
	struct doctor_point *p;

	snprintf(path, sizeof(path), "%s/dev/shm", d->root);
	if (statfs(path, &f) == 0 && f.f_type == TMPFS_MAGIC) {
		doctor_say(d, "tmpfs", DOCTOR_OK, true, "/dev/shm for journals, %llu MiB free (or the runtime directory, if on tmpfs)",
			   (unsigned long long)f.f_bavail * (unsigned long long)f.f_bsize >> 20);
		return;
	}
	p = doctor_say(d, "tmpfs", DOCTOR_MISSING, true, "/dev/shm is not on tmpfs: journals need memory that outlives a process");
	snprintf(p->todo, sizeof(p->todo), "mount -t tmpfs tmpfs /dev/shm");
}

static void confinement(struct doctor *d)
{
	char text[32];
	struct doctor_point *p;

	if (doctor_has(d, "/proc/sys/kernel/seccomp/actions_avail")) {
		doctor_say(d, "seccomp", DOCTOR_OK, true, "system calls of stubs can be filtered");
	} else {
		p = doctor_say(d, "seccomp", DOCTOR_MISSING, true, "the kernel filters no system calls: stubs can not be confined");
		snprintf(p->todo, sizeof(p->todo), "a kernel with CONFIG_SECCOMP_FILTER");
	}
	doctor_say(d, "cgroup-v2", doctor_has(d, "/sys/fs/cgroup/cgroup.controllers") ? DOCTOR_OK : DOCTOR_MISSING, false,
		   "for a service's limits; Bulkhead itself makes no groups");
	doctor_read(d, "/proc/sys/user/max_user_namespaces", text, sizeof(text));
	doctor_say(d, "user-namespaces", text[0] && strcmp(text, "0") != 0 ? DOCTOR_OK : DOCTOR_MISSING, false,
		   "Bulkhead makes none: stubs have users of their own");
}

static void io_uring(struct doctor *d)
{
	struct io_uring_params params = {0};
	char disabled[8];
	struct doctor_point *p;
	int fd = (int)syscall(__NR_io_uring_setup, 2, &params);

	if (fd >= 0) {
		close(fd);
		doctor_say(d, "io_uring", DOCTOR_OK, false, "works");
		return;
	}
	p = doctor_say(d, "io_uring", DOCTOR_MISSING, false, "refused (%s): files are read and written by threads instead, slower",
		       strerror(errno));
	doctor_read(d, "/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
	if (disabled[0] && strcmp(disabled, "0") != 0)
		snprintf(p->todo, sizeof(p->todo), "sysctl kernel.io_uring_disabled=0");
}

static void limits(struct doctor *d)
{
	struct rlimit r;
	struct doctor_point *p;

	getrlimit(RLIMIT_NOFILE, &r);
	p = doctor_say(d, "nofile", r.rlim_max >= 4096 ? DOCTOR_OK : DOCTOR_MISSING, r.rlim_max < 1024,
		       "up to %llu descriptors here: about %llu disks", (unsigned long long)r.rlim_max,
		       (unsigned long long)r.rlim_max / FDS_PER_DISK);
	if (p->verdict != DOCTOR_OK)
		snprintf(p->todo, sizeof(p->todo), "ulimit -Hn 1048576; the systemd unit says LimitNOFILE=");
	getrlimit(RLIMIT_MEMLOCK, &r);
	if (r.rlim_max == RLIM_INFINITY)
		doctor_say(d, "memlock", DOCTOR_OK, false, "no limit");
	else
		doctor_say(d, "memlock", DOCTOR_OK, false, "%llu KiB here; since Linux 5.12 an io_uring is not counted, and nothing else is locked",
			   (unsigned long long)r.rlim_max >> 10);
}

/* A line "name:first:count" of /etc/subuid that has some of ours. */
static bool subordinate(const struct doctor *d, char *who, size_t size)
{
	unsigned long long first, count, base = d->uid_base;
	char path[300], line[256], name[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/etc/subuid", d->root);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		found = sscanf(line, "%63[^:]:%llu:%llu", name, &first, &count) == 3 && first < base + DOMIDS &&
			base < first + count;
		if (found)
			snprintf(who, size, "%s's containers may have %llu to %llu (/etc/subuid)", name, first, first + count - 1);
	}
	if (f)
		fclose(f);
	return found;
}

static bool account(const struct doctor *d, char *who, size_t size)
{
	const struct passwd *pw;
	bool found = false;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/etc/passwd", d->root);
	f = fopen(path, "re");
	while (f && !found && (pw = fgetpwent(f))) {
		found = pw->pw_uid >= d->uid_base && pw->pw_uid - d->uid_base < DOMIDS;
		if (found)
			snprintf(who, size, "%s is %u", pw->pw_name, pw->pw_uid);
	}
	if (f)
		fclose(f);
	return found;
}

static void users(struct doctor *d)
{
	unsigned last = d->uid_base + DOMIDS - 1;
	struct doctor_point *p;
	char who[160];

	if (geteuid() != 0) {
		doctor_say(d, "uids", DOCTOR_OK, false, "not root: stubs run as this user");
	} else if (d->uid_base == 0) {
		doctor_say(d, "uids", DOCTOR_MISSING, false, "--uid-base 0: stubs run as root, without capabilities");
	} else if (account(d, who, sizeof(who)) || subordinate(d, who, sizeof(who))) {
		p = doctor_say(d, "uids", DOCTOR_MISSING, true, "stubs run as users %u to %u, but %s", d->uid_base, last, who);
		snprintf(p->todo, sizeof(p->todo), "bulkheadd --uid-base with a range that is nobody's, say 1000000000");
	} else {
		doctor_say(d, "uids", DOCTOR_OK, true, "stubs run as users %u to %u, which are nobody else's", d->uid_base, last);
	}
}

void doctor_kernel(struct doctor *d)
{
	release(d);
	journals(d);
	confinement(d);
	io_uring(d);
	limits(d);
	users(d);
}
