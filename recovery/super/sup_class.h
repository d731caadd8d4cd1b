/* sup_class.h - what the supervisor has to know of a kind of device: one table for each. Private to recovery/super.
 *
 *   wanted -> offer ... offer_keys -> ask -> fill (each stub's start) ... release
 *
 * All of it in the supervisor's one thread; nothing blocks. What is of one kind only is in its own part of struct sup_dev.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_CLASS_H
#define BULKHEAD_RECOVERY_SUPER_SUP_CLASS_H

#include "recovery/ctl/ctl_wire.h"
#include "recovery/super/sup_state.h"
#include "ring/os/stub_wire.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/client/xs.h"

struct sup_dev;

/* Descriptors that a stub inherits. */
struct sup_pass {
	int *fd;
	size_t n;
};
static inline int sup_pass(struct sup_pass *p, int fd) { return p->fd[p->n++] = fd; }

struct sup_class {
	uint32_t type;	     /* enum conn_type */
	const char *name;    /* in xenstore */
	const char *program; /* of its stubs */
	bool direct;	     /* its frontend goes from state 1 to 4 */
	uint64_t magic;	     /* of its journals */

	/* What people call it. */
	void (*label)(uint32_t devid, char *text, size_t size);
	/* The node `script` (NULL: none) marks it as ours. */
	bool (*marked)(const char *script);
	void (*init)(struct sup_dev *d); /* d is all zero but for its id */

	/* From the nodes of its toolstack. On failure one line in err; refuse_keys may be called all the same. */
	int (*wanted)(struct sup_dev *d, const struct xs_kvs *own, char *err, size_t size);
	/* Looks for all that an offer needs, with a helper (sup_helper_run) where that may take time; ends in sup_offer_made() or
	 * sup_offer_refused(). */
	void (*offer)(struct sup_dev *d);
	/* What is held for it goes (the image's reservation). */
	void (*release)(struct sup_dev *d);
	bool (*holds)(const struct sup_dev *d);
	void (*deposit)(struct sup_dev *d); /* that, with the keeper */
	/* Nodes to be written with state 2, and in its place when it is refused. */
	int (*offer_keys)(const struct sup_dev *d, struct xs_kvs *kvs);
	void (*refuse_keys)(const struct sup_dev *d, struct xs_kvs *kvs);
	/* With state 4, what may have changed since the offer; and with sup_bus_rewrite(). NULL: nothing. */
	void (*up_keys)(const struct sup_dev *d, struct xs_kvs *kvs);
	/* It is connected, and our end of its nodes is at path: looks for what a predecessor did not finish. NULL: nothing. */
	void (*found)(struct sup_dev *d, const char *path);

	/* The frontend asks: what is of this kind goes into d->conn. One line in err. */
	int (*ask)(struct sup_dev *d, const struct xs_kvs *own, const struct xs_kvs *peer, char *err, size_t size);
	/* What a connection needs beside journal and ports, and its end. NULL: nothing. */
	int (*connect)(struct sup_dev *d, char *err, size_t size);
	void (*disconnect)(struct sup_dev *d);
	/* State 4 may be written now; else it calls sup_bus_online() when it may. NULL: always. */
	bool (*may_go_online)(struct sup_dev *d);
	uint64_t (*journal_bytes)(const struct conn_id *c);
	uint64_t (*queue_offset)(const struct conn_id *c, uint32_t queue); /* of its struct jrnl_queue */
	int (*fill)(struct sup_dev *d, struct stub_dev *sd, struct sup_pass *pass);
	/* Beside ports, a descriptor that is readable while work waits for a queue; -1: none. NULL: none. */
	int (*waits_fd)(const struct sup_dev *d, uint32_t queue);
	/* Its stub is up: CONNECTED, RESUMED. Its stub says what only this kind knows. NULL: nothing. */
	void (*up)(struct sup_dev *d);
	void (*said)(struct sup_dev *d, const struct stub_msg *m);

	/* Now and then, while it is served. NULL: nothing. */
	void (*look)(struct sup_dev *d, uint64_t now);

	void (*save)(const struct sup_dev *d, struct saved_dev *v);
	/* Before the connection is adopted. */
	void (*adopt)(struct sup_dev *d, const struct saved_dev *v);
	void (*status)(const struct sup_dev *d, struct ctl_dev *c);
	/* Both ends' nodes once more, with these states (sup_lost.c). */
	void (*put_back)(struct sup_dev *d, unsigned back_state, unsigned front_state, xsc_done_fn *fn);
};

extern const struct sup_class sup_vbd_class, sup_vif_class;
#define SUP_CLASSES 2u
extern const struct sup_class *const sup_classes[SUP_CLASSES];
/* NULL: there is none. */
const struct sup_class *sup_class_of(uint32_t type);

#endif
