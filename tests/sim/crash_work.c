#include "tests/sim/crash_work.h"

#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"
#include "tests/sim/crash_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the code under test finds in place of a clock and an end; the same for every crash test. */
enum jrnl_mutant jrnl_mutant;
uint64_t clock_now(void) { return crash_now(); }
uint64_t clock_lately(struct clock_lately *c) { return c->now = crash_now(); }
void check_failed(const char *file, int line, const char *what) { crash_check_failed(file, line, what); }
void pm_hook(const void *where, size_t len)
{
	(void)len;
	crash_store(where);
}

const struct workload crash_work[CRASH_WORKLOADS] = {
	{.name = "ring of two", .script = {"W0+1 R0+1 W0+2 R0+2"}, .nr = 2, .batch = 1, .delay = 3, .linger = 20},
	{.name = "pairs", .script = {"W0+2 W1+2 X1 R0+3 F"}, .nr = 2, .batch = 2, .delay = 4, .linger = 20},
	{.name = "two queues", .script = {"W0+2 R0+2 W1+2 R0+4 W0+4 R0+1", "W1+2 R1+1 W0+1 R0+4 W2+2 R1+3"}, .nr = 4, .batch = 2,
	 .delay = 4, .linger = 60},
	{.name = "a flush that fails", .script = {"W0+1 F W1+1 W4+1 F R0+1 F F", "W8+1 F F"}, .nr = 4, .batch = 2, .delay = 3,
	 .linger = 20, .fail_flush = 2},
	{.name = "rejected", .script = {"X1 W0+1 X2 X3 R0+1 X4 X5 X6 X7 R0+1"}, .nr = 4, .batch = 4, .delay = 3, .linger = 20},
	{.name = "same sector", .script = {"W0+1 W0+1 R0+1 W0+1 R0+1 W0+1 R0+1 W0+1 R0+1 R0+1"}, .nr = 8, .batch = 4, .delay = 4,
	 .linger = 80},
	{.name = "flushes", .script = {"W0+1 F W0+1 W4+1 F R0+1 F", "W8+1 F W4+1 F R0+1"}, .nr = 4, .batch = 2, .delay = 4, .linger = 20},
	{.name = "barriers", .script = {"W0+1 W1+1 B2+1 W0+1 B0 W1+2 R0+4 B1+1 W1+1", "W1+2 B0+2 W4+1"}, .nr = 4, .batch = 4, .delay = 4,
	 .linger = 30},
	{.name = "discards", .script = {"W0+8 D0+4 W2+2 D2+4 R0+8 D0+3 R0+4"}, .nr = 4, .batch = 3, .delay = 4, .linger = 40},
	{.name = "indirect", .script = {"I0+16 J0+16 W4+2 I2+12 R0+8 J8+8"}, .nr = 4, .batch = 2, .persistent = true, .delay = 4,
	 .linger = 40},
	{.name = "a bad sector", .script = {"W4+2 R4+2 W0+1 W5+1 R5+1 D4+4 R0+8", "W3+3 R0+4"}, .nr = 4, .batch = 3, .delay = 4,
	 .linger = 40, .bad_sector = 5},
	{.name = "indices over 2^32", .script = {"W0+1 R0+1 W0+1 W1+1 R0+2 W0+2 R0+2"}, .nr = 4, .batch = 3, .delay = 4, .linger = 30,
	 .base = 0xfffffffdull},
	{.name = "an old slot", .script = {"W0+1 R0+1 W1+2 R0+2"}, .nr = 4, .batch = 2, .delay = 3, .linger = 20,
	 .base = 0x80000005ull, .stale = true},
	{.name = "large units", .script = {"W0+1 W1+1 W2+2 R0+8 W9+1 W7+2 R0+8 W8+1 R8+2", "W4+1 W10+2 W3+1 R0+8"}, .nr = 4, .batch = 3,
	 .delay = 4, .linger = 30, .unit = 4},
	{.name = "a fickle guest", .script = {"I0+4 W0+2 J0+4 I2+8 R0+4 J0+8 W1+1", "J0+2 I4+4 W2+2"}, .nr = 4, .batch = 3, .delay = 4,
	 .linger = 30, .fickle = true},
	{.name = "a killer", .script = {"R0+2 W0+1 W5+2 R5+1 W0+2 R0+1"}, .nr = 4, .batch = 3, .delay = 3, .linger = 20, .killer = 6},
	{.name = "slow", .script = {"W0+2 R0+1 W1+2 F", "W4+1 W4+1"}, .nr = 4, .batch = 2, .delay = 40, .linger = 90},
	{.name = "everything", .script = {"W0+4 R0+2 D8+4 I0+12 F W3+1 X5 B4+2 J0+12 W0+8 R0+8 R8+8",
					  "W2+4 F R0+4 I4+12 W9+2 X2 D0+6 R0+8 B1+3 J0+16 W0+1"},
	 .nr = 8, .batch = 4, .persistent = true, .delay = 6, .linger = 50},
};

