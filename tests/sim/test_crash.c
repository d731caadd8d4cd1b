/* smoke */
#include "tests/sim/crash_world.h"
#include "recovery/journal/jrnl.h"
#include "ring/os/clock.h"
#include "ring/base/check.h"
#include <stdio.h>
#include <time.h>
enum jrnl_mutant jrnl_mutant;
void check_failed(const char *file, int line, const char *what) { crash_check_failed(file, line, what); }
uint64_t clock_now(void) { return crash_now(); }
void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
	crash_point();
}
int main(void)
{
	struct workload wl = {.name = "smoke", .script = {"W0+2 R0+2 F W1+1 B4+2 D8+4 R0+8 I16+12 J16+12 X1 X2 X3 X4 X5 X6 X7 R0+1", NULL}, .nr = 4, .batch = 3, .delay = 5, .linger = 20};
	struct plan p = {.seed = 1};
	struct outcome o;
	crash_run(&wl, &p, &o);
	printf("%s %s answered %u points %u start %u\n", o.invariant ? o.invariant : "ok", o.text, o.answered, o.points[0], o.start_points[0]);
	unsigned S = o.points[0], bad = 0; clock_t t = clock();
	for (unsigned k = 1; k <= S; k++) {
		p.nkills = 1; p.kill[0] = k;
		crash_run(&wl, &p, &o);
		if (o.invariant && bad++ < 10) printf("kill %u: %s %s\n", k, o.invariant, o.text);
	}
	printf("%u kills %u bad, %g us/run\n", S, bad, (double)(clock() - t) / S);
	return bad != 0;
}
