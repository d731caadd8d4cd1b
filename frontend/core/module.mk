frontend/core.SRCS := fe_pool.c fe_ring.c fe_sleep.c fe_xs.c
frontend/core.USES := ring/base ring/os ring/proto ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus
