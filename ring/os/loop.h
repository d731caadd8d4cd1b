/* loop.h - the one event loop of every daemon: descriptors, timers, signals, deferred work.
 *
 * Owns: an epoll descriptor, a signalfd; never the descriptors that are watched.
 * Threads: a loop and all that hangs on it belong to one thread.
 * Fork/exec: everything is close-on-exec.
 * Lifetime: any watch or timer may be stopped and freed from any callback, its own included; a stopped one is never
 * called again, also when its event was already fetched.
 * Trap (RECOVERY-LATENCY.md): a descriptor inherited by a child stays in the epoll set after close(), so
 * loop_fd_stop() always comes before close().
 */
#ifndef BULKHEAD_RING_OS_LOOP_H
#define BULKHEAD_RING_OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

/* Embedded in its owner, zero before the first start. */
struct loop_fd {
	int fd;
	bool active;
	uint32_t slot, serial;
	void (*fn)(struct loop_fd *w, uint32_t events); /* EPOLLIN and so on */
};

struct loop_timer {
	uint64_t due;
	bool active;
	uint32_t heap_at;
	void (*fn)(struct loop_timer *t);
};

struct loop_work {
	bool queued;
	STAILQ_ENTRY(loop_work) link;
	void (*fn)(struct loop_work *w);
};

/* -ENOMEM, -EMFILE. */
int loop_open(struct loop **out);
void loop_close(struct loop *l); /* NULL is allowed */

/* Watches fd for events (EPOLLIN, EPOLLOUT; level-triggered). 0, -ENOMEM, or what epoll_ctl says (-EPERM: not pollable). */
int loop_fd_start(struct loop *l, struct loop_fd *w, int fd, uint32_t events,
		  void (*fn)(struct loop_fd *w, uint32_t events));
int loop_fd_change(struct loop *l, struct loop_fd *w, uint32_t events);
void loop_fd_stop(struct loop *l, struct loop_fd *w); /* idempotent; does not close the fd */

/* Once, at the absolute monotonic time due (ns); starting it again moves it. Never fails: grows at loop_fd_start-like
 * cost and aborts (CHECK) when memory is out. */
void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t due, void (*fn)(struct loop_timer *t));
void loop_timer_stop(struct loop *l, struct loop_timer *t); /* idempotent */

/* Runs fn once after the present callback, before the loop sleeps again. */
void loop_defer(struct loop *l, struct loop_work *w, void (*fn)(struct loop_work *w));

/* fn(signo, arg) from the loop, not from signal context; the signal is blocked in this thread. */
int loop_signal(struct loop *l, int signo, void (*fn)(int signo, void *arg), void *arg);

/* Until loop_stop(). 0 or the errno of epoll_wait. */
int loop_run(struct loop *l);
/* One round: waits at most timeout_ns (UINT64_MAX: for ever) for the first event. What is ready is called before timers, so that
 * what came in time stops its deadline however long the process stood still. */
int loop_once(struct loop *l, uint64_t timeout_ns);
void loop_stop(struct loop *l);

#endif
