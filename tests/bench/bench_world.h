/* bench_world.h - a local world for benches of whole disks, and the programs that they run beside it.
 *
 * The world is in a new folder (TMPDIR, else /var/tmp: files there can be read with O_DIRECT, unlike on tmpfs), with one
 * domain. A guardian process ends it and removes the folder when the bench ends, in whatever way.
 * Threads: one. Errors: negative errno, and one line in err.
 */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_WORLD_H
#define BULKHEAD_TESTS_BENCH_BENCH_WORLD_H

#include "tests/bench/report.h"

#include <sys/types.h>

#define BENCH_DOMAIN "bench"
#define BENCH_ARGS_MAX 40

struct bench_world {
	char folder[256];  /* of its own: images, sockets */
	char runtime[300]; /* where the daemons meet */
	char bulkhead[512], plugin[512]; /* the command; nbdkit's plugin */
	pid_t guardian;
	int guard_fd;
};

/* o->runtime_dir: a world that is there already is used instead, in which the domain is made. */
int bench_world_start(struct bench_world *w, const struct bench_opts *o, char *err, size_t size);
/* Everything is gone when it returns. */
void bench_world_stop(struct bench_world *w);
/* options: text after the target, "" or ",poll-us=50". Waits until the disk is offered. */
int bench_world_attach(struct bench_world *w, const char *vdev, const char *target, const char *options, char *err, size_t size);
/* A vif, the domain's first; keys: as in xl.cfg, with ',' between. */
int bench_world_attach_vif(struct bench_world *w, const char *keys, const char *options, char *err, size_t size);
int bench_world_detach(struct bench_world *w, const char *vdev, char *err, size_t size);
/* Process of the disk's stub, or negative errno. */
pid_t bench_world_stub(struct bench_world *w, const char *vdev);
/* A file of so many bytes in the folder, every block written. path: as it is named. */
int bench_world_image(struct bench_world *w, const char *name, uint64_t bytes, char *path, size_t psize, char *err, size_t size);

/* Runs argv (NULL-terminated, found by PATH) to its end; what it prints (both streams) in out, which may be NULL. Its exit
 * status, or negative errno; 127: there is no such program. */
int bench_run_program(const char *const *argv, char *out, size_t size);
/* Starts it, its output dropped; it dies with the bench. */
int bench_start_program(const char *const *argv, pid_t *pid);
/* SIGTERM; waits for its end. */
void bench_stop_program(pid_t pid);
/* Until somebody listens on the Unix socket: 0; -ETIMEDOUT; -ECHILD: pid has ended. */
int bench_wait_socket(const char *path, pid_t pid);
/* User and system time of a process so far, its kernel threads included; seconds. NAN: it is gone. */
double bench_cpu_seconds(pid_t pid);

#endif
