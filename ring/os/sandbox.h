/* sandbox.h - named, irreversible stages by which a process gives up what it does not need (DESIGN.md section 12).
 *
 *   FDS -> (open what needs rights) -> PRIVILEGES -> (threads, io_uring) -> LIMITS -> UNDUMPABLE -> CALLS
 *
 * Each stage checks that it took hold. A program whose stage failed must end: half a sandbox is none.
 * Threads: FDS and PRIVILEGES while there is only one: capabilities and no_new_privs belong to a thread, and later ones
 * (an io_uring's polling thread in the kernel as well) inherit them from their maker.
 */
#ifndef BULKHEAD_RING_OS_SANDBOX_H
#define BULKHEAD_RING_OS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

enum sandbox_stage {
	SANDBOX_BOUNDING,   /* as root: no exec gives a capability any more. At any time; PRIVILEGES sees to it too */
	SANDBOX_FDS,	    /* every descriptor but stdin, stdout, stderr and those named is closed */
	SANDBOX_PRIVILEGES, /* as root: groups, gid and uid changed (uid 0: kept); no capability in any set; no_new_privs */
	SANDBOX_LIMITS,	    /* descriptors numbered below nofile only; no core files */
	SANDBOX_UNDUMPABLE, /* no ptrace, no /proc/PID/mem; late, for a change of uid sets it anew. Not in sanitizer builds */
	SANDBOX_CALLS,	    /* system calls of a stub that is set up only; of all threads; last. Not in sanitizer builds */
	SANDBOX_STAGES
};

struct sandbox {
	const int *keep; /* ascending, all above 2 */
	size_t nkeep;
	uid_t uid; /* to become, when root; 0: stay */
	gid_t gid;
	rlim_t nofile;
	bool xen; /* CALLS: with what provider xen needs */
};

/* 0 or a negative errno. */
int sandbox_enter(enum sandbox_stage stage, const struct sandbox *s);
/* For messages. Static storage. */
const char *sandbox_name(enum sandbox_stage stage);

#endif
