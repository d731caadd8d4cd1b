frontend/net.SRCS := netfront.c netfront_queue.c netfront_tx.c netfront_rx.c netfront_ctrl.c netfront_xs.c
frontend/net.USES := ring/base ring/os ring/proto ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus frontend/core
