/* port.h - the network device behind a vif (a netport): whole packets in and out, queue by queue.
 *
 *   open (with the rights of the start) -> start (the journal is ours) -> write/read/kick ... arm -> sleep -> ... -> close
 *
 * A packet is one piece of memory: struct virtio_net_hdr (10 bytes, <linux/virtio_net.h>, the machine's own byte order) and
 * the Ethernet frame. Its length counts both. Memory for it is aligned to 2.
 * Owns: the netport owns its descriptors, those it was given too. A packet is the caller's: copied before a call returns.
 * Threads: open and close on the control thread; a queue belongs to one thread from start on; netport_filter() from any.
 * Fence: every call is synchronous: a process that is reaped does nothing any more. No call blocks.
 * Death: a packet is given whole or not at all, whatever the moment. Who reads dies in the middle: at most the packet of the
 * call under way is lost, and none comes twice. Who writes: a call is one packet, so at most one is in doubt.
 * Trust: the other end of a pair may be hostile: what it stores is judged, at worst the pair is -EPEER from then on.
 *
 * Specs: tap            a tap's queues, IFF_VNET_HDR | IFF_NO_PI, attached and inherited; one descriptor a queue
 *        pair[:NAME]    one end of a wire in shared memory (ring/os/wire.h); one descriptor a queue. NAME is for people
 *        null           takes everything, gives nothing
 *        null:BYTES     gives, without end, frames of so many bytes (14 to 65553) as well
 * Filters are options of each, of packets in both directions, for tests and experiments:
 *   loss=P  duplicate=P  reorder=P   so many of a hundred (such as 0.5) vanish; come twice; are overtaken by the next one
 *   delay=MS                         everything comes so much later; what waits is bounded (NETPORT_HELD), the rest is lost
 *   seed=N                           of the dice
 * netport_filter() changes them later.
 */
#ifndef BULKHEAD_BACKEND_PORT_PORT_H
#define BULKHEAD_BACKEND_PORT_PORT_H

#include "ring/base/spec.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <sys/types.h>

#define NETPORT_HDR sizeof(struct virtio_net_hdr)
#define NETPORT_FRAME_MIN 14u
#define NETPORT_FRAME_MAX 65553u /* the largest IPv4 packet, or what the kernel segments, with Ethernet and VLAN headers */
#define NETPORT_PACKET_MIN (NETPORT_HDR + NETPORT_FRAME_MIN)
#define NETPORT_PACKET_MAX (NETPORT_HDR + NETPORT_FRAME_MAX)
#define NETPORT_HELD 512u /* packets that wait in the filter of one queue, for each direction */

/* What may come by read: without them the kernel segments and sums for us. Writing needs none. null and pair: not looked at. */
enum netport_offload {
	NETPORT_CSUM = 1u << 0, /* partial checksums (VIRTIO_NET_HDR_F_NEEDS_CSUM) */
	NETPORT_TSO4 = 1u << 1, /* with CSUM only */
	NETPORT_TSO6 = 1u << 2,
};

enum netport_want { NETPORT_IN = 1u << 0, NETPORT_OUT = 1u << 1 };

struct netport;
struct netport_queue;

struct netport_open {
	const char *spec;
	const int *fd; /* of each queue; closed in any case. NULL where the kind needs none (null) */
	unsigned queues;
	unsigned offloads; /* enum netport_offload */
};

/* What a kind implements; called through the functions below, which check the contract. */
struct netport_ops {
	const char *name;
	/* Descriptors that are taken over are replaced by -1 in fd. One clear line in err. */
	int (*open)(const struct netport_open *o, const struct spec *s, int *fd, struct netport **out, char *err, size_t size);
	void (*close)(struct netport *p);
	struct netport_queue *(*queue)(struct netport *p, unsigned index);
	int (*start)(struct netport_queue *q);
	int (*write)(struct netport_queue *q, const void *packet, size_t len);
	ssize_t (*read)(struct netport_queue *q, void *packet);
	void (*kick)(struct netport_queue *q);
	int (*arm)(struct netport_queue *q, unsigned want);
	int (*fd)(const struct netport_queue *q);
	uint64_t (*due)(const struct netport_queue *q);
};
/* First members of every kind's own structs. */
struct netport {
	const struct netport_ops *ops;
	unsigned queues;
};
struct netport_queue {
	const struct netport_ops *ops;
};

/* Opens, and sets the offloads of a tap; stores nothing into shared memory, so a standby may do it beside the living.
 * On failure *out is NULL and err (size bytes) has one clear line. -EINVAL, -ENOMEM, or what the device says. */
int netport_open(const struct netport_open *o, struct netport **out, char *err, size_t size);
/* What was written is on its way. NULL is allowed. */
void netport_close(struct netport *p);
/* index < queues. Valid until close. */
static inline struct netport_queue *netport_queue(struct netport *p, unsigned index) { return p->ops->queue(p, index); }
/* Once a queue, when all former owners are gone (the journal's lock) and before anything else. 0, or -EPEER (the memory of a
 * pair holds nonsense). */
static inline int netport_start(struct netport_queue *q) { return q->ops->start(q); }

/* Sends one packet. 0: given; -EAGAIN: full, arm(NETPORT_OUT) says when there is room; anything else: this packet can't be
 * sent, drop it and go on: -EIO (the tap is down), -EINVAL (its length, or the kernel found the header odd), -ENOBUFS,
 * -ENOMEM, -EPEER. Of a pair, kick() afterwards. */
static inline int netport_write(struct netport_queue *q, const void *packet, size_t len)
{
	return UNLIKELY(len < NETPORT_PACKET_MIN || len > NETPORT_PACKET_MAX) ? -EINVAL : q->ops->write(q, packet, len);
}

/* Receives one packet into NETPORT_PACKET_MAX bytes: its length; -EAGAIN: none there; -EPEER; what the device says.
 * null and pair store the Ethernet type (two bytes at NETPORT_HDR + 12) last, after the packet is theirs no more: a successor
 * who finds it where zeros were has the whole packet, and it won't come again. The kernel copies a tap's packet from the
 * front, and a death does not cut it short but where the memory is missing: let it be there. */
static inline ssize_t netport_read(struct netport_queue *q, void *packet) { return q->ops->read(q, packet); }

/* After a batch of writes and reads: the other end is told, if it wants to know. */
static inline void netport_kick(struct netport_queue *q) { q->ops->kick(q); }

/* Call before sleeping: want (enum netport_want) is what to be woken for. 1: it is possible already, do not sleep.
 * Then netport_fd() is readable (level) when it may have become so; without want it never is. */
static inline int netport_arm(struct netport_queue *q, unsigned want) { return q->ops->arm(q, want); }
/* As of the last arm. -1: nothing to wait for. */
static inline int netport_fd(const struct netport_queue *q) { return q->ops->fd(q); }
/* Time (clock_now()) at which the queue wants a read or kick, for its delayed packets; UINT64_MAX: never. */
static inline uint64_t netport_due(const struct netport_queue *q) { return q->ops->due(q); }

/* Changes the filter: "loss=1.5,delay=20", what is not named becomes 0 and the seed 1; another seed throws the dice anew. What waits in it
 * comes when it was to come. From any thread; holds from the next packet on. -EINVAL with a line in err. */
int netport_filter(struct netport *p, const char *options, char *err, size_t size);

#endif
