#include "tests/blkif/run.h"

#include "ring/base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEAT_US 2000

static struct canary {
	struct result result;
	uint64_t beats, worst, last; /* worst: ns; last: when it last answered, 0: not yet */
	uint32_t stop;
} *c;
static pid_t pid;

static void NORETURN work(const char *front)
{
	struct disk d;

	disk_open(&d, front);
	if (!disk_reset(&d))
		case_fails("the backend is in state %u, the frontend in %u", back_state(&d), front_state(&d));
	disk_connect(&d, &(struct want){0});
	while (!load_relaxed(&c->stop)) {
		uint64_t start = clock_now(), took;
		enum got got = good_io(&d, &d.q[0]);

		if (got != GOT_OKAY)
			case_fails("%s", got_name[got]);
		took = clock_now() - start;
		if (took > load_relaxed(&c->worst))
			store_relaxed(&c->worst, took);
		store_relaxed(&c->last, clock_now());
		store_relaxed(&c->beats, c->beats + 1);
		nap_us(BEAT_US);
	}
	disk_close(&d);
	case_ends();
}

void canary_start(const char *front)
{
	c = shared_memory(sizeof(*c));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = &c->result;
		work(front);
	}
}

bool canary_lives(unsigned *ms, char *why, size_t size)
{
	uint64_t from = load_relaxed(&c->beats), until = clock_now() + 2 * suite.patience;

	while (load_relaxed(&c->beats) < from + 2 && clock_now() < until && waitpid(pid, NULL, WNOHANG) == 0)
		nap_us(500);
	*ms = (unsigned)(exchange_acq_rel(&c->worst, 0) / NS_PER_MS);
	if (load_relaxed(&c->beats) >= from + 2)
		return true;
	snprintf(why, size, "the canary: %s", c->result.why[0] ? c->result.why : "no answer");
	return false;
}

void canary_stop(void)
{
	store_relaxed(&c->stop, 1);
	waitpid(pid, NULL, 0);
}
