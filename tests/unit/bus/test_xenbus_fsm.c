/* The xenbus table: every pair of states, the handshakes, and all that two ends can do together.
 * With --markdown or --dot it prints the table instead. */
#include "xenstore-glue/bus/xenbus_fsm.h"

#include "ring/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N XENBUS_NSTATES

/* What each backend phase does at each state of the frontend: "." nothing, C connect, D disconnect (let go), c answer with
 * Closing, x answer with Closed, P prepare anew, m both are connected. Columns: 0..8. */
static const struct row {
	enum xenbus_phase phase;
	const char *does;
} back[] = {
	{XENBUS_B_INIT, "........."},	    {XENBUS_B_RESTART, "........."},	    {XENBUS_B_WAIT, "...C.cx.."},	{XENBUS_B_CONNECTING, "DDD..cD.."},
	{XENBUS_B_CONNECTED, "DDD.mcD.."},  {XENBUS_B_MET, "DDDD.cD.."},	    {XENBUS_B_REJOIN_DRAIN, "........."}, {XENBUS_B_REJOIN, "........."},
	{XENBUS_B_CLOSING, "DDD...D.."},	{XENBUS_B_DRAINING, "........."},
	{XENBUS_B_CLOSED, ".P......."},	    {XENBUS_B_AGAIN, "........."},	{XENBUS_B_LEAVING, "DDD...D.."},
	{XENBUS_B_LEAVE_DRAIN, "........."}, {XENBUS_B_LEFT, "........."},	{XENBUS_B_GONE_DRAIN, "........."},
	{XENBUS_B_GONE, "........."},
};

/* The same for the frontend; r release, u changed, c: writes Closed (reset), i: writes Initialising. */
static const struct row front[] = {
	{XENBUS_F_RESET_CLOSING, ".i...cc.."}, {XENBUS_F_RESET_CLOSED, "......i.."}, {XENBUS_F_INIT, "..P......"}, {XENBUS_F_PARKED, "........."},
	{XENBUS_F_PREPARING, ".....DD.."},     {XENBUS_F_INITIALISED, "....CDD.."},  {XENBUS_F_CONNECTING, ".....DD.."},
	{XENBUS_F_DIRECT, "....CDD.."},	       {XENBUS_F_CONNECTED, "....uDD.."},    {XENBUS_F_STOPPING, "........."},
	{XENBUS_F_STOPPED, "......r.."},       {XENBUS_F_RELEASED, "........."},     {XENBUS_F_GONE_DRAIN, "........."},
	{XENBUS_F_GONE, "........."},
};

static char what(enum xenbus_phase phase, struct xenbus_step s)
{
	switch (s.action) {
	case XENBUS_ACT_PREPARE:
		return 'P';
	case XENBUS_ACT_CONNECT:
		return 'C';
	case XENBUS_ACT_DISCONNECT:
		return 'D';
	case XENBUS_ACT_RELEASE:
		return 'r';
	case XENBUS_ACT_CHANGED:
		return 'u';
	default:
		break;
	}
	if (s.next == phase)
		return '.';
	switch (xenbus_phase_state(s.next)) {
	case XenbusStateClosing:
		return 'c';
	case XenbusStateClosed:
		return xenbus_phase_role(phase) == XENBUS_BACK ? 'x' : 'c';
	case XenbusStateInitialising:
		return 'i';
	case XenbusStateConnected:
		return 'm';
	default:
		return '?';
	}
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned peer = 0; peer < N; peer++) {
			struct xenbus_step s = xenbus_fsm_next(rows[i].phase, (enum xenbus_event)peer);
			char got = what(rows[i].phase, s);

			if (got != rows[i].does[peer])
				fail_msg("%s at peer %s: '%c', wanted '%c'", xenbus_phase_name(rows[i].phase),
					 xenbus_state_name(peer), got, rows[i].does[peer]);
		}
}

static void every_pair(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(back) + ARRAY_LEN(front), XENBUS_NPHASES);
	check_rows(back, ARRAY_LEN(back));
	check_rows(front, ARRAY_LEN(front));
}

