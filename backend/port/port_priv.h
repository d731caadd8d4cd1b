/* port_priv.h - what the kinds of netports share among themselves. */
#ifndef BULKHEAD_BACKEND_PORT_PORT_PRIV_H
#define BULKHEAD_BACKEND_PORT_PORT_PRIV_H

#include "backend/port/port.h"

#define NETPORT_TYPE (NETPORT_HDR + 12) /* where the Ethernet type stands in a packet */

extern const struct netport_ops netport_null_ops, netport_pair_ops;

void netport_no_kick(struct netport_queue *q);
uint64_t netport_never_due(const struct netport_queue *q);

#endif
