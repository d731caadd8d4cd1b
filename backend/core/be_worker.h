/* be_worker.h - the thread of one queue: turn, look again for a while, arm, sleep (DESIGN.md sections 5 and 9).
 *
 * It is made before its queue may be touched and parks; be_worker_release() lets it begin. Between a queue's start and
 * that, the control thread turns it (be_worker_turn): so the first answers after a death do not wait for a thread to wake.
 * It answers each byte on its poke socket with one byte, parked or not, but for that while, when it could not speak for
 * who does the work: the hang detector's challenge goes through the very thread that turns.
 * Threads: all functions on the control thread. Lifetime: until the process ends.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_WORKER_H
#define BULKHEAD_BACKEND_CORE_BE_WORKER_H

#include "backend/core/be_class.h"
#include "backend/core/be_config.h"
#include "backend/core/be_ctl.h"

#include <pthread.h>

enum { BE_WORKER_PORT, BE_WORKER_PORT_RX, BE_WORKER_PORT_CTRL, BE_WORKER_PORTS };

struct be_worker {
	const struct be_class *class;
	struct be_queue *queue;
	const struct be_config_slot *config;
	struct be_ctl *ctl;    /* woken when halted or drained */
	struct hv_port *port[BE_WORKER_PORTS]; /* NULL: there is no such one */
	int poke_fd;	       /* -1: none */
	int wake_fd;	       /* eventfd */
	uint32_t lent;	       /* 1: the control thread turns the queue */
	uint32_t arrived;      /* 1: awake, waits for its release */
	uint32_t released;     /* 1: may turn */
	uint32_t draining;     /* 1: says when all is answered, then parks */
	uint32_t ended;	       /* enum be_turn BE_HALTED, or 1: drained */
	pthread_t thread;
};

#define BE_WORKER_DRAINED 1u

/* Makes the memory that the first worker of this process will take for its stack, ahead of it. Best effort. */
void be_worker_warm_up(void);
/* What stands before wake_fd is the caller's to fill in, the rest zero. Makes the thread, parked. */
int be_worker_start(struct be_worker *w);
/* Requests of one turn: few, so that the engine and the guest begin with the first while the worker does the next. */
#define BE_WORKER_BUDGET 16u

/* One turn in the caller's thread, before the release. enum be_turn. */
unsigned be_worker_turn(struct be_worker *w, unsigned budget);
/* Wakes it for its release, which costs least once it has arrived. */
void be_worker_call(struct be_worker *w);
bool be_worker_arrived(const struct be_worker *w);
void be_worker_release(struct be_worker *w);
bool be_worker_released(const struct be_worker *w);
/* It turns once more. */
void be_worker_wake(struct be_worker *w);
void be_worker_drain(struct be_worker *w);
/* It will not turn again: drained or broken (or was never released). */
bool be_worker_ended(const struct be_worker *w);
bool be_worker_halted(const struct be_worker *w);

#endif
