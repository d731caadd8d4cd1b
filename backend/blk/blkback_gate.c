/* blkback_gate.c - a suspect, a request that was in work at several deaths, is redone with the engine empty (DESIGN.md section 6,
 * poison). Without suspects the gate is one load; they only become fewer, and are counted before any thread runs. */
#include "backend/blk/blkback_priv.h"

static void lock(struct blkback *b)
{
	/* Acquire: pairs with unlock(). Held for a few instructions. */
	while (exchange_acq_rel(&b->gate_lock, 1))
		cpu_relax();
}

static void unlock(struct blkback *b) { smp_store_release(&b->gate_lock, 0); } /* pairs with lock() */

bool blk_gate_enter(struct blkback *b, struct blk_work *w)
{
	bool ok;

	if (LIKELY(!load_relaxed(&b->suspects)))
		return true;
	lock(b);
	if (w->alone && !b->alone)
		b->alone = w;
	ok = w->alone ? b->alone == w && b->gated == 0 : !b->alone;
	if (ok) {
		b->gated++;
		w->gated = true;
	}
	unlock(b);
	return ok;
}

void blk_gate_leave(struct blkback *b, struct blk_work *w)
{
	if (LIKELY(!w->gated))
		return;
	lock(b);
	w->gated = false;
	b->gated--;
	if (b->alone == w)
		b->alone = NULL;
	unlock(b);
}

void blk_gate_acquit(struct blkback *b, struct blk_work *w)
{
	if (LIKELY(!w->alone))
		return;
	lock(b);
	w->alone = false;
	if (b->alone == w)
		b->alone = NULL;
	store_relaxed(&b->suspects, b->suspects - 1);
	unlock(b);
}
