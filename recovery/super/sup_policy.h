/* sup_policy.h - when a stub that died is started again, and when it is given up. Pure: times are given.
 * docs/decisions/0002-restart-budget.md has the reasons.
 *
 *   fruitless death   the stub answered no request since it took over
 *   own fault         SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, any exit, or killed by us for a hang
 *   asked             an operator asked us for this death (bulkhead kill); counts for nothing
 *
 * Deaths that were not fruitless, and asked ones, are repaired at once, always. Of the fruitless ones POLICY_BURST within
 * POLICY_WINDOW_NS are; each one more doubles a pause from POLICY_PAUSE_NS up to POLICY_PAUSE_MAX_NS, or, when it was not
 * the stub's own fault, up to POLICY_PAUSE_KILLED_NS; to one by own fault only those of its row count. After POLICY_GIVE_UP fruitless
 * deaths by own fault in a row, with no life of POLICY_WINDOW_NS and no answered request between them, the device is given up.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_POLICY_H
#define BULKHEAD_RECOVERY_SUPER_SUP_POLICY_H

#include "ring/os/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_BURST 5u
#define POLICY_WINDOW_NS (60 * NS_PER_S)
#define POLICY_PAUSE_NS (10 * NS_PER_MS)
#define POLICY_PAUSE_MAX_NS (5 * NS_PER_S)
#define POLICY_PAUSE_KILLED_NS (100 * NS_PER_MS)
#define POLICY_GIVE_UP 20u
#define POLICY_RECENT 32u	 /* deaths remembered for the window */
#define POLICY_HANG_BURST 20u	 /* kills for a hang at once, then one for each POLICY_HANG_REFILL_NS */
#define POLICY_HANG_REFILL_NS NS_PER_S

/* Zero-initialised. Plain data: part of the supervisor's state file. */
struct sup_policy {
	uint64_t recent[POLICY_RECENT]; /* times of fruitless deaths, a ring */
	uint32_t nrecent;		/* in all */
	uint32_t row;			/* fruitless by own fault, one after the other */
	uint32_t hang_spent;
	uint32_t pad;
	uint64_t hang_since;
};

struct policy_death {
	bool own_fault, asked, progress;
	uint64_t lived_ns;
};
struct policy_verdict {
	bool give_up;
	uint64_t delay_ns; /* before the next start */
};

struct policy_verdict policy_died(struct sup_policy *p, uint64_t now, const struct policy_death *d);
/* Fruitless deaths within the window. */
uint32_t policy_window(const struct sup_policy *p, uint64_t now);
/* Takes one kill for a hang out of the budget; false: not now, ask again. */
bool policy_may_kill_hung(struct sup_policy *p, uint64_t now);

/* Whether a death with this siginfo (CLD_EXITED, CLD_KILLED, CLD_DUMPED and its status) was the stub's own fault. */
bool policy_own_fault(int code, int status);

#endif
