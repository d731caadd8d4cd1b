#include "tests/blkif/run.h"

#include "ring/base/check.h"

#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct suite suite;
struct result *result;

static const struct topic *const topics[] = {&topic_state,   &topic_setup, &topic_io,	&topic_feature,
					     &topic_request, &topic_grant, &topic_ring};

/* ---- what a case says */

static void NORETURN end_with(enum verdict v)
{
	result->verdict = v;
	_exit(0);
}

void did(const char *fmt, ...)
{
	char word[64], *out = result->outcome;
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(word, sizeof(word), fmt, ap);
	va_end(ap);
	n = strlen(word);
	for (const char *at = out; (at = strstr(at, word)); at += n)
		if ((at == out || at[-1] == '+') && (at[n] == 0 || at[n] == '+'))
			return;
	if (out[0])
		strncat(out, "+", sizeof(result->outcome) - strlen(out) - 1);
	strncat(out, word, sizeof(result->outcome) - strlen(out) - 1);
}

#define SAY(fmt)                                                        \
	do {                                                            \
		va_list ap;                                             \
		va_start(ap, fmt);                                      \
		vsnprintf(result->why, sizeof(result->why), fmt, ap);   \
		va_end(ap);                                             \
	} while (0)

void case_fails(const char *fmt, ...)
{
	SAY(fmt);
	end_with(V_FAILED);
}

void case_is_na(const char *fmt, ...)
{
	SAY(fmt);
	end_with(V_NA);
}

void case_ends(void) { end_with(V_OK); }

/* ---- in the case's process */

static void check_needs(const struct disk *d, unsigned needs)
{
	const struct offer *o = &d->offer;
	const struct {
		unsigned need;
		bool there;
		const char *what;
	} list[] = {{NEED_WRITABLE, suite.writable, "not --writable"},
		    {NEED_INDIRECT, o->max_indirect, "no feature-max-indirect-segments"},
		    {NEED_RING_2, o->max_order || o->max_pages > 1, "rings of one page only"},
		    {NEED_OLD_PAGES, o->max_pages > 1, "no max-ring-pages"},
		    {NEED_QUEUE_2, o->max_queues > 1, "one queue only"}};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (needs & list[i].need && !list[i].there)
			case_is_na("%s", list[i].what);
}

/* Of what is known of a connected backend only. */
static void check_properties(const struct disk *d, unsigned needs)
{
	const struct offer *o = &d->offer;
	const struct {
		unsigned need;
		bool there;
		const char *what;
	} list[] = {{NEED_FLUSH, o->flush, "no feature-flush-cache"},
		    {NEED_BARRIER, o->barrier, "no feature-barrier"},
		    {NEED_DISCARD, o->discard, "no feature-discard"},
		    {NEED_SECURE, o->secure, "no discard-secure"},
		    {NEED_512, o->sector_size <= 512, "sectors are larger than 512 bytes"},
		    {NEED_LARGE, o->sector_size > 512, "sectors have 512 bytes"},
		    {NEED_WRITABLE, !(o->info & VDISK_READONLY), "read-only"},
		    {NEED_READ_ONLY, o->info & VDISK_READONLY, "not read-only"}};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (needs & list[i].need && !list[i].there)
			case_is_na("%s", list[i].what);
}

static unsigned seed_of(const char *name)
{
	unsigned h = suite.seed ^ 2166136261u;

	while (*name)
		h = (h ^ (uint8_t)*name++) * 16777619u;
	return h;
}

static void NORETURN do_test(const struct test *t, const char *front)
{
	struct disk d;

	disk_open(&d, front);
	d.seed = seed_of(t->name);
	if (!disk_reset(&d))
		case_fails("before the case: the backend is in state %u, the frontend in %u", back_state(&d), front_state(&d));
	check_needs(&d, t->needs);
	d.want = t->want;
	if (!t->bare) {
		disk_connect(&d, &t->want);
		check_properties(&d, t->needs);
	}
	t->run(&d);
	case_ends();
}

/* Any disk works again for a frontend that connects as it should. */
static void NORETURN do_again(const struct test *t UNUSED, const char *front)
{
	struct disk d;
	enum got got;

	disk_open(&d, front);
	if (!disk_reset(&d))
		case_fails("lost: the backend stays in state %u, the frontend in %u", back_state(&d), front_state(&d));
	disk_connect(&d, &(struct want){0});
	got = good_io(&d, &d.q[0]);
	if (got != GOT_OKAY)
		case_fails("lost: connected again, but: %s", got_name[got]);
	if (!disk_close(&d))
		case_fails("lost: connected again, but closing ends in state %u", back_state(&d));
	case_ends();
}

/* ---- in the suite's */

