/* bulkhead-vif on the simulated host: it attaches a tap, or undoes that, takes its time, and may die. */
#include "tests/sim/world_net.h"

#include "ring/base/err.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define STEPS 3u
#define STEP_NS (2 * NS_PER_MS)

/* Behind its options. */
static char *const *words(char *const *arg)
{
	do
		arg++;
	while ((*arg)[0] == '-');
	return arg;
}

/* What attaches goes with the supervisor who wanted it. */
void world_helper_orphaned(const struct os_proc *super)
{
	for (unsigned i = 0; i < os.nprocs; i++) {
		struct os_proc *p = os.proc[i];

		if (p->kind == OS_HELPER && p->ppid == super->pid && strcmp(words(p->arg)[0], "attach") == 0)
			os_kill(p, CLD_KILLED, SIGKILL);
	}
}

int world_helper_main(void *argv)
{
	char *const *arg = words(argv);
	bool on = strcmp(arg[0], "attach") == 0;

	for (unsigned k = 0; k < STEPS; k++) {
		os_point(69, OS_CALL_NS);
		os_wait(NULL, NULL, os.now + crash_below(&os.rng, STEP_NS));
	}
	return world_tap_attach(arg[1], on) && on ? EXIT_TEMPORARY : EXIT_DONE;
}
