/* fe_sleep.h - how the thread of a queue sleeps: on its ports, until somebody kicks it, or until the end of a back-off.
 *
 * Events after which nothing new is on the ring are let pass a few times, then looked at ever less often, so that a backend
 * can't keep a guest busy with them (XSA-391).
 * Owns: its descriptors; the ports are the caller's and outlive it. Threads: the queue's; fe_sleep_kick() from any.
 */
#ifndef BULKHEAD_FRONTEND_CORE_FE_SLEEP_H
#define BULKHEAD_FRONTEND_CORE_FE_SLEEP_H

#include "ring/hv/hv.h"

#define FE_SLEEP_PORTS 2u

struct fe_sleep {
	int epfd, wakefd, timerfd;
	struct hv_port *port[FE_SLEEP_PORTS];
	unsigned nports;
	uint32_t kicked;
	bool armed, backed_off;
	unsigned spurious;
};

/* 0 or negative errno; fe_sleep_close() in either case. */
int fe_sleep_open(struct fe_sleep *s, struct hv_port *const *ports, unsigned nports);
/* Also of one that is zeroed and was never opened. */
void fe_sleep_close(struct fe_sleep *s);
/* Readable when the thread should look. */
static inline int fe_sleep_fd(const struct fe_sleep *s) { return s->epfd; }
/* Wakes the thread, which then sees what was stored before. */
void fe_sleep_kick(struct fe_sleep *s);
/* Takes note of what woke us, before the look at the ring. 1: a port had an event; 0; negative errno: we would not be woken again. */
int fe_sleep_wake(struct fe_sleep *s);
/* After the look: whether there was something new, and whether fe_sleep_wake() had told of an event. */
void fe_sleep_looked(struct fe_sleep *s, bool event, bool found);
/* Before sleeping, and before the ring is armed. True: kicked meanwhile, do not sleep. */
bool fe_sleep_arm(struct fe_sleep *s);

#endif
