/* be_worker.h - the thread of one queue: turn, look again for a while, arm, sleep (DESIGN.md sections 5 and 9).
 *
 * It is made before its queue may be touched and parks; be_worker_release() lets it begin, be_worker_rouse() before that
 * has it awake when that moment comes. It answers each byte on its poke socket with one byte, parked or not: the hang
 * detector's challenge goes through the very thread that does the work.
 * Threads: made, roused, released and drained from the control thread. Lifetime: until the process ends.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_WORKER_H
#define BULKHEAD_BACKEND_CORE_BE_WORKER_H

#include "backend/core/be_class.h"
#include "backend/core/be_config.h"
#include "backend/core/be_ctl.h"

#include <pthread.h>

struct be_worker {
	const struct be_class *class;
	struct be_queue *queue;
	const struct be_config_slot *config;
	struct be_ctl *ctl;    /* woken when halted or drained */
	struct hv_port *port;
	int poke_fd;	       /* -1: none */
	int wake_fd;	       /* eventfd */
	uint32_t released;     /* 0, 1: may turn */
	uint32_t draining;     /* 0, 1: says when all is answered, then parks */
	uint32_t ended;	       /* enum be_turn BE_HALTED, or 1: drained */
	pthread_t thread;
};

#define BE_WORKER_DRAINED 1u

/* All but wake_fd and the last four is the caller's to fill in. Makes the thread, parked. */
int be_worker_start(struct be_worker *w);
void be_worker_rouse(struct be_worker *w);
void be_worker_release(struct be_worker *w);
void be_worker_drain(struct be_worker *w);
/* It will not turn again: drained or broken (or was never released). */
bool be_worker_ended(const struct be_worker *w);
bool be_worker_halted(const struct be_worker *w);

#endif
