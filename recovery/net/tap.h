/* tap.h - makes the tap behind a vif, and opens its queues. Its end is part of net_undo() (net_state.h).
 *
 * A tap is persistent: it stays, with its addresses and in its bridge, when nobody has it open, until it is undone.
 * Owns: descriptors go to the caller, close-on-exec and non-blocking.
 * Threads: any; nothing blocks for long.
 */
#ifndef BULKHEAD_RECOVERY_NET_TAP_H
#define BULKHEAD_RECOVERY_NET_TAP_H

#include "ring/base/base.h"

#include <stdbool.h>
#include <sys/types.h>

#define TAP_NAME_MAX 16 /* with the NUL, as the kernel's */
#define TAP_QUEUES_MAX 64u

struct tap_conf {
	char name[TAP_NAME_MAX]; /* vif<domid>.<handle>, or the user's vifname */
	unsigned queues;
	unsigned txqueuelen;	 /* packets that each queue holds while nobody reads; 0: the kernel's default */
	unsigned mtu;		 /* 0: as it is */
	uid_t owner;		 /* may attach to it without rights; 0: nobody */
	unsigned index;		 /* the interface that has the name must be this one, or -ESTALE; 0: any, or none yet */
};

/* Makes it, or takes the one that is there, and attaches queues to it: fd[0..queues-1]. Nobody may have a queue of it already, or
 * packets go to queues that nobody reads. Header of 10 bytes, no offloads, no steering program (steer.h), MAC fe:ff:ff:ff:ff:ff (a bridge must not take a
 * port's for its own), down. 0, or negative errno with a line in err and nothing open; a tap that was made then is gone. */
int tap_make(const struct tap_conf *c, int *fd, char *err, size_t size);
/* Gone as soon as nobody has a queue of it open. It need not be there. */
int tap_remove(const char *name);
/* Whether the host sees a cable in it; fd: any of its queues. 0 or negative errno. */
int tap_carrier(int fd, bool on);
/* Letters, digits, '.', '_', '-', at most 15, beginning with a letter. */
int tap_name_ok(const char *name);

#endif
