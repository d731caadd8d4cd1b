/* file_priv.h - between engine_file.c (opening, life), file_geometry.c (what the storage is like) and the two methods of
 * doing I/O, file_uring.c and file_threads.c. */
#ifndef BULKHEAD_BACKEND_ENGINE_FILE_PRIV_H
#define BULKHEAD_BACKEND_ENGINE_FILE_PRIV_H

#include "backend/engine/engine_priv.h"
#include "backend/engine/ofd_fence.h"

#define FILE_POOL_THREADS 8

struct uring_queue;

struct file {
	struct engine e;
	struct ofd_fence fence;
	int fd; /* the description that does the I/O */
	bool block;
	bool direct;
	unsigned queues;
	bool uring, sqpoll;	   /* the method asked for */
	struct uring_queue *rings; /* aio=uring: all made when the first is opened */
	char *name;		   /* for messages */
};

static inline struct file *to_file(struct engine *e) { return CONTAINER_OF(e, struct file, e); }

/* Fills f->e.info. May take O_DIRECT back from the description, unless must_direct. */
int file_geometry(struct file *f, bool must_direct, struct engine_error *err);
void file_not_direct(struct file *f); /* goes through the page cache, and says so */
int file_size(const struct file *f, uint64_t *bytes);

/* In engine_file.c: the operations that do not depend on the method. */
void file_close(struct engine *e);
int file_own(struct engine *e, uint64_t g, bool fresh);
int file_fence_poll(struct engine *e);
int file_resize(struct engine *e, uint64_t *sectors);
/* Does r synchronously: 0 or negative errno. */
int file_execute(const struct file *f, struct engine_req *r);

/* aio=uring. A negative errno when io_uring is refused: then threads. */
extern const struct engine_ops file_uring_ops;
int file_uring_setup(struct file *f, bool sqpoll);
void file_uring_teardown(struct file *f);

/* aio=threads, and what io_uring cannot do. */
extern const struct engine_ops file_threads_ops;
struct pool;
int pool_open(const struct file *f, unsigned threads, struct pool **out);
void pool_close(struct pool *p); /* waits for what runs */
void pool_submit(struct pool *p, struct engine_req *r);
void pool_kick(struct pool *p);
unsigned pool_reap(struct pool *p, struct engine_reqs *done);
int pool_event_fd(struct pool *p);
int pool_arm(struct pool *p);

#endif
