/* wire.h - two ends of a wire for packets in shared memory: what makes it, and what lies where. backend/port/port_pair.c moves
 * packets over it.
 *
 * An end is one descriptor, a socket in whose queue a message with the memory and both doorbells stays for ever: whoever
 * inherits the socket opens the end as often as it likes (a stub, its standby, its successor), and nothing is used up.
 * Owns: struct wire owns its mapping and doorbells; the sockets are the caller's.
 * Trust: the memory is sealed against a change of its size, so nobody can take it from under the other; what is in it either
 * end may have written.
 */
#ifndef BULKHEAD_RING_OS_WIRE_H
#define BULKHEAD_RING_OS_WIRE_H

#include "ring/base/base.h"

#include <assert.h>

#define WIRE_BYTES_MIN ((uint64_t)512 << 10) /* of each direction; also what is usual */
#define WIRE_BYTES_MAX ((uint64_t)64 << 20)

/* One direction: records of a length word, 4 bytes of nothing, the packet, rounded up to 16 bytes; none wraps. Positions are
 * bytes since the beginning. A line of memory has one writer. */
#define WIRE_ALIGN 16u
#define WIRE_REST UINT32_MAX /* as a length: the next record is at the beginning of the memory */
struct wire_way {
	struct {
		uint64_t prod;	     /* up to here records are whole */
		uint64_t room_event; /* ring when freed passes this */
		uint64_t pad[14];
	} out;
	struct {
		uint64_t taken; /* up to here they are delivered, or are being copied */
		uint64_t freed; /* up to here the memory may be used again */
		uint64_t data_event; /* ring when prod passes this */
		uint64_t pad[13];
	} in;
};
static_assert(sizeof(struct wire_way) == 256, "wire_way");

struct wire_mem {
	uint32_t magic, version;
	uint64_t bytes; /* of each direction, a power of two */
	uint64_t pad[30];
	struct wire_way way[2]; /* by the side that writes */
	char rest[BH_PAGE_SIZE - 3 * 256];
	char data[]; /* bytes of way 0, bytes of way 1 */
};
static_assert(offsetof(struct wire_mem, data) == BH_PAGE_SIZE, "wire_mem");

struct wire {
	struct wire_mem *mem;
	uint64_t bytes;	      /* a private copy */
	unsigned side;
	int bell, peers_bell; /* eventfds, non-blocking: mine is readable when the other end has rung */
};

/* Makes a wire; bytes: of each direction, a power of two from MIN to MAX. end: two sockets, close-on-exec. 0 or negative errno. */
int wire_make(uint64_t bytes, int end[2]);
/* Maps an end, which stays the caller's. 0, -EINVAL (this is no end of a wire), or negative errno. */
int wire_open(int end, struct wire *out);
void wire_close(struct wire *w);
void wire_ring(int bell);
static inline char *wire_data(const struct wire *w, unsigned side) { return w->mem->data + side * w->bytes; }

#endif
