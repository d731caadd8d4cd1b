/* notify.pml - who wakes whom on a ring, in both directions, over deaths of the backend, for Spin.
 *
 * Indices count modulo MOD, so that they wrap all the time; the ring has NR entries. The backend's event channel is a real
 * one: an event marks the port readable and masks it, and one that comes while it is masked stays pending until it is unmasked.
 * One statement is one access to what is shared; a death may come between any two. An inline that is named like a C function
 * stands for that function (tests/lint/models.sh keeps this true); those of the model's own begin with m_.
 *
 * Safety: never are both ends asleep with work left, and an end is woken for nothing at most SPURIOUS times in a row (each death
 * is worth one more): by what was readable, what was pending, and what was just being sent when it found the work by itself. Liveness (ltl answered): whoever waits for an answer gets one.
 * COUNT: that bound is checked (a larger search). STORM: a guest that sends events for nothing, and a worker that goes deaf.
 * FORMULA_ONLY: what sleeps for ever is left to the formula. MUTANT_... take out one rule each.
 */
#ifndef NR
#define NR 2
#endif
#ifndef MOD
#define MOD 4
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define SPURIOUS 3
#ifdef COUNT
#define FOR_NOTHING(n) n++; assert(n <= SPURIOUS + deaths)
#define FOR_WORK(n) n = 0
#else
#define FOR_NOTHING(n) skip
#define FOR_WORK(n) skip
#endif
#define MINUS(a, b) ((a + MOD - (b)) % MOD)
#define PLUS(a, n) ((a + (n)) % MOD)
/* RING_PUSH_..._CHECK_NOTIFY: whether the event index lies among the new ones */
#ifdef MUTANT_NO_WRAP
#define WANTED(new, old, event) (new >= event && old < event)
#else
#define WANTED(new, old, event) (MINUS(new, event) < MINUS(new, old))
#endif

/* the ring */
byte req_prod, rsp_prod, req_event = 1, rsp_event = 1;
/* the backend's port, and the frontend's */
bool pending, masked, readable;
bool fe_event;

/* the journal: it has a slot for every entry */
byte j_cons, j_rsp;
/* the storage's queue and what it has done; they go with the stub */
byte running, over;

byte deaths, fe_taken;
bool kill, be_asleep, fe_asleep, took;
byte be_nothing, fe_nothing;

#define WORK_FOR_BE (req_prod != j_cons || running > 0 || over > 0)
#define WORK_FOR_FE (rsp_prod != fe_taken)
#define BE_WAKES (readable || over > 0)
#define BOTH_STUCK (be_asleep && !BE_WAKES && running == 0 && fe_asleep && !fe_event && (req_prod != j_cons || WORK_FOR_FE))
#ifdef FORMULA_ONLY
#define M_ASSERT_AWAKE skip
#else
#define M_ASSERT_AWAKE assert(!BOTH_STUCK)
#endif

/* ---- event channels ---- */

inline m_notify_backend()
{
	d_step {
		if
		:: masked -> pending = true
		:: else -> readable = true; masked = true
		fi
	}
}

/* Reads until empty; then unmasks, which brings back what came meanwhile. */
inline hv_port_clear()
{
#ifdef MUTANT_UNMASK_IF_READ
	if
	:: readable -> readable = false; m_unmask()
	:: else
	fi
#else
	readable = false;
	m_unmask()
#endif
}
inline m_unmask()
{
	d_step {
		masked = false;
		if
		:: pending -> pending = false; readable = true; masked = true
		:: else
		fi
	}
}

inline hv_port_notify() { fe_event = true }

/* ---- the frontend ---- */

inline fe_ring_publish(n)
{
#ifdef MUTANT_FE_LOOKS_FIRST
	event = req_event; /* as without the barrier */
	old = req_prod;
	req_prod = PLUS(old, n);
#else
	old = req_prod;
	req_prod = PLUS(old, n);
	event = req_event;
#endif
	if
	:: WANTED(req_prod, old, event) -> m_notify_backend()
	:: else
	fi;
	d_step { old = 0; event = 0; }
}

inline fe_ring_take() { d_step { fe_taken = PLUS(fe_taken, 1); took = true; FOR_WORK(fe_nothing); } took = false }

inline m_fe_sleep()
{
	d_step { fe_asleep = true; M_ASSERT_AWAKE; }
	d_step {
		fe_event -> fe_event = false; fe_asleep = false;
		if
		:: WORK_FOR_FE
		:: else -> FOR_NOTHING(fe_nothing)
		fi
	}
}

inline fe_ring_arm()
{
#ifdef MUTANT_FE_ARMS_OFF
	rsp_event = fe_taken;
#else
	rsp_event = PLUS(fe_taken, 1);
#endif
	if
#ifndef MUTANT_FE_NO_RECHECK
	:: rsp_prod != fe_taken -> skip
#endif
	:: else -> m_fe_sleep()
	fi
}

