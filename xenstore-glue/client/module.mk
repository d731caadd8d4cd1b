xenstore-glue/client.SRCS := xs.c xs_req.c xs_ops.c xs_dir.c xs_all.c xs_txn.c xs_watch.c xs_sync.c xs_conn_unix.c xs_conn_dev.c
xenstore-glue/client.USES := ring/base ring/os xenstore-glue/wire
xenstore-glue/client.CFLAGS := -Wconversion
