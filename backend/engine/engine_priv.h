/* engine_priv.h - what the engines share among themselves. */
#ifndef BULKHEAD_BACKEND_ENGINE_ENGINE_PRIV_H
#define BULKHEAD_BACKEND_ENGINE_ENGINE_PRIV_H

#include "backend/engine/engine.h"

#include <sys/types.h>

#define ENGINE_MAX_ALIGN 4096u /* no larger sector or buffer alignment is served */
#define ENGINE_MAX_IOV 1024    /* preadv's own limit */

/* Where the one line about a failed open goes. */
struct engine_error {
	char *text;
	size_t size;
};

/* Writes the line, returns rc. */
int engine_fail(struct engine_error *err, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

extern const struct engine_ops engine_null_ops, engine_mem_ops, engine_file_ops;

/* "null" and "mem": the argument is a size, a multiple of 512. */
int engine_size_arg(const struct spec *s, uint64_t *bytes, struct engine_error *err);
/* A new description of what path_fd (O_PATH, or any) is open on; flags as for open(), O_CLOEXEC is added. It is compared
 * with what o wants: -ESTALE. A descriptor or a negative errno. */
int engine_reopen(const struct engine_open *o, int path_fd, int flags, struct engine_error *err, const char *name);

/* A set of descriptors as one, readable when any of them is; those that are -1 are left out. Or negative errno. */
int engine_fd_set(int a, int b);

/* For engines that are done when submit returns. */
struct sync_queue {
	struct engine_queue q;
	struct engine_reqs done;
};
int sync_queue_open(struct engine *e, unsigned index, struct engine_queue **out);
void sync_queue_close(struct engine_queue *q);
void sync_queue_done(struct engine_queue *q, struct engine_req *r, int result);
void sync_queue_kick(struct engine_queue *q);
unsigned sync_queue_reap(struct engine_queue *q, struct engine_reqs *done);
int sync_queue_event_fd(struct engine_queue *q);
int sync_queue_arm(struct engine_queue *q);

/* One pread or pwrite loop: 0, or negative errno; -EIO when the storage ends early. Changes iov. */
int engine_transfer(int fd, struct engine_req *r);
/* Drops n bytes from the front of r's iovecs. */
void engine_advance(struct engine_req *r, size_t n);

/* Filters: take their options out of s, and put themselves on *e, which is replaced. On failure *e is as before. */
int filter_fault_stack(struct spec *s, struct engine **e, struct engine_error *err);
int filter_delay_stack(struct spec *s, struct engine **e, struct engine_error *err);

#endif
