/* The simulator: whole worlds under faults, one for each seed (world.h). First the seeds in tests/sim/seeds, which failed once or
 * are likely to; then the same seed twice, which must be the same run; then rules are taken out: each must be missed; then as
 * many seeds as were asked for.
 *
 * Seeds from 2^40 (WORLD_NET_SEED) on are of worlds with vifs.
 *
 * SEED=n: the first seed. N=n: so many (150). MUTANT=n: rules from that one on; RARE=1: all of them. A failing seed is printed, and repeats exactly: SEED=n N=1, VERBOSE=1 for all
 * that its processes say. */
#include "recovery/journal/jrnl.h"
#include "recovery/journal/njrnl.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "tests/sim/world.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEDS 150u
#define VIF_SEEDS 60u
#define RUNS_PER_CHILD 50u
#define WORKERS_MAX 64
#define MUTANT_SEEDS 1500u
#define VIF_MUTANT_SEEDS 1500u
#define SEEDS_DIR "tests/sim/seeds"

enum jrnl_mutant jrnl_mutant;
enum njrnl_mutant njrnl_mutant;
enum world_mutant world_mutant;

struct failure {
	uint64_t seed;
	char invariant[32], text[256];
};

/* Between all processes. Counters are added to by fetch_add_relaxed(). */
struct shared {
	uint64_t next, end;
	uint64_t at[WORKERS_MAX]; /* the seed that a worker is at */
	uint32_t failures;
	struct failure first;
	uint64_t runs, requests, answered, steps, ns, deaths[OS_KINDS], stops, destroyed, reopened, restarts, suspended, forgotten;
	uint64_t sent, received, said, repeated, lost;
};
static struct shared *sh;
static uint64_t first_seed = 1, seeds = SEEDS;

/* Of a vif's stub. Those that need a certain guest, or ports that are masked, are left to the network crash test. */
static const struct {
	enum njrnl_mutant m;
	bool rare; /* looked for with RARE=1 only: found after hundreds of runs */
	const char *name;
} vif_mutants[] = {
	{NMUTANT_CONS_FIRST, false, "req_cons before the copies"},
	{NMUTANT_HALF_PACKETS, true, "req_cons moves on entry by entry"},
	{NMUTANT_SENT_FIRST, false, "a guest's packet is called sent before the tap has it"},
	{NMUTANT_SENT_LATE, false, "only the last packet of a batch is called sent"},
	{NMUTANT_ANSWER_LATE, false, "a packet is called sent before its answers stand in the ring"},
	{NMUTANT_REREAD_RING, false, "what was taken is judged from the ring again"},
	{NMUTANT_TYPE_KEPT, false, "the Ethernet type is not cleared before the tap is read"},
	{NMUTANT_NO_STAMPS, true, "pages are not marked before the tap is read"},
	{NMUTANT_FILLED_LATE, false, "packets are called filled after all of a batch were read"},
	{NMUTANT_PLACED_UNSAID, false, "what a packet is put into is not stored"},
	{NMUTANT_FREE_FIRST, false, "a buffer is free before its packet is published"},
	{NMUTANT_RX_PUBLISH_FIRST, true, "the ring's rsp_prod before the journal's"},
	{NMUTANT_DELIVER_AGAIN, false, "what was published is not forgotten"},
	{NMUTANT_CTRL_LATE, false, "what the guest says once is stored after it was answered"},
	{NMUTANT_CTRL_NOT_TAKEN, true, "a control request is not copied before it is answered"},
	{NMUTANT_NET_IN_PLACE, false, "what it has said is changed where it is"},
	{NMUTANT_MCAST_UNSAID, false, "a multicast group is kept in private memory only"},
	{NMUTANT_NO_NOTIFY, true, "no notification at a resume"},
};

static void add(uint64_t *to, uint64_t n) { fetch_add_relaxed(to, n); }

static void fail_with(uint64_t seed, const char *invariant, const char *text)
{
	if (fetch_add_relaxed(&sh->failures, 1))
		return;
	sh->first.seed = seed;
	snprintf(sh->first.invariant, sizeof(sh->first.invariant), "%s", invariant);
	snprintf(sh->first.text, sizeof(sh->first.text), "%s", text);
}

