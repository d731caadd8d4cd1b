#include "recovery/super/sup_health.h"

#include "ring/base/base.h"

void health_stolen(struct health_steal *s, const uint64_t *ns, unsigned n)
{
	uint64_t worst = 0;

	for (unsigned i = 0; i < n; i++) {
		if (s->seen[i] && ns[i] > s->of[i])
			worst = MAX(worst, ns[i] - s->of[i]);
		s->of[i] = ns[i];
		s->seen[i] = true;
	}
	s->total += worst;
}

static bool awake(const struct health *h) { return h->turn & 1; }

static bool idle(const struct health *h, bool waits) { return !awake(h) && !waits; }

static bool poke_due(const struct health *h, uint64_t now, bool waits, uint64_t hang_ns)
{
	uint64_t since = MAX(h->moved_at, h->answered_at);

	return !h->poked && now - since >= (idle(h, waits) ? HEALTH_IDLE_NS : hang_ns);
}

bool health_wants_wait(const struct health *h, const struct health_sample *s, uint64_t hang_ns)
{
	if (!h->seen || s->answered)
		return false;
	return h->poked ? s->now - h->poked_at >= hang_ns : !idle(h, s->waits) && poke_due(h, s->now, s->waits, hang_ns);
}

/* From now on it has its time to answer. */
static void begin(struct health *h, const struct health_sample *s)
{
	h->poked_at = s->now;
	h->poke_wait = s->cpu_wait_ns;
	h->poke_run = s->cpu_run_ns;
	h->poke_stolen = s->stolen_ns;
}

static enum health_verdict unanswered(struct health *h, const struct health_sample *s, uint64_t hang_ns)
{
	uint64_t passed = s->now - h->poked_at, waited;

	if (passed < hang_ns)
		return HEALTH_OK;
	if (h->idle) {
		h->idle = false;
		begin(h, s);
		return HEALTH_OK;
	}
	waited = s->cpu_wait_ns - h->poke_wait;
	if (s->runnable)
		waited = MAX(waited, passed - MIN(passed, s->cpu_run_ns - h->poke_run));
	waited += s->stolen_ns - h->poke_stolen;
	waited = MIN(MIN(waited, passed), HEALTH_STARVED_NS);
	return passed - waited >= hang_ns ? HEALTH_HUNG : HEALTH_OK;
}

static bool livelocked(struct health *h, const struct health_sample *s)
{
	if (!s->oldest_taken || s->engine_outstanding || s->fencing || s->oldest_taken != h->oldest) {
		h->oldest = s->engine_outstanding || s->fencing ? 0 : s->oldest_taken;
		h->oldest_since = s->now;
		return false;
	}
	return s->now - h->oldest_since >= HEALTH_LIVELOCK_NS;
}

enum health_verdict health_step(struct health *h, const struct health_sample *s, uint64_t hang_ns)
{
	if (!h->seen || s->turn != h->turn) {
		h->moved_at = s->now;
		h->turn = s->turn;
		h->seen = true;
	}
	if (s->answered) {
		h->poked = false;
		h->answered_at = s->now;
	}
	if (livelocked(h, s))
		return HEALTH_LIVELOCK;
	if (h->poked)
		return unanswered(h, s, hang_ns);
	if (!poke_due(h, s->now, s->waits, hang_ns))
		return HEALTH_OK;
	h->poked = true;
	h->idle = idle(h, s->waits);
	begin(h, s);
	return HEALTH_POKE;
}

/* What need not be exact is put on times that all workers share: the supervisor wakes once for many. */
static uint64_t shared_before(uint64_t at, uint64_t hang_ns) { return at - at % MAX(hang_ns / 4, 1u); }
static uint64_t shared_after(uint64_t at, uint64_t hang_ns) { return shared_before(at + hang_ns / 4 - 1, hang_ns); }

uint64_t health_next(const struct health *h, uint64_t now, bool standby, uint64_t hang_ns)
{
	uint64_t since = MAX(h->moved_at, h->answered_at), due = shared_after(since + HEALTH_IDLE_NS, hang_ns);

	if (h->poked && h->idle)
		return MAX(shared_after(h->poked_at + hang_ns, hang_ns), now + hang_ns / 4);
	if (h->poked) /* often from the moment on at which it should have answered: only the waiting time is missing */
		return MAX(h->poked_at + hang_ns, now + hang_ns / 4);
	if (awake(h))
		return MAX(since + hang_ns, now + NS_PER_MS);
	/* Asleep now, it may wake and hang at any time: that is measured from when it is first seen awake. */
	return MAX(standby ? due : MIN(due, shared_before(now + hang_ns, hang_ns)), now + NS_PER_MS);
}
