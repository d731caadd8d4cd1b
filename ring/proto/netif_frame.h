/* netif_frame.h - what both ends of a vif must know of an Ethernet frame: where its headers are, its checksums, and how a ring's flags
 * and a tap's struct virtio_net_hdr say the same. Pure; frames are foreign bytes. Threads: any. */
#ifndef BULKHEAD_RING_PROTO_NETIF_FRAME_H
#define BULKHEAD_RING_PROTO_NETIF_FRAME_H

#include "ring/base/base.h"

#include <linux/virtio_net.h>
#include <stdbool.h>

#define NETIF_IPV4 0x0800u
#define NETIF_ARP 0x0806u
#define NETIF_IPV6 0x86ddu
#define NETIF_TCP 6u
#define NETIF_UDP 17u

struct netif_frame {
	uint16_t proto;	   /* behind VLAN tags: NETIF_IPV4 ...; 0: too short to say */
	uint8_t l4_proto;  /* of IP; 0 where there is none to look at (a later fragment, cut short) */
	bool fragment;
	uint32_t l3, l4;   /* offsets of the headers */
	uint32_t l4_hdr;   /* length of TCP's header; of UDP 8; 0 of others, or when it is not whole */
	uint32_t len;	   /* of the frame by its own headers (IPv4, IPv6, ARP), without padding; 0: they do not say */
};

/* Looks at the first len bytes. */
void netif_frame_look(const uint8_t *frame, uint32_t len, struct netif_frame *f);

/* How a ring says it. */
struct netif_offload {
	bool blank;	   /* the checksum is that of the pseudo header only (csum_blank) */
	bool valid;	   /* it was checked, or need not be (data_validated) */
	uint8_t gso_type;  /* XEN_NETIF_GSO_TYPE_*; NONE: no segments */
	uint16_t gso_size;
};

/* From a ring: fills h for len bytes of a frame. Segments whose checksum is not blank get it blanked (*fixed is set then).
 * 0; -EINVAL: it says what the frame is not, drop it. */
int netif_to_vnet(uint8_t *frame, uint32_t len, const struct netif_offload *o, struct virtio_net_hdr *h, bool *fixed);
/* Towards a ring. 0; -EINVAL: segments of a kind that a ring has no word for. */
int netif_from_vnet(const struct virtio_net_hdr *h, struct netif_offload *o);
/* Completes the checksum that h says is missing. 0; -EINVAL: not inside the frame. */
int netif_frame_sum(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h);
/* Writes the checksum of a TCP or UDP frame, whatever stands there now: doing it again changes nothing. 0; -EINVAL: it is none. */
int netif_frame_sum_anew(uint8_t *frame, uint32_t len);

/* The hash of <xen/io/netif.h>, for any length of key. */
uint32_t netif_toeplitz(const uint8_t *key, uint32_t key_len, const uint8_t *data, uint32_t len);
/* Of a frame, by the largest of the types in flags (XEN_NETIF_CTRL_HASH_TYPE_*) that it has. *type: its number
 * (_XEN_NETIF_CTRL_HASH_TYPE_*). False: none of them. */
bool netif_frame_hash(const uint8_t *frame, uint32_t len, uint32_t flags, const uint8_t *key, uint32_t key_len, uint32_t *hash,
		      uint8_t *type);

#endif
