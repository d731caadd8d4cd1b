/* hv_ops.h - what a provider implements; hv.c checks arguments, keeps the accounts and dispatches.
 * Private to ring/hv and to tests/sim. Contracts are those of hv.h, for calls whose arguments hv.c has found sound: right
 * role and domain, 0 < n <= HV_BATCH_MAX, copies inside a page. Where hv.h says otherwise below, this holds. */
#ifndef BULKHEAD_RING_HV_HV_OPS_H
#define BULKHEAD_RING_HV_HV_OPS_H

#include "ring/hv/hv.h"

#include <pthread.h>
#include <sys/queue.h>

struct hv_ops {
	const char *name;
	unsigned features;
	/* Frees hv. Its ports were closed before. */
	void (*close)(struct hv *hv);
	/* map and copy: 0, with a status in every entry; a negative errno only when none was tried. */
	int (*map)(struct hv *hv, hv_domid_t dom, struct hv_map *m, size_t n);
	/* Unmaps what is mapped; how many that were. */
	size_t (*unmap)(struct hv *hv, void *const *addr, size_t n);
	int (*map_ring)(struct hv *hv, hv_domid_t dom, const hv_gref_t *grefs, size_t npages, void **out);
	int (*unmap_ring)(struct hv *hv, void *ring, size_t npages);
	int (*copy)(struct hv *hv, hv_domid_t dom, struct hv_copy *c, size_t n);
	int (*alloc)(struct hv *hv, size_t npages, void **out);
	int (*free)(struct hv *hv, void *mem, size_t npages);
	int (*grant)(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n);
	/* 0, with a status in every entry (never NULL here): 0 ended, -EBUSY mapped, -EINVAL no such grant of ours. */
	int (*ungrant)(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status);
	int (*port_alloc)(struct hv *hv, hv_domid_t dom, struct hv_port **out);
	int (*port_bind)(struct hv *hv, hv_domid_t dom, hv_evtchn_t remote, struct hv_port **out);
	size_t (*port_fds)(const struct hv_port *p, int fds[HV_PORT_FDS]);
	int (*port_adopt)(struct hv *hv, const int *fds, size_t nfds, hv_evtchn_t port, struct hv_port **out);
	int (*port_fd)(const struct hv_port *p);
	int (*port_notify)(struct hv_port *p);
	int (*port_clear)(struct hv_port *p);
	void (*port_close)(struct hv_port *p); /* frees p */
	int (*domain_fd)(struct hv *hv);
	void (*domain_clear)(struct hv *hv);
	int (*domain_state)(struct hv *hv, hv_domid_t dom);
	int (*store_fd)(struct hv *hv); /* NULL: the provider has none to give */
};

/* First member of every provider's own port. */
struct hv_port {
	struct hv *hv;
	hv_evtchn_t number;
	LIST_ENTRY(hv_port) link;
};

/* First member of every provider's own struct. */
struct hv {
	const struct hv_ops *ops;
	enum hv_role role;
	hv_domid_t domid, guest;
	struct hv_usage usage; /* kept by hv.c, relaxed atomics */
	pthread_mutex_t ports_lock;
	LIST_HEAD(, hv_port) ports;
};

/* Fills the common part of a new hv. */
void hv_setup(struct hv *hv, const struct hv_ops *ops, const struct hv_open *o, hv_domid_t self);

int hv_xen_open(const struct hv_open *o, struct hv **out);
int hv_local_open(const struct hv_open *o, struct hv **out);

#endif
