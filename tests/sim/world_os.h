/* world_os.h - a simulated host in one process: processes, threads, descriptors, files, sockets, signals, and virtual time.
 *
 * Production code runs on it unchanged: the system calls that it makes are taken over at link time (--wrap, world.h says
 * which), each thread of each simulated process is a coroutine, and one seeded scheduler decides who goes on. A switch
 * happens at system calls, looks at the clock, and stores to ring or journal; nothing else is visible to others anyway.
 *
 * Time passes by what is done (a system call costs OS_CALL_NS), and jumps to the next deadline when all sleep.
 * Death: any process may be killed at any such point. It executes nothing more; its descriptors, locks and mappings end a
 * little later, as a kernel takes its time. Its heap is not given back: runs are made in child processes, some in each.
 * Threads: one real thread. No address, no real clock and no real random number decides anything.
 */
#ifndef BULKHEAD_TESTS_SIM_WORLD_OS_H
#define BULKHEAD_TESTS_SIM_WORLD_OS_H

#include "ring/base/base.h"
#include "ring/os/clock.h"
#include "tests/sim/crash_rng.h"

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#define OS_FDS 512
#define OS_PROCS 512
#define OS_THREADS 256 /* alive at once */
#define OS_CALL_NS 400u
#define OS_STORE_NS 20u
#define OS_FIRST_FD 5

struct os_file;
struct os_tapq;
struct os_thread;
struct stub_start;

enum os_kind { OS_HUB, OS_STORE, OS_KEEP, OS_SUPER, OS_STUB, OS_PROBE, OS_GUEST, OS_TOOL, OS_HELPER, OS_KINDS };
extern const char *const os_kind_name[OS_KINDS];

struct os_proc {
	int pid, ppid;
	enum os_kind kind;
	enum { OS_ALIVE, OS_DYING, OS_ZOMBIE, OS_GONE } state;
	int code, status; /* as in siginfo */
	int dev;	  /* the device that a stub or guest is for; -1 */
	bool standby, serves;
	bool stopped, stop_told; /* by a signal that the parent hears of */
	bool frozen;		 /* not scheduled, and nobody is told */
	bool injected;		 /* its death was the plan's doing */
	uint32_t signals;	 /* pending: bit SIGCHLD */
	uint64_t release_at;
	uint64_t points, kill_at; /* 0: never */
	bool own_fault;		  /* the death at kill_at is a SIGSEGV */
	int (*main)(void *arg);
	void *arg;
	const struct stub_start *start; /* of a stub */
	struct os_file *fd[OS_FDS];
};

struct os {
	uint64_t now, steps, switches, hash;
	uint64_t gen;	    /* counts whatever may make somebody ready */
	unsigned preempt;   /* one point in so many gives way; 0: none */
	struct crash_rng rng;
	struct os_thread *cur; /* NULL: the simulator itself */
	struct os_proc *proc[OS_PROCS];
	unsigned nprocs;
	struct os_proc *as;   /* in whose name what is done now is done; NULL: the caller's */
	struct os_proc *init; /* orphans become its children */
	bool atomic;	      /* no point is one */
	const char *failed;   /* a CHECK of production code */
	char why[200];
	/* What else there is to do: called at each step, says when at the latest again. */
	uint64_t (*tick)(void);
	void (*released)(struct os_proc *p); /* its descriptors have just been closed */
	void (*killed)(struct os_proc *p);   /* it has just executed its last instruction */
};
extern struct os os;

/* Begins a run; all of a former one is forgotten. */
void os_reset(uint64_t seed);
void os_fd_reset(void);
void os_file_reset(void);
void os_sock_reset(void);
void os_tap_reset(void);
/* Zeroed memory for the simulator's own things, until the next reset. */
void *os_alloc(size_t bytes);

struct os_proc *os_spawn(enum os_kind kind, int ppid, int dev, int (*fn)(void *arg), void *arg);
/* The end of a process, the caller's own included (then it does not return). */
void os_kill(struct os_proc *p, int code, int status);
struct os_proc *os_find(int pid); /* until it was waited for */
struct os_proc *os_self(void);
/* One slice of somebody. False: nobody will ever do anything again. */
bool os_step(void);