/* Whatever happens: roles stay, a final phase is left by nothing, a disconnect is asked for exactly when something may be
 * connected, and a backend says Closing or Closed only because the frontend, the toolstack or its owner's refusal of the
 * frontend's keys made it. */
static void laws(void **state)
{
	(void)state;
	for (unsigned p = 0; p < XENBUS_NPHASES; p++)
		for (unsigned e = 0; e < XENBUS_NEVENTS; e++) {
			enum xenbus_phase ph = (enum xenbus_phase)p;
			struct xenbus_step s = xenbus_fsm_next(ph, (enum xenbus_event)e);
			unsigned from = xenbus_phase_state(ph), to = xenbus_phase_state(s.next);

			assert_int_equal(xenbus_phase_role(s.next), xenbus_phase_role(ph));
			if (xenbus_phase_final(ph))
				assert_true(s.next == ph && s.action == XENBUS_ACT_NONE);
			if (s.action == XENBUS_ACT_REMOVED)
				assert_true(xenbus_phase_final(s.next));
			if (xenbus_phase_role(ph) == XENBUS_BACK && from < XenbusStateClosing && to >= XenbusStateClosing)
				assert_true(e <= XenbusStateClosed || e == XENBUS_EV_FAILED || e == XENBUS_EV_OFFLINE);
			if (ph == XENBUS_B_CONNECTED || ph == XENBUS_B_MET)
				assert_true(e != XENBUS_EV_FAILED || s.next == ph);
			/* A frontend keeps its connection when the backend's nodes say nothing. */
			if (xenbus_phase_role(ph) == XENBUS_FRONT && e == XenbusStateUnknown)
				assert_true(s.next == ph && s.action == XENBUS_ACT_NONE);
		}
}

/* Events in order, phases expected. */
static void walk(enum xenbus_phase ph, const enum xenbus_event *ev, const enum xenbus_phase *want, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ph = xenbus_fsm_next(ph, ev[i]).next;
		if (ph != want[i])
			fail_msg("step %zu (%s): %s, wanted %s", i, xenbus_event_name(ev[i]), xenbus_phase_name(ph),
				 xenbus_phase_name(want[i]));
	}
}
#define WALK(start, n, ...)                                                                         \
	do {                                                                                        \
		const struct {                                                                      \
			enum xenbus_event ev;                                                       \
			enum xenbus_phase ph;                                                       \
		} steps[] = __VA_ARGS__;                                                            \
		enum xenbus_event evs[n];                                                           \
		enum xenbus_phase phs[n];                                                           \
		for (size_t i_ = 0; i_ < n; i_++)                                                   \
			evs[i_] = steps[i_].ev, phs[i_] = steps[i_].ph;                             \
		walk(start, evs, phs, n);                                                           \
	} while (0)
#define PEER(s) ((enum xenbus_event)(XENBUS_EV_PEER + XenbusState##s))

