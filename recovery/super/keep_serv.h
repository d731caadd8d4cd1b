/* keep_serv.h - the keeper as a parent: starts its services, starts them again when they die, ends them in order.
 *
 * A service that dies is started again at once; when it dies again within SERV_SETTLED_MS, after a pause that doubles from
 * 10 ms to 5 s. One that exits with EXIT_PERMANENT or EXIT_USAGE (err.h) is not started again: the whole is ended.
 * Threads: one loop; it owns SIGCHLD. Fork/exec: children inherit nothing but 0, 1 and 2.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_KEEP_SERV_H
#define BULKHEAD_RECOVERY_SUPER_KEEP_SERV_H

#include "ring/os/loop.h"

#include <stdbool.h>
#include <sys/types.h>

#define SERV_MAX 3
#define SERV_ARGS_MAX 64
#define SERV_SETTLED_MS 10000
#define SERV_STOP_MS 5000 /* between SIGTERM and SIGKILL */

struct servs;

struct serv {
	struct servs *all;
	const char *name;
	const char *file;		   /* of the program */
	const char *argv[SERV_ARGS_MAX];   /* NULL-terminated */
	bool vital;			   /* its death is said loudly: others lose what it held */
	pid_t pid;			   /* 0: not running */
	unsigned fails;
	uint64_t started;
	struct loop_timer timer;	   /* next start, or SIGKILL */
	bool killed;
};

struct servs {
	struct loop *loop;
	unsigned n;
	struct serv serv[SERV_MAX]; /* in the order of their start; stopped in the reverse one */
	bool stopping;
	int status;		    /* exit status of the whole, once done */
	void (*done)(struct servs *s); /* all are stopped, and so are all other children */
};

/* loop, n and the services' name, file, argv, vital are set. 0 or a negative errno. */
int servs_start(struct servs *s);
/* Stops all, the last started first; done() is called at the end. Idempotent. */
void servs_stop(struct servs *s);

#endif
