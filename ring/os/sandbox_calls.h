/* sandbox_calls.h - the stage CALLS of sandbox.h. */
#ifndef BULKHEAD_RING_OS_SANDBOX_CALLS_H
#define BULKHEAD_RING_OS_SANDBOX_CALLS_H

#include <stdbool.h>

/* From now on every thread of this process may do what a stub that is set up needs, and nothing else; xen: with Xen's devices. Needs
 * no_new_privs. 0 or a negative errno. */
int sandbox_calls(bool xen);
/* Makes the filter beforehand, which takes most of the time. As above. */
int sandbox_calls_prepare(bool xen);

#endif
