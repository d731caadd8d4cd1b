/* be_dev.h - one device in a stub, for one connection: opened, prepared, started fresh or resumed, drained.
 *
 * Every step of the start that would have to wait (for the journal's former owner, for the storage) gives up and is tried
 * again by the caller: so one device never waits for another, and the control socket is served meanwhile.
 * Threads: the control thread. Lifetime: until the process ends; d must not move after be_dev_prepare().
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_DEV_H
#define BULKHEAD_BACKEND_CORE_BE_DEV_H

#include "backend/core/be_class.h"
#include "backend/core/be_config.h"
#include "backend/core/be_ctl.h"
#include "backend/core/be_journal.h"
#include "backend/core/be_worker.h"

enum be_dev_state {
	BE_DEV_LOCKING,	 /* has not got the journal */
	BE_DEV_STARTING, /* has it; fresh: the storage is still busy for somebody else */
	BE_DEV_UP,
	BE_DEV_BROKEN,
};

struct be_dev {
	const struct stub_dev *sd;
	uint32_t index;
	const struct be_class *class;
	struct be_ctl *ctl;
	struct be_device *device;
	struct be_journal journal;
	struct be_prepare parts; /* rings, ports */
	struct be_config_slot config;
	enum be_dev_state state;
	bool own_fault;
	uint64_t generation;
	uint64_t waiting_since; /* for the journal, or for the storage: 0: not yet */
	bool waiting_said;
	uint64_t at[STUB_STEPS]; /* BEGUN and READY are be_boot's to set */
	uint64_t fencing_since; /* set by a worker */
	uint32_t broken_said;	/* by any thread */
	char unmapped[160];	/* BROKEN since its opening: why the ring that the guest named cannot be mapped */
	struct be_worker worker[CONN_QUEUES_MAX];
};

/* While there still are the rights for it: opens journal and storage, maps rings, adopts ports. sd, hv and ctl are kept.
 * Negative errno with one clear line in err; what was opened stays open (the process is about to end). A ring that the guest
 * has not granted is its own fault: 0, and the device is broken, which be_dev_start() says; others are served. */
int be_dev_open(struct be_dev *d, const struct stub_dev *sd, uint32_t index, const struct be_class *class, struct hv *hv,
		uid_t uid, struct be_ctl *ctl, char *err, size_t size);
/* Everything that can be done before the journal is ours: buffers, io_uring, threads (parked). */
int be_dev_prepare(struct be_dev *d, char *err, size_t size);
/* One more try to come up. 0: up or broken, which was said; -EAGAIN: try again in be_dev_wait_ns(); -EMISMATCH; another
 * errno: it cannot start. */
int be_dev_start(struct be_dev *d);
uint64_t be_dev_wait_ns(const struct be_dev *d);

/* At any time after be_dev_prepare(). */
void be_dev_rate(struct be_dev *d, uint64_t bytes, uint64_t us);
void be_dev_multicast(struct be_dev *d, bool listed);
void be_dev_filter(struct be_dev *d, const char *options);
/* Looks at the size of the storage and says RESIZED, if it is up: it looks when it comes up anyway. */
void be_dev_resize(struct be_dev *d);

void be_dev_drain(struct be_dev *d);
/* Queues that have not yet answered all that they took. */
unsigned be_dev_undrained(const struct be_dev *d);
/* Halted by its guest's fault or a corrupted journal. */
bool be_dev_broken(const struct be_dev *d);

/* A message about this device. text may be NULL. */
void be_dev_say(struct be_dev *d, enum stub_msg_type type, const uint64_t arg[4], const char *text);

#endif
