/* procs.h - what /proc says of other processes. Blocks no longer than a read of /proc does. Threads: any. */
#ifndef BULKHEAD_RECOVERY_SUPER_PROCS_H
#define BULKHEAD_RECOVERY_SUPER_PROCS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls fn for every living child of parent, in no order. -errno when /proc can not be read. */
int procs_children(pid_t parent, void (*fn)(pid_t pid, void *arg), void *arg);
/* The name (comm) of a process; "" when it is gone. */
void procs_name(pid_t pid, char *name, size_t size);
/* Private memory in bytes; 0 when it can not be read. */
uint64_t procs_uss(pid_t pid);
/* Over all its threads: ns they ran; ns they waited for a CPU, waits that are over only (the kernel adds a wait when it
 * ends); whether one of them is runnable now, so that it runs or waits. */
struct procs_sched {
	uint64_t run_ns, wait_ns;
	bool runnable;
};
/* 0 or a negative errno. */
int procs_sched(pid_t pid, struct procs_sched *out);

/* What a hypervisor kept each CPU from running, by its number, in ns; n: places. How many were filled in (0: /proc says nothing). */
unsigned procs_stolen(uint64_t *ns, unsigned n);

#endif
