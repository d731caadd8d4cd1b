/* journal.pml - the journal's order of stores, its resume, and nested deaths (docs/recovery.md), for Spin.
 *
 * One statement is one store to shared memory; a death may come between any two, also inside a resume. An inline that is
 * named like a C function stands for that function (tests/lint/models.sh keeps this true); those of the model's own begin
 * with m_. The disk has one sector, so that all writes overlap. A dead generation's writes arrive late, in any order, or not at
 * all. The guest sends REQS requests, each a read, a write or one that is rejected, over NQ rings of NR entries.
 *
 * Every process waits for what it needs and every run is finite, so that a request which is never answered shows as
 * an invalid end state. Everything else is an assertion. MUTANT_... take out one rule each.
 */
#ifndef NQ
#define NQ 1
#endif
#ifndef NR
#define NR 2
#endif
#ifndef REQS
#define REQS 3
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef BAD_MAX
#define BAD_MAX 1
#endif
#define NS (NQ * NR)
#define S(q, i) ((q) * NR + (i) % NR)
#define NG (NQ * REQS)
#define G(q, id) ((q) * REQS + (id))

/* ring entry */
#define NOTHING 0
#define REQUEST 1
#define RESPONSE 2
/* operation: READ, 1 ... REQS: a write of that value, REJECT */
#define READ 0
#define REJECT 100
#define IS_WRITE(op) ((op) != READ && (op) != REJECT)
/* what a write or a rejected request is answered with; a read with its value */
#define OKAY 101
#define ERROR 102
/* state of a journal's slot */
#define FREE 0
#define TAKEN 1
#define LOADED 2
#define STARTED 3
#define DONE 4
/* where the stub's own memory has the slot */
#define W_FREE 0
#define W_TAKEN 1
#define W_TODO 2
#define W_LOADED 3
#define W_REDO 4
#define W_ENGINE 5
#define W_OVER 6
#define W_ANSWERED 7

/* shared with the guest */
byte ent_what[NS], ent_id[NS], ent_val[NS];
byte req_prod[NQ], rsp_prod[NQ];

/* the journal */
byte j_cons[NQ], j_rsp[NQ];
byte st[NS], s_idx[NS], s_copy_of[NS], s_op[NS], s_rsp[NS], s_res[NS];

/* the stub's own memory: gone with it */
byte w[NS], val[NS], cons[NQ], next[NQ];
bool held, in_range[NS];

/* the storage: the sector, and for each generation the writes that are still to land (a bit each) */
byte disk;
byte late[DEATHS + 1];

byte gen, wgen, ready = 255, deaths;

/* the guest */
byte issued, answered, writes, rejects, taken[NQ];
byte g_op[NG], g_snap[NG];
bool g_pending[NG];
/* Register: which values are known to be in the past, and for each which must come before it. */
byte seen = 1, before[REQS + 1];

#if NR == 1
#define ANY(q, P) (P(S(q, 0)))
#define PICK(q, P) if :: P(S(q, 0)) -> s = S(q, 0) fi
#elif NR == 2
#define ANY(q, P) (P(S(q, 0)) || P(S(q, 1)))
#define PICK(q, P) if :: P(S(q, 0)) -> s = S(q, 0) :: P(S(q, 1)) -> s = S(q, 1) fi
#else
#define ANY(q, P) (P(S(q, 0)) || P(S(q, 1)) || P(S(q, 2)))
#define PICK(q, P) if :: P(S(q, 0)) -> s = S(q, 0) :: P(S(q, 1)) -> s = S(q, 1) :: P(S(q, 2)) -> s = S(q, 2) fi
#endif

/* ---- the guest ---- */

inline m_issue(q, op)
{
	d_step {
		k = S(q, req_prod[q]);
		ent_what[k] = REQUEST;
		ent_id[k] = req_prod[q];
		ent_val[k] = op;
		k = G(q, req_prod[q]);
		g_pending[k] = true;
		g_op[k] = op;
		g_snap[k] = seen;
		if
		:: IS_WRITE(op) -> before[op] = seen
		:: else
		fi;
		req_prod[q]++;
		issued++;
		k = 0
	}
}

