/* port_priv.h - what the kinds of netports share among themselves. */
#ifndef BULKHEAD_BACKEND_PORT_PORT_PRIV_H
#define BULKHEAD_BACKEND_PORT_PORT_PRIV_H

#include "backend/port/port.h"
#include "ring/base/pm.h"

#define NETPORT_TYPE (NETPORT_HDR + 12) /* where the Ethernet type stands in a packet */

extern const struct netport_ops netport_null_ops, netport_pair_ops, netport_tap_ops, netport_filter_ops;

void netport_no_kick(struct netport_queue *q);
uint64_t netport_never_due(const struct netport_queue *q);

/* Copies a packet to who reads it, its Ethernet type last (netport_read()). */
static inline void netport_deliver(char *to, const char *from, size_t len)
{
	const size_t type_end = NETPORT_TYPE + 2;

	pm_copy(to, from, NETPORT_TYPE);
	pm_copy(to + type_end, from + type_end, len - type_end);
	pm_store16((uint16_t *)(void *)(to + NETPORT_TYPE), *(const uint16_t *)(const void *)(from + NETPORT_TYPE));
}

/* Takes the filter's options out of s and puts a filter on *p, which is replaced. On failure *p is as before. */
int netport_filter_stack(struct spec *s, struct netport **p, char *err, size_t size);

#endif
