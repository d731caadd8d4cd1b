/* hub_priv.h - the state of the hub, shared by hub.c (domains, connections, ports) and hub_mem.c (regions, grants, maps). */
#ifndef BULKHEAD_RING_HV_HUB_PRIV_H
#define BULKHEAD_RING_HV_HUB_PRIV_H

#include "ring/hv/hub.h"

#include <sys/queue.h>

/* A region's fd that a stub holds. */
struct hub_sent {
	LIST_ENTRY(hub_sent) of_region, of_conn;
	struct hub_region *region;
	struct hub_conn *conn;
	uint8_t modes; /* bit 0: read-write, bit 1: read-only */
};

struct hub_region {
	LIST_ENTRY(hub_region) link; /* domain->regions */
	uint32_t number, npages;
	uint32_t ngrants; /* live ones */
	int fd[2];	  /* read-write, read-only */
	struct hub_conn *owner;
	LIST_HEAD(, hub_sent) sent;
};

enum grant_state {
	GRANT_FREE,
	GRANT_LIVE,
	GRANT_ENDED, /* its granter is gone while somebody maps it: the gref is not used again before it is unmapped */
};

struct hub_grant {
	struct hub_region *region; /* of a live one */
	uint32_t page;
	uint32_t maps; /* by all connections */
	uint32_t next_free;
	hv_domid_t dom; /* who may map */
	uint8_t ro, state;
};

struct hub_port {
	LIST_ENTRY(hub_port) link; /* domain->ports */
	uint32_t number;
	hv_domid_t dom; /* who may bind */
	int fd[2];	/* waited for by the frontend; by the backend */
	struct hub_conn *owner;
	struct hub_bind *bind;
};

struct hub_bind {
	LIST_ENTRY(hub_bind) link; /* conn->binds */
	uint32_t local;
	struct hub_port *port; /* NULL: closed by its owner */
};

struct hub_domain {
	TAILQ_ENTRY(hub_domain) link;
	hv_domid_t domid;
	bool gone;	/* destroyed; kept while connections of stubs name it */
	unsigned conns; /* that point here */
	char name[HV_NAME_MAX];
	struct hub_grant *grants; /* by gref - HUB_GREF_FIRST */
	uint64_t *table; /* what the stubs know of them (hub_wire.h) */
	int table_fd;
	uint32_t grants_room, free_grant; /* NO_GRANT: none free below grants_room */
	uint32_t ngrants, nregions, nports, next_port;
	uint64_t bytes;
	LIST_HEAD(, hub_region) regions;
	LIST_HEAD(, hub_port) ports;
};
#define NO_GRANT UINT32_MAX

struct hub_conn {
	LIST_ENTRY(hub_conn) link;
	void *owner;
	uint16_t role; /* enum hub_role; 0: no HELLO yet */
	bool ended;    /* its domain was destroyed: nothing is allowed any more */
	bool watches;
	hv_domid_t self;
	struct hub_domain *dom; /* a frontend's own, a stub's guest */
	uint32_t *maps;		/* a stub's maps of each gref, as hub_domain.grants */
	uint32_t maps_room;
	LIST_HEAD(, hub_sent) sent;
	LIST_HEAD(, hub_bind) binds;
};

struct hub {
	const struct hub_ops *ops;
	void *ctx;
	TAILQ_HEAD(hub_domains, hub_domain) doms; /* living ones */
	struct hub_domains gone;
	LIST_HEAD(, hub_conn) conns;
	unsigned ndoms;
	hv_domid_t next_domid;
	uint32_t next_region, next_local;
};

typedef int hub_op_fn(struct hub *h, struct hub_conn *c, const struct hub_msg *req, struct hub_reply *r);

/* hub_mem.c */
hub_op_fn hub_op_region, hub_op_region_free, hub_op_grant, hub_op_ungrant, hub_op_map, hub_op_unmap, hub_op_copy,
	hub_op_forget, hub_op_table;
/* Ends the grants and regions that a frontend's connection made; the maps and held fds of a stub's. */
void hub_mem_end_frontend(struct hub *h, struct hub_conn *c);
void hub_mem_end_stub(struct hub_conn *c);

#endif