void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void wait_child(pid_t pid, int *status)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	CHECK(p.fd >= 0);
	if (poll(&p, 1, (int)(12 * suite.patience / NS_PER_MS)) == 0)
		kill(pid, SIGKILL);
	close(p.fd);
	waitpid(pid, status, 0);
}

static void in_child(void (*fn)(const struct test *, const char *) , const struct test *t, const char *front)
{
	int status = 0;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(t, front);
	}
	wait_child(pid, &status);
	if (result->verdict != V_NONE)
		return;
	result->verdict = V_FAILED;
	if (!WIFSIGNALED(status))
		snprintf(result->why, sizeof(result->why), "its process exited with %d", WEXITSTATUS(status));
	else if (t && t->needs & DEAD_AFTER && WTERMSIG(status) == SIGKILL && strcmp(result->outcome, "dies") == 0)
		result->verdict = V_OK;
	else
		snprintf(result->why, sizeof(result->why), "no end, or killed by signal %d", WTERMSIG(status));
}

static bool expected(const char *ours, const char *outcome)
{
	for (size_t n; *ours; ours += n + (ours[n] == '|')) {
		n = strcspn(ours, "|");
		if (strlen(outcome) == n && strncmp(ours, outcome, n) == 0)
			return true;
	}
	return false;
}

static void judge_test(const struct test *t, struct result *res)
{
	if (suite.strict && res->verdict == V_OK && t->ours && !expected(t->ours, res->outcome)) {
		res->verdict = V_FAILED;
		snprintf(res->why, sizeof(res->why), "expected is %s", t->ours);
	}
}

static void report(struct run *r, const struct test *t, const struct result *res, uint64_t ns, unsigned canary_ms)
{
	static const char *const word[] = {"?", "ok", "FAILED", "n/a"};

	printf("VERDICT %-26s %-6s outcome=%s ms=%u canary_ms=%u %s\n", t->name, word[res->verdict],
	       res->outcome[0] ? res->outcome : "-", (unsigned)(ns / NS_PER_MS), canary_ms, res->why);
	fflush(stdout);
	r->passed += res->verdict == V_OK;
	r->failed += res->verdict == V_FAILED;
	r->skipped += res->verdict == V_NA;
}

/* A lost device is the case's failure; the next one serves the cases that follow. False: there is none. */
static bool again(struct run *r, const struct test *t, struct result *res)
{
	if (res->verdict == V_NA || t->needs & NEED_DESTROY)
		return true;
	in_child(do_again, NULL, r->front[r->at]);
	if (result->verdict == V_OK)
		return true;
	res->verdict = V_FAILED;
	strncat(res->outcome, res->outcome[0] ? "+lost" : "lost", sizeof(res->outcome) - strlen(res->outcome) - 1);
	snprintf(res->why, sizeof(res->why), "%s", result->why);
	return ++r->at < r->nfronts;
}

static bool run_test(struct run *r, const struct test *t)
{
	uint64_t start = clock_now();
	struct result res;
	unsigned ms = 0;
	bool left, alive = true;

	in_child(do_test, t, r->front[r->at]);
	res = *result;
	judge_test(t, &res);
	left = again(r, t, &res);
	if (r->canary && !canary_lives(&ms, res.why, sizeof(res.why))) {
		res.verdict = V_FAILED;
		alive = false;
	}
	report(r, t, &res, clock_now() - start, ms);
	if (!alive || !left)
		printf("Bail out! %s\n", alive ? "no device is left" : "the canary is dead");
	return alive && left;
}

static bool wanted(struct run *r, const struct test *t)
{
	if (r->from && !r->started && strcmp(r->from, t->name) != 0)
		return false;
	r->started = true;
	for (unsigned i = 0; i < r->nskips; i++)
		if (fnmatch(r->skip[i], t->name, 0) == 0)
			return false;
	return (!r->only || fnmatch(r->only, t->name, 0) == 0) && (r->destroy || !(t->needs & NEED_DESTROY));
}

void each_test(bool (*fn)(void *arg, const struct test *t), void *arg)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t k = 0; k < ARRAY_LEN(topics); k++)
			for (size_t i = 0; i < topics[k]->n; i++) {
				const struct test *t = &topics[k]->test[i];

				if (!(t->needs & NEED_DESTROY) == (pass == 0) && !fn(arg, t))
					return;
			}
}

static bool run_wanted(void *arg, const struct test *t)
{
	struct run *r = arg;

	return !wanted(r, t) || run_test(r, t);
}

bool run_all(struct run *r)
{
	unsigned ms;
	char why[300];

	result = shared_memory(sizeof(*result));
	if (r->canary) {
		canary_start(r->canary);
		if (!canary_lives(&ms, why, sizeof(why))) {
			printf("Bail out! %s\n", why);
			return false;
		}
	}
	each_test(run_wanted, r);
	if (r->canary)
		canary_stop();
	return r->failed == 0;
}
