/* netif_abi.h - the layout of <xen/io/netif.h>, which is the same for all guests, and what a newer one has. Pure. */
#ifndef BULKHEAD_RING_PROTO_NETIF_ABI_H
#define BULKHEAD_RING_PROTO_NETIF_ABI_H

#include "ring/base/base.h"
#include "ring/proto/ring_hdr.h"

#include <assert.h>
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/io/netif.h>

#define NETIF_RING 256u	   /* entries of a TX or RX ring: one page */
#define NETIF_CTRL_RING 128u
#define NETIF_TX_ENTRY 12u
#define NETIF_RX_ENTRY 8u
#define NETIF_CTRL_ENTRY 16u

/* Headroom for XDP, in what goes to the guest: newer than the installed header. u.xdp is a uint16_t, then four zero bytes. */
#ifndef XEN_NETIF_EXTRA_TYPE_XDP
#define XEN_NETIF_EXTRA_TYPE_XDP 5
#endif
#define NETIF_EXTRA_TYPES 6u /* types are below it */

#define NETIF_ETH_HLEN 14u
/* Requests behind a packet's first one, as Linux counts them: more than MAX are refused, reaching FATAL ends the device. */
#define NETIF_BEHIND_MAX 18u
#define NETIF_BEHIND_FATAL 20u

static_assert(sizeof(struct netif_tx_request) == NETIF_TX_ENTRY && sizeof(union netif_tx_sring_entry) == NETIF_TX_ENTRY &&
	      sizeof(struct netif_tx_response) == 4 && sizeof(struct netif_extra_info) == NETIF_RX_ENTRY &&
	      sizeof(union netif_rx_sring_entry) == NETIF_RX_ENTRY && sizeof(struct netif_rx_request) == NETIF_RX_ENTRY &&
	      sizeof(struct netif_rx_response) == NETIF_RX_ENTRY && sizeof(struct xen_netif_ctrl_request) == NETIF_CTRL_ENTRY &&
	      sizeof(struct xen_netif_ctrl_response) == 12 && offsetof(struct netif_tx_sring, ring) == RING_HDR &&
	      offsetof(struct netif_rx_sring, ring) == RING_HDR && offsetof(struct xen_netif_ctrl_sring, ring) == RING_HDR,
	      "the layout of netif.h");

#endif
