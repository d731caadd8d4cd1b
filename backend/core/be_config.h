/* be_config.h - what of a device may change while its workers run, published to them by liburcu-qsbr.
 *
 * A reader is a worker thread: registered, in a quiescent state once per loop, offline before every sleep (DESIGN.md
 * section 9). What a publication replaces is freed by call_rcu, never waited for.
 * Threads: one publishes; any registered one reads.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_CONFIG_H
#define BULKHEAD_BACKEND_CORE_BE_CONFIG_H

#include "ring/base/base.h"

struct be_config {
	uint32_t poll_us; /* longest adaptive poll before a sleep; 0: never polls */
};

struct be_config_box; /* owned by the slot that it was published in */
struct be_config_slot {
	struct be_config_box *now;
};

/* Copies c. The first publication comes before the first reader. -ENOMEM: the former one stays. */
int be_config_publish(struct be_config_slot *s, const struct be_config *c);

/* Readers. get(): valid until the thread's next quiescent state. */
void be_config_thread_start(void);
const struct be_config *be_config_get(const struct be_config_slot *s);
void be_config_quiescent(void);
void be_config_offline(void);
void be_config_online(void);

#endif
