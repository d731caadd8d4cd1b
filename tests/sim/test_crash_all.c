/* Every short sequence of requests (crash_gen.h), with a death at every point, and another at every point of the life that
 * follows; all cores. docs/testing.md, "Exhaustive crash points".
 *
 * N=n sequences of up to n requests (3; the long form, `make sim-all`: 4): up to n - 1 with every pair of deaths, of n with every
 * single death and one sampled second one each; of four requests one class in SAMPLE only. SEED=n other schedules, other classes.
 * REPLAY="..." the one run that a failure prints. */
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "tests/sim/crash_gen.h"
#include "tests/sim/crash_text.h"
#include "tests/sim/crash_work.h"

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

#define WORKERS_MAX 64
#define SAMPLE 32u
#define LEN_DEFAULT 3

struct tally {
	uint64_t worlds, singles, pairs, sampled, deaths;
};

/* Between the workers and the parent. */
struct worker {
	struct tally done[GEN_LEN_MAX + 1];
	bool failed;
	size_t world; /* the present run */
	struct plan plan;
	char invariant[32], text[256];
};

static struct shared {
	uint32_t next, stop;
	struct worker worker[WORKERS_MAX];
} *sh;
static struct worker *me;
static struct tally *tally;
static struct gen_world *worlds;
static size_t nworlds;
static unsigned depth;
static uint64_t seed = 1;

/* ---- in a worker */

static struct workload workload_of(const struct gen_world *g)
{
	return (struct workload){.name = "", .script = {g->script[0], g->script[1][0] ? g->script[1] : NULL}, .nr = g->nr,
				 .batch = g->batch, .exact = true, .delay = 3, .linger = 12,
				 .persistent = (crash_gen_hash(g) >> 40 & 7) == 0};
}

static bool run(const struct workload *wl, const struct plan *p, struct outcome *out)
{
	me->plan = *p;
	crash_run(wl, p, out);
	tally->deaths += out->incarnations;
	if (!out->invariant)
		return true;
	snprintf(me->invariant, sizeof(me->invariant), "%s", out->invariant);
	memcpy(me->text, out->text, sizeof(me->text));
	me->failed = true;
	return false;
}

static bool second(const struct workload *wl, struct plan p, const struct outcome *one, bool all)
{
	unsigned n = one->points[1];
	struct crash_rng rng = {p.seed + p.kill[0]};
	struct outcome out;

	p.nkills = 2;
	if (!all && n) {
		p.kill[1] = 1 + crash_below(&rng, n);
		tally->sampled++;
		return run(wl, &p, &out);
	}
	for (unsigned i = 1; i <= n; i++) {
		p.kill[1] = i;
		tally->pairs++;
		if (!run(wl, &p, &out))
			return false;
	}
	return true;
}

static bool every_death(const struct gen_world *g, bool pairs)
{
	const struct workload wl = workload_of(g);
	uint64_t h = crash_gen_hash(g);
	struct plan p = {.seed = h * seed, .poller = h >> 41 & 1, .own_fault = h >> 42 & 1, .stall = wl.script[1] && (h >> 43 & 1)};
	struct outcome none, one;

	tally->worlds++;
	tally->singles++;
	if (!run(&wl, &p, &none))
		return false;
	p.nkills = 1;
	for (p.kill[0] = 1; p.kill[0] <= none.points[0]; p.kill[0]++) {
		tally->singles++;
		if (!run(&wl, &p, &one) || !second(&wl, p, &one, pairs))
			return false;
	}
	return true;
}

static unsigned length(const struct gen_world *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		for (const char *c = g->script[i]; *c; c++)
			n += *c >= 'A';
	return n;
}

static void work(void)
{
	while (!load_relaxed(&sh->stop) && (me->world = fetch_add_relaxed(&sh->next, 1)) < nworlds) {
		unsigned n = length(&worlds[me->world]);

		tally = &me->done[n];
		if (!every_death(&worlds[me->world], n < depth)) {
			store_relaxed(&sh->stop, 1);
			return;
		}
	}
}

/* ---- in the parent */

static void tell(const struct worker *w)
{
	const struct workload wl = workload_of(&worlds[w->world]);
	char text[CRASH_TEXT_MAX];

	crash_text(&wl, &w->plan, text);
	printf("%s: %s\n  SEED=%" PRIu64 "; it alone: REPLAY=\"%s\"\n", w->invariant, w->text, seed, text);
}

static pid_t begin(unsigned i)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid)
		return pid;
	me = &sh->worker[i];
	work();
	_exit(0);
}

static bool end(pid_t pid, struct worker *w)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		w->failed = true;
		snprintf(w->invariant, sizeof(w->invariant), "CRASH");
		snprintf(w->text, sizeof(w->text), "the process ended with status %x", (unsigned)status);
	}
	if (w->failed)
		tell(w);
	return !w->failed;
}

static struct tally sum(unsigned n)
{
	struct tally t = {0};

	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		const struct tally *d = &sh->worker[i].done[n];

		t.worlds += d->worlds;
		t.singles += d->singles;
		t.pairs += d->pairs;
		t.sampled += d->sampled;
		t.deaths += d->deaths;
	}
	return t;
}

static void show(unsigned failures)
{
	uint64_t all = 0, deaths = 0;

	printf("requests  classes  runs: one death or none  two, all      two, sampled  deaths\n");
	for (unsigned n = 1; n <= depth; n++) {
		struct tally t = sum(n);

		printf("%8u  %7" PRIu64 "  %-23" PRIu64 "  %-12" PRIu64 "  %-12" PRIu64 "  %" PRIu64 "\n", n, t.worlds, t.singles, t.pairs,
		       t.sampled, t.deaths);
		all += t.singles + t.pairs + t.sampled;
		deaths += t.deaths;
	}
	printf("%" PRIu64 " of %" PRIu64 " distinct runs, %" PRIu64 " deaths, SEED=%" PRIu64 "\n", all - failures, all, deaths, seed);
}

static void make_worlds(void)
{
	for (unsigned n = 1; n <= depth; n++) {
		struct gen_world *more;
		size_t k = crash_gen(n, &more);

		worlds = realloc(worlds, (nworlds + k) * sizeof(*worlds));
		CHECK(worlds);
		for (size_t i = 0; i < k; i++)
			if (n <= 3 || (crash_gen_hash(&more[i]) >> 20) % SAMPLE == seed % SAMPLE)
				worlds[nworlds++] = more[i];
		free(more);
	}
}

static void every_short_sequence(void **state)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = (unsigned)MIN(MAX(cores, 1L), (long)WORKERS_MAX), failures = 0;
	pid_t pid[WORKERS_MAX];

	(void)state;
	make_worlds();
	for (unsigned i = 0; i < n; i++)
		pid[i] = begin(i);
	for (unsigned i = 0; i < n; i++)
		failures += !end(pid[i], &sh->worker[i]);
	show(failures);
	free(worlds);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(every_short_sequence),
	};
	const char *s = getenv("SEED"), *n = getenv("N");

	crash_replay();
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	seed = s ? strtoull(s, NULL, 10) : 1;
	depth = n ? (unsigned)strtoul(n, NULL, 10) : LEN_DEFAULT;
	depth = MAX(MIN(depth, GEN_LEN_MAX), 1u);
	return cmocka_run_group_tests(t, NULL, NULL);
}