/* Here others may go on, and the caller may die. */
void os_point(unsigned what, unsigned cost_ns);
/* Until cond(arg), or `until` (UINT64_MAX: never). True: it holds. */
bool os_wait(bool (*cond)(void *arg), void *arg, uint64_t until);
void os_yield(void);
static inline void os_wake(void) { os.gen++; }

/* ---- descriptors, of the process that runs */

enum os_type { OS_REG, OS_DIR, OS_SEQ, OS_STREAM, OS_LISTEN, OS_EVENT, OS_TIMER, OS_SIGNAL, OS_EPOLL, OS_PIDFD, OS_TAP };

/* What crosses from process to process: an open file, or the number of a port (which is the provider's). */
struct os_ref {
	struct os_file *f; /* NULL: a port */
	int port;
};

struct os_msg {
	STAILQ_ENTRY(os_msg) link;
	size_t len, at;
	unsigned nrefs;
	struct os_ref ref[64];
	char data[];
};

struct os_pipe { /* one direction */
	STAILQ_HEAD(, os_msg) q;
	size_t bytes;
	unsigned msgs;
	bool no_writer, no_reader;
};

struct os_inode {
	char path[128]; /* "": unlinked */
	char *data;
	size_t size, room;
	bool mapped, sealed, image;
	int dev; /* of an image: which disk */
	uint64_t ino;
	STAILQ_HEAD(, os_lock) locks;
};

struct os_lock {
	STAILQ_ENTRY(os_lock) link;
	struct os_file *owner;
	bool write;
	off_t start, end;
};

struct os_item {
	LIST_ENTRY(os_item) link;
	int fd;
	struct os_ref ref;
	uint32_t events;
	uint64_t data;
};

struct os_file {
	enum os_type type;
	unsigned refs;
	bool nonblock, dead;
	struct os_inode *ino;
	uint64_t pos;
	bool flocked;
	struct os_pipe *rx, *tx;
	int peer; /* pid */
	uint64_t count, due;
	bool fired;
	LIST_ENTRY(os_file) timer_link;
	bool timer_listed;
	struct os_proc *proc;
	struct os_tapq *tapq; /* NULL: not yet one of an interface's */
	LIST_HEAD(, os_item) items;
	char path[128];
	struct os_file *backlog[64];
	unsigned nbacklog;
};

struct os_file *os_file_new(enum os_type type);
void os_file_put(struct os_file *f);
int os_fd_new(struct os_proc *p, struct os_file *f);
struct os_file *os_fd(int fd); /* NULL with EBADF */
struct os_ref os_ref(int fd);
int os_ref_fd(struct os_proc *p, struct os_ref r); /* a new reference to it */
uint32_t os_ref_poll(const struct os_ref *r);
uint64_t os_timers_next(void);
/* Two ends; a and b get a reference each. */
void os_pair(enum os_type type, struct os_file **a, struct os_file **b);
void os_file_closed_sock(struct os_file *f);
/* The simulator's files. */
struct os_inode *os_inode_find(const char *path);
struct os_inode *os_inode_new(const char *path);
struct os_file *os_file_open(struct os_inode *i);
unsigned os_inodes_below(const char *dir);
void os_inode_unlock(struct os_inode *i, const struct os_file *f);
/* Taps (world_tap.c). */
int os_tap_open(void);
void os_tap_closed(struct os_file *f);
uint32_t os_tap_poll(const struct os_file *f);
ssize_t os_tap_read(struct os_file *f, void *buf, size_t n);
ssize_t os_tap_write(struct os_file *f, const void *buf, size_t n);
/* Whether I/O of dead processes runs on the image; the fence's locks are told by this. */
extern bool (*os_image_busy)(int dev);

/* Sees every message that is sent whole (fdmsg.h). */
extern void (*os_message)(struct os_proc *from, const void *data, size_t len);

/* Ports and storage have numbers of their own: is one readable? */
extern bool (*os_foreign_readable)(int fd);
#define OS_FOREIGN 0x20000000

#endif