static void one(uint64_t seed)
{
	struct world_result r;

	world_run(seed, &r);
	add(&sh->runs, 1);
	add(&sh->requests, r.requests);
	add(&sh->answered, r.answered);
	add(&sh->steps, r.steps);
	add(&sh->ns, r.ns);
	add(&sh->stops, r.stops);
	add(&sh->destroyed, r.destroyed);
	add(&sh->reopened, r.reopened);
	add(&sh->restarts, r.restarts);
	add(&sh->suspended, r.suspended);
	add(&sh->forgotten, r.forgotten);
	add(&sh->sent, r.sent);
	add(&sh->received, r.received);
	add(&sh->said, r.said);
	add(&sh->repeated, r.repeated);
	add(&sh->lost, r.lost);
	for (unsigned i = 0; i < OS_KINDS; i++)
		add(&sh->deaths[i], r.deaths[i]);
	if (r.invariant)
		fail_with(seed, r.invariant, r.text);
}

/* In a process of its own, whose memory goes with it: what dies in a world gives nothing back. */
static void child(unsigned worker)
{
	uint64_t seed;
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		for (unsigned i = 0; i < RUNS_PER_CHILD && !sh->failures; i++) {
			seed = fetch_add_relaxed(&sh->next, 1);
			if (seed >= sh->end)
				break;
			sh->at[worker] = seed;
			one(seed);
		}
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		fail_with(sh->at[worker], "CRASH", "the process of the simulation crashed");
}

/* All seeds of [from, from + n) over all processors, until one fails. */
static bool run(uint64_t from, uint64_t n)
{
	unsigned workers = MIN((unsigned)get_nprocs(), (unsigned)WORKERS_MAX);
	pid_t pid[WORKERS_MAX];
	int status;

	memset(sh, 0, sizeof(*sh));
	sh->next = from;
	sh->end = from + n;
	fflush(stdout);
	for (unsigned w = 0; w < workers; w++) {
		pid[w] = fork();
		CHECK(pid[w] >= 0);
		if (pid[w] == 0) {
			while (sh->next < sh->end && !sh->failures)
				child(w);
			_exit(0);
		}
	}
	for (unsigned w = 0; w < workers; w++)
		CHECK(waitpid(pid[w], &status, 0) == pid[w] && status == 0);
	return !sh->failures;
}

static void tell(void)
{
	printf("%s: %s\n  seed %" PRIu64 "; repeat it by: SEED=%" PRIu64 " N=1 VERBOSE=1 (and keep it in " SEEDS_DIR ")\n",
	       sh->first.invariant, sh->first.text, sh->first.seed, sh->first.seed);
}

/* ---- tests */

/* One file for each: its first word is the seed, the rest says what it is for. */
static void kept_seeds_pass(void **state)
{
	DIR *d = opendir(SEEDS_DIR);
	unsigned n = 0, bad = 0;
	struct dirent *e;

	(void)state;
	if (!d)
		fail_msg("%s is not found from here: run this from the root of the source tree", SEEDS_DIR);
	while (d && (e = readdir(d))) {
		char path[300];
		uint64_t seed;
		FILE *f;

		snprintf(path, sizeof(path), SEEDS_DIR "/%s", e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &seed) == 1) {
			n++;
			if (!run(seed, 1)) {
				bad++;
				printf("%s: ", e->d_name);
				tell();
			}
		}
		fclose(f);
	}
	if (d)
		closedir(d);
	printf("%u seeds of " SEEDS_DIR "\n", n);
	assert_true(n > 0);
	assert_int_equal(bad, 0);
}

static uint64_t hash_of(uint64_t seed)
{
	uint64_t *hash = mmap(NULL, sizeof(*hash), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), h;
	int status;
	pid_t pid;

	CHECK(hash != MAP_FAILED);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct world_result r;

		world_run(seed, &r);
		*hash = r.hash;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	h = *hash;
	munmap(hash, sizeof(*hash));
	return h;
}

static void a_seed_is_one_run(void **state)
{
	struct world_result r;
	uint64_t other = 0;

	(void)state;
	for (unsigned i = 0; i < 15; i++) {
		uint64_t s = first_seed + i + (i < 10 ? 0 : WORLD_NET_SEED), h = hash_of(s);

		assert_true(h == hash_of(s));
		assert_true(h != other);
		other = h;
		/* Nor does it matter what ran before it in the same process. */
		world_run(s + 1, &r);
		world_run(s, &r);
		assert_true(r.hash == h);
	}
}

