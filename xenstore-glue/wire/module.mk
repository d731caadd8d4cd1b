xenstore-glue/wire.SRCS := xs_wire.c xs_path.c xs_perm.c
xenstore-glue/wire.USES := ring/base
xenstore-glue/wire.CFLAGS := -Wconversion
