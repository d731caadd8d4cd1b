#include "recovery/super/sup_policy.h"

#include "ring/base/base.h"

#include <signal.h>

uint32_t policy_window(const struct sup_policy *p, uint64_t now)
{
	uint32_t n = 0, have = MIN(p->nrecent, POLICY_RECENT);

	for (uint32_t i = 0; i < have; i++)
		if (now - p->recent[(p->nrecent - 1 - i) % POLICY_RECENT] < POLICY_WINDOW_NS)
			n++;
	return n;
}

struct policy_verdict policy_died(struct sup_policy *p, uint64_t now, const struct policy_death *d)
{
	struct policy_verdict v = {0};
	uint32_t over;

	if (d->asked)
		return v;
	if (d->progress) {
		p->row = 0;
		return v;
	}
	if (d->lived_ns >= POLICY_WINDOW_NS)
		p->row = 0;
	p->recent[p->nrecent++ % POLICY_RECENT] = now;
	if (d->own_fault && ++p->row >= POLICY_GIVE_UP) {
		p->row = 0; /* a restart asked for by the operator begins anew */
		v.give_up = true;
		return v;
	}
	over = policy_window(p, now);
	if (d->own_fault) /* what others did to it is not charged to it */
		over = MIN(over, p->row);
	if (over <= POLICY_BURST)
		return v;
	v.delay_ns = POLICY_PAUSE_NS << MIN(over - POLICY_BURST - 1, 16u);
	v.delay_ns = MIN(v.delay_ns, d->own_fault ? POLICY_PAUSE_MAX_NS : POLICY_PAUSE_KILLED_NS);
	return v;
}

bool policy_may_kill_hung(struct sup_policy *p, uint64_t now)
{
	uint64_t back = (now - p->hang_since) / POLICY_HANG_REFILL_NS;

	if (back >= p->hang_spent) {
		p->hang_spent = 0;
		p->hang_since = now;
	} else {
		p->hang_spent -= (uint32_t)back;
		p->hang_since += back * POLICY_HANG_REFILL_NS;
	}
	if (p->hang_spent >= POLICY_HANG_BURST)
		return false;
	p->hang_spent++;
	return true;
}

bool policy_own_fault(int code, int status)
{
	if (code == CLD_EXITED)
		return true;
	switch (status) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGSYS:
		return true;
	default:
		return false;
	}
}
