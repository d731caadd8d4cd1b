/* world.h - a local world for a bench: made in a folder of its own and removed with it, or one that is there already.
 *
 * Threads: one. Errors: 0 or negative errno, with one clear line in err. What it starts are the programs beside this one.
 */
#ifndef BULKHEAD_TESTS_BENCH_WORLD_H
#define BULKHEAD_TESTS_BENCH_WORLD_H

#include "recovery/ctl/ctl_wire.h"

#include <stdbool.h>
#include <stddef.h>

struct bench_world {
	char dir[64];	 /* for images, and the world's folder in it */
	char run[80];	 /* runtime directory */
	bool own;	 /* was started here, so it is ended here */
	int events;	 /* the supervisor's events, non-blocking */
};

/* runtime_dir: NULL or of a running world. Makes the domain; to be ended by world_down, also after a failure. */
int world_up(struct bench_world *w, const char *runtime_dir, const char *domain, char *err, size_t size);
void world_down(struct bench_world *w);
/* The bulkhead command with these arguments. Its output is dropped but for the last line of a failure. */
int world_do(const struct bench_world *w, char *err, size_t size, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Asks for a disk's state. */
int world_status(const struct bench_world *w, const char *vdev, struct ctl_dev *out);
/* The next event: 1; 0: none yet. Waits at most wait_ms. */
int world_event(const struct bench_world *w, int wait_ms, struct ctl_event *e);
/* A file of so many MiB in w->dir, written whole, so that its blocks exist. path: room for 128 bytes. */
int world_image(const struct bench_world *w, const char *name, unsigned mib, char *path, char *err, size_t size);

#endif
