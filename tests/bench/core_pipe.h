/* core_pipe.h - a core-dump handler for a bench: what many distributions install, a program at the end of a pipe.
 *
 * The system's own setting is put back by a process that outlives this one, whatever becomes of it. Threads: one.
 */
#ifndef BULKHEAD_TESTS_BENCH_CORE_PIPE_H
#define BULKHEAD_TESTS_BENCH_CORE_PIPE_H

#include <stddef.h>
#include <sys/types.h>

enum core_pipe { CORE_AS_IS, CORE_PIPE, CORE_PIPE_DUMPABLE };

/* 0; -ENOSYS when it can not be done here, err says why. */
int core_pipe_begin(enum core_pipe how, char *err, size_t size);
void core_pipe_end(void);
/* Takes PR_SET_DUMPABLE=0 back from a process that is asleep in a system call. 0 or negative errno. */
int core_make_dumpable(pid_t pid);

#endif
