/* sup_spawn.h - starting a helper process from a plan. sup_spawn_linux.c does it with vfork and exec.
 *
 * Threads: one; the caller is stopped until the child has called exec (50-90 us).
 * Fork/exec: the child gets 0 (null), 2 and possibly 1, STUB_FD_RECORD, STUB_FD_CTL, and the descriptors listed, each
 * under its own number; nothing else (every descriptor of ours is close-on-exec), an empty signal mask, default signals.
 * The supervisor must hold STUB_FD_RECORD and STUB_FD_CTL reserved from its start (sup_spawn_init), so that no descriptor
 * that is handed on has one of those numbers.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_SPAWN_H
#define BULKHEAD_RECOVERY_SUPER_SUP_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

struct spawn_plan {
	const char *file;	 /* program */
	const char *const *argv;
	const void *record;	 /* for STUB_FD_RECORD, in a sealed memfd; NULL: none */
	size_t record_bytes;
	const int *pass;	 /* inherited under their own numbers */
	size_t npass;
};

struct spawned {
	pid_t pid;
	int pidfd;
	int ctl; /* our end of the control socket, non-blocking */
	int far; /* the child's end. As long as we have it, too, its death is told by the pidfd alone: an end of file just before
		    would take the CPU from the dying one. -1: not held */
};

/* Reserves the two fixed numbers. 0 or a negative errno. */
int sup_spawn_init(void);
/* The record of a plan in a sealed memfd: a descriptor or a negative errno. */
int sup_spawn_record(const struct spawn_plan *p);
/* 0 or a negative errno (-ENOENT: no such program, -EMFILE, -EAGAIN). */
int sup_spawn(const struct spawn_plan *p, struct spawned *out);

#endif
