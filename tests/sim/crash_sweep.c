#include "tests/sim/crash_sweep.h"

#include "ring/base/check.h"
#include "tests/sim/crash_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLED_PAIRS 1u
#define RANDOM_RUNS 400u

uint64_t sweep_seed = 1;
static uint64_t factor = 1;
static struct sweep *sh; /* between the child that runs and the parent */

void sweep_init(void)
{
	const char *s = getenv("SEED"), *n = getenv("N");

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	sweep_seed = s ? strtoull(s, NULL, 10) : 1;
	factor = n && strtoull(n, NULL, 10) ? strtoull(n, NULL, 10) : 1;
}

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

/* Dies once at 'at', then also in the resume that follows: at all of its points, or, when it had not served yet, at one. */
static bool first(const struct workload *wl, struct plan p, unsigned at, bool all)
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
	for (unsigned i = 1; all && i <= n; i++)
		if (!second(wl, p, i, &rng))
			return false;
	for (unsigned i = 0; n && !all && i < SAMPLED_PAIRS * factor; i++)
		if (!second(wl, p, 1 + crash_below(&rng, crash_below(&rng, 2) ? n : out.start_points[1]), &rng))
			return false;
	return true;
}

static void every_death(const struct workload *wl, const struct plan *p, bool pairs)
{
	struct outcome dry;
	unsigned fresh;

	sh->singles++;
	if (!run(wl, p, &dry))
		return;
	sh->points = dry.points[0];
	fresh = wl->base ? 0 : dry.start_points[0];
	for (unsigned at = 1; at <= dry.points[0]; at++)
		if (!first(wl, *p, at, pairs && at > fresh))
			return;
}

static void random_plans(const struct workload *wl)
{
	unsigned points = sh->points ? sh->points : 100;

	for (unsigned i = 1; i <= RANDOM_RUNS * factor; i++) {
		struct crash_rng rng = {sweep_seed * 7919 + i};
		struct plan p = {.seed = crash_next(&rng), .nkills = crash_below(&rng, KILLS_MAX + 1), .words = true};
		struct outcome out;

		p.poller = crash_below(&rng, 2);
		p.stall = crash_below(&rng, 2);
		p.own_fault = crash_below(&rng, 2);
		for (unsigned k = 0; k < p.nkills; k++)
			p.kill[k] = 1 + crash_below(&rng, k ? 60 + crash_below(&rng, points) : points);
		sh->random++;
		if (!run(wl, &p, &out))
			return;
	}
}

/* ---- in the parent */

/* In a child: if it crashes, that is a failure of the plan it was at. plan NULL: random ones. */
static bool in_child(const struct workload *wl, const struct plan *plan, bool pairs, struct sweep *s)
{
	int status;
	pid_t pid;

	*sh = *s;
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (plan)
			every_death(wl, plan, pairs);
		else
			random_plans(wl);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	*s = *sh;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return !s->failed;
	s->failed = true;
	snprintf(s->invariant, sizeof(s->invariant), "CRASH");
	snprintf(s->text, sizeof(s->text), "the process ended with status %x", (unsigned)status);
	return false;
}

bool sweep(const struct workload *wl, enum sweep_mode m, enum sweep_depth depth, struct sweep *s)
{
	struct plan p = {.seed = sweep_seed * 1000 + wl->nr, .words = depth != SWEEP_CLASSES};

	if (m == SWEEP_STALL && !wl->script[1])
		return true;
	for (const char *c = wl->name; *c; c++)
		p.seed = p.seed * 31 + (uint64_t)*c;
	p.poller = m == SWEEP_POLLER;
	p.stall = m == SWEEP_STALL;
	p.zombie = m == SWEEP_ZOMBIE ? 15 : 0;
	p.gone = m == SWEEP_GONE;
	return in_child(wl, &p, depth == SWEEP_PAIRS, s);
}

bool sweep_random(const struct workload *wl, struct sweep *s) { return in_child(wl, NULL, false, s); }

void sweep_tell(const struct workload *wl, const struct sweep *s)
{
	char text[CRASH_TEXT_MAX];

	crash_text(wl, &s->plan, text);
	printf("%s: %s\n  workload \"%s\", SEED=%llu; it alone: REPLAY=\"%s\"\n", s->invariant, s->text, wl->name,
	       (unsigned long long)sweep_seed, text);
}
