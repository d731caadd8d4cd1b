/* crash_text.h - a run in one line, to print what failed and to repeat it (REPLAY="..."):
 *
 *   W0+2 F|R1+2 nr=4 batch=2 exact delay=3 linger=20 seed=77 own kills=12,5
 *
 * Scripts first (crash_guest.h), the queues' apart by |; then what is not zero, in any order. Numbers: nr batch delay linger unit
 * fail_flush bad_sector killer base seed zombie; marks: exact persistent fickle stale poller stall own gone words; kills.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_TEXT_H
#define BULKHEAD_TESTS_SIM_CRASH_TEXT_H

#include "tests/sim/crash_world.h"

#define CRASH_TEXT_MAX 640

void crash_text(const struct workload *wl, const struct plan *plan, char out[CRASH_TEXT_MAX]);
/* text is cut up, and must live as long as *wl. False: it is none. */
bool crash_parse(char *text, struct workload *wl, struct plan *plan);

#endif