static void known_walks(void **state)
{
	(void)state;
	/* connect, kexec's 5-6-1 in mid-connection, connect again */
	WALK(XENBUS_B_INIT, 11,
	     {{XENBUS_EV_READY, XENBUS_B_WAIT},
	      {PEER(Initialising), XENBUS_B_WAIT},
	      {PEER(Initialised), XENBUS_B_CONNECTING},
	      {XENBUS_EV_UP, XENBUS_B_CONNECTED},
	      {PEER(Connected), XENBUS_B_MET},
	      {PEER(Closing), XENBUS_B_CLOSING},
	      {PEER(Closed), XENBUS_B_DRAINING},
	      {XENBUS_EV_DOWN, XENBUS_B_CLOSED},
	      {PEER(Initialising), XENBUS_B_AGAIN},
	      {XENBUS_EV_READY, XENBUS_B_WAIT},
	      {PEER(Initialised), XENBUS_B_CONNECTING}});
	/* a frontend that was resumed has a new ring; one that has not said Connected yet has not */
	WALK(XENBUS_B_CONNECTED, 6,
	     {{PEER(Initialised), XENBUS_B_CONNECTED},
	      {PEER(Connected), XENBUS_B_MET},
	      {PEER(Initialised), XENBUS_B_REJOIN_DRAIN},
	      {XENBUS_EV_DOWN, XENBUS_B_REJOIN},
	      {XENBUS_EV_READY, XENBUS_B_CONNECTING},
	      {XENBUS_EV_UP, XENBUS_B_CONNECTED}});
	/* xl block-detach, and xl destroy, where the frontend's nodes go first */
	WALK(XENBUS_B_CONNECTED, 4,
	     {{XENBUS_EV_OFFLINE, XENBUS_B_LEAVING},
	      {PEER(Connected), XENBUS_B_LEAVING},
	      {PEER(Closed), XENBUS_B_LEAVE_DRAIN},
	      {XENBUS_EV_DOWN, XENBUS_B_LEFT}});
	WALK(XENBUS_B_CONNECTED, 4,
	     {{PEER(Unknown), XENBUS_B_DRAINING},
	      {XENBUS_EV_OFFLINE, XENBUS_B_LEAVE_DRAIN},
	      {XENBUS_EV_DOWN, XENBUS_B_LEFT},
	      {XENBUS_EV_OWN_GONE, XENBUS_B_LEFT}});
	/* netfront goes from 1 to 4; a disk that is Connected is never connected to afresh */
	assert_int_equal(xenbus_fsm_peer(XENBUS_BACK, true, XenbusStateConnected), XENBUS_EV_DIRECT);
	WALK(XENBUS_B_WAIT, 2, {{XENBUS_EV_DIRECT, XENBUS_B_CONNECTING}, {XENBUS_EV_UP, XENBUS_B_CONNECTED}});
	WALK(XENBUS_B_WAIT, 1, {{PEER(Connected), XENBUS_B_WAIT}});
	/* bad keys: Closing, and the device can be connected again */
	WALK(XENBUS_B_CONNECTING, 5,
	     {{XENBUS_EV_FAILED, XENBUS_B_CLOSING},
	      {PEER(Initialised), XENBUS_B_CLOSING},
	      {PEER(Closed), XENBUS_B_DRAINING},
	      {XENBUS_EV_DOWN, XENBUS_B_CLOSED},
	      {PEER(Initialising), XENBUS_B_AGAIN}});
	/* frontend: close, and open again; pages are free only after the backend's Closed */
	WALK(XENBUS_F_CONNECTED, 6,
	     {{XENBUS_EV_CLOSE, XENBUS_F_STOPPING},
	      {XENBUS_EV_DOWN, XENBUS_F_STOPPED},
	      {PEER(Closing), XENBUS_F_STOPPED},
	      {PEER(InitWait), XENBUS_F_STOPPED},
	      {PEER(Closed), XENBUS_F_RELEASED},
	      {XENBUS_EV_OPEN, XENBUS_F_INIT}});
}

/* ---- both ends together ----
 * A world: the two phases, what each knows of the other (an old value is possible: events come late), whether the backend's
 * owner maps the frontend's pages, and a close that was asked for. Everything that can happen is tried from everywhere. */

struct world {
	uint8_t b, f, b_store, f_store, b_mapped, direct;
};

static unsigned pack(struct world w)
{
	return (((((w.b * 32u + w.f) * 16u + w.b_store) * 16u + w.f_store) * 2u + w.b_mapped) * 2u) +
	       w.direct;
}
#define WORLDS (32u * 32 * 16 * 16 * 2 * 2)

static struct world unpack(unsigned v)
{
	struct world w;

	w.direct = v % 2, v /= 2;
	w.b_mapped = v % 2, v /= 2;
	w.f_store = v % 16, v /= 16;
	w.b_store = v % 16, v /= 16;
	w.f = v % 32, v /= 32;
	w.b = (uint8_t)v;
	return w;
}

struct search {
	uint8_t *seen;
	unsigned *queue, n;
	unsigned *from, at; /* where each world was reached from, and the one being looked at */
};

