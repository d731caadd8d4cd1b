/* The block backend dies at every store that it makes, and again while it takes over, and the guest sees nothing of it
 * (DESIGN.md sections 5 to 7; invariants: crash_check.h). Then rules are taken out one by one: the checker must find each.
 *
 * SEED=n other schedules; N=n so many times the samples. A failure prints all that repeats it. */
#include "recovery/journal/jrnl.h"
#include "ring/base/check.h"
#include "ring/os/clock.h"
#include "tests/sim/crash_rng.h"
#include "tests/sim/crash_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RUNS_PER_CHILD 400u
#define SAMPLED_PAIRS 1u
#define RANDOM_RUNS 400u

enum jrnl_mutant jrnl_mutant;
uint64_t clock_now(void) { return crash_now(); }
void check_failed(const char *file, int line, const char *what) { crash_check_failed(file, line, what); }
void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
	crash_point();
}

static const struct workload workloads[] = {
	{.name = "ring of two", .script = {"W0+1 R0+1 W0+2 R0+2"}, .nr = 2, .batch = 1, .delay = 3, .linger = 20, .small = true},
	{.name = "pairs", .script = {"W0+2 W1+2 X1 R0+3 F"}, .nr = 2, .batch = 2, .delay = 4, .linger = 20, .small = true},
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
	{.name = "everything", .script = {"W0+4 R0+2 D8+4 I0+12 F W3+1 X5 B4+2 J0+12 W0+8 R0+8 R8+8",
					  "W2+4 F R0+4 I4+12 W9+2 X2 D0+6 R0+8 B1+3 J0+16 W0+1"},
	 .nr = 8, .batch = 4, .persistent = true, .delay = 6, .linger = 50},
};

enum mode { SLEEPER, POLLER, STALL, MODES };
static const char *const mode_name[MODES] = {"sleeper", "poller", "stall"};

/* Between the children that run and the parent. */
struct shared {
	bool quick;		/* no workload's pairs are all tried */
	unsigned cursor, limit; /* next first kill, and the last */
	uint64_t singles, pairs, triples, random, deaths;
	bool failed;
	char invariant[32], text[256];
	const struct workload *wl;
	struct plan plan; /* the present one */
};
static struct shared *sh;
static uint64_t seed = 1, factor = 1;

static uint64_t runs(void) { return sh->singles + sh->pairs + sh->triples + sh->random; }

/* ---- in the child */

static bool run(const struct workload *wl, const struct plan *p, struct outcome *out)
{
	sh->plan = *p;
	crash_run(wl, p, out);
	sh->deaths += out->incarnations;
	if (!out->invariant)
		return true;
	sh->failed = true;
	snprintf(sh->invariant, sizeof(sh->invariant), "%s", out->invariant);
	memcpy(sh->text, out->text, sizeof(sh->text));
	return false;
}

static bool third(const struct workload *wl, struct plan p, const struct outcome *before, struct crash_rng *rng)
{
	struct outcome out;

	if (before->points[2] == 0)
		return true;
	p.nkills = 3;
	p.kill[2] = 1 + crash_below(rng, before->points[2]);
	sh->triples++;
	return run(wl, &p, &out);
}

static bool second(const struct workload *wl, struct plan p, unsigned at, struct crash_rng *rng)
{
	struct outcome out;

	p.nkills = 2;
	p.kill[1] = at;
	sh->pairs++;
	return run(wl, &p, &out) && (sh->pairs % 4 || third(wl, p, &out, rng));
}

