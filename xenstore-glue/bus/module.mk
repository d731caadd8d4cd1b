xenstore-glue/bus.SRCS := xenbus_fsm.c xs_kv.c vbd_keys.c vif_keys.c xs_tree.c xenbus_end.c xenbus_end_io.c xenbus_end_look.c xenbus_scan.c dev_admin.c dev_admin_ends.c
xenstore-glue/bus.USES := ring/base ring/os xenstore-glue/wire xenstore-glue/client
xenstore-glue/bus.CFLAGS := -Wconversion
