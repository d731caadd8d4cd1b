/* steer.h - has the guest's hash mapping choose the queue of a packet that comes to its tap: makes the memory that the guest's stub writes
 * (ring/os/steer.h), and attaches the program that reads it. A tap without it spreads by its own means.
 *
 * Owns: descriptors go to the caller, close-on-exec. An attached program is the tap's, and holds its map, until tap_make() (tap.h).
 * Threads: any; nothing blocks for long. Needs CAP_BPF and CAP_NET_ADMIN, or root.
 */
#ifndef BULKHEAD_RECOVERY_NET_STEER_H
#define BULKHEAD_RECOVERY_NET_STEER_H

#include "ring/os/steer.h"

#include <stdbool.h>

/* A map, in which the guest has no say yet: a descriptor or a negative errno (-EPERM, -ENOSYS: not on this host). */
int steer_map(void);
/* Is this descriptor one? */
bool steer_is_map(int fd);
/* A stub has written into it that its guest has a say. */
bool steer_in_use(int map);
/* The program for this map: a descriptor or a negative errno. */
int steer_load(int map);
/* tap: any of its queues. From here on the program chooses; doing it again changes nothing. 0 or a negative errno. */
int steer_attach(int tap, int map);
/* Whether this host can do it: 0 or a negative errno. */
int steer_possible(void);

#endif
