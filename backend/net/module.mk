backend/net.SRCS := netback.c netback_tx.c netback_rx.c netback_place.c netback_ctrl.c netback_steer.c netback_start.c net_class.c
backend/net.USES := backend/core backend/port recovery/journal ring/hv ring/proto ring/os ring/base

PROGS += bulkhead-net
bulkhead-net.SRC := backend/net/main_netback.c
bulkhead-net.MODULES := backend/net backend/core backend/port recovery/journal ring/hv ring/proto ring/os ring/base
bulkhead-net.LIBS := -lurcu-qsbr -lurcu-common
bulkhead-net.STATIC := 1
