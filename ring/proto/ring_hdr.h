/* ring_hdr.h - the first words of any ring of <xen/io/ring.h>, before its entries. */
#ifndef BULKHEAD_RING_PROTO_RING_HDR_H
#define BULKHEAD_RING_PROTO_RING_HDR_H

#include <stdint.h>

#define RING_HDR 64u /* bytes before the first entry */

struct ring_hdr {
	uint32_t req_prod, req_event;
	uint32_t rsp_prod, rsp_event;
};

#endif
