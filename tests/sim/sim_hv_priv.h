/* sim_hv_priv.h - the state of the simulated provider: sim_hv.c (worlds, processes, what the hub asks for) and
 * sim_hv_ops.c (what hv.h dispatches to). */
#ifndef BULKHEAD_TESTS_SIM_SIM_HV_PRIV_H
#define BULKHEAD_TESTS_SIM_SIM_HV_PRIV_H

#include "ring/hv/hub.h"
#include "ring/hv/hv_ops.h"
#include "tests/sim/sim_hv.h"

/* The rules are the hub's own (ring/hv/hub.h); here are the memory, the events and the processes. */

struct sim_region {
	LIST_ENTRY(sim_region) link;
	int id;		 /* its "fds" are 2 * id and 2 * id + 1 */
	uint32_t number; /* the hub's */
	size_t start, npages;
	unsigned maps;
	bool ended; /* by the hub; the pages come back when nothing maps them */
};

/* Side of a port that waits. Its "fd" is SIM_HV_FD and its index. */
struct sim_event {
	bool pending, ended;
	hv_domid_t dom;
	hv_evtchn_t port;
};

struct sim_map {
	LIST_ENTRY(sim_map) link;
	char *addr;
	size_t npages;
	unsigned times; /* of a single page */
	bool ring, alias; /* alias: mmap()ed for itself */
	bool ro;
	hv_gref_t gref[HV_RING_PAGES_MAX];
	struct sim_region *region[HV_RING_PAGES_MAX];
};

struct sim_proc {
	struct hv hv;
	struct sim_hv *w;
	struct hub_conn *conn;
	LIST_ENTRY(sim_proc) link;
	LIST_HEAD(, sim_map) maps;
};

struct sim_port {
	struct hv_port p;
	int wait, notify;
};

struct sim_hv {
	struct hub *hub;
	struct hub_conn *admin;
	size_t npages;
	int memfd;
	char *mem[2]; /* all pages, read-write and read-only */
	uint8_t *used;
	int next_id;
	LIST_HEAD(, sim_region) regions;
	LIST_HEAD(, sim_proc) procs;
	struct sim_event *events;
	int nevents;
	uint8_t shut[1 << 12]; /* bit per domid, of those below Xen's reserved ones */
	sim_hv_notify_fn *fn;
	void *arg;
	unsigned fail_after;
	int fail_with;
};

static inline struct sim_proc *sim_proc(const struct hv *hv) { return CONTAINER_OF(hv, struct sim_proc, hv); }
static inline struct sim_hv *sim_world(const struct hv *hv) { return sim_proc(hv)->w; }
static inline struct sim_event *sim_event(const struct sim_hv *w, int fd) { return &w->events[fd - SIM_HV_FD]; }

/* sim_hv.c */
int sim_fails(struct sim_hv *w); /* 0, or the error that was ordered for this step */
void sim_region_maybe_free(struct sim_hv *w, struct sim_region *g);
int sim_ask(struct sim_hv *w, struct hub_conn *c, union hub_buf *buf, struct hub_reply *r);
void sim_proc_end(struct sim_proc *p); /* frees it */

/* sim_hv_ops.c */
extern const struct hv_ops sim_hv_ops;
/* Asks the hub for one page; on success *region and *page (of the world) say where it is. */
int sim_locate(struct sim_proc *p, enum hub_op op, hv_gref_t gref, bool ro, struct sim_region **region, size_t *page);
void sim_map_forget(struct sim_map *m);

#endif
