/* netfront.h - a guest's end of a virtual network interface, as a library: what xen-netfront is to Linux.
 *
 * It speaks the public netif protocol over a provider (hv.h) and xenstore. A packet is an Ethernet frame in one piece with
 * a struct virtio_net_hdr, as a tap has it (IFF_VNET_HDR): checksums and segments that somebody else is to complete are said there.
 *
 *   netfront_open -> (each queue, in one thread each: send, recv, poll ... arm) -> netfront_close
 *
 * Owns: its pages, grants and ports; packets are copied on both sides, so the backend never sees a byte that was not meant
 * for it (XSA-403), and what it writes after its answer changes nothing any more.
 * Threads: open and close from one; each queue from one thread at a time; netfront_ctrl() and netfront_cancel() from any.
 * Trust: the backend's answers are judged: a wrong index, an unknown, repeated or foreign id (XSA-405) and a packet that is cut
 * short end the device (-EPEER); wrong sizes, offsets and flags drop that packet. Both are counted.
 * Errors: negative errno. -EPEER: the backend broke the protocol; -ESHUTDOWN: disconnected.
 * A backend that dies is not noticed: what is on the rings is answered by its successor.
 */
#ifndef BULKHEAD_FRONTEND_NET_NETFRONT_H
#define BULKHEAD_FRONTEND_NET_NETFRONT_H

#include "ring/base/base.h"

#include <linux/virtio_net.h>
#include <stdbool.h>

#define NETFRONT_FRAME_MAX 65535u /* a request names a length of 16 bits */

struct netfront;
struct netfront_queue;

struct netfront_open {
	const char *provider;	 /* "local", "auto" */
	const char *runtime_dir;
	const char *domain;	 /* name of the VM */
	unsigned handle;
	unsigned queues;	 /* wanted; the backend may allow fewer. 0: 1 */
	unsigned rx_buffers;	 /* pages that a queue posts, a power of two from 32 to 256. 0: 256 */
	unsigned xdp_headroom;	 /* bytes before each packet that is received */
	bool no_sg, no_gso, no_csum, no_split, no_ctrl; /* not to be asked for */
	bool mcast;		 /* only multicast packets of groups that netfront_mcast() named */
	uint64_t timeout_ns;	 /* for the whole connecting; 0: 10 s */
};

struct netfront_info {
	uint8_t mac[6];
	unsigned mtu, queues, rx_buffers;
	bool sg, gso4, gso6, csum4, csum6, split, ctrl, mcast; /* as both ends have them */
	unsigned frame_max; /* bytes that netfront_send() takes */
};

/* Of a queue; any thread may read. */
struct netfront_stats {
	uint64_t tx_packets, tx_bytes, tx_errors; /* errors: answered with an error */
	uint64_t rx_packets, rx_bytes, rx_errors; /* errors: the backend says so */
	uint64_t rx_bad;			  /* dropped: sizes, offsets or flags that can't be */
};

/* Joins the domain, does 5-6-1 if the vif is left connected by a former frontend, connects. On failure err (size bytes) has one
 * clear line. */
int netfront_open(const struct netfront_open *o, struct netfront **out, char *err, size_t size);
/* Closes the connection in order (5, 6). What was sent and not answered is forgotten. NULL is allowed. */
void netfront_close(struct netfront *f);
/* Any thread, also a signal's: ends the device; each queue's fd becomes readable, its next poll is -ESHUTDOWN. */
void netfront_cancel(struct netfront *f);
void netfront_get_info(const struct netfront *f, struct netfront_info *info);
/* The backend's `carrier`. Any thread. */
bool netfront_carrier(const struct netfront *f);
struct netfront_queue *netfront_get_queue(struct netfront *f, unsigned index);
void netfront_get_stats(const struct netfront_queue *q, struct netfront_stats *s);

/* Puts one packet on the ring; netfront_poll() shows it to the backend. frame is changed where a checksum that the backend does
 * not take blank is completed. 0; -EAGAIN: full, netfront_arm() with tx says when not; -EMSGSIZE; -EINVAL: a header that a ring
 * has no word for. */
int netfront_send(struct netfront_queue *q, const struct virtio_net_hdr *h, void *frame, size_t len);
/* The next packet into NETFRONT_FRAME_MAX bytes: its length; 0: none; -EPEER, -ESHUTDOWN. */
int netfront_recv(struct netfront_queue *q, struct virtio_net_hdr *h, void *frame);
/* Takes answers, shows the backend what was sent and which buffers are free again, notifies. 1: something new may be there to
 * receive or some room to send; 0; -EPEER, -ESHUTDOWN. */
int netfront_poll(struct netfront_queue *q);
/* Readable when there may be something to do. Before sleeping on it: netfront_arm(), which returns 1 if there is already.
 * tx: room to send counts too. */
int netfront_fd(const struct netfront_queue *q);
int netfront_arm(struct netfront_queue *q, bool tx);
/* Packets sent and not answered yet, in ring entries. */
unsigned netfront_outstanding(const struct netfront_queue *q);

/* Adds or removes a multicast group, by a request of this queue without data. As netfront_send(). */
int netfront_mcast(struct netfront_queue *q, const uint8_t mac[6], bool add);

/* A request of the control ring (XEN_NETIF_CTRL_TYPE_*), and waits for its answer, 10 s at most. len bytes of page (at most 4096)
 * go along: their grant is then data[0]. *data: the answer's. 0; -EOPNOTSUPP, -EINVAL, -EOVERFLOW: its status; -ENOTSUP: there is no
 * control ring; -ETIMEDOUT; -EPEER. */
int netfront_ctrl(struct netfront *f, unsigned type, const uint32_t data[3], const void *page, size_t len, uint32_t *answer);

#endif