static bool first(const struct workload *wl, struct plan p, unsigned at, unsigned fresh)
{
	struct crash_rng rng = {p.seed * 1000003 + at};
	struct outcome out;
	unsigned n;

	p.nkills = 1;
	p.kill[0] = at;
	sh->singles++;
	if (!run(wl, &p, &out))
		return false;
	n = out.points[1];
	if (wl->small && at > fresh && !sh->quick) {
		for (unsigned i = 1; i <= n; i++)
			if (!second(wl, p, i, &rng))
				return false;
		return true;
	}
	for (unsigned i = 0; n && i < SAMPLED_PAIRS * factor; i++)
		if (!second(wl, p, 1 + crash_below(&rng, crash_below(&rng, 2) ? n : out.start_points[1]), &rng))
			return false;
	return true;
}

static void chunk(const struct workload *wl, const struct plan *p, unsigned fresh)
{
	uint64_t from = runs();

	while (sh->cursor <= sh->limit && runs() - from < RUNS_PER_CHILD)
		if (!first(wl, *p, sh->cursor++, fresh))
			return;
}

/* Any number of deaths, also by its own fault, on any schedule. */
static void random_chunk(const struct workload *wl, unsigned points)
{
	uint64_t from = runs();
	struct outcome out;

	while (sh->cursor <= sh->limit && runs() - from < RUNS_PER_CHILD) {
		struct crash_rng rng = {seed * 7919 + sh->cursor++};
		struct plan p = {.seed = crash_next(&rng), .nkills = crash_below(&rng, KILLS_MAX + 1)};

		p.poller = crash_below(&rng, 2);
		p.stall = crash_below(&rng, 2);
		p.own_fault = crash_below(&rng, 2);
		for (unsigned i = 0; i < p.nkills; i++)
			p.kill[i] = 1 + crash_below(&rng, i ? 60 + crash_below(&rng, points) : points);
		sh->random++;
		if (!run(wl, &p, &out))
			return;
	}
}

/* ---- in the parent */

static void tell(const struct workload *wl)
{
	printf("%s: %s\n  workload \"%s\", SEED=%" PRIu64 ", seed of the plan %" PRIu64 ", guest %s%s%s, kills at", sh->invariant,
	       sh->text, wl->name, seed, sh->plan.seed, sh->plan.poller ? "polls" : "sleeps", sh->plan.stall ? ", stall" : "",
	       sh->plan.own_fault ? ", own fault" : "");
	for (unsigned i = 0; i < sh->plan.nkills; i++)
		printf(" %u", sh->plan.kill[i]);
	printf("\n");
}

/* Runs f in a child, whose memory goes with it. A child that crashes is a failure of the plan it was at. */
static void in_child(void (*f)(const struct workload *, const struct plan *, unsigned), const struct workload *wl,
		     const struct plan *p, unsigned n)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		f(wl, p, n);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	sh->failed = true;
	snprintf(sh->invariant, sizeof(sh->invariant), "CRASH");
	snprintf(sh->text, sizeof(sh->text), "the process ended with status %x", (unsigned)status);
}


static struct outcome *dry; /* shared as well */

static void dry_run(const struct workload *wl, const struct plan *p, unsigned n)
{
	(void)n;
	run(wl, p, dry);
}

static void random_child(const struct workload *wl, const struct plan *p, unsigned n)
{
	(void)p;
	random_chunk(wl, n);
}

static struct plan plan_of(const struct workload *wl, enum mode m)
{
	return (struct plan){.seed = seed * 1000 + (uint64_t)(wl - workloads), .poller = m == POLLER, .stall = m == STALL};
}

static bool sweep(const struct workload *wl, enum mode m)
{
	struct plan p = plan_of(wl, m);

	in_child(dry_run, wl, &p, 0);
	sh->singles++;
	sh->cursor = 1;
	sh->limit = dry->points[0];
	while (!sh->failed && sh->cursor <= sh->limit)
		in_child(chunk, wl, &p, wl->base ? 0 : dry->start_points[0]);
	return !sh->failed;
}

static bool sweep_random(const struct workload *wl)
{
	unsigned points = dry->points[0];

	sh->cursor = 1;
	sh->limit = (unsigned)(RANDOM_RUNS * factor);
	while (!sh->failed && sh->cursor <= sh->limit)
		in_child(random_child, wl, NULL, points);
	return !sh->failed;
}

