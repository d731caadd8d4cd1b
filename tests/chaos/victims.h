/* victims.h - the processes of a local world, found and killed fast: by pidfd, each death awaited and counted.
 *
 * Stubs are found as children of the supervisor and of the keeper, so also while the supervisor is down. Only children of
 * the world's own keeper and supervisor are ever touched. Threads: one. Errors: negative errno.
 */
#ifndef BULKHEAD_TESTS_CHAOS_VICTIMS_H
#define BULKHEAD_TESTS_CHAOS_VICTIMS_H

#include "recovery/ctl/ctl_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VICTIM_SUPER "bulkheadd"
#define VICTIM_STORE "bulkhead-store"

struct victims {
	const char *dir;
	const char *stub; /* name of the stubs' program */
	pid_t keeper;
	int ctl; /* the supervisor's socket; -1: not connected */
};

/* One that is aimed at. */
struct shot {
	int pidfd; /* -1: nothing */
	pid_t pid;
	int signal;
};

/* 0; negative: no world runs in dir (kept, as stub is). */
int victims_open(struct victims *v, const char *dir, const char *stub);
void victims_close(struct victims *v);

/* What the supervisor says of the devices, in its order: how many, at most max; connects again when it must. Or why it does not answer. */
int victims_status(struct victims *v, struct ctl_dev *dev, int max);
/* Asks the supervisor to kill (recovery/ctl/ctl_wire.h: CTL_KILL). */
int victims_ask_kill(struct victims *v, const struct ctl_dev *dev, int signal);

/* A living child with this name, of the keeper (daemons) or of keeper and supervisor (stubs), but none of n in `but`; 0: none. */
pid_t victims_find(struct victims *v, const char *name, const pid_t *but, unsigned n);
/* Takes hold of pid, if it is alive and has that name. False: not so, and shot->pidfd is -1. */
bool victims_aim(struct shot *s, pid_t pid, const char *name);
/* Sends the signal. False: it was dead already. */
bool victims_fire(struct shot *s, int signal);
/* Waits for the death; true: it has died. Lets go in either case. */
bool victims_settle(struct shot *s, unsigned ms);

#endif
