recovery/net.SRCS := tap.c steer.c net_vif.c net_state.c net_link.c net_make.c net_nft.c net_ovs.c net_attach.c
recovery/net.USES := ring/base ring/os
recovery/net.CFLAGS := $(shell pkg-config --cflags libnl-route-3.0 2>/dev/null)
recovery/net.LIBS := -lnl-route-3 -lnl-3 -lnftables
PROGS += bulkhead-vif
bulkhead-vif.SRC := recovery/net/main_vif.c
bulkhead-vif.MODULES := recovery/net ring/os ring/base
