xenstore-glue/store.SRCS := xs_node.c xs_table.c xs_store.c xs_change.c xs_ops.c xs_txn.c xs_watch.c xs_record.c xs_log.c \
	xs_server.c srv_conn.c srv_fire.c srv_ops.c srv_domain.c srv_hub.c
xenstore-glue/store.USES := ring/base ring/os ring/hv xenstore-glue/wire
PROGS += bulkhead-store
bulkhead-store.SRC := xenstore-glue/store/main_stored.c
bulkhead-store.MODULES := xenstore-glue/store xenstore-glue/wire ring/os ring/base