static void print_world(unsigned v)
{
	struct world w = unpack(v);

	print_error("  back %s (%u in the store%s), front %s (%u)\n", xenbus_phase_name((enum xenbus_phase)w.b), w.b_store,
		    w.b_mapped ? ", mapped" : "", xenbus_phase_name((enum xenbus_phase)w.f), w.f_store);
}

/* How the world being looked at was reached, backwards. */
static void print_path(const struct search *s)
{
	for (unsigned i = s->at; s->from; i = s->from[i]) {
		print_world(s->queue[i]);
		if (i == 0)
			return;
	}
}

static void visit(struct search *s, struct world w)
{
	unsigned v = pack(w);

	if (s->seen[v])
		return;
	s->seen[v] = 1;
	if (s->from)
		s->from[s->n] = s->at;
	s->queue[s->n++] = v;
}

static void back_event(struct search *s, struct world w, enum xenbus_event ev)
{
	struct xenbus_step st = xenbus_fsm_next((enum xenbus_phase)w.b, ev);

	w.b = (uint8_t)st.next;
	if (st.action == XENBUS_ACT_CONNECT)
		w.b_mapped = 1;
	if (ev == XENBUS_EV_DOWN)
		w.b_mapped = 0;
	visit(s, w);
}

static void front_event(struct search *s, struct world w, enum xenbus_event ev)
{
	struct xenbus_step st = xenbus_fsm_next((enum xenbus_phase)w.f, ev);

	if ((st.action == XENBUS_ACT_RELEASE || st.action == XENBUS_ACT_PREPARE) && w.b_mapped) {
		print_path(s);
		fail_msg("%s while mapped", xenbus_action_name(st.action));
	}
	w.f = (uint8_t)st.next;
	visit(s, w);
}

/* A new frontend process over whatever stands in the store. */
static void front_restart(struct search *s, struct world w)
{
	enum xenbus_action a;

	w.f = (uint8_t)xenbus_fsm_start(XENBUS_FRONT, (enum xenbus_state)w.f_store, (enum xenbus_state)w.b_store, false, &a);
	visit(s, w);
}

static void back_restart(struct search *s, struct world w)
{
	enum xenbus_action a;

	w.b = (uint8_t)xenbus_fsm_start(XENBUS_BACK, (enum xenbus_state)w.b_store, (enum xenbus_state)w.f_store, w.b_mapped, &a);
	visit(s, w);
}

static void expand(struct search *s, struct world w, bool faults)
{
	enum xenbus_phase b = (enum xenbus_phase)w.b, f = (enum xenbus_phase)w.f;
	struct world x = w;

	/* each writes its state, and looks at the other's */
	if (xenbus_phase_state(b) != XenbusStateUnknown && w.b_store != xenbus_phase_state(b)) {
		x.b_store = (uint8_t)xenbus_phase_state(b);
		visit(s, x);
		x = w;
	}
	if (w.f_store != xenbus_phase_state(f)) {
		x.f_store = (uint8_t)xenbus_phase_state(f);
		visit(s, x);
	}
	back_event(s, w, xenbus_fsm_peer(XENBUS_BACK, w.direct, (enum xenbus_state)w.f_store));
	front_event(s, w, xenbus_fsm_peer(XENBUS_FRONT, w.direct, (enum xenbus_state)w.b_store));
	/* the owners answer */
	if (b == XENBUS_B_INIT || b == XENBUS_B_AGAIN || b == XENBUS_B_RESTART || b == XENBUS_B_REJOIN)
		back_event(s, w, XENBUS_EV_READY);
	if (b == XENBUS_B_CONNECTING)
		back_event(s, w, XENBUS_EV_UP);
	if (b == XENBUS_B_DRAINING || b == XENBUS_B_LEAVE_DRAIN || b == XENBUS_B_REJOIN_DRAIN)
		back_event(s, w, XENBUS_EV_DOWN);
	if (f == XENBUS_F_PREPARING)
		front_event(s, w, w.direct ? XENBUS_EV_READY_DIRECT : XENBUS_EV_READY);
	if (f == XENBUS_F_CONNECTING)
		front_event(s, w, XENBUS_EV_UP);
	if (f == XENBUS_F_STOPPING)
		front_event(s, w, XENBUS_EV_DOWN);
	if (f == XENBUS_F_RELEASED || f == XENBUS_F_PARKED)
		front_event(s, w, XENBUS_EV_OPEN);
	if (!faults)
		return;
	front_event(s, w, XENBUS_EV_CLOSE);
	front_restart(s, w);
	back_restart(s, w);
	if (b == XENBUS_B_CONNECTING)
		back_event(s, w, XENBUS_EV_FAILED);
}

