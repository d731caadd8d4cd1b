/* srv_priv.h - what the files of the daemon share. Private to xenstore-glue/store. */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_SRV_PRIV_H
#define BULKHEAD_XENSTORE_GLUE_STORE_SRV_PRIV_H

#include "ring/os/acceptor.h"
#include "xenstore-glue/store/xs_ops.h"
#include "xenstore-glue/store/xs_server.h"
#include "xenstore-glue/store/xs_txn.h"
#include "xenstore-glue/store/xs_watch.h"
#include "xenstore-glue/wire/xs_wire.h"

#define SRV_EVENT_TIMEOUT_NS (20 * 1000000000ull) /* a guest's event that it does not read is dropped after this */
#define SRV_UNREAD_STOP (1u << 20)		  /* a client of domain 0 with more unread bytes is not read */
#define SRV_UNREAD_MAX (16u << 20)		  /* with more than this it is cut off */

/* A guest's request, which counts as outstanding until its reply and all events that it caused are written. */
struct srv_cause {
	uint32_t refs;
	uint16_t domid;
	uint64_t gen; /* of the domain: its number may be another's by then */
};

struct srv_out {
	STAILQ_ENTRY(srv_out) link;
	uint32_t len, sent;
	bool event;
	uint64_t due; /* events of guests: dropped then; else 0 */
	struct srv_cause *cause;
	char data[]; /* header and payload */
};

struct srv_conn {
	TAILQ_ENTRY(srv_conn) link;
	STAILQ_ENTRY(srv_conn) dirty_link;
	struct xs_server *s;
	int fd;
	uint16_t domid;
	bool dead, dirty, stalled;
	struct loop_fd watch_fd;
	uint32_t mask;
	struct loop_timer timer; /* of events that get old */
	struct xs_reader reader;
	char in[4096];
	size_t in_at, in_len;
	STAILQ_HEAD(, srv_out) out;
	size_t unread; /* bytes in out */
	struct xs_txns txns;
	struct xs_watches watches;
};

struct srv_hub {
	LIST_ENTRY(srv_hub) link;
	struct xs_server *s;
	int fd;
	struct loop_fd w;
};

struct xs_server {
	struct loop *loop;
	struct xs_store *st;
	struct xs_log *log;
	struct acceptor clients, hub_clients;
	TAILQ_HEAD(, srv_conn) conns;
	STAILQ_HEAD(, srv_conn) dirty;
	LIST_HEAD(, srv_hub) hubs;
	struct loop_work work;
	struct loop_timer credit_timer;
	struct srv_cause *cause; /* of the request in work, NULL for domain 0 */
	struct xs_body reply;	 /* of the request in work */
	bool trace;
};

/* A request in work. */
struct srv_req {
	struct xs_server *s;
	struct srv_conn *c;
	const struct xsd_sockmsg *hdr;
	const char *data;
	uint32_t len;
	struct xs_txn *txn; /* named by the request, or NULL */
	struct xs_view view;
	bool replied;
};

/* srv_conn.c */
int srv_conn_add(struct xs_server *s, int fd, uint16_t domid); /* takes fd over, also on failure */
void srv_conn_close(struct srv_conn *c);		       /* freed later; idempotent */
void srv_conn_close_domain(struct xs_server *s, uint16_t domid);
void srv_conn_reap(struct xs_server *s);
void srv_reply(struct srv_conn *c, uint32_t type, const struct xsd_sockmsg *rq, const void *data, uint32_t len);
void srv_event(struct srv_conn *c, const char *path, const char *token, bool caused);
void srv_cause_put(struct xs_server *s, struct srv_cause *x);
void srv_work(struct xs_server *s); /* has output flushed and waiting clients looked at, after the present callback */
void srv_pay_for_write(struct srv_conn *c);

/* srv_fire.c */
void srv_fire_change(struct xs_server *s, const struct xs_change *ch);
void srv_fire_special(struct xs_server *s, const char *name);

/* srv_ops.c */
void srv_handle(struct srv_conn *c);

/* srv_domain.c: also handlers of requests. */
int srv_introduce(struct xs_server *s, uint16_t domid, bool by_hub);
int srv_release(struct xs_server *s, uint16_t domid);
int srv_op_control(struct srv_req *rq);
int srv_op_introduce(struct srv_req *rq);
int srv_op_release(struct srv_req *rq);
int srv_op_resume(struct srv_req *rq);
int srv_op_set_target(struct srv_req *rq);
int srv_op_domain_path(struct srv_req *rq);
int srv_op_is_introduced(struct srv_req *rq);

/* srv_hub.c */
int srv_hub_listen(struct xs_server *s, const char *dir);
void srv_hub_close_all(struct xs_server *s);

#endif
