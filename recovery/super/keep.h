/* keep.h - the keeper's store of named descriptors, behind keep.sock (keep_wire.h).
 *
 * Owns: the listening socket, its clients, every descriptor that was put.
 * Threads: one loop; not thread-safe. Fork/exec: everything is close-on-exec.
 * Trust: clients are of the keeper's own user (the socket's mode); a malformed request ends that client only.
 * Limits: KEEP_NAMES_MAX names, KEEP_CLIENTS_MAX clients at once.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_KEEP_H
#define BULKHEAD_RECOVERY_SUPER_KEEP_H

#include "recovery/super/keep_wire.h"
#include "ring/os/loop.h"

#define KEEP_CLIENTS_MAX 32

struct keep;

/* Listens on path. stop(arg) is called when a client asked for the end. 0 or a negative errno (-EADDRINUSE: there is one). */
int keep_open(struct loop *l, const char *path, void (*stop)(void *arg), void *arg, struct keep **out);
/* Closes the socket and every descriptor held; the socket's file stays. NULL is allowed. */
void keep_close(struct keep *k);
/* How many names are held. */
unsigned keep_names(const struct keep *k);

#endif
