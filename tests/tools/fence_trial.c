/* fence_trial - does the fence hold? Kills a generation whose writes are under way on slow storage, lets the next one
 * write over the same blocks, waits until the storage has nothing left to do, and reads what is there.
 *
 *   fence_trial SPEC BACKING CONTROL LOG ARRIVALS SCENARIO TRIALS     (see tests/tools/slowfs.c for CONTROL and LOG)
 *
 * SCENARIO is a list of words joined by "-":
 *   reap     the successor starts only when the victim was reaped; otherwise right after its SIGKILL
 *   fence    the successor waits for engine_fence_poll; without it the fence is taken out of the test
 *   deep     two victims: the second generation serves other blocks, unfenced, and is killed as well; the third writes over
 *            the blocks of both
 * Prints "new=N old=N waited=N": trials that ended with the successor's data everywhere, trials with a block of a dead
 * generation, trials in which the fence was not granted at once. Exit 0 if every trial could be carried out.
 */
#include "backend/engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define STRIDE (2 * BLOCK) /* of the blocks: neighbours would be merged into one write */
#define BLOCKS 16u
#define AREAS 2u
#define DEADLINE_MS 30000u

static const char *spec, *backing, *control, *logpath;
static unsigned arrivals_wanted;
static bool reap_first, use_fence, deep;

static void die(const char *what)
{
	fprintf(stderr, "fence_trial: %s (%s)\n", what, strerror(errno));
	exit(2);
}

static void nap(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }

static void set_delay(unsigned min, unsigned max)
{
	char text[32];
	int fd = open(control, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), n;

	n = snprintf(text, sizeof(text), "%-6u %-6u\n", min, max);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		die("control file");
	close(fd);
}

static void count_log(unsigned *arrived, unsigned *landed)
{
	char line[64];
	FILE *f = fopen(logpath, "re");

	*arrived = *landed = 0;
	while (f && fgets(line, sizeof(line), f)) {
		*arrived += line[0] == 'A';
		*landed += line[0] == 'L';
	}
	if (f)
		fclose(f);
}

/* ---- in a child: one generation */

struct generation {
	struct engine *e;
	struct engine_queue *q;
	struct engine_req r[AREAS * BLOCKS];
	struct iovec iov[AREAS * BLOCKS];
};

static void open_generation(struct generation *g, uint64_t number, bool fresh)
{
	struct engine_open o = {.spec = spec, .fd = -1, .fence_base = ENGINE_FENCE_BASE, .queues = 1, .depth = 64};
	char err[512];
	int rc = engine_open(&o, &g->e, err, sizeof(err));

	if (rc) {
		fprintf(stderr, "fence_trial: %s\n", err);
		_exit(2);
	}
	for (unsigned ms = 0; (rc = engine_own(g->e, number, fresh)) == -EAGAIN && ms < DEADLINE_MS; ms++)
		nap();
	if (rc || engine_queue_open(g->e, 0, &g->q)) {
		fprintf(stderr, "fence_trial: generation %llu: %s\n", (unsigned long long)number, strerror(-rc));
		_exit(2);
	}
}

/* Submits a write of content c to every block of the areas from first to last. */
static unsigned write_blocks(struct generation *g, char c, unsigned first, unsigned last)
{
	unsigned n = 0;

	for (unsigned i = first * BLOCKS; i < (last + 1) * BLOCKS; i++, n++) {
		char *buf = aligned_alloc(BLOCK, BLOCK);

		memset(buf, c, BLOCK);
		g->iov[n] = (struct iovec){buf, BLOCK};
		g->r[n] = (struct engine_req){
			.op = ENGINE_WRITE, .off = i * STRIDE, .len = BLOCK, .iov = &g->iov[n], .iovcnt = 1};
		engine_submit(g->q, &g->r[n]);
	}
	engine_kick(g->q);
	return n;
}

static unsigned finish_blocks(struct generation *g)
{
	struct engine_reqs done = STAILQ_HEAD_INITIALIZER(done);
	struct pollfd p = {.fd = engine_event_fd(g->q), .events = POLLIN};
	struct engine_req *r;
	unsigned failed = 0;

	while (g->q->outstanding)
		if (!engine_reap(g->q, &done) && !engine_arm(g->q) && poll(&p, 1, DEADLINE_MS) != 1)
			_exit(2);
	STAILQ_FOREACH(r, &done, link)
		failed += r->result != 0;
	return failed;
}