/* It may stop sending at any time, also for ever: nobody can count on its next request. */
active proctype Frontend()
{
	byte old, event;

end:	do
	:: WORK_FOR_FE -> fe_ring_take()
	:: MINUS(req_prod, fe_taken) < NR -> fe_ring_publish(1)
#if NR > 1
	:: MINUS(req_prod, fe_taken) < NR - 1 -> fe_ring_publish(2)
#endif
	:: !WORK_FOR_FE && req_prod != fe_taken -> fe_ring_arm()
	od
}

/* ---- the backend ---- */

inline blk_reap() { d_step { next = PLUS(next, over); over = 0; } }
inline blk_take()
{
	cons = req_prod;
	did = true;
	d_step { running = running + MINUS(cons, j_cons); j_cons = cons; }
}

inline blkif_back_publish()
{
#ifdef MUTANT_BE_LOOKS_FIRST
	event = rsp_event; /* as without the barrier */
	rsp_prod = next;
#else
	rsp_prod = next;
	event = rsp_event;
#endif
}
inline blk_publish(always)
{
	old = j_rsp;
	j_rsp = next;
	blkif_back_publish();
	if
	:: always || WANTED(next, old, event) -> hv_port_notify()
	:: else
	fi;
	d_step { old = 0; event = 0; }
}

inline blkback_turn()
{
	did = false;
	if
	:: over > 0 -> blk_reap(); did = true
	:: else
	fi;
	if
	:: req_prod != cons -> blk_take()
	:: else
	fi;
	if
#ifdef MUTANT_NOTIFY_ALWAYS
	:: blk_publish(true); did = (next != old)
#else
	:: next != j_rsp -> blk_publish(false); did = true
	:: else
#endif
	fi
}

/* blkback_arm: asks for an event, then looks again: at the ring, and at the storage. */
inline blkback_arm()
{
#ifdef MUTANT_LOOK_THEN_ARM
	stay = (req_prod != cons || over > 0);
	req_event = PLUS(cons, 1)
#else
#ifdef MUTANT_ARMS_OFF
	req_event = cons;
#else
	req_event = PLUS(cons, 1);
#endif
#ifdef MUTANT_NO_RECHECK
	stay = (over > 0)
#else
	stay = (req_prod != cons || over > 0)
#endif
#endif
}

/* Woken, it clears the port before it looks at the ring. */
inline m_be_sleep()
{
#ifdef MUTANT_CLEAR_LATE
	hv_port_clear();
#endif
	d_step { be_asleep = true; M_ASSERT_AWAKE; }
#ifdef STORM
	if
	:: deaf ->
#ifdef MUTANT_DEAF_FOREVER
		over > 0;
#endif
		be_asleep = false; /* by its timer */
		deaf = false;
		hv_port_clear()
	:: else ->
#endif
		d_step { BE_WAKES -> be_asleep = false; }
#ifndef MUTANT_CLEAR_LATE
		if
		:: readable -> called = true; hv_port_clear()
		:: else
		fi
#endif
#ifdef STORM
	fi
#endif
}

#ifdef STORM
#define NOTHING_FOUND deaf = called
#else
#define NOTHING_FOUND d_step { if :: called -> FOR_NOTHING(be_nothing) :: else fi; }
#endif
inline m_worker()
{
	do
	:: blkback_turn();
		if
		:: did -> d_step { called = false; FOR_WORK(be_nothing); }
		:: else ->
			NOTHING_FOUND;
			called = false;
			blkback_arm();
			if
			:: stay -> stay = false
			:: else -> m_be_sleep()
			fi
		fi
	od
}

/* A successor: the ring's word is set anew, what was not answered is done again, the port is cleared, the guest notified. */
inline blkback_start()
{
	d_step { next = j_rsp; cons = j_cons; running = MINUS(j_cons, j_rsp); }
	rsp_prod = j_rsp;
#ifndef MUTANT_NO_CLEAR
	hv_port_clear();
#endif
#ifndef MUTANT_NO_NOTIFY
	blk_publish(true)
#else
	skip
#endif
}

inline m_die()
{
	d_step {
		kill = false;
		be_asleep = false;
		running = 0;
		over = 0;
		cons = 0;
		next = 0;
		old = 0;
		event = 0;
		be_nothing = 0;
		called = false;
		did = false;
		stay = false;
		deaf = false
	}
}

active proctype Backend()
{
	byte cons, next, old, event;
	bool did, stay, deaf, called;

life:	{ blkback_start(); m_worker() } unless { kill };
	m_die();
	goto life
}

active proctype Killer()
{
end:	do
	:: d_step { deaths < DEATHS && !kill -> deaths++; kill = true; }
	:: deaths == DEATHS -> break
	od
}

active proctype Storage()
{
end:	do
	:: d_step { running > 0 && !kill -> running--; over++; }
	od
}

#ifdef STORM
/* A frontend's other processor, which sends events for nothing. */
active proctype Rogue()
{
end:	do
	:: m_notify_backend()
	od
}
#endif

ltl answered { []<> (took || req_prod == fe_taken) }
