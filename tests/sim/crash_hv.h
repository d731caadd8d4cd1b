/* crash_hv.h - the provider of the crash test: one domain, no system call, no allocation that a run would have to wait for.
 *
 * It keeps the contract of ring/hv/hv.h as sim_hv does, with less: no transitive anything, regions are never given back in a
 * run, one guest. What it has more is what Xen has: a port is masked between the read of its event and the unmasking, which a
 * death can part; an event that comes meanwhile is delivered by the unmasking, whoever does it.
 * Pages keep their contents from one run to the next. Threads: one.
 */
#ifndef BULKHEAD_TESTS_SIM_CRASH_HV_H
#define BULKHEAD_TESTS_SIM_CRASH_HV_H

#include "ring/hv/hv.h"

#define CRASH_HV_DOMAIN 7u

/* A new run. point: the backend may die there, before it notifies and on each side of an unmasking. */
void crash_hv_reset(void (*point)(void));
struct hv *crash_hv_guest(void);
struct hv *crash_hv_supervisor(void);
/* A new process of the backend's. */
struct hv *crash_hv_stub(void);
/* Its end, at any instant. */
void crash_hv_kill(struct hv *stub);
/* What hv_domain_state() says from now on. */
void crash_hv_shutdown(void);
/* Does any of these bytes belong to the guest? */
bool crash_hv_is_guests(const void *mem, size_t bytes);
/* Called before each copy; it may leave by longjmp. NULL: nobody. Stays for all runs. */
extern void (*crash_hv_copying)(const struct hv_copy *c);
/* Is hv_port_fd(p) readable? */
bool crash_hv_pending(const struct hv_port *p);

#endif
