/* Rules taken out of what is around the stub, at the joints between production files: the checks must miss each of them. */
#include "recovery/super/sup_priv.h"
#include "tests/sim/sim_hv.h"
#include "tests/sim/world_net.h"
#include "xenstore-glue/client/xs_priv.h"

#include <errno.h>
#include <string.h>

#define MUTE(type, name, ...) \
	type __wrap_##name(__VA_ARGS__); \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

const char *const world_mutant_name[WORLD_MUTANTS] = {
	[WORLD_EARLY_STUB] = "a connection ends, and the next begins, while its former stub still dies",
	[WORLD_OWN_FAULT] = "GO tells the contrary of whose fault the death was",
	[WORLD_CLOSE_AT_DEATH] = "the backend closes when its stub dies",
	[WORLD_LOST_WATCH] = "the client does not register its watches again",
	[WORLD_NO_ADOPT] = "a successor does not know the stubs of its predecessor",
	[WORLD_BUDGET] = "three deaths are too many, whoever's fault",
	[WORLD_LEAK_JOURNAL] = "journals stay behind",
	[WORLD_LOG_TAIL] = "what the store acknowledged is not in its log",
	[WORLD_KILL_ALL] = "who kills one stub kills its neighbour's",
	[WORLD_LATE_FENCE] = "a death is told before the storage has let go, and the fence is open at once",
	[WORLD_HANG] = "stubs that hang are not found",
	[WORLD_REPLAY_SHUT] = "a domain that is shut down is taken for one that runs",
	[WORLD_GO_SHUT] = "the standby is told to go before anybody asks whether the domain runs",
	[WORLD_FOR_GOOD] = "a domain that runs again is not found",
	[WORLD_FORGOTTEN] = "what a store has forgotten is not put back",
	[WORLD_TAP_LOST] = "a successor does not know the taps' queues of its predecessor",
	[WORLD_TAP_STAYS] = "taps stay behind",
	[WORLD_STAYS_ATTACHED] = "what attached a tap is not undone",
	[WORLD_SAID_LOST] = "a stub's successor does not know the hash's mapping",
	[WORLD_GROUPS_TOLD] = "stubs are told the contrary of whether the list of groups counts",
};

MUTE(bool, sup_dev_has_procs, const struct sup_dev *d)
{
	return world_mutant != WORLD_EARLY_STUB && __real_sup_dev_has_procs(d);
}

/* ---- domains that are shut down: a check as well, at the two places where a replay begins */

static bool going;

MUTE(int, hv_domain_state, struct hv *hv, hv_domid_t dom)
{
	int rc = __real_hv_domain_state(hv, dom);
	bool blind = world_mutant == WORLD_REPLAY_SHUT || (world_mutant == WORLD_GO_SHUT && going);

	return rc == -ESHUTDOWN && blind ? 1 : rc;
}

static bool any_shut(const struct sup_group *g)
{
	const struct sup_dev *d;

	LIST_FOREACH(d, &g->devs, link)
		if (sup_dev_runs(d) && d->connected && sim_hv_is_shut(world->sim, (hv_domid_t)d->domid))
			return true;
	return false;
}

MUTE(void, sup_group_go, struct sup_group *g, struct sup_proc *p, bool own_fault)
{
	bool shut = any_shut(g);

	going = true;
	__real_sup_group_go(g, p, world_mutant == WORLD_OWN_FAULT ? !own_fault : own_fault);
	going = false;
	if (shut && g->gone_over)
		world_violation("SUSPENDED", "a standby takes over for a domain that is shut down");
}

MUTE(int, sup_proc_start, struct sup_group *g, bool standby)
{
	if (!standby && any_shut(g))
		world_violation("SUSPENDED", "a stub is started to replay for a domain that is shut down");
	return __real_sup_proc_start(g, standby);
}

MUTE(const struct sup_edge *, sup_fsm, enum ctl_state state, enum sup_event ev)
{
	static const struct sup_edge closes = {CTL_DRAINING, SUP_DO_END};

	if (world_mutant == WORLD_FOR_GOOD && ev == SUP_EV_RUNS)
		return NULL;
	if (world_mutant == WORLD_CLOSE_AT_DEATH && state == CTL_UP && ev == SUP_EV_DIED)
		return &closes;
	return __real_sup_fsm(state, ev);
}

MUTE(void, xsc_watches_up, struct xsc *xs)
{
	if (world_mutant != WORLD_LOST_WATCH || xs->epoch < 2)
		__real_xsc_watches_up(xs);
}

MUTE(int, keep_get, struct keep_client *k, const char *name, int *fds, size_t *nfds)
{
	if ((world_mutant == WORLD_NO_ADOPT && strncmp(name, "stub.", 5) == 0) || (world_mutant == WORLD_TAP_LOST && strncmp(name, "store.vif", 9) == 0))
		return -ENOENT;
	return __real_keep_get(k, name, fds, nfds);
}

MUTE(struct policy_verdict, policy_died, struct sup_policy *p, uint64_t now, const struct policy_death *d)
{
	struct policy_verdict v = __real_policy_died(p, now, d);

	if (world_mutant == WORLD_BUDGET && !d->asked && ++p->pad >= 3)
		v.give_up = true;
	return v;
}

MUTE(void, sup_proc_kill, struct sup_proc *p)
{
	struct sup_proc *q;

	if (world_mutant == WORLD_KILL_ALL)
		LIST_FOREACH(q, &p->sup->procs, link)
			if (q != p)
				__real_sup_proc_kill(q);
	__real_sup_proc_kill(p);
}

MUTE(enum health_verdict, health_step, struct health *h, const struct health_sample *s, uint64_t hang_ns)
{
	enum health_verdict v = __real_health_step(h, s, hang_ns);

	return world_mutant == WORLD_HANG && v != HEALTH_POKE ? HEALTH_OK : v;
}

MUTE(void, sup_lost, struct sup_dev *d)
{
	if (world_mutant != WORLD_FORGOTTEN)
		__real_sup_lost(d);
}

/* ---- vifs */

MUTE(int, tap_remove, const char *name) { return world_mutant == WORLD_TAP_STAYS ? 0 : __real_tap_remove(name); }

MUTE(void, sup_vif_leave, struct sup *s, const char *tap)
{
	if (world_mutant != WORLD_STAYS_ATTACHED)
		__real_sup_vif_leave(s, tap);
}

MUTE(int, njrnl_net_get, const struct njrnl *j, struct njrnl_net *out)
{
	int rc = __real_njrnl_net_get(j, out);

	if (world_mutant == WORLD_SAID_LOST)
		memset(out->mapping, 0, sizeof(out->mapping));
	return rc;
}

MUTE(void, sup_proc_tell, const struct sup_dev *d, struct stub_msg *m)
{
	if (world_mutant == WORLD_GROUPS_TOLD && m->type == STUB_MULTICAST)
		m->arg[0] = !m->arg[0];
	__real_sup_proc_tell(d, m);
}
