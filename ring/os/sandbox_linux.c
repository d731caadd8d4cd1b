#include "ring/os/sandbox.h"

#include "ring/base/check.h"
#include "ring/os/sandbox_calls.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static int close_between(unsigned first, unsigned last)
{
	return first > last || close_range(first, last, 0) == 0 ? 0 : -errno;
}

static int keep_only(const struct sandbox *s)
{
	unsigned next = STDERR_FILENO + 1;

	for (size_t i = 0; i < s->nkeep; i++) {
		unsigned fd = (unsigned)s->keep[i];
		int rc;

		CHECK(s->keep[i] >= 0 && fd >= next);
		rc = close_between(next, fd - 1);
		if (rc)
			return rc;
		next = fd + 1;
	}
	return close_between(next, UINT_MAX);
}

/* The bounding set is what an exec could give back. It takes a capability to empty it; who has none needs it no less,
 * but no_new_privs then stands in for it. */
static int empty_bounding_set(void)
{
	static bool done;
	cap_t now = done ? NULL : cap_get_proc();
	cap_flag_value_t may = CAP_CLEAR;

	if (done)
		return 0;
	if (!now)
		return -errno;
	cap_get_flag(now, CAP_SETPCAP, CAP_EFFECTIVE, &may);
	cap_free(now);
	if (may != CAP_SET)
		return 0;
	for (cap_value_t c = 0; cap_drop_bound(c) == 0;)
		c++;
	done = errno == EINVAL;
	return done ? 0 : -errno; /* beyond the last that the kernel knows */
}

static int change_identity(uid_t uid, gid_t gid)
{
	if (geteuid() != 0 || uid == 0)
		return 0;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	if (getuid() != uid || geteuid() != uid || getgid() != gid || getegid() != gid || setuid(0) == 0)
		return -EPERM;
	return 0;
}

static int drop_capabilities(void)
{
	cap_t none = cap_init(), now;
	int rc;

	if (!none)
		return -errno;
	rc = cap_set_proc(none) ? -errno : 0;
	if (!rc && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)) /* cap_reset_ambient() asks for each first */
		rc = -errno;
	now = cap_get_proc();
	if (!rc)
		rc = !now ? -errno : cap_compare(now, none) ? -EPERM : 0;
	cap_free(none);
	if (now)
		cap_free(now);
	return rc;
}

static int drop_privileges(const struct sandbox *s)
{
	int rc = empty_bounding_set();

	if (!rc)
		rc = change_identity(s->uid, s->gid);
	if (!rc)
		rc = drop_capabilities();
	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		rc = -errno;
	return rc;
}

/* Not RLIMIT_NPROC: it counts by user, and all stubs of a VM are one. */
static int set_limits(rlim_t nofile)
{
	const struct rlimit none = {0, 0}, few = {nofile, nofile};
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now))
		return -errno;
	if (setrlimit(RLIMIT_CORE, &none) || (now.rlim_max > nofile && setrlimit(RLIMIT_NOFILE, &few)))
		return -errno;
	return 0;
}

static int make_undumpable(void)
{
#ifdef BULKHEAD_SAN
	return 0; /* LeakSanitizer attaches to its own process */
#else
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
#endif
}

int sandbox_enter(enum sandbox_stage stage, const struct sandbox *s)
{
	switch (stage) {
	case SANDBOX_BOUNDING:
		return empty_bounding_set();
	case SANDBOX_FDS:
		return keep_only(s);
	case SANDBOX_PRIVILEGES:
		return drop_privileges(s);
	case SANDBOX_LIMITS:
		return set_limits(s->nofile);
	case SANDBOX_UNDUMPABLE:
		return make_undumpable();
	case SANDBOX_CALLS:
#ifdef BULKHEAD_SAN
		return 0; /* its runtime does what it likes */
#else
		return sandbox_calls(s->xen);
#endif
	case SANDBOX_STAGES:
		break;
	}
	UNREACHABLE();
}

const char *sandbox_name(enum sandbox_stage stage)
{
	static const char *const names[] = {"bounding set", "descriptors", "privileges", "limits", "undumpable", "system calls"};

	static_assert(ARRAY_LEN(names) == SANDBOX_STAGES, "a name each");
	CHECK(stage < SANDBOX_STAGES);
	return names[stage];
}