/* A read that returned v although a value that must come after v was in the past when it began. */
inline m_register(snap, v)
{
	assert(v <= writes);
	u = 0;
	do
	:: u <= writes ->
		assert(u == v || !(snap >> u & 1) || !(before[u] >> v & 1)); /* REGISTER, NO-RESURRECT */
		u++
	:: else -> break
	od;
	before[v] = before[v] | (snap & ~(1 << v));
	u = 0
}

inline m_take_response(q)
{
	d_step {
		assert(rsp_prod[q] > taken[q] && rsp_prod[q] <= req_prod[q]); /* never back, never more than was asked */
		k = S(q, taken[q]);
		assert(ent_what[k] == RESPONSE);
		r = G(q, ent_id[k]);
		assert(ent_id[k] < req_prod[q] && g_pending[r]); /* ANSWER-ONCE, ID-ECHO */
		g_pending[r] = false;
		if
		:: g_op[r] == REJECT -> assert(ent_val[k] == ERROR)
		:: g_op[r] == READ -> m_register(g_snap[r], ent_val[k]); seen = seen | 1 << ent_val[k]
		:: else -> assert(ent_val[k] == OKAY); seen = seen | 1 << g_op[r]
		fi;
		g_snap[r] = 0;
		g_op[r] = 0;
		ent_what[k] = NOTHING;
		ent_id[k] = 0;
		ent_val[k] = 0;
		taken[q]++;
		answered++;
		k = 0;
		r = 0
	}
}

active proctype Guest()
{
	byte k, r, u;

	do
#define ROOM(q) (issued < REQS && req_prod[q] - taken[q] < NR)
#define GUEST_OF(q) \
	:: ROOM(q) -> m_issue(q, READ) \
	:: ROOM(q) -> d_step { writes++; } m_issue(q, writes) \
	:: ROOM(q) && rejects < BAD_MAX -> d_step { rejects++; } m_issue(q, REJECT) \
	:: taken[q] != rsp_prod[q] -> m_take_response(q)
	GUEST_OF(0)
#if NQ > 1
	GUEST_OF(1)
#endif
	:: answered == REQS -> break
	od;
	k = 0;
	d_step { /* CONSERVE */
		do
		:: k < NQ -> assert(j_cons[k] == j_rsp[k] && j_cons[k] == req_prod[k]); k++
		:: else -> break
		od
	}
}

/* ---- the stub's workers ---- */

/* What a free slot holds is read by nobody: cleared here, so that states which differ in nothing else are one. */
inline jrnl_free(s)
{
	d_step { st[s] = FREE; s_idx[s] = 0; s_copy_of[s] = 0; s_op[s] = 0; s_rsp[s] = 0; s_res[s] = 0; }
}
inline jrnl_take(s, i)
{
#ifndef MUTANT_NO_FREE_FIRST
	jrnl_free(s);
#endif
	d_step {
		assert(ent_what[S(q, i)] == REQUEST && ent_id[S(q, i)] == i); /* never an answer, never what was taken before */
		s_op[s] = ent_val[S(q, i)];
		s_copy_of[s] = i
	};
	s_idx[s] = i;
	st[s] = TAKEN
}
inline jrnl_taken(q) { j_cons[q] = cons[q] }