static void run(struct search *s, bool faults)
{
	for (s->at = 0; s->at < s->n; s->at++)
		expand(s, unpack(s->queue[s->at]), faults);
}

static bool connected(unsigned v)
{
	struct world w = unpack(v);

	return (w.b == XENBUS_B_CONNECTED || w.b == XENBUS_B_MET) && w.f == XENBUS_F_CONNECTED;
}

/* From every world that closes, restarts and refusals can lead to, the two ends, left alone, can be connected again: no
 * pair of phases waits for each other. And pages are never used anew while the backend maps them. */
static void two_ends(void **state)
{
	uint8_t *seen = calloc(1, WORLDS), *one = calloc(1, WORLDS);
	unsigned *all = calloc(WORLDS, sizeof(*all)), *queue = calloc(WORLDS, sizeof(*queue)),
		 *from = calloc(WORLDS, sizeof(*from));

	(void)state;
	assert_true(seen && one && all && queue && from);
	for (uint8_t direct = 0; direct < 2; direct++) {
		struct search s = {.seen = seen, .queue = all, .from = from};

		memset(seen, 0, WORLDS);
		visit(&s, (struct world){.b = XENBUS_B_INIT, .f = XENBUS_F_INIT, .b_store = 1, .f_store = 1, .direct = direct});
		run(&s, true);
		print_message("%s: %u worlds\n", direct ? "net" : "block", s.n);
		for (unsigned i = 0; i < s.n; i++) {
			struct search t = {.seen = one, .queue = queue};
			bool found = false;

			visit(&t, unpack(all[i]));
			run(&t, false);
			for (unsigned k = 0; k < t.n; k++) {
				found |= connected(queue[k]);
				one[queue[k]] = 0;
			}
			if (!found) {
				s.at = i;
				print_path(&s);
				fail_msg("stuck");
			}
		}
	}
	free(seen), free(one), free(all), free(queue), free(from);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(xenbus_state_name(4), "Connected");
	assert_string_equal(xenbus_state_name(9), "?");
	assert_int_equal(xenbus_state_parse("4"), XenbusStateConnected);
	assert_int_equal(xenbus_state_parse("8"), XenbusStateReconfigured);
	for (const char *const *bad = (const char *const[]){"", "9", "44", "-1", "x", " 4", "4 ", NULL}; *bad; bad++)
		assert_int_equal(xenbus_state_parse(*bad), XenbusStateUnknown);
	assert_int_equal(xenbus_state_parse(NULL), XenbusStateUnknown);
	for (unsigned i = 0; i < XENBUS_NEVENTS; i++)
		assert_string_not_equal(xenbus_event_name((enum xenbus_event)i), "?");
	assert_string_equal(xenbus_event_name(XENBUS_EV_OPEN), "OPEN");
	assert_string_equal(xenbus_action_name(XENBUS_ACT_LOST), "LOST");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair), cmocka_unit_test(laws),  cmocka_unit_test(known_walks),
		cmocka_unit_test(two_ends),   cmocka_unit_test(names),
	};

	if (argc > 1 && strcmp(argv[1], "--markdown") == 0)
		xenbus_fsm_markdown(stdout);
	else if (argc > 1 && strcmp(argv[1], "--dot") == 0)
		xenbus_fsm_dot(stdout);
	else
		return cmocka_run_group_tests(tests, NULL, NULL);
	return 0;
}
