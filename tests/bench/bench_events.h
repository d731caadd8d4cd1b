/* bench_events.h - what a bench hears from the supervisor of its world. Threads: one. Errors: negative errno. */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_EVENTS_H
#define BULKHEAD_TESTS_BENCH_BENCH_EVENTS_H

#include "recovery/ctl/ctl_wire.h"

#include <stddef.h>

/* Follows the events of the world in that runtime directory, from now on. A descriptor, to be closed by close(). */
int bench_events_open(const char *runtime_dir, char *err, size_t size);
/* The next one: 1; 0: none within wait_ms (0: does not wait). -EOVERFLOW: some were missed. */
int bench_event(int events, int wait_ms, struct ctl_event *e);
/* How the supervisor sees a disk. */
int bench_status(const char *runtime_dir, const char *vdev, struct ctl_dev *out);

#endif
