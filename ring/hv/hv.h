/* hv.h - the provider seam: what plays the hypervisor for us (DESIGN.md section 4).
 *
 * A struct hv is one process's relation to the provider, in one of three roles:
 *   frontend    a guest: allocates pages, grants them, opens ports for the other end to bind
 *   stub        a backend: maps and copies one guest's grants, adopts a port that it inherited; never binds
 *   supervisor  binds ports, hands their descriptors on, learns of the end of domains
 * Three providers implement it and pass one suite (tests/conform/conform_hv.h): local (hv_local.c, by bulkhead-hub),
 * sim (tests/sim/sim_hv.c, in process), and xen (hv_xen.c). What a provider cannot do it says in its feature bits;
 * nothing does less silently.
 *
 * Owns: the mappings and ports made through it; hv_close() releases them.
 * Threads: map, unmap and copy may be called from several threads of a stub at once, a port from one thread at a time;
 * the rest belongs to one thread.
 * Fork/exec: nothing is inherited but what hv_port_fds() gives out.
 * Trust: grefs and domids come from the other domain and are checked by the provider; a bad one is a status, never a crash.
 */
#ifndef BULKHEAD_RING_HV_HV_H
#define BULKHEAD_RING_HV_HV_H

#include "ring/base/base.h"

#include <stdbool.h>
#include <stdint.h>

typedef uint16_t hv_domid_t;
typedef uint32_t hv_gref_t;
typedef uint32_t hv_evtchn_t; /* event-channel port number, counted per domain; 0 is never valid */

#define HV_NAME_MAX 64		   /* of a domain, with the NUL */
#define HV_BATCH_MAX 256	   /* entries of one map, unmap or copy call; more is -E2BIG */
#define HV_RING_PAGES_MAX 16	   /* of one multi-page ring */
#define HV_PORT_FDS 2		   /* descriptors that stand for one port when it is handed on */
#define HV_REGION_MAX (16u << 20) /* local: bytes of one region of guest memory */

struct hv;
struct hv_port;

enum hv_role { HV_FRONTEND, HV_STUB, HV_SUPERVISOR };

enum hv_feature {
	HV_FEAT_PAGE_GRANULAR = 1u << 0, /* a map exposes one page only (local: its whole region) */
	HV_FEAT_MASK = 1u << 1,		 /* ports can be masked; unmask after a death is needed */
	HV_FEAT_DOMAIN_EVENTS = 1u << 2, /* hv_domain_fd() works */
	HV_FEAT_SUSPEND = 1u << 3,	 /* a domain may be shut down and still be there: to be asked before a replay */
	HV_FEAT_WHY = 1u << 4,		 /* a refusal says why; without it -EINVAL stands for -EACCES and -EBUSY of a map or a bind */
	HV_FEAT_BUSY = 1u << 5,		 /* hv_ungrant() knows what is still mapped, and ends what is not for good */
	HV_FEAT_REGRANT = 1u << 6,	 /* a page may be granted several times over; without it the second time is -EBUSY */
};

struct hv_open {
	enum hv_role role;
	const char *runtime_dir; /* local: where the hub's socket is */
	const char *domain;	 /* frontend on local: the domain's name; else NULL */
	hv_domid_t self;	 /* own domid (0: dom0), which xenstore's relative path "domid" has; not a frontend's on local */
	hv_domid_t guest;	 /* stub: the only domain whose grants may be mapped */
};

/* provider: "local", "xen" or "auto" (xen if /proc/xen/capabilities is there). 0; -ENOSYS (unknown provider, or not
 * built in), -ECONNREFUSED, -ENOENT (no hub; no such domain), -EACCES, -EINVAL (local: a frontend without a domain's name). */
int hv_open(const char *provider, const struct hv_open *o, struct hv **out);
/* Unmaps and closes everything. NULL is allowed. */
void hv_close(struct hv *hv);
unsigned hv_features(const struct hv *hv);
/* Own domid (a frontend on local learns it by joining). */
hv_domid_t hv_domid(const struct hv *hv);

/* ---- stub: grants ---- */

struct hv_map {
	hv_gref_t gref;
	bool ro;	/* in: map read-only */
	int16_t status; /* out: 0 or -EINVAL no such grant, -EACCES not for us or only for reading (HV_FEAT_WHY), -ENOMEM */
	void *addr;	/* out: one page; NULL when status != 0 */
};

/* Maps n pages of domain dom. 0 if all were mapped; -EIO if some were not (look at each status; the others stay mapped);
 * another negative errno if none was tried (-E2BIG, -ECONNRESET: the provider is gone, -EPERM: not this domain). */
int hv_map(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n);
/* Releases pages returned by hv_map. Never fails for pages that are mapped; -EINVAL if one was not. */
int hv_unmap(struct hv *hv, void *const *addr, size_t n);

