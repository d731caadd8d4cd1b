/* net_stream.h - one stream of numbered packets: how they are made, and the books of what has come.
 *
 * Threads: a stream's sender makes; any thread may account, under the stream's lock.
 */
#ifndef BULKHEAD_FRONTEND_NET_NET_STREAM_H
#define BULKHEAD_FRONTEND_NET_NET_STREAM_H

#include "frontend/net/net_verify.h"

#include <pthread.h>

struct net_stream {
	uint64_t seed, sent;
	uint32_t id;
	uint8_t src[6], dst[6];
	pthread_mutex_t lock; /* of what follows */
	uint8_t *seen;	      /* a bit each */
	uint64_t room;	      /* numbers that seen has bits for */
	uint64_t next;	      /* the highest number that came, and one */
	uint64_t last_ns;     /* when the last one came; 0: none yet */
	struct net_verify_way way;
	uint64_t *gap;
};

/* 0 or -ENOMEM; net_stream_close() in either case. */
int net_stream_open(struct net_stream *s, uint64_t seed, uint32_t id, const uint8_t src[6], const uint8_t dst[6]);
void net_stream_close(struct net_stream *s);
/* The next packet: a whole frame of len bytes (at least NET_VERIFY_SIZE_MIN). */
void net_stream_make(struct net_stream *s, uint8_t *frame, uint32_t len);
/* Which stream of n a frame belongs to: its index; -ENOENT: none, it is somebody else's. Nothing else of it is judged. */
int net_stream_of(const uint8_t *frame, uint32_t len, unsigned n);
/* Books a frame of this stream at now; outage_ns: 0 while gaps do not count. -ENOMEM: it could not be booked. */
int net_stream_came(struct net_stream *s, const uint8_t *frame, uint32_t len, uint64_t now, uint64_t outage_ns);
/* How many were sent and have not come. Any thread. */
uint64_t net_stream_missing(struct net_stream *s);
/* What is lost after all, percentiles. */
void net_stream_sum(struct net_stream *s);

#endif
