/* sim_hv.h - the provider in one process: domains, pages, grants and ports as plain state, for simulation.
 *
 * A world holds everything; an hv opened in it is one simulated process, used through ring/hv/hv.h like any other. There
 * are no threads, no sleeping and, after sim_hv_new(), no system calls but for rings whose pages are not contiguous and
 * pages granted under two grefs.
 *
 * Death: sim_hv_kill() is the end of a process at any instant, also when its code was left by longjmp inside a call of
 * hv.h (from pm_hook or from the notify hook): its mappings, and for a frontend its regions, grants and ports, end; all
 * struct hv and hv_port of it are gone and must not be used any more. What the process had mapped read-only was really
 * read-only (a store faults). Pages stay where they are: a pointer into them works after unmapping, so leaks and uses
 * after unmapping are found by hv_usage() and sim_hv_mapped(), not by a fault.
 *
 * Descriptors: hv_port_fds() and hv_port_fd() give numbers from SIM_HV_FD on that no system call knows; hv_port_adopt()
 * takes such a number as long as the port lives. What would be polled is asked by sim_hv_pending(). hv_domain_fd() is -1
 * (no HV_FEAT_DOMAIN_EVENTS); hv_domain_state() works.
 *
 * Features: none. Threads: a world and all in it belong to one.
 */
#ifndef BULKHEAD_TESTS_SIM_SIM_HV_H
#define BULKHEAD_TESTS_SIM_SIM_HV_H

#include "ring/hv/hv.h"

#define SIM_HV_FD 0x40000000

struct sim_hv; /* a world */

/* pages: of guest memory in all, e.g. 4096 (16 MiB); only what is touched costs. Aborts when memory is out. */
struct sim_hv *sim_hv_new(size_t pages);
/* Everything, the processes that were neither closed nor killed included. */
void sim_hv_free(struct sim_hv *w);

/* A new domain; domids count up from 1, domain 0 is always there. */
hv_domid_t sim_hv_domain(struct sim_hv *w, const char *name);
/* hv_domain_state() says -ESHUTDOWN from now on, until it runs again; nothing else changes. */
void sim_hv_shutdown(struct sim_hv *w, hv_domid_t dom);
void sim_hv_resume(struct sim_hv *w, hv_domid_t dom);
bool sim_hv_is_shut(const struct sim_hv *w, hv_domid_t dom);
/* The domain is gone: its regions, grants and ports end; its processes must be killed or closed by the caller. */
void sim_hv_destroy(struct sim_hv *w, hv_domid_t dom);

/* A process: o->role, o->domain (frontend), o->self and o->guest as in hv_open(); runtime_dir is not used. Errors too. */
int sim_hv_open(struct sim_hv *w, const struct hv_open *o, struct hv **out);
void sim_hv_kill(struct hv *hv);

/* Called from hv_port_notify() when the event is not absorbed by a pending one: dom and port name the end that is woken
 * (the frontend's own port number, or domain 0 and the local port of the binding). It may use the world, notify
 * again, and leave by longjmp. NULL: none. */
typedef void sim_hv_notify_fn(void *arg, hv_domid_t dom, hv_evtchn_t port);
void sim_hv_on_notify(struct sim_hv *w, sim_hv_notify_fn *fn, void *arg);
/* Is hv_port_fd(p) readable? */
bool sim_hv_pending(const struct hv_port *p);

/* For oracles: the page that domain dom granted (to domain 0) as gref, or NULL; how often it is mapped by living processes; and what
 * is mapped, granted and allocated as port in the whole world. */
void *sim_hv_page(struct sim_hv *w, hv_domid_t dom, hv_gref_t gref);
unsigned sim_hv_mapped(struct sim_hv *w, hv_domid_t dom, hv_gref_t gref);
struct hv_usage sim_hv_total(const struct sim_hv *w);

/* The next n resource-taking steps (a page of map, copy, grant; an alloc; a port) succeed, the one after fails with
 * err once (-ENOMEM as a status of a map, for instance). */
void sim_hv_fail_after(struct sim_hv *w, unsigned n, int err);

#endif
