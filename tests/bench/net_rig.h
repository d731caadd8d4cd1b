/* net_rig.h - a guest's vif and its backend in this process: the frontend's library, and the whole of backend/net on a netport, a
 * thread for each queue of the backend. The provider is a table of pages and eventfds.
 *
 * Owns: memory, descriptors and the backend's threads, for one measurement. Threads: open and close from one; a queue of the
 * frontend belongs to one thread.
 */
#ifndef BULKHEAD_TESTS_BENCH_NET_RIG_H
#define BULKHEAD_TESTS_BENCH_NET_RIG_H

#include "frontend/net/netfront.h"

#include <linux/if_ether.h>
#include <pthread.h>

struct net_rig;

/* spec, fd: of the netport (backend/port/port.h), whose descriptors are taken over in any case; NULL where it needs none. poll_us:
 * how long a queue of the backend looks for work before it sleeps. 0, or negative errno with a line in err. */
int net_rig_open(const char *spec, const int *fd, unsigned queues, unsigned poll_us, struct net_rig **out, char *err, size_t size);
/* The backend's threads end; its own memory stays, since a backend has no end but that of its process. */
void net_rig_close(struct net_rig *r);
struct netfront *net_rig_front(struct net_rig *r);
/* The thread of one of the backend's queues. */
pthread_t net_rig_thread(const struct net_rig *r, unsigned queue);

#endif
