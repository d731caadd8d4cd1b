/* bulkhead-vif on the simulated host: it attaches a tap, or undoes that, takes its time, and may fail or die. What it is about to do stands
 * in a record before, as a file, until it is undone. */
#include "tests/sim/world_net.h"

#include "ring/base/err.h"

#include <signal.h>
#include <stdio.h>
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
	bool on = strcmp(arg[0], "attach") == 0, fails = world->faults && world_chance(10);
	struct os_inode *record;
	char path[64];

	snprintf(path, sizeof(path), WORLD_DIR "/net/%s", arg[1]);
	if (on && !os_inode_find(path))
		os_inode_new(path);
	for (unsigned k = 0; k < STEPS; k++) {
		os_point(69, OS_CALL_NS);
		os_wait(NULL, NULL, os.now + crash_below(&os.rng, STEP_NS));
	}
	if (fails || (world_tap_attach(arg[1], on) && on))
		return EXIT_TEMPORARY;
	record = os_inode_find(path);
	if (!on && record)
		record->path[0] = '\0';
	return EXIT_DONE;
}