bool crash_work_small(const struct workload *wl) { return wl->nr == 2; }

static const char *const mutants[MUTANT_COUNT] = {
	[MUTANT_CONS_FIRST] = "cons first",
	[MUTANT_EARLY_ANSWER] = "early answer",
	[MUTANT_CHECK_CHANGING] = "check changing",
	[MUTANT_BLAME_LATE] = "blame late",
	[MUTANT_NO_RANGE_RULE] = "no range rule",
	[MUTANT_RANGE_PER_QUEUE] = "range per queue",
	[MUTANT_RANGE_UNROUNDED] = "range unrounded",
	[MUTANT_STARTED_UNSAID] = "started unsaid",
	[MUTANT_NO_BARRIER] = "no barrier",
	[MUTANT_FLUSH_UNSAID] = "flush unsaid",
	[MUTANT_FLUSH_PER_QUEUE] = "flush per queue",
	[MUTANT_GUEST_PAGES] = "guest pages",
	[MUTANT_LEAVE_EARLY] = "leave early",
	[MUTANT_FREE_AT_DONE] = "free at done",
	[MUTANT_PUBLISH_FIRST] = "publish first",
	[MUTANT_NO_JOURNAL_LOCK] = "no journal lock",
	[MUTANT_REPLAY_GONE] = "replay gone",
	[MUTANT_FORGET_PRIVATELY] = "forget privately",
	[MUTANT_SEQ32] = "seq32",
	[MUTANT_INDEX_ONLY] = "index only",
	[MUTANT_TRUST_RING] = "trust ring",
	[MUTANT_OTHER_INDEX] = "other index",
	[MUTANT_REREAD_RING] = "reread ring",
	[MUTANT_REREAD_LIST] = "reread list",
	[MUTANT_STARTED_LAST] = "started last",
	[MUTANT_NO_FENCE] = "no fence",
	[MUTANT_ONE_FENCE_BYTE] = "one fence byte",
	[MUTANT_COUNT_FOREIGN] = "count foreign",
	[MUTANT_NO_UNMASK] = "no unmask",
	[MUTANT_NO_NOTIFY] = "no notify",
};

const char *crash_mutant_name(unsigned mutant) { return mutant < MUTANT_COUNT ? mutants[mutant] : NULL; }

static bool choose_mutant(const char *name)
{
	for (jrnl_mutant = MUTANT_NONE + 1; name && jrnl_mutant < MUTANT_COUNT; jrnl_mutant++)
		if (strcmp(mutants[jrnl_mutant], name) == 0)
			return true;
	jrnl_mutant = MUTANT_NONE;
	return !name;
}

void crash_replay(void)
{
	const char *text = getenv("REPLAY");
	char *copy = text ? strdup(text) : NULL;
	struct workload wl;
	struct plan plan;
	struct outcome out;

	if (!text)
		return;
	if (!copy || !choose_mutant(getenv("MUTANT")) || !crash_parse(copy, &wl, &plan)) {
		fprintf(stderr, "REPLAY: no such run, or MUTANT: no such rule (crash_text.h, crash_work.c)\n");
		exit(2);
	}
	crash_run(&wl, &plan, &out);
	printf("%s: %u answered, %u deaths, points", out.invariant ? out.invariant : "ok", out.answered, out.incarnations);
	for (unsigned i = 0; i <= MIN(out.incarnations, KILLS_MAX); i++)
		printf(" %u", out.points[i]);
	printf("\n%s\n", out.text);
	free(copy);
	exit(out.invariant != NULL);
}