/* Maps the npages of a ring in one contiguous piece, writable, populated. All or nothing. Errors as hv_map's statuses. */
int hv_map_ring(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out);
int hv_unmap_ring(struct hv *hv, void *ring, size_t npages);

struct hv_copy {
	hv_gref_t gref;
	uint16_t off, len; /* inside one page: off + len <= BH_PAGE_SIZE, checked */
	bool to_guest;	   /* local -> guest page (needs a writable grant), else guest page -> local */
	void *local;
	int16_t status; /* out, as in struct hv_map */
};
/* Grant copy in a batch; returns as hv_map. Copies that succeeded stay done. */
int hv_copy(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n);

/* ---- frontend: own pages and grants ---- */

/* Allocates npages of zeroed memory that can be granted, contiguous; at most HV_REGION_MAX. -ENOMEM, -E2BIG. */
int hv_alloc(struct hv *hv, size_t npages, void **out);
/* A whole piece, as it was allocated (else -EINVAL); every grant on it must have ended (else -EBUSY). */
int hv_free(struct hv *hv, void *mem, size_t npages);

struct hv_grant {
	void *page;	/* in: a page inside an hv_alloc()ed piece */
	bool ro;	/* in: the other end may only read */
	hv_gref_t gref; /* out */
};
/* Grants pages to domain dom. All or nothing. -ENOSPC (grant table full), -EINVAL (page is not ours), -EBUSY (it is granted
 * already: without HV_FEAT_REGRANT). */
int hv_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n);
/* Ends grants. 0; -EBUSY if one of them is still mapped by the other end: those that were not mapped are ended, the
 * others stay granted, and the page must not be used again (XSA-396); else -EINVAL if one was no grant of ours. status
 * may be NULL, else the same for each. Without HV_FEAT_BUSY never -EBUSY: the page given back is another with the same
 * content, and the other end keeps (and may map again) the one it has, until it lets it go. */
int hv_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status);

/* ---- ports ---- */

/* frontend: a new port that domain dom may bind. *out waits and notifies at once; events before the bind are kept. */
int hv_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out);
/* supervisor: binds to remote port of domain dom. Binding the same remote port again is allowed after the former binding
 * ended or its holders died. An event may be pending at once, though none was sent. -EINVAL no such port, -EACCES not ours,
 * -EBUSY bound. */
int hv_port_bind(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out);
/* supervisor: the descriptors that stand for the port, to be given to the keeper and to a stub (which inherit dups).
 * Owned by the port. Returns how many (<= HV_PORT_FDS). */
size_t hv_port_fds(const struct hv_port *p, int fds[HV_PORT_FDS]);
/* stub (or a supervisor that takes its own back from the keeper): makes a port of inherited descriptors and the local
 * port number; takes the descriptors over, also on failure. */
int hv_port_adopt(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out);
/* Own number of the port (what a frontend writes into xenstore as event-channel). */
hv_evtchn_t hv_port_number(const struct hv_port *p);
/* Readable (EPOLLIN) when an event is pending. Owned by the port. */
int hv_port_fd(const struct hv_port *p);
/* Tells the other end. Never blocks; an event already pending there absorbs it. 0 or -EPIPE (other end gone). */
int hv_port_notify(struct hv_port *p);
/* Reads until empty and unmasks: after it, any later event makes hv_port_fd() readable. Call before looking at the
 * ring. 1 if an event was pending, else 0. With HV_FEAT_MASK what came while it was masked shows once more; and what a process
 * read that has died since is unmasked by the first call for a port that was adopted after its death. */
int hv_port_clear(struct hv_port *p);
/* frontend: closes for both ends. supervisor: the other end may be bound again, at the latest when nobody holds the port's
 * descriptors any more. stub: lets go its descriptors. */
void hv_port_close(struct hv_port *p);

/* ---- supervisor: domains ---- */

/* Readable when the set of living domains may have changed; -1 without HV_FEAT_DOMAIN_EVENTS. Level until
 * hv_domain_clear(). */
int hv_domain_fd(struct hv *hv);
void hv_domain_clear(struct hv *hv);
/* 1 runs, 0 gone, -ESHUTDOWN shut down or dying (its ring must not be replayed), or another negative errno. */
int hv_domain_state(struct hv *hv, hv_domid_t dom);

/* ---- frontend: xenstore ---- */

/* A new xenstore connection of this domain, a stream socket speaking xs_wire, the caller's. -EAGAIN: the store is away,
 * ask again; -ENOSYS: the provider has none to give (xen: the guest's own /dev/xen/xenbus). */
int hv_store_fd(struct hv *hv);

/* ---- everybody ---- */

/* What is mapped, granted and bound through this hv at this moment: tests compare it with the start's. */
struct hv_usage {
	uint32_t mapped, granted, ports;
};
struct hv_usage hv_usage(const struct hv *hv);

#endif
