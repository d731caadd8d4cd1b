/* net_pump.h - moves packets between a vif and a tap, a thread for each queue.
 *
 * Owns: its threads. The frontend and the tap are the caller's and outlive it. Threads: start and stop from one.
 */
#ifndef BULKHEAD_FRONTEND_NET_NET_PUMP_H
#define BULKHEAD_FRONTEND_NET_NET_PUMP_H

#include "frontend/net/net_tap.h"

struct net_pump;

/* 0 or negative errno. */
int net_pump_start(struct netfront *f, const struct net_tap *t, struct net_pump **out);
/* A thread has ended because the device has: its reason, -EPEER or -ESHUTDOWN; 0 while all goes on. */
int net_pump_ended(const struct net_pump *b);
/* Packets that the tap refused, and those that the vif could not take: their length, an odd header. */
void net_pump_drops(const struct net_pump *b, uint64_t *tap, uint64_t *vif);
/* Ends the device (netfront_cancel()) and the threads. NULL is allowed. */
void net_pump_stop(struct net_pump *b);

#endif