/* Free slots that look alike are as good as one another: the first of them stands for all. */
#define IS_FREE(x) (w[x] == W_FREE && (x == S(q, 0) || w[S(q, 0)] != W_FREE || st[S(q, 0)] != st[x]))
#define IS_TAKEN(x) (w[x] == W_TAKEN)
inline blk_take(q)
{
#ifdef MUTANT_CONS_FIRST
	j_cons[q] = cons[q] + 1;
#endif
	do
	:: cons[q] < req_prod[q] && ANY(q, IS_FREE) ->
		atomic { PICK(q, IS_FREE); w[s] = W_TAKEN; }
		jrnl_take(s, cons[q]);
		cons[q]++
#ifdef MUTANT_EARLY_ANSWER
		; if
		:: s_op[s] == REJECT -> blk_answer(q, s, ERROR)
		:: else
		fi
#endif
#ifdef MUTANT_CONS_FIRST
		; break
#endif
	:: ANY(q, IS_TAKEN) -> break
#ifdef MUTANT_EARLY_ANSWER
	:: j_cons[q] != cons[q] -> break
#endif
	od;
	jrnl_taken(q);
	d_step {
		i = 0;
		do
		:: i < NR ->
			if
			:: w[S(q, i)] == W_TAKEN -> w[S(q, i)] = W_TODO
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

inline jrnl_result(s, v) { s_res[s] = v }
inline blkif_back_answer(q, at, id, v) { ent_what[S(q, at)] = RESPONSE; ent_id[S(q, at)] = id; ent_val[S(q, at)] = v }
/* In private memory. */
inline m_answered(q, s)
{
	next[q]++;
	blk_range_leave(s);
	val[s] = 0;
#ifdef MUTANT_FREE_AT_DONE
	w[s] = W_FREE
#else
	w[s] = W_ANSWERED
#endif
}
inline blk_range_leave(s)
{
	if
	:: in_range[s] -> in_range[s] = false; held = false
	:: else
	fi
}
inline jrnl_done(q, s)
{
#ifdef MUTANT_DONE_EARLY
	st[s] = DONE;
#endif
	s_rsp[s] = next[q];
	d_step { st[s] = DONE; m_answered(q, s); }
}
inline blk_answer(q, s, v)
{
	jrnl_result(s, v);
	d_step { blkif_back_answer(q, next[q], s_idx[s], v); }
#ifdef MUTANT_LEAVE_EARLY
	d_step { blk_range_leave(s); }
#endif
	jrnl_done(q, s)
}

inline jrnl_loaded(s) { st[s] = LOADED }
inline blk_load(q, s)
{
	if
	:: s_op[s] == REJECT -> blk_answer(q, s, ERROR)
	:: else -> d_step { jrnl_loaded(s); w[s] = W_LOADED; }
	fi
}

/* blk_admit: the range rule */
#ifdef MUTANT_NO_RANGE_RULE
#define ADMITTED(x) true
#else
#define ADMITTED(x) (!IS_WRITE(s_op[x]) || in_range[x] || !held)
#endif
/* blk_fence_open: nothing of a former generation is in flight any more */
#if defined(MUTANT_NO_FENCE)
#define FENCE_OPEN true
#elif defined(MUTANT_FENCE_LAST)
#define FENCE_OPEN (late[gen - 1] == 0)
#elif DEATHS == 0
#define FENCE_OPEN true
#elif DEATHS == 1
#define FENCE_OPEN (late[0] == 0)
#elif DEATHS == 2
#define FENCE_OPEN (late[0] == 0 && late[1] == 0)
#else
#define FENCE_OPEN (late[0] == 0 && late[1] == 0 && late[2] == 0)
#endif
#define MAY_START(x) (w[x] == W_LOADED && ADMITTED(x) || w[x] == W_REDO && (!IS_WRITE(s_op[x]) || FENCE_OPEN && ADMITTED(x)))
inline blk_admit(s)
{
	if
	:: IS_WRITE(s_op[s]) -> in_range[s] = true; held = true
	:: else
	fi
}
inline jrnl_started(s)
{
#ifndef MUTANT_STARTED_UNSAID
	st[s] = STARTED
#else
	skip
#endif
}
inline engine_submit(s) { w[s] = W_ENGINE }

inline jrnl_publish(q) { j_rsp[q] = next[q] }
inline blkif_back_publish(q) { rsp_prod[q] = next[q] }
inline blk_publish(q)
{
#ifdef MUTANT_PUBLISH_FIRST
	blkif_back_publish(q);
#endif
	jrnl_publish(q);
	blkif_back_publish(q);
	d_step {
		i = 0;
		do
		:: i < NR ->
			if
			:: w[S(q, i)] == W_ANSWERED -> w[S(q, i)] = W_FREE; s_op[S(q, i)] = 0; s_res[S(q, i)] = 0
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

#define IS_TODO(x) (w[x] == W_TODO)
#define IS_OVER(x) (w[x] == W_OVER)
/* A turn's parts, in any order and number: every budget is among them. */
inline blkback_turn(q)
{
	do
	:: cons[q] < req_prod[q] && ANY(q, IS_FREE) -> blk_take(q)
	:: atomic { ANY(q, IS_TODO) -> PICK(q, IS_TODO); } blk_load(q, s)
	:: atomic { ANY(q, MAY_START) -> PICK(q, MAY_START); blk_admit(s); } jrnl_started(s); engine_submit(s)
	:: atomic { ANY(q, IS_OVER) -> PICK(q, IS_OVER); } blk_answer(q, s, val[s])
	:: next[q] != j_rsp[q] || rsp_prod[q] != j_rsp[q] -> blk_publish(q)
	:: answered == REQS -> break /* an end that is no deadlock */
	od
}

proctype Worker(byte q)
{
	byte s, i, g = 255;

end:	do
	:: atomic { ready == wgen && g != wgen -> g = wgen; s = 0; i = 0; }
		{ blkback_turn(q) } unless { wgen != g }
	od
}

/* ---- taking over ---- */

/* What a successor demands of a journal; it is the process order that makes it so. */
inline jrnl_scan(q)
{
	n = 0;
	i = 0;
	do
	:: i < NR ->
		s = S(q, i);
		if
		:: st[s] == FREE || st[s] == TAKEN && s_idx[s] >= j_cons[q]
		:: st[s] == DONE && s_rsp[s] < j_rsp[q] -> assert(s_copy_of[s] == s_idx[s])
		:: else ->
			assert(s_copy_of[s] == s_idx[s] && s_idx[s] < j_cons[q]);
			assert(st[s] != DONE || s_rsp[s] - j_rsp[q] < NR);
			n++;
			k = 0;
			do
			:: k < i ->
				assert(st[S(q, k)] == FREE || s_idx[S(q, k)] != s_idx[s] || st[S(q, k)] == DONE && s_rsp[S(q, k)] < j_rsp[q]);
				assert(st[s] != DONE || st[S(q, k)] != DONE || s_rsp[S(q, k)] != s_rsp[s]);
				k++
			:: else -> break
			od
		fi;
		i++
	:: else -> break
	od;
	assert(j_cons[q] - j_rsp[q] == n); /* CONSERVE */
	n = 0;
	i = 0;
	k = 0;
	s = 0
}

#ifdef MUTANT_STARTED_LAST
#define ENTERS(x) false
#else
#define ENTERS(x) (st[x] == STARTED && IS_WRITE(s_op[x]))
#endif
/* Private memory only: what was started enters the range table first; those of all queues are disjoint. */
inline blk_reload()
{
	i = 0;
	do
	:: i < NS ->
		if
		:: ENTERS(i) ->
#ifndef MUTANT_NO_RANGE_RULE
			assert(!held);
#endif
			held = true;
			in_range[i] = true
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

#define IS_FORGOTTEN(x) (st[x] == TAKEN && s_idx[x] >= j_cons[q] || st[x] == DONE && s_rsp[x] < j_rsp[q])
inline m_forget(q)
{
#ifndef MUTANT_FORGET_PRIVATELY
	do
	:: atomic { ANY(q, IS_FORGOTTEN) -> PICK(q, IS_FORGOTTEN); } jrnl_free(s)
	:: else -> break
	od
#else
	skip
#endif
}

/* The answers that the guest may not have seen, each at its own index. */
#ifdef MUTANT_OTHER_INDEX
#define IS_UNSEEN(x) (st[x] == DONE && w[x] == W_FREE)
#else
#define IS_UNSEEN(x) (st[x] == DONE && s_rsp[x] == next[q])
#endif
#define IS_SHOWN(x) (st[x] == DONE && s_rsp[x] < j_rsp[q])
inline m_reanswer(q)
{
#ifdef MUTANT_TRUST_RING
	next[q] = rsp_prod[q];
#else
	next[q] = j_rsp[q];
#endif
	rsp_prod[q] = next[q];
	do
	:: atomic { ANY(q, IS_UNSEEN) -> PICK(q, IS_UNSEEN); }
		d_step { blkif_back_answer(q, next[q], s_idx[s], s_res[s]); next[q]++; }
#ifdef MUTANT_OTHER_INDEX
		w[s] = W_ANSWERED;
		jrnl_publish(q)
#endif
	:: else -> break
	od;
	if
	:: next[q] != j_rsp[q] -> jrnl_publish(q)
	:: else
	fi;
	if
	:: next[q] != rsp_prod[q] -> blkif_back_publish(q)
	:: else
	fi;
	do
	:: atomic { ANY(q, IS_SHOWN) -> PICK(q, IS_SHOWN); } jrnl_free(s)
	:: else -> break
	od
}

/* In private memory: what nobody uses, and what is still to be done. */
inline m_list(q)
{
	cons[q] = j_cons[q];
	i = 0;
	do
	:: i < NR ->
		if
		:: st[S(q, i)] == FREE -> w[S(q, i)] = W_FREE
		:: st[S(q, i)] == TAKEN -> w[S(q, i)] = (s_idx[S(q, i)] < j_cons[q] -> W_TODO : W_FREE)
		:: st[S(q, i)] == LOADED -> w[S(q, i)] = W_LOADED
		:: st[S(q, i)] == STARTED -> w[S(q, i)] = W_REDO
		:: st[S(q, i)] == DONE -> w[S(q, i)] = W_FREE
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline blkback_start()
{
	d_step {
		jrnl_scan(0);
#if NQ > 1
		jrnl_scan(1);
#endif
		blk_reload()
	};
	m_forget(0);
	m_reanswer(0);
#if NQ > 1
	q = 1;
	m_forget(1);
	m_reanswer(1);
#endif
	q = 0;
	d_step {
		wgen == g -> /* always, as the lock was granted */
		m_list(0);
#if NQ > 1
		m_list(1);
#endif
		ready = g
	}
}

/* The control thread of each generation; the first finds an empty journal, which is a fresh one. */
active proctype Control()
{
	byte g, q, s, i, k, n;

end:	do
	:: atomic { ready != gen -> g = gen; q = 0; s = 0; i = 0; k = 0; n = 0; }
		{ blkback_start() } unless { gen != g }
	od
}

/* ---- death, and the storage ---- */

/* The stub's memory goes; what it had in the engine may still come. */
inline m_forget_all()
{
	i = 0;
	do
	:: i < NS ->
		if
		:: w[i] == W_ENGINE && IS_WRITE(s_op[i]) -> late[wgen] = late[wgen] | 1 << s_op[i]
		:: else
		fi;
		w[i] = W_FREE;
		val[i] = 0;
		in_range[i] = false;
		i++
	:: else -> break
	od;
	i = 0;
	held = false;
	cons[0] = 0;
	next[0] = 0;
#if NQ > 1
	cons[1] = 0;
	next[1] = 0;
#endif
	wgen++
}

/* The journal's lock is granted when the last thread of the former owner is gone: to a standby or to a new process alike. */
active proctype Killer()
{
	byte i;

end:	do
	:: deaths < DEATHS ->
#ifdef MUTANT_NO_LOCK
		d_step { gen++; deaths++ };
		d_step { m_forget_all() }
#else
		d_step { deaths < DEATHS -> deaths++; gen++; m_forget_all() }
#endif
	od
}

#define ENGINE_HAS(x) \
	:: d_step { w[x] == W_ENGINE -> \
		if \
		:: IS_WRITE(s_op[x]) -> disk = s_op[x]; val[x] = OKAY \
		:: else -> val[x] = disk \
		fi; \
		w[x] = W_OVER }
/* By the range rule a generation has one write in flight at most; without it, the smallest value comes first. */
#define LOWEST(m) (m & 1 -> 0 : (m & 2 -> 1 : (m & 4 -> 2 : (m & 8 -> 3 : (m & 16 -> 4 : 5)))))
#define LANDS(g) \
	:: d_step { late[g] != 0 -> disk = LOWEST(late[g]); late[g] = late[g] & (late[g] - 1); } \
	:: late[g] != 0 -> late[g] = late[g] & (late[g] - 1)

active proctype Storage()
{
end:	do
	ENGINE_HAS(0)
#if NS > 1
	ENGINE_HAS(1)
#endif
#if NS > 2
	ENGINE_HAS(2)
#endif
#if NS > 3
	ENGINE_HAS(3)
#endif
#if DEATHS > 0
	LANDS(0)
#endif
#if DEATHS > 1
	LANDS(1)
#endif
#if DEATHS > 2
	LANDS(2)
#endif
	od
}

init
{
	atomic {
		run Worker(0);
#if NQ > 1
		run Worker(1)
#endif
	}
}