static void reset(void)
{
	memset(sh, 0, sizeof(*sh));
	memset(dry, 0, sizeof(*dry));
}

static void every_death_is_invisible(void **state)
{
	unsigned failures = 0;
	uint64_t all = 0, deaths = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
		const struct workload *wl = &workloads[i];
		bool good = true;

		reset();
		for (enum mode m = SLEEPER; good && m < (wl->script[1] ? MODES : STALL); m++)
			good = sweep(wl, m);
		good = good && sweep_random(wl);
		printf("%-18s %u points; deaths at one: %" PRIu64 " runs, two (%s): %" PRIu64 ", three (sampled): %" PRIu64
		       ", random: %" PRIu64 "\n", wl->name, dry->points[0], sh->singles, wl->small ? "all" : "sampled", sh->pairs,
		       sh->triples, sh->random);
		all += runs();
		deaths += sh->deaths;
		if (!good) {
			failures++;
			tell(wl);
		}
	}
	printf("%" PRIu64 " of %" PRIu64 " runs, %" PRIu64 " deaths, SEED=%" PRIu64 "\n", all - failures, all, deaths, seed);
	assert_int_equal(failures, 0);
}

static const char *const mutants[MUTANT_COUNT] = {
	[MUTANT_FORGET_PRIVATELY] = "forget privately", [MUTANT_FREE_AT_DONE] = "free at done",
	[MUTANT_OTHER_INDEX] = "other index",		[MUTANT_EARLY_ANSWER] = "early answer",
	[MUTANT_NO_FENCE] = "no fence",			[MUTANT_NO_RANGE_RULE] = "no range rule",
	[MUTANT_STARTED_LAST] = "started last",		[MUTANT_LEAVE_EARLY] = "leave early",
	[MUTANT_PUBLISH_FIRST] = "publish first",	[MUTANT_NO_NOTIFY] = "no notify",
	[MUTANT_CONS_FIRST] = "cons first",		[MUTANT_STARTED_UNSAID] = "started unsaid",
	[MUTANT_TRUST_RING] = "trust ring",		[MUTANT_FLUSH_UNSAID] = "flush unsaid",
};

static bool hunt(enum jrnl_mutant m)
{
	bool found = false;

	reset();
	sh->quick = true;
	jrnl_mutant = m;
	for (size_t i = 0; !found && i < ARRAY_LEN(workloads); i++)
		for (enum mode k = SLEEPER; !found && k < (workloads[i].script[1] ? MODES : STALL); k++) {
			found = !sweep(&workloads[i], k) || !sweep_random(&workloads[i]);
			if (found)
				printf("%-18s found by %-13s after %6" PRIu64 " runs (%s, %s)\n", mutants[m], sh->invariant, runs(),
				       workloads[i].name, mode_name[k]);
		}
	jrnl_mutant = MUTANT_NONE;
	return found;
}

static void every_rule_is_missed(void **state)
{
	unsigned lost = 0;

	(void)state;
	for (enum jrnl_mutant m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++) {
		assert_non_null(mutants[m]);
		if (hunt(m))
			continue;
		printf("%-18s NOT FOUND in %" PRIu64 " runs\n", mutants[m], runs());
		lost++;
	}
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_death_is_invisible),
		cmocka_unit_test(every_rule_is_missed),
	};
	const char *s = getenv("SEED"), *n = getenv("N");
	void *mem = mmap(NULL, sizeof(*sh) + sizeof(*dry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(mem != MAP_FAILED);
	sh = mem;
	dry = (void *)(sh + 1);
	seed = s ? strtoull(s, NULL, 10) : 1;
	factor = n && strtoull(n, NULL, 10) ? strtoull(n, NULL, 10) : 1;
	return cmocka_run_group_tests(t, NULL, NULL);
}