static void victim(uint64_t number, bool fresh, char c, unsigned area)
{
	static struct generation g;

	open_generation(&g, number, fresh);
	write_blocks(&g, c, area, area);
	for (;;)
		pause();
}

/* Exit status: 0 the fence was granted at once (or not asked for), 1 it had to be waited for. */
static void successor(uint64_t number)
{
	static struct generation g;
	bool waited = false;

	open_generation(&g, number, false);
	for (unsigned ms = 0; use_fence; ms++) {
		int rc = engine_fence_poll(g.e);

		if (rc == 1)
			break;
		if (rc < 0 || ms > DEADLINE_MS)
			_exit(2);
		waited = true;
		nap();
	}
	set_delay(0, 0);
	write_blocks(&g, 'N', 0, deep ? 1 : 0);
	_exit(finish_blocks(&g) ? 2 : waited);
}

/* ---- the parent */

static pid_t start_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
		_exit(2);
	return pid;
}

/* Starts a victim and returns when its writes have arrived at the storage. */
static pid_t start_victim(uint64_t number, bool fresh, char c, unsigned area)
{
	unsigned before, arrived, landed;
	pid_t pid;

	count_log(&before, &landed);
	pid = start_child();
	if (pid == 0)
		victim(number, fresh, c, area);
	for (unsigned ms = 0; ms < DEADLINE_MS; ms++) {
		count_log(&arrived, &landed);
		if (arrived - before >= arrivals_wanted)
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			die("the victim ended by itself");
		nap();
	}
	die("the victim's writes do not arrive");
	return -1;
}

/* The blocks as the storage has them in the end. True if a block is not the successor's. */
static bool stale(void)
{
	unsigned areas = deep ? 2 : 1;
	char buf[BLOCK];
	bool old = false;
	int fd = open(backing, O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; i < areas * BLOCKS; i++) {
		if (pread(fd, buf, BLOCK, (off_t)(i * STRIDE)) != (ssize_t)BLOCK)
			die("backing file");
		old |= buf[0] != 'N' || memcmp(buf, buf + 1, BLOCK - 1) != 0;
	}
	close(fd);
	return old;
}

static void wait_drained(void)
{
	unsigned arrived = 1, landed = 0;

	for (unsigned ms = 0; arrived != landed; ms++) {
		if (ms > DEADLINE_MS)
			die("the storage does not come to rest");
		nap();
		count_log(&arrived, &landed);
	}
}

static void trial(uint64_t base, unsigned *old, unsigned *waited)
{
	pid_t victims[2], next;
	int status;

	set_delay(120, 400);
	victims[0] = start_victim(base + 1, true, 'a', 0);
	kill(victims[0], SIGKILL);
	if (deep) {
		victims[1] = start_victim(base + 2, false, 'b', 1);
		kill(victims[1], SIGKILL);
	}
	for (unsigned i = 0; reap_first && i < (deep ? 2 : 1); i++)
		waitpid(victims[i], NULL, 0);
	next = start_child();
	if (next == 0)
		successor(base + 3);
	if (waitpid(next, &status, 0) != next || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		die("the successor failed");
	*waited += WEXITSTATUS(status) == 1;
	for (unsigned i = 0; !reap_first && i < (deep ? 2 : 1); i++)
		waitpid(victims[i], NULL, 0);
	wait_drained();
	*old += stale();
}

int main(int argc, char **argv)
{
	unsigned trials, old = 0, waited = 0;

	if (argc != 8) {
		fprintf(stderr, "usage: fence_trial SPEC BACKING CONTROL LOG ARRIVALS SCENARIO TRIALS\n");
		return 100;
	}
	spec = argv[1];
	backing = argv[2];
	control = argv[3];
	logpath = argv[4];
	arrivals_wanted = (unsigned)atoi(argv[5]);
	reap_first = strstr(argv[6], "reap");
	use_fence = strstr(argv[6], "fence");
	deep = strstr(argv[6], "deep");
	trials = (unsigned)atoi(argv[7]);
	for (unsigned i = 0; i < trials; i++)
		trial(10 * i, &old, &waited);
	printf("new=%u old=%u waited=%u\n", trials - old, old, waited);
	return 0;
}
