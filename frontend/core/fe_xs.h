/* fe_xs.h - a frontend's device in xenstore: it joins its domain, brings both ends to Connected, and a thread follows the
 * backend while I/O goes on. The same for all classes of devices; what a class does is in its ops.
 *
 * Owns: the store's connection, its loop and thread. Threads: open, connect and close from one; ops are called from
 * connect's and close's caller, in between from the watcher's thread.
 * Trust: what the backend's directory says is the class's to judge.
 */
#ifndef BULKHEAD_FRONTEND_CORE_FE_XS_H
#define BULKHEAD_FRONTEND_CORE_FE_XS_H

#include "ring/hv/hv.h"
#include "xenstore-glue/bus/xs_kv.h"

#include <pthread.h>

struct fe_xs_ops {
	/* The backend offers: makes rings anew (those of a former offer go), and puts into keys what is asked for. peer is NULL if
	 * the backend has no directory. 0; -EPEER with a line in err: the offer is unusable; or negative errno. */
	int (*prepare)(void *dev, hv_domid_t back_domid, const struct xs_kvs *own, const struct xs_kvs *peer, struct xs_kvs *keys,
		       char *err, size_t size);
	/* The backend said Connected, or said it again. peer may be NULL. */
	void (*changed)(void *dev, const struct xs_kvs *peer);
	/* The backend wants to go: nothing new, but what is on the rings may still be answered. */
	void (*closing)(void *dev);
	bool (*quiet)(void *dev); /* nothing is waited for */
	void (*ended)(void *dev); /* nothing more is taken from or put on the rings */
};

/* Joins the domain (NULL provider: auto; NULL runtime_dir: the default). On failure err has one clear line. */
int fe_join(const char *provider, const char *runtime_dir, const char *domain, struct hv **out, char *err, size_t size);

struct fe_xs_cfg {
	struct hv *hv;
	pthread_mutex_t *hv_lock; /* calls of hv are made under it */
	const char *path;	  /* the device's own directory */
	bool direct;		  /* of a class whose frontend goes from state 1 to 4 */
	const struct fe_xs_ops *ops;
	void *dev;
};
struct fe_xs;

/* On failure err has one line, and *out may have to be closed nevertheless. */
int fe_xs_open(const struct fe_xs_cfg *cfg, struct fe_xs **out, char *err, size_t size);
/* Brings both ends from wherever they are (5-6-1 if need be) to Connected, within the deadline (clock_now()), preparing on the
 * way; then starts the watcher. -ENODEV, -ETIMEDOUT, -EIO, each with a line. */
int fe_xs_connect(struct fe_xs *x, uint64_t deadline, char *err, size_t size);
/* 5, 6; ends the watching. NULL is allowed. */
void fe_xs_close(struct fe_xs *x);

#endif
