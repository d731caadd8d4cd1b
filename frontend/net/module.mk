frontend/net.SRCS := netfront.c netfront_queue.c netfront_tx.c netfront_rx.c netfront_ctrl.c netfront_xs.c \
	net_tap.c net_pump.c net_stream.c net_verify.c net_cmd.c net_cmd_tap.c net_steer.c
frontend/net.USES := ring/base ring/os ring/proto ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus frontend/core
PROGS += bulkhead-netfront
bulkhead-netfront.SRC := frontend/net/main_net.c
bulkhead-netfront.MODULES := frontend/net frontend/core xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/proto \
	ring/os ring/base
