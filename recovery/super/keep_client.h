/* keep_client.h - the supervisor's side of the keeper.
 *
 * Puts and drops are sent without waiting; their replies are read as they come. Listing and getting wait, and are for the
 * start only, when a successor collects what the keeper holds: each waits at most KEEP_DEADLINE_MS.
 * A keeper that is gone, or that does not take a message at once, is lost: `lost` is called (from a deferred callback),
 * and the owner connects again and puts everything anew. Without a keeper every call here does nothing: the supervisor
 * then works, but its successor can adopt nothing.
 * Threads: one loop.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_KEEP_CLIENT_H
#define BULKHEAD_RECOVERY_SUPER_KEEP_CLIENT_H

#include "recovery/super/keep_wire.h"
#include "ring/os/loop.h"

#include <stddef.h>
#include <sys/types.h>

#define KEEP_DEADLINE_MS 2000

struct keep_client {
	struct loop *loop;
	int fd; /* -1: no keeper */
	struct loop_fd watch;
	struct loop_work work;
	void (*lost)(struct keep_client *k);
};

/* 0; -ENOENT or -ECONNREFUSED: there is no keeper (k is usable, and does nothing). */
int keep_client_open(struct loop *l, const char *path, void (*lost)(struct keep_client *k), struct keep_client *k);
void keep_client_close(struct keep_client *k);
/* The keeper's process, -ENOTCONN without. */
pid_t keep_client_pid(const struct keep_client *k);

void keep_put(struct keep_client *k, const char *name, const int *fds, size_t nfds);
void keep_drop(struct keep_client *k, const char *name);

/* Before keep_client_watch() only. 0 and *nfds (in: room; out: how many), -ENOENT, -ETIMEDOUT, -EPIPE. */
int keep_get(struct keep_client *k, const char *name, int *fds, size_t *nfds);
int keep_list(struct keep_client *k, uint64_t skip, char name[KEEP_NAME_MAX]);
/* From now on replies are read by the loop. */
int keep_client_watch(struct keep_client *k);

#endif
