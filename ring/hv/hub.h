/* hub.h - the rules of the local provider: domains, regions, grants, ports, and who maps what. Pure.
 *
 * State and decisions only: memory, events and sockets are made by struct hub_ops, whose "fds" are opaque numbers here
 * (descriptors in bulkhead-hub, indices in tests/sim). One connection is one process.
 * Owns: every fd that its ops made, until it calls fd_end.
 * Threads: one.
 * Trust: requests are foreign (hub_wire.h). Requests are decoded first, and hub_apply() checks the rest.
 */
#ifndef BULKHEAD_RING_HV_HUB_H
#define BULKHEAD_RING_HV_HUB_H

#include "ring/hv/hub_wire.h"

/* Of one domain. */
#define HUB_DOM_BYTES (1ull << 30)
#define HUB_DOM_REGIONS 1024u
#define HUB_DOM_PORTS 1024u
#define HUB_DOMAINS 4096u

struct hub;
struct hub_conn;

struct hub_ops {
	int (*region_new)(void *ctx, uint64_t bytes, int fd[2]); /* read-write, read-only. 0 or negative errno */
	/* A table (hub_wire.h) in the hub's memory, of zeroes, and an fd that reads it; ended by table_end alone. 0 or negative errno */
	int (*table_new)(void *ctx, uint64_t **words, int *fd);
	void (*table_end)(void *ctx, uint64_t *words, int fd);
	int (*event_new)(void *ctx, int *fd);
	void (*fd_end)(void *ctx, int fd);
	int (*store_conn)(void *ctx, hv_domid_t dom, int *fd); /* one end of a new connection, given away */
	void (*domain)(void *ctx, hv_domid_t dom, bool born);
	void (*drop)(void *ctx, void *owner); /* end this connection soon, not from inside the call */
};

struct hub *hub_new(const struct hub_ops *ops, void *ctx); /* NULL: out of memory */
/* Ends everything; connections must have ended. */
void hub_free(struct hub *h);

struct hub_conn *hub_conn_new(struct hub *h, void *owner); /* NULL: out of memory */
void hub_conn_end(struct hub *h, struct hub_conn *c);	    /* and everything made through it */
bool hub_conn_said_hello(const struct hub_conn *c);
bool hub_conn_watches(const struct hub_conn *c); /* wants HUB_DOM_WATCH */

struct hub_reply {
	size_t len;
	int fds[HUB_FDS_MAX];
	size_t nfds;
	bool give_away; /* fds[0] is closed by the caller after sending */
	union hub_buf buf;
};

/* The frame of one received packet: length, op, number of entries, text. NULL if it is malformed. The result points
 * into buf, which must be aligned for it. */
const struct hub_msg *hub_decode(const void *buf, size_t len);
/* Executes one decoded request and fills the reply. 0, or -EPEER: end the connection, nothing was changed. */
int hub_apply(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r);

/* The living domains in the order of their creation; false after the last one. */
bool hub_domain_at(const struct hub *h, size_t index, struct hub_dom *out);

#endif