static void all_is_well(uint64_t from, uint64_t n)
{
	bool good = run(from, n);

	printf("%" PRIu64 " runs, SEED=%" PRIu64 ": deaths of stubs %" PRIu64 ", supervisors %" PRIu64 ", stores %" PRIu64 ", guests %" PRIu64
	       ", probes %" PRIu64 "; %" PRIu64 " stubs stopped, %" PRIu64 " domains destroyed, %" PRIu64 " suspended, %" PRIu64 " stores without memory, %" PRIu64 " connected anew, %" PRIu64
	       " restarts; %" PRIu64 " of %" PRIu64 " requests answered, %.1f million steps, %.0f s of virtual time\n", sh->runs, from,
	       sh->deaths[OS_STUB], sh->deaths[OS_SUPER], sh->deaths[OS_STORE], sh->deaths[OS_GUEST], sh->deaths[OS_PROBE], sh->stops,
	       sh->destroyed, sh->suspended, sh->forgotten, sh->reopened, sh->restarts, sh->answered, sh->requests, (double)sh->steps / 1e6, (double)sh->ns / 1e9);
	if (sh->sent)
		printf("vifs: %" PRIu64 " packets sent, %" PRIu64 " repeated; %" PRIu64 " received, %" PRIu64 " lost; %" PRIu64 " control messages answered\n",
		       sh->sent, sh->repeated, sh->received, sh->lost, sh->said);
	if (!good)
		tell();
	assert_true(good);
}

static void no_fault_is_seen(void **state)
{
	(void)state;
	all_is_well(first_seed, seeds);
}

static void nor_by_vifs(void **state)
{
	(void)state;
	all_is_well(WORLD_NET_SEED + first_seed, VIF_SEEDS);
}

/* With a rule taken out: whether it is missed. */
static bool hunt(uint64_t from, uint64_t n, const char *name)
{
	if (run(from, n)) {
		printf("NOT FOUND in %" PRIu64 " runs: %s\n", sh->runs, name);
		return false;
	}
	printf("found by %-12s after %4" PRIu64 " runs: %s\n", sh->first.invariant, sh->runs, name);
	return true;
}

static void every_rule_is_missed(void **state)
{
	const char *only = getenv("MUTANT"); /* from this one on */
	unsigned lost = 0;

	(void)state;
	for (enum world_mutant m = (enum world_mutant)(only ? atoi(only) : 1); m < WORLD_MUTANTS; m++) {
		world_mutant = m;
		if (m < WORLD_DISK_MUTANTS)
			lost += !hunt(1, MUTANT_SEEDS, world_mutant_name[m]);
		else
			lost += !hunt(WORLD_NET_SEED, VIF_MUTANT_SEEDS, world_mutant_name[m]);
	}
	world_mutant = WORLD_NONE;
	for (size_t i = 0; i < ARRAY_LEN(vif_mutants); i++) {
		if (vif_mutants[i].rare && !getenv("RARE"))
			continue;
		njrnl_mutant = vif_mutants[i].m;
		lost += !hunt(WORLD_NET_SEED, VIF_MUTANT_SEEDS, vif_mutants[i].name);
	}
	njrnl_mutant = NMUTANT_NONE;
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(kept_seeds_pass),
		cmocka_unit_test(a_seed_is_one_run),
		cmocka_unit_test(every_rule_is_missed),
		cmocka_unit_test(no_fault_is_seen),
		cmocka_unit_test(nor_by_vifs),
	};
	const struct CMUnitTest only[] = {cmocka_unit_test(no_fault_is_seen)};
	const char *s = getenv("SEED"), *n = getenv("N");

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	unsetenv("XENSTORED_PATH");
	first_seed = s ? strtoull(s, NULL, 10) : 1;
	if (n && strtoull(n, NULL, 10)) {
		seeds = strtoull(n, NULL, 10);
		return cmocka_run_group_tests_name("long", only, NULL, NULL);
	}
	return cmocka_run_group_tests(t, NULL, NULL);
}
